//! Shakes hands over SSU2 with real routers and prints what they say: one socket, one thread, one line per event.
//!
//! ```text
//! shake2 DIR IP:PORT NET_ID [--bind IP] [--lie-net-id N] [--clock-ms N] [--info-static-key] [--big] [--stale-token]
//!        [--silent] [--call IP,IP] [--test] [--introduce DIR]
//! ```
//! `DIR` keeps the keys and gets `router.info`; RouterInfos are read from `DIR/netDb`. Every router found there is
//! called, every 16 s until it answers, unless `--silent` or not among `--call`; whoever calls is let in. Received packets
//! are acknowledged one by one. Peer tests and introductions are taken part in; `--test` begins tests of our own, and
//! `--introduce` has us introduced to the router of another such folder by the first that gave it a tag.
//! `--big` makes our RouterInfo so large that the SessionConfirmed takes two datagrams. `shake2.py` beside this file
//! runs it against i2pd and Java I2P.

#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, reason = "a tool of the developers")]

use bytes::Bytes;
use ramson_crypto::aead::AeadKey;
use ramson_crypto::x25519::SecretKey;
use ramson_protocol::data::router_address::RouterAddressBuf;
use ramson_protocol::data::router_info::{Caps, RouterInfo, RouterInfoBuilder, Version};
use ramson_protocol::data::router_keys::RouterKeys;
use ramson_protocol::dialing::Transport;
use ramson_protocol::i2np::database_store::DatabaseStore;
use ramson_protocol::id::RouterHash;
use ramson_protocol::link::gate::OpenGate;
use ramson_protocol::link::limits::Limits;
use ramson_protocol::link::skew::nearest_second;
use ramson_protocol::ssu2::block::{Ack, Block, Blocks};
use ramson_protocol::ssu2::endpoint::{Config, Endpoint, Output, Target};
use ramson_protocol::ssu2::established::Established;
use ramson_protocol::ssu2::header::{self, Kind, MaskKey, SHORT_LEN, Short};
use ramson_protocol::ssu2::local::{Local, Remote};
use ramson_protocol::ssu2::relay::Introduction;
use ramson_protocol::time::{Mono, Now};
use ramson_transports::clock::Clock;
use rand::{Rng, RngExt};
use rand_chacha::ChaCha20Rng;
use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::Duration;

mod services;

use services::{Do, Owned, Services};

/// The least of a data phase: opens packets, acknowledges each, repeats the SessionConfirmed until something comes.
struct Session {
    est: Established,
    next: u32,
    heard: bool,
    resend: Vec<Mono>,
}

impl Session {
    fn label(&self) -> String {
        format!("{:?} {}", self.est.role, self.est.addr)
    }

