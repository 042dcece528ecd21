//! The profiles of other routers, and the choice of hops by them: one for the router and all its destinations.
//!
//! State owned: the profiles ([`Peers`]), the pace of builds. In: what the database learns, news of peers, how hops did
//! ([`Note`], [`NoteShared`]), wishes for hops ([`Choose`]). Out: the chosen hops, as the answer to a wish. Mailbox: 4,096,
//! for the database tells all that it knows at once; what does not fit is told again when the router publishes anew.
//!
//! Builds of all pools are paced here, since each begins with a wish: so many a second, the next one a little later, and
//! beyond [`MAX_WAIT`] refused. A pool that is refused tries again by its own back-off.
//!
//! While nobody at all is heard, no failure is noted: it is our own line's.

mod file;
mod hearing;

use crate::disk;
use crate::mailbox::Mailbox;
use crate::messages::{Drain, PeerNews, Recheck, RouterKnown};
use crate::netdb::NetDb;
use crate::pool::InUse;
use crate::series::control;
use crate::shared::Shared;
use crate::supervise::Vital;
use actix::prelude::*;
use hearing::{Change, Hearing};
use ramson_protocol::data::router_info::RouterInfo;
use ramson_protocol::id::RouterHash;
use ramson_protocol::netdb::store::Standing;
use ramson_protocol::peers::facts::{self, Facts, Subnet};
use ramson_protocol::peers::profile::{Event, Shared as SharedEvent};
use ramson_protocol::peers::{self, Chosen, Peers, Purpose, TooFew, Wish};
use ramson_protocol::time::Mono;
use ramson_protocol::tunnel::Direction;
use rand_chacha::ChaCha20Rng;
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

const MAILBOX: usize = 4096;

/// How often profiles are written, and counted for the operator.
const SAVE: Duration = Duration::from_secs(300);
const COUNT: Duration = Duration::from_secs(5);

/// From one build to the next, when many are wanted at once. A build costs us a scalar multiplication or two per hop, and
/// each hop one more; a burst of a whole pool goes at once.
const PACE: Duration = Duration::from_millis(50);
const BURST: u32 = 16;

/// With fewer routers that have been known for long anybody's word on our clock and address is heard whom we chose.
const ENOUGH_ACQUAINTANCES: usize = 25;

/// A build that would have to wait longer is refused.
const MAX_WAIT: Duration = Duration::from_secs(3);

/// Choose hops for a tunnel. The answer comes when it is the build's turn.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<Chosen, TooFew>")]
pub(crate) struct Choose {
    /// How many hops the tunnel has.
    pub(crate) hops: usize,
    /// Which way the tunnel leads.
    pub(crate) direction: Direction,
    /// The last hop sends to us, cells or the answer.
    pub(crate) last_calls_us: bool,
    /// What the tunnel is for: it decides by what rules hops are chosen.
    pub(crate) purpose: Purpose,
    /// Routers that are left out if there are others.
    pub(crate) avoid: Vec<RouterHash>,
    /// The pool's secret order of hops.
    pub(crate) order: [u8; 32],
    /// The hops that its user has named, the nearest first; if there are any, so many of them.
    pub(crate) named: Arc<[RouterHash]>,
}

/// How single hops did.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Note(pub(crate) Vec<(RouterHash, Event)>);

/// What happened to a tunnel or build of these hops: all did well, or share a blame.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct NoteShared(pub(crate) Vec<RouterHash>, pub(crate) SharedEvent);

/// When the next build may begin: a bucket of [`BURST`] builds that fills by one each [`PACE`].
#[derive(Debug, Default)]
struct Pace {
    /// When the bucket is full again.
    full_at: Mono,
}

impl Pace {
    /// How long a build that is wanted now has to wait; `None` if that is too long.
    fn turn(&mut self, now: Mono) -> Option<Duration> {
        let full_at = self.full_at.max(now) + PACE;
        let wait = full_at.saturating_sub(now).saturating_sub(PACE * BURST);
        if wait > MAX_WAIT {
            return None;
        }
        self.full_at = full_at;
        Some(wait)
    }
}

/// The actor that keeps the profiles and chooses hops.
pub(crate) struct Profiles {
    shared: Shared,
    netdb: NetDb,
    in_use: InUse,
    peers: Peers,
    pace: Pace,
    rng: ChaCha20Rng,
    /// Where they are kept, if anywhere.
    path: Option<PathBuf>,
    /// So few routers have been known for long that the word of others must do.
    few_acquaintances: bool,
    /// Routers with which a session stands.
    connected: HashSet<RouterHash>,
    hearing: Hearing,
    _vital: Vital,
}

