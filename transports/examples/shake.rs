//! Shakes hands with real routers and prints what they say: no I/O threads, no tunnels, one line per event.
//!
//! ```text
//! shake DIR IP:PORT NET_ID [--bind IP] [--lie-net-id N] [--clock-ms N] [--info-static-key]
//! ```
//! `DIR` keeps the keys and gets `router.info`; RouterInfos are read from `DIR/netDb`. Every router found there is
//! called, once a second until somebody listens; whoever calls is let in. `shake.py` beside this file runs it against i2pd.

#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, reason = "a tool of the developers")]

use arc_swap::ArcSwap;
use bytes::Bytes;
use ramson_crypto::x25519::SecretKey;
use ramson_protocol::data::router_address::RouterAddressBuf;
use ramson_protocol::data::router_info::{Caps, RouterInfo, RouterInfoBuilder, Version};
use ramson_protocol::data::router_keys::RouterKeys;
use ramson_protocol::dialing::Transport;
use ramson_protocol::id::RouterHash;
use ramson_protocol::link::gate::OpenGate;
use ramson_protocol::link::limits::Limits;
use ramson_protocol::link::padding::PaddingOptions;
use ramson_protocol::link::skew::nearest_second;
use ramson_protocol::ntcp2::block::{Block, Blocks};
use ramson_transports::clock::Clock;
use ramson_transports::established::Established;
use ramson_transports::handshake::{DialTarget, Failed, HandshakeConfig, HandshakeSink, Outcome, spawn};
use rand::Rng;
use rand_chacha::ChaCha20Rng;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

struct Print(Clock, Sender<Option<RouterHash>>);

impl HandshakeSink for Print {
    fn established(&self, session: Box<Established>) {
        println!("{} established {} skew={}ms", session.direction.label(), session.addr, session.skew_ms);
        let clock = self.0.clone();
        std::thread::spawn(move || {
            let label = format!("{} {}", session.direction.label(), session.addr);
            let end = listen(*session, &clock, &label);
            println!("{label} ended: {end}");
        });
    }

    fn failed(&self, failed: Failed) {
        let (direction, addr, outcome) = (failed.direction.label(), failed.addr, failed.outcome);
        println!("{direction} failed {addr} {} skew={:?}", outcome.label(), failed.skew_ms);
        if let Outcome::Protocol(cause) = outcome {
            println!("  {cause}");
        }
        if failed.outcome == Outcome::ConnectRefused {
            // It is still starting.
            let _ = self.1.send(failed.peer);
        }
    }
}

/// Sends a DateTime block, then prints every block until the session ends.
fn listen(mut session: Established, clock: &Clock, label: &str) -> String {
    let mut stream = std::net::TcpStream::from(session.stream);
    stream.set_nonblocking(false).unwrap();
    let mut wire = vec![0, 0];
    Block::DateTime { seconds: nearest_second(clock.now().wall) }.write(&mut wire).unwrap();
    Block::Padding(7).write(&mut wire).unwrap();
    session.sealer.seal_in_place(&mut wire, 0).unwrap();
    if let Err(e) = stream.write_all(&wire) {
        return e.to_string();
    }
    let mut received = std::io::Cursor::new(session.leftover).chain(stream);
    loop {
        let mut field = [0; 2];
        if let Err(e) = received.read_exact(&mut field) {
            return e.to_string();
        }
        let len = match session.opener.next_len(field) {
            Ok(len) => len,
            Err(e) => return e.to_string(),
        };
        let mut frame = vec![0; len];
        if let Err(e) = received.read_exact(&mut frame) {
            return e.to_string();
        }
        match session.opener.open(&mut frame) {
            Ok(plain) => Blocks::new(plain).for_each(|block| println!("{label} {}", describe(block))),
            Err(e) => return e.to_string(),
        }
    }
}

