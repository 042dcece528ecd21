//! Two ends in virtual time over a path that loses, delays, overtakes and repeats.

mod asking;
mod lanes;

use super::*;
use crate::streaming::lanes::MOST_LANES;
use crate::streaming::stream::End;
use crate::time::Wall;
use proptest::prelude::*;
use ramson_crypto::sign::SigningKey;

const START: Now = Now { mono: Duration::from_secs(100), wall: Wall(1_750_000_000_000) };

/// How the path treats packets, each way.
#[derive(Clone, Copy, Debug)]
struct Path {
    delay: Duration,
    jitter: Duration,
    /// Of a thousand packets.
    loss: u32,
    repeat: u32,
    /// Bytes a second.
    rate: f64,
}

const QUIET: Path =
    Path { delay: Duration::from_millis(300), jitter: Duration::ZERO, loss: 0, repeat: 0, rate: f64::INFINITY };

struct End2 {
    streams: Streams,
    hash: DestinationHash,
    accepted: Vec<u32>,
    suspicions: usize,
    pongs: Vec<u32>,
}

/// Both ends and what is on its way between them.
struct Pair {
    now: Now,
    path: Path,
    /// Those that the other lanes take; where there are none they take the first.
    beside: Vec<Path>,
    ends: [End2; 2],
    way: BTreeMap<(Mono, u64), (usize, Ports, Bytes)>,
    free: [[Mono; MOST_LANES]; 2],
    /// How many packets each lane was given.
    lanes: [u64; MOST_LANES],
    /// Nothing passes to the second end on this lane.
    dead: Option<usize>,
    serial: u64,
    rng: ChaCha20Rng,
    /// The sender is known by his session.
    bound: bool,
    /// Nothing passes; nothing passes to this end.
    cut: bool,
    cut_to: Option<usize>,
}

fn signer(n: u8) -> Signer {
    let key = SigningKey::from_seed([n; 32]);
    Signer { destination: Destination::compose(&key.public(), &[n; 32]), key: key.into(), offline: None }
}

fn end(n: u8, config: Config) -> End2 {
    let us = signer(n);
    let hash = us.destination.hash();
    let streams = Streams::new(config, Limits::default(), us, true, [n; 32]);
    End2 { streams, hash, accepted: Vec::new(), suspicions: 0, pongs: Vec::new() }
}

impl Pair {
    fn new(path: Path, config: Config) -> Self {
        Self {
            now: START,
            path,
            ends: [end(1, config), end(2, config)],
            way: BTreeMap::new(),
            free: [[Mono::ZERO; MOST_LANES]; 2],
            beside: Vec::new(),
            lanes: [0; MOST_LANES],
            dead: None,
            serial: 0,
            rng: ChaCha20Rng::from_seed([9; 32]),
            bound: true,
            cut: false,
            cut_to: None,
        }
    }

    fn connect(&mut self) -> u32 {
        let remote = self.ends[1].hash;
        self.ends[0].streams.connect(self.now, remote, Ports::default()).unwrap()
    }

    /// Begins a stream and gives it up before its answer can come.
    fn connect_in_vain(&mut self) {
        let id = self.connect();
        self.run(Duration::from_millis(100));
        self.ends[0].streams.reset(id);
        self.ends[0].streams.forget(id);
    }

    fn chance(&mut self, of_thousand: u32) -> bool {
        self.rng.next_u32() % 1000 < of_thousand
    }

    fn send(&mut self, to: usize, lane: usize, ports: Ports, bytes: Vec<u8>) {
        self.lanes[lane] += 1;
        let (lane, path) = self.beside.get(lane.wrapping_sub(1)).map_or((0, self.path), |path| (lane, *path));
        let copies = if self.chance(path.repeat) { 2 } else { 1 };
        let free = &mut self.free[to][lane];
        *free = (*free).max(self.now.mono) + Duration::from_secs_f64(bytes.len() as f64 / path.rate);
        let free = *free;
        for _ in 0..copies {
            if self.cut || self.cut_to == Some(to) || (self.dead == Some(lane) && to == 1) || self.chance(path.loss) {
                continue;
            }
            let jitter = path.jitter.mul_f64(f64::from(self.rng.next_u32()) / f64::from(u32::MAX));
            self.serial += 1;
            let at = free + path.delay + jitter;
            self.way.insert((at, self.serial), (to, ports, bytes.clone().into()));
        }
    }

