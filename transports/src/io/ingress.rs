//! From a readable socket to blocks, and from I2NP messages to hops or to the control plane.

use super::Links;
use super::session::Session;
use super::session::ntcp2::ReadOutcome;
use crate::event::Received;
use crate::relay::{CELL_MESSAGE, GATEWAY_MESSAGE, Relay};
use crate::stats::{DropCause, Transport};
use bytes::Bytes;
use ramson_protocol::i2np::{Message, MessageType};
use ramson_protocol::id::RouterHash;
use ramson_protocol::link::block::I2np;
use ramson_protocol::link::reason::Reason;
use ramson_protocol::ntcp2::block::{Block, Blocks};
use ramson_protocol::time::Wall;
use ramson_protocol::tunnel::cell;

/// A message that is about to expire is still taken if our clock is this far ahead of its sender's.
/// spec: i2np §Expiration; INTEROP: transports accept a minute of skew.
const EXPIRATION_GRACE_SECS: u32 = 60;

/// Messages for the control plane that one session may bring at once after a pause, and a second: many times what a busy
/// floodfill is sent by a neighbour. And the same while the control plane does not keep up.
const SHARE: (f32, f32) = (512.0, 1000.0);
const PRESSED: (f32, f32) = (16.0, 20.0);

/// So many sessions' shares have the tunnels of others that end here.
const ENDPOINTS: f32 = 4.0;

/// What a block asks of the session it came in.
enum Verdict {
    Continue,
    Close(Option<Reason>),
}

impl Links {
    pub(super) fn on_ready(&mut self, index: usize, readable: bool, writable: bool) {
        let Some(session) = self.sessions.get_mut(index) else { return };
        if readable
            && let Some(wire) = session.ntcp2()
            && !wire.in_ready
        {
            wire.in_ready = true;
            self.ready.push_back(index);
        }
        if writable && session.queued() > 0 && !session.in_dirty {
            session.in_dirty = true;
            self.dirty.push(index);
        }
    }

    /// One read, and all whole frames that it completed.
    pub(super) fn read_session(&mut self, relay: &mut Relay, index: usize) {
        let Some(session) = self.sessions.get_mut(index) else { return };
        let Some(wire) = session.ntcp2() else { return };
        wire.in_ready = false;
        // The scratch buffer leaves `self` while its frames are handled, so that hops and peers can be reached.
        let mut scratch = std::mem::take(&mut self.scratch);
        let (filled, new, outcome) = wire.read(&mut scratch, self.shaper.read_budget());
        self.stats.wire(Transport::Ntcp2).received.bytes.add(new as u64);
        self.shaper.read(new);
        if new > 0 {
            session.last_in = self.now.mono;
        }
        let alive = match session.ntcp2().and_then(|wire| wire.failed.as_mut()) {
            None => self.take_frames(relay, index, &mut scratch, filled),
            Some(failed) => {
                failed.read_bytes = failed.read_bytes.saturating_sub(new);
                let over = failed.read_bytes == 0;
                if over {
                    self.end_failed(index);
                }
                !over
            }
        };
        self.scratch = scratch;
        if !alive {
            return;
        }
        match outcome {
            ReadOutcome::Closed => self.close(index, None),
            ReadOutcome::Drained => {}
            ReadOutcome::More => {
                if let Some(wire) = self.sessions.get_mut(index).and_then(Session::ntcp2) {
                    wire.in_ready = true;
                    self.ready.push_back(index);
                }
            }
        }
    }

    /// False if the session was closed.
    fn take_frames(&mut self, relay: &mut Relay, index: usize, scratch: &mut [u8], filled: usize) -> bool {
        let mut at = 0;
        let mut cells = 0;
        loop {
            let Some(session) = self.sessions.get_mut(index) else { return false };
            let peer = session.peer;
            let Some(wire) = session.ntcp2() else { return false };
            match wire.next_frame(scratch, &mut at, filled) {
                Ok(Some(frame)) => {
                    self.stats.wire(Transport::Ntcp2).received.frames.add(1);
                    let plain = &scratch[frame.start..frame.start + frame.len];
                    match self.on_frame(relay, (index, peer), plain, &mut cells) {
                        Verdict::Continue => {}
                        Verdict::Close(reason) => {
                            self.close(index, reason);
                            return false;
                        }
                    }
                }
                Ok(None) => {
                    wire.keep(&mut self.buffers, &scratch[at..filled]);
                    break;
                }
                Err(error) => {
                    wire.fail(error, self.now.mono, &mut self.rng);
                    break;
                }
            }
        }
        if cells > 0 {
            self.stats.cells_per_read.record(cells);
        }
        true
    }

