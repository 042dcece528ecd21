//! Tunnels of others: build requests come in, are opened by a pool of workers, admitted or refused, and answered.
//!
//! ```text
//! build message -> flood and replay checks -> BuildOpener (pool) -> admission -> hop installed, answer sent
//! ```
//! State owned: admission, the replay filter, the table of tunnels. In: build messages, ends of tunnels, samples of the
//! line. Out: hops and answers to the data plane, one [`ParticipatingTunnel`] per accepted request. Mailbox: 256;
//! when it is full the dispatcher drops requests and counts them, which is what a flood deserves.

mod opener;
mod tunnel;

pub(crate) use opener::BuildOpener;

use crate::drops::ControlDrop;
use crate::mailbox::Mailbox;
use crate::messages::{Drain, Incoming};
use crate::series::control;
use crate::series::outcomes::{RequestAnswer, RequestReason};
use crate::shared::Shared;
use crate::supervise::Vital;
use actix::prelude::*;
use opener::{OpenBuild, OpenedBuild};
use ramson_protocol::admission::{self, Admission, Config, Source, Verdict};
use ramson_protocol::data::router_info::Congestion;
use ramson_protocol::id::TunnelId;
use ramson_protocol::shape::Contract;
use ramson_protocol::time::Mono;
use ramson_protocol::tunnel::Role;
use ramson_protocol::tunnel::hop::{self, Answer, Opened, TransitHop};
use ramson_protocol::tunnel::replay::ReplayFilter;
use ramson_transports::account::Account;
use ramson_transports::hop::{Hop, HopKind, NextHop};
use ramson_transports::stats;
use rand::Rng;
use rand_chacha::ChaCha20Rng;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use tunnel::{Expired, ParticipatingTunnel};

/// What of the settings of others' tunnels can change while the node runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// So many at once.
    pub max_tunnels: usize,
}

impl Settings {
    /// The same with no new ones.
    #[must_use]
    pub fn none(self) -> Self {
        Self { max_tunnels: 0 }
    }
}

const MAILBOX: usize = 256;

/// Requests that may wait for a worker. INTEROP: Java bounds its queue at 18 to 192.
const MAX_OPENING: usize = 192;

/// How often the line is sampled for admission.
const SAMPLE: Duration = Duration::from_secs(1);

/// What a cell takes of the line, with its headers.
const CELL_BYTES: u64 = 1040;

/// Build records that are remembered against replay, in each of two generations.
const REPLAYS: usize = 200_000;

/// A tunnel that has carried nothing for so long may give way to another when there is no room.
const UNTRIED: Duration = Duration::from_secs(120);

/// The promise to a tunnel that has carried nothing for so long is given back.
const UNUSED: Duration = Duration::from_secs(60);

/// What is kept of a tunnel.
struct Held {
    hop: Arc<Hop>,
    role: Role,
    source: Source,
    /// KB/s, until it is given back.
    promised: Option<u32>,
}

/// What others may read of us without asking.
#[derive(Debug, Default)]
pub(crate) struct Published {
    congestion: AtomicU8,
    tunnels: AtomicUsize,
}

impl Published {
    /// How congested we are.
    pub(crate) fn congestion(&self) -> Congestion {
        match self.congestion.load(Relaxed) {
            1 => Congestion::D,
            2 => Congestion::E,
            3 => Congestion::G,
            _ => Congestion::None,
        }
    }

    /// Tunnels of others that pass through us.
    pub(crate) fn tunnels(&self) -> usize {
        self.tunnels.load(Relaxed)
    }

    fn set(&self, congestion: Congestion) {
        self.congestion.store(congestion as u8, Relaxed);
    }
}

/// The actor that admits tunnels of others and keeps their table.
pub(crate) struct TransitManager {
    shared: Shared,
    admission: Admission,
    replays: ReplayFilter,
    opener: Addr<BuildOpener>,
    opening: usize,
    tunnels: HashMap<TunnelId, Held>,
    /// All tunnels, the oldest first, but for those that were found used: which may be reclaimed.
    untried: VecDeque<(Mono, Arc<Hop>)>,
    /// Those with a promise, in the same order: which may be given back.
    promises: VecDeque<(Mono, Arc<Hop>)>,
    /// How many of each role, in the order of [`ROLES`].
    by_role: [usize; 3],
    arbiters: Vec<ArbiterHandle>,
    rng: ChaCha20Rng,
    published: Arc<Published>,
    /// Bytes of the line and of transit at the last sample.
    last: (u64, u64),
    /// When that was, and how long each I/O thread had been busy by then.
    busy: (Mono, Vec<u64>),
    /// Requests that found no worker since then.
    no_worker: u64,
    _vital: Vital,
}