    fn drain(&mut self) {
        for at in [0, 1] {
            while let Some(out) = self.ends[at].streams.poll_output(self.now, true) {
                match out {
                    Out::Packet { to, ports, lane, bytes, .. } => {
                        assert_eq!(to, self.ends[1 - at].hash);
                        self.send(1 - at, lane, ports, bytes);
                    }
                    Out::Accepted { stream, remote } => {
                        assert_eq!(remote, self.ends[1 - at].hash);
                        self.ends[at].accepted.push(stream);
                    }
                    Out::Changed(_) => {}
                    Out::Pong(id) => self.ends[at].pongs.push(id),
                    Out::Suspicious(..) => self.ends[at].suspicions += 1,
                }
            }
        }
    }

    /// To the next event, or the end of so much time. False if there is nothing more.
    fn step(&mut self, until: Mono) -> bool {
        self.drain();
        let packet = self.way.keys().next().map(|(at, _)| *at);
        let timers = self.ends.iter().filter_map(|end| end.streams.poll_timeout());
        let Some(next) = packet.into_iter().chain(timers).min().filter(|next| *next <= until) else { return false };
        self.now = self.now.plus(next.saturating_sub(self.now.mono));
        self.ends.iter_mut().for_each(|end| end.streams.handle_timeout(self.now));
        while let Some(entry) = self.way.first_entry().filter(|entry| entry.key().0 <= self.now.mono) {
            let (to, ports, bytes) = entry.remove();
            let from = self.bound.then_some(self.ends[1 - to].hash);
            let _ = self.ends[to].streams.handle_packet(self.now, from, ports, &bytes);
        }
        true
    }

    fn run(&mut self, time: Duration) {
        let until = self.now.mono + time;
        while self.step(until) {}
        self.now = self.now.plus(until.saturating_sub(self.now.mono));
    }

    fn read(&mut self, at: usize, id: u32, into: &mut Vec<u8>) {
        while let Some(bytes) = self.ends[at].streams.read(self.now, id) {
            into.extend_from_slice(&bytes);
        }
    }

    fn stream(&self, at: usize, id: u32) -> &Stream {
        self.ends[at].streams.get(id).unwrap()
    }

    /// Sends so many bytes from the one that began, or the other, and how long it takes until all is read.
    fn transfer(&mut self, len: usize, from: usize) -> Duration {
        let id = self.connect();
        let began = self.now.mono;
        self.run(Duration::from_secs(3));
        let ids = [id, self.ends[1].accepted[0]];
        let data: Vec<u8> = (0..len).map(|i| (i * 7 + i / 251) as u8).collect();
        let (mut written, mut read) = (0, Vec::new());
        while read.len() < len {
            written += self.ends[from].streams.write(self.now, ids[from], &data[written..]);
            assert!(self.step(began + Duration::from_secs(3600)), "it does not go on after {} bytes", read.len());
            self.read(1 - from, ids[1 - from], &mut read);
        }
        assert!(read == data, "other bytes came");
        self.now.mono - began
    }
}

#[test]
fn the_first_packet_carries_data_and_the_answer_comes_after_one_round_trip() {
    let mut pair = Pair::new(QUIET, Config::default());
    let id = pair.connect();
    pair.ends[0].streams.write(pair.now, id, b"GET /");
    pair.run(Duration::from_millis(310));
    let other = pair.ends[1].accepted[0];
    let mut read = Vec::new();
    pair.read(1, other, &mut read);
    assert_eq!(read, b"GET /");
    pair.ends[1].streams.write(pair.now, other, b"200 OK");
    pair.run(Duration::from_millis(310));
    let mut read = Vec::new();
    pair.read(0, id, &mut read);
    assert_eq!(read, b"200 OK");
    assert_eq!(pair.ends[0].streams.stats().retransmitted, 0);
}