    fn seal(&mut self, blocks: &[Block<'_>]) -> Vec<u8> {
        let head = Short { destination: self.est.remote_id, number: self.next, kind: Kind::DATA, flags: [0; 3] };
        let mut out = head.to_bytes().to_vec();
        blocks.iter().for_each(|block| block.write(&mut out).unwrap());
        let key = AeadKey::new(&self.est.send.k_data);
        key.seal_vec(u64::from(self.next), &head.to_bytes(), &mut out, SHORT_LEN);
        header::mask(&mut out, &self.est.remote_intro, &self.est.send.k_header_2).unwrap();
        self.next += 1;
        out
    }

    /// Opens a packet and prints its blocks; the answer, if it is to be acknowledged, and the plaintext.
    fn open(&mut self, packet: &mut [u8]) -> Option<(Option<Vec<u8>>, Vec<u8>)> {
        header::mask(packet, &self.est.local_intro, &self.est.recv.k_header_2)?;
        let head = Short::parse(packet).unwrap();
        let (ad, sealed) = packet.split_at_mut(SHORT_LEN);
        let Ok(plain) = AeadKey::new(&self.est.recv.k_data).open(u64::from(head.number), ad, sealed) else {
            println!("{} a packet that does not open: {head:?}", self.label());
            return None;
        };
        self.heard = true;
        let mut eliciting = false;
        for block in Blocks::new(plain) {
            println!("{} packet {} {}", self.label(), head.number, describe(&block));
            eliciting |= block.is_ok_and(|b| b.is_ack_eliciting());
        }
        let ack = Ack { through: head.number, acks: 0, pairs: &[] };
        let plain = plain.to_vec();
        Some((eliciting.then(|| self.seal(&[Block::Ack(ack)])), plain))
    }
}

fn describe(block: &ramson_protocol::wire::Result<Block<'_>>) -> String {
    match block {
        Ok(Block::I2np(m)) => format!("I2NP type {} of {} bytes", m.kind, m.body.len()),
        Ok(Block::FirstFragment(m)) => format!("first fragment of I2NP type {}: {} bytes", m.kind, m.body.len()),
        Ok(Block::FollowOn(f)) => format!("fragment {} {}: {} bytes", f.number, f.last, f.body.len()),
        Ok(Block::RouterInfo(info)) => format!("RouterInfo of {} bytes", info.bytes.len()),
        Ok(Block::PeerTest(data)) => format!("peer test: message {} code {}", data[0], data[1]),
        Ok(Block::RelayRequest(_)) => "RelayRequest".to_owned(),
        Ok(Block::RelayIntro(_)) => "RelayIntro".to_owned(),
        Ok(Block::RelayResponse(data)) => format!("RelayResponse code {}", data[1]),
        Ok(Block::Termination { packets, reason, .. }) => {
            format!("termination {} {} after {packets} packets", reason.0, reason.label(Transport::Ssu2))
        }
        Ok(other) => format!("{other:?}"),
        Err(e) => format!("bad block: {e}"),
    }
}

/// Our keys, made at the first start: static key, introduction key, router keys.
fn keys(dir: &Path, rng: &mut ChaCha20Rng) -> (RouterKeys, SecretKey, [u8; 32]) {
    let file = dir.join("shake2.keys");
    let bytes = std::fs::read(&file).unwrap_or_else(|_| {
        let mut transport = [0; 64];
        rng.fill_bytes(&mut transport);
        let bytes = [&transport[..], &RouterKeys::generate(rng).to_bytes()[..]].concat();
        std::fs::write(&file, &bytes).unwrap();
        bytes
    });
    let static_key = SecretKey::from_bytes(bytes[..32].try_into().unwrap());
    (RouterKeys::from_bytes(&bytes[64..]).unwrap(), static_key, bytes[32..64].try_into().unwrap())
}

/// Every RouterInfo below `dir`.
fn router_infos(dir: &Path) -> Vec<RouterInfo> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut found = Vec::new();
    for path in entries.filter_map(|e| e.ok().map(|e| e.path())) {
        if path.is_dir() {
            found.extend(router_infos(&path));
        } else if let Ok(info) =
            std::fs::read(&path).map_err(drop).and_then(|b| RouterInfo::parse(b.into()).map_err(drop))
        {
            info.verify().expect("a RouterInfo with a good signature");
            found.push(info);
        }
    }
    found
}

fn target(info: &RouterInfo) -> Option<Target> {
    let address = info.ssu2().find(|a| a.socket.is_some())?;
    let (intro, addr) = (MaskKey::new(address.intro_key), address.socket?);
    let remote = Remote { hash: info.hash(), addr, static_key: address.static_key, intro, mtu: address.mtu };
    Some(Target { remote, local: 0, token: None, ask_for_tag: true })
}

struct Shell {
    endpoint: Endpoint,
    socket: UdpSocket,
    clock: Clock,
    intro: MaskKey,
    sessions: HashMap<u64, Session>,
    /// Whom to call, and when again.
    calls: Vec<(Target, Mono)>,
    services: Services,
    dir: PathBuf,
    /// The folder of the router to which we want to be introduced.
    introduce: Option<PathBuf>,
}