impl TransitManager {
    /// The manager of a node. Tunnels are spread over `arbiters`.
    pub(crate) fn new(
        shared: Shared,
        config: Config,
        opener: Addr<BuildOpener>,
        arbiters: Vec<ArbiterHandle>,
        published: Arc<Published>,
    ) -> Self {
        let now = shared.now().mono;
        let mut rng = shared.rng();
        let mut seed = [0; 32];
        rng.fill_bytes(&mut seed);
        Self {
            admission: Admission::new(config, seed, now),
            replays: ReplayFilter::new(REPLAYS, [rng.next_u64(), rng.next_u64()], now),
            _vital: shared.vitals().guard("the manager of tunnels of others"),
            shared,
            opener,
            opening: 0,
            tunnels: HashMap::new(),
            untried: VecDeque::new(),
            promises: VecDeque::new(),
            by_role: [0; 3],
            arbiters,
            rng,
            published,
            last: (0, 0),
            busy: (now, Vec::new()),
            no_worker: 0,
        }
    }

    /// The cheap checks, then a place in the queue of the workers.
    fn on_build(&mut self, incoming: Incoming, ctx: &mut Context<Self>) {
        let now = self.shared.now();
        let from = incoming.origin.router();
        if !self.admission.may_open(from, now.mono) {
            return answered(RequestAnswer::Dropped, admission::Reason::Flood.label());
        }
        let message = incoming.message;
        let found = match hop::find(message.kind, &message.body, &self.shared.hash()) {
            Ok(found) => found,
            Err(cause) => return answered(RequestAnswer::Dropped, reason(cause).label()),
        };
        if self.replays.contains(&found.ephemeral) {
            return answered(RequestAnswer::Dropped, RequestReason::Replayed.label());
        }
        if self.opening >= MAX_OPENING {
            self.no_worker += 1;
            return answered(RequestAnswer::Dropped, RequestReason::QueueFull.label());
        }
        self.opening += 1;
        self.shared.mailboxes().entered(Mailbox::BuildOpener);
        let build = OpenBuild { found, body: message.body.to_vec(), from, now: now.wall };
        ctx.spawn(self.opener.send(build).into_actor(self).map(|opened, actor, ctx| {
            actor.opening -= 1;
            actor.shared.mailboxes().left(Mailbox::BuildOpener);
            match opened {
                Ok(OpenedBuild(Ok(opened))) => actor.on_opened(opened, ctx),
                Ok(OpenedBuild(Err(cause))) => answered(RequestAnswer::Dropped, reason(cause).label()),
                Err(_) => answered(RequestAnswer::Dropped, RequestReason::QueueFull.label()),
            }
        }));
    }

