//! The routers that we are connected to, or want to be.
//!
//! State owned: the table of connections. In: news of the data plane ([`NewsBatch`]), of which
//! none is lost: what finds no room here the data plane keeps and offers again. Out: news to each connection's actor and to
//! whoever keeps profiles, RouterInfos that SSU2 waits for, what peers say of our clock and address to those who keep these. Mailbox: 256 batches.
//!
//! A router that is wanted gets an actor only if the [desk](ramson_protocol::dialing::desk) has a place for it: so there are
//! never more actors than sessions and places.

use crate::mailbox::{Mailbox, wait_for_room};
use crate::messages::{PeerNews, Recheck};
use crate::neighbours::Neighbour;
use crate::netdb::NetDb;
use crate::peer::{Ended, Happened, PeerConnection};
use crate::reach::Heard;
use crate::series::control;
use crate::shared::Shared;
use crate::supervise::Vital;
use crate::time_keeper::PeerClock;
use actix::prelude::*;
use ramson_protocol::data::router_info::RouterInfo;
use ramson_protocol::dialing::call;
use ramson_protocol::dialing::desk::{Errand, Refusal};
use ramson_protocol::id::RouterHash;
use ramson_protocol::link::fault::Fault;
use ramson_protocol::link::reason::Reason;
use ramson_protocol::netdb::store::Standing;
use ramson_protocol::reach::In;
use ramson_transports::event::{Direction, News};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

const MAILBOX: usize = 256;

/// A RouterInfo that a peer sends just now is waited for so long: its signature is to be verified, and the mailboxes may
/// be full.
const VERIFIED_WITHIN: Duration = Duration::from_secs(3);

/// News of the data plane.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct NewsBatch(pub(crate) Vec<News>);

/// Tell this one of sessions and routers out of reach.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Follow(pub(crate) Recipient<PeerNews>);

/// Tell these what peers say of our clock and of our address.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Report {
    pub(crate) clock: Recipient<PeerClock>,
    pub(crate) reach: Recipient<Heard>,
}

/// A router that we are connected to, or want to be.
struct Connection {
    actor: Addr<PeerConnection>,
    /// Where it was when it was last connected.
    ip: Option<IpAddr>,
}

/// The actor that keeps the table of connections.
pub(crate) struct Connections {
    shared: Shared,
    netdb: NetDb,
    table: HashMap<RouterHash, Connection>,
    followers: Vec<Recipient<PeerNews>>,
    clock: Option<Recipient<PeerClock>>,
    reach: Option<Recipient<Heard>>,
    _vital: Vital,
}

impl Connections {
    /// An empty table.
    pub(crate) fn new(shared: Shared, netdb: NetDb) -> Self {
        let _vital = shared.vitals().guard("the table of connections");
        let (table, followers) = (HashMap::new(), Vec::new());
        Self { shared, netdb, table, followers, clock: None, reach: None, _vital }
    }

