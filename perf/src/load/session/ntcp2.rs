//! A session over NTCP2.

use super::Listener;
use crate::peer::{Link, Outcome, now};
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use ramson_protocol::ntcp2::block::{Block, Blocks};
use ramson_protocol::ntcp2::frame::{FrameOpener, FrameSealer, LEN_LEN};
use socket2::SockRef;
use std::io::{ErrorKind, Read, Write};

/// A frame is sealed when it has grown to this.
const FRAME_TARGET: usize = 15 * 1024;

/// Bytes that the kernel may hold without having sent them.
const NOT_SENT: u32 = 64 * 1024;

pub(in crate::load) struct Session {
    stream: TcpStream,
    opener: FrameOpener,
    sealer: FrameSealer,
    received: Vec<u8>,
    at: usize,
    out: Vec<u8>,
    /// Where the open frame begins in `out`.
    frame: Option<usize>,
    written: usize,
    pub(super) closed: bool,
}

impl Session {
    pub(super) fn new(link: Link) -> Outcome<Self> {
        let (stream, opener, sealer, received) = link.into_parts();
        stream.set_nonblocking(true)?;
        // What waits shall wait here, where it can be seen, and not in the kernel.
        SockRef::from(&stream).set_tcp_notsent_lowat(NOT_SENT)?;
        Ok(Self {
            stream: TcpStream::from_std(stream),
            opener,
            sealer,
            received,
            at: 0,
            out: Vec::new(),
            frame: None,
            written: 0,
            closed: false,
        })
    }

    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> Outcome<()> {
        Ok(registry.register(&mut self.stream, token, Interest::READABLE | Interest::WRITABLE)?)
    }

    /// Reads what there is, up to the length of `scratch`. True if there may be more.
    pub(super) fn read(&mut self, peer: usize, scratch: &mut [u8], to: &mut impl Listener) -> Outcome<bool> {
        let more = self.receive(scratch);
        let mono = now().mono;
        while let Some(plain) = self.next_frame()? {
            for block in Blocks::new(plain) {
                if let Block::I2np(message) = block? {
                    to.on_message(peer, &message, mono);
                }
            }
            to.on_frame();
        }
        Ok(more)
    }

    fn receive(&mut self, scratch: &mut [u8]) -> bool {
        self.received.drain(..self.at);
        self.at = 0;
        match self.stream.read(scratch) {
            Ok(0) => self.closed = true,
            Ok(n) => {
                self.received.extend_from_slice(&scratch[..n]);
                return n == scratch.len();
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => return true,
            Err(e) if e.kind() == ErrorKind::WouldBlock => {}
            Err(_) => self.closed = true,
        }
        false
    }

    /// The blocks of the next frame that is whole.
    fn next_frame(&mut self) -> Outcome<Option<&[u8]>> {
        let rest = self.received.get_mut(self.at..).unwrap_or_default();
        let Some(field) = rest.first_chunk::<LEN_LEN>() else { return Ok(None) };
        let len = self.opener.next_len(*field)?;
        let Some(frame) = rest.get_mut(LEN_LEN..LEN_LEN + len) else { return Ok(None) };
        self.at += LEN_LEN + len;
        Ok(Some(self.opener.open(frame)?))
    }

    /// Bytes that wait for the socket.
    pub(super) fn queued(&self) -> usize {
        self.out.len() - self.written
    }

    /// Where to append a block.
    pub(super) fn block(&mut self) -> Outcome<&mut Vec<u8>> {
        if let Some(start) = self.frame
            && self.out.len() - start > FRAME_TARGET
        {
            self.frame = None;
            self.sealer.seal_in_place(&mut self.out, start)?;
        }
        if self.frame.is_none() {
            self.frame = Some(self.out.len());
            self.out.extend_from_slice(&[0; LEN_LEN]);
        }
        Ok(&mut self.out)
    }

    /// Seals and writes what the socket takes.
    pub(super) fn flush(&mut self) -> Outcome<()> {
        if let Some(start) = self.frame.take() {
            self.sealer.seal_in_place(&mut self.out, start)?;
        }
        while self.written < self.out.len() {
            match self.stream.write(&self.out[self.written..]) {
                Ok(n) => self.written += n,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(_) => {
                    self.closed = true;
                    self.written = self.out.len();
                }
            }
        }
        if self.written == self.out.len() {
            self.out.clear();
            self.written = 0;
        } else if self.written > self.out.len() / 2 {
            self.out.drain(..self.written);
            self.written = 0;
        }
        Ok(())
    }
}
