//! A session's data phase: packets in, events out; messages in, packets out.
//!
//! ```text
//!          close, or nothing heard for too long        the peer's answer, or three timeouts
//!  Open ---------------------------------------> Closing ----------------------------------> Ended
//!    '-------------- the peer's Termination ------------------------------------------------->'
//! ```
//! Duty of the caller: after any input drain [`Session::poll_transmit`] to `None`, then re-arm one timer for
//! [`Session::poll_timeout`]. Input may come in bursts: hand them all in first, so that one ACK answers them and packets
//! leave in batches.
//!
//! Nothing here allocates for a message that fits a packet: its bytes are copied once into the outbox, once into the
//! packet, and on arrival stay where they are.
//!
//! spec: ssu2 §Data Message, §Session Termination

use super::ack::Received;
use super::block::Block;
use super::congestion::Cubic;
use super::established::Established;
use super::fragment::{Reassembler, Recent};
use super::mtu::Discovery;
use super::outbox::Outbox;
use super::pacer::Pacer;
use super::packet::{Opener, Sealer};
use super::path::Path;
use super::recovery::Recovery;
use crate::gzip::gzip;
use crate::id::MessageId;
use crate::link::padding::PaddingOptions;
use crate::link::reason::Reason;
use crate::link::role::Role;
use crate::link::skew::ClockSkew;
use crate::time::{Mono, Now};
use bytes::Bytes;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use smallvec::SmallVec;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

mod receive;
mod stats;
mod timers;
mod transmit;

pub use super::packet::PacketError;
pub use stats::{COUNTERS, Stats};
pub use transmit::Transmit;

/// What the owner chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Without a packet from the peer for so long the session ends.
    pub idle: Duration,
    /// A packet is sent whenever none was for so long: for a session that must keep a NAT open. Such a session also says
    /// something when a peer that has sent much falls silent: the NAT may have given us another port meanwhile.
    pub keep_alive: Option<Duration>,
    /// Without an ACK for so long, when one was due, the session ends.
    pub silence: Duration,
    /// The padding that we like.
    pub padding: PaddingOptions,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(165),
            keep_alive: None,
            silence: Duration::from_secs(20),
            padding: PaddingOptions::default(),
        }
    }
}

