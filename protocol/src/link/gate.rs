//! Who is let in, whatever they come by.

use crate::data::router_info::RouterInfo;
use crate::link::reason::Reason;
use std::net::IpAddr;

/// Who is let in: a ban list, limits of sessions, a router that drains. Asked by the thread that answers a transport's
/// handshakes, so it must not block.
pub trait Gate: Send + Sync + 'static {
    /// Before the first byte of an address is read or answered.
    fn admits_address(&self, _ip: IpAddr) -> bool {
        true
    }

    /// After the handshake, with the RouterInfo verified.
    ///
    /// # Errors
    /// The reason to give to the peer.
    fn admits_router(&self, _router: &RouterInfo, _ip: IpAddr) -> Result<(), Reason> {
        Ok(())
    }
}

/// Lets everybody in.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenGate;

impl Gate for OpenGate {}
