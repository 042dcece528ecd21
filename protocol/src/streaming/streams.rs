//! All streams of one destination: finds the stream of a packet, checks who sent it, signs what goes out.
//!
//! ```text
//! packet --> known number? its stream : first packet, addressed and signed as it must be? a new stream : nobody's
//! stream --> packets, a few of each stream in turn, as long as there is room for them
//! ```
//! Bounds: [`Limits::streams`] in all, [`Limits::per_remote`] with one destination, and [`EARLY`] packets that overtook the
//! first of their stream.
//!
//! spec: streaming

mod events;
mod receive;
mod way;

pub use events::{ENDS, Limits, Out, Ports, Refused, Stats};

use super::memory::Memory;
use super::packet::{Packet, flag};
use super::stream::{Config, Stream};
use crate::bucket::Bucket;
use crate::data::keys_and_cert::Destination;
pub use crate::data::private_keys::PrivateKeys as Signer;
use crate::id::DestinationHash;
use crate::time::{Mono, Now};
use bytes::Bytes;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use way::Way;

/// Packets that came before the first of their stream. INTEROP: i2pd keeps them for ten seconds, Java three of a stream.
const EARLY: usize = 64;
const EARLY_LIFE: Duration = Duration::from_secs(10);

/// Pings whose answers are waited for.
const ASKED: usize = 16;

/// Packets of one stream that go out in its turn.
const TURN: usize = 8;

#[derive(Debug)]
struct Entry {
    stream: Stream,
    remote: DestinationHash,
    /// Who signs for the other side, as far as it has said.
    from: Option<Destination>,
    offline: Option<Bytes>,
    ports: Ports,
    timer: Option<Mono>,
    /// It waits for its turn.
    queued: bool,
    /// It is one of those that share the way now.
    busy: bool,
    retransmitted: u64,
    over: bool,
}

/// The streams.
#[derive(Debug)]
pub struct Streams {
    config: Config,
    limits: Limits,
    memory: Memory,
    us: Arc<Signer>,
    listening: bool,
    entries: BTreeMap<u32, Entry>,
    /// Streams that others began, by the numbers that these gave them.
    theirs: BTreeMap<(DestinationHash, u32), u32>,
    ways: BTreeMap<DestinationHash, Way>,
    timers: BTreeSet<(Mono, u32)>,
    turns: VecDeque<u32>,
    /// Those that are over, the oldest first.
    over: VecDeque<u32>,
    early: VecDeque<(Mono, DestinationHash, Packet)>,
    pings: Bucket,
    resets: Bucket,
    /// Pings of ours that are not answered, the oldest first.
    asked: VecDeque<(u32, DestinationHash)>,
    /// With whom a round trip was measured last, when it began, and what it is.
    round_trip: Option<(DestinationHash, Mono, Duration)>,
    out: VecDeque<Out>,
    rng: ChaCha20Rng,
    stats: Stats,
}

impl Streams {
    /// None yet. `listening`: others may begin streams.
    pub fn new(config: Config, limits: Limits, us: impl Into<Arc<Signer>>, listening: bool, seed: [u8; 32]) -> Self {
        Self {
            config,
            memory: Memory::new(limits.memory),
            limits,
            us: us.into(),
            listening,
            entries: BTreeMap::new(),
            theirs: BTreeMap::new(),
            ways: BTreeMap::new(),
            timers: BTreeSet::new(),
            turns: VecDeque::new(),
            over: VecDeque::new(),
            early: VecDeque::new(),
            pings: Bucket::default(),
            resets: Bucket::default(),
            asked: VecDeque::new(),
            round_trip: None,
            out: VecDeque::new(),
            rng: ChaCha20Rng::from_seed(seed),
            stats: Stats::default(),
        }
    }

    /// Counters.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// A stream.
    pub fn get(&self, id: u32) -> Option<&Stream> {
        self.entries.get(&id).map(|entry| &entry.stream)
    }

    /// Who has begun a stream with us, and its ports, ours first. `None` for a stream that we began: nobody has said yet who answers.
    pub fn caller(&self, id: u32) -> Option<(&Destination, Ports)> {
        let entry = self.entries.get(&id)?;
        entry.from.as_ref().map(|from| (from, entry.ports))
    }