impl Shell {
    fn send(&self, to: SocketAddr, bytes: &[u8]) {
        if let Err(e) = self.socket.send_to(bytes, to) {
            println!("sending to {to}: {e}");
        }
    }

    fn drain(&mut self, now: Now) {
        while let Some(output) = self.endpoint.poll_output() {
            match output {
                Output::Send { to, bytes, .. } => self.send(to, &bytes),
                Output::Established(est) => self.establish(*est, now),
                Output::Failed(failed) => {
                    println!("{:?} failed {} {} skew={:?}", failed.role, failed.addr, failed.cause, failed.skew);
                }
                Output::Outside(outside) => {
                    println!("outside {:?} from {}", outside.header.kind, outside.from);
                    self.services.outside(now, &outside);
                }
            }
        }
    }

    fn establish(&mut self, est: Established, now: Now) {
        println!(
            "{:?} established {} skew={}ms rtt={:?} mtu={} confirmed={} our_addr={:?} tag={:?} tag_requested={} early={}",
            est.role,
            est.addr,
            est.skew.0,
            est.rtt,
            est.mtu,
            est.confirmed.len(),
            est.our_addr,
            est.relay_tag,
            est.relay_tag_requested,
            est.early.len()
        );
        let resend = [1250, 3750, 8750].map(|ms| now.mono + Duration::from_millis(ms)).to_vec();
        let next = est.next_number;
        let peer = est.peer;
        // A newer session of a router takes the place of the older one.
        self.sessions.retain(|_, s| s.est.peer != peer);
        self.services.known.sessions.insert(peer, est.addr);
        if let Ok(info) = RouterInfo::parse(est.router_info.clone()) {
            self.services.router_info(now, info);
        }
        if let Some(tag) = est.relay_tag {
            self.services.tag(&peer, tag);
            std::fs::write(self.dir.join("tag"), [&peer.0[..], &tag.to_be_bytes()].concat()).unwrap();
        }
        let tag = est.relay_tag_requested.then(|| self.services.tag_for(&peer)).flatten();
        let (id, addr, early, received) = (est.local_id, est.addr, est.early.clone(), est.received);
        let mut session = Session { est, next, heard: false, resend };
        self.calls.retain(|(target, _)| target.remote.addr != addr);
        let time = Block::DateTime { seconds: nearest_second(now.wall) };
        let (token, expires) = self.endpoint.issue_token(now, addr);
        let token = Block::NewToken { expires, token };
        let ack = received.map(|through| Block::Ack(Ack { through, acks: 0, pairs: &[] }));
        let tag = tag.as_ref().map(Owned::block);
        let blocks: Vec<_> = [Some(time), ack, Some(token), tag].into_iter().flatten().collect();
        let hello = session.seal(&blocks);
        self.send(addr, &hello);
        self.sessions.insert(id, session);
        early.iter().for_each(|packet| self.packet(id, &mut packet.to_vec()));
    }

