//! One established NTCP2 session on its I/O thread: bytes in, frames out.
//!
//! An idle session owns no buffer. Input is read into the thread's scratch buffer and opened there in place; only the
//! beginning of a frame whose end has not come is kept. Output is collected as one open frame at the end of `out`,
//! sealed in place when it is large enough or when the turn ends, and written with one call.

use crate::io::buffers::Buffers;
use crate::ports::seats::Seat;
use mio::net::TcpStream;
use ramson_protocol::id::MessageId;
use ramson_protocol::link::reason::Reason;
use ramson_protocol::ntcp2::block::{Block, write_i2np_header};
use ramson_protocol::ntcp2::frame::{FrameError, FrameOpener, FrameSealer, LEN_LEN};
use ramson_protocol::time::Mono;
use rand::{Rng, RngExt};
#[cfg(any(target_os = "linux", target_os = "android"))]
use socket2::SockRef;
use std::io::{self, Read, Write};
use std::time::Duration;

/// A frame is sealed when it has grown to this: larger ones save no more system calls and delay the reader's first cell.
const FRAME_TARGET: usize = 15 * 1024;

/// What the kernel may hold without having sent it: four frames.
#[cfg(any(target_os = "linux", target_os = "android"))]
const NOT_SENT: u32 = 64 * 1024;

/// When the socket has taken nothing for this long, cells of others are dropped at an eighth of the bound.
const STALLED_AFTER: Duration = Duration::from_millis(500);

/// When the socket has taken nothing for this long, the session ends.
pub(crate) const DEAD_AFTER: Duration = Duration::from_secs(60);

/// After a frame that could not be opened: so long, and so many bytes, are awaited before the session ends.
const FAILED_MS: std::ops::RangeInclusive<u64> = 500..=5_000;
const FAILED_BYTES: std::ops::RangeInclusive<usize> = 1024..=64 * 1024;

/// One read takes at most this much, so that busy peers get their turns in fair rotation.
pub(crate) const READ_BUDGET: usize = 64 * 1024;

/// What one read brought.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ReadOutcome {
    /// There may be more.
    More,
    /// The socket is drained.
    Drained,
    /// The peer has closed, or the socket failed.
    Closed,
}

pub(crate) struct Ntcp2 {
    pub(crate) stream: TcpStream,
    /// Its descriptor, among those that connections may have.
    pub(crate) seat: Option<Seat>,
    opener: FrameOpener,
    sealer: FrameSealer,
    /// The beginning of a frame whose end has not come yet.
    partial: Vec<u8>,
    out: Vec<u8>,
    /// Where the open frame begins in `out`, if there is one.
    frame: Option<usize>,
    written: usize,
    /// Cells in `out` since the last write, for the histogram.
    cells: u64,
    pub(crate) in_ready: bool,
    /// Since when the socket has taken nothing although something waits.
    blocked_since: Option<Mono>,
    /// Set once a frame could not be opened.
    pub(crate) failed: Option<FailedFrame>,
}

/// How a session ends in which a frame could not be opened: not at once, or the end would tell a forger what failed.
/// spec: ntcp2 §AEAD Error Handling — a random time and a random number of bytes, whichever is first, then a
/// termination.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FailedFrame {
    pub(crate) error: FrameError,
    pub(crate) until: Mono,
    pub(crate) read_bytes: usize,
}

/// A frame that was opened: its plaintext is `scratch[start..start + len]`.
pub(crate) struct OpenFrame {
    pub(crate) start: usize,
    pub(crate) len: usize,
}

impl Ntcp2 {
    pub(crate) fn new(stream: TcpStream, opener: FrameOpener, sealer: FrameSealer) -> Self {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        // Without it a slow peer's cells grow old where our bounds do not reach, which costs nothing but latency.
        let _: io::Result<()> = SockRef::from(&stream).set_tcp_notsent_lowat(NOT_SENT);
        Self {
            stream,
            seat: None,
            opener,
            sealer,
            partial: Vec::new(),
            out: Vec::new(),
            frame: None,
            written: 0,
            cells: 0,
            in_ready: false,
            blocked_since: None,
            failed: None,
        }
    }

