//! One thread: its peers, the tunnels between them, and the loop that sends and checks.

use super::pool::Pool;
use super::session::Listener;
use super::tunnel::{Making, Tunnel, pattern};
use super::{Options, Rate, Totals};
use crate::peer::{BuildAnswer, HopRequest, Outcome, Target, now};
use bytes::Bytes;
use ramson_protocol::i2np::{Message, MessageType};
use ramson_protocol::id::{MessageId, RouterHash, TunnelId};
use ramson_protocol::link::block::I2np;
use ramson_protocol::ntcp2::block::write_i2np_header;
use ramson_protocol::time::{Mono, Wall};
use ramson_protocol::tunnel::Role;
use rand::Rng;
use rand_chacha::ChaCha20Rng;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How long an answer may take.
const BUILD_PATIENCE: Duration = Duration::from_secs(10);
/// At the rate `max`, cells under way to one receiver: below the quarter megabyte after which routers drop.
const WINDOW: u32 = 128;
/// Without any cell for so long, those under way are lost.
const LOST_AFTER: Duration = Duration::from_millis(300);
/// Cells that one turn makes.
const TURN: u32 = 2048;
/// Bytes that wait for a socket before its peer sends no more at the rate `max`.
const BACKLOG: usize = 128 * 1024;
/// A small tunnel sends this part of what the others send.
const SMALL_TURN: u32 = 16;
/// How long to wait for one more of the last cells, and for all of them.
const COLLECT: Duration = Duration::from_secs(1);
const COLLECT_LONGEST: Duration = Duration::from_secs(20);

/// At a set rate a peer whose socket has so much to take sends no more, as routers do: the cell is held back.
const HELD_BACK: usize = 512 * 1024;

/// A thread's state.
pub(super) struct Worker {
    index: usize,
    target: Target,
    options: Options,
    rng: ChaCha20Rng,
    pool: Pool,
    hashes: Vec<RouterHash>,
    tunnels: Vec<Tunnel>,
    /// Builds without an answer by the id of their reply.
    building: HashMap<MessageId, (usize, Instant)>,
    /// Tunnels that stand.
    standing: Vec<usize>,
    under_way: Vec<u32>,
    last_arrival: Instant,
    turn: usize,
    round: u32,
    pattern: Box<[u8; 1008]>,
    totals: Totals,
}

impl Worker {
    /// Connects this thread's share of the peers.
    pub(super) fn new(index: usize, target: Target, options: &Options) -> Outcome<Self> {
        let mut rng: ChaCha20Rng = rand::make_rng();
        let count = share(options.peers, options.threads, index);
        let (pool, peers) = Pool::connect(count, &target, options, &mut rng)?;
        let hashes = peers.iter().map(|peer| peer.hash).collect();
        Ok(Self {
            index,
            target,
            options: options.clone(),
            under_way: vec![0; pool.len()],
            pattern: pattern(&mut rng),
            rng,
            pool,
            hashes,
            tunnels: Vec::new(),
            building: HashMap::new(),
            standing: Vec::new(),
            last_arrival: Instant::now(),
            turn: 0,
            round: 0,
            totals: Totals::default(),
        })
    }

    pub(super) fn into_totals(mut self) -> Totals {
        self.totals.closed = self.pool.closed();
        for tunnel in &self.tunnels {
            let of = if tunnel.small { &mut self.totals.small } else { &mut self.totals.large };
            of.push((tunnel.counted(), tunnel.received));
        }
        self.totals
    }

    /// Builds this thread's share of the tunnels, a few at a time.
    pub(super) fn build_all(&mut self) -> Outcome<()> {
        let wanted = share(self.options.tunnels, self.options.threads, self.index);
        let pause = self.options.build_pause;
        let mut next = Instant::now();
        while self.tunnels.len() < wanted || !self.building.is_empty() {
            while self.tunnels.len() < wanted && self.building.len() < self.options.builds && Instant::now() >= next {
                self.ask()?;
                next += pause;
            }
            self.exchange(Duration::from_millis(5))?;
            let before = self.building.len();
            self.building.retain(|_, (_, since)| since.elapsed() < BUILD_PATIENCE);
            self.totals.unanswered += (before - self.building.len()) as u64;
        }
        Ok(())
    }

