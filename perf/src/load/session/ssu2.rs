//! A session over SSU2: a socket of its own, as a router's, and many datagrams with one call.

use super::{Buffers, Listener, UDP_BUFFER};
use crate::peer::{Outcome, UdpLink, now};
use mio::net::UdpSocket;
use mio::{Interest, Registry, Token};
use quinn_udp::{EcnCodepoint, Transmit, UdpSockRef, UdpSocketState};
use ramson_protocol::id::MessageId;
use ramson_protocol::link::block::I2np;
use ramson_protocol::ssu2::session::{Event, Session as Core};
use ramson_protocol::time::Mono;
use std::io::{ErrorKind, IoSliceMut};

/// What the kernel is asked to hold of what came and was not read.
const KERNEL_BUFFER: usize = 1 << 20;
/// Bytes of a block before the body of its message: type and length, and the message's type, id and expiration.
const BLOCK_HEADER: usize = 12;

pub(in crate::load) struct Session {
    io: UdpSocket,
    state: UdpSocketState,
    /// Datagrams that one call sends at most.
    segments: usize,
    core: Core,
    /// A block on its way into the core.
    block: Vec<u8>,
    /// For when it asked to be woken.
    armed: Option<Mono>,
    pub(super) dirty: bool,
    pub(super) closed: bool,
}

impl Session {
    pub(super) fn new(link: UdpLink, offload: bool) -> Outcome<Self> {
        let (socket, core) = link.into_parts();
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        // Less than was asked for works, only not as well.
        let _ = state.set_recv_buffer_size(UdpSockRef::from(&socket), KERNEL_BUFFER);
        let _ = state.set_send_buffer_size(UdpSockRef::from(&socket), KERNEL_BUFFER);
        let io = UdpSocket::from_std(socket);
        let segments = if offload { state.max_gso_segments() } else { 1 };
        Ok(Self { io, state, segments, core, block: Vec::new(), armed: None, dirty: true, closed: false })
    }

    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> Outcome<()> {
        Ok(registry.register(&mut self.io, token, Interest::READABLE)?)
    }

    pub(super) fn queued(&self) -> usize {
        self.core.queued_bytes()
    }

    pub(super) fn queue(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Outcome<()>) -> Outcome<()> {
        self.block.clear();
        write(&mut self.block)?;
        let (header, body) = self.block.split_first_chunk::<BLOCK_HEADER>().ok_or("a block without a header")?;
        let word = |at: usize| u32::from_be_bytes(std::array::from_fn(|i| header[at + i]));
        self.core.queue_message(header[3], MessageId(word(4)), word(8), &[body]);
        self.dirty = true;
        Ok(())
    }

    pub(super) fn flush(&mut self, buffers: &mut Buffers) -> Option<Mono> {
        self.dirty = false;
        let now = now();
        loop {
            buffers.out.clear();
            let Some(sent) = self.core.poll_transmit(now, &mut buffers.out, self.segments) else { break };
            let segment_size = (sent.packets > 1).then_some(sent.segment);
            let (contents, ecn) = (buffers.out.as_slice(), Some(EcnCodepoint::Ect0));
            let transmit = Transmit { destination: sent.to, ecn, contents, segment_size, src_ip: None };
            // What the kernel does not take is lost on the way.
            let _ = self.state.try_send(UdpSockRef::from(&self.io), &transmit);
        }
        let due = self.core.poll_timeout().filter(|due| self.armed.is_none_or(|armed| *due < armed))?;
        self.armed = Some(due);
        Some(due)
    }

    pub(super) fn wake(&mut self, due: Mono) {
        if self.armed == Some(due) {
            self.armed = None;
            self.core.handle_timeout(now());
            self.dirty = true;
        }
    }

    pub(super) fn read(&mut self, peer: usize, buffers: &mut Buffers, to: &mut impl Listener) -> Outcome<bool> {
        let Buffers { udp, meta, events, .. } = buffers;
        let mut pieces = udp.chunks_exact_mut(UDP_BUFFER);
        let mut slices = meta.map(|_| IoSliceMut::new(pieces.next().unwrap_or_default()));
        let count = match self.state.recv(UdpSockRef::from(&self.io), &mut slices, meta) {
            Ok(count) => count,
            Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(e) if e.kind() == ErrorKind::Interrupted => return Ok(true),
            // About a datagram that we sent: its loss will be noticed.
            Err(_) => return Ok(true),
        };
        let now = now();
        for (meta, piece) in meta.iter().take(count).zip(udp.chunks_exact_mut(UDP_BUFFER)) {
            let bytes = &mut piece[..meta.len];
            if meta.ecn == Some(EcnCodepoint::Ce) {
                self.core.on_congestion_experienced();
            }
            self.core.handle_datagrams(now, meta.addr, bytes, meta.stride.max(1), events);
            for event in events.drain(..) {
                match event {
                    Event::Message { kind, id, expiration, body } => {
                        to.on_message(peer, &I2np { kind, id, expiration, body: &bytes[body] }, now.mono);
                    }
                    Event::Reassembled { kind, id, expiration, body } => {
                        to.on_message(peer, &I2np { kind, id, expiration, body: &body }, now.mono);
                    }
                    Event::Terminated { .. } => self.closed = true,
                    _ => {}
                }
            }
            to.on_frame();
        }
        self.closed |= !self.core.is_open();
        self.dirty = true;
        Ok(count == meta.len())
    }
}
