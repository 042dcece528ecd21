//! `[ntcp2]`

use super::publish::{ListenAt, Published};
use super::section::section;
use crate::units::Span;
use ramson_actors::settings::Transport as Live;
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

/// Sessions that are closed sooner are only begun again.
const LEAST_IDLE: Duration = Duration::from_secs(10);
const MOST_IDLE: Duration = Duration::from_secs(24 * 3600);

/// Fewer at once keep everybody out, more are an attack.
const HANDSHAKES: std::ops::RangeInclusive<usize> = 8..=65_536;

/// What is common to both transports.
///
/// # Errors
/// What cannot be, and what to write.
pub(super) fn check_transport(name: &str, idle_close: Span, max_handshakes: usize) -> Result<(), String> {
    if !(LEAST_IDLE..=MOST_IDLE).contains(&idle_close.0) {
        return Err(format!("{name}.idle_close = \"{idle_close}\": write 10s to 1d; 3min is usual"));
    }
    if !HANDSHAKES.contains(&max_handshakes) {
        return Err(format!("{name}.max_handshakes = {max_handshakes}: write 8 to 65536; 512 is usual"));
    }
    Ok(())
}

impl Ntcp2 {
    /// What of it is live.
    pub(crate) fn live(&self) -> Live {
        Live { idle_close: self.idle_close.0 }
    }

    /// # Errors
    /// What cannot be, and what to write.
    pub(crate) fn check(&self) -> Result<(), String> {
        check_transport("ntcp2", self.idle_close, self.max_handshakes)
    }
}