    /// Bytes that came before the session was ours.
    pub(crate) fn preload(&mut self, leftover: Vec<u8>) {
        self.partial = leftover;
    }

    /// Puts the kept beginning of a frame into `scratch` and reads up to `budget` bytes behind it, and never more than
    /// [`READ_BUDGET`]. Returns the filled length, and how much of it is new.
    pub(crate) fn read(&mut self, scratch: &mut [u8], budget: usize) -> (usize, usize, ReadOutcome) {
        let kept = self.partial.len();
        scratch[..kept].copy_from_slice(&self.partial);
        let end = (kept + budget.min(READ_BUDGET)).min(scratch.len());
        loop {
            match self.stream.read(&mut scratch[kept..end]) {
                Ok(0) => return (kept, 0, ReadOutcome::Closed),
                // A short read has drained the socket; edge-triggered readiness will tell of more.
                Ok(n) if kept + n < end => return (kept + n, n, ReadOutcome::Drained),
                Ok(n) => return (kept + n, n, ReadOutcome::More),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return (kept, 0, ReadOutcome::Drained),
                Err(_) => return (kept, 0, ReadOutcome::Closed),
            }
        }
    }

    /// Opens the next whole frame of `scratch[*at..filled]` in place; `None` if its end is not there yet.
    pub(crate) fn next_frame(
        &mut self,
        scratch: &mut [u8],
        at: &mut usize,
        filled: usize,
    ) -> Result<Option<OpenFrame>, FrameError> {
        let Some(field) = scratch[*at..filled].first_chunk::<LEN_LEN>() else { return Ok(None) };
        let (start, len) = (*at + LEN_LEN, self.opener.next_len(*field)?);
        if filled - start < len {
            return Ok(None);
        }
        let plain = self.opener.open(&mut scratch[start..start + len])?.len();
        *at = start + len;
        Ok(Some(OpenFrame { start, len: plain }))
    }

    /// Keeps the beginning of the next frame.
    pub(crate) fn keep(&mut self, buffers: &mut Buffers, rest: &[u8]) {
        if rest.is_empty() {
            // An idle session holds no memory.
            buffers.give(std::mem::take(&mut self.partial));
            return;
        }
        if self.partial.capacity() == 0 {
            self.partial = buffers.take();
        }
        self.partial.clear();
        self.partial.extend_from_slice(rest);
    }

    /// A frame could not be opened: nothing is read as frames any more, and the end comes by a plan drawn now.
    pub(crate) fn fail(&mut self, error: FrameError, now: Mono, rng: &mut impl Rng) {
        let until = now + Duration::from_millis(rng.random_range(FAILED_MS));
        self.failed = Some(FailedFrame { error, until, read_bytes: rng.random_range(FAILED_BYTES) });
        self.partial = Vec::new();
    }

    /// Bytes that wait for the socket.
    pub(crate) fn queued(&self) -> usize {
        self.out.len() - self.written
    }

