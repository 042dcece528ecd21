//! What happens once a second, and the end of sessions.

use super::Links;
use super::session::{Session, Wire};
use crate::event::{News, Received};
use crate::relay::Relay;
use crate::stats::{DropCause, Transport};
use ramson_protocol::blame::{Charge, Weight};
use ramson_protocol::link::reason::Reason;
use ramson_protocol::ntcp2::frame::FrameError;
use rand::Rng;
use std::net::Shutdown;
use std::time::Duration;

/// Our RouterInfo is repeated to every peer after this time. INTEROP: 25 minutes at i2pd.
pub(super) const ANNOUNCE_EVERY: Duration = Duration::from_secs(25 * 60);

/// A second session with the same router ends when it has been silent for this long.
const OLDER_IDLE: Duration = Duration::from_secs(20);

/// How long an older session of SSU2 with the same router is still read.
const REPLACED_AFTER: Duration = Duration::from_secs(2);

/// While messages wait for a session it is asked for again so often, whatever became of the first asking.
const ASK_AGAIN_SECS: u64 = 4;

impl Links {
    pub(super) fn tick(&mut self, relay: &mut Relay) {
        let now = self.now.mono;
        self.follow_idle_close();
        let mut ended = Vec::new();
        let mut failed = Vec::new();
        let mut announce = Vec::new();
        for (index, session) in &self.sessions {
            let peer = self.peers.get(session.peer);
            let primary = peer.and_then(|peer| peer.primary);
            let older = primary != Some(index);
            let introduces = peer.is_some_and(|peer| self.introducers.iter().any(|some| some.contains(&peer.hash)));
            let kept = session.transport() == Transport::Ssu2 && (session.has_asked || introduces);
            let quiet = now.saturating_sub(session.last_in.max(session.last_out));
            let replaced = older && self.is_replaced(session, primary);
            if session.failed().is_some_and(|failed| now >= failed.until) {
                failed.push(index);
            } else if session.dead(now) {
                ended.push((index, None));
            } else if replaced {
                ended.push((index, Some(Reason::REPLACED)));
            } else if !kept && quiet > if older { OLDER_IDLE } else { self.config.live.idle_close(session.transport()) }
            {
                ended.push((index, Some(Reason::IDLE_TIMEOUT)));
            } else if now >= session.announce_at && now.saturating_sub(session.opened) > Duration::from_secs(1) {
                announce.push(index);
            }
        }
        for (index, reason) in ended {
            self.close(index, reason);
        }
        failed.into_iter().for_each(|index| self.end_failed(index));
        announce.into_iter().for_each(|index| self.queue_router_info(index));
        for peer in self.peers.overdue(now) {
            let lost = self.peers.take_pending(peer).len();
            self.stats.drops[DropCause::NoSession as usize].add(lost as u64);
            self.lose_own(relay, peer);
            self.peers.release(peer);
        }
        if now.as_secs().is_multiple_of(ASK_AGAIN_SECS) {
            let awaited: Vec<_> = self.peers.awaited().collect();
            awaited.into_iter().for_each(|(peer, ours)| self.up.tell(News::NeedSession { peer, ours }));
        }
        relay.over().iter().for_each(|hop| self.remove(relay, hop));
        relay.tick(self.config.line.repeats());
        self.shaper.tick();
        self.sum_up_udp();
        self.relieve();
        self.stats.waiting_bytes.set(self.peers.waiting_bytes() as u64);
        self.stats.queued_bytes.set(self.queued_bytes());
    }

    /// Whether a session of SSU2 has given way to a newer one. A moment is left for what is under way in it.
    /// spec: ssu2 §Multiple Sessions
    fn is_replaced(&self, session: &Session, by: Option<usize>) -> bool {
        let newer = by.and_then(|index| self.sessions.get(index));
        let both = session.transport() == Transport::Ssu2 && newer.is_some_and(|s| s.transport() == Transport::Ssu2);
        both && newer.is_some_and(|newer| self.now.mono.saturating_sub(newer.opened) > REPLACED_AFTER)
    }

