//! `[ntcp2]`

use super::OneOrMany;
use super::section::section;
use crate::units::Span;
use std::net::SocketAddr;
use std::time::Duration;

section! {
    /// The TCP transport.
    Ntcp2 = "ntcp2" {
        /// Whether to speak it.
        enabled: bool = true => Start;
        /// Where to listen: one address, or several of different families.
        listen: OneOrMany = OneOrMany(vec![SocketAddr::from(([0, 0, 0, 0], 20003))]) => Start;
        /// The addresses to publish; without any, peers cannot call us.
        publish: OneOrMany = OneOrMany::default() => Start;
        /// Sessions without traffic are closed after this.
        // INTEROP: i2pd closes idle sessions after about two minutes; a floodfill keeps them longer to spare handshakes.
        idle_close: Span = Span(Duration::from_secs(180)) => Live;
        /// Handshakes that may run at once.
        max_handshakes: usize = 512 => Start;
    }
}
