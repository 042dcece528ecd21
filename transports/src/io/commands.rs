//! Commands of the control plane, and sessions from the handshake thread.

use super::Links;
use super::egress::Head;
use super::peers::Peers;
use super::session::ntcp2::Ntcp2;
use super::session::{Session, Wire};
use crate::event::{Direction, News, Received};
use crate::hop::Hop;
use crate::ports::account::Account;
use crate::ports::established::Established;
use crate::ports::io::{Command, home};
use crate::relay::{Egress, Relay};
use crate::stats::{DropCause, Transport};
use mio::{Interest, Token};
use ramson_protocol::data::router_info::VerifiedRouterInfo;
use ramson_protocol::i2np::{Message, MessageType};
use ramson_protocol::id::RouterHash;
use ramson_protocol::link::fault::Fault;
use ramson_protocol::link::reason::Reason;
use ramson_protocol::shape::Class;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Our changed RouterInfo reaches all peers within this time, spread at random.
const ANNOUNCE_WITHIN: Duration = Duration::from_secs(60);
const ANNOUNCE_END_WITHIN: Duration = Duration::from_secs(2);

/// Older sessions of one router that are kept beside the newest, until they end.
const OLDER_SESSIONS: usize = 2;

/// Two sessions of one router that begin within this time, one by each side, have crossed.
const CROSSED: Duration = Duration::from_secs(3);

impl Links {
    pub(super) fn on_command(&mut self, relay: &mut Relay, command: Command) {
        match command {
            Command::Adopt(established) => self.adopt(*established),
            Command::AdoptSsu2(adoption) => self.adopt_ssu2(relay, &adoption),
            Command::Ssu2Block(to, block) => self.send_service_block(&to, &block),
            Command::Route(route) => self.on_route(route),
            Command::Send { to, message, account } => self.send_message(relay, to, &message, account),
            Command::InstallHop(hop) => self.install(relay, hop),
            Command::RemoveHop(hop) => self.remove(relay, &hop),
            Command::Unreachable(router) => self.unreachable(relay, &router),
            Command::Introducers { v4, routers } => self.introducers[usize::from(!v4)] = routers,
            Command::AnnounceRouterInfo => self.announce(),
            Command::Rebound { same_ip } => self.show_address(same_ip),
            Command::Close { peer, reason } => {
                let primary = |peers: &Peers| peers.find(&peer).and_then(|p| peers.get(p)).and_then(|p| p.primary);
                // When it ends an older one takes its place.
                for _ in 0..=OLDER_SESSIONS {
                    let Some(session) = primary(&self.peers) else { break };
                    self.close(session, Some(Reason(reason)));
                }
            }
            Command::CloseIdlest(sessions) => self.close_idlest(sessions),
            Command::Stop => self.stopping = true,
        }
    }

    fn send_message(&mut self, relay: &mut Relay, to: RouterHash, message: &Message, account: Account) {
        if to == self.config.router {
            // The endpoint of a tunnel answers into a tunnel that begins here.
            if message.kind == MessageType::TunnelGateway {
                relay.on_tunnel_gateway(self, &message.body);
            } else {
                self.up.pass(Received::Message { from: to, message: message.clone() });
            }
            return;
        }
        self.stats.bytes_by_class[Class::Control as usize].add(message.body.len() as u64);
        let head = Head { kind: message.kind.code(), id: message.id.0, expiration: message.expiration.secs() };
        self.send(to, head, account, &[&message.body]);
    }

    fn adopt(&mut self, mut new: Established) {
        if self.up.is_behind() {
            return self.turn_away(new.peer, new.direction, Transport::Ntcp2, new.addr, "control_plane_full");
        }
        let slot = self.sessions.vacant_entry();
        let index = slot.key();
        let interest = Interest::READABLE | Interest::WRITABLE;
        if self.poll.registry().register(&mut new.stream, Token(index), interest).is_err() {
            return self.turn_away(new.peer, new.direction, Transport::Ntcp2, new.addr, "local_io");
        }
        let peer = self.peers.intern(new.peer);
        let mut wire = Ntcp2::new(new.stream, new.opener, new.sealer);
        wire.seat = new.seat;
        wire.preload(new.leftover);
        wire.in_ready = true;
        slot.insert(Session::new(peer, new.addr.ip(), new.direction, Wire::Ntcp2(Box::new(wire)), self.now.mono));
        // What came behind the handshake waits in the session already, and no readiness will tell of it.
        self.ready.push_back(index);
        self.enter(index, peer, Transport::Ntcp2, new.addr, new.router_info, new.skew_ms);
    }

    /// A new session cannot be kept. Whoever called sees it end; of whom we called the control plane hears.
    pub(super) fn turn_away(
        &mut self,
        peer: RouterHash,
        direction: Direction,
        transport: Transport,
        addr: SocketAddr,
        reason: &'static str,
    ) {
        self.stats.dropped(DropCause::SessionRefused);
        if direction == Direction::Outbound {
            let fault = Fault::Local;
            self.up.tell(News::ConnectFailed { peer, transport, addr, reason, fault, skew_ms: None });
        }
    }