    /// Asks for one more tunnel.
    fn ask(&mut self) -> Outcome<()> {
        let (n, peers) = (self.tunnels.len(), self.pool.len());
        let (from, step) = (n % peers, 1 + (n / peers) % (peers - 1));
        let to = (from + step) % peers;
        // Our number says which tunnel it is; no other thread has the same receivers.
        let (receive, next_tunnel) = (TunnelId(self.rng.next_u32().max(1)), TunnelId(n as u32 + 1));
        let role = self.options.roles.0[n % self.options.roles.0.len()];
        let request = HopRequest { receive, role, next: self.hashes[to], next_tunnel };
        let build = request.seal(&self.target, &mut self.rng)?;
        let message = &build.message;
        let expiration = Wall(message.expiration.0 + 500).secs();
        self.pool.queue(from, |out| {
            write_i2np_header(out, message.kind.code(), message.id, expiration, message.body.len())?;
            out.extend_from_slice(&message.body);
            Ok(())
        })?;
        self.building.insert(build.reply_id, (n, Instant::now()));
        let mut tunnel = Tunnel::new(from, to, self.hashes[to], build, &mut self.rng);
        let small = share(self.options.small, self.options.threads, self.index);
        tunnel.small = n + small >= share(self.options.tunnels, self.options.threads, self.index);
        self.tunnels.push(tunnel);
        Ok(())
    }

    /// Sends for so long.
    pub(super) fn send_for(&mut self, duration: Duration) -> Outcome<()> {
        if self.standing.is_empty() {
            return Ok(());
        }
        let began = Instant::now();
        let mut due = 0.0;
        self.last_arrival = began;
        while began.elapsed() < duration {
            let wait = match self.options.rate {
                Rate::Max => {
                    self.send_window()?;
                    Duration::from_micros(200)
                }
                Rate::Cells(rate) => {
                    let mine = rate / self.options.threads as f64;
                    due = began.elapsed().as_secs_f64() * mine - (self.totals.sent + self.totals.held) as f64;
                    self.send_due(due)?;
                    self.until_next(began.elapsed(), mine)
                }
            };
            self.exchange(if due > f64::from(TURN) { Duration::ZERO } else { wait })?;
        }
        self.totals.in_time = self.totals.received;
        Ok(())
    }

    /// How long to wait for sockets before more is due: a thread that sleeps can do so for whole milliseconds only, one that
    /// spins sends each burst at its own time.
    fn until_next(&self, elapsed: Duration, rate: f64) -> Duration {
        if !self.options.spin {
            return Duration::from_millis(1);
        }
        let next = (self.totals.sent + self.totals.held + u64::from(self.options.burst)) as f64 / rate;
        Duration::from_secs_f64(next).saturating_sub(elapsed)
    }

    /// Sends for so long, and forgets what came of it.
    pub(super) fn warm_up(&mut self, duration: Duration) -> Outcome<()> {
        if !duration.is_zero() {
            self.send_for(duration)?;
            self.collect()?;
            self.totals.restart();
            self.tunnels.iter_mut().for_each(Tunnel::restart);
        }
        Ok(())
    }

    /// Sends nothing for so long.
    pub(super) fn hold(&mut self, duration: Duration) -> Outcome<()> {
        let began = Instant::now();
        while began.elapsed() < duration {
            self.exchange(Duration::from_millis(100))?;
        }
        Ok(())
    }

    /// Takes in what is still on its way.
    pub(super) fn collect(&mut self) -> Outcome<()> {
        let began = Instant::now();
        self.last_arrival = began;
        while self.totals.received < self.totals.sent
            && self.last_arrival.elapsed() < COLLECT
            && began.elapsed() < COLLECT_LONGEST
        {
            self.exchange(Duration::from_millis(10))?;
        }
        Ok(())
    }

    /// A burst into each tunnel in turn while its receiver has room.
    fn send_window(&mut self) -> Outcome<()> {
        if self.last_arrival.elapsed() > LOST_AFTER {
            self.under_way.fill(0);
            self.last_arrival = Instant::now();
        }
        let mut made = 0;
        for _ in 0..self.standing.len() {
            let index = self.next_tunnel();
            let (from, to) = (self.tunnels[index].from, self.tunnels[index].to);
            if self.under_way[to] + self.options.burst > WINDOW || self.pool.queued(from) > BACKLOG {
                continue;
            }
            self.send_burst(index, self.options.burst)?;
            made += self.options.burst;
            if made >= TURN {
                break;
            }
        }
        Ok(())
    }

    fn send_due(&mut self, due: f64) -> Outcome<()> {
        let mut left = (due.max(0.0) as u32).min(TURN);
        while left >= self.options.burst {
            let index = self.next_tunnel();
            left -= self.options.burst;
            if self.pool.queued(self.tunnels[index].from) > HELD_BACK {
                self.totals.held += u64::from(self.options.burst);
                continue;
            }
            self.send_burst(index, self.options.burst)?;
        }
        Ok(())
    }

