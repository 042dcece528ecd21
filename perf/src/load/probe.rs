//! Builds and lookups now and then, while the others load the router: whether control traffic gets through, and how soon.

use super::latency::Latencies;
use crate::peer::{HopRequest, Identity, Link, Outcome, Target, now};
use ramson_protocol::i2np::database_lookup::{DatabaseLookup, LookupKind, ReplyEncryption};
use ramson_protocol::i2np::header::LIFETIME;
use ramson_protocol::i2np::tunnel_gateway::TunnelGateway;
use ramson_protocol::i2np::{Message, MessageType};
use ramson_protocol::id::{MessageId, NetDbKey, RouterHash, TunnelId};
use ramson_protocol::tunnel::Role;
use rand::Rng;
use rand_chacha::ChaCha20Rng;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Between two questions.
const EVERY: Duration = Duration::from_millis(50);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Questions of one kind.
#[derive(Debug, Default)]
pub(super) struct Asked {
    pub(super) asked: u64,
    pub(super) answered: u64,
    pub(super) latencies: Latencies,
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Probed {
    pub(super) builds: Asked,
    pub(super) lookups: Asked,
}

/// Two peers that ask.
pub(super) struct Probe {
    target: Target,
    rng: ChaCha20Rng,
    us: Identity,
    next: Identity,
    from: Link,
    to: Link,
}

impl Probe {
    /// Connects them.
    pub(super) fn new(target: Target) -> Outcome<Self> {
        let mut rng: ChaCha20Rng = rand::make_rng();
        let us = Identity::new(target.net_id, now().wall, &mut rng)?;
        let next = Identity::new(target.net_id, now().wall, &mut rng)?;
        let (mut from, mut to) = (Link::open(&target, &us, &mut rng)?, Link::open(&target, &next, &mut rng)?);
        from.wait_until_up(PATIENCE)?;
        to.wait_until_up(PATIENCE)?;
        Ok(Self { target, rng, us, next, from, to })
    }

    /// Asks in turn until `over`.
    pub(super) fn run(mut self, over: &AtomicBool) -> Outcome<Probed> {
        let mut probed = Probed::default();
        while !over.load(Relaxed) {
            std::thread::sleep(EVERY);
            count(&mut probed.builds, || self.build())?;
            count(&mut probed.lookups, || self.look_up())?;
        }
        Ok(probed)
    }

    /// A tunnel from one to the other; false if no answer came.
    fn build(&mut self) -> Outcome<bool> {
        let (receive, next_tunnel) = (TunnelId(self.rng.next_u32().max(1)), TunnelId(self.rng.next_u32().max(1)));
        let request = HopRequest { receive, role: Role::Participant, next: self.next.hash, next_tunnel };
        let build = request.seal(&self.target, &mut self.rng)?;
        self.from.send(std::slice::from_ref(&build.message))?;
        Ok(self.to.wait_for(PATIENCE, |message| build.answer(message).is_some())?.is_some())
    }

    /// A key that nobody has stored: the answer names routers that are closer.
    fn look_up(&mut self) -> Outcome<bool> {
        let mut key = NetDbKey([0; 32]);
        self.rng.fill_bytes(&mut key.0);
        let lookup = lookup(key, self.us.hash, &mut self.rng);
        let (id, expiration) = (MessageId(self.rng.next_u32()), now().wall.plus(LIFETIME));
        let message = Message { kind: MessageType::DatabaseLookup, id, expiration, body: lookup.to_body().into() };
        self.from.send(&[message])?;
        let answers = |m: &Message| unwrapped(m).is_some_and(|m| m.body.starts_with(&key.0));
        Ok(self.from.wait_for(PATIENCE, answers)?.is_some())
    }
}

/// A question for `key` whose answer comes to the gateway `from`, each in a tunnel of its own: routers bound the questions
/// of one asker, and to them a tunnel is one.
pub(super) fn lookup(key: NetDbKey, from: RouterHash, rng: &mut ChaCha20Rng) -> DatabaseLookup {
    DatabaseLookup {
        key,
        from,
        reply_tunnel: Some(TunnelId(rng.next_u32().max(1))),
        kind: LookupKind::RouterInfo,
        exclude: Vec::new(),
        encryption: ReplyEncryption::None,
    }
}

/// The message in a TunnelGateway message.
pub(super) fn unwrapped(message: &Message) -> Option<Message> {
    let gateway = TunnelGateway::parse(&message.body).ok().filter(|_| message.kind == MessageType::TunnelGateway)?;
    Message::from_std(&gateway.message).ok()
}

fn count(asked: &mut Asked, ask: impl FnOnce() -> Outcome<bool>) -> Outcome<()> {
    let began = Instant::now();
    asked.asked += 1;
    if ask()? {
        asked.answered += 1;
        asked.latencies.record(began.elapsed());
    }
    Ok(())
}