    fn on_news(&mut self, news: News, ctx: &mut Context<Self>) {
        match news {
            News::NeedSession { peer, ours } => self.wanted(peer, ours, ctx),
            News::NeedRouterInfo(router) => self.tell_ssu2(router),
            News::Connected { peer, direction, transport, addr, router_info, skew_ms } => {
                self.shared.dial_history().worked(&peer, transport);
                self.shared.desk().forgive(&peer);
                // Anyone can call us and claim any time, so only whom we called is asked for his.
                match direction {
                    Direction::Outbound => self.compare_clocks(&peer, addr, skew_ms, true),
                    Direction::Inbound => self.heard(In::Called { transport, by: addr.ip() }),
                }
                // Whom we call is where it says that it is; who calls us, if that is where it comes from.
                let at_home = |info: &RouterInfo| {
                    let mut published = info.addresses().filter_map(|address| address.socket());
                    published.any(|socket| socket.ip().to_canonical() == addr.ip().to_canonical())
                };
                let proven = direction == Direction::Outbound || router_info.as_ref().is_some_and(|info| at_home(info));
                self.shared.neighbours().connected(peer, Neighbour { ip: addr.ip(), proven });
                if let Some(info) = router_info {
                    self.netdb.verified_router_info(info);
                }
                self.netdb.note(peer, Standing::Connected);
                if proven {
                    self.netdb.note(peer, Standing::Proven);
                }
                let actor = self.connection(peer, true, ctx);
                wait_for_room(&actor, Happened(call::In::Up));
                if let Some(connection) = self.table.get_mut(&peer) {
                    connection.ip = Some(addr.ip());
                }
                // The list may have changed since the handshake.
                self.close_if_barred(&peer);
                self.tell(PeerNews::Up { peer, proven });
            }
            News::Disconnected { peer, .. } => {
                self.shared.neighbours().disconnected(&peer);
                self.netdb.note(peer, Standing::Disconnected);
                if let Some(connection) = self.table.get(&peer) {
                    wait_for_room(&connection.actor, Happened(call::In::Down));
                }
                self.tell(PeerNews::Down(peer));
            }
            News::ConnectFailed { peer, transport, addr, reason, fault, skew_ms } => {
                tracing::debug!(transport = transport.label(), reason, "a dial failed");
                // What our own machine or our limits refused says nothing about the router.
                let ours = matches!(fault, Fault::Local | Fault::Bug);
                if !ours {
                    self.shared.dial_history().failed(peer, transport, self.shared.now().mono);
                }
                // With a clock that is far off no session comes to stand: only failures can tell.
                if let Some(skew_ms) = skew_ms {
                    self.compare_clocks(&peer, addr, skew_ms, false);
                }
                if let Some(connection) = self.table.get(&peer) {
                    wait_for_room(
                        &connection.actor,
                        Happened(if ours { call::In::NotCalled } else { call::In::Failed }),
                    );
                }
            }
            News::Introducers { v4, introducers } => {
                tracing::info!(count = introducers.len(), "routers introduce others to us");
                self.must_hear(In::Introducers { v4, introducers });
            }
            News::Reachability { address, status } => {
                let family = if address.is_ipv4() { "ipv4" } else { "ipv6" };
                tracing::info!(family, status = status.label(), "peers have tested whether we can be reached");
                self.must_hear(In::Tested { address, status });
            }
            News::Seen { by, from, at } => {
                if self.shared.witnesses().is_one(&by, self.shared.now().mono) {
                    self.heard(In::Seen { by: from.ip(), at });
                }
            }
        }
    }

    /// Tells SSU2 a RouterInfo that the database has, or has as soon as it is verified.
    fn tell_ssu2(&self, router: RouterHash) {
        let (netdb, shared) = (self.netdb.clone(), self.shared.clone());
        actix::spawn(async move {
            if let Some(info) = netdb.router_within(router, VERIFIED_WITHIN).await {
                shared.transports().learn(&info);
            }
        });
    }

    /// What a peer says of its clock, to whoever keeps ours. If there is no room others will say it.
    fn compare_clocks(&self, peer: &RouterHash, at: SocketAddr, skew_ms: i64, established: bool) {
        let is_witness = self.shared.witnesses().is_one(peer, self.shared.now().mono);
        if let Some(clock) = &self.clock {
            let _ = clock.try_send(PeerClock { by: at.ip(), skew_ms, is_witness, established });
        }
    }

    /// Something of which there will be more.
    fn heard(&self, what: In) {
        if let Some(reach) = &self.reach {
            let _ = reach.try_send(Heard(what));
        }
    }

    /// Something that is said once.
    fn must_hear(&self, what: In) {
        if let Some(reach) = &self.reach {
            wait_for_room(reach, Heard(what));
        }
    }

    fn tell(&self, news: PeerNews) {
        for follower in &self.followers {
            self.shared.mailboxes().offer(Mailbox::Pool, || follower.try_send(news));
        }
    }