#[test]
fn either_side_may_close_first_and_both_are_forgotten_in_the_end() {
    for first in [0, 1] {
        let mut pair = Pair::new(QUIET, Config::default());
        let id = pair.connect();
        pair.run(Duration::from_secs(2));
        let ids = [id, pair.ends[1].accepted[0]];
        pair.ends[first].streams.write(pair.now, ids[first], b"the end");
        pair.ends[first].streams.close(pair.now, ids[first]);
        pair.run(Duration::from_secs(1));
        let mut read = Vec::new();
        pair.read(1 - first, ids[1 - first], &mut read);
        assert_eq!(read, b"the end");
        assert!(pair.stream(1 - first, ids[1 - first]).is_read_to_its_end());
        // What is said after the other side has closed arrives, too.
        pair.ends[1 - first].streams.write(pair.now, ids[1 - first], b"and more");
        pair.ends[1 - first].streams.close(pair.now, ids[1 - first]);
        pair.run(Duration::from_secs(40));
        let mut read = Vec::new();
        pair.read(first, ids[first], &mut read);
        assert_eq!(read, b"and more");
        for at in [0, 1] {
            assert_eq!(pair.stream(at, ids[at]).ended(), Some(End::Closed), "end {at}");
            pair.ends[at].streams.forget(ids[at]);
            assert!(pair.ends[at].streams.is_empty());
        }
    }
}

#[test]
fn a_stream_that_is_broken_off_ends_at_the_other_side() {
    let mut pair = Pair::new(QUIET, Config::default());
    let id = pair.connect();
    pair.run(Duration::from_secs(2));
    let other = pair.ends[1].accepted[0];
    pair.ends[1].streams.reset(other);
    pair.run(Duration::from_secs(1));
    assert_eq!(pair.stream(0, id).ended(), Some(End::Reset));
    assert_eq!(pair.stream(1, other).ended(), Some(End::Broken));
}

#[test]
fn who_closes_and_goes_is_sent_no_more_and_what_he_wrote_arrives() {
    let mut pair = Pair::new(QUIET, Config::default());
    let id = pair.connect();
    pair.run(Duration::from_secs(2));
    let other = pair.ends[1].accepted[0];
    let (now, mut sent, mut read) = (pair.now, 0, Vec::new());
    assert_eq!(pair.ends[0].streams.write(now, id, &[7; 100_000]), 100_000);
    pair.ends[0].streams.close(now, id);
    pair.ends[0].streams.desert(id);
    for _ in 0..20 {
        sent += pair.ends[1].streams.write(pair.now, other, &[8; 1 << 20]);
        pair.run(Duration::from_millis(500));
        while let Some(bytes) = pair.ends[1].streams.read(pair.now, other) {
            read.extend_from_slice(&bytes);
        }
    }
    assert_eq!(read, [7; 100_000]);
    assert_eq!(pair.stream(1, other).ended(), Some(End::Reset));
    assert!(sent < 10 << 20, "{sent}");
}

#[test]
fn who_answers_after_he_was_given_up_is_told_that_nobody_waits() {
    let mut pair = Pair::new(QUIET, Config::default());
    pair.connect_in_vain();
    pair.run(Duration::from_secs(2));
    let other = pair.ends[1].accepted[0];
    assert_eq!(pair.stream(1, other).ended(), Some(End::Reset));
    assert_eq!(pair.ends[1].suspicions, 0);
}

#[test]
fn a_flood_for_streams_that_there_are_not_is_answered_now_and_then() {
    let mut end = end(1, Config::default());
    let from = signer(2).destination.hash();
    let mut packet = Packet::new(7, 8, 3);
    packet.payload = Bytes::from_static(b"is there anybody?");
    let bytes = packet.to_bytes().unwrap().into();
    let refused = |end: &mut End2, from| end.streams.handle_packet(START, from, Ports::default(), &bytes);
    for _ in 0..1000 {
        assert_eq!(refused(&mut end, Some(from)), Err(Refused::Unknown));
    }
    assert_eq!(std::iter::from_fn(|| end.streams.poll_output(START, true)).count(), 64);
    let later = Now { mono: START.mono + Duration::from_secs(60), ..START };
    assert_eq!(end.streams.handle_packet(later, None, Ports::default(), &bytes), Err(Refused::Unknown));
    assert_eq!(end.streams.poll_output(later, true), None, "he may not be who he says");
}

#[test]
fn a_stream_that_nobody_answers_does_not_make_those_beside_it_change_their_way() {
    let mut pair = Pair::new(QUIET, Config::default());
    // Without a session nobody is told that a stream is not there.
    pair.bound = false;
    pair.connect_in_vain();
    pair.connect();
    pair.run(Duration::from_secs(2));
    let [lost, alive] = pair.ends[1].accepted[..] else { panic!("{:?}", pair.ends[1].accepted) };
    pair.ends[1].streams.write(pair.now, lost, b"is there anybody?");
    for _ in 0..60 {
        pair.ends[1].streams.write(pair.now, alive, b"on we go");
        pair.run(Duration::from_secs(1));
    }
    assert_eq!(pair.ends[1].suspicions, 0);
    // And yet the way is suspected when nothing arrives any more.
    pair.cut = true;
    pair.ends[1].streams.write(pair.now, alive, b"on we go");
    pair.run(Duration::from_secs(5));
    assert!(pair.ends[1].suspicions > 0);
}

