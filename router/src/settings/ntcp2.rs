//! `[ntcp2]`

use super::publish::{ListenAt, Published};
use super::section::section;
use crate::units::Span;
use std::time::Duration;

section! {
    /// The TCP transport.
    Ntcp2 = "ntcp2" {
        /// Whether to speak it.
        enabled: bool = true => Start;
        /// Where to listen: `"auto"` is every address of this machine, at a port that is drawn from 9000 to 31000 at the first
        /// start and kept in the data folder; else one address, or several.
        listen: ListenAt = ListenAt::Auto => Start;
        /// The addresses to publish, one of each family: `"auto"` finds them out and follows when they change, `"none"` has
        /// peers not call us. A name is looked up at the start.
        publish: Published = Published::Auto => Start;
        /// Sessions without traffic are closed after this.
        // INTEROP: i2pd closes idle sessions after about two minutes; a floodfill keeps them longer to spare handshakes.
        idle_close: Span = Span(Duration::from_secs(180)) => Live;
        /// Handshakes that may run at once.
        max_handshakes: usize = 512 => Start;
    }
}
