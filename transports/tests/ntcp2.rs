//! The handshake thread over real sockets on the loopback interface.
//!
//! spec: ntcp2 §Messages, §AEAD Error Handling

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

#[path = "ntcp2/failures.rs"]
mod failures;
#[path = "ntcp2/strangers.rs"]
mod strangers;

use arc_swap::ArcSwap;
use bytes::Bytes;
use ramson_crypto::x25519::SecretKey;
use ramson_protocol::data::router_address::RouterAddressBuf;
use ramson_protocol::data::router_info::{Caps, RouterInfoBuilder, Version};
use ramson_protocol::data::router_keys::RouterKeys;
use ramson_protocol::id::RouterHash;
use ramson_protocol::link::gate::OpenGate;
use ramson_protocol::link::limits::Limits;
use ramson_protocol::link::padding::PaddingOptions;
use ramson_protocol::ntcp2::block::{Block, Blocks};
use ramson_transports::call_from::CallFrom;
use ramson_transports::clock::Clock;
use ramson_transports::event::Direction;
use ramson_transports::ntcp2::{DialTarget, Failed, HandshakeConfig, HandshakeHandle, HandshakeSink, Outcome, spawn};
use ramson_transports::ports::established::Established;
use rand_chacha::ChaCha20Rng;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const NET: u8 = 99;
const PATIENCE: Duration = Duration::from_secs(10);

struct Sink(Sender<Box<Established>>, Sender<Failed>);

impl HandshakeSink for Sink {
    fn established(&self, session: Box<Established>) {
        // A test that has seen enough has dropped its end.
        let _ = self.0.send(session);
    }

    fn failed(&self, failed: Failed) {
        let _ = self.1.send(failed);
    }
}

/// A router as far as shaking hands goes.
struct Router {
    keys: RouterKeys,
    config: HandshakeConfig,
    handle: HandshakeHandle,
    sessions: Receiver<Box<Established>>,
    failures: Receiver<Failed>,
    join: Option<JoinHandle<()>>,
}

impl Router {
    fn start(ip: &str) -> Self {
        Self::start_with(ip, |_| {})
    }

    fn start_with(ip: &str, change: impl FnOnce(&mut HandshakeConfig)) -> Self {
        let mut rng: ChaCha20Rng = rand::make_rng();
        let keys = RouterKeys::generate(&mut rng);
        let ip: IpAddr = ip.parse().unwrap();
        let mut random = || keys_bytes(&mut rng);
        let mut config = HandshakeConfig {
            listen: vec![SocketAddr::new(ip, 0)],
            call_from: calls_from(ip),
            net_id: NET,
            router: keys.identity.hash(),
            static_key: SecretKey::from_bytes(random()),
            iv: random()[..16].try_into().unwrap(),
            router_info: Arc::new(ArcSwap::from_pointee(Bytes::new())),
            padding: PaddingOptions::default(),
            limits: Limits::default(),
            max_connections: 1000,
            clock: Clock::new(),
            gate: Arc::new(OpenGate),
        };
        change(&mut config);
        let (sessions_in, sessions) = channel();
        let (failures_in, failures) = channel();
        let (handle, join) = spawn(config.clone(), Arc::new(Sink(sessions_in, failures_in))).unwrap();
        let router = Self { keys, config, handle, sessions, failures, join: Some(join) };
        router.publish(|builder| builder);
        router
    }

    fn addr(&self) -> SocketAddr {
        self.handle.local_addrs()[0]
    }

    /// Signs a RouterInfo with our address and what `change` makes of it.
    fn publish(&self, change: impl FnOnce(RouterInfoBuilder) -> RouterInfoBuilder) {
        let (public, iv) = (self.config.static_key.public(), self.config.iv);
        let builder = RouterInfoBuilder::new(self.config.net_id, Version::parse("0.9.69"), Caps::parse("LR"))
            .address(RouterAddressBuf::ntcp2(self.addr(), &public, &iv));
        let info = change(builder).sign(&self.keys, self.config.clock.now().wall).unwrap();
        self.config.router_info.store(Arc::new(info.as_bytes().clone()));
    }

    fn address_of(&self) -> DialTarget {
        DialTarget {
            peer: self.config.router,
            addr: self.addr(),
            static_key: self.config.static_key.public(),
            iv: self.config.iv,
        }
    }

    fn dial(&self, peer: DialTarget) {
        assert!(self.handle.dial(peer));
    }

    fn session(&self) -> Box<Established> {
        self.sessions.recv_timeout(PATIENCE).unwrap()
    }

    fn failure(&self) -> Failed {
        self.failures.recv_timeout(PATIENCE).unwrap()
    }

    fn count(&self, direction: Direction, label: &str) -> u64 {
        self.handle.stats.failures(direction).find(|(l, _)| *l == label).unwrap().1
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        self.handle.stop();
        self.join.take().unwrap().join().unwrap();
    }
}

fn calls_from(ip: IpAddr) -> Arc<CallFrom> {
    let from = CallFrom::default();
    from.set([ip.is_ipv4().then_some(ip), ip.is_ipv6().then_some(ip)]);
    Arc::new(from)
}

fn keys_bytes(rng: &mut ChaCha20Rng) -> [u8; 32] {
    use rand::Rng;
    let mut bytes = [0; 32];
    rng.fill_bytes(&mut bytes);
    bytes
}