#[test]
fn who_does_not_answer_is_given_up_in_time() {
    let mut pair = Pair::new(QUIET, Config::default());
    pair.cut = true;
    let id = pair.connect();
    pair.run(Duration::from_secs(61));
    assert_eq!(pair.stream(0, id).ended(), Some(End::Unreachable));
    assert!(pair.ends[0].suspicions >= 1);
}

#[test]
fn who_falls_silent_is_given_up_and_the_way_is_suspected_before() {
    let mut pair = Pair::new(QUIET, Config::default());
    let id = pair.connect();
    pair.run(Duration::from_secs(2));
    pair.cut = true;
    pair.ends[0].streams.write(pair.now, id, b"hello?");
    pair.run(Duration::from_secs(5));
    assert!(pair.ends[0].suspicions >= 1 && pair.stream(0, id).ended().is_none());
    pair.run(Duration::from_secs(600));
    assert_eq!(pair.stream(0, id).ended(), Some(End::TimedOut));
}

#[test]
fn who_only_receives_suspects_his_way_when_his_answers_do_not_arrive() {
    let mut pair = Pair::new(QUIET, Config::default());
    let id = pair.connect();
    pair.run(Duration::from_secs(2));
    pair.cut_to = Some(0);
    pair.ends[0].streams.write(pair.now, id, b"do you hear me?");
    pair.run(Duration::from_secs(8));
    assert!(pair.ends[1].suspicions >= 1);
    // Another way bears it.
    pair.cut_to = None;
    pair.run(Duration::from_secs(30));
    assert_eq!(pair.stream(0, id).room(), 256 * 1024);
}

#[test]
fn a_silent_stream_asks_and_lives_on_if_it_is_answered() {
    let mut pair = Pair::new(QUIET, Config::default());
    let id = pair.connect();
    pair.run(Duration::from_secs(1000));
    assert!(pair.stream(0, id).ended().is_none());
    pair.cut = true;
    pair.run(Duration::from_secs(1000));
    assert_eq!(pair.stream(0, id).ended(), Some(End::TimedOut));
}

#[test]
fn a_reader_that_does_not_read_stops_the_sender_and_loses_nothing() {
    let config = Config { receive_buffer: 50_000, ..Config::default() };
    let mut pair = Pair::new(QUIET, config);
    let id = pair.connect();
    pair.run(Duration::from_secs(2));
    let other = pair.ends[1].accepted[0];
    let data: Vec<u8> = (0..250_000).map(|i| (i / 3) as u8).collect();
    assert_eq!(pair.ends[0].streams.write(pair.now, id, &data), data.len());
    pair.run(Duration::from_secs(60));
    assert!(pair.stream(0, id).room() < 150_000, "most of it is still here");
    let mut read = Vec::new();
    for _ in 0..200 {
        pair.read(1, other, &mut read);
        pair.run(Duration::from_secs(1));
    }
    assert!(read == data, "{} bytes", read.len());
}

#[test]
fn an_answer_whose_first_packet_is_lost_is_there_before_the_other_side_gives_it_up() {
    let mut pair = Pair::new(QUIET, Config::default());
    let id = pair.connect();
    pair.run(Duration::from_millis(325));
    let other = pair.ends[1].accepted[0];
    pair.ends[1].streams.write(pair.now, other, &[7; 15_000]);
    pair.run(Duration::from_millis(20));
    assert_eq!(pair.way.len(), 2, "i2pd ends a stream when two packets come before the first");
    pair.way.pop_first();
    pair.run(Duration::from_millis(380));
    let mut read = Vec::new();
    pair.read(0, id, &mut read);
    assert!((3_000..4_000).contains(&read.len()), "{}", read.len());
    pair.run(Duration::from_secs(1));
    pair.read(0, id, &mut read);
    assert_eq!(read.len(), 15_000);
}

