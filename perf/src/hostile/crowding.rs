//! Well-formed messages, too many of them or under another's name: what one peer can make of the netDb.
//!
//! Each mode does to the router what would be an attack at the rate that one session bears, and checks what others see of
//! it: newcomers are served, nobody is sent what he has not asked for, and nothing comes back that is many times the question.

use super::{Context, PATIENCE, require};
use crate::peer::{Identity, Link, Outcome, Received, now};
use bytes::Bytes;
use ramson_crypto::x25519::SecretKey;
use ramson_protocol::data::entry::Entry;
use ramson_protocol::data::keys_and_cert::Destination;
use ramson_protocol::data::lease::Lease;
use ramson_protocol::data::lease_set2::LeaseSet2Builder;
use ramson_protocol::data::router_info::{Caps, RouterInfo, RouterInfoBuilder, Version};
use ramson_protocol::garlic::clove::{Clove, CloveDelivery, write_date_time};
use ramson_protocol::garlic::noise_n;
use ramson_protocol::i2np::database_lookup::{DatabaseLookup, LookupKind, ReplyEncryption};
use ramson_protocol::i2np::database_store::{DatabaseStore, Reply};
use ramson_protocol::i2np::delivery_status::DeliveryStatus;
use ramson_protocol::i2np::header::LIFETIME;
use ramson_protocol::i2np::{Message, MessageType};
use ramson_protocol::id::{MessageId, RouterHash, TunnelId};
use rand::{Rng, RngExt};
use std::time::{Duration, Instant};

/// Names that one peer makes.
const NAMES: usize = 400;

/// Messages of a flood, and in how long they are sent.
const FLOOD: usize = 5000;
const FLOOD_FOR: Duration = Duration::from_secs(5);
const BURST: usize = 50;

/// Bytes that may come back for each of a flood, and how many at once before.
const TIMES: usize = 5;
const AT_ONCE: usize = 700_000;

impl Context {
    fn message(&mut self, kind: MessageType, body: impl Into<Bytes>) -> Message {
        let (id, expiration) = (MessageId(self.rng.next_u32()), now().wall.plus(LIFETIME));
        Message { kind, id, expiration, body: body.into() }
    }

    fn store(&mut self, entry: Entry, reply: Option<Reply>) -> Outcome<Message> {
        let body = DatabaseStore { reply, ..DatabaseStore::new(entry) }.to_body()?;
        Ok(self.message(MessageType::DatabaseStore, body))
    }

    fn lookup(&mut self, key: RouterHash, from: RouterHash, reply_tunnel: Option<TunnelId>) -> Message {
        let (kind, encryption) = (LookupKind::RouterInfo, ReplyEncryption::None);
        let lookup = DatabaseLookup { key: key.into(), from, reply_tunnel, kind, exclude: Vec::new(), encryption };
        self.message(MessageType::DatabaseLookup, lookup.to_body())
    }

    /// A message for the router itself, sealed to its key.
    fn sealed(&mut self, inner: &Message) -> Outcome<Message> {
        let mut ephemeral = [0; 32];
        self.rng.fill_bytes(&mut ephemeral);
        let mut payload = Vec::with_capacity(inner.body.len() + 32);
        write_date_time(now().wall, &mut payload);
        Clove { delivery: CloveDelivery::Local, header: inner.header(), body: &inner.body }.write(&mut payload)?;
        let body = noise_n::garlic(&self.target.encryption, &SecretKey::from_bytes(ephemeral), &payload)
            .map_err(|e| format!("the router's key: {e}"))?;
        Ok(self.message(MessageType::Garlic, body))
    }

    /// A router that exists only as this RouterInfo.
    fn made_up(&mut self, caps: &str) -> Outcome<(Identity, RouterInfo)> {
        let who = self.identity()?;
        let [a, b, c] = [self.rng.random_range(1..250_u8), self.rng.random(), self.rng.random()];
        let at = format!("10.{a}.{b}.{}:20000", c.max(1)).parse()?;
        let info = who.published_at(self.target.net_id, at, caps)?;
        Ok((who, info))
    }

