//! Who we are, and whom we call.

use super::header::MaskKey;
use crate::id::RouterHash;
use crate::link::padding::PaddingOptions;
use crate::noise::{Initial, SSU2_XK, Symmetric};
use bytes::Bytes;
use ramson_crypto::x25519::{PublicKey, SecretKey};
use rand::Rng;
use rand_chacha::ChaCha20Rng;
use std::net::{IpAddr, SocketAddr};

/// The largest IP packet that SSU2 sends, and what is assumed of a path unless an address says less.
pub const MAX_MTU: u16 = 1500;
/// The smallest MTU with which SSU2 works.
///
/// spec: ssu2 §MTU
pub const MIN_MTU: u16 = 1280;

/// Our end of a way: a socket, and which address of this machine. What is called at one address must answer from it: a NAT
/// lets nothing else in, and peers take another address for another router.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OurEnd {
    /// The number of the socket.
    pub socket: usize,
    /// The address; `None` leaves the choice to the system, which is right where the socket has only one.
    pub ip: Option<IpAddr>,
}

impl OurEnd {
    /// A socket, from whichever of its addresses the system chooses.
    pub fn socket(socket: usize) -> Self {
        Self { socket, ip: None }
    }
}

/// Who we are, with everything computed that is the same for every handshake.
pub struct Local {
    pub(super) net_id: u8,
    pub(super) hash: RouterHash,
    pub(super) static_key: SecretKey,
    pub(super) static_public: PublicKey,
    pub(super) intro: MaskKey,
    pub(super) router_info: Bytes,
    pub(super) padding: PaddingOptions,
    pub(super) mtu_v4: u16,
    pub(super) mtu_v6: u16,
    initial: Initial,
    start: Symmetric,
}

impl Local {
    /// Our network, router hash, static key, introduction key, and our RouterInfo as it will be sent.
    pub fn new(net_id: u8, hash: RouterHash, static_key: SecretKey, intro: [u8; 32], router_info: Bytes) -> Self {
        let initial = Initial::of(SSU2_XK);
        let static_public = static_key.public();
        let mut start = Symmetric::new(&initial);
        start.mix_hash(&static_public.0);
        Self {
            net_id,
            hash,
            static_key,
            static_public,
            intro: MaskKey::new(intro),
            router_info,
            padding: PaddingOptions::default(),
            mtu_v4: MAX_MTU,
            mtu_v6: MAX_MTU,
            initial,
            start,
        }
    }

    /// With other MTUs of our links than 1500, as we publish them.
    #[must_use]
    pub fn with_mtu(mut self, v4: u16, v6: u16) -> Self {
        (self.mtu_v4, self.mtu_v6) = (v4.clamp(MIN_MTU, MAX_MTU), v6.clamp(MIN_MTU, MAX_MTU));
        self
    }

    /// The Noise state of a handshake in which we are called.
    pub(super) fn responder_start(&self) -> Symmetric {
        self.start.clone()
    }

    /// The Noise state of a handshake with the router of this static key.
    pub(super) fn initiator_start(&self, remote: &PublicKey) -> Symmetric {
        let mut start = Symmetric::new(&self.initial);
        start.mix_hash(&remote.0);
        start
    }

    /// The MTU towards `addr`, the peer's being known.
    pub(super) fn mtu_to(&self, addr: SocketAddr, peer: u16) -> u16 {
        let ours = if addr.is_ipv4() { self.mtu_v4 } else { self.mtu_v6 };
        ours.min(peer).max(MIN_MTU)
    }
}

impl std::fmt::Debug for Local {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Local").field("net_id", &self.net_id).finish_non_exhaustive()
    }
}

/// Whom we call: what its SSU2 address says.
#[derive(Clone, Debug)]
pub struct Remote {
    /// The router.
    pub hash: RouterHash,
    /// Where it is.
    pub addr: SocketAddr,
    /// `s`.
    pub static_key: PublicKey,
    /// `i`.
    pub intro: MaskKey,
    /// `mtu`.
    pub mtu: u16,
}

/// The two connection ids of a handshake, the same from its first message to the end of the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ids {
    /// In packets to us.
    pub local: u64,
    /// In packets to the peer.
    pub remote: u64,
}

/// The longest datagram to `addr` at an MTU.
///
/// spec: ssu2 §Max I2NP Message Size
pub fn max_datagram(addr: SocketAddr, mtu: u16) -> usize {
    usize::from(mtu.saturating_sub(if addr.ip().to_canonical().is_ipv4() { 28 } else { 48 }))
}

/// A new ephemeral key.
pub(super) fn ephemeral(rng: &mut ChaCha20Rng) -> SecretKey {
    let mut secret = [0; 32];
    rng.fill_bytes(&mut secret);
    SecretKey::from_bytes(secret)
}
