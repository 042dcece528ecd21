//! SSU2: Noise XK over UDP between two routers, with tokens against spoofed addresses, and two services for routers
//! behind NATs: tests of reachability and introductions.
//!
//! ```text
//! initiator (Alice)                                responder (Bob)
//!                 -- TokenRequest --------------->  keeps nothing
//!                 <- Retry: token, our address ---
//! AwaitCreated    -- SessionRequest: X, token --->  AwaitConfirmed
//!                 <- SessionCreated: Y, address --
//! Established     -- SessionConfirmed: s, RI ---->  Accepted (the RouterInfo is verified), then Established
//!                 <- Data: ACK of packet 0 -------
//! ```
//! With a token from an earlier session the first two messages fall away; a SessionRequest whose token is not good is
//! answered by a Retry like a TokenRequest.
//!
//! spec: ssu2

pub mod ack;
pub mod block;
pub mod congestion;
pub mod directory;
pub mod endpoint;
pub mod error;
pub mod established;
pub mod fragment;
pub mod header;
pub mod initiator;
pub mod introducers;
pub mod keys;
pub mod local;
pub mod message;
pub mod mtu;
pub mod outbox;
pub mod pacer;
pub mod packet;
pub mod path;
pub mod peer_test;
pub mod recovery;
pub mod relay;
pub mod responder;
pub mod session;
pub mod token;
pub mod verify;
