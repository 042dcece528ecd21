//! The first moments of a pool: nothing is built before those who are to answer can find us.
//!
//! While a pool has no tunnel, the last hop answers us directly. If it has no session with us it looks our RouterInfo up, and
//! i2pd does not look again for a minute for whom it has not found: a build that goes out before our RouterInfo does is lost,
//! and so are those that follow through the same router. We publish once our clock is believable, and that takes calls: so
//! the first routers that would be hops are called before they are needed.

use super::TunnelPool;
use crate::profiles::Choose;
use crate::shared::Shared;
use actix::prelude::*;
use ramson_protocol::data::entry::Entry;
use ramson_protocol::i2np::MessageType;
use ramson_protocol::i2np::database_store::DatabaseStore;
use ramson_protocol::time::Mono;
use ramson_protocol::tunnel::Direction;
use std::sync::Arc;
use std::time::Duration;

/// The first build of a router that has just begun waits so long for the database to tell what it knows. Who comes first is not chosen
/// for it.
const QUIET: Duration = Duration::from_secs(1);

/// It waits no longer than this for a floodfill that has our RouterInfo.
pub(super) const KNOWN_WITHIN: Duration = Duration::from_secs(6);

/// So often it is looked whether there is one. Other floodfills have it as soon, by flooding.
const LOOK: Duration = Duration::from_millis(400);

/// Routers that are called so that our clock is believed.
const CALLED: usize = 4;

/// How long a new pool waits before it looks who is there. Later on somebody waits for its tunnels, as at a proxy that is first used.
pub(super) fn quiet(shared: &Shared) -> Duration {
    if shared.is_known() { Duration::ZERO } else { QUIET }
}

impl TunnelPool {
    /// Has the core begin once we can be found, or at `until`.
    pub(super) fn begin(&mut self, until: Mono, ctx: &mut Context<Self>) {
        if !self.shared.believes_clock() {
            (0..CALLED).for_each(|_| self.call_somebody(ctx));
        }
        self.begin_when_known(until, ctx);
    }

    fn begin_when_known(&mut self, until: Mono, ctx: &mut Context<Self>) {
        if self.shared.is_known() || self.shared.now().mono >= until {
            return self.tick(ctx);
        }
        ctx.run_later(LOOK, move |actor, ctx| actor.begin_when_known(until, ctx));
    }

    /// Calls a router that may be a first hop. What it is told there it hears in the handshake anyway.
    fn call_somebody(&mut self, ctx: &mut Context<Self>) {
        let (purpose, order, direction) = (self.config.purpose, self.order, Direction::Outbound);
        let wish = Choose {
            hops: 1,
            direction,
            purpose,
            last_calls_us: false,
            avoid: Vec::new(),
            order,
            named: Arc::default(),
        };
        ctx.spawn(self.profiles.send(wish).into_actor(self).map(|chosen, actor, _| {
            let Ok(Ok(chosen)) = chosen else { return };
            let info = DatabaseStore::new(Entry::from((*actor.shared.router_info()).clone()));
            let Ok(body) = info.to_body() else { return };
            for hop in chosen.hops {
                // Whoever is not called now is when a message goes through it.
                let _ = actor.shared.send(hop.hash, actor.shared.message(MessageType::DatabaseStore, body.clone()));
            }
        }));
    }
}
