//! What a finished handshake leaves to the data phase.

use super::header::MaskKey;
use super::keys::DataKeys;
use super::local::OurEnd;
use crate::data::router_info::VerifiedRouterInfo;
use crate::id::RouterHash;
use crate::link::padding::PaddingOptions;
use crate::link::role::Role;
use crate::link::skew::ClockSkew;
use crate::time::Mono;
use bytes::Bytes;
use smallvec::SmallVec;
use std::net::SocketAddr;

/// A session, ready for its first Data packet.
///
/// The initiator stands at packet number 1 (its SessionConfirmed was 0) and must send [`Established::confirmed`] again,
/// unchanged, 1.25, 2.5 and 5 s after one another until the peer has acknowledged packet 0 or sent any Data packet.
/// The responder stands at packet number 0 and owes an ACK of packet 0 within milliseconds.
///
/// spec: ssu2 §Packet Numbering, §Session Confirmed ACK, §Handshake Retransmission
pub struct Established {
    /// Which end we are.
    pub role: Role,
    /// The router at the other end. A responder has it from the RouterInfo that the initiator signed. An initiator knows
    /// no more than that the other end holds the static key of the address it called: a forger of RouterInfos can put
    /// the address and keys of an honest router into his.
    ///
    /// spec: proposal 165
    pub peer: RouterHash,
    /// Where it is.
    pub addr: SocketAddr,
    /// Our end, to which the peer sent or which we called from.
    pub local: OurEnd,
    /// The connection id in packets to us.
    pub local_id: u64,
    /// The connection id in packets to the peer.
    pub remote_id: u64,
    /// Our introduction key, under which bytes 0..8 of packets to us are.
    pub local_intro: MaskKey,
    /// The peer's introduction key.
    pub remote_intro: MaskKey,
    /// Opens the peer's packets.
    pub recv: DataKeys,
    /// Seals ours.
    pub send: DataKeys,
    /// The largest IP packet that both sides take, 1280 to 1500.
    pub mtu: u16,
    /// Number of our first Data packet.
    pub next_number: u32,
    /// Number of the packet that we owe an ACK for: the responder's zero.
    pub received: Option<u32>,
    /// The initiator's SessionConfirmed, in as many datagrams as it took, to be sent again until it is acknowledged.
    pub confirmed: SmallVec<[Bytes; 2]>,
    /// How far the peer's clock is ahead of ours, corrected by half the round trip.
    pub skew: ClockSkew,
    /// Time from our last message before the peer's to that one.
    pub rtt: Mono,
    /// Responder: the peer's RouterInfo. None for an initiator.
    pub router_info: Option<VerifiedRouterInfo>,
    /// Responder: the peer asks us to flood its RouterInfo if we are a floodfill.
    pub flood: bool,
    /// The padding the peer asked for, if it did so already.
    pub peer_padding: Option<PaddingOptions>,
    /// Our address as the peer sees it.
    pub our_addr: Option<SocketAddr>,
    /// Initiator: the tag under which the peer introduces others to us.
    pub relay_tag: Option<u32>,
    /// Responder: the peer asks for a tag, to be answered with a RelayTag block.
    pub relay_tag_requested: bool,
    /// A token for our next session with this router and the second (since 1970) it expires, if it came already.
    pub new_token: Option<(u64, u32)>,
    /// Datagrams from [`Established::addr`] that came before the session stood, oldest first, still protected: Data
    /// packets that overtook the SessionConfirmed, most likely. At most [`MAX_EARLY`].
    pub early: Vec<Bytes>,
}

/// Datagrams that are kept for a session whose SessionConfirmed is not complete.
pub const MAX_EARLY: usize = 8;

impl std::fmt::Debug for Established {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Established").field("role", &self.role).field("mtu", &self.mtu).finish_non_exhaustive()
    }
}
