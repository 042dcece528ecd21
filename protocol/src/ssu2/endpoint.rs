//! All handshakes of one router that are not sessions yet, in both directions, in one machine.
//!
//! ```text
//! dial ----------> [Retry awaited] -> [SessionCreated awaited] --------------> Established | Failed
//! handle_datagram: TokenRequest -> Retry; SessionRequest -> [SessionConfirmed awaited] -> verify -> Established | Failed
//! ```
//! The caller hands in every datagram whose connection id is no established session's, sends what it is told to, and
//! routes the ids of what is [`Output::Established`] elsewhere from then on.
//!
//! What strangers can make us do: for a TokenRequest or a SessionRequest without a good token, a few symmetric
//! operations, one datagram at most twice as long to the same address, and no memory beyond an entry in a bounded table
//! of rates. Only a token that came back proves an address; then it costs Diffie-Hellman operations and an entry among
//! the half-open handshakes, of which there are so many in all and so many per network, the oldest giving way.
//!
//! spec: ssu2 §Inbound Packet Handling, §Handshake Retransmission

mod answer;
mod dial;
mod limits;
mod stats;

pub use stats::{Count, Stats};

use super::error::Cause;
use super::established::Established;
use super::header::{self, Kind, Long};
use super::local::{Local, OurEnd};
use super::message;
use super::responder;
use super::token::{Issuer, Received};
use crate::id::RouterHash;
use crate::link::callers::Rates;
use crate::link::gate::Gate;
use crate::link::limits::Limits;
use crate::link::replay::{MAX_KEYS, ReplayCache};
use crate::link::role::Role;
use crate::link::skew::ClockSkew;
use crate::time::{Mono, Now};
use answer::Inbound;
use bytes::Bytes;
use dial::Dial;
use limits::HalfOpen;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use rustc_hash::FxHashMap;
use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

pub use dial::Target;

/// When a TokenRequest is sent again: after the first sending, and after each of the following.
///
/// spec: ssu2 §Handshake Retransmission
const TOKEN_RESENDS: [Duration; 2] = [Duration::from_secs(3), Duration::from_secs(6)];
/// The same for a SessionRequest.
const DIAL_RESENDS: [Duration; 3] =
    [Duration::from_millis(1250), Duration::from_millis(2500), Duration::from_millis(5000)];
/// From the first sending of a message to giving it up.
const DIAL_TIMEOUT: Duration = Duration::from_secs(15);
/// The same for the responder.
const ANSWER_RESENDS: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];
/// From the SessionCreated to giving the SessionConfirmed up.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(12);

/// What an endpoint is made of.
pub struct Config {
    /// Who we are.
    pub local: Local,
    /// What strangers may take of us.
    pub limits: Limits,
    /// Who is let in.
    pub gate: Box<dyn Gate>,
    /// Draws the connection id of a session that we begin with a router: random, in so far as the caller does not see
    /// in it to whom a datagram belongs. The ids of sessions that others begin are theirs to draw.
    pub choose_id: Box<dyn FnMut(&RouterHash) -> u64 + Send>,
}

/// What an endpoint wants.
#[derive(Debug)]
pub enum Output {
    /// A datagram is to be sent.
    Send {
        /// The address that the datagram goes to.
        to: SocketAddr,
        /// From which end of ours.
        local: OurEnd,
        /// The whole datagram, sealed.
        bytes: Bytes,
    },
    /// A session stands.
    Established(Box<Established>),
    /// A handshake failed.
    Failed(Failed),
    /// A PeerTest or HolePunch came, and authenticates.
    Outside(Outside),
}

/// A handshake that failed.
#[derive(Clone, Copy, Debug)]
pub struct Failed {
    /// Which end we were.
    pub role: Role,
    /// The other end.
    pub addr: SocketAddr,
    /// The router: known if we called it, or if it proved who it is before it was refused.
    pub peer: Option<RouterHash>,
    /// What went wrong, and by it whose fault it was.
    pub cause: Cause,
    /// How far the peer's clock is ahead of ours, if it said so. Its word is proven in no more than
    /// [`Failed::proven`].
    pub skew: Option<ClockSkew>,
    /// The skew came from a message that only this router could make.
    pub proven: bool,
}

/// A message outside any session and handshake, opened.
#[derive(Debug)]
pub struct Outside {
    /// Where it came from.
    pub from: SocketAddr,
    /// At which end of ours.
    pub local: OurEnd,
    /// Its header: a PeerTest or a HolePunch of our version and network.
    pub header: Long,
    /// The blocks of the message, opened.
    pub payload: Vec<u8>,
}

/// Which handshake a timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Dial(SocketAddr),
    Inbound(u64),
}

/// See the module. Caller's duty: after any input drain [`Endpoint::poll_output`] to `None`, then re-arm one timer from
/// [`Endpoint::poll_timeout`].
pub struct Endpoint {
    local: Local,
    limits: Limits,
    gate: Box<dyn Gate>,
    choose_id: Box<dyn FnMut(&RouterHash) -> u64 + Send>,
    rng: ChaCha20Rng,
    issuer: Issuer,
    received: Received,
    replay: ReplayCache,
    /// Handshakes of addresses that are proven, and Retries to all together.
    rates: Rates,
    retries: Rates,
    dials: FxHashMap<SocketAddr, Dial>,
    inbound: FxHashMap<u64, Inbound>,
    half_open: HalfOpen,
    timers: BTreeSet<(Mono, Key)>,
    outputs: VecDeque<Output>,
    stats: Stats,
}