    /// Ends the session with a router that is on the blocklist or banned, or whose address is.
    fn close_if_barred(&self, peer: &RouterHash) {
        let (gate, ip) = (self.shared.gate(), self.table.get(peer).and_then(|connection| connection.ip));
        if gate.bars_router(peer) || ip.is_some_and(|ip| gate.bars_address(ip)) {
            self.shared.transports().close(*peer, Reason::BANNED.0);
        }
    }

    /// Messages wait for a session with a router.
    fn wanted(&mut self, peer: RouterHash, ours: bool, ctx: &mut Context<Self>) {
        let errand = match ours {
            true => Errand::Ours,
            false if self.netdb.knows(&peer) => Errand::Theirs,
            false => Errand::TheirsUnknown,
        };
        let refused = match peer == self.shared.hash() {
            true => Some(Refusal::Ourselves),
            false => self.shared.desk().enter(peer, errand, self.shared.now().mono).err(),
        };
        match refused {
            None => {
                let actor = self.connection(peer, false, ctx);
                wait_for_room(&actor, Happened(call::In::Wanted));
            }
            Some(refusal) => {
                control::CALLS_REFUSED.add([errand.label(), refusal.label()], 1);
                // What is ours may find a place as long as it waits: it is asked for again.
                if !(ours && refusal == Refusal::Busy) {
                    self.shared.transports().unreachable(peer);
                }
            }
        }
    }

    /// The actor of a connection, made if need be.
    fn connection(&mut self, peer: RouterHash, connected: bool, ctx: &mut Context<Self>) -> Addr<PeerConnection> {
        if let Some(connection) = self.table.get(&peer).filter(|connection| connection.actor.connected()) {
            return connection.actor.clone();
        }
        let (owner, followers) = (ctx.address().recipient(), self.followers.clone());
        let actor = PeerConnection::new(peer, connected, self.shared.clone(), self.netdb.clone(), owner, followers);
        let addr = actor.start();
        self.table.insert(peer, Connection { actor: addr.clone(), ip: None });
        self.count();
        addr
    }

    fn count(&self) {
        control::CONNECTIONS.set([], self.table.len() as f64);
        let desk = self.shared.desk();
        for errand in [Errand::Theirs, Errand::TheirsUnknown, Errand::Ours] {
            control::CALLS.set([errand.label()], desk.taken(errand) as f64);
        }
        control::RESTING.set([], desk.resting() as f64);
    }
}

impl Actor for Connections {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_mailbox_capacity(MAILBOX);
        self.shared.stop_when_over(self, ctx);
    }
}

impl Handler<NewsBatch> for Connections {
    type Result = ();

    fn handle(&mut self, batch: NewsBatch, ctx: &mut Context<Self>) {
        self.shared.mailboxes().left(Mailbox::Connections);
        batch.0.into_iter().for_each(|news| self.on_news(news, ctx));
    }
}

impl Handler<Follow> for Connections {
    type Result = ();

    fn handle(&mut self, follow: Follow, _: &mut Context<Self>) {
        self.followers.retain(Recipient::connected);
        self.followers.push(follow.0);
    }
}

impl Handler<Report> for Connections {
    type Result = ();

    fn handle(&mut self, report: Report, _: &mut Context<Self>) {
        (self.clock, self.reach) = (Some(report.clock), Some(report.reach));
    }
}

impl Handler<Recheck> for Connections {
    type Result = ();

    fn handle(&mut self, _: Recheck, _: &mut Context<Self>) {
        self.table.keys().for_each(|peer| self.close_if_barred(peer));
    }
}

impl Handler<Ended> for Connections {
    type Result = ();

    fn handle(&mut self, ended: Ended, _: &mut Context<Self>) {
        if self.table.get(&ended.0).is_some_and(|connection| !connection.actor.connected()) {
            self.table.remove(&ended.0);
        }
        self.count();
    }
}