    fn on_frame(&mut self, relay: &mut Relay, (index, peer): (usize, usize), plain: &[u8], cells: &mut u64) -> Verdict {
        let Some(from) = self.peers.get(peer).map(|p| p.hash) else { return Verdict::Continue };
        for block in Blocks::new(plain) {
            match block {
                Ok(Block::I2np(message)) => {
                    *cells += u64::from(message.kind == CELL_MESSAGE);
                    self.on_i2np(relay, index, from, Transport::Ntcp2, message);
                }
                Ok(Block::RouterInfo { flood, bytes }) => {
                    let bytes = Bytes::copy_from_slice(bytes);
                    self.pass_control(index, Received::RouterInfo { from, bytes, flood });
                }
                Ok(Block::Termination { .. }) => return Verdict::Close(None),
                // Time was compared in the handshake; a session's options are hints for traffic shaping.
                Ok(Block::DateTime { .. } | Block::Options(_) | Block::Padding(_) | Block::Unknown { .. }) => {}
                Err(_) => return Verdict::Close(Some(Reason::PAYLOAD_FORMAT)),
            }
        }
        Verdict::Continue
    }

    /// A message of a peer, by whichever transport: for a hop here, or for the control plane.
    pub(super) fn on_i2np(
        &mut self,
        relay: &mut Relay,
        index: usize,
        from: RouterHash,
        transport: Transport,
        message: I2np<'_>,
    ) {
        let I2np { kind, id, expiration, body } = message;
        self.stats.wire(transport).received.message(kind, body.len());
        if kind == CELL_MESSAGE {
            self.on_cell(relay, from, body);
        } else if expiration.saturating_add(EXPIRATION_GRACE_SECS) < self.now.wall.secs() {
            self.stats.dropped(DropCause::Expired);
        } else if kind == GATEWAY_MESSAGE {
            relay.on_tunnel_gateway(self, body);
        } else if self.may_pass(index) {
            let kind = MessageType::from_code(kind);
            let (expiration, body) = (Wall::from_secs(expiration), Bytes::copy_from_slice(body));
            self.up.pass(Received::Message { from, message: Message { kind, id, expiration, body } });
        }
    }

    /// Passes on what a peer has for the control plane, within its share.
    pub(super) fn pass_control(&mut self, index: usize, received: Received) {
        if self.may_pass(index) {
            self.up.pass(received);
        }
    }

    /// Whether the session may bring the control plane one thing more; else that is counted. It is asked before anything is
    /// copied.
    fn may_pass(&mut self, index: usize) -> bool {
        let (now, share) = (self.now.mono, if self.up.is_pressed() { PRESSED } else { SHARE });
        let admitted = self.sessions.get_mut(index).is_none_or(|session| session.control.take(share, now));
        if !admitted {
            self.stats.dropped(DropCause::ControlShare);
        }
        admitted
    }

    /// The same for what comes out of tunnels of others that end here: they have one share together.
    pub(super) fn may_emit(&mut self) -> bool {
        let (burst, rate) = if self.up.is_pressed() { PRESSED } else { SHARE };
        let admitted = self.endpoints.take((burst * ENDPOINTS, rate * ENDPOINTS), self.now.mono);
        if !admitted {
            self.stats.dropped(DropCause::ControlShare);
        }
        admitted
    }

    /// A cell from a peer: finds its hop and joins the batch.
    fn on_cell(&mut self, relay: &mut Relay, from: RouterHash, body: &[u8]) {
        let Ok((tunnel, cell)) = cell::parse(body) else { return self.stats.dropped(DropCause::BadCell) };
        if let Err(cause) = relay.admit(self, from, tunnel, cell) {
            self.stats.dropped(cause);
        }
    }
}