    /// Fails unless somebody who comes now is known to somebody else who asks for him.
    fn newcomers_are_known(&mut self) -> Outcome<()> {
        let ((known, _here), (asker, mut link)) = (self.peer()?, self.peer()?);
        let lookup = self.lookup(known.hash, asker.hash, None);
        link.send(&[lookup])?;
        let is_it = |m: &Message| m.kind == MessageType::DatabaseStore && m.body.get(..32) == Some(&known.hash.0[..]);
        let found = link.wait_for(PATIENCE, is_it)?;
        require(found.is_some(), "a newcomer is not known to the router afterwards")?;
        self.saw("a newcomer known afterwards");
        Ok(())
    }
}

/// Sends all at an even pace; how many bytes of bodies came back meanwhile and a second later.
fn pour(link: &mut Link, messages: &[Message]) -> Outcome<usize> {
    let (began, mut back) = (Instant::now(), 0);
    let pause = FLOOD_FOR.mul_f64(BURST as f64 / messages.len() as f64);
    let mut listen = |link: &mut Link, patience: Duration| -> Outcome<()> {
        let until = Instant::now() + patience;
        while let Some(received) = link.receive(until.saturating_duration_since(Instant::now()))? {
            match received {
                Received::Message(message) => back += message.body.len(),
                Received::Termination(_) | Received::Closed => break,
            }
        }
        Ok(())
    };
    for (n, burst) in (0..).zip(messages.chunks(BURST)) {
        if link.send(burst).is_err() {
            // Cut off: that is an answer, too.
            break;
        }
        listen(link, (pause * n).saturating_sub(began.elapsed()).max(Duration::from_millis(1)))?;
    }
    listen(link, Duration::from_secs(1))?;
    Ok(back)
}

/// RouterInfos and LeaseSets of one key: any identity of a router is a destination.
pub(super) fn pairs(cx: &mut Context) -> Outcome<()> {
    let (_, mut link) = cx.peer()?;
    for _ in 0..NAMES {
        let (who, info) = cx.made_up("OR")?;
        let lease = Lease { gateway: who.hash, tunnel: TunnelId(7), end: now().wall.plus(Duration::from_secs(500)) };
        let destination = Destination::from_bytes(who.keys.identity.as_bytes().clone())?;
        let twin: Entry = LeaseSet2Builder { leases: vec![lease], ..LeaseSet2Builder::default() }
            .sign(&destination, &who.keys.signing, None, now().wall)?
            .into();
        let stores = [info.clone().into(), twin, info.into()].map(|entry| cx.store(entry, None));
        link.send(&stores.into_iter().collect::<Outcome<Vec<_>>>()?)?;
    }
    cx.saw(format!("{NAMES} pairs of a RouterInfo and a LeaseSet of one key"));
    cx.expect("ramson_netdb_stores_total{outcome=\"taken\"}");
    cx.newcomers_are_known()?;
    cx.still_serves()
}

/// Fresh floodfills that nobody can reach, far more than there are routers.
pub(super) fn made_up_routers(cx: &mut Context) -> Outcome<()> {
    let (_, mut link) = cx.peer()?;
    for _ in 0..4 * NAMES {
        let (_, info) = cx.made_up("XfR")?;
        let store = cx.store(info.into(), None)?;
        link.send(&[store])?;
    }
    cx.saw(format!("{} RouterInfos of floodfills that do not exist", 4 * NAMES));
    cx.expect("ramson_netdb_stores_total{outcome=\"taken\"}");
    cx.newcomers_are_known()?;
    cx.still_serves()
}

/// Small questions for something large, each with a reply tunnel of its own.
pub(super) fn amplified_lookups(cx: &mut Context) -> Outcome<()> {
    let large = Identity::with_filling(cx.target.net_id, now().wall, 2200, &mut cx.rng)?;
    let _here = Link::open(&cx.target, &large, &mut cx.rng)?;
    let (asker, mut link) = cx.peer()?;
    std::thread::sleep(Duration::from_millis(500));
    let questions: Vec<Message> = (0..FLOOD)
        .map(|_| {
            let tunnel = cx.tunnel_id();
            cx.lookup(large.hash, asker.hash, Some(tunnel))
        })
        .collect();
    let asked: usize = questions.iter().map(|message| message.body.len()).sum();
    let back = pour(&mut link, &questions)?;
    cx.saw(format!("{back} bytes came back for {asked}"));
    require(back <= TIMES * asked + AT_ONCE, format!("{back} bytes came back for {asked}"))?;
    cx.expect("ramson_netdb_lookups_total{outcome=\"over_share\"}");
    cx.still_serves()
}