#[test]
fn a_reset_has_the_number_that_the_other_side_waits_for() {
    let mut pair = Pair::new(QUIET, Config::default());
    let id = pair.connect();
    pair.ends[0].streams.write(pair.now, id, b"hello");
    pair.run(Duration::from_secs(2));
    pair.ends[0].streams.reset(id);
    pair.drain();
    let (_, _, bytes) = pair.way.pop_first().unwrap().1;
    let packet = Packet::parse(&bytes, Some(signer(1).destination.signing_type())).unwrap();
    assert!(packet.has(flag::RESET));
    assert_eq!(packet.sequence, 1, "one packet went before it");
}

#[test]
fn packets_of_strangers_and_forged_ones_change_nothing() {
    let mut pair = Pair::new(QUIET, Config::default());
    let id = pair.connect();
    pair.ends[0].streams.write(pair.now, id, b"hello");
    pair.run(Duration::from_millis(100));
    let (ports, first) = pair.way.values().next().map(|(_, ports, bytes)| (*ports, bytes.clone())).unwrap();
    let (alice, stranger) = (pair.ends[0].hash, signer(7).destination.hash());
    let mut third = end(3, Config::default());
    assert_eq!(third.streams.handle_packet(START, None, ports, &first), Err(Refused::WrongTarget));
    let bob = &mut pair.ends[1].streams;
    assert_eq!(bob.handle_packet(START, Some(stranger), ports, &first), Err(Refused::WrongSender));
    let mut forged = first.to_vec();
    let at = forged.len() - 1;
    forged[at] ^= 1;
    assert_eq!(bob.handle_packet(START, None, ports, &forged.into()), Err(Refused::BadSignature));
    assert_eq!(bob.handle_packet(START, Some(alice), ports, &first.slice(..21)), Err(Refused::Malformed));
    assert!(bob.is_empty());
    assert_eq!(bob.handle_packet(START, None, ports, &first), Ok(()), "its signature alone is enough");
    let reset = |key: u8, stream: u32| {
        let mut packet = Packet::new(stream, 0, 0);
        packet.flags = flag::RESET;
        Bytes::from(packet.sign(&SigningKey::from_seed([key; 32])).unwrap())
    };
    while bob.poll_output(START, true).is_some() {}
    let stream = *bob.entries.keys().next().unwrap();
    assert_eq!(bob.handle_packet(START, None, ports, &reset(7, stream)), Err(Refused::BadSignature));
    assert_eq!(bob.get(stream).unwrap().ended(), None);
    assert_eq!(bob.handle_packet(START, None, ports, &reset(1, stream)), Ok(()));
    assert_eq!(bob.get(stream).unwrap().ended(), Some(End::Reset));
}

#[test]
fn a_ping_is_answered_by_whoever_can_be_called_and_not_too_often() {
    let mut pinger = signer(1);
    let ping = |from: &Signer, length: usize| {
        let mut packet = Packet::new(77, 0, 0);
        packet.flags = flag::ECHO | flag::FROM | flag::SIGNATURE | flag::NO_ACK;
        packet.from = Some(from.destination.clone());
        packet.payload = vec![5; length].into();
        Bytes::from(packet.sign(&from.key).unwrap())
    };
    let mut bob = end(2, Config::default()).streams;
    let ports = Ports { from: 1, to: 2 };
    assert_eq!(bob.handle_packet(START, None, ports, &ping(&pinger, 40)), Ok(()));
    let Some(Out::Packet { to, ports: back, bytes, .. }) = bob.poll_output(START, true) else { panic!("no answer") };
    let pong = Packet::parse(&bytes.into(), None).unwrap();
    assert_eq!((to, back), (pinger.destination.hash(), Ports { from: 2, to: 1 }));
    assert_eq!((pong.send_stream, pong.receive_stream, pong.payload.len()), (0, 77, 32));
    assert!(pong.has(flag::ECHO) && pong.from.is_none());
    let again = Bytes::from(pong.to_bytes().unwrap());
    assert_eq!(bob.handle_packet(START, None, ports, &again), Err(Refused::Unknown), "an answer is not answered");
    let answered = (0..100).filter(|_| bob.handle_packet(START, None, ports, &ping(&pinger, 0)).is_ok()).count();
    assert_eq!(answered, 15);
    pinger.key = SigningKey::from_seed([9; 32]).into();
    let later = START.plus(Duration::from_secs(60));
    assert_eq!(bob.handle_packet(later, None, ports, &ping(&pinger, 0)), Err(Refused::BadSignature));
    let mut deaf = Streams::new(Config::default(), Limits::default(), signer(3), false, [3; 32]);
    assert_eq!(deaf.handle_packet(START, None, ports, &ping(&signer(1), 0)), Err(Refused::NotListening));
}

