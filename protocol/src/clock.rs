//! How far our clock is off, by everything that tells the time: the machine, time servers, and peers.
//!
//! ```text
//! the machine's clock, looked at every few seconds --jump--> followed while nobody has confirmed ours, else asked about
//! time servers (SNTP), several at once ------------------+
//! peers: whom we called for ourselves, by network -------+--> a correction, or our clock is confirmed
//! ```
//! Our clock runs by the monotonic one from the start on, so that no jump of the machine's clock is a jump of ours. Nobody is
//! believed alone: of the servers two must agree, of the peers five networks and two thirds of all that spoke. Once it is
//! confirmed it moves only by little, unless what jumped was the machine's clock and the others say that this was right, or
//! none of many networks agrees with us any more.
//!
//! The caller's duty: after any input drain [`ClockKeeper::poll_output`] to `None`, then set one timer by
//! [`ClockKeeper::poll_timeout`].
//!
//! INTEROP: i2pd corrects itself at more than 15 s; all routers refuse sessions above 60 s.

pub mod sntp;
#[cfg(test)]
mod tests;

use crate::link::skew::MAX_CLOCK_SKEW;
use crate::peers::facts::Subnet;
use crate::time::{Mono, Now, Wall};
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

/// A correction below this, by the word of peers, is not worth a jump: their timestamps are whole seconds, and theirs are
/// no better clocks than ours.
const TOLERATED_MS: i64 = 10_000;

/// The same for servers.
const SERVERS_TOLERATED_MS: i64 = 1_000;

/// Servers that differ by more do not agree.
const SERVERS_AGREE_MS: i64 = 2_000;

/// Networks whose peers must have spoken before anything is corrected.
const QUORUM: usize = 5;

/// Networks that must all contradict a confirmed clock before it moves far.
const OVERWHELMING: usize = 8;

/// What the last networks said, at most this many, and for how long it counts.
const SAMPLES: usize = 15;
const FRESH: Duration = Duration::from_secs(30 * 60);

/// The farthest that a confirmed clock is moved at once.
const FAR_MS: i64 = 5 * 60_000;

/// Networks in which a call must have led to a session before our clock counts as believable, if no server says so.
const TO_BELIEVE: usize = 2;

/// A step of the machine's clock above this is a jump.
const JUMP_MS: i64 = 2_000;

/// Servers are asked again after this; after a round that led to nothing sooner, twice as late each time.
const ASK_AGAIN: Duration = Duration::from_secs(4 * 3600);
const ASK_SOON: Duration = Duration::from_secs(60);

/// How long a round of questions to servers may take.
const ROUND: Duration = Duration::from_secs(5);

/// What does not change while the router runs.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Peers may share a network, and there may be one alone.
    pub private: bool,
    /// How many time servers there are to ask.
    pub servers: usize,
    /// No time before this is believed: the program is not older.
    pub earliest: Wall,
}

/// What happened.
#[derive(Clone, Copy, Debug)]
pub enum In {
    /// What the machine's clock says, and how long the machine has slept since it was last looked at.
    System {
        /// The machine's wall time.
        wall: Wall,
        /// Time that its monotonic clock did not count.
        slept: Duration,
    },
    /// A peer is so many milliseconds ahead of us.
    Peer {
        /// Where it is.
        by: IpAddr,
        /// How far its clock is ahead, in milliseconds.
        skew_ms: i64,
        /// We chose to call it for ourselves, and have known it for long.
        is_witness: bool,
        /// A session stands with it.
        established: bool,
    },
    /// A time server is so many milliseconds ahead of us.
    Server {
        /// How far its clock is ahead, in milliseconds.
        offset_ms: i64,
    },
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Out {
    /// Ask all time servers.
    Ask,
    /// Move our clock by so many milliseconds.
    Adjust {
        /// How far; negative if it goes back.
        ms: i64,
        /// By whose word.
        by: Teller,
    },
    /// Our clock is believable from now on.
    Believable,
    /// The machine's clock jumped by so many milliseconds.
    Jumped {
        /// How far; negative if it went back.
        ms: i64,
        /// Our clock has gone with it.
        followed: bool,
    },
    /// Servers and peers tell different times; ours stays.
    Disagreement,
}

/// Who tells the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Teller {
    /// The machine.
    System,
    /// Time servers.
    Servers,
    /// Peers.
    Peers,
}

