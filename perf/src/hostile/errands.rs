//! What one peer can have the router do for others, or hold for nobody: each message of it is as it should be.
//!
//! spec: tunnel-creation-ecies; tunnel-message §Tunnel Message Delivery Instructions

use super::{Context, PATIENCE, require};
use crate::peer::{BuildAnswer, HopRequest, Identity, Link, Outcome, Sealed, UdpLink, now};
use ramson_crypto::tunnel::{BODY_LEN, decrypt_batch};
use ramson_protocol::i2np::delivery_status::DeliveryStatus;
use ramson_protocol::i2np::header::LIFETIME;
use ramson_protocol::i2np::{Message, MessageType};
use ramson_protocol::id::{MessageId, RouterHash};
use ramson_protocol::tunnel::fragment::Packer;
use ramson_protocol::tunnel::{Delivery, Role};
use rand::Rng;
use std::time::{Duration, Instant};

/// Builds whose next hops nobody knows: more than one peer may have called.
const STRANGE_HOPS: usize = 400;
/// Routers to which one tunnel's messages are to go.
const STRANGE_GOALS: usize = 300;
/// Messages that are begun in a tunnel and not ended, of so many bytes.
const UNFINISHED: usize = 40;
const UNFINISHED_LEN: usize = 20_000;
/// Small messages for the control plane.
const SMALL: usize = 200_000;
/// Peers that say nothing after their handshakes.
const SILENT: usize = 150;
/// Peers that ask and read nothing.
const DEAF: usize = 20;
const QUESTIONS: usize = 2000;
/// A handshake, while nothing else is wrong, takes no longer.
const HANDSHAKE: Duration = Duration::from_secs(1);

type Body = [u8; BODY_LEN];

/// Somebody whom nobody knows.
fn nobody(cx: &mut Context) -> RouterHash {
    let mut hash = [0; 32];
    cx.rng.fill_bytes(&mut hash);
    RouterHash(hash)
}

fn message(cx: &mut Context, kind: MessageType, body: impl Into<bytes::Bytes>) -> Message {
    Message { kind, id: MessageId(cx.rng.next_u32()), expiration: now().wall.plus(LIFETIME), body: body.into() }
}

/// Build requests whose next hops are invented: the router is not to look for all of them.
pub(super) fn strange_hops(cx: &mut Context) -> Outcome<()> {
    let (_, mut link) = cx.peer()?;
    for _ in 0..STRANGE_HOPS / 20 {
        let mut builds = Vec::new();
        for _ in 0..20 {
            let (receive, next_tunnel, next) = (cx.tunnel_id(), cx.tunnel_id(), nobody(cx));
            let request = HopRequest { receive, role: Role::Participant, next, next_tunnel };
            builds.push(request.seal(&cx.target, &mut cx.rng)?.message);
        }
        link.send(&builds)?;
        std::thread::sleep(Duration::from_millis(250));
    }
    cx.expect("ramson_drops_total{cause=\"too_many_calls\"}");
    cx.still_serves()
}

/// A tunnel of others that ends at the router, with the peer before it.
struct Endpoint {
    build: Sealed,
    from: Link,
    packer: Packer,
    cells: Vec<Body>,
}

impl Endpoint {
    fn open(cx: &mut Context) -> Outcome<Self> {
        let ((_, mut from), (next, mut to)) = (cx.peer()?, cx.peer()?);
        let build = cx.build(Role::OutboundEndpoint, &next)?;
        match cx.ask(&build, &mut from, &mut to)? {
            BuildAnswer::Accepted => Ok(Self { build, from, packer: Packer::new(), cells: Vec::new() }),
            BuildAnswer::Refused(code) => Err(format!("the router refuses an ordinary endpoint with {code}").into()),
        }
    }

    fn put(&mut self, cx: &mut Context, to: &Delivery, message: &Message) -> Outcome<()> {
        Ok(self.packer.push(to, &message.to_std()?, &mut cx.rng, &mut self.cells)?)
    }

    /// Sends the cells that are made, but for the last `held_back`.
    fn send(&mut self, cx: &mut Context, held_back: usize) -> Outcome<()> {
        self.packer.flush(&mut cx.rng, &mut self.cells)?;
        let kept = self.cells.len().saturating_sub(held_back);
        self.cells.truncate(kept);
        let cipher = self.build.cipher();
        let mut messages = Vec::new();
        for mut cell in self.cells.drain(..) {
            // The endpoint puts its layer on: the creator has taken it off before.
            decrypt_batch(&mut [(&cipher, &mut cell)]);
            let mut body = self.build.request.receive.0.to_be_bytes().to_vec();
            body.extend_from_slice(&cell);
            messages.push(message(cx, MessageType::TunnelData, body));
        }
        self.from.send(&messages)
    }
}

