//! Whole tunnel builds over simulated hops: creator, hops and answer, in both forms and both directions, and then
//! cells through the tunnels that came of them.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use proptest::prelude::*;
use ramson_crypto::tunnel::{decrypt_batch, encrypt_batch};
use ramson_crypto::x25519::SecretKey;
use ramson_protocol::garlic::clove::{Block, blocks};
use ramson_protocol::garlic::noise_n::StaticKey;
use ramson_protocol::garlic::one_time::Pending;
use ramson_protocol::i2np;
use ramson_protocol::i2np::{Message, MessageType};
use ramson_protocol::id::{RouterHash, TunnelId};
use ramson_protocol::time::{Now, Wall};
use ramson_protocol::tunnel::build::{self, BuildError, Config, HopSpec, Outcome, Path, Started, Verdict};
use ramson_protocol::tunnel::fragment::Packer;
use ramson_protocol::tunnel::hop::{self, Answer, Answered, Receipt, TransitHop, Unanswered};
use ramson_protocol::tunnel::reassembly::{Limits, Reassembler};
use ramson_protocol::tunnel::record::{Bandwidth, Form};
use ramson_protocol::tunnel::replay::ReplayFilter;
use ramson_protocol::tunnel::{Delivery, Direction, Role};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use std::time::Duration;

const US: RouterHash = RouterHash([0xaa; 32]);
const REPLY_GATEWAY: RouterHash = RouterHash([0xbb; 32]);
const REPLY_TUNNEL: TunnelId = TunnelId(4711);
const RECEIVE: TunnelId = TunnelId(815);

fn start_time() -> Now {
    Now { mono: Duration::from_secs(1000), wall: Wall(1_790_000_000_000) }
}

struct World {
    routers: Vec<(RouterHash, StaticKey)>,
    rng: ChaCha20Rng,
    now: Now,
}

/// What a build came to, with the hops as they were installed.
struct Built {
    outcome: Outcome,
    installed: Vec<Option<TransitHop>>,
}

impl World {
    fn new(routers: usize) -> Self {
        let router = |n: usize| {
            let tag = n as u8 + 1;
            (RouterHash([tag; 32]), StaticKey::new(SecretKey::from_bytes([tag; 32])))
        };
        Self { routers: (0..routers).map(router).collect(), rng: ChaCha20Rng::from_seed([7; 32]), now: start_time() }
    }

    fn start(&mut self, form: Form, direction: Direction, bandwidth: Bandwidth) -> Started {
        let hops: Vec<_> = self.routers.iter().map(|(hash, key)| HopSpec { hash: *hash, key: key.public() }).collect();
        let path = match direction {
            Direction::Inbound => Path::Inbound { receive: RECEIVE, wrap: true },
            Direction::Outbound => Path::Outbound { reply_gateway: REPLY_GATEWAY, reply_tunnel: REPLY_TUNNEL },
        };
        let config = Config { us: US, form, hops: &hops, path, bandwidth };
        build::start(&config, self.now, &mut self.rng).unwrap()
    }

    fn answer(&mut self, at: usize, from: Option<RouterHash>, message: &Message, answer: Answer) -> Answered {
        let (us, ours) = &self.routers[at];
        let found = hop::find(message.kind, &message.body, us).unwrap();
        let cx = Receipt { ours, us, from, now: self.now.wall };
        let opened = hop::open(found, message.body.to_vec(), &cx).unwrap();
        opened.answer(answer, self.now.wall, &mut self.rng).unwrap()
    }