impl Teller {
    /// A name for logs and metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Servers => "servers",
            Self::Peers => "peers",
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    by: Subnet,
    skew_ms: i64,
    at: Mono,
}

/// The machine.
#[derive(Debug)]
pub struct ClockKeeper {
    config: Config,
    /// How far the machine's clock is ahead of ours, when it was last looked at.
    system_ms: Option<i64>,
    /// The machine's clock has jumped, and ours has not gone with it.
    contested: bool,
    samples: VecDeque<Sample>,
    /// Networks in which a call led to a session.
    agreed: SmallVec<[Subnet; TO_BELIEVE]>,
    believable: bool,
    confirmed: Option<Mono>,
    offsets: SmallVec<[i64; 8]>,
    round_ends: Option<Mono>,
    ask_at: Option<Mono>,
    patience: Duration,
    out: VecDeque<Out>,
}

impl ClockKeeper {
    /// A keeper of a clock that nobody has confirmed. Servers are asked at once, if there are any.
    pub fn new(config: Config, now: Now) -> Self {
        Self {
            config,
            system_ms: None,
            contested: false,
            samples: VecDeque::new(),
            agreed: SmallVec::new(),
            believable: false,
            confirmed: None,
            offsets: SmallVec::new(),
            round_ends: None,
            ask_at: (config.servers > 0).then_some(now.mono),
            patience: ASK_SOON,
            out: VecDeque::new(),
        }
    }

    /// True once somebody else has told us about the same time.
    pub fn is_believable(&self) -> bool {
        self.believable
    }

    /// True once several agree on the time.
    pub fn is_confirmed(&self) -> bool {
        self.confirmed.is_some()
    }

    /// Something has happened.
    pub fn handle_input(&mut self, now: Now, input: In) {
        match input {
            In::System { wall, slept } => self.look_at_system(now, wall, slept),
            In::Peer { by, skew_ms, is_witness, established } => {
                let by = Subnet::of_peer(by, self.config.private);
                if established {
                    self.agree(by);
                }
                if is_witness {
                    self.hear(now, by, skew_ms);
                }
            }
            In::Server { offset_ms } => {
                if self.round_ends.is_some() && self.offsets.len() < self.config.servers {
                    self.offsets.push(offset_ms);
                    if self.offsets.len() == self.config.servers {
                        self.end_round(now);
                    }
                }
            }
        }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Now) {
        if self.round_ends.is_some_and(|at| at <= now.mono) {
            self.end_round(now);
        }
        if self.ask_at.is_some_and(|at| at <= now.mono) {
            self.ask_at = None;
            self.offsets.clear();
            self.round_ends = Some(now.mono + ROUND);
            self.out.push_back(Out::Ask);
        }
    }

    /// When [`ClockKeeper::handle_timeout`] is to be called.
    pub fn poll_timeout(&self) -> Option<Mono> {
        self.round_ends.into_iter().chain(self.ask_at).min()
    }

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Option<Out> {
        self.out.pop_front()
    }

    /// A call has led to a session, which the sixty seconds forbid to clocks that differ.
    fn agree(&mut self, by: Subnet) {
        let enough = if self.config.private { 1 } else { TO_BELIEVE };
        if !self.believable && !self.agreed.contains(&by) {
            self.agreed.push(by);
            if self.agreed.len() >= enough {
                self.believe();
            }
        }
    }

    fn believe(&mut self) {
        if !self.believable {
            self.believable = true;
            self.out.push_back(Out::Believable);
        }
    }

    fn confirm(&mut self, now: Now) {
        self.confirmed = Some(now.mono);
        self.contested = false;
        self.believe();
    }

    fn look_at_system(&mut self, now: Now, wall: Wall, slept: Duration) {
        let ahead = difference(wall, now.wall);
        let Some(before) = self.system_ms.replace(ahead) else { return };
        let step = ahead.saturating_sub(before);
        let slept_ms = i64::try_from(slept.as_millis()).unwrap_or(i64::MAX);
        if slept_ms > JUMP_MS && step.saturating_sub(slept_ms).abs() <= JUMP_MS {
            // Ours stood still while the machine slept.
            self.adjust(step, Teller::System);
            self.ask_soon(now);
        } else if step.abs() > JUMP_MS {
            let followed = self.confirmed.is_none();
            self.out.push_back(Out::Jumped { ms: step, followed });
            if followed {
                self.adjust(step, Teller::System);
            } else {
                self.contested = true;
                // Perhaps it is ours that stood still: what was said of it before counts no more.
                self.samples.clear();
            }
            self.ask_soon(now);
        }
    }