    /// A new session takes its place among those of its peer.
    pub(super) fn enter(
        &mut self,
        index: usize,
        peer: usize,
        transport: Transport,
        addr: SocketAddr,
        router_info: Option<VerifiedRouterInfo>,
        skew_ms: i64,
    ) {
        let Some(direction) = self.sessions.get(index).map(|session| session.direction) else { return };
        if let Some(entry) = self.peers.get_mut(peer) {
            // The other side may have called at the same time: both sessions are read until one ends. The newest is used; of
            // two that crossed both sides must use the same, or each would end the other's.
            if let Some(old) = entry.primary.replace(index) {
                let crossed = self.sessions.get(old).is_some_and(|old| {
                    old.direction != direction && self.now.mono.saturating_sub(old.opened) < CROSSED
                });
                let ours_first = self.config.router < entry.hash;
                if crossed && ours_first != (direction == Direction::Outbound) {
                    entry.primary = Some(old);
                    entry.older.push(index);
                } else {
                    entry.older.push(old);
                }
            }
        }
        self.end_surplus(peer);
        self.stats.wire(transport).sessions(direction).add(1);
        let Some(hash) = self.peers.get(peer).map(|entry| entry.hash) else { return };
        self.up.tell(News::Connected { peer: hash, direction, transport, addr, router_info, skew_ms });
        if direction == Direction::Inbound {
            // The caller has our RouterInfo, but perhaps an old one.
            self.queue_router_info(index);
        }
        self.send_pending(peer);
    }

    /// Keeps the number of sessions with one router within its bound.
    fn end_surplus(&mut self, peer: usize) {
        let Some(entry) = self.peers.get(peer) else { return };
        if entry.older.len() > OLDER_SESSIONS {
            let oldest = entry.older[0];
            self.close(oldest, Some(Reason::NORMAL));
        }
    }

    fn install(&mut self, relay: &mut Relay, hop: Arc<Hop>) {
        let egress = match hop.next() {
            None => Egress::None,
            Some(next) => match home(&next.router, self.others.len()) {
                thread if thread == self.index => {
                    let peer = self.peers.intern(next.router);
                    if let Some(entry) = self.peers.get_mut(peer) {
                        entry.hops += 1;
                    }
                    Egress::Local(peer)
                }
                thread => Egress::Remote(thread, next.router),
            },
        };
        let flow = self.shaper.open(relay.next_index());
        if let Some(old) = relay.insert(hop, egress, flow) {
            self.take_out(relay, old);
        }
    }

    pub(super) fn remove(&mut self, relay: &mut Relay, hop: &Arc<Hop>) {
        let Some(index) = relay.index_of(hop) else { return };
        relay.flush(self);
        self.take_out(relay, index);
    }

    fn take_out(&mut self, relay: &mut Relay, index: usize) {
        let Some(entry) = relay.take_out(index) else { return };
        let lost =
            self.shaper.close(entry.flow) + self.close_backlog(entry.egress, index) + self.own.close(index, &entry.hop);
        self.stats.drops[DropCause::UnknownTunnel as usize].add(lost as u64);
        if let Egress::Local(peer) = entry.egress {
            if let Some(entry) = self.peers.get_mut(peer) {
                entry.hops = entry.hops.saturating_sub(1);
            }
            self.peers.release(peer);
        }
    }

    /// No session with this router is to be had: what waits for it is lost.
    pub(super) fn unreachable(&mut self, relay: &Relay, router: &RouterHash) {
        let Some(peer) = self.peers.find(router) else { return };
        let lost = self.peers.take_pending(peer).len();
        self.stats.drops[DropCause::NoSession as usize].add(lost as u64);
        self.lose_own(relay, peer);
        self.peers.release(peer);
    }

    fn announce(&mut self) {
        // A router that ends has little time to say that it takes nothing any more.
        let within = if self.draining() { ANNOUNCE_END_WITHIN } else { ANNOUNCE_WITHIN };
        let within = u32::try_from(within.as_millis()).unwrap_or(1);
        for (_, session) in &mut self.sessions {
            let spread = rand::Rng::next_u32(&mut self.rng) % within;
            session.announce_at = self.now.mono + Duration::from_millis(u64::from(spread));
        }
    }

    /// Has every peer over SSU2 hear from where we are now.
    fn show_address(&mut self, same_ip: bool) {
        let ours = self.sessions.iter().filter(|(_, session)| session.transport() == Transport::Ssu2);
        for index in ours.map(|(index, _)| index).collect::<Vec<_>>() {
            if let Some(wire) = self.sessions.get_mut(index).and_then(Session::ssu2) {
                wire.core.on_local_address_change(same_ip, self.now);
                self.mark_dirty(index);
            }
        }
    }

    pub(super) fn queue_router_info(&mut self, index: usize) {
        let bytes = self.config.router_info.load();
        if let Some(session) = self.sessions.get_mut(index) {
            session.announce_at = self.now.mono + super::timers::ANNOUNCE_EVERY;
            session.queue_router_info(&mut self.buffers, &bytes);
            self.mark_dirty(index);
        }
    }
}
