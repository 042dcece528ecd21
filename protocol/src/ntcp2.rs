//! NTCP2: Noise XK over TCP between two routers. Message 1 is the SessionRequest, 2 the SessionCreated, 3 the
//! SessionConfirmed; frames of blocks follow in both directions.
//!
//! ```text
//! initiator                                        responder
//! AwaitCreated         -- 1: X, options, padding -> AwaitRequest, AwaitRequestPadding
//! AwaitCreatedPadding <- 2: Y, options, padding --  AwaitConfirmed
//! Session              -- 3: s, RouterInfo ------>  Accepted (the caller checks the RouterInfo), then Session
//! ```
//!
//! spec: ntcp2

pub mod block;
pub mod error;
pub mod frame;
pub mod initiator;
pub mod options;
pub mod responder;

use crate::link::padding::PaddingOptions;
use crate::link::role::Role;
use crate::link::skew::ClockSkew;
use crate::noise::Symmetric;
use crate::time::Mono;
use frame::{FrameOpener, FrameSealer, SipKeys};
use ramson_crypto::hash::{hkdf1, hkdf2};
use zeroize::Zeroize;

/// The protocol version in message 1 and in the address option `v`.
pub const VERSION: u8 = 2;
/// Length of messages 1 and 2 without their padding: an obfuscated key and a sealed option block.
pub const FIXED_LEN: usize = 64;
/// Length of message 3 part 1: a sealed static key.
pub const PART_1_LEN: usize = 48;

/// What a finished handshake leaves to the data phase.
#[derive(Debug)]
pub struct Session {
    /// Opens the peer's frames.
    pub opener: FrameOpener,
    /// Seals ours.
    pub sealer: FrameSealer,
    /// How far the peer's clock is ahead of ours, corrected by half the round trip.
    pub skew: ClockSkew,
    /// Time from our message to the peer's answer.
    pub rtt: Mono,
    /// The padding the peer asked for, if it did so already.
    pub peer_padding: Option<PaddingOptions>,
}

/// Derives the keys of both directions from a handshake whose last message is mixed in.
///
/// spec: ntcp2 §Key Derivation Function (KDF) (for data phase)
fn data_phase(noise: &Symmetric, role: Role) -> (FrameOpener, FrameSealer) {
    let (mut ab, mut ba) = noise.split();
    let mut ask_master = hkdf1(noise.chaining_key(), &[], b"ask");
    let mut label = [0; 39];
    label[..32].copy_from_slice(noise.hash());
    label[32..].copy_from_slice(b"siphash");
    let mut sip_master = hkdf1(&ask_master, &label, &[]);
    let (mut sip_ab, mut sip_ba) = hkdf2(&sip_master, &[], &[]);
    let pair = match role {
        Role::Initiator => (FrameOpener::new(&ba, SipKeys::new(&sip_ba)), FrameSealer::new(&ab, SipKeys::new(&sip_ab))),
        Role::Responder => (FrameOpener::new(&ab, SipKeys::new(&sip_ab)), FrameSealer::new(&ba, SipKeys::new(&sip_ba))),
    };
    for secret in [&mut ab, &mut ba, &mut ask_master, &mut sip_master, &mut sip_ab, &mut sip_ba] {
        secret.zeroize();
    }
    pair
}