    /// The next tunnel in turn. A small one is passed over all but every [`SMALL_TURN`]th time.
    fn next_tunnel(&mut self) -> usize {
        loop {
            self.turn = (self.turn + 1) % self.standing.len();
            self.round += u32::from(self.turn == 0);
            let index = self.standing[self.turn];
            if !self.tunnels[index].small || (self.round + index as u32).is_multiple_of(SMALL_TURN) {
                return index;
            }
        }
    }

    fn send_burst(&mut self, index: usize, count: u32) -> Outcome<()> {
        let now = now();
        let tunnel = &mut self.tunnels[index];
        let mut making = Making { rng: &mut self.rng, pattern: &self.pattern, mono: now.mono, wall: now.wall };
        for _ in 0..count {
            self.pool.queue(tunnel.from, |out| tunnel.make(&mut making, out))?;
        }
        self.totals.sent += u64::from(count);
        self.under_way[tunnel.to] += count;
        Ok(())
    }

    /// Writes all that waits, waits for sockets, reads and checks.
    fn exchange(&mut self, patience: Duration) -> Outcome<()> {
        let mut rest = Rest {
            tunnels: &mut self.tunnels,
            building: &mut self.building,
            standing: &mut self.standing,
            under_way: &mut self.under_way,
            pattern: &self.pattern,
            totals: &mut self.totals,
            in_frame: false,
            arrived: false,
        };
        self.pool.exchange(patience, &mut rest)?;
        if rest.arrived {
            self.last_arrival = Instant::now();
        }
        Ok(())
    }
}

/// What a message may change while its session is borrowed.
struct Rest<'a> {
    tunnels: &'a mut [Tunnel],
    building: &'a mut HashMap<MessageId, (usize, Instant)>,
    standing: &'a mut Vec<usize>,
    under_way: &'a mut [u32],
    pattern: &'a [u8; 1008],
    totals: &'a mut Totals,
    /// A cell came in this frame, or at all.
    in_frame: bool,
    arrived: bool,
}

impl Listener for Rest<'_> {
    fn on_message(&mut self, peer: usize, message: &I2np<'_>, mono: Mono) {
        match MessageType::from_code(message.kind) {
            MessageType::ShortTunnelBuild => {
                if let Some((index, _)) = self.building.get(&message.id) {
                    self.on_answer(*index, message);
                }
            }
            kind @ (MessageType::TunnelData | MessageType::TunnelGateway) => {
                let number = message.body.first_chunk::<4>().map_or(0, |id| u32::from_be_bytes(*id));
                let index = (number as usize).wrapping_sub(1);
                let Some(tunnel) = self.tunnels.get_mut(index).filter(|tunnel| tunnel.to == peer) else {
                    self.totals.wrong += 1;
                    return;
                };
                let endpoint = tunnel.build.request.role == Role::OutboundEndpoint;
                if endpoint && self.building.contains_key(&tunnel.build.reply_id) {
                    return self.on_answer(index, message);
                }
                let arrival = tunnel.check(message, self.pattern, mono);
                let arrival = arrival.filter(|_| endpoint == (kind == MessageType::TunnelGateway));
                let Some(arrival) = arrival else {
                    self.totals.wrong += 1;
                    return;
                };
                self.in_frame = true;
                self.totals.received += 1;
                self.totals.reordered += u64::from(arrival.late);
                self.totals.latencies.record(arrival.latency);
                let gone = 1 + u32::try_from(arrival.skipped).unwrap_or(u32::MAX);
                self.under_way[peer] = self.under_way[peer].saturating_sub(gone);
            }
            // What the router has to say for itself.
            _ => {}
        }
    }

    fn on_frame(&mut self) {
        self.totals.frames += u64::from(self.in_frame);
        self.arrived |= self.in_frame;
        self.in_frame = false;
    }
}

impl Rest<'_> {
    fn on_answer(&mut self, index: usize, message: &I2np<'_>) {
        let whole = Message {
            kind: MessageType::from_code(message.kind),
            id: message.id,
            expiration: Wall::from_secs(message.expiration),
            body: Bytes::copy_from_slice(message.body),
        };
        let build = &self.tunnels[index].build;
        let Some(answer) = build.answer(&whole) else { return };
        self.building.remove(&build.reply_id);
        match answer {
            BuildAnswer::Accepted => {
                self.standing.push(index);
                self.totals.accepted += 1;
            }
            BuildAnswer::Refused(_) => self.totals.refused += 1,
        }
    }
}

/// This thread's part of `whole`.
pub(super) fn share(whole: usize, threads: usize, index: usize) -> usize {
    let threads = threads.max(1);
    whole / threads + usize::from(index < whole % threads)
}