    fn on_opened(&mut self, opened: Opened, ctx: &mut Context<Self>) {
        let now = self.shared.now();
        if !self.replays.insert(now.mono, &opened.found.ephemeral) {
            return answered(RequestAnswer::Dropped, RequestReason::Replayed.label());
        }
        let request = &opened.request;
        let (is_gateway, is_endpoint) = (request.role == Role::InboundGateway, request.role == Role::OutboundEndpoint);
        // Only a gateway is asked by who is not its previous hop, out of a tunnel or in garlic. INTEROP: Java takes anything
        // else for an attack.
        if opened.from.is_none() && !is_gateway {
            return answered(RequestAnswer::Dropped, RequestReason::NoPrevious.label());
        }
        let ip = opened.from.filter(|_| !self.shared.allow_private()).and_then(|from| self.shared.place_of(&from));
        let source = Source { router: opened.from, ip };
        let asked = admission::Request {
            previous: opened.from.filter(|_| !is_gateway),
            next: (!is_endpoint).then_some(request.next),
            bandwidth: request.bandwidth,
            source,
        };
        let receive = request.receive;
        if self.admission.is_full() {
            self.reclaim(now.mono);
        }
        let verdict = self.admission.decide(&asked, now.mono);
        // Two tunnels of one number cannot be told apart, whether the first is another's or ours, and the creator chose it
        // at random: refuse the second.
        let verdict = match verdict {
            Verdict::Accept { promised } if !self.shared.tunnel_ids().claim(receive, opened.from) => {
                self.admission.ended(&source, promised);
                Verdict::Refuse(admission::Reason::TunnelLimit)
            }
            other => other,
        };
        let (answer, reason) = match verdict {
            Verdict::Accept { promised } => (Answer::Accept { bandwidth: promised }, RequestReason::Accepted.label()),
            Verdict::Refuse(reason) => (Answer::Refuse, reason.label()),
            Verdict::Drop(reason) => return answered(RequestAnswer::Dropped, reason.label()),
        };
        let promised = if let Answer::Accept { bandwidth } = answer { bandwidth } else { None };
        let account = opened.from.map_or(Account::Strangers, Account::Router);
        match opened.answer(answer, now.wall, &mut self.rng) {
            Ok(outcome) => {
                let refused = answer == Answer::Refuse;
                answered(if refused { RequestAnswer::Refused } else { RequestAnswer::Accepted }, reason);
                // The hop first: cells may follow the answer closely.
                match outcome.hop {
                    Some(hop) => self.install(&hop, source, promised, ctx),
                    None if matches!(verdict, Verdict::Accept { .. }) => self.shared.tunnel_ids().release(receive),
                    None => {}
                }
                if !self.shared.send_for(account, outcome.to, outcome.message) {
                    ControlDrop::DataPlaneFull.count();
                }
            }
            Err(_) => {
                if matches!(verdict, Verdict::Accept { .. }) {
                    self.admission.ended(&source, promised);
                    self.shared.tunnel_ids().release(receive);
                }
                answered(RequestAnswer::Dropped, RequestReason::Unanswerable.label());
            }
        }
    }

    fn install(&mut self, transit: &TransitHop, source: Source, promised: Option<u32>, ctx: &mut Context<Self>) {
        let cipher = transit.keys.cipher();
        let next = transit.next.map(|(router, tunnel)| NextHop { router, tunnel });
        let kind = match (transit.role, next) {
            (Role::Participant, Some(next)) => HopKind::Participant { cipher, next },
            (Role::InboundGateway, Some(next)) => HopKind::InboundGateway { cipher, next },
            (Role::OutboundEndpoint, _) | (_, None) => HopKind::OutboundEndpoint { cipher },
        };
        let contract = Contract::new(transit.promised, transit.limit);
        let hop = Arc::new(Hop::new(transit.receive, kind, transit.previous).with_contract(contract));
        if !self.shared.transports().install(&hop) {
            // The queue is longer than all tunnels: this does not happen before a thread has stood still.
            ControlDrop::HopInstall.count();
        }
        let now = self.shared.now().mono;
        let held = Held { hop: Arc::clone(&hop), role: transit.role, source, promised };
        self.tunnels.insert(transit.receive, held);
        self.untried.push_back((now, Arc::clone(&hop)));
        if promised.is_some() {
            self.promises.push_back((now, Arc::clone(&hop)));
        }
        self.by_role[place(transit.role)] += 1;
        self.gauges();
        let tunnel = ParticipatingTunnel { hop, shared: self.shared.clone(), manager: ctx.address() };
        let arbiter = self.tunnels.len() % self.arbiters.len().max(1);
        match self.arbiters.get(arbiter) {
            Some(arbiter) => drop(ParticipatingTunnel::start_in_arbiter(arbiter, |_| tunnel)),
            None => drop(tunnel.start()),
        }
    }

    /// Makes room for one tunnel, if there is one that has carried nothing for so long that nobody needs it.
    fn reclaim(&mut self, now: Mono) {
        let mut untried = std::mem::take(&mut self.untried);
        let unused = never_used(&mut untried, now, |hop| self.holds(hop));
        self.untried = untried;
        if let Some(hop) = unused {
            self.shared.transports().remove(&hop);
            answered(RequestAnswer::Reclaimed, RequestReason::NeverUsed.label());
            self.forget(&hop);
        }
    }