    /// True if the socket took less than there was.
    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked_since.is_some()
    }

    /// True if cells of others have no room here now.
    pub(crate) fn transit_full(&self, now: Mono, bound: usize) -> bool {
        self.queued() > if self.is_deaf(now) { bound / 8 } else { bound }
    }

    /// Memory for what the socket has not taken, and for a frame whose end has not come.
    pub(crate) fn held(&self) -> usize {
        self.out.len() + self.partial.len()
    }

    /// True if the socket has taken nothing for a while though something waits.
    pub(crate) fn is_deaf(&self, now: Mono) -> bool {
        self.blocked_since.is_some_and(|since| now.saturating_sub(since) > STALLED_AFTER)
    }

    /// Appends one I2NP block to the open frame.
    pub(crate) fn queue_message(&mut self, buffers: &mut Buffers, kind: u8, id: u32, expiration: u32, parts: &[&[u8]]) {
        let len = parts.iter().map(|p| p.len()).sum::<usize>();
        self.room_for(buffers, 12 + len);
        // Tunnels and the control plane make no message that exceeds a frame; one that did is not sent.
        if write_i2np_header(&mut self.out, kind, MessageId(id), expiration, len).is_ok() {
            parts.iter().for_each(|part| self.out.extend_from_slice(part));
        }
        self.cells += u64::from(kind == 18);
    }

    /// Appends any other block.
    pub(crate) fn queue_block(&mut self, buffers: &mut Buffers, len: usize, block: &Block<'_>) {
        self.room_for(buffers, len);
        // What is too large for a frame is left out; the block's own check leaves the buffer as it was.
        let _ = block.write(&mut self.out);
    }

    /// Appends the last word.
    pub(crate) fn queue_termination(&mut self, buffers: &mut Buffers, reason: Reason) {
        let frames = self.opener.frames();
        self.queue_block(buffers, 12, &Block::Termination { frames, reason, additional: &[] });
    }

    fn room_for(&mut self, buffers: &mut Buffers, len: usize) {
        if self.out.capacity() == 0 {
            self.out = buffers.take();
        }
        if self.frame.is_some_and(|start| self.out.len() + len - start > FRAME_TARGET) {
            self.seal(0);
        }
        if self.frame.is_none() {
            self.frame = Some(self.out.len());
            self.out.extend_from_slice(&[0, 0]);
        }
    }

    /// Seals the open frame with `padding` bytes of padding. Returns 1 if there was one.
    fn seal(&mut self, padding: usize) -> u64 {
        let Some(start) = self.frame.take() else { return 0 };
        if padding > 0 {
            let _ = Block::Padding(padding).write(&mut self.out);
        }
        match self.sealer.seal_in_place(&mut self.out, start) {
            Ok(()) => 1,
            // The counter has run out after 2^64 frames, or a frame outgrew its bound: never, and then nothing goes out.
            Err(_) => {
                self.out.truncate(start);
                0
            }
        }
    }

    /// Seals what is open and writes what the socket takes. `pad` makes the padding length of a frame from its size.
    ///
    /// # Errors
    /// The socket's, upon which the session is to be closed.
    pub(crate) fn flush(
        &mut self,
        buffers: &mut Buffers,
        now: Mono,
        pad: impl FnOnce(usize) -> usize,
    ) -> io::Result<Flushed> {
        let mut done = Flushed { cells: std::mem::take(&mut self.cells), ..Flushed::default() };
        if let Some(start) = self.frame {
            done.frames = self.seal(pad(self.out.len() - start));
        }
        while self.written < self.out.len() {
            match self.stream.write(&self.out[self.written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    self.written += n;
                    done.bytes += n;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) => return Err(e),
            }
        }
        if self.written == self.out.len() {
            self.written = 0;
            self.blocked_since = None;
            buffers.give(std::mem::take(&mut self.out));
        } else if done.bytes > 0 {
            self.blocked_since = Some(now);
            // What is written goes, once it is the larger part: the copy is then cheaper than the memory.
            if self.written > self.out.len() / 2 {
                self.out.drain(..self.written);
                self.written = 0;
            }
        } else if self.blocked_since.is_none() {
            self.blocked_since = Some(now);
        }
        Ok(done)
    }

    /// True if the socket has taken nothing for so long that the peer must be taken for gone.
    pub(crate) fn dead(&self, now: Mono) -> bool {
        self.blocked_since.is_some_and(|since| now.saturating_sub(since) > DEAD_AFTER)
    }
}

/// What one flush did.
#[derive(Debug, Default)]
pub(crate) struct Flushed {
    pub(crate) bytes: usize,
    pub(crate) frames: u64,
    pub(crate) cells: u64,
}