    /// Begins a stream. `None` if there are too many.
    pub fn connect(&mut self, now: Now, remote: DestinationHash, ports: Ports) -> Option<u32> {
        if !self.has_room(&remote) {
            return None;
        }
        let id = self.free_id();
        self.insert(id, Stream::connect(self.config_for(&remote), &self.memory, id, now.mono), remote, None, ports);
        self.stats.connected += 1;
        self.serve(id);
        Some(id)
    }

    /// How a stream with a destination behaves: streams before it have measured the way.
    fn config_for(&self, remote: &DestinationHash) -> Config {
        let first_timeout = self.ways.get(remote).and_then(Way::first_timeout).unwrap_or(self.config.first_timeout);
        Config { first_timeout: first_timeout.min(self.config.first_timeout), ..self.config }
    }

    /// Asks a destination whether it is there; the number that its answer bears.
    pub fn ping(&mut self, remote: DestinationHash) -> u32 {
        let id = self.free_id();
        self.send_ping(id, remote);
        id
    }

    fn send_ping(&mut self, id: u32, remote: DestinationHash) {
        if self.asked.len() >= ASKED {
            self.asked.pop_front();
        }
        self.asked.push_back((id, remote));
        let mut packet = Packet::new(id, 0, 0);
        packet.flags = flag::ECHO | flag::NO_ACK | flag::FROM | flag::SIGNATURE;
        if let Some(bytes) = encode(&self.us, &remote, packet) {
            self.out.push_back(Out::Packet { to: remote, ports: Ports::default(), stream: 0, lane: 0, bytes });
        }
    }

    /// A browser has many short streams: those that are over take nobody's place, whether or not somebody says that their end has come.
    /// INTEROP: i2pd forgets a stream that it has closed, and does not say so.
    fn has_room(&self, remote: &DestinationHash) -> bool {
        let (live, remembered) = (self.entries.len().saturating_sub(self.over.len()), self.over.len());
        live < self.limits.streams
            && remembered < 2 * self.limits.streams
            && self.ways.get(remote).is_none_or(|way| way.streams - way.over < self.limits.per_remote)
    }

    /// A stream is over. Of too many the oldest is not remembered any longer.
    fn remember(&mut self, id: u32) {
        self.over.push_back(id);
        let too_many = self.over.len().saturating_sub(self.limits.streams);
        if let Some(id) = too_many.checked_sub(1).and_then(|last| self.over.get(last)).copied()
            && let Some(entry) = self.entries.get_mut(&id)
        {
            entry.stream.cut_linger();
            // Whoever has it forgets it.
            self.out.push_back(Out::Changed(id));
        }
    }

    fn free_id(&mut self) -> u32 {
        loop {
            let id = self.rng.next_u32();
            if id != 0 && !self.entries.contains_key(&id) {
                return id;
            }
        }
    }

    fn insert(&mut self, id: u32, stream: Stream, remote: DestinationHash, from: Option<Destination>, ports: Ports) {
        let entry = Entry {
            stream,
            remote,
            from,
            offline: None,
            ports,
            timer: None,
            queued: false,
            busy: false,
            retransmitted: 0,
            over: false,
        };
        self.entries.insert(id, entry);
        self.ways.entry(remote).or_default().streams += 1;
    }

    fn remove(&mut self, id: u32) {
        let Some(entry) = self.entries.remove(&id) else { return };
        if entry.over
            && let Some(at) = self.over.iter().position(|other| *other == id)
        {
            self.over.remove(at);
        }
        self.theirs.remove(&(entry.remote, entry.stream.ids().1));
        if let Some(timer) = entry.timer {
            self.timers.remove(&(timer, id));
        }
        leave_way(&mut self.ways, &entry);
    }

    /// Takes what there is room for.
    pub fn write(&mut self, now: Now, id: u32, bytes: &[u8]) -> usize {
        let Some(entry) = self.entries.get_mut(&id) else { return 0 };
        let len = entry.stream.write(now.mono, bytes);
        self.serve(id);
        len
    }

    /// The next bytes for the application.
    pub fn read(&mut self, now: Now, id: u32) -> Option<Bytes> {
        let entry = self.entries.get_mut(&id)?;
        let bytes = entry.stream.read(now.mono);
        if entry.stream.poll_timeout().is_some_and(|at| at <= now.mono) {
            self.serve(id);
        }
        bytes
    }