impl Profiles {
    /// With what was kept of earlier runs. Which routers our tunnels pass through already stands in `in_use`; the database
    /// is told whom we have met. None of our own `family` is ever chosen.
    pub(crate) fn new(
        shared: Shared,
        netdb: NetDb,
        in_use: InUse,
        path: Option<PathBuf>,
        family: Option<&str>,
    ) -> Self {
        let (now, mut rng) = (shared.now().mono, shared.rng());
        let (same_subnet, family) = (shared.allow_private(), family.map(facts::family));
        let mut peers = Peers::new(peers::Config { same_subnet, family, ..peers::Config::default() });
        if let Some(path) = &path
            && let Err(error) = file::read(path, &mut peers, now, &mut rng)
        {
            tracing::warn!(%error, "the profiles of earlier runs could not be read");
        }
        peers.proven(now).for_each(|router| netdb.note(router, Standing::Proven));
        let _vital = shared.vitals().guard("the keeper of profiles");
        Self {
            shared,
            netdb,
            in_use,
            peers,
            pace: Pace::default(),
            rng,
            path,
            few_acquaintances: true,
            connected: HashSet::new(),
            hearing: Hearing::default(),
            _vital,
        }
    }

    fn learn(&mut self, info: &RouterInfo) {
        let hash = info.hash();
        if hash == self.shared.hash() {
            return;
        }
        let barred = self.shared.gate().bars_router(&hash);
        match Facts::of(info, &self.shared.abilities()).filter(|_| !barred) {
            Some(facts) => self.peers.update(hash, facts, self.shared.now(), &mut self.rng),
            None => self.peers.forget(&hash),
        }
    }

    /// Chooses hops, nobody of whom stands where we do.
    fn choose(&mut self, wish: &Choose) -> Result<Chosen, TooFew> {
        let Choose { hops, direction, last_calls_us, purpose, ref avoid, order, ref named } = *wish;
        if !named.is_empty() {
            return self.peers.named(&named[..hops.min(named.len())], direction);
        }
        let (us, now, own) = (self.shared.hash(), self.shared.now(), self.shared.router_info());
        let published = own.addresses().filter_map(|address| address.socket());
        let near: Vec<Subnet> = published.map(|socket| Subnet::of(socket.ip())).collect();
        // Who cannot call us, or cannot find out where we are, is no last hop that must.
        let found = self.shared.is_known() && self.shared.reach().view.is_reachable();
        let hidden = last_calls_us && !found;
        let last = hidden.then_some(&self.connected);
        let wish = Wish { hops, direction, purpose, exclude: &[us], avoid, near: &near, last, order };
        let in_use = self.in_use.get();
        let mut chosen = self.peers.select(&wish, &in_use, now, &mut self.rng);
        if chosen.is_err() && hidden {
            chosen = self.peers.select(&Wish { last: None, ..wish }, &in_use, now, &mut self.rng);
        }
        for hop in chosen.iter().flat_map(|chosen| &chosen.hops) {
            if self.few_acquaintances || self.peers.is_acquaintance(&hop.hash, now.mono) {
                self.shared.witnesses().name(hop.hash, now.mono);
            }
        }
        chosen
    }

    /// Notes what a router did; the database is told of those who have proven themselves by it.
    fn note(&mut self, router: &RouterHash, event: Event) {
        if event == Event::Unreachable && self.hears_nobody() {
            return;
        }
        let now = self.shared.now().mono;
        let stranger = !self.peers.is_proven(router, now);
        self.peers.note(router, event, now);
        if stranger && self.peers.is_proven(router, now) {
            self.netdb.note(*router, Standing::Proven);
        }
    }

    fn note_shared(&mut self, hops: &[RouterHash], event: SharedEvent) {
        let failed = !matches!(event, SharedEvent::TestPassed { .. });
        if !failed || !self.hears_nobody() {
            self.peers.note_shared(hops.iter(), event, self.shared.now().mono);
        }
    }

    /// True while nothing comes in from anybody.
    fn hears_nobody(&mut self) -> bool {
        let wires = self.shared.transports().stats();
        let received = wires.iter().flat_map(|thread| &thread.wires).map(|wire| wire.received.bytes.get()).sum();
        match self.hearing.look(received, self.shared.now().mono) {
            Some(Change::Lost) => tracing::warn!(
                "nothing comes in from any router: is this machine's network down? What fails meanwhile is not held against others"
            ),
            Some(Change::Found) => tracing::info!("other routers are heard again"),
            None => {}
        }
        control::SILENT.set([], f64::from(u8::from(self.hearing.is_silent())));
        self.hearing.is_silent()
    }