/// Questions in garlic that name somebody else as the one who asks.
pub(super) fn lookups_in_anothers_name(cx: &mut Context) -> Outcome<()> {
    let ((victim, mut at_victim), (_, mut link)) = (cx.peer()?, cx.peer()?);
    for _ in 0..20 {
        let key = cx.identity()?.hash;
        let question = cx.lookup(key, victim.hash, None);
        let sealed = cx.sealed(&question)?;
        link.send(&[sealed])?;
    }
    let answers = |m: &Message| matches!(m.kind, MessageType::DatabaseStore | MessageType::DatabaseSearchReply);
    let unasked = at_victim.wait_for(Duration::from_secs(2), answers)?;
    require(unasked.is_none(), "somebody was sent the answer to what he has not asked")?;
    let own = cx.lookup(victim.hash, victim.hash, None);
    at_victim.send(&[own])?;
    require(at_victim.wait_for(PATIENCE, answers)?.is_some(), "his own question was not answered")?;
    cx.expect("ramson_netdb_lookups_total{outcome=\"not_from_sender\"}");
    cx.still_serves()
}

/// Stores of what the router has a newer one of, forged, to be confirmed to somebody else.
pub(super) fn forged_stores_to_confirm(cx: &mut Context) -> Outcome<()> {
    let ((victim, mut at_victim), (_, mut link)) = (cx.peer()?, cx.peer()?);
    let (held, _here) = cx.peer()?;
    let older = RouterInfoBuilder::new(cx.target.net_id, Version::parse("0.9.69"), Caps::parse("OR"))
        .sign(&held.keys, now().wall.minus(Duration::from_secs(120)))?;
    let mut forged = older.as_bytes().to_vec();
    if let Some(last) = forged.last_mut() {
        *last ^= 1;
    }
    let forged = RouterInfo::parse(forged.into())?;
    for n in 1..200 {
        let (token, tunnel) = (n, if n % 2 == 0 { None } else { Some(TunnelId(n)) });
        let store = cx.store(forged.clone().into(), Some(Reply { token, tunnel, gateway: victim.hash }))?;
        link.send(&[store])?;
    }
    let sent = |m: &Message| matches!(m.kind, MessageType::DeliveryStatus | MessageType::TunnelGateway);
    let confirmed = at_victim.wait_for(Duration::from_secs(2), sent)?;
    require(confirmed.is_none(), "a forged store was confirmed to somebody else")?;
    cx.expect("ramson_netdb_stores_total{outcome=\"bad_signature\"}");
    cx.still_serves()
}

/// RouterInfos with keys of P-521, whose signatures take a millisecond each.
pub(super) fn slow_signatures(cx: &mut Context) -> Outcome<()> {
    let (_, mut link) = cx.peer()?;
    let mut stores = Vec::new();
    for _ in 0..1000 {
        // A RouterIdentity with a Key Certificate for P-521 (3) and X25519 (4), no addresses, and a random signature.
        let mut raw = vec![0; 384];
        cx.rng.fill_bytes(&mut raw);
        raw.extend_from_slice(&[5, 0, 8, 0, 3, 0, 4, 9, 9, 9, 9]);
        raw.extend_from_slice(&now().wall.0.to_be_bytes());
        raw.extend_from_slice(&[0, 0]);
        let options = [("caps", "OR"), ("netId", "99"), ("router.version", "0.9.69")].map(|(key, value)| {
            let text = |text: &str| [&[text.len() as u8], text.as_bytes()].concat();
            [text(key), vec![b'='], text(value), vec![b';']].concat()
        });
        let options = options.concat();
        raw.extend_from_slice(&(options.len() as u16).to_be_bytes());
        raw.extend_from_slice(&options);
        raw.resize(raw.len() + 132, 7);
        let info = RouterInfo::parse(raw.into())?;
        stores.push(cx.store(info.into(), None)?);
    }
    pour(&mut link, &stores)?;
    cx.expect("ramson_netdb_stores_total{outcome=\"signature_type\"}");
    cx.still_serves()
}

