//! Datagrams of a destination, which several tunnels share by port, and the tunnels that carry them.
//!
//! ```text
//! program -- UDP --> client.rs --> Datagrams::send --> destination           signed in silence, raw while it flows
//!                    server.rs <-- Datagrams::serve <-- destination           who sent it is verified first
//!                    streamr.rs: one source, many who listen
//! ```
//! INTEROP: i2pd's tunnels of type udpclient and udpserver, and Java's streamr tunnels, do the same: which of the kinds of datagrams goes
//! when, the ports, and the options of the third kind are theirs.

pub mod client;
mod flow;
pub mod server;
pub mod streamr;

use crate::datagrams::{Sender, open, seal};
use crate::series::REFUSED;
use bytes::Bytes;
use parking_lot::Mutex;
use ramson_actors::destination::DestinationHandle;
use ramson_protocol::data::mapping::{Mapping, MappingBuf};
use ramson_protocol::datagram::{Claimed, DATAGRAM2, DATAGRAM3};
use ramson_protocol::destination::datagrams::Datagram;
use ramson_protocol::id::DestinationHash;
use ramson_protocol::payload::{DATAGRAM, RAW};
use ramson_protocol::sam::datagram::{MAX_RAW, MAX_WITH_SENDER};
use ramson_protocol::streaming::streams::{Ports, Signer};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Datagrams that wait for a tunnel; what comes beyond is lost.
const WAITING: usize = 256;

/// The longest datagram that UDP carries.
pub(crate) const LONGEST: usize = 65_535;

/// Ports that are tried for a flow, if another has its own.
const TRIES: usize = 64;

/// The kinds of datagrams with a sender.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// Signed; the oldest, which everybody reads.
    #[default]
    One,
    /// Signed for its receiver alone.
    Two,
    /// Not signed: the session shows who it is from.
    Three,
}

/// How a datagram goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Without a sender.
    Raw,
    /// With one, and options, which the third kind alone has here.
    Named(Kind, MappingBuf),
}

/// A datagram that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Who sent it, as it or the session proves.
    pub from: Option<DestinationHash>,
    /// How it names him; `None` if it is raw.
    pub kind: Option<Kind>,
    /// The ports of its sender and receiver.
    pub ports: Ports,
    /// Its options.
    pub options: MappingBuf,
    /// Its bytes.
    pub payload: Bytes,
}

/// The datagrams of a destination; clones are the same ones.
#[derive(Clone)]
pub struct Datagrams(Arc<Inner>);

struct Inner {
    us: Signer,
    send: Box<dyn Fn(Datagram) -> bool + Send + Sync>,
    takers: Mutex<Takers>,
}

#[derive(Default)]
struct Takers {
    by_port: BTreeMap<u16, mpsc::Sender<Received>>,
    /// Who has what is for ports that nobody has, the first first.
    rest: Vec<mpsc::Sender<Received>>,
}

impl Datagrams {
    /// Those of this destination, which go out by `send`.
    pub fn new(us: Signer, send: impl Fn(Datagram) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(Inner { us, send: Box::new(send), takers: Mutex::default() }))
    }

    /// Those of a destination of the router.
    pub fn of(us: Signer, destination: DestinationHandle) -> Self {
        Self::new(us, move |datagram| destination.send_datagram(datagram))
    }

    /// What comes for a port from now on, until the receiver is dropped; and what comes for one that nobody has.
    pub(crate) fn take(&self, port: u16) -> mpsc::Receiver<Received> {
        let (to, received) = mpsc::channel(WAITING);
        let mut takers = self.0.takers.lock();
        takers.forget_closed();
        takers.rest.push(to.clone());
        if port != 0 {
            takers.by_port.entry(port).or_insert(to);
        }
        received
    }

    /// A port of ours whose datagrams go to `to`, this one if nobody has it. `None` if none is found.
    pub(crate) fn claim(&self, wanted: u16, to: &mpsc::Sender<Received>) -> Option<u16> {
        let mut takers = self.0.takers.lock();
        takers.forget_closed();
        let others = std::iter::repeat_with(|| rand::random_range(1024..=u16::MAX)).take(TRIES);
        let port = std::iter::once(wanted).chain(others).find(|port| !takers.by_port.contains_key(port))?;
        takers.by_port.insert(port, to.clone());
        Some(port)
    }

    /// A claimed port is free again.
    pub(crate) fn release(&self, port: u16) {
        self.0.takers.lock().by_port.remove(&port);
    }

    /// Sends a datagram, which may be lost. False if it surely is.
    pub(crate) fn send(&self, to: DestinationHash, ports: Ports, form: &Form, payload: Bytes) -> bool {
        let longest = if *form == Form::Raw { MAX_RAW } else { MAX_WITH_SENDER };
        if payload.len() > longest {
            return false;
        }
        let us = &self.0.us;
        let protocol = match form {
            Form::Raw => RAW,
            Form::Named(Kind::One, _) => DATAGRAM,
            Form::Named(Kind::Two, _) => DATAGRAM2,
            Form::Named(Kind::Three, _) => DATAGRAM3,
        };
        let with_options = match form {
            Form::Named(Kind::Three, options) if *options != MappingBuf::default() => {
                let claimed = Claimed { from: us.destination.hash(), payload: payload.clone() };
                claimed.to_bytes_with_options(options).ok().map(Bytes::from)
            }
            _ => None,
        };
        let content = with_options.unwrap_or_else(|| seal(us, protocol, &to, payload));
        (self.0.send)(Datagram { peer: Some(to), ports, protocol, content })
    }

    /// Hands on what comes, until the destination is over.
    pub async fn serve(self, mut datagrams: mpsc::Receiver<Datagram>) {
        while let Some(datagram) = datagrams.recv().await {
            match self.open(&datagram) {
                // A taker that does not keep up loses it, as nobody's is lost.
                Some(received) => drop(self.find(received.ports.to).map(|to| to.try_send(received))),
                None => REFUSED.add(["datagrams", "not_verified"], 1),
            }
        }
    }

    fn find(&self, port: u16) -> Option<mpsc::Sender<Received>> {
        let mut takers = self.0.takers.lock();
        takers.forget_closed();
        takers.by_port.get(&port).or_else(|| takers.rest.first()).cloned()
    }

    /// Verifies who has sent a datagram.
    fn open(&self, datagram: &Datagram) -> Option<Received> {
        let Datagram { peer, ports, protocol, content } = datagram;
        let received = |from, kind, options, payload| Received { from, kind, ports: *ports, options, payload };
        match *protocol {
            RAW => Some(received(*peer, None, MappingBuf::new(), content.clone())),
            DATAGRAM | DATAGRAM2 => {
                let (Some(Sender::Signed(from)), payload) = open(&self.0.us.destination.hash(), datagram)? else {
                    return None;
                };
                let kind = if *protocol == DATAGRAM { Kind::One } else { Kind::Two };
                Some(received(Some(from.hash()), Some(kind), MappingBuf::new(), payload))
            }
            DATAGRAM3 => {
                let (Claimed { from, payload }, options): (_, Mapping<'_>) =
                    Claimed::parse_with_options(content).ok()?;
                // spec: datagrams §Datagram3 — nobody has signed it: the session alone can show whose it is.
                (*peer == Some(from)).then(|| received(*peer, Some(Kind::Three), options.into(), payload))
            }
            _ => None,
        }
    }
}

impl Takers {
    fn forget_closed(&mut self) {
        self.rest.retain(|to| !to.is_closed());
        self.by_port.retain(|_, to| !to.is_closed());
    }
}

#[cfg(test)]
mod tests;