#[test]
fn a_ping_of_ours_is_answered_once_and_by_nobody_else() {
    let mut pair = Pair::new(QUIET, Config::default());
    let remote = pair.ends[1].hash;
    let id = pair.ends[0].streams.ping(remote);
    pair.run(Duration::from_secs(1));
    assert_eq!((&pair.ends[0].pongs, pair.ends[1].streams.stats().pongs), (&vec![id], 1));
    let id = pair.ends[0].streams.ping(remote);
    let mut pong = Packet::new(0, id, 0);
    pong.flags = flag::ECHO | flag::NO_ACK;
    let pong = Bytes::from(pong.to_bytes().unwrap());
    let us = &mut pair.ends[0].streams;
    let other = Some(DestinationHash([9; 32]));
    assert_eq!(us.handle_packet(START, other, Ports::default(), &pong), Err(Refused::WrongSender));
    assert_eq!(us.handle_packet(START, Some(remote), Ports::default(), &pong), Ok(()));
    assert_eq!(us.handle_packet(START, Some(remote), Ports::default(), &pong), Err(Refused::Unknown));
    (0..100).for_each(|_| _ = us.ping(remote));
    assert_eq!(us.asked.len(), ASKED);
}

#[test]
fn so_many_streams_and_no_more() {
    let us = signer(2);
    let limits = Limits { streams: 5, per_remote: 3, ..Limits::default() };
    let mut streams = Streams::new(Config::default(), limits, us, true, [2; 32]);
    let count = |streams: &mut Streams, remote| {
        (0..9).filter(|_| streams.connect(START, DestinationHash([remote; 32]), Ports::default()).is_some()).count()
    };
    assert_eq!((count(&mut streams, 1), count(&mut streams, 2), count(&mut streams, 3)), (3, 2, 0));
}

#[test]
fn a_far_path_with_losses_and_overtaking_is_used_well() {
    let far = Path { rate: 3e6, ..QUIET };
    for (loss, seconds) in [(0, 24), (5, 24), (20, 26)] {
        for from in [0, 1] {
            let path = Path { loss, jitter: Duration::from_millis(20), ..far };
            let time = Pair::new(path, Config::default()).transfer(30_000_000, from);
            assert!(time < Duration::from_secs(seconds), "{time:?} at {loss} of 1000, from {from}");
        }
    }
}

#[test]
fn fifty_streams_share_a_path_evenly() {
    let path = Path { rate: 2e6, ..QUIET };
    let mut pair = Pair::new(path, Config::default());
    let ids: Vec<u32> = (0..50).map(|_| pair.connect()).collect();
    pair.run(Duration::from_secs(2));
    let data = vec![1; 1_000_000];
    for _ in 0..150 {
        for id in &ids {
            pair.ends[0].streams.write(pair.now, *id, &data);
        }
        pair.run(Duration::from_millis(100));
    }
    let accepted = pair.ends[1].accepted.clone();
    let got: Vec<f64> = accepted
        .into_iter()
        .map(|id| {
            let mut read = Vec::new();
            pair.read(1, id, &mut read);
            read.len() as f64
        })
        .collect();
    let (sum, squares) = (got.iter().sum::<f64>(), got.iter().map(|x| x * x).sum::<f64>());
    let jain = sum * sum / (got.len() as f64 * squares);
    assert!(got.len() == 50 && sum > 15e6 && jain > 0.8, "{sum} bytes, Jain {jain}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Whatever the path does short of cutting: each side reads what the other wrote, and then the end.
    #[test]
    fn both_sides_read_what_the_other_wrote_and_then_the_end(
        delay in 1u64..800,
        jitter in 0u64..400,
        loss in 0u32..150,
        repeat in 0u32..200,
        bound in any::<bool>(),
        writes in prop::collection::vec((0usize..2, 0usize..20_000, 0u64..2000), 1..30),
    ) {
        let ms = Duration::from_millis;
        let path = Path { delay: ms(delay), jitter: ms(jitter), loss, repeat, rate: 1e7 };
        let config = Config { max_transmissions: 100, connect_timeout: Duration::from_secs(1000), ..Config::default() };
        let mut pair = Pair::new(path, config);
        pair.bound = bound;
        let id = pair.connect();
        let mut waited = 0;
        while pair.ends[1].accepted.is_empty() {
            pair.run(Duration::from_secs(1));
            waited += 1;
            prop_assert!(waited < 900);
        }
        let ids = [id, pair.ends[1].accepted[0]];
        let (mut wrote, mut read) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
        for (n, (at, len, pause)) in writes.into_iter().enumerate() {
            let data: Vec<u8> = (0..len).map(|i| (i + n * 31) as u8).collect();
            let taken = pair.ends[at].streams.write(pair.now, ids[at], &data);
            wrote[at].extend_from_slice(&data[..taken]);
            pair.run(ms(pause));
            for at in [0, 1] {
                pair.read(at, ids[at], &mut read[at]);
            }
        }
        for at in [0, 1] {
            pair.ends[at].streams.close(pair.now, ids[at]);
        }
        for _ in 0..600 {
            pair.run(Duration::from_secs(1));
            for at in [0, 1] {
                pair.read(at, ids[at], &mut read[at]);
            }
            if [0, 1].iter().all(|at| pair.stream(*at, ids[*at]).is_done()) {
                break;
            }
        }
        prop_assert!(read[0] == wrote[1] && read[1] == wrote[0]);
        for at in [0, 1] {
            prop_assert!(pair.stream(at, ids[at]).is_read_to_its_end());
            prop_assert!(pair.stream(at, ids[at]).is_done());
        }
    }

    #[test]
    fn arbitrary_packets_are_survived(packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 1..20)) {
        let mut pair = Pair::new(QUIET, Config::default());
        let id = pair.connect();
        pair.run(Duration::from_secs(2));
        let from = pair.ends[1].hash;
        for mut bytes in packets {
            if let Some(head) = bytes.first_chunk_mut::<4>() {
                *head = id.to_be_bytes();
            }
            let _ = pair.ends[0].streams.handle_packet(pair.now, Some(from), Ports::default(), &bytes.into());
            pair.drain();
        }
        prop_assert!(pair.ends[0].streams.len() == 1);
    }
}

