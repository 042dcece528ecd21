//! Verifying signatures, on a pool of threads of its own: each costs tens to hundreds of microseconds, and nobody knows
//! how many entries a stranger sends.
//!
//! State owned: none. In: [`Verify`]. Out: the entry back, or why it is refused.

use crate::supervise::{Vital, Vitals};
use crate::threads::name_this;
use actix::prelude::*;
use ramson_protocol::data::entry::Entry;
use ramson_protocol::netdb::rules::{Refusal, judge_signatures};

/// A worker of the pool.
pub(super) struct Verifier {
    _vital: Vital,
}

impl Verifier {
    /// A worker of the node with these vitals.
    pub(super) fn new(vitals: &Vitals) -> Self {
        name_this(c"verifier");
        Self { _vital: vitals.guard("a worker that verifies signatures") }
    }
}

impl Actor for Verifier {
    type Context = SyncContext<Self>;
}

/// Verify the signatures of an entry.
#[derive(Message)]
#[rtype(result = "Verified")]
pub(super) struct Verify(pub(super) Entry);

/// Whether the signatures are good.
#[derive(MessageResponse)]
pub(super) struct Verified(pub(super) Result<(), Refusal>);

impl Handler<Verify> for Verifier {
    type Result = Verified;

    fn handle(&mut self, verify: Verify, _: &mut SyncContext<Self>) -> Verified {
        Verified(judge_signatures(&verify.0))
    }
}