/// The session's socket as a blocking one.
fn blocking(stream: mio::net::TcpStream) -> std::net::TcpStream {
    let stream = std::net::TcpStream::from(stream);
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// A session for tests: one frame at a time.
struct Talker {
    stream: std::net::TcpStream,
    session: Established,
}

impl Talker {
    fn new(session: Box<Established>) -> Self {
        let mut session = *session;
        let spare = std::net::TcpStream::connect(spare_address()).map(mio::net::TcpStream::from_std).unwrap();
        let stream = blocking(std::mem::replace(&mut session.stream, spare));
        Self { stream, session }
    }

    fn send(&mut self, block: Block<'_>) {
        let mut wire = vec![0, 0];
        block.write(&mut wire).unwrap();
        self.session.sealer.seal_in_place(&mut wire, 0).unwrap();
        self.stream.write_all(&wire).unwrap();
    }

    /// Hands the blocks of the next frame to `check`.
    fn receive(&mut self, check: impl FnOnce(Vec<Block<'_>>)) {
        let mut take = |n: usize| {
            let mut bytes = vec![0; n];
            let head = n.min(self.session.leftover.len());
            bytes[..head].copy_from_slice(&self.session.leftover[..head]);
            self.session.leftover.drain(..head);
            self.stream.read_exact(&mut bytes[head..]).unwrap();
            bytes
        };
        let field = take(2).try_into().unwrap();
        let len = self.session.opener.next_len(field).unwrap();
        let mut frame = take(len);
        let plain = self.session.opener.open(&mut frame).unwrap();
        check(Blocks::new(plain).collect::<Result<_, _>>().unwrap());
    }
}

/// Somewhere to connect to: a listener that lives as long as the process.
fn spare_address() -> SocketAddr {
    static SPARE: std::sync::OnceLock<std::net::TcpListener> = std::sync::OnceLock::new();
    SPARE.get_or_init(|| std::net::TcpListener::bind("127.0.0.1:0").unwrap()).local_addr().unwrap()
}

fn meet(caller: &Router, called: &Router) -> (Talker, Talker) {
    caller.dial(called.address_of());
    let (out, inn) = (caller.session(), called.session());
    assert_eq!((out.direction, inn.direction), (Direction::Outbound, Direction::Inbound));
    assert_eq!((out.peer, inn.peer), (called.config.router, caller.config.router));
    let shown = inn.router_info.as_ref().map(|info| info.as_bytes().clone());
    assert_eq!(shown.as_ref(), Some(&**caller.config.router_info.load()));
    assert!(out.router_info.is_none());
    assert_eq!(out.addr, called.addr());
    assert_eq!(inn.addr.ip(), caller.addr().ip());
    (Talker::new(out), Talker::new(inn))
}

#[test]
fn two_routers_meet_over_ipv4_and_talk() {
    let (a, b) = (Router::start("127.0.0.1"), Router::start("127.0.0.2"));
    for (caller, called) in [(&a, &b), (&b, &a)] {
        let (mut out, mut inn) = meet(caller, called);
        for _ in 0..3 {
            out.send(Block::DateTime { seconds: 5 });
            inn.receive(|blocks| assert_eq!(blocks, [Block::DateTime { seconds: 5 }]));
            inn.send(Block::DateTime { seconds: 6 });
            out.receive(|blocks| assert_eq!(blocks, [Block::DateTime { seconds: 6 }]));
        }
        assert!(out.session.skew_ms.abs() <= 1000 && inn.session.skew_ms.abs() <= 1000);
    }
    for router in [&a, &b] {
        let stats = &router.handle.stats;
        assert_eq!((stats.established[0].get(), stats.established[1].get()), (1, 1));
        assert_eq!((stats.half_open[0].get(), stats.half_open[1].get()), (0, 0));
    }
}

#[test]
fn two_routers_meet_over_ipv6() {
    let (a, b) = (Router::start("::1"), Router::start("::1"));
    let (mut out, mut inn) = meet(&a, &b);
    inn.send(Block::Padding(30));
    out.receive(|blocks| assert_eq!(blocks, [Block::Padding(30)]));
}

/// Behind a NAT what is published is on no interface; and what was on one may go.
#[test]
fn a_router_calls_though_the_machine_has_not_the_address_that_it_is_to_call_from() {
    let elsewhere = "203.0.113.7".parse().unwrap();
    let alice = Router::start_with("127.0.0.1", |config| config.call_from = calls_from(elsewhere));
    let bob = Router::start("127.0.0.1");
    meet(&alice, &bob);
}

#[test]
fn a_hundred_routers_call_one() {
    let called = Router::start_with("127.0.0.1", |c| c.limits.burst_per_ip = 1000);
    let callers: Vec<_> = (0..10).map(|_| Router::start("127.0.0.1")).collect();
    for _ in 0..10 {
        callers.iter().for_each(|c| c.dial(called.address_of()));
        for caller in &callers {
            caller.session();
            called.session();
        }
    }
    assert_eq!(called.handle.stats.established[0].get(), 100);
}

#[test]
fn a_router_that_only_calls_needs_no_published_address() {
    let (a, b) = (Router::start_with("127.0.0.1", |c| c.call_from = Arc::default()), Router::start("127.0.0.1"));
    a.publish(|mut builder| {
        builder.addresses = vec![RouterAddressBuf::ntcp2_unpublished(&a.config.static_key.public(), "4")];
        builder
    });
    meet(&a, &b);
}