    /// True if the tunnel stands: another may have its number by now.
    fn holds(&self, hop: &Arc<Hop>) -> bool {
        self.tunnels.get(&hop.id).is_some_and(|held| Arc::ptr_eq(&held.hop, hop))
    }

    /// A tunnel is over: gives back what it held.
    fn forget(&mut self, hop: &Arc<Hop>) {
        if !self.holds(hop) {
            return;
        }
        if let Some(Held { role, source, promised, .. }) = self.tunnels.remove(&hop.id) {
            self.shared.tunnel_ids().release(hop.id);
            self.by_role[place(role)] -= 1;
            self.admission.ended(&source, promised);
            self.gauges();
        }
    }

    /// Gives back the promises of tunnels that have carried nothing: their builds may not have gone on.
    fn give_back(&mut self) {
        let now = self.shared.now().mono;
        while let Some(hop) = older(&mut self.promises, now, UNUSED) {
            if hop.cells.get() == 0
                && self.holds(&hop)
                && let Some(held) = self.tunnels.get_mut(&hop.id)
            {
                self.admission.give_back(held.promised.take());
            }
        }
        // Of those who have ended by themselves nothing is kept.
        while self.untried.front().is_some_and(|(_, hop)| hop.is_over()) {
            self.untried.pop_front();
        }
    }

    /// Tells admission what the line carries.
    fn sample(&mut self) {
        let stats = self.shared.transports().stats();
        let (mut inbound, mut outbound, mut cells) = (0, 0, 0);
        for thread in &stats {
            for wire in &thread.wires {
                inbound += wire.received.bytes.get();
                outbound += wire.sent.bytes.get();
            }
            let roles = [stats::Role::Participant, stats::Role::InboundGateway, stats::Role::OutboundEndpoint];
            cells += roles.iter().map(|role| thread.cells[*role as usize].get()).sum::<u64>();
        }
        let (line, transit) = (inbound.max(outbound), cells * CELL_BYTES);
        let (last_line, last_transit) = std::mem::replace(&mut self.last, (line, transit));
        let strain = self.strain();
        control::STRAIN.set([], strain);
        self.admission.sample(line.saturating_sub(last_line), transit.saturating_sub(last_transit), strain);
        self.give_back();
        self.published.set(self.admission.congestion());
        control::CONGESTION.set([], f64::from(self.admission.congestion() as u8));
    }

    /// How much of what bounds us beside the line was in use since the last sample, from 0 to 1: the busiest I/O thread's
    /// time, and the workers that open requests.
    fn strain(&mut self) -> f64 {
        let now = self.shared.now().mono;
        let busy: Vec<u64> = self.shared.transports().stats().iter().map(|thread| thread.busy_ns.get()).collect();
        let (last, before) = std::mem::replace(&mut self.busy, (now, busy.clone()));
        let passed = now.saturating_sub(last).as_nanos() as f64;
        let more = busy.iter().zip(before.iter().chain(std::iter::repeat(&0)));
        let busiest = more.map(|(now, before)| now.saturating_sub(*before)).max().unwrap_or(0) as f64;
        if std::mem::take(&mut self.no_worker) > 0 {
            return 1.0;
        }
        let opening = self.opening as f64 / MAX_OPENING as f64;
        // A thread that is never idle handles more at once; what it does then is measured by loss, not by this.
        (busiest / passed.max(1.0)).max(opening).min(1.0)
    }

    fn gauges(&self) {
        self.published.tunnels.store(self.tunnels.len(), Relaxed);
        for (count, role) in self.by_role.iter().zip(ROLES) {
            control::TRANSIT_TUNNELS.set([role], *count as f64);
        }
        control::TRANSIT_PROMISED.set([], self.admission.promised() as f64);
    }
}

/// Takes the oldest from a queue if it is older than `age`.
fn older(queue: &mut VecDeque<(Mono, Arc<Hop>)>, now: Mono, age: Duration) -> Option<Arc<Hop>> {
    queue.front().filter(|(since, _)| now.saturating_sub(*since) > age)?;
    queue.pop_front().map(|(_, hop)| hop)
}

