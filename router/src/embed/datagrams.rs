//! Datagrams: each is sent once or lost.

use super::address::Address;
use super::destination::Local;
use bytes::Bytes;
use futures_util::{Sink, Stream as Many};
use ramson_apps::datagrams::{Sender, open, seal};
use ramson_protocol::datagram::{DATAGRAM2, DATAGRAM3};
use ramson_protocol::destination::datagrams::Datagram as Sealed;
use ramson_protocol::payload::{DATAGRAM, RAW};
use ramson_protocol::sam::datagram::{MAX_RAW, MAX_WITH_SENDER};
use ramson_protocol::sam::session::is_raw;
use ramson_protocol::streaming::streams::Ports;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::sync::mpsc;

/// What a datagram tells of its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// Its destination, with a signature: everybody can read that, old routers too.
    Signed,
    /// The same, for this receiver alone: nobody can send it on to another one.
    Bound,
    /// A hash that nobody has signed, which is short and cheap.
    Claimed,
    /// Nothing. Programs agree on the number of their protocol, 18 if they do not; 6, 17, 19 and 20 are not theirs.
    Raw(u8),
}

impl Kind {
    /// Raw without a protocol of its own.
    pub const RAW: Self = Self::Raw(RAW);

    fn protocol(self) -> u8 {
        match self {
            Self::Signed => DATAGRAM,
            Self::Bound => DATAGRAM2,
            Self::Claimed => DATAGRAM3,
            Self::Raw(protocol) => protocol,
        }
    }

    fn of(protocol: u8) -> Self {
        match protocol {
            DATAGRAM => Self::Signed,
            DATAGRAM2 => Self::Bound,
            DATAGRAM3 => Self::Claimed,
            protocol => Self::Raw(protocol),
        }
    }

    /// The longest payload.
    pub fn longest(self) -> usize {
        if let Self::Raw(_) = self { MAX_RAW } else { MAX_WITH_SENDER }
    }
}

/// A datagram that came, or is to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Who has sent it, or whom it goes to. Of a raw one that came it is `None`.
    pub peer: Option<Address>,
    /// The port that it comes from.
    pub from_port: u16,
    /// The port that it goes to.
    pub to_port: u16,
    /// What it tells of its sender.
    pub kind: Kind,
    /// What it carries.
    pub payload: Bytes,
}

impl Datagram {
    /// One to somebody, signed, without ports.
    pub fn to(peer: Address, payload: impl Into<Bytes>) -> Self {
        Self { peer: Some(peer), from_port: 0, to_port: 0, kind: Kind::Signed, payload: payload.into() }
    }
}

/// Why a datagram was not sent. Of one that was, nobody tells whether it has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DatagramError {
    /// It goes to nobody.
    #[error("the datagram has no receiver")]
    NoReceiver,
    /// It is empty, or longer than its kind may be.
    #[error("the datagram is empty, or too long")]
    Length,
    /// Its protocol is one of those that have a meaning of their own.
    #[error("the protocol of this raw datagram is not free")]
    Protocol,
    /// The node does not keep up, or has ended.
    #[error("the node does not take the datagram now")]
    Busy,
}

/// The datagrams of a destination. Up to 256 that came wait to be taken; more are lost.
pub struct Datagrams {
    received: mpsc::Receiver<Sealed>,
    local: Arc<Local>,
}

impl Datagrams {
    pub(super) fn new(received: mpsc::Receiver<Sealed>, local: &Arc<Local>) -> Self {
        Self { received, local: Arc::clone(local) }
    }

    /// The next one, without the traits of `futures`. `None` if the node has ended.
    pub async fn receive(&mut self) -> Option<Datagram> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// Sends one, without the traits of `futures`.
    ///
    /// # Errors
    /// Why it surely does not arrive.
    pub fn try_send(&self, datagram: Datagram) -> Result<(), DatagramError> {
        let Datagram { peer, from_port, to_port, kind, payload } = datagram;
        let peer = peer.ok_or(DatagramError::NoReceiver)?.0;
        if matches!(kind, Kind::Raw(protocol) if !is_raw(protocol)) {
            return Err(DatagramError::Protocol);
        }
        if payload.is_empty() || payload.len() > kind.longest() {
            return Err(DatagramError::Length);
        }
        let content = seal(&self.local.keys.0, kind.protocol(), &peer, payload);
        let ports = Ports { from: from_port, to: to_port };
        let sealed = Sealed { peer: Some(peer), ports, protocol: kind.protocol(), content };
        self.local.handle.send_datagram(sealed).then_some(()).ok_or(DatagramError::Busy)
    }
}

impl Many for Datagrams {
    type Item = Datagram;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Datagram>> {
        loop {
            let Some(sealed) = ready!(self.received.poll_recv(cx)) else { return Poll::Ready(None) };
            // One that is not of whom it says is as if it had not come.
            let Some((from, payload)) = open(&self.local.keys.address().0, &sealed) else { continue };
            let peer = from.map(|from| match from {
                Sender::Signed(destination) => Address(destination.hash()),
                Sender::Claimed(hash) => Address(hash),
            });
            let Ports { from, to } = sealed.ports;
            let kind = Kind::of(sealed.protocol);
            return Poll::Ready(Some(Datagram { peer, from_port: from, to_port: to, kind, payload }));
        }
    }
}

impl Sink<Datagram> for Datagrams {
    type Error = DatagramError;

    fn poll_ready(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), DatagramError>> {
        Poll::Ready(Ok(()))
    }

    fn start_send(self: Pin<&mut Self>, datagram: Datagram) -> Result<(), DatagramError> {
        self.try_send(datagram)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), DatagramError>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), DatagramError>> {
        Poll::Ready(Ok(()))
    }
}

impl fmt::Debug for Datagrams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Datagrams(..)")
    }
}