/// Garlic that does not open, as fast as it goes.
pub(super) fn garlic_flood(cx: &mut Context) -> Outcome<()> {
    let ((_, mut flooder), (asker, mut link)) = (cx.peer()?, cx.peer()?);
    let mut flood = Vec::with_capacity(FLOOD);
    for _ in 0..FLOOD {
        let mut body = vec![0; 4 + 200];
        cx.rng.fill_bytes(&mut body);
        body[..4].copy_from_slice(&200_u32.to_be_bytes());
        // The top bit of a key is clear.
        body[4 + 31] &= 0x7f;
        flood.push(cx.message(MessageType::Garlic, body));
    }
    let flooding = std::thread::spawn(move || pour(&mut flooder, &flood));
    let mut answered = 0;
    for _ in 0..3 {
        std::thread::sleep(Duration::from_secs(1));
        let question = cx.lookup(asker.hash, asker.hash, None);
        let sealed = cx.sealed(&question)?;
        link.send(&[sealed])?;
        let store = link.wait_for(PATIENCE, |m| m.kind == MessageType::DatabaseStore)?;
        answered += usize::from(store.is_some());
    }
    flooding.join().map_err(|_| "a thread of the tool has failed")??;
    cx.saw(format!("{answered} of 3 questions in garlic answered meanwhile"));
    require(answered == 3, format!("only {answered} of 3 questions in garlic were answered meanwhile"))?;
    cx.expect("ramson_control_drops_total{reason=\"over_share\"}");
    cx.still_serves()
}

/// Stores whose confirmations would tell the router's clock.
pub(super) fn exact_clock(cx: &mut Context) -> Outcome<()> {
    let (who, mut link) = cx.peer()?;
    let own = RouterInfo::parse(who.info.clone())?;
    let mut told = std::collections::BTreeSet::new();
    for token in 1..6 {
        let reply = Reply { token, tunnel: None, gateway: who.hash };
        let store = cx.store(own.clone().into(), Some(reply))?;
        link.send(&[store])?;
        let status = link.wait_for(PATIENCE, |m| m.kind == MessageType::DeliveryStatus)?;
        let status = DeliveryStatus::parse(&status.ok_or("a store of our own RouterInfo was not confirmed")?.body)?;
        require(status.time.0.is_multiple_of(1000), "a confirmation tells the time to the millisecond")?;
        told.insert(now().wall.0.abs_diff(status.time.0) / 1000);
        std::thread::sleep(Duration::from_millis(50));
    }
    cx.saw(format!("confirmations are {told:?} seconds off"));
    cx.still_serves()
}

/// The router's own RouterInfo, stored with itself: some routers test others by that, and take silence for a fault.
pub(super) fn own_router_info(cx: &mut Context) -> Outcome<()> {
    let (who, mut link) = cx.peer()?;
    let own = cx.target.hash;
    let question = cx.lookup(own, who.hash, None);
    link.send(&[question])?;
    let is_it = |m: &Message| m.kind == MessageType::DatabaseStore && m.body.get(..32) == Some(&own.0[..]);
    let answer = link.wait_for(PATIENCE, is_it)?.ok_or("the router does not give its own RouterInfo")?;
    let reply = Reply { token: 9, tunnel: None, gateway: who.hash };
    let store = cx.store(DatabaseStore::parse(&answer.body)?.entry, Some(reply))?;
    link.send(&[store])?;
    let status = link.wait_for(PATIENCE, |m| m.kind == MessageType::DeliveryStatus)?;
    require(status.is_some(), "a store of the router's own RouterInfo was not confirmed")?;
    cx.saw("its own RouterInfo confirmed");
    cx.expect("ramson_netdb_stores_total{outcome=\"own\"}");
    cx.still_serves()
}