#[test]
fn two_hundred_streams_that_begin_at_once_are_modest_until_something_is_known() {
    let mut pair = Pair::new(QUIET, Config::default());
    let ids: Vec<u32> = (0..200).map(|_| pair.connect()).collect();
    let bytes = vec![7; 50_000];
    for id in &ids {
        assert_eq!(pair.ends[0].streams.write(pair.now, *id, &bytes), bytes.len());
        pair.ends[0].streams.close(pair.now, *id);
    }
    // The first packets are answered, and what follows them is not yet.
    pair.run(Duration::from_millis(800));
    let sent = pair.ends[0].streams.stats().sent;
    assert!((400..=1000).contains(&sent), "{sent} packets: each alone would have sent eleven");
    pair.run(Duration::from_secs(20));
    let all = |id: &u32| pair.ends[0].streams.get(*id).is_none_or(|stream| !stream.is_busy());
    assert!(ids.iter().all(all), "all have come");
}

#[test]
fn a_first_packet_is_sent_again_soon_where_the_round_trip_is_known() {
    let mut pair = Pair::new(QUIET, Config::default());
    let before = pair.connect();
    pair.ends[0].streams.write(pair.now, before, b"hello");
    pair.run(Duration::from_secs(2));
    pair.cut = true;
    let id = pair.connect();
    pair.run(Duration::from_secs(1));
    pair.cut = false;
    pair.run(Duration::from_secs(3));
    assert!(pair.ends[0].streams.get(id).is_some_and(Stream::is_connected));
}

#[test]
fn streams_that_are_done_take_nobodys_place_and_are_not_remembered_without_end() {
    let limits = Limits { streams: 10, per_remote: 4, ..Limits::default() };
    let mut pair = Pair::new(Path { delay: Duration::from_millis(5), ..QUIET }, Config::default());
    pair.ends.iter_mut().for_each(|end| end.streams.limits = limits);
    for _ in 0..30 {
        let id = pair.connect();
        pair.ends[0].streams.close(pair.now, id);
        pair.run(Duration::from_millis(100));
        let theirs = pair.ends[1].accepted.last().copied().unwrap();
        pair.ends[1].streams.close(pair.now, theirs);
        pair.run(Duration::from_millis(200));
        for end in &mut pair.ends {
            end.streams.ended().into_iter().for_each(|id| end.streams.forget(id));
            assert!(end.streams.len() <= 11, "{} are remembered", end.streams.len());
        }
    }
    assert_eq!(pair.ends[1].accepted.len(), 30);
}

