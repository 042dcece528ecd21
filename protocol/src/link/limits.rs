//! What strangers may take of us before they are anybody.

use std::time::Duration;

/// The limits of one transport.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Half-open inbound handshakes in all.
    pub half_open: usize,
    /// Half-open inbound handshakes of one address (of one /64 for IPv6). Over SSU2 the addresses
    /// of one /24 of IPv4 count together, and may have twice as many.
    pub half_open_per_ip: u32,
    /// Inbound handshakes that one address (one /64 for IPv6) may begin at once after a pause.
    pub burst_per_ip: u32,
    /// And per minute.
    pub per_minute_per_ip: u32,
    /// Dials at once.
    pub dials: usize,
    /// For TCP to connect.
    pub connect_timeout: Duration,
    /// For the handshake over TCP after message 1 came, or after TCP has connected. SSU2's times are those of its
    /// retransmission.
    pub establish_timeout: Duration,
    /// The oldest RouterInfo that a peer may show.
    pub router_info_age: Duration,
    /// Whether a peer must call from an address that it publishes, if it publishes one of that family.
    pub check_source: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            half_open: 1024,
            half_open_per_ip: 32,
            burst_per_ip: 60,
            per_minute_per_ip: 60,
            dials: 512,
            connect_timeout: Duration::from_secs(5),
            establish_timeout: Duration::from_secs(10),
            router_info_age: Duration::from_secs(27 * 3600),
            check_source: true,
        }
    }
}
