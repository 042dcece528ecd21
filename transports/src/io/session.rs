//! An established session on its I/O thread, whichever transport carries it.
//!
//! What all of the thread needs of a session stands here; what only its transport knows is in its [`Wire`].

pub(super) mod ntcp2;
pub(super) mod ssu2;

use super::buffers::Buffers;
use crate::event::Direction;
use crate::stats::Transport;
use ntcp2::{FailedFrame, Ntcp2};
use ramson_protocol::bucket::Bucket;
use ramson_protocol::id::MessageId;
use ramson_protocol::ntcp2::block::Block;
use ramson_protocol::time::Mono;
use ssu2::Ssu2;
use std::net::IpAddr;
use std::time::Duration;

/// What one session may have to send, in bytes. What comes above is dropped, cells before they are encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    /// Cells of others: so much in any case, and so much at most to a peer that takes it at once.
    transit: usize,
    burst: usize,
    /// Everything else.
    control: usize,
}

/// How long a thread may have to wait for a processor, and the most that a peer takes meanwhile.
const MOMENT: Duration = Duration::from_millis(100);
const MAX_BURST: usize = 1024 * 1024;

impl Default for Bounds {
    fn default() -> Self {
        Self { transit: 256 * 1024, burst: MAX_BURST, control: 1024 * 1024 }
    }
}

impl Bounds {
    /// When all sessions together have much: enough for a round trip at a megabyte a second.
    pub(super) fn narrow() -> Self {
        Self { transit: 64 * 1024, burst: 64 * 1024, control: 64 * 1024 }
    }
}

/// A session with a peer.
pub(super) struct Session {
    /// The peer's place in the thread's table of peers.
    pub(super) peer: usize,
    /// Where the peer was when it began.
    pub(super) ip: IpAddr,
    /// Who began.
    pub(super) direction: Direction,
    pub(super) opened: Mono,
    pub(super) last_in: Mono,
    pub(super) last_out: Mono,
    /// When this peer is to be told our RouterInfo again.
    pub(super) announce_at: Mono,
    /// What the peer may bring for the control plane, and for the services of SSU2.
    pub(super) control: Bucket,
    pub(super) services: Bucket,
    /// It has asked us for a relay tag: it stays open as long as the peer wants to be introduced by us.
    pub(super) has_asked: bool,
    /// It waits in the list of sessions that have something to send.
    pub(super) in_dirty: bool,
    pub(super) wire: Wire,
}

/// What carries a session.
pub(super) enum Wire {
    /// NTCP2: a TCP connection and its frames.
    Ntcp2(Box<Ntcp2>),
    /// SSU2: the core of a session, whose datagrams go by the sockets of the thread.
    Ssu2(Box<Ssu2>),
}

impl Session {
    pub(super) fn new(peer: usize, ip: IpAddr, direction: Direction, wire: Wire, now: Mono) -> Self {
        let (opened, last_in, last_out, announce_at) = (now, now, now, now);
        let (control, services) = (Bucket::default(), Bucket::default());
        Self {
            peer,
            ip,
            direction,
            opened,
            last_in,
            last_out,
            announce_at,
            control,
            services,
            has_asked: false,
            in_dirty: false,
            wire,
        }
    }

    /// The transport that carries it.
    pub(super) fn transport(&self) -> Transport {
        match &self.wire {
            Wire::Ntcp2(_) => Transport::Ntcp2,
            Wire::Ssu2(_) => Transport::Ssu2,
        }
    }

    /// The connection, if it is one of NTCP2.
    pub(super) fn ntcp2(&mut self) -> Option<&mut Ntcp2> {
        match &mut self.wire {
            Wire::Ntcp2(wire) => Some(wire),
            Wire::Ssu2(_) => None,
        }
    }

    /// The session of SSU2, if it is one.
    pub(super) fn ssu2(&mut self) -> Option<&mut Ssu2> {
        match &mut self.wire {
            Wire::Ntcp2(_) => None,
            Wire::Ssu2(wire) => Some(wire),
        }
    }