#[test]
fn a_stream_that_both_have_closed_is_done_even_if_the_end_is_never_acknowledged() {
    let mut pair = Pair::new(QUIET, Config::default());
    let id = pair.connect();
    pair.ends[0].streams.write(pair.now, id, b"hello");
    pair.run(Duration::from_secs(2));
    pair.ends[0].streams.close(pair.now, id);
    pair.run(Duration::from_secs(2));
    pair.cut_to = Some(0);
    let theirs = pair.ends[1].accepted[0];
    pair.ends[1].streams.close(pair.now, theirs);
    pair.run(Duration::from_millis(500));
    assert!(!pair.ends[1].streams.get(theirs).unwrap().is_done());
    pair.run(Duration::from_secs(120));
    assert!(pair.ends[1].streams.get(theirs).unwrap().is_done());
    let before = pair.ends[1].streams.stats().sent;
    pair.run(Duration::from_secs(60));
    assert_eq!(pair.ends[1].streams.stats().sent, before, "it is not said for ever");
}

#[test]
fn streams_whose_end_alone_is_not_acknowledged_take_nobodys_place_and_nothing_of_the_way() {
    let mut pair = Pair::new(QUIET, Config::default());
    pair.ends[1].streams.limits = Limits { streams: 10, per_remote: 4, ..Limits::default() };
    let ids: Vec<u32> = (0..4).map(|_| pair.connect()).collect();
    for id in &ids {
        pair.ends[0].streams.write(pair.now, *id, b"hello");
    }
    pair.run(Duration::from_secs(2));
    assert_eq!(pair.ends[1].accepted.len(), 4);
    ids.iter().for_each(|id| pair.ends[0].streams.close(pair.now, *id));
    pair.run(Duration::from_millis(500));
    pair.cut_to = Some(0);
    let theirs = pair.ends[1].accepted.clone();
    theirs.iter().for_each(|id| pair.ends[1].streams.close(pair.now, *id));
    pair.run(Duration::from_millis(5));
    for id in theirs {
        let stream = pair.stream(1, id);
        assert!(!stream.is_done() && stream.is_over() && !stream.is_busy());
    }
    pair.cut_to = None;
    let fifth = pair.connect();
    pair.ends[0].streams.write(pair.now, fifth, b"hello");
    pair.run(Duration::from_millis(400));
    assert_eq!(pair.ends[1].accepted.len(), 5);
}

#[test]
fn an_end_that_is_lost_on_a_short_way_is_sent_again_after_two_round_trips() {
    let mut pair = Pair::new(Path { delay: Duration::from_millis(20), ..QUIET }, Config::default());
    let id = pair.connect();
    pair.ends[0].streams.write(pair.now, id, &[1; 20_000]);
    pair.run(Duration::from_secs(2));
    let theirs = pair.ends[1].accepted[0];
    let mut read = Vec::new();
    pair.read(1, theirs, &mut read);
    assert_eq!(read.len(), 20_000);
    pair.ends[0].streams.write(pair.now, id, &[2; 3_000]);
    pair.cut = true;
    pair.run(Duration::from_millis(30));
    pair.cut = false;
    pair.run(Duration::from_millis(250));
    pair.read(1, theirs, &mut read);
    assert_eq!(read.len(), 23_000);
    assert_eq!(pair.stream(0, id).figures().2, 2, "each of the two once more");
}

#[test]
fn an_answer_that_is_lost_is_sent_again_soon_where_the_round_trip_is_known() {
    let mut pair = Pair::new(Path { delay: Duration::from_millis(20), ..QUIET }, Config::default());
    let id = pair.connect();
    pair.ends[0].streams.write(pair.now, id, b"hello");
    pair.run(Duration::from_secs(1));
    let first = pair.ends[1].accepted[0];
    pair.ends[1].streams.write(pair.now, first, b"answer");
    pair.run(Duration::from_secs(1));
    let second = pair.connect();
    pair.ends[0].streams.write(pair.now, second, b"hello");
    pair.cut_to = Some(0);
    pair.run(Duration::from_millis(100));
    pair.cut_to = None;
    let theirs = pair.ends[1].accepted[1];
    assert!(!pair.stream(0, second).is_connected());
    pair.ends[1].streams.write(pair.now, theirs, b"answer");
    pair.run(Duration::from_millis(1_100));
    assert!(pair.stream(0, second).is_connected());
}
