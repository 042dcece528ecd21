//! Streams, and those that others begin.

use super::address::Address;
use super::destination::Local;
use futures_util::Stream as Many;
use ramson_clients::Stream as Pipe;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;

/// A stream between two destinations: bytes in order, both ways.
///
/// Shutting it down ends our direction: what was written is delivered, though it is dropped at once. Dropping it without that breaks it
/// off, so that the other side never takes a part for the whole.
pub struct Stream {
    pipe: Pipe,
    port: u16,
}

impl Stream {
    pub(super) fn new(pipe: Pipe, port: u16) -> Self {
        Self { pipe, port }
    }

    /// The other side. It is who it says: its keys have signed.
    pub fn remote(&self) -> Address {
        Address(self.pipe.remote())
    }

    /// The port that was called: ours, if the other side has begun.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("port", &self.port).finish_non_exhaustive()
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.pipe).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_shutdown(cx)
    }
}

/// The streams that others begin with a destination, on whatever port. It ends with the node.
///
/// Up to 256 wait to be taken; more are refused.
pub struct Listener {
    streams: mpsc::Receiver<Pipe>,
    _local: Arc<Local>,
}

impl Listener {
    pub(super) fn new(streams: mpsc::Receiver<Pipe>, local: &Arc<Local>) -> Self {
        Self { streams, _local: Arc::clone(local) }
    }

    /// The next one, without the traits of `futures`. `None` if the node has ended.
    pub async fn accept(&mut self) -> Option<Stream> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }
}

impl Many for Listener {
    type Item = Stream;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Stream>> {
        let pipe = ready!(self.streams.poll_recv(cx));
        Poll::Ready(pipe.map(|pipe| {
            let port = pipe.caller().map_or(0, |(_, ports)| ports.from);
            Stream::new(pipe, port)
        }))
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listener(..)")
    }
}