    /// How the session ends, if a frame could not be opened.
    pub(super) fn failed(&self) -> Option<FailedFrame> {
        match &self.wire {
            Wire::Ntcp2(wire) => wire.failed,
            Wire::Ssu2(_) => None,
        }
    }

    /// Bytes that wait to be sent.
    pub(super) fn queued(&self) -> usize {
        match &self.wire {
            Wire::Ntcp2(wire) => wire.queued(),
            Wire::Ssu2(wire) => wire.core.queued_bytes(),
        }
    }

    /// True if the socket took less than there was to send, and will tell when it takes more.
    pub(super) fn is_blocked(&self) -> bool {
        match &self.wire {
            Wire::Ntcp2(wire) => wire.is_blocked(),
            Wire::Ssu2(_) => false,
        }
    }

    /// True if cells of others have no room here now.
    pub(super) fn transit_full(&self, now: Mono, bounds: Bounds) -> bool {
        match &self.wire {
            Wire::Ntcp2(wire) => wire.transit_full(now, bounds.transit),
            Wire::Ssu2(wire) => {
                let queued = wire.core.queued_bytes();
                queued > bounds.transit && queued > self.burst().min(bounds.burst)
            }
        }
    }

    /// Bytes that the peer takes in a moment, as far as is known: what may come at once after a thread has not run for so long, and yet is no
    /// queue that stands. Of a connection of NTCP2 the kernel holds it.
    pub(super) fn burst(&self) -> usize {
        match &self.wire {
            Wire::Ntcp2(_) => 0,
            Wire::Ssu2(wire) => ((wire.core.rate() * MOMENT.as_secs_f64()) as usize).min(MAX_BURST),
        }
    }

    /// True if not even control messages have room.
    pub(super) fn control_full(&self, bounds: Bounds) -> bool {
        self.queued() > bounds.control
    }

    /// Bytes of memory that the peer makes us hold: what it does not take, and what it has not finished.
    pub(super) fn held(&self) -> usize {
        match &self.wire {
            Wire::Ntcp2(wire) => wire.held(),
            Wire::Ssu2(wire) => wire.core.owed_bytes(),
        }
    }

    /// True if the peer takes nothing, though there is something for it.
    pub(super) fn is_deaf(&self, now: Mono) -> bool {
        match &self.wire {
            Wire::Ntcp2(wire) => wire.is_deaf(now),
            Wire::Ssu2(wire) => {
                wire.core.queued_bytes() > 0 && now.saturating_sub(self.last_in) > Duration::from_secs(1)
            }
        }
    }

    /// Queues an I2NP message.
    pub(super) fn queue_message(&mut self, buffers: &mut Buffers, kind: u8, id: u32, expiration: u32, parts: &[&[u8]]) {
        match &mut self.wire {
            Wire::Ntcp2(wire) => wire.queue_message(buffers, kind, id, expiration, parts),
            Wire::Ssu2(wire) => {
                wire.cells += u64::from(kind == crate::relay::CELL_MESSAGE);
                // What no packet can carry, tunnels and the control plane do not make.
                wire.core.queue_message(kind, MessageId(id), expiration, parts);
            }
        }
    }

    /// Queues our RouterInfo.
    pub(super) fn queue_router_info(&mut self, buffers: &mut Buffers, bytes: &[u8]) {
        match &mut self.wire {
            Wire::Ntcp2(wire) => {
                wire.queue_block(buffers, bytes.len() + 4, &Block::RouterInfo { flood: false, bytes });
            }
            Wire::Ssu2(wire) => {
                // Ours is far below what fits a packet; one that did not would reach the peer through the netDb.
                wire.core.queue_router_info(bytes, false);
            }
        }
    }

    /// True if nothing has been taken by the other side for so long that it must be taken for gone.
    pub(super) fn dead(&self, now: Mono) -> bool {
        match &self.wire {
            Wire::Ntcp2(wire) => wire.dead(now),
            Wire::Ssu2(wire) => wire.core.is_ended(),
        }
    }
}
