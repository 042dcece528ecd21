//! Peer tests and introductions around the sessions of this tool.

use ramson_protocol::data::router_info::RouterInfo;
use ramson_protocol::data::router_keys::RouterKeys;
use ramson_protocol::id::RouterHash;
use ramson_protocol::ssu2::block::Block;
use ramson_protocol::ssu2::directory::{Directory, Me};
use ramson_protocol::ssu2::endpoint::Outside;
use ramson_protocol::ssu2::peer_test::{self, PeerTests};
use ramson_protocol::ssu2::relay::{self, Introduction, Relay, Sort};
use ramson_protocol::time::Now;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

/// What is known of routers.
#[derive(Default)]
pub struct Known {
    pub infos: HashMap<RouterHash, RouterInfo>,
    /// Routers with a session.
    pub sessions: HashMap<RouterHash, SocketAddr>,
    /// The token that the endpoint would give to an address now.
    pub tokens: HashMap<SocketAddr, u64>,
}

impl Directory for Known {
    fn router_info(&self, router: &RouterHash) -> Option<RouterInfo> {
        self.infos.get(router).cloned()
    }

    fn testers(&self, v4: bool) -> Vec<(RouterHash, SocketAddr)> {
        let tests = |hash: &RouterHash| {
            let info = self.infos.get(hash);
            info.is_some_and(|i| i.ssu2().any(|a| a.caps.peer_test && a.socket.is_some_and(|s| s.is_ipv4() == v4)))
        };
        self.sessions.iter().filter(|(hash, _)| tests(hash)).map(|(hash, addr)| (*hash, *addr)).collect()
    }

    fn is_connected(&self, router: &RouterHash) -> bool {
        self.sessions.contains_key(router)
    }

    fn token_for(&self, addr: SocketAddr) -> u64 {
        self.tokens.get(&addr).copied().unwrap_or(1)
    }
}

/// A block to be sent to a router.
pub enum Owned {
    RouterInfo(Vec<u8>),
    PeerTest(Vec<u8>),
    Relay(Sort, Vec<u8>),
    RelayTag(u32),
}

impl Owned {
    pub fn block(&self) -> Block<'_> {
        match self {
            Self::RouterInfo(bytes) => {
                let fragment = ramson_protocol::ssu2::block::RouterInfo::WHOLE;
                Block::RouterInfo(ramson_protocol::ssu2::block::RouterInfo {
                    flood: false,
                    gzip: true,
                    fragment,
                    bytes,
                })
            }
            Self::PeerTest(data) => Block::PeerTest(data),
            Self::Relay(Sort::Request, data) => Block::RelayRequest(data),
            Self::Relay(Sort::Intro, data) => Block::RelayIntro(data),
            Self::Relay(Sort::Response, data) => Block::RelayResponse(data),
            Self::RelayTag(tag) => Block::RelayTag(*tag),
        }
    }
}

/// What is to be done.
pub enum Do {
    Blocks(RouterHash, Vec<Owned>),
    Datagram(SocketAddr, Vec<u8>),
    Dial { charlie: RouterHash, addr: SocketAddr, token: u64 },
}

/// Both machines.
pub struct Services {
    pub known: Known,
    tests: PeerTests,
    relay: Relay,
    said: String,
}

impl Services {
    pub fn new(keys: RouterKeys, net_id: u8, seeds: [[u8; 32]; 2]) -> Self {
        let me = Me { net_id, keys: Arc::new(keys), allow_reserved: true };
        let (tests, relay) = (PeerTests::new(me.clone(), seeds[0]), Relay::new(me, seeds[1]));
        Self { known: Known::default(), tests, relay, said: String::new() }
    }

    pub fn set_address(&mut self, now: Now, addr: SocketAddr, test: bool) {
        // An address far in the future is tested by nobody: others need it only to call with.
        let now = if test { now } else { now.plus(std::time::Duration::from_secs(1 << 30)) };
        self.tests.set_address(now, true, Some(addr));
        self.relay.set_address(true, Some(addr));
    }