    fn packet(&mut self, id: u64, packet: &mut [u8]) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let (opened, peer, to) = (session.open(packet), session.est.peer, session.est.addr);
        let Some((ack, plain)) = opened else { return };
        if let Some(ack) = ack {
            self.send(to, &ack);
        }
        let now = self.clock.now();
        for block in Blocks::new(&plain).flatten() {
            if let Some(info) = router_info(&block) {
                self.services.router_info(now, info);
            }
            if let Some(answer) = self.services.block(now, &peer, to, &block) {
                self.tell(&peer, &[answer]);
            }
        }
    }

    /// Sends blocks in the session with a router.
    fn tell(&mut self, router: &RouterHash, blocks: &[Owned]) {
        let Some(session) = self.sessions.values_mut().find(|s| s.est.peer == *router) else { return };
        let blocks: Vec<_> = blocks.iter().map(Owned::block).collect();
        let (packet, to) = (session.seal(&blocks), session.est.addr);
        self.send(to, &packet);
    }

    /// Does what the services want.
    fn serve(&mut self, now: Now) {
        for addr in self.services.known.infos.values().filter_map(|i| i.ssu2().find_map(|a| a.socket)) {
            self.services.known.tokens.insert(addr, self.endpoint.issue_token(now, addr).0);
        }
        for what in self.services.turn(now) {
            match what {
                Do::Blocks(to, blocks) => self.tell(&to, &blocks),
                Do::Datagram(to, bytes) => self.send(to, &bytes),
                Do::Dial { charlie, addr, token } => {
                    let target = self.services.known.infos.get(&charlie).and_then(target);
                    if let Some(mut target) = target {
                        (target.remote.addr, target.token) = (addr, Some(token));
                        self.endpoint.dial(now, target);
                    }
                }
            }
        }
        self.ask_for_introduction(now);
    }

    /// Once the other has a tag of a router with which we have a session as well.
    fn ask_for_introduction(&mut self, now: Now) {
        let Some(other) = &self.introduce else { return };
        let (Ok(info), Ok(tag)) = (std::fs::read(other.join("router.info")), std::fs::read(other.join("tag"))) else {
            return;
        };
        let Some((bob, tag)) = tag.split_at_checked(32) else { return };
        let bob = RouterHash(bob.try_into().unwrap());
        if self.services.known.sessions.contains_key(&bob) {
            let info = RouterInfo::parse(info.into()).unwrap();
            let charlie = info.hash();
            self.services.router_info(now, info);
            let tag = u32::from_be_bytes(tag.try_into().unwrap());
            self.services.introduce(now, Introduction { bob, charlie, tag, v4: true });
            self.introduce = None;
        }
    }

    fn receive(&mut self, wait: Duration) {
        let mut buffer = [0; 2048];
        self.socket.set_read_timeout(Some(wait.max(Duration::from_millis(1)))).unwrap();
        let Ok((len, from)) = self.socket.recv_from(&mut buffer) else { return };
        let datagram = &mut buffer[..len];
        match header::connection_id(datagram, &self.intro).filter(|id| self.sessions.contains_key(id)) {
            Some(id) => self.packet(id, datagram),
            None => self.endpoint.handle_datagram(self.clock.now(), from, 0, datagram),
        }
    }

    fn turn(&mut self) {
        let now = self.clock.now();
        self.endpoint.handle_timeout(now);
        for (target, due) in self.calls.iter_mut().filter(|(_, due)| *due <= now.mono) {
            *due = now.mono + Duration::from_secs(16);
            println!("calling {}", target.remote.addr);
            self.endpoint.dial(now, target.clone());
        }
        self.drain(now);
        let mut again = Vec::new();
        for session in self.sessions.values_mut().filter(|s| !s.heard) {
            if session.resend.first().is_some_and(|due| *due <= now.mono) {
                session.resend.remove(0);
                again.extend(session.est.confirmed.iter().map(|d| (session.est.addr, d.clone())));
            }
        }
        for (to, datagram) in again {
            println!("SessionConfirmed again to {to}");
            self.send(to, &datagram);
        }
        let wait = self.endpoint.poll_timeout().map_or(Duration::MAX, |due| due.saturating_sub(now.mono));
        self.receive(wait.min(Duration::from_millis(100)));
        let now = self.clock.now();
        self.drain(now);
        self.serve(now);
    }
}