    /// Carries the message from hop to hop; `tamper` may change what hop `n` sends on.
    fn run(
        &mut self,
        started: Started,
        answers: &[Answer],
        mut tamper: impl FnMut(usize, &mut Vec<u8>),
    ) -> Result<Built, &'static str> {
        let Started { build, to, mut message } = started;
        assert_eq!(to, self.routers[0].0);
        if message.kind == MessageType::Garlic {
            message = unwrap_for_gateway(&self.routers[0].1, &message);
        }
        let (mut installed, mut from) = (Vec::new(), None);
        for (at, answer) in answers.iter().enumerate() {
            let answered = self.answer(at, from, &message, *answer);
            from = Some(self.routers[at].0);
            let last = at + 1 == answers.len();
            if !last {
                assert_eq!(answered.to, self.routers[at + 1].0);
            }
            installed.push(answered.hop);
            message = answered.message;
            let mut body = message.body.to_vec();
            tamper(at, &mut body);
            message.body = body.into();
        }
        if message.kind == MessageType::TunnelGateway {
            assert_eq!(message.body[..4], REPLY_TUNNEL.0.to_be_bytes());
            message = Message::from_std(&message.body.slice(6..)).map_err(|_| "bad TunnelGateway")?;
        }
        if let Some(key) = build.reply_key() {
            let mut pending = Pending::new(8);
            pending.insert(key, Duration::MAX, ());
            let mut data = i2np::garlic::parse(&message.body).map_err(|_| "bad garlic")?.to_vec();
            let (payload, ()) = pending.open(&mut data).ok_or("no garlic of ours")?;
            message = only_clove(payload);
        }
        assert_eq!(message.id, build.reply_id());
        assert!(build.is_answer(message.kind));
        let outcome = build.finish(message.body.to_vec()).map_err(|_| "not an answer")?;
        Ok(Built { outcome, installed })
    }
}

fn unwrap_for_gateway(key: &StaticKey, message: &Message) -> Message {
    let mut data = i2np::garlic::parse(&message.body).unwrap().to_vec();
    let (payload, _) = key.open(&mut data).unwrap();
    assert!(matches!(blocks(payload).next(), Some(Ok(Block::DateTime(_)))));
    only_clove(payload)
}

fn only_clove(payload: &[u8]) -> Message {
    let clove = blocks(payload).find_map(|block| match block.unwrap() {
        Block::Clove(clove) => Some(clove),
        _ => None,
    });
    let clove = clove.unwrap();
    let header = clove.header;
    Message { kind: header.kind, id: header.id, expiration: header.expiration, body: clove.body.to_vec().into() }
}

const YES: Answer = Answer::Accept { bandwidth: None };

fn all_kinds() -> impl Iterator<Item = (Form, Direction, usize)> {
    [Form::Short, Form::Long].into_iter().flat_map(|form| {
        [Direction::Inbound, Direction::Outbound].into_iter().flat_map(move |direction| {
            let most = if direction == Direction::Inbound { 7 } else { 8 };
            (1..=most).map(move |hops| (form, direction, hops))
        })
    })
}

#[test]
fn tunnels_of_every_length_form_and_direction_are_built_and_carry_messages() {
    for (form, direction, hops) in all_kinds() {
        let mut world = World::new(hops);
        let started = world.start(form, direction, Bandwidth::default());
        let built = world.run(started, &vec![YES; hops], |_, _| ()).unwrap();
        let tunnel = built.outcome.tunnel.unwrap_or_else(|| panic!("{form:?} {direction:?} {hops}"));
        assert_eq!((tunnel.direction, tunnel.hops.len()), (direction, hops));
        assert_eq!(tunnel.expires(), world.now.mono + Duration::from_secs(600));

        // Each hop holds what the creator gave it, and points to the next.
        let transit: Vec<TransitHop> = built.installed.into_iter().map(Option::unwrap).collect();
        for (k, (ours, theirs)) in tunnel.hops.iter().zip(&transit).enumerate() {
            assert_eq!((ours.receive, &ours.keys), (theirs.receive, &theirs.keys));
            let next = tunnel.hops.get(k + 1).map(|hop| (hop.hash, hop.receive));
            let (role, next) = match (direction, k, next) {
                (Direction::Outbound, _, None) => (Role::OutboundEndpoint, None),
                (Direction::Inbound, 0, next) => (Role::InboundGateway, next.or(Some((US, RECEIVE)))),
                (_, _, next) => (Role::Participant, next.or(Some((US, RECEIVE)))),
            };
            assert_eq!((theirs.role, theirs.next), (role, next));
        }
        carry(direction, &tunnel.ciphers(), &transit);
    }
}