    fn ask_soon(&mut self, now: Now) {
        if self.config.servers > 0 && self.round_ends.is_none() {
            self.ask_at = Some(now.mono);
        }
    }

    /// Moves our clock; all that was said of it is void.
    fn adjust(&mut self, ms: i64, by: Teller) {
        self.system_ms = self.system_ms.map(|ahead| ahead.saturating_sub(ms));
        self.samples.clear();
        self.offsets.clear();
        self.out.push_back(Out::Adjust { ms, by });
    }

    /// A witness among peers has spoken.
    fn hear(&mut self, now: Now, by: Subnet, skew_ms: i64) {
        self.samples.retain(|sample| sample.by != by && now.mono.saturating_sub(sample.at) < FRESH);
        if self.samples.len() == SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back(Sample { by, skew_ms, at: now.mono });
        let Some(median) = self.majority(QUORUM) else { return };
        if median.abs() <= TOLERATED_MS {
            return self.confirm(now);
        }
        if self.may_move(now, median) {
            self.adjust(median, Teller::Peers);
            self.confirm(now);
        }
    }

    /// What two thirds of at least so many networks say, about.
    fn majority(&self, quorum: usize) -> Option<i64> {
        if self.samples.len() < quorum {
            return None;
        }
        let mut all: SmallVec<[i64; SAMPLES]> = self.samples.iter().map(|sample| sample.skew_ms).collect();
        all.sort_unstable();
        let median = all[all.len() / 2];
        let close = all.iter().filter(|ms| ms.saturating_sub(median).abs() < TOLERATED_MS).count();
        (close * 3 >= all.len() * 2).then_some(median)
    }

    /// Whether our clock may go so far.
    fn may_move(&self, now: Now, ms: i64) -> bool {
        if moved(now.wall, ms) < self.config.earliest {
            return false;
        }
        let near = ms.abs() <= FAR_MS;
        // Whoever set the machine's clock meant the same.
        let system_says_so = self.contested && self.system_ms.is_some_and(|ahead| (ahead - ms).abs() <= TOLERATED_MS);
        let far = |sample: &Sample| u128::from(sample.skew_ms.unsigned_abs()) > MAX_CLOCK_SKEW.as_millis();
        let nobody_agrees = self.samples.len() >= OVERWHELMING && self.samples.iter().all(far);
        self.confirmed.is_none() || near || system_says_so || nobody_agrees
    }

    /// All servers have answered, or had the time to.
    fn end_round(&mut self, now: Now) {
        self.round_ends = None;
        let mut all = std::mem::take(&mut self.offsets);
        all.sort_unstable();
        let told = all.get(all.len() / 2).copied().filter(|median| {
            let close = all.iter().filter(|ms| ms.saturating_sub(*median).abs() <= SERVERS_AGREE_MS).count();
            close >= self.config.servers.min(2) && 2 * close > all.len()
        });
        let understood = told.is_some_and(|offset| self.servers_say(now, offset));
        self.patience = if understood { ASK_SOON } else { (self.patience * 2).min(ASK_AGAIN) };
        self.ask_at = Some(now.mono + if understood { ASK_AGAIN } else { self.patience });
    }

    /// What the servers agree on. True if that is our time now.
    fn servers_say(&mut self, now: Now, offset: i64) -> bool {
        let peers = self.majority(3);
        if peers.is_some_and(|peers| peers.saturating_sub(offset).abs() > FAR_MS / 5) {
            self.out.push_back(Out::Disagreement);
            return false;
        }
        if offset.abs() > SERVERS_TOLERATED_MS {
            if !self.may_move(now, offset) && peers.is_none_or(|peers| peers.abs() <= TOLERATED_MS) {
                self.out.push_back(Out::Disagreement);
                return false;
            }
            self.adjust(offset, Teller::Servers);
        }
        self.confirm(now);
        true
    }
}

/// How many milliseconds one time is ahead of another.
fn difference(a: Wall, b: Wall) -> i64 {
    let ms = |wall: Wall| i64::try_from(wall.0).unwrap_or(i64::MAX);
    ms(a).saturating_sub(ms(b))
}

/// A time, so many milliseconds later.
fn moved(wall: Wall, ms: i64) -> Wall {
    Wall(wall.0.saturating_add_signed(ms))
}
