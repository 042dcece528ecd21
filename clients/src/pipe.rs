//! The bytes of one stream between an application's task and the client thread: a bounded ring each way.
//!
//! ```text
//! task: write -> ring up -> told -> client thread: stream takes what it has room for
//! task: read <- ring down <- notified <- client thread: what the stream has for it
//! ```
//! Neither side waits for the other's thread: a task sleeps until it is woken, the client thread looks again when it is told. Tasks on tokio
//! with rings between cost less than the sockets on the client thread (`benches/own.rs`).

use crate::port::{Input, Port};
use atomic_waker::AtomicWaker;
use parking_lot::Mutex;
use ramson_protocol::data::keys_and_cert::Destination;
use ramson_protocol::id::{DestinationHash, DestinationId};
use ramson_protocol::streaming::stream::End;
use ramson_protocol::streaming::streams::Ports;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, Read};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that may lie in a ring.
const RING: usize = 256 * 1024;

#[derive(Debug, Default)]
struct Ring(Mutex<Held>);

/// What lies in a ring.
#[derive(Debug, Default)]
struct Held {
    bytes: VecDeque<u8>,
    /// Something was put since [`Ring::rest`].
    used: bool,
}

impl Ring {
    fn room(&self) -> usize {
        RING.saturating_sub(self.0.lock().bytes.len())
    }

    /// Takes what there is room for.
    fn put(&self, bytes: &[u8]) -> usize {
        let mut ring = self.0.lock();
        let len = bytes.len().min(RING.saturating_sub(ring.bytes.len()));
        ring.bytes.extend(&bytes[..len]);
        ring.used = true;
        len
    }

    fn take(&self, into: &mut [u8]) -> usize {
        // Not above the length of `into`, and both are memory.
        self.0.lock().bytes.read(into).unwrap_or(0)
    }

    /// Offers what there is to `take`, which says how much it took.
    fn offer(&self, mut take: impl FnMut(&[u8]) -> usize) -> usize {
        let mut ring = self.0.lock();
        let (first, second) = ring.bytes.as_slices();
        let mut taken = if first.is_empty() { 0 } else { take(first) };
        if taken == first.len() && !second.is_empty() {
            taken += take(second);
        }
        ring.bytes.drain(..taken);
        taken
    }

    /// Called now and then: one that is idle keeps no memory.
    fn rest(&self) {
        let mut ring = self.0.lock();
        if !std::mem::take(&mut ring.used) && ring.bytes.is_empty() {
            ring.bytes = VecDeque::new();
        }
    }

    fn is_empty(&self) -> bool {
        self.0.lock().bytes.is_empty()
    }
}

/// Both rings of a stream, and what each side has said.
#[derive(Debug)]
pub(crate) struct Pipe {
    destination: DestinationId,
    remote: DestinationHash,
    port: Arc<Port>,
    /// The stream's number, zero until the thread has begun it.
    stream: AtomicU32,
    up: Ring,
    down: Ring,
    /// The thread has been told and has not looked yet.
    told: AtomicBool,
    /// The application writes no more; is gone.
    closed: AtomicBool,
    gone: AtomicBool,
    /// The other side has answered; has closed, and all is in the ring.
    connected: AtomicBool,
    finished: AtomicBool,
    end: Mutex<Option<End>>,
    readable: AtomicWaker,
    writable: AtomicWaker,
}

impl Pipe {
    pub(crate) fn new(destination: DestinationId, remote: DestinationHash, port: Arc<Port>) -> Arc<Self> {
        Arc::new(Self {
            destination,
            remote,
            port,
            stream: AtomicU32::new(0),
            up: Ring::default(),
            down: Ring::default(),
            told: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            gone: AtomicBool::new(false),
            connected: AtomicBool::new(false),
            finished: AtomicBool::new(false),
            end: Mutex::new(None),
            readable: AtomicWaker::new(),
            writable: AtomicWaker::new(),
        })
    }

    /// With whom.
    pub(crate) fn remote(&self) -> DestinationHash {
        self.remote
    }

    /// Has the thread look at this stream.
    fn tell(&self) {
        let stream = self.stream.load(SeqCst);
        if stream != 0 && !self.told.swap(true, SeqCst) {
            // A thread without room for this looks within a second.
            let _: Result<(), Input> = self.port.inbox.push(Input::Look(self.destination, stream));
        }
    }

    /// The thread looks: what is told after this it is told again.
    pub(crate) fn look(&self) -> bool {
        self.told.swap(false, SeqCst)
    }

    /// The stream has this number.
    pub(crate) fn begun(&self, stream: u32) {
        self.stream.store(stream, SeqCst);
    }

    /// Offers what the application wrote to `write`, which says how much it took.
    pub(crate) fn drain_up(&self, write: impl FnMut(&[u8]) -> usize) {
        if self.up.offer(write) > 0 {
            self.writable.wake();
        }
    }

    /// Once a second: gives back what an idle stream does not need.
    pub(crate) fn rest(&self) {
        self.up.rest();
        self.down.rest();
    }