/// A message through the tunnel: the creator undoes all hops before sending, or after receiving.
fn carry(direction: Direction, ours: &[ramson_crypto::tunnel::LayerCipher], hops: &[TransitHop]) {
    let (mut rng, mut cells, mut packer) = (ChaCha20Rng::from_seed([1; 32]), Vec::new(), Packer::new());
    let (to, message) = (Delivery::Tunnel(RouterHash([9; 32]), TunnelId(10)), vec![42; 2500]);
    packer.push(&to, &message, &mut rng, &mut cells).unwrap();
    packer.flush(&mut rng, &mut cells).unwrap();
    let undo = |cells: &mut Vec<[u8; 1024]>| {
        for cipher in ours.iter().rev() {
            decrypt_batch(&mut cells.iter_mut().map(|cell| (cipher, cell)).collect::<Vec<_>>());
        }
    };
    if direction == Direction::Outbound {
        undo(&mut cells);
    }
    for hop in hops {
        let cipher = hop.keys.cipher();
        encrypt_batch(&mut cells.iter_mut().map(|cell| (&cipher, cell)).collect::<Vec<_>>());
    }
    if direction == Direction::Inbound {
        undo(&mut cells);
    }
    let (mut endpoint, mut got) = (Reassembler::new(Limits::default()), Vec::new());
    for cell in &cells {
        endpoint.cell(Duration::ZERO, cell, |to, m| got.push((to, m.into_owned()))).unwrap();
    }
    assert_eq!(got, [(to, message)]);
}

#[test]
fn one_hop_that_declines_is_named_and_there_is_no_tunnel() {
    for (form, direction, hops) in all_kinds().filter(|(_, _, hops)| *hops <= 4) {
        for refuses in 0..hops {
            let mut world = World::new(hops);
            let started = world.start(form, direction, Bandwidth::default());
            let mut answers = vec![YES; hops];
            answers[refuses] = Answer::Refuse;
            let built = world.run(started, &answers, |_, _| ()).unwrap();
            assert!(built.outcome.tunnel.is_none());
            for (k, (hash, verdict)) in built.outcome.verdicts.into_iter().enumerate() {
                let want = if k == refuses { Verdict::Refused(30) } else { Verdict::Accepted { bandwidth: None } };
                assert_eq!((hash, verdict), (world.routers[k].0, want));
                assert_eq!(built.installed[k].is_none(), k == refuses);
            }
        }
    }
}

#[test]
fn bandwidth_is_answered_if_asked_and_the_limit_reaches_the_gateway_only() {
    let asked = Bandwidth { minimum: Some(10), requested: Some(50), limit: Some(90) };
    for (direction, asked) in [Direction::Inbound, Direction::Outbound].into_iter().flat_map(|d| {
        [(d, asked), (d, Bandwidth::default()), (d, Bandwidth { limit: Some(90), ..Bandwidth::default() })]
    }) {
        let mut world = World::new(3);
        let started = world.start(Form::Short, direction, asked);
        let answers = [20, 15, 30].map(|b| Answer::Accept { bandwidth: Some(b) });
        let built = world.run(started, &answers, |_, _| ()).unwrap();
        let tunnel = built.outcome.tunnel.unwrap();
        assert_eq!(tunnel.bandwidth(), asked.wants_answer().then_some(15));
        let limits: Vec<_> = built.installed.iter().map(|hop| hop.as_ref().unwrap().limit).collect();
        let gateway = asked.limit.filter(|_| direction == Direction::Inbound);
        assert_eq!(limits, [gateway, None, None]);
    }
}

#[test]
fn a_change_to_any_record_on_the_way_never_yields_a_tunnel() {
    for (form, direction) in
        [(Form::Short, Direction::Inbound), (Form::Short, Direction::Outbound), (Form::Long, Direction::Inbound)]
    {
        let record_len = form.record_len();
        for record in 0..4 {
            for at in [0, 20, 100, record_len - 1] {
                let mut world = World::new(3);
                let started = world.start(form, direction, Bandwidth::default());
                let change = 1 + record * record_len + at;
                // The last hop changes what it sends on; in an outbound build that is garlic, which then is not opened.
                let built = world.run(started, &[YES; 3], |hop, body| {
                    if hop == 2 {
                        let headers = if direction == Direction::Outbound { 40 } else { 0 };
                        body[headers + change] ^= 1;
                    }
                });
                if let Ok(built) = built {
                    let fine = built.outcome.verdicts.iter().all(|(_, v)| matches!(v, Verdict::Accepted { .. }));
                    assert_eq!(built.outcome.tunnel.is_some(), fine);
                    // Only a made-up record may change unseen; an inbound build of three hops has none but our own.
                    assert!(!fine, "{form:?} {direction:?} record {record} byte {at}");
                }
            }
        }
    }
}

