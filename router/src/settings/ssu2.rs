//! `[ssu2]`

use super::ntcp2::{Ntcp2, check_transport};
use super::publish::{ListenAt, Published};
use super::section::section;
use crate::units::Span;
use ramson_actors::settings::Transport as Live;

/// IP packets of SSU2, in bytes. spec: ssu2 §MTU
const MTU: std::ops::RangeInclusive<u16> = 1280..=1500;

section! {
    /// The UDP transport.
    Ssu2 = "ssu2" {
        /// Whether to speak it.
        enabled: bool = true => Start;
        /// Where to listen, as for NTCP2, at the same port.
        listen: ListenAt = ListenAt::Auto => Start;
        /// The addresses to publish, as for NTCP2; without any, peers reach us through introducers.
        publish: Published = Published::Auto => Start;
        /// Sessions without traffic are closed after this.
        idle_close: Span = Ntcp2::default().idle_close => Live;
        /// Handshakes that may run at once.
        max_handshakes: usize = Ntcp2::default().max_handshakes => Start;
        /// The largest IP packet that the line takes, 1280 to 1500.
        mtu: u16 = 1500 => Start;
        /// Whether the kernel, or the network card, may cut what we send into datagrams, where it can.
        segmentation_offload: bool = true => Start;
    }
}

impl Ssu2 {
    /// What of it is live.
    pub(crate) fn live(&self) -> Live {
        Live { idle_close: self.idle_close.0 }
    }

    /// # Errors
    /// What cannot be, and what to write.
    pub(crate) fn check(&self) -> Result<(), String> {
        if !MTU.contains(&self.mtu) {
            return Err("ssu2.mtu: an IP packet of SSU2 has 1280 to 1500 bytes; 1500 is usual".to_owned());
        }
        check_transport("ssu2", self.idle_close, self.max_handshakes)
    }
}