fn describe(block: ramson_protocol::wire::Result<Block<'_>>) -> String {
    match block {
        Ok(Block::I2np(m)) => format!("I2NP type {} of {} bytes", m.kind, m.body.len()),
        Ok(Block::Termination { frames, reason, .. }) => {
            format!("termination {} {} after {frames} frames", reason.0, reason.label(Transport::Ntcp2))
        }
        Ok(Block::RouterInfo { bytes, .. }) => format!("RouterInfo of {} bytes", bytes.len()),
        Ok(other) => format!("{other:?}"),
        Err(e) => format!("bad block: {e}"),
    }
}

/// Our keys, made at the first start.
fn keys(dir: &Path, rng: &mut ChaCha20Rng) -> (RouterKeys, SecretKey, [u8; 16]) {
    let file = dir.join("shake.keys");
    if let Ok(bytes) = std::fs::read(&file) {
        let (transport, router) = bytes.split_at(48);
        let iv = transport[32..].try_into().unwrap();
        let static_key = SecretKey::from_bytes(transport[..32].try_into().unwrap());
        return (RouterKeys::from_bytes(router).unwrap(), static_key, iv);
    }
    let mut transport = [0; 48];
    rng.fill_bytes(&mut transport);
    let keys = RouterKeys::generate(rng);
    std::fs::write(&file, [&transport[..], &keys.to_bytes()[..]].concat()).unwrap();
    (keys, SecretKey::from_bytes(transport[..32].try_into().unwrap()), transport[32..].try_into().unwrap())
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

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [dir, listen, net_id, options @ ..] = &args[..] else { return println!("shake DIR IP:PORT NET_ID [options]") };
    let option = |name: &str| options.iter().skip_while(|o| *o != name).nth(1);
    let (dir, listen): (_, SocketAddr) = (Path::new(dir), listen.parse().unwrap());
    let net_id: u8 = net_id.parse().unwrap();
    let mut rng: ChaCha20Rng = rand::make_rng();
    let (keys, static_key, iv) = keys(dir, &mut rng);
    let clock = Clock::new();
    let published = if options.iter().any(|o| o == "--info-static-key") { [9; 32] } else { static_key.to_bytes() };
    let public = SecretKey::from_bytes(published).public();
    let info = RouterInfoBuilder::new(net_id, Version::parse("0.9.69"), Caps::parse("XfR"))
        .address(RouterAddressBuf::ntcp2(listen, &public, &iv))
        .option("netdb.knownRouters", "100")
        .option("netdb.knownLeaseSets", "10")
        .sign(&keys, clock.now().wall)
        .unwrap();
    std::fs::write(dir.join("router.info"), info.as_bytes()).unwrap();
    clock.adjust(option("--clock-ms").map_or(0, |ms| ms.parse().unwrap()));
    let config = HandshakeConfig {
        listen: vec![listen],
        bind: vec![option("--bind").map_or(listen.ip(), |ip| ip.parse().unwrap())],
        net_id: option("--lie-net-id").map_or(net_id, |n| n.parse().unwrap()),
        router: keys.identity.hash(),
        static_key,
        iv,
        router_info: Arc::new(ArcSwap::from_pointee(Bytes::copy_from_slice(info.as_bytes()))),
        padding: PaddingOptions::default(),
        limits: Limits::default(),
        clock: clock.clone(),
        gate: Arc::new(OpenGate),
    };
    let (again, redial) = channel();
    let (handle, _) = spawn(config, Arc::new(Print(clock, again))).unwrap();
    println!("listening on {listen}");
    let peers = router_infos(&dir.join("netDb"));
    let call = |peer: &RouterInfo| {
        let Some((addr, static_key, iv)) = peer.ntcp2().find_map(|a| a.dialable()) else { return };
        println!("calling {addr}");
        assert!(handle.dial(DialTarget { peer: peer.hash(), addr, static_key, iv }));
    };
    peers.iter().for_each(call);
    for hash in redial {
        std::thread::sleep(Duration::from_millis(300));
        peers.iter().filter(|peer| Some(peer.hash()) == hash).for_each(call);
    }
}