fn single(world: &mut World, role_direction: Direction) -> (Message, RouterHash) {
    let started = world.start(Form::Short, role_direction, Bandwidth::default());
    let message = match started.message.kind {
        MessageType::Garlic => unwrap_for_gateway(&world.routers[0].1, &started.message),
        _ => started.message,
    };
    (message, world.routers[0].0)
}

fn open_at(world: &World, message: &Message, from: Option<RouterHash>, now: Wall) -> Result<hop::Opened, Unanswered> {
    let (us, ours) = &world.routers[0];
    let found = hop::find(message.kind, &message.body, us)?;
    hop::open(found, message.body.to_vec(), &Receipt { ours, us, from, now })
}

#[test]
fn requests_are_taken_from_five_minutes_ahead_to_eight_minutes_old() {
    let mut world = World::new(2);
    // On a whole minute, so that the bounds are exact.
    world.now.wall = Wall(29_833_000 * 60_000);
    let (message, _) = single(&mut world, Direction::Outbound);
    let made = world.now.wall;
    let at = |secs: i64| {
        let now = Wall((made.0 as i64 + secs * 1000) as u64);
        open_at(&world, &message, None, now).err()
    };
    assert_eq!(at(8 * 60), None);
    assert_eq!(at(8 * 60 + 1), Some(Unanswered::TooOld));
    assert_eq!(at(-5 * 60), None);
    assert_eq!(at(-5 * 60 - 1), Some(Unanswered::TooFarAhead));
}

#[test]
fn a_participant_between_one_router_and_itself_is_refused_but_a_gateway_is_not() {
    let mut world = World::new(3);
    let next = world.routers[1].0;
    let (outbound, _) = single(&mut world, Direction::Outbound);
    assert_eq!(open_at(&world, &outbound, Some(next), world.now.wall).err(), Some(Unanswered::NextIsPrevious));
    assert!(open_at(&world, &outbound, Some(world.routers[2].0), world.now.wall).is_ok());
    let (inbound, _) = single(&mut world, Direction::Inbound);
    assert!(open_at(&world, &inbound, Some(next), world.now.wall).is_ok());
    // Ourselves as the next hop.
    let mut world = World::new(1);
    world.routers.push((RouterHash([1; 32]), StaticKey::new(SecretKey::from_bytes([1; 32]))));
    let (twice, _) = single(&mut world, Direction::Outbound);
    let err = open_at(&world, &twice, None, world.now.wall).err();
    assert!(matches!(err, Some(Unanswered::NextIsUs | Unanswered::BadRecord(_))), "{err:?}");
}

#[test]
fn an_endpoint_may_be_the_gateway_of_its_own_reply_tunnel() {
    let mut world = World::new(1);
    world.routers[0] = (REPLY_GATEWAY, StaticKey::new(SecretKey::from_bytes([1; 32])));
    let (message, _) = single(&mut world, Direction::Outbound);
    let opened = open_at(&world, &message, None, world.now.wall).unwrap();
    let answered = opened.answer(YES, world.now.wall, &mut world.rng).unwrap();
    assert_eq!((answered.to, answered.message.kind), (REPLY_GATEWAY, MessageType::TunnelGateway));
}

#[test]
fn a_replayed_build_is_recognised_before_the_mathematics() {
    let mut world = World::new(2);
    let mut filter = ReplayFilter::new(1000, [1, 2], world.now.mono);
    let (message, us) = single(&mut world, Direction::Outbound);
    let found = hop::find(message.kind, &message.body, &us).unwrap();
    assert!(!filter.contains(&found.ephemeral));
    open_at(&world, &message, None, world.now.wall).unwrap();
    assert!(filter.insert(world.now.mono, &found.ephemeral));
    let again = hop::find(message.kind, &message.body, &us).unwrap();
    assert!(filter.contains(&again.ephemeral));
}

