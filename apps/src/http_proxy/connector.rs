//! How hyper's client comes to streams: by the address in base 32 that stands in the URI.

use crate::network::{ConnectError, Network, Target};
use hyper::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use ramson_protocol::b32::B32;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tower_service::Service;

/// Makes streams within a time.
#[derive(Clone)]
pub(crate) struct Connector<N> {
    network: N,
    patience: Duration,
}

impl<N: Network> Connector<N> {
    pub(crate) fn new(network: N, patience: Duration) -> Self {
        Self { network, patience }
    }

    pub(crate) async fn connect(&self, to: &B32, port: u16) -> Result<N::Stream, ConnectError> {
        self.patiently(self.network.connect(Target::from(to.clone()), port)).await
    }

    /// Waits for something of a stream no longer than we are patient.
    pub(crate) async fn patiently<T>(
        &self,
        wait: impl Future<Output = Result<T, ConnectError>>,
    ) -> Result<T, ConnectError> {
        tokio::time::timeout(self.patience, wait).await.unwrap_or(Err(ConnectError::TimedOut))
    }
}

impl<N: Network> Service<Uri> for Connector<N> {
    type Response = TokioIo<Wire<N::Stream>>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            // The proxy made the URI of an address.
            let address = uri.host().and_then(|host| B32::parse(host).ok()).ok_or(ConnectError::NotFound)?;
            this.connect(&address, uri.port_u16().unwrap_or(80))
                .await
                .map(|stream| TokioIo::new(Wire { stream, to_proxy: false }))
        })
    }
}

/// Bytes that hyper is given at once: with more it gets itself a larger buffer, up to that of the longest head, and two hundred streams that
/// come at once are each handed on at once.
const AT_ONCE: usize = 8 * 1024 - 1;

/// Reads no more than hyper has a buffer for from the beginning.
pub(crate) fn read_some(
    from: Pin<&mut impl AsyncRead>,
    cx: &mut Context<'_>,
    into: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    let mut part = ReadBuf::new(into.initialize_unfilled_to(into.remaining().min(AT_ONCE)));
    let read = from.poll_read(cx, &mut part);
    let len = part.filled().len();
    into.advance(len);
    read
}

/// A stream, as hyper's client wants it.
pub(crate) struct Wire<S> {
    stream: S,
    /// What is asked is not there, but to be fetched by whoever is.
    to_proxy: bool,
}

impl<S> Wire<S> {
    pub(crate) fn to_proxy(stream: S) -> Self {
        Self { stream, to_proxy: true }
    }
}

impl<S> Connection for Wire<S> {
    fn connected(&self) -> Connected {
        Connected::new().proxy(self.to_proxy)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        read_some(Pin::new(&mut self.stream), cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