/// The keep-alive interval of a session that must keep a NAT open.
pub const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// What a packet brought. Ranges are of the bytes that were handed to [`Session::handle_datagrams`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A whole I2NP message, which lies in the datagram.
    Message {
        /// Message type.
        kind: u8,
        /// Message id.
        id: MessageId,
        /// Seconds since 1970.
        expiration: u32,
        /// Where its body lies.
        body: Range<usize>,
    },
    /// An I2NP message that came in fragments.
    Reassembled {
        /// Message type.
        kind: u8,
        /// Message id.
        id: MessageId,
        /// Seconds since 1970.
        expiration: u32,
        /// Its body.
        body: Vec<u8>,
    },
    /// A RouterInfo, uncompressed and not verified.
    RouterInfo {
        /// The peer asks a floodfill to flood it.
        flood: bool,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// A message of a peer test.
    PeerTest(Range<usize>),
    /// The peer wants to be introduced.
    RelayRequest(Range<usize>),
    /// The answer to a request of ours, or of another that we passed on.
    RelayResponse(Range<usize>),
    /// The peer introduces somebody to us.
    RelayIntro(Range<usize>),
    /// The peer asks whether we would introduce others to it.
    RelayTagRequest,
    /// The tag under which the peer introduces others to us.
    RelayTag(u32),
    /// A token for our next session with the peer.
    NewToken {
        /// Seconds since 1970.
        expires: u32,
        /// The token.
        token: u64,
    },
    /// Where the peer sees us.
    Address(SocketAddr),
    /// How far the peer's clock is ahead of ours.
    Skew(ClockSkew),
    /// The peer has moved and proven it.
    PeerMoved {
        /// Where it is now.
        addr: SocketAddr,
    },
    /// The session is over: the peer said so.
    Terminated {
        /// What it said.
        reason: Reason,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// We have said, or are about to say, that it is over. Further packets are answered a few times.
    Closing {
        reason: Reason,
        say: bool,
        answers: u8,
        until: Mono,
    },
    Ended,
}

/// The initiator's last handshake message, until the peer has shown that it has it.
#[derive(Debug)]
struct Confirmed {
    datagrams: SmallVec<[Bytes; 2]>,
    /// The next of them to be sent, if the time has come.
    at: usize,
    tries: usize,
    next: Mono,
}

/// A session in its data phase.
#[derive(Debug)]
pub struct Session {
    config: Config,
    role: Role,
    state: State,
    opener: Opener,
    sealer: Sealer,
    received: Received,
    recovery: Recovery,
    cubic: Cubic,
    pacer: Pacer,
    mtu: Discovery,
    path: Path,
    outbox: Outbox,
    reassembler: Reassembler,
    recent: Recent,
    confirmed: Option<Confirmed>,
    rng: ChaCha20Rng,
    /// The most padding, in sixteenths of the data, that both sides like.
    padding: u8,
    /// The peer's first Data packet is here.
    heard: bool,
    last_heard: Mono,
    /// Packets that had arrived when the peer last fell silent.
    lull_at: u64,
    last_sent: Mono,
    /// Packets that may leave whatever the window says: probes after a timeout.
    probes: u8,
    /// The window or the pacer, not a lack of data, ended the last batch.
    limited: bool,
    /// When the pacer lets the next packet go, if that is what is waited for.
    paced_until: Option<Mono>,
    /// Something that keeps the session alive is to be sent.
    ping: bool,
    /// Packets came marked by the network, and the peer does not know yet.
    marked: bool,
    next_date: Mono,
    /// Until when the path is taken to lose packets.
    lossy_until: Mono,
    /// When an idle session gives its memory back; `None` when it has.
    shrink_at: Option<Mono>,
    stats: Stats,
}

impl Session {
    /// A session from its handshake. `seed` is 32 random bytes.
    ///
    /// The handshake's [`Established::early`] datagrams are to be handed in next.
    pub fn new(established: &Established, config: Config, seed: [u8; 32], now: Now) -> Self {
        let mono = now.mono;
        let mtu = Discovery::new(established.addr, established.mtu, mono);
        let mut received = Received::default();
        if let Some(number) = established.received {
            received.insert(number, true, true, established.rtt, mono);
        }
        let datagrams = established.confirmed.clone();
        let confirmed = (!datagrams.is_empty()).then(|| Confirmed {
            at: datagrams.len(),
            datagrams,
            tries: 0,
            next: mono + timers::CONFIRMED[0],
        });
        Self {
            config,
            role: established.role,
            state: State::Open,
            opener: Opener::new(&established.recv, established.local_id),
            sealer: Sealer::new(&established.send, &established.remote_intro, established.remote_id),
            received,
            recovery: Recovery::new(established.next_number, established.rtt, mono),
            cubic: Cubic::new(mtu.minimum().into()),
            pacer: Pacer::new(mono),
            mtu,
            path: Path::new(established.addr),
            outbox: Outbox::default(),
            reassembler: Reassembler::default(),
            recent: Recent::default(),
            confirmed,
            rng: ChaCha20Rng::from_seed(seed),
            padding: config.padding.most(established.peer_padding.as_ref()),
            heard: false,
            last_heard: mono,
            lull_at: 0,
            last_sent: mono,
            probes: 0,
            limited: false,
            paced_until: None,
            ping: false,
            marked: false,
            next_date: mono + timers::DATE,
            lossy_until: Mono::ZERO,
            shrink_at: Some(mono + timers::SHRINK),
            stats: Stats::default(),
        }
    }

    /// Takes an I2NP message whose body is `parts` one after another. False if the session is over or no packet can
    /// carry it: it is larger than any I2NP message.
    pub fn queue_message(&mut self, kind: u8, id: MessageId, expiration: u32, parts: &[&[u8]]) -> bool {
        self.state == State::Open && self.outbox.push_message(kind, id, expiration, parts)
    }

    /// Takes a block that is not an I2NP message; it goes before all messages and is sent again when it is lost.
    /// False if the session is over or it does not fit the smallest packet.
    pub fn queue_block(&mut self, block: &Block<'_>) -> bool {
        let mut bytes = Vec::new();
        let fits = block.write(&mut bytes).is_ok() && bytes.len() <= self.smallest_payload();
        if fits && self.state == State::Open {
            self.outbox.push_block(&bytes);
        }
        fits && self.state == State::Open
    }

    /// Takes a RouterInfo, and compresses it if it does not fit a packet otherwise. False if the session is over, or if
    /// it does not fit even so: it must go as a DatabaseStore message then, which can be cut.
    ///
    /// spec: ssu2 §RouterInfo — "The Router Info block is never fragmented."
    pub fn queue_router_info(&mut self, bytes: &[u8], flood: bool) -> bool {
        let whole = |gzip, bytes| {
            Block::RouterInfo(super::block::RouterInfo {
                flood,
                gzip,
                fragment: super::block::RouterInfo::WHOLE,
                bytes,
            })
        };
        self.queue_block(&whole(false, bytes)) || self.queue_block(&whole(true, &gzip(bytes)))
    }

    /// Ends the session: what waits is dropped, the peer is told, and after a while [`Session::is_ended`].
    pub fn close(&mut self, reason: Reason, now: Now) {
        if self.state == State::Open {
            self.enter_closing(reason, now.mono);
        }
    }

    /// The network marked packets from the peer as having met congestion (ECN). It is told with the next packet.
    ///
    /// spec: ssu2 §Congestion
    pub fn on_congestion_experienced(&mut self) {
        self.marked = true;
    }

    /// Our own address has changed: the peer hears from us at once, and with another IP the path is measured anew. One
    /// that sends to our old port and hears nothing ends the session: INTEROP, i2pd after some three seconds.
    ///
    /// spec: ssu2 §Validation After Local Change
    pub fn on_local_address_change(&mut self, same_ip: bool, now: Now) {
        if !same_ip {
            self.new_path(now.mono);
        }
        self.ping = true;
    }

    /// The session has not ended and takes messages.
    pub fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// From now on it keeps a NAT in front of us open.
    pub fn keep_alive(&mut self) {
        self.config.keep_alive = Some(KEEP_ALIVE);
    }

    /// Nothing more comes of this session: drop it.
    pub fn is_ended(&self) -> bool {
        self.state == State::Ended
    }

    /// Where the peer is.
    pub fn addr(&self) -> SocketAddr {
        self.path.addr()
    }

    /// Bytes of messages that wait to be sent for the first time.
    pub fn queued_bytes(&self) -> usize {
        self.outbox.queued_bytes()
    }

    /// Bytes that the peer makes us hold: what it has not acknowledged, and messages of which it has not sent all.
    pub fn owed_bytes(&self) -> usize {
        self.outbox.held_bytes() + self.reassembler.bytes()
    }

    /// Gives up the messages of which the peer has not sent all, for want of memory.
    pub fn give_up_incomplete(&mut self) {
        self.reassembler.give_up();
    }

    /// The smoothed round-trip time.
    pub fn rtt(&self) -> Duration {
        self.recovery.rtt.smoothed()
    }

    /// Bytes of memory beyond the session itself, but for small lists.
    pub fn held_bytes(&self) -> usize {
        self.outbox.held_bytes() + self.reassembler.bytes() + self.recent.bytes()
    }

    fn enter_closing(&mut self, reason: Reason, now: Mono) {
        self.outbox.clear();
        self.reassembler = Reassembler::default();
        self.recent.clear();
        self.confirmed = None;
        let until = now + self.recovery.rtt.timeout() * 3;
        self.state = State::Closing { reason, say: true, answers: 0, until };
    }

    /// The path is not the one that was measured.
    fn new_path(&mut self, now: Mono) {
        self.recovery.reset_rtt();
        self.cubic = Cubic::new(self.mtu.minimum().into());
        self.pacer = Pacer::new(now);
        self.mtu.restart(now);
    }

    fn smallest_payload(&self) -> usize {
        usize::from(self.mtu.minimum()) - super::packet::OVERHEAD
    }

    fn payload(&self) -> usize {
        usize::from(self.mtu.current()) - super::packet::OVERHEAD
    }
}
