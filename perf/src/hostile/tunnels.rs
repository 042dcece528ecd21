//! Build requests and cells that nobody who means well sends.
//!
//! spec: tunnel-creation-ecies; tunnel-implementation §Participant Processing

use super::{Context, PATIENCE, require};
use crate::peer::{BuildAnswer, Identity, Link, Outcome, Sealed, now};
use ramson_crypto::tunnel::{BODY_LEN, decrypt_batch};
use ramson_protocol::i2np::header::LIFETIME;
use ramson_protocol::i2np::{Message, MessageType};
use ramson_protocol::id::{MessageId, TunnelId};
use ramson_protocol::tunnel::Role;
use ramson_protocol::tunnel::cell::parse;
use rand::Rng;
use std::time::{Duration, Instant};

/// How long nothing has to come until we believe that nothing comes.
const SILENCE: Duration = Duration::from_secs(2);

/// Cells with numbers of no tunnel.
const STRAY_CELLS: usize = 100;

/// Builds of the flood, a second and in all.
const FLOOD_PER_SECOND: u32 = 1000;
const FLOOD_SECONDS: u32 = 5;
/// Sent at once, every so often.
const FLOOD_BURST: u32 = 250;

type Body = [u8; BODY_LEN];

/// A participating tunnel with its two neighbours.
struct Relay {
    build: Sealed,
    from: Link,
    to: Link,
}

impl Relay {
    fn open(cx: &mut Context) -> Outcome<Self> {
        let ((_, mut from), (next, mut to)) = (cx.peer()?, cx.peer()?);
        let build = cx.build(Role::Participant, &next)?;
        match cx.ask(&build, &mut from, &mut to)? {
            BuildAnswer::Accepted => Ok(Self { build, from, to }),
            BuildAnswer::Refused(code) => Err(format!("the router refuses an ordinary tunnel with {code}").into()),
        }
    }

    /// The next cell at the next hop, its layer taken off.
    fn receive(&mut self, patience: Duration) -> Outcome<Option<Body>> {
        let next = self.build.request.next_tunnel;
        let is_ours = |m: &Message| m.kind == MessageType::TunnelData && parse(&m.body).is_ok_and(|(id, _)| id == next);
        let Some(message) = self.to.wait_for(patience, is_ours)? else { return Ok(None) };
        let mut body = *parse(&message.body)?.1;
        decrypt_batch(&mut [(&self.build.cipher(), &mut body)]);
        Ok(Some(body))
    }
}

/// A cell as a message.
fn cell(cx: &mut Context, tunnel: TunnelId, body: &Body) -> Message {
    let mut bytes = tunnel.0.to_be_bytes().to_vec();
    bytes.extend_from_slice(body);
    let (id, expiration) = (MessageId(cx.rng.next_u32()), now().wall.plus(LIFETIME));
    Message { kind: MessageType::TunnelData, id, expiration, body: bytes.into() }
}

fn random_body(cx: &mut Context) -> Body {
    let mut body = [0; BODY_LEN];
    cx.rng.fill_bytes(&mut body);
    body
}

/// A build record that was answered once is sent again in another message.
pub(super) fn build_replay(cx: &mut Context) -> Outcome<()> {
    let mut relay = Relay::open(cx)?;
    cx.saw("the first of two requests answered");
    let id = MessageId(cx.rng.next_u32());
    relay.from.send(&[Message { id, ..relay.build.message.clone() }])?;
    let build = relay.build.clone();
    let again = relay.to.wait_for(SILENCE, |message| build.answer(message).is_some())?;
    require(again.is_none(), "a replayed build record was answered")?;
    cx.expect("ramson_build_requests_total{answer=\"dropped\",reason=\"replayed\"}");
    cx.still_serves()
}

/// Cells for tunnels that there are not.
pub(super) fn unknown_tunnel(cx: &mut Context) -> Outcome<()> {
    let (_, mut link) = cx.peer()?;
    let cells: Vec<_> = (0..STRAY_CELLS)
        .map(|_| {
            let (tunnel, body) = (cx.tunnel_id(), random_body(cx));
            cell(cx, tunnel, &body)
        })
        .collect();
    link.send(&cells)?;
    cx.expect("ramson_drops_total{cause=\"unknown_tunnel\"}");
    cx.still_serves()
}