    pub fn introduce(&mut self, now: Now, introduction: Introduction) {
        self.relay.introduce(now, introduction);
    }

    pub fn router_info(&mut self, now: Now, info: RouterInfo) {
        let hash = info.hash();
        self.known.infos.insert(hash, info);
        self.tests.handle_router_info(now, &hash, &self.known);
        self.relay.handle_router_info(now, &hash, &self.known);
    }

    /// A block from a session; the answer to a RelayTagRequest.
    pub fn block(&mut self, now: Now, from: &RouterHash, addr: SocketAddr, block: &Block<'_>) -> Option<Owned> {
        match block {
            Block::PeerTest(data) => self.tests.handle_block(now, from, addr, data, &self.known),
            Block::RelayRequest(data) => self.relay.handle_request(now, from, data, &self.known),
            Block::RelayIntro(data) => self.relay.handle_intro(now, from, data, &self.known),
            Block::RelayResponse(data) => self.relay.handle_response(now, from, data, &self.known),
            Block::RelayTag(tag) => self.relay.handle_tag(from, *tag),
            Block::RelayTagRequest => return self.relay.tag_for(from).map(Owned::RelayTag),
            _ => {}
        }
        None
    }

    pub fn tag(&mut self, from: &RouterHash, tag: u32) {
        self.relay.handle_tag(from, tag);
    }

    pub fn tag_for(&mut self, router: &RouterHash) -> Option<Owned> {
        self.relay.tag_for(router).map(Owned::RelayTag)
    }

    pub fn outside(&mut self, now: Now, outside: &Outside) {
        self.tests.handle_outside(now, outside);
        self.relay.handle_outside(now, outside, &self.known);
    }

    /// Does what is due, and says what there is to do.
    pub fn turn(&mut self, now: Now) -> Vec<Do> {
        self.tests.handle_timeout(now, &self.known);
        self.relay.handle_timeout(now, &self.known);
        let mut todo = Vec::new();
        let infos = |bytes: Option<bytes::Bytes>| bytes.map(|b| Owned::RouterInfo(ramson_protocol::gzip::gzip(&b)));
        while let Some(output) = self.tests.poll_output() {
            match output {
                peer_test::Output::Block { to, data, router_info } => {
                    println!("peer test: message {} code {} goes out", data[0], data[1]);
                    todo.push(Do::Blocks(to, infos(router_info).into_iter().chain([Owned::PeerTest(data)]).collect()));
                }
                peer_test::Output::Datagram { to, bytes } => todo.push(Do::Datagram(to, bytes)),
                peer_test::Output::Status { status, seen, .. } => println!("status {} seen={seen:?}", status.label()),
                peer_test::Output::NeedRouterInfo(_) => println!("peer test: a RouterInfo is missing"),
            }
        }
        while let Some(output) = self.relay.poll_output() {
            match output {
                relay::Output::Block { to, sort, data, router_info } => {
                    println!("relay: {sort:?} goes out");
                    let blocks = infos(router_info).into_iter().chain([Owned::Relay(sort, data)]).collect();
                    todo.push(Do::Blocks(to, blocks));
                }
                relay::Output::Datagram { to, bytes } => todo.push(Do::Datagram(to, bytes)),
                relay::Output::Introduced { charlie, addr, token } => {
                    println!("introduced: {addr}");
                    todo.push(Do::Dial { charlie, addr, token });
                }
                relay::Output::Failed { why, .. } => println!("introduction failed: {why}"),
                relay::Output::NeedRouterInfo(_) => println!("introduction: a RouterInfo is missing"),
            }
        }
        let tallies = self.tests.tally().iter().chain(self.relay.tally().iter());
        let said: Vec<_> = tallies.map(|(role, what, n)| format!("{role}/{what}={n}")).collect();
        if said.join(" ") != self.said {
            self.said = said.join(" ");
            println!("tally {}", self.said);
        }
        todo
    }
}
