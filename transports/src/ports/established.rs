//! A session on its way from the handshake thread to its I/O thread.

use super::seats::Seat;
use mio::net::TcpStream;
use ramson_protocol::data::router_info::VerifiedRouterInfo;
use ramson_protocol::dialing::Direction;
use ramson_protocol::id::RouterHash;
use ramson_protocol::ntcp2::frame::{FrameOpener, FrameSealer};
use std::net::SocketAddr;

/// What a finished handshake hands over.
#[derive(Debug)]
pub struct Established {
    /// The peer; its RouterInfo has been verified and its static key compared.
    pub peer: RouterHash,
    /// Where the peer is.
    pub addr: SocketAddr,
    /// Who began.
    pub direction: Direction,
    /// The socket, not registered anywhere.
    pub stream: TcpStream,
    /// Opens the peer's frames.
    pub opener: FrameOpener,
    /// Seals ours.
    pub sealer: FrameSealer,
    /// The peer's RouterInfo from message 3; none if we called.
    pub router_info: Option<VerifiedRouterInfo>,
    /// Bytes that came behind the handshake.
    pub leftover: Vec<u8>,
    /// Its descriptor, among those that connections may have.
    pub(crate) seat: Option<Seat>,
    /// How far the peer's clock is ahead of ours, in milliseconds.
    pub skew_ms: i64,
}