    /// The application writes no more, and all that it wrote has been taken.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(SeqCst) && self.up.is_empty()
    }

    /// Nobody is there any more, who has not said before that he writes no more.
    pub(crate) fn is_deserted(&self) -> bool {
        self.is_gone() && !self.closed.load(SeqCst)
    }

    /// Nobody is there any more.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(SeqCst)
    }

    /// Room for bytes to the application.
    pub(crate) fn room_down(&self) -> usize {
        self.down.room()
    }

    pub(crate) fn put_down(&self, bytes: &[u8]) -> usize {
        let len = self.down.put(bytes);
        self.readable.wake();
        len
    }

    /// The other side has answered.
    pub(crate) fn connect(&self) {
        if !self.connected.swap(true, SeqCst) {
            self.writable.wake();
            self.readable.wake();
        }
    }

    /// No more bytes come.
    pub(crate) fn finish(&self) {
        if !self.finished.swap(true, SeqCst) {
            self.readable.wake();
        }
    }

    /// The stream has ended.
    pub(crate) fn end(&self, end: End) {
        *self.end.lock() = Some(end);
        self.finish();
        self.writable.wake();
        self.readable.wake();
    }
}

/// A stream as an application has it. One task may read and one write at a time. When it is dropped before it was closed, the stream is
/// broken off; after that, what was written is still delivered.
#[derive(Debug)]
pub struct Stream {
    pub(crate) pipe: Arc<Pipe>,
    /// By itself, so that queues of streams are small.
    caller: Option<Box<(Destination, Ports)>>,
}

impl Stream {
    pub(crate) fn new(pipe: Arc<Pipe>) -> Self {
        Self { pipe, caller: None }
    }

    /// The same, begun by the other side.
    pub(crate) fn called(mut self, caller: Option<(Destination, Ports)>) -> Self {
        self.caller = caller.map(Box::new);
        self
    }

    /// Who has begun it, and its ports, ours first; `None` if that was us.
    pub fn caller(&self) -> Option<&(Destination, Ports)> {
        self.caller.as_deref()
    }

    /// With whom.
    pub fn remote(&self) -> DestinationHash {
        self.pipe.remote
    }

    /// How it ended, if it did.
    pub fn ended(&self) -> Option<End> {
        *self.pipe.end.lock()
    }

    /// Waits until the other side has answered.
    ///
    /// # Errors
    /// How the stream ended instead.
    pub async fn connected(&self) -> Result<(), End> {
        let look = || match self.ended() {
            _ if self.pipe.connected.load(SeqCst) => Some(Ok(())),
            end => end.map(Err),
        };
        poll_fn(|cx| wait(&self.pipe.readable, cx, look)).await
    }

    /// Reads what there is, at least one byte; zero at the end.
    ///
    /// # Errors
    /// If the stream was broken off, or the other side is not there.
    pub async fn read(&self, into: &mut [u8]) -> io::Result<usize> {
        poll_fn(|cx| self.poll_take(cx, into)).await
    }

    fn poll_take(&self, cx: &Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        wait(&self.pipe.readable, cx, || {
            let finished = self.pipe.finished.load(SeqCst);
            let len = self.pipe.down.take(into);
            if len > 0 {
                self.pipe.tell();
                return Some(Ok(len));
            }
            finished.then(|| match self.ended() {
                None | Some(End::Closed) => Ok(0),
                Some(end) => Err(error(end)),
            })
        })
    }

    /// Waits until [`Stream::read`] returns at once.
    pub async fn readable(&self) {
        let look = || (!self.pipe.down.is_empty() || self.pipe.finished.load(SeqCst)).then_some(());
        poll_fn(|cx| wait(&self.pipe.readable, cx, look)).await;
    }

    /// Writes all of `bytes`, as room comes about.
    ///
    /// # Errors
    /// If the stream has ended.
    pub async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let len = poll_fn(|cx| self.poll_put(cx, bytes)).await?;
            bytes = &bytes[len..];
        }
        Ok(())
    }

    fn poll_put(&self, cx: &Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        wait(&self.pipe.writable, cx, || {
            if let Some(end) = self.ended() {
                return Some(Err(error(end)));
            }
            let len = self.pipe.up.put(bytes);
            (len > 0).then(|| {
                self.pipe.tell();
                Ok(len)
            })
        })
    }

    /// Nothing more will be written. What was is delivered.
    pub fn close(&self) {
        self.pipe.closed.store(true, SeqCst);
        self.pipe.tell();
    }
}

/// Looks, and leaves word if there is nothing yet. What comes about in between is seen by the second look.
fn wait<T>(waker: &AtomicWaker, cx: &Context<'_>, mut look: impl FnMut() -> Option<T>) -> Poll<T> {
    if let Some(found) = look() {
        return Poll::Ready(found);
    }
    waker.register(cx.waker());
    look().map_or(Poll::Pending, Poll::Ready)
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let len = ready!(self.poll_take(cx, buffer.initialize_unfilled()))?;
        buffer.advance(len);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if bytes.is_empty() { Poll::Ready(Ok(0)) } else { self.poll_put(cx, bytes) }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // What is in the ring goes out by itself.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.close();
        Poll::Ready(Ok(()))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.pipe.gone.store(true, SeqCst);
        self.pipe.tell();
    }
}

fn error(end: End) -> io::Error {
    let kind = match end {
        End::Closed => io::ErrorKind::BrokenPipe,
        End::Reset | End::Broken => io::ErrorKind::ConnectionReset,
        End::Unreachable => io::ErrorKind::HostUnreachable,
        End::TimedOut => io::ErrorKind::TimedOut,
    };
    io::Error::new(kind, end.label())
}