    fn count(&mut self) {
        self.hears_nobody();
        self.few_acquaintances = self.peers.acquaintances(self.shared.now().mono) < ENOUGH_ACQUAINTANCES;
        control::PROFILES.set([], self.peers.len() as f64);
        control::USABLE.set([], self.peers.usable(self.shared.now()) as f64);
    }

    /// Has the profiles written by a thread that may block.
    fn save(&self) {
        let Some(path) = self.path.clone() else { return };
        let bytes = file::to_bytes(&self.peers, self.shared.now().mono);
        actix_rt::task::spawn_blocking(move || {
            if let Err(error) = disk::replace(&path, &bytes, 0o600) {
                tracing::warn!(%error, "the profiles could not be written");
            }
        });
    }
}

impl Actor for Profiles {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_mailbox_capacity(MAILBOX);
        self.shared.stop_when_over(self, ctx);
        ctx.run_interval(COUNT, |actor, _| actor.count());
        ctx.run_interval(SAVE, |actor, _| actor.save());
    }
}

impl Handler<RouterKnown> for Profiles {
    type Result = ();

    fn handle(&mut self, known: RouterKnown, _: &mut Context<Self>) {
        match known {
            RouterKnown::Learned(info) => self.learn(&info),
            RouterKnown::Forgotten(hash) => self.peers.forget(&hash),
            RouterKnown::Trusted(hash) => self.note(&hash, Event::Proven),
        }
    }
}

impl Handler<PeerNews> for Profiles {
    type Result = ();

    fn handle(&mut self, news: PeerNews, _: &mut Context<Self>) {
        self.shared.mailboxes().left(Mailbox::Pool);
        match news {
            // A session that ends says nothing about the router: most end because nobody used them.
            PeerNews::Down(peer) => {
                self.connected.remove(&peer);
            }
            PeerNews::Up { peer, proven } => {
                self.connected.insert(peer);
                self.note(&peer, if proven { Event::Proven } else { Event::Reached });
            }
            PeerNews::Unreachable(peer) => self.note(&peer, Event::Unreachable),
        }
    }
}

impl Handler<Choose> for Profiles {
    type Result = ResponseActFuture<Self, Result<Chosen, TooFew>>;

    fn handle(&mut self, wish: Choose, _: &mut Context<Self>) -> Self::Result {
        let Some(wait) = self.pace.turn(self.shared.now().mono) else {
            return Box::pin(fut::ready(Err(TooFew { found: 0 })));
        };
        if wait.is_zero() {
            return Box::pin(fut::ready(self.choose(&wish)));
        }
        Box::pin(actix::clock::sleep(wait).into_actor(self).map(move |(), actor, _| actor.choose(&wish)))
    }
}

impl Handler<Note> for Profiles {
    type Result = ();

    fn handle(&mut self, note: Note, _: &mut Context<Self>) {
        note.0.iter().for_each(|(router, event)| self.note(router, *event));
    }
}

impl Handler<NoteShared> for Profiles {
    type Result = ();

    fn handle(&mut self, note: NoteShared, _: &mut Context<Self>) {
        self.note_shared(&note.0, note.1);
    }
}

impl Handler<Recheck> for Profiles {
    type Result = ();

    fn handle(&mut self, _: Recheck, _: &mut Context<Self>) {
        self.shared.gate().barred_routers().iter().for_each(|router| self.peers.forget(router));
    }
}

impl Handler<Drain> for Profiles {
    type Result = ();

    fn handle(&mut self, _: Drain, _: &mut Context<Self>) {
        self.save();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_goes_at_once_then_one_after_the_other_and_what_would_wait_too_long_not_at_all() {
        let (mut pace, now) = (Pace::default(), Duration::from_secs(100));
        let waits: Vec<_> = std::iter::from_fn(|| pace.turn(now)).collect();
        assert!(waits[..BURST as usize].iter().all(Duration::is_zero));
        assert!(waits[BURST as usize - 1..].windows(2).all(|pair| pair[1] - pair[0] == PACE));
        assert_eq!(waits.last(), Some(&MAX_WAIT));
        assert_eq!(pace.turn(now + Duration::from_secs(60)), Some(Duration::ZERO), "a pause fills the bucket");
    }
}