/// Messages out of one tunnel, each for another router that nobody knows.
pub(super) fn strange_goals(cx: &mut Context) -> Outcome<()> {
    let mut endpoint = Endpoint::open(cx)?;
    for _ in 0..STRANGE_GOALS {
        let to = Delivery::Router(nobody(cx));
        let small = message(cx, MessageType::DeliveryStatus, vec![0; 12]);
        endpoint.put(cx, &to, &small)?;
    }
    endpoint.send(cx, 0)?;
    cx.expect("ramson_drops_total{cause=\"too_many_calls\"}");
    cx.still_serves()
}

/// Long messages out of tunnels, of which the last cell never comes.
pub(super) fn unfinished(cx: &mut Context) -> Outcome<()> {
    let mut endpoint = Endpoint::open(cx)?;
    for _ in 0..UNFINISHED {
        let to = Delivery::Router(nobody(cx));
        let long = message(cx, MessageType::Data, vec![7; UNFINISHED_LEN]);
        endpoint.put(cx, &to, &long)?;
        endpoint.send(cx, 1)?;
    }
    cx.expect("ramson_reassembly_total{event=\"discarded\"}");
    cx.still_serves()
}

/// A request that comes out of a tunnel, so that its previous hop is nobody, for a hop in the middle of another tunnel.
pub(super) fn build_without_previous(cx: &mut Context) -> Outcome<()> {
    let mut endpoint = Endpoint::open(cx)?;
    let (next, mut sink) = cx.peer()?;
    let build = cx.build(Role::Participant, &next)?;
    let to = Delivery::Router(cx.target.hash);
    endpoint.put(cx, &to, &build.message)?;
    endpoint.send(cx, 0)?;
    let answer = sink.wait_for(Duration::from_secs(2), |message| build.answer(message).is_some())?;
    require(answer.is_none(), "a request of nobody was answered")?;
    cx.expect("ramson_build_requests_total{answer=\"dropped\",reason=\"no_previous\"}");
    cx.still_serves()
}

/// Small messages for the control plane, as fast as one connection bears.
pub(super) fn small_messages(cx: &mut Context) -> Outcome<()> {
    let (_, mut link) = cx.peer()?;
    let mut sent = 0;
    while sent < SMALL {
        let some: Vec<_> = (0..2000)
            .map(|_| {
                let status = DeliveryStatus { id: MessageId(cx.rng.next_u32()), time: now().wall };
                message(cx, MessageType::DeliveryStatus, status.to_body())
            })
            .collect();
        link.send(&some)?;
        sent += some.len();
    }
    cx.saw(format!("{sent} small messages sent"));
    cx.expect("ramson_drops_total{cause=\"control_share\"}");
    cx.still_serves()
}

/// Connections that say nothing after their handshakes.
pub(super) fn silent_crowd(cx: &mut Context) -> Outcome<()> {
    let mut crowd = Vec::new();
    for _ in 0..SILENT {
        // Whoever is refused has done what it could.
        if let Ok((_, link)) = cx.peer() {
            crowd.push(link);
        }
    }
    cx.saw(format!("{} silent sessions of {SILENT}", crowd.len()));
    cx.still_serves()
}

/// Peers that ask the router for its own RouterInfo and read no answer.
pub(super) fn deaf(cx: &mut Context) -> Outcome<()> {
    use ramson_protocol::i2np::database_lookup::{DatabaseLookup, LookupKind, ReplyEncryption};
    let mut crowd = Vec::new();
    for _ in 0..DEAF {
        let (who, mut link) = cx.peer()?;
        let lookup = DatabaseLookup {
            key: cx.target.hash.into(),
            from: who.hash,
            reply_tunnel: None,
            kind: LookupKind::RouterInfo,
            exclude: Vec::new(),
            encryption: ReplyEncryption::None,
        };
        let questions: Vec<_> =
            (0..QUESTIONS).map(|_| message(cx, MessageType::DatabaseLookup, lookup.to_body())).collect();
        link.send(&questions)?;
        crowd.push(link);
    }
    std::thread::sleep(Duration::from_secs(2));
    cx.still_serves()
}

/// Nothing bad at all: handshakes over both transports, and a tunnel, each in its time.
pub(super) fn honest(cx: &mut Context) -> Outcome<()> {
    let timed = |what: &str, took: Duration| {
        require(took <= HANDSHAKE, format!("a handshake over {what} took {took:.1?}"))?;
        Ok::<_, crate::peer::Failure>(format!("{what} in {} ms", took.as_millis()))
    };
    let who = cx.identity()?;
    let began = Instant::now();
    let mut link = Link::open(&cx.target, &who, &mut cx.rng)?;
    link.wait_until_up(PATIENCE)?;
    cx.saw(timed("NTCP2", began.elapsed())?);
    if cx.target.ssu2.is_some() {
        let who: Identity = cx.identity()?;
        let began = Instant::now();
        let mut link = UdpLink::open(&cx.target, &who, &mut cx.rng)?;
        require(link.is_greeted(PATIENCE)?, "the router says nothing after the handshake")?;
        cx.saw(timed("SSU2", began.elapsed())?);
    }
    cx.still_serves()
}