/// The oldest tunnel that still stands and has carried nothing though it had time; those that carry are left out from now on.
fn never_used(
    untried: &mut VecDeque<(Mono, Arc<Hop>)>,
    now: Mono,
    stands: impl Fn(&Arc<Hop>) -> bool,
) -> Option<Arc<Hop>> {
    std::iter::from_fn(|| older(untried, now, UNTRIED)).find(|hop| hop.cells.get() == 0 && stands(hop))
}

/// The roles by [`place`].
const ROLES: [&str; 3] = ["participant", "inbound_gateway", "outbound_endpoint"];

fn place(role: Role) -> usize {
    match role {
        Role::Participant => 0,
        Role::InboundGateway => 1,
        Role::OutboundEndpoint => 2,
    }
}

/// Counts one build request by what became of it.
fn answered(answer: RequestAnswer, reason: &'static str) {
    control::BUILD_REQUESTS.add([answer.label(), reason], 1);
}

fn reason(cause: hop::Unanswered) -> RequestReason {
    match cause {
        hop::Unanswered::NotABuild => RequestReason::NotABuild,
        hop::Unanswered::Malformed(_) => RequestReason::Malformed,
        hop::Unanswered::NoRecord => RequestReason::NoRecord,
        hop::Unanswered::BadRecord(_) => RequestReason::BadRecord,
        hop::Unanswered::TooOld => RequestReason::TooOld,
        hop::Unanswered::TooFarAhead => RequestReason::TooFarAhead,
        hop::Unanswered::NextIsUs => RequestReason::NextIsUs,
        hop::Unanswered::NextIsPrevious => RequestReason::NextIsPrevious,
    }
}

impl Actor for TransitManager {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_mailbox_capacity(MAILBOX);
        self.shared.stop_when_over(self, ctx);
        ctx.run_interval(SAMPLE, |actor, _| actor.sample());
        self.gauges();
    }
}

impl Handler<Incoming> for TransitManager {
    type Result = ();

    fn handle(&mut self, incoming: Incoming, ctx: &mut Context<Self>) {
        self.shared.mailboxes().left(Mailbox::Transit);
        self.on_build(incoming, ctx);
    }
}

impl Handler<Expired> for TransitManager {
    type Result = ();

    fn handle(&mut self, expired: Expired, _: &mut Context<Self>) {
        self.forget(&expired.0);
    }
}

impl Handler<Drain> for TransitManager {
    type Result = ();

    fn handle(&mut self, _: Drain, _: &mut Context<Self>) {
        self.admission.drain();
        self.published.set(self.admission.congestion());
    }
}

/// Changed limits, to be in force from now on.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Limits(pub Config);

impl Handler<Limits> for TransitManager {
    type Result = ();

    fn handle(&mut self, limits: Limits, _: &mut Context<Self>) {
        self.admission.set_config(limits.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ramson_protocol::id::RouterHash;
    use ramson_protocol::tunnel::record::keys::HopKeys;

    #[test]
    fn only_a_tunnel_that_stands_and_never_carried_a_cell_in_two_minutes_gives_way() {
        let at = Duration::from_secs;
        let hop = |n| {
            let next = NextHop { router: RouterHash([n; 32]), tunnel: TunnelId(n.into()) };
            let cipher = HopKeys { layer: [1; 32], iv: [2; 32] }.cipher();
            Arc::new(Hop::new(TunnelId(n.into()), HopKind::Participant { cipher, next }, None))
        };
        let [used, over, unused, fresh] = [1, 2, 3, 4].map(hop);
        used.cells.add(1);
        let mut untried: VecDeque<_> =
            [(100, &used), (101, &over), (102, &unused), (190, &fresh)].map(|(s, hop)| (at(s), Arc::clone(hop))).into();
        let stands = |hop: &Arc<Hop>| !Arc::ptr_eq(hop, &over);
        assert!(never_used(&mut untried, at(220), stands).is_none(), "none has had two minutes");
        assert!(Arc::ptr_eq(&never_used(&mut untried, at(230), stands).unwrap(), &unused));
        assert!(never_used(&mut untried, at(230), stands).is_none());
        assert_eq!(untried.len(), 1);
    }
}