#[test]
fn messages_that_are_not_for_us_or_not_builds_are_dropped() {
    let mut world = World::new(1);
    let (message, us) = single(&mut world, Direction::Outbound);
    assert_eq!(hop::find(message.kind, &message.body, &RouterHash([0x77; 32])), Err(Unanswered::NoRecord));
    assert_eq!(hop::find(MessageType::Data, &message.body, &us), Err(Unanswered::NotABuild));
    let wrong_form = hop::find(MessageType::VariableTunnelBuild, &message.body, &us);
    assert!(matches!(wrong_form, Err(Unanswered::Malformed(_))));
    assert!(matches!(hop::find(message.kind, &[], &us), Err(Unanswered::Malformed(_))));
}

#[test]
fn a_build_without_hops_or_with_too_many_is_refused() {
    let mut world = World::new(9);
    let hops: Vec<_> = world.routers.iter().map(|(hash, key)| HopSpec { hash: *hash, key: key.public() }).collect();
    let outbound = Path::Outbound { reply_gateway: REPLY_GATEWAY, reply_tunnel: REPLY_TUNNEL };
    let inbound = Path::Inbound { receive: RECEIVE, wrap: false };
    let mut try_build = |hops: &[HopSpec], path| {
        let config = Config { us: US, form: Form::Short, hops, path, bandwidth: Bandwidth::default() };
        build::start(&config, world.now, &mut world.rng)
            .map(|s| s.message.body.len())
            .map_err(|e| matches!(e, BuildError::TooManyHops))
    };
    assert_eq!(try_build(&[], outbound), Err(false));
    assert_eq!(try_build(&hops, outbound), Err(true));
    assert_eq!(try_build(&hops[..8], inbound), Err(true));
    assert_eq!(try_build(&hops[..4], outbound), Ok(873));
    assert_eq!(try_build(&hops[..3], inbound), Ok(873));
    assert_eq!(try_build(&hops[..4], inbound), Ok(1 + 8 * 218));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn damage_anywhere_neither_panics_nor_makes_a_hop_accept_a_changed_request(at in 0usize..873, bit in 0u8..8) {
        let mut world = World::new(3);
        let (message, _) = single(&mut world, Direction::Outbound);
        let before = open_at(&world, &message, None, world.now.wall).unwrap();
        let mut body = message.body.to_vec();
        body[at] ^= 1 << bit;
        let changed = Message { body: body.into(), ..message };
        if let Ok(opened) = open_at(&world, &changed, None, world.now.wall) {
            prop_assert_eq!(opened.request, before.request);
        }
    }

    #[test]
    fn an_answer_of_random_records_gives_no_tunnel(seed: [u8; 32], count in 1u8..9) {
        let mut world = World::new(2);
        let started = world.start(Form::Short, Direction::Outbound, Bandwidth::default());
        let mut body = vec![0; 1 + usize::from(count) * 218];
        Rng::fill_bytes(&mut ChaCha20Rng::from_seed(seed), &mut body);
        body[0] = count;
        if let Ok(outcome) = started.build.finish(body) {
            prop_assert!(outcome.tunnel.is_none());
        }
    }
}

#[test]
fn the_gateway_of_the_reply_tunnel_answers_a_build_that_ends_at_itself_without_garlic() {
    for hops in 1..=3 {
        let mut world = World::new(hops);
        let path: Vec<_> = world.routers.iter().map(|(hash, key)| HopSpec { hash: *hash, key: key.public() }).collect();
        let (gateway, bandwidth) = (world.routers[hops - 1].0, Bandwidth::default());
        let reply = Path::Outbound { reply_gateway: gateway, reply_tunnel: REPLY_TUNNEL };
        let config = Config { us: US, form: Form::Short, hops: &path, path: reply, bandwidth };
        let Started { build, mut message, .. } = build::start(&config, world.now, &mut world.rng).unwrap();
        let mut from = None;
        for at in 0..hops {
            let answered = world.answer(at, from, &message, YES);
            (from, message) = (Some(world.routers[at].0), answered.message);
        }
        let reply = Message::from_std(&message.body.slice(6..)).unwrap();
        assert!(build.is_answer(reply.kind), "{:?} of {hops} hops", reply.kind);
        assert_eq!(reply.id, build.reply_id());
        assert!(build.finish(reply.body.to_vec()).unwrap().tunnel.is_some());
    }
}
