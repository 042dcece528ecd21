//! A blocking session over SSU2: handshake, messages out, events in.

use super::{Identity, Outcome, Target, is_timeout, now};
use bytes::Bytes;
use ramson_protocol::i2np::{Message, MessageType};
use ramson_protocol::link::gate::OpenGate;
use ramson_protocol::link::limits::Limits;
use ramson_protocol::ssu2::endpoint::{self, Endpoint, Output};
use ramson_protocol::ssu2::established::Established;
use ramson_protocol::ssu2::header::SHORT_LEN;
use ramson_protocol::ssu2::local::{OurEnd, Remote};
use ramson_protocol::ssu2::packet::{MIN_PAYLOAD, OVERHEAD, Placed, Sealer};
use ramson_protocol::ssu2::session::{Config, Event, Session};
use ramson_protocol::time::{Mono, Wall};
use rand::{Rng, RngExt};
use rand_chacha::ChaCha20Rng;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(15);

/// Datagrams that are recorded.
const RECORDED: usize = 32;

/// Packets that are made by hand have numbers from here on, which the session does not reach.
const BY_HAND: u32 = 100_000;

/// A session with the router under test.
pub struct UdpLink {
    /// The socket.
    pub socket: UdpSocket,
    /// The session.
    pub core: Session,
    /// The first datagrams that were sent, those of the handshake among them.
    pub recorded: Vec<Vec<u8>>,
    sealer: Sealer,
    next_by_hand: u32,
}

impl UdpLink {
    /// Shakes hands as `who`.
    ///
    /// # Errors
    /// If the router does not answer, or refuses us in the handshake.
    pub fn open(target: &Target, who: &Identity, rng: &mut ChaCha20Rng) -> Outcome<Self> {
        let remote = target.ssu2()?.clone();
        let socket = bind(target, remote.addr)?;
        let mut recorded = Vec::new();
        let established = shake_hands(&socket, target.net_id, remote, who, rng, &mut recorded)?;
        let sealer = Sealer::new(&established.send, &established.remote_intro, established.remote_id);
        let mut core = Session::new(&established, Config::default(), rng.random(), now());
        for datagram in &established.early {
            // Lost ones are sent again.
            let _ = core.handle_datagram(now(), established.addr, &mut datagram.to_vec(), &mut Vec::new());
        }
        Ok(Self { socket, core, recorded, sealer, next_by_hand: BY_HAND })
    }

    /// The socket and the session, for an owner that does not block.
    pub fn into_parts(self) -> (UdpSocket, Session) {
        (self.socket, self.core)
    }

    /// Waits for the router's first packet: false if nothing comes within `patience`.
    ///
    /// # Errors
    /// The socket's, or if the session ends.
    pub fn is_greeted(&mut self, patience: Duration) -> Outcome<bool> {
        let end = Instant::now() + patience;
        while self.core.stats().packets_in == 0 && Instant::now() < end {
            // What it says so soon is for the session alone.
            self.exchange(end.saturating_duration_since(Instant::now()), |_, _| {})?;
        }
        Ok(self.core.stats().packets_in > 0)
    }

    /// Sends what there is to send, and hands what comes next to `on`, if something comes within `patience`: an event,
    /// and the datagram in which it lies.
    ///
    /// # Errors
    /// The socket's, or if the session has ended.
    pub fn exchange(&mut self, patience: Duration, mut on: impl FnMut(Event, &[u8])) -> Outcome<()> {
        self.flush()?;
        let until_due = |due: Mono| due.saturating_sub(now().mono);
        let wait = self.core.poll_timeout().map_or(patience, |due| until_due(due).min(patience));
        self.socket.set_read_timeout(Some(wait.max(Duration::from_millis(1))))?;
        let mut buffer = [0; 2048];
        match self.socket.recv_from(&mut buffer) {
            Ok((len, from)) => {
                let mut events = Vec::new();
                // What it cannot take it counts.
                let _ = self.core.handle_datagram(now(), from, &mut buffer[..len], &mut events);
                events.into_iter().for_each(|event| on(event, &buffer));
            }
            Err(e) if is_timeout(&e) => {}
            Err(e) => return Err(e.into()),
        }
        if self.core.poll_timeout().is_some_and(|due| due <= now().mono) {
            self.core.handle_timeout(now());
        }
        self.flush()?;
        if self.core.is_open() { Ok(()) } else { Err("the session has ended".into()) }
    }

