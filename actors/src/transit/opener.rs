//! Workers that open build records: each costs a Diffie-Hellman, and a flood of them must not hold up anything else.

use crate::supervise::{Vital, Vitals};
use crate::threads::name_this;
use actix::prelude::*;
use ramson_protocol::garlic::noise_n::StaticKey;
use ramson_protocol::id::RouterHash;
use ramson_protocol::time::Wall;
use ramson_protocol::tunnel::hop::{self, Found, Opened, Receipt, Unanswered};
use std::sync::Arc;

/// A worker of the pool.
pub(crate) struct BuildOpener {
    key: Arc<StaticKey>,
    us: RouterHash,
    _vital: Vital,
}

impl BuildOpener {
    /// A worker with our static key and our hash.
    pub(crate) fn new(key: Arc<StaticKey>, us: RouterHash, vitals: &Vitals) -> Self {
        name_this(c"build-opener");
        Self { key, us, _vital: vitals.guard("a worker that opens build records") }
    }
}

impl Actor for BuildOpener {
    type Context = SyncContext<Self>;
}

/// Open our record of a build message.
#[derive(Message)]
#[rtype(result = "OpenedBuild")]
pub(super) struct OpenBuild {
    pub(super) found: Found,
    pub(super) body: Vec<u8>,
    pub(super) from: Option<RouterHash>,
    pub(super) now: Wall,
}

/// What is asked, or why it is dropped.
#[derive(MessageResponse)]
pub(super) struct OpenedBuild(pub(super) Result<Opened, Unanswered>);

impl Handler<OpenBuild> for BuildOpener {
    type Result = OpenedBuild;

    fn handle(&mut self, build: OpenBuild, _: &mut SyncContext<Self>) -> OpenedBuild {
        let cx = Receipt { ours: &self.key, us: &self.us, from: build.from, now: build.now };
        OpenedBuild(hop::open(build.found, build.body, &cx))
    }
}