impl Endpoint {
    /// An endpoint with no handshake.
    pub fn new(config: Config, seed: [u8; 32], now: Now) -> Self {
        let mut rng = ChaCha20Rng::from_seed(seed);
        let mut secrets = [[0; 16]; 2];
        secrets.iter_mut().for_each(|secret| rng.fill_bytes(secret));
        Self {
            local: config.local,
            limits: config.limits,
            gate: config.gate,
            choose_id: config.choose_id,
            rng,
            issuer: Issuer::new(secrets[0], now.mono),
            received: Received::default(),
            replay: ReplayCache::new(secrets[1], MAX_KEYS, now.mono),
            rates: Rates::default(),
            retries: Rates::default(),
            dials: FxHashMap::default(),
            inbound: FxHashMap::default(),
            half_open: HalfOpen::default(),
            timers: BTreeSet::new(),
            outputs: VecDeque::new(),
            stats: Stats::default(),
        }
    }

    /// From now on this is our RouterInfo.
    pub fn set_router_info(&mut self, router_info: Bytes) {
        self.local.router_info = router_info;
    }

    /// Takes in a datagram that belongs to no established session; `local` is where it came in. Its content is
    /// unspecified afterwards.
    pub fn handle_datagram(&mut self, now: Now, from: SocketAddr, local: OurEnd, datagram: &mut [u8]) {
        let from = SocketAddr::new(from.ip().to_canonical(), from.port());
        if datagram.len() < header::MIN_DATAGRAM || datagram.len() > header::MAX_DATAGRAM {
            return self.stats.drop(Cause::Short);
        }
        let Some(head) = header::peek(datagram, &self.local.intro, &self.local.intro) else {
            return self.stats.drop(Cause::Short);
        };
        let result = if self.inbound.contains_key(&head.destination) {
            self.for_inbound(now, from, local, head.destination, datagram)
        } else if self.dials.contains_key(&from) {
            match self.for_dial(now, from, datagram) {
                // It calls us while we call it.
                Err(Cause::Unknown) => self.strange(now, from, local, head.kind, datagram),
                result => result,
            }
        } else {
            self.strange(now, from, local, head.kind, datagram)
        };
        if let Err(cause) = result {
            self.stats.drop(cause);
        }
    }

    /// A datagram that no handshake waits for.
    fn strange(
        &mut self,
        now: Now,
        from: SocketAddr,
        local: OurEnd,
        kind: Kind,
        datagram: &mut [u8],
    ) -> Result<(), Cause> {
        match kind {
            Kind::TOKEN_REQUEST => self.token_request(now, from, local, datagram),
            Kind::SESSION_REQUEST => self.session_request(now, from, local, datagram),
            Kind::PEER_TEST | Kind::HOLE_PUNCH => self.outside(now, from, local, datagram),
            _ => Err(Cause::Unknown),
        }
    }

    /// A PeerTest or HolePunch: opened here, understood elsewhere.
    fn outside(&mut self, now: Now, from: SocketAddr, local: OurEnd, datagram: &mut [u8]) -> Result<(), Cause> {
        let (header, plain) = message::open(datagram, &self.local.intro, Cause::OutsideTag)?;
        responder::check(&self.local, &header)?;
        let skew = message::Opening::parse(plain)?.skew(now.wall, Mono::ZERO);
        if skew.is_excessive() {
            return Err(Cause::ClockSkew(skew));
        }
        let payload = plain.to_vec();
        self.outputs.push_back(Output::Outside(Outside { from, local, header, payload }));
        Ok(())
    }

    /// Does what is due: sends again, gives up.
    pub fn handle_timeout(&mut self, now: Now) {
        while let Some((due, key)) = self.timers.first().copied()
            && due <= now.mono
        {
            self.timers.pop_first();
            match key {
                Key::Dial(addr) => self.dial_due(now, addr),
                Key::Inbound(id) => self.inbound_due(now, id),
            }
        }
    }

    /// What is to be done next, `None` when there is nothing.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Endpoint::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Mono> {
        self.timers.first().map(|(due, _)| *due)
    }

    /// A token for the NewToken block of a session with a router at this address, and the second at which it expires.
    pub fn issue_token(&self, now: Now, to: SocketAddr) -> (u64, u32) {
        self.issuer.new_token(to, now)
    }

    /// Keeps a token from a NewToken block for the next session with that address.
    pub fn learn_token(&mut self, from: SocketAddr, token: u64, expires: u32) {
        self.received.insert(from, token, expires);
    }

    /// The tokens that others gave us: to be persisted, and cleared when our own address changes.
    pub fn received_tokens(&mut self) -> &mut Received {
        &mut self.received
    }

    /// What was counted, with what is pending now.
    pub fn stats(&self) -> Stats {
        let mut stats = self.stats.clone();
        stats.pending = [self.inbound.len(), self.dials.len()];
        stats.replay_keys = self.replay.len();
        stats.addresses = self.rates.len();
        stats
    }

    fn send(&mut self, to: SocketAddr, local: OurEnd, bytes: Bytes) {
        self.outputs.push_back(Output::Send { to, local, bytes });
    }

    fn fail(&mut self, failed: Failed) {
        self.stats.fail(failed.role, failed.cause);
        self.outputs.push_back(Output::Failed(failed));
    }

    fn establish(&mut self, local: OurEnd, mut established: Box<Established>) {
        established.local = local;
        self.stats.establish(established.role);
        if let Some((token, expires)) = established.new_token {
            self.received.insert(established.addr, token, expires);
        }
        self.outputs.push_back(Output::Established(established));
    }
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (inbound, dials) = (self.inbound.len(), self.dials.len());
        f.debug_struct("Endpoint").field("inbound", &inbound).field("dials", &dials).finish_non_exhaustive()
    }
}