    /// A session of SSU2 has a limit of its own, by what it has heard of the peer: it is told when the operator changes it.
    fn follow_idle_close(&mut self) {
        let idle = self.config.live.idle_close(Transport::Ssu2);
        let Some(udp) = self.udp.as_mut().filter(|udp| udp.session.idle != idle) else { return };
        udp.session.idle = idle;
        for (_, session) in &mut self.sessions {
            if let Wire::Ssu2(wire) = &mut session.wire {
                wire.core.set_idle(idle);
            }
        }
    }

    /// Ends a session, telling the peer why if there is a reason to tell.
    pub(super) fn close(&mut self, index: usize, reason: Option<Reason>) {
        if let Some(reason) = reason {
            self.charge(index, reason);
            self.say_goodbye(index, reason);
        }
        self.forget(index, reason);
    }

    /// If we end a session for what the peer did in it, the judge hears of it.
    fn charge(&mut self, index: usize, reason: Reason) {
        let Some(session) = self.sessions.get(index) else { return };
        let charge = Charge::of_session(reason, reason.label(session.transport()));
        if charge.weight > Weight::Nothing {
            let router = self.peers.get(session.peer).map(|peer| peer.hash);
            self.up.pass(Received::Fault { router, address: None, charge });
        }
    }

    fn say_goodbye(&mut self, index: usize, reason: Reason) {
        let Some(session) = self.sessions.get_mut(index) else { return };
        let Wire::Ntcp2(wire) = &mut session.wire else { return self.say_goodbye_udp(index, reason) };
        wire.queue_termination(&mut self.buffers, reason);
        let pad = self.rng.next_u32() as usize % 16;
        // The session is over whether or not this still reaches the peer.
        if let Ok(done) = wire.flush(&mut self.buffers, self.now.mono, |_| pad) {
            self.stats.wire(Transport::Ntcp2).sent.bytes.add(done.bytes as u64);
            self.shaper.wrote(done.bytes);
        }
    }

    /// Ends a session in which a frame could not be opened. The peer is told the same whatever it was; we count apart.
    pub(super) fn end_failed(&mut self, index: usize) {
        let Some(failed) = self.sessions.get(index).and_then(Session::failed) else { return };
        self.charge(index, failed.error.reason());
        self.say_goodbye(index, failed.error.reason());
        let counted = match failed.error {
            FrameError::Length(_) => Reason::FRAMING_ERROR,
            other => other.reason(),
        };
        self.forget(index, Some(counted));
    }

    /// Takes a session out of all tables. The next of the same router, if there is one, takes its place.
    pub(super) fn forget(&mut self, index: usize, reason: Option<Reason>) {
        let Some(mut session) = self.sessions.try_remove(index) else { return };
        let code = reason.map_or(0, |r| r.0);
        let stats = self.stats.wire(session.transport());
        stats.closed[usize::from(code).min(stats.closed.len() - 1)].add(1);
        let open = stats.sessions(session.direction);
        open.set(open.get().saturating_sub(1));
        // Neither can fail in a way that matters: the socket is closed when it is dropped.
        match &mut session.wire {
            Wire::Ntcp2(wire) => {
                let _ = self.poll.registry().deregister(&mut wire.stream);
                let _ = wire.stream.shutdown(Shutdown::Both);
            }
            Wire::Ssu2(wire) => self.forget_udp(session.peer, wire),
        }
        let Some(peer) = self.peers.get_mut(session.peer) else { return };
        peer.older.retain(|&i| i != index);
        if peer.primary == Some(index) {
            peer.primary = peer.older.pop();
        }
        if peer.primary.is_none() {
            let hash = peer.hash;
            let lost = peer.backlog.take().map_or(0, |backlog| backlog.len());
            self.stats.drops[DropCause::NoSession as usize].add(lost as u64);
            self.up.tell(News::Disconnected { peer: hash, reason: code });
            self.peers.release(session.peer);
        }
    }

    /// Says goodbye to all: for the end of the thread.
    pub(super) fn close_all(&mut self) {
        let all: Vec<usize> = self.sessions.iter().map(|(index, _)| index).collect();
        for index in all {
            self.close(index, Some(Reason::ROUTER_SHUTDOWN));
        }
        self.deliver_events();
    }
}

#[cfg(test)]
mod tests;