/// Cells in the tunnel of others, from one who is not its previous hop.
pub(super) fn stolen_tunnel(cx: &mut Context) -> Outcome<()> {
    let mut relay = Relay::open(cx)?;
    let (_, mut thief) = cx.peer()?;
    let body = random_body(cx);
    let stolen = cell(cx, relay.build.request.receive, &body);
    thief.send(&[stolen])?;
    require(relay.receive(SILENCE)?.is_none(), "a cell that did not come from the previous hop was passed on")?;
    cx.expect("ramson_drops_total{cause=\"wrong_previous_hop\"}");
    cx.still_serves()
}

/// The same cell three times in a tunnel.
pub(super) fn repeated_iv(cx: &mut Context) -> Outcome<()> {
    let mut relay = Relay::open(cx)?;
    let (first, other) = (random_body(cx), random_body(cx));
    let cells = [first, first, first, other].map(|body| cell(cx, relay.build.request.receive, &body));
    relay.from.send(&cells)?;
    require(relay.receive(PATIENCE)? == Some(first), "the first cell did not come through as it should")?;
    require(relay.receive(PATIENCE)? == Some(other), "a repeated cell came through, or the one after it did not")?;
    require(relay.receive(SILENCE)?.is_none(), "a repeated cell came through")?;
    cx.saw("of four cells, three of them the same, two came through");
    cx.expect("ramson_drops_total{cause=\"replayed_iv\"}");
    cx.still_serves()
}

/// A thousand builds a second from one peer, while another wants a tunnel now and then.
pub(super) fn build_flood(cx: &mut Context) -> Outcome<()> {
    let ((_, mut flooder), (sink, mut drain)) = (cx.peer()?, cx.peer()?);
    let ((_, mut good), (next, mut end)) = (cx.peer()?, cx.peer()?);
    let flood: Vec<Message> = (0..FLOOD_PER_SECOND * FLOOD_SECONDS)
        .map(|_| Ok(cx.build(Role::Participant, &sink)?.message))
        .collect::<Outcome<_>>()?;
    let flooding = std::thread::spawn(move || -> Outcome<usize> {
        let began = Instant::now();
        let mut sent = 0;
        for (n, messages) in (0_u32..).zip(flood.chunks(FLOOD_BURST as usize)) {
            let due = Duration::from_secs(1) * (FLOOD_BURST * n) / FLOOD_PER_SECOND;
            std::thread::sleep(due.saturating_sub(began.elapsed()));
            if flooder.send(messages).is_err() {
                // Cut off: that is an answer, too.
                break;
            }
            sent += messages.len();
        }
        Ok(sent)
    });
    let answered = ask_meanwhile(cx, &mut good, &next, &mut end)?;
    let sent = flooding.join().map_err(|_| "a thread of the tool has failed")??;
    let mut replies = 0;
    while drain.wait_for(Duration::from_millis(300), |_| true)?.is_some() {
        replies += 1;
    }
    cx.saw(format!("{sent} requests sent by the flooder, {replies} of them answered"));
    require(replies < sent / 2, "the flood was answered")?;
    cx.saw(format!("the good peer's slowest answer took {answered:.1?}"));
    cx.expect("ramson_build_requests_total{answer=\"dropped\",reason=\"flood\"}");
    cx.still_serves()
}

/// Ten builds in five seconds, all of which must be answered: the longest time that one took.
fn ask_meanwhile(cx: &mut Context, from: &mut Link, next: &Identity, to: &mut Link) -> Outcome<Duration> {
    let mut slowest = Duration::ZERO;
    for n in 0..10 {
        std::thread::sleep(Duration::from_millis(450));
        let build = cx.build(Role::Participant, next)?;
        let began = Instant::now();
        cx.ask(&build, from, to).map_err(|e| format!("request {n} of the good peer: {e}"))?;
        slowest = slowest.max(began.elapsed());
    }
    Ok(slowest)
}