    /// Sends a message.
    ///
    /// # Errors
    /// The socket's.
    pub fn send(&mut self, message: &Message) -> Outcome<()> {
        let expiration = Wall(message.expiration.0 + 500).secs();
        self.core.queue_message(message.kind.code(), message.id, expiration, &[&message.body]);
        self.flush()
    }

    /// The next message that `wanted` likes; others are dropped.
    ///
    /// # Errors
    /// If the session ends before.
    pub fn wait_for(&mut self, patience: Duration, wanted: impl Fn(&Message) -> bool) -> Outcome<Option<Message>> {
        let end = Instant::now() + patience;
        let mut found = None;
        while found.is_none() && Instant::now() < end {
            self.exchange(end.saturating_duration_since(Instant::now()), |event, datagram| {
                found = found.take().or_else(|| message(event, datagram).filter(|message| wanted(message)));
            })?;
        }
        Ok(found)
    }

    /// A packet of whatever bytes in the place of its blocks, sealed and not sent. The session goes on sending with small
    /// numbers, which the router soon takes for old: after this it is good for listening.
    pub fn seal_by_hand(&mut self, blocks: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; OVERHEAD + blocks.len().max(MIN_PAYLOAD)];
        packet[SHORT_LEN..][..blocks.len()].copy_from_slice(blocks);
        let place = Placed { at: 0, len: packet.len(), number: self.next_by_hand, immediate: false };
        self.next_by_hand += 1;
        self.sealer.seal(&mut packet, &[place]);
        packet
    }

    fn flush(&mut self) -> Outcome<()> {
        let mut out = Vec::new();
        while let Some(transmit) = self.core.poll_transmit(now(), &mut out, 1) {
            self.socket.send_to(&out, transmit.to)?;
            if self.recorded.len() < RECORDED {
                self.recorded.push(out.clone());
            }
            out.clear();
        }
        Ok(())
    }
}

/// The message of an event.
fn message(event: Event, datagram: &[u8]) -> Option<Message> {
    let (kind, id, expiration, body) = match event {
        Event::Message { kind, id, expiration, body } => {
            (kind, id, expiration, Bytes::copy_from_slice(datagram.get(body)?))
        }
        Event::Reassembled { kind, id, expiration, body } => (kind, id, expiration, body.into()),
        _ => return None,
    };
    Some(Message { kind: MessageType::from_code(kind), id, expiration: Wall::from_secs(expiration), body })
}

fn bind(target: &Target, to: SocketAddr) -> Outcome<UdpSocket> {
    let any = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    Ok(UdpSocket::bind((target.source.unwrap_or(any), 0))?)
}

fn shake_hands(
    socket: &UdpSocket,
    net_id: u8,
    remote: Remote,
    who: &Identity,
    rng: &mut ChaCha20Rng,
    recorded: &mut Vec<Vec<u8>>,
) -> Outcome<Box<Established>> {
    let mut ids = rng.clone();
    ids.set_stream(rng.next_u64());
    let config = endpoint::Config {
        local: who.local_ssu2(net_id),
        limits: Limits::default(),
        gate: Box::new(OpenGate),
        choose_id: Box::new(move |_| ids.next_u64()),
    };
    let mut endpoint = Endpoint::new(config, rng.random(), now());
    endpoint.dial(now(), endpoint::Target { remote, local: OurEnd::socket(0), token: None, ask_for_tag: false });
    let end = Instant::now() + HANDSHAKE;
    let mut buffer = [0; 2048];
    while Instant::now() < end {
        while let Some(output) = endpoint.poll_output() {
            match output {
                Output::Send { to, bytes, .. } => {
                    socket.send_to(&bytes, to)?;
                    recorded.push(bytes.to_vec());
                }
                Output::Established(established) => return Ok(established),
                Output::Failed(failed) => return Err(format!("no handshake: {}", failed.cause.label()).into()),
                Output::Outside(_) => {}
            }
        }
        let due = endpoint.poll_timeout().map_or(HANDSHAKE, |due| due.saturating_sub(now().mono));
        socket.set_read_timeout(Some(due.max(Duration::from_millis(1))))?;
        match socket.recv_from(&mut buffer) {
            Ok((len, from)) => endpoint.handle_datagram(now(), from, OurEnd::socket(0), &mut buffer[..len]),
            Err(e) if is_timeout(&e) => endpoint.handle_timeout(now()),
            Err(e) => return Err(e.into()),
        }
    }
    Err("no answer to the handshake".into())
}
