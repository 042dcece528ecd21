//! `[bob]`

use super::Endpoint;
use super::proxies::check_tunnels;
use super::section::section;

section! {
    /// The BOB server, for old programs that have their tunnels made by it. New ones use SAM.
    Bob = "bob" {
        /// Where it listens, such as `"127.0.0.1:2827"`; `false` is nowhere. Whoever can connect there can use it.
        listen: Endpoint = Endpoint(None) => Start;
        /// Hops of each tunnel of a destination that does not say.
        length: usize = 3 => Start;
        /// Tunnels in each direction of a destination that does not say.
        quantity: usize = 3 => Start;
    }
}

impl Bob {
    /// # Errors
    /// What cannot be, and what to write.
    pub(crate) fn check(&self) -> Result<(), String> {
        check_tunnels("bob", self.length, self.quantity)
    }
}