/// The RouterInfo in a block, in either way in which one is sent.
fn router_info(block: &Block<'_>) -> Option<RouterInfo> {
    let bytes = match block {
        Block::RouterInfo(info) if info.gzip => ramson_protocol::gzip::gunzip(info.bytes, 4096).ok()?.into(),
        Block::RouterInfo(info) => Bytes::copy_from_slice(info.bytes),
        Block::I2np(m) if m.kind == 1 => {
            let store = DatabaseStore::parse(&Bytes::copy_from_slice(m.body)).ok()?;
            store.entry.as_bytes().clone()
        }
        _ => return None,
    };
    RouterInfo::parse(bytes).ok().filter(|info| info.verify().is_ok())
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [dir, listen, net_id, options @ ..] = &args[..] else { return println!("shake2 DIR IP:PORT NET_ID [options]") };
    let option = |name: &str| options.iter().skip_while(|o| *o != name).nth(1);
    let has = |name: &str| options.iter().any(|o| o == name);
    let (dir, listen): (_, SocketAddr) = (Path::new(dir), listen.parse().unwrap());
    let net_id: u8 = net_id.parse().unwrap();
    let mut rng: ChaCha20Rng = rand::make_rng();
    let (keys, static_key, intro) = keys(dir, &mut rng);
    let clock = Clock::new();
    let published = if has("--info-static-key") { [9; 32] } else { static_key.to_bytes() };
    let address = RouterAddressBuf::ssu2(listen, &SecretKey::from_bytes(published).public(), &intro, "BC", 1500);
    // Java calls a floodfill over SSU2 only after it has heard from it.
    let caps = Caps::parse(if has("--silent") { "XR" } else { "XfR" });
    let mut builder = RouterInfoBuilder::new(net_id, Version::parse("0.9.69"), caps)
        .address(address)
        .option("netdb.knownRouters", "100")
        .option("netdb.knownLeaseSets", "10");
    for n in (0..8).filter(|_| has("--big")) {
        let text: String = (0..200).map(|_| char::from(rng.random_range(b'a'..=b'z'))).collect();
        builder = builder.option(&format!("x{n}"), text);
    }
    let info = builder.sign(&keys, clock.now().wall).unwrap();
    std::fs::write(dir.join("router.info"), info.as_bytes()).unwrap();
    clock.adjust(option("--clock-ms").map_or(0, |ms| ms.parse().unwrap()));

    let own_net = option("--lie-net-id").map_or(net_id, |n| n.parse().unwrap());
    let bytes = Bytes::copy_from_slice(info.as_bytes());
    let config = Config {
        local: Local::new(own_net, keys.identity.hash(), static_key, intro, bytes),
        limits: Limits::default(),
        gate: Box::new(OpenGate),
        choose_id: Box::new(|_: &RouterHash| rand::random()),
    };
    let bind = option("--bind").map_or(listen.ip(), |ip| ip.parse().unwrap());
    let socket = UdpSocket::bind(SocketAddr::new(bind, listen.port())).unwrap();
    let now = clock.now();
    let mut endpoint = Endpoint::new(config, rng.random(), now);
    let peers = router_infos(&dir.join("netDb"));
    let only: Option<Vec<_>> = option("--call").map(|list| list.split(',').collect());
    let wanted = |t: &Target| only.as_ref().is_none_or(|ips| ips.contains(&t.remote.addr.ip().to_string().as_str()));
    let targets = peers.iter().filter(|_| !has("--silent")).filter_map(target).filter(wanted);
    let calls: Vec<_> = targets.map(|t| (t, now.mono)).collect();
    for (target, _) in calls.iter().filter(|_| has("--stale-token")) {
        endpoint.learn_token(target.remote.addr, 0x0123_4567_89ab_cdef, u32::MAX);
    }
    println!("listening on {}", socket.local_addr().unwrap());
    let mut services = Services::new(keys, own_net, [rng.random(), rng.random()]);
    services.set_address(now, listen, has("--test"));
    peers.into_iter().for_each(|info| services.router_info(now, info));
    let (dir, introduce) = (dir.to_owned(), option("--introduce").map(PathBuf::from));
    let mut shell = Shell {
        services,
        dir,
        introduce,
        endpoint,
        socket,
        clock,
        intro: MaskKey::new(intro),
        sessions: HashMap::new(),
        calls,
    };
    let mut said = Vec::new();
    loop {
        shell.turn();
        let drops: Vec<_> = shell.endpoint.stats().drops().collect();
        if drops != said {
            println!("dropped {drops:?}");
            said = drops;
        }
    }
}