    /// Puts back bytes that the application had no room for.
    pub fn unread(&mut self, id: u32, bytes: Bytes) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.stream.unread(bytes);
        }
    }

    /// Nothing more will be written.
    pub fn close(&mut self, now: Now, id: u32) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.stream.close(now.mono);
            self.serve(id);
        }
    }

    /// Breaks a stream off.
    pub fn reset(&mut self, id: u32) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.stream.reset();
            self.serve(id);
        }
    }

    /// Nobody reads from a stream any more; see [`Stream::desert`].
    pub fn desert(&mut self, id: u32) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.stream.desert();
            self.serve(id);
        }
    }

    /// The round trip that the last packet has shown, if it has: with whom, when it began, and what it is.
    pub fn take_round_trip(&mut self) -> Option<(DestinationHash, Mono, Duration)> {
        self.round_trip.take()
    }

    /// What goes to this destination on this lane takes another way from now on.
    pub fn new_path(&mut self, now: Now, remote: &DestinationHash, lane: usize) {
        for entry in self.entries.values_mut().filter(|entry| entry.remote == *remote) {
            entry.stream.new_path(now.mono, lane);
        }
    }

    /// To this destination there is no way for this lane but that of the first.
    pub fn no_lane(&mut self, now: Now, remote: &DestinationHash, lane: usize) {
        for entry in self.entries.values_mut().filter(|entry| entry.remote == *remote) {
            entry.stream.give_up_lane(now.mono, lane);
        }
    }

    /// Says a word to each of these with whom there is a stream, by one of them.
    pub fn speak(&mut self, now: Now, mut to: BTreeSet<DestinationHash>) {
        let is_live = |stream: &Stream| stream.is_connected() && !stream.is_over();
        let mut spoken = Vec::new();
        for (id, entry) in self.entries.iter_mut().filter(|(_, entry)| is_live(&entry.stream)) {
            if to.remove(&entry.remote) {
                entry.stream.speak(now.mono);
                spoken.push(*id);
            }
        }
        spoken.into_iter().for_each(|id| self.serve(id));
    }

    /// Another destination stands for this one: what was begun with it and is not answered begins anew with the other.
    pub fn redirect(&mut self, now: Now, from: DestinationHash, to: DestinationHash) {
        let waiting = |entry: &Entry| entry.remote == from && !entry.stream.is_connected() && !entry.stream.is_done();
        let ids: Vec<u32> = self.entries.iter().filter(|(_, entry)| waiting(entry)).map(|(id, _)| *id).collect();
        for id in ids {
            let Some(entry) = self.entries.get_mut(&id) else { continue };
            leave_way(&mut self.ways, entry);
            entry.remote = to;
            entry.stream.begin_anew(now.mono);
            let way = self.ways.entry(to).or_default();
            way.streams += 1;
            way.is_busy(false, entry.busy);
            self.serve(id);
        }
        let pings: Vec<u32> = self.asked.iter().filter(|(_, asked)| *asked == from).map(|(id, _)| *id).collect();
        for id in pings {
            self.asked.retain(|(asked, _)| *asked != id);
            self.send_ping(id, to);
        }
    }

    /// A destination cannot be reached: its streams that nobody has answered end.
    pub fn unreachable(&mut self, remote: &DestinationHash) {
        let waiting = |entry: &&mut Entry| entry.remote == *remote && !entry.stream.is_connected();
        let mut ended = Vec::new();
        for entry in self.entries.values_mut().filter(waiting) {
            entry.stream.unreachable();
            ended.push(entry.stream.ids().0);
        }
        ended.into_iter().for_each(|id| self.serve(id));
    }

    /// The stream is to be asked for packets, and its timer set.
    fn serve(&mut self, id: u32) {
        if let Some(entry) = self.entries.get_mut(&id)
            && !std::mem::replace(&mut entry.queued, true)
        {
            self.turns.push_back(id);
        }
    }

    /// Looks at the clock.
    pub fn handle_timeout(&mut self, now: Now) {
        while let Some((at, id)) = self.timers.first().copied().filter(|(at, _)| *at <= now.mono) {
            self.timers.remove(&(at, id));
            if let Some(entry) = self.entries.get_mut(&id) {
                entry.timer = None;
                entry.stream.handle_timeout(now.mono);
                if entry.stream.is_done() {
                    self.out.push_back(Out::Changed(id));
                }
                self.hear_suspicions(id);
            }
            self.serve(id);
        }
    }

    /// Another way may be better for what a stream says is waited for in vain.
    fn hear_suspicions(&mut self, id: u32) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        while let Some((lane, since)) = entry.stream.take_suspicion() {
            if !self.ways.get(&entry.remote).is_some_and(|way| way.is_alive(id, since)) {
                self.out.push_back(Out::Suspicious(entry.remote, lane));
            }
        }
    }

    /// When to call [`Streams::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Mono> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// What is to be done, packets only as long as there is `room` for them.
    pub fn poll_output(&mut self, now: Now, room: bool) -> Option<Out> {
        loop {
            if let Some(out) = self.out.pop_front() {
                return Some(out);
            }
            if !room {
                return None;
            }
            let id = self.turns.pop_front()?;
            self.turn(now, id);
        }
    }

    /// True if streams wait for room.
    pub fn is_waiting(&self) -> bool {
        !self.turns.is_empty()
    }

    /// A stream's turn: a few packets.
    fn turn(&mut self, now: Now, id: u32) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        entry.queued = false;
        let way = self.ways.entry(entry.remote).or_default();
        way.is_busy(std::mem::replace(&mut entry.busy, entry.stream.is_busy()), entry.busy);
        entry.stream.share(way.share(), way.is_alone());
        let mut count = 0;
        while count < TURN
            && let Some((lane, packet)) = entry.stream.poll_packet(now.mono)
        {
            count += 1;
            self.stats.sent += 1;
            let (remote, ports) = (entry.remote, entry.ports);
            if let Some(bytes) = encode(&self.us, &remote, packet) {
                self.out.push_back(Out::Packet { to: remote, ports, stream: id, lane, bytes });
            }
        }
        way.is_busy(std::mem::replace(&mut entry.busy, entry.stream.is_busy()), entry.busy);
        way.round_trip = entry.stream.round_trip().or(way.round_trip);
        let again = entry.stream.figures().2;
        self.stats.retransmitted += again - std::mem::replace(&mut entry.retransmitted, again);
        let lanes = entry.stream.take_lane_counts();
        self.stats.lanes_opened += lanes.opened;
        self.stats.lanes_kept += lanes.kept;
        let is_over = entry.stream.is_over() && !std::mem::replace(&mut entry.over, true);
        way.over += usize::from(is_over);
        let timer = entry.stream.poll_timeout();
        if timer != entry.timer {
            if let Some(timer) = std::mem::replace(&mut entry.timer, timer) {
                self.timers.remove(&(timer, id));
            }
            if let Some(timer) = timer {
                self.timers.insert((timer, id));
            }
        }
        if is_over {
            self.out.push_back(Out::Changed(id));
            self.remember(id);
        }
        if count == TURN {
            self.serve(id);
        }
    }

    /// Forgets a stream that has ended, and that nobody asks for any more.
    pub fn forget(&mut self, id: u32) {
        if let Some(entry) = self.entries.get(&id)
            && let Some(end) = entry.stream.ended()
            && !entry.queued
        {
            self.stats.ended[ENDS.iter().position(|other| *other == end).unwrap_or(0)] += 1;
            self.remove(id);
        }
    }

    /// Streams that have ended.
    pub fn ended(&self) -> Vec<u32> {
        self.entries.iter().filter(|(_, entry)| entry.stream.ended().is_some()).map(|(id, _)| *id).collect()
    }
}

/// A stream does not take its way any more.
fn leave_way(ways: &mut BTreeMap<DestinationHash, Way>, entry: &Entry) {
    let Some(way) = ways.get_mut(&entry.remote) else { return };
    way.streams -= 1;
    way.over -= usize::from(entry.over);
    way.is_busy(entry.busy, false);
    if way.streams == 0 {
        ways.remove(&entry.remote);
    }
}

/// Puts in who we are, and signs, as the flags ask.
fn encode(us: &Signer, target: &DestinationHash, mut packet: Packet) -> Option<Vec<u8>> {
    if packet.has(flag::FROM) || packet.has(flag::SIGNATURE) && us.offline.is_some() {
        // INTEROP: Java drops an offline signature without its owner.
        packet.from = Some(us.destination.clone());
        packet.offline.clone_from(&us.offline);
    }
    if packet.has(flag::SYNCHRONIZE) && packet.send_stream == 0 {
        packet.set_target(target);
    }
    if packet.has(flag::SIGNATURE) { packet.sign(&us.key).ok() } else { packet.to_bytes().ok() }
}

#[cfg(test)]
mod tests;
