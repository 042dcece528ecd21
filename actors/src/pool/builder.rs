//! Workers that seal build messages: two scalar multiplications per hop, which would hold up the pool's actor.
//!
//! State owned: a generator. In: [`Prepare`]. Out: the sealed build, as its answer.

use crate::supervise::{Vital, Vitals};
use crate::threads::name_this;
use actix::prelude::*;
use ramson_protocol::id::RouterHash;
use ramson_protocol::peers::Chosen;
use ramson_protocol::time::Now;
use ramson_protocol::tunnel::build::{self, BuildError, Path, Started};
use ramson_protocol::tunnel::record::Bandwidth;
use rand_chacha::ChaCha20Rng;

/// A worker of the pool that seals builds.
pub(super) struct Builder {
    us: RouterHash,
    rng: ChaCha20Rng,
    _vital: Vital,
}

impl Builder {
    /// A worker of the router with this hash.
    pub(super) fn new(us: RouterHash, vitals: &Vitals) -> Self {
        name_this(c"build-sealer");
        Self { us, rng: rand::make_rng(), _vital: vitals.guard("a worker that seals builds") }
    }
}

impl Actor for Builder {
    type Context = SyncContext<Self>;
}

/// Seal the records of a build over these hops. Answered by [`Prepared`].
#[derive(Message)]
#[rtype(result = "Prepared")]
pub(super) struct Prepare {
    pub(super) chosen: Chosen,
    pub(super) path: Path,
    pub(super) now: Now,
}

/// The sealed build, or why there is none.
#[derive(MessageResponse)]
pub(super) struct Prepared(pub(super) Result<Started, BuildError>);

impl Handler<Prepare> for Builder {
    type Result = Prepared;

    fn handle(&mut self, prepare: Prepare, _: &mut SyncContext<Self>) -> Prepared {
        let config = build::Config {
            us: self.us,
            form: prepare.chosen.form,
            hops: &prepare.chosen.hops,
            path: prepare.path,
            // Exploratory tunnels carry little; what is not said is not held against us.
            bandwidth: Bandwidth::default(),
        };
        Prepared(build::start(&config, prepare.now, &mut self.rng))
    }
}
