//! One SSU2 session on its I/O thread: the core, and what the thread keeps beside it.

use ramson_protocol::ssu2::local::OurEnd;
use ramson_protocol::ssu2::session::Session as Core;
use ramson_protocol::time::Mono;

pub(crate) struct Ssu2 {
    pub(crate) core: Core,
    /// The id of its datagrams: its key in the tables of all threads.
    pub(crate) id: u64,
    /// What it sends by.
    pub(crate) local: OurEnd,
    /// For when its timer is set.
    pub(crate) armed: Option<Mono>,
    /// Cells queued since the last datagram was sent, for the histogram.
    pub(crate) cells: u64,
}

impl Ssu2 {
    pub(crate) fn new(core: Core, id: u64, local: OurEnd) -> Self {
        Self { core, id, local, armed: None, cells: 0 }
    }
}
