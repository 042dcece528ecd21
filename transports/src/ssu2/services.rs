//! What routers do for those behind NATs, and what is done for us: peer tests and introductions.
//!
//! The machines are in the protocol's crate; here they get what comes in sessions and outside of them, and what they
//! want is done. Blocks go to the I/O thread of the session, datagrams out by the sockets.

use super::Services as Config;
use super::known_routers::{KnownRouters, View};
use crate::event::{Direction, News};
use crate::ports::ssu2::{Block, Standing, Stats, Target};
use ramson_protocol::data::router_address::Introducer;
use ramson_protocol::data::router_info::RouterInfo;
use ramson_protocol::id::RouterHash;
use ramson_protocol::link::fault::Fault;
use ramson_protocol::ssu2::block;
use ramson_protocol::ssu2::directory::Me;
use ramson_protocol::ssu2::endpoint::{Endpoint, Outside};
use ramson_protocol::ssu2::introducers::Introducers;
use ramson_protocol::ssu2::peer_test::{self, PeerTests};
use ramson_protocol::ssu2::relay::{self, Introduction, Relay};
use ramson_protocol::time::{Mono, Now};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

/// Calls by way of introducers at once.
const MAX_CALLS: usize = 256;

/// How long such a call may take, a session with the introducer included.
const CALL_LIMIT: Duration = Duration::from_secs(25);

/// After a rebinding of our NAT all peers hear from us, at most this often.
const SHOW_EVERY: Duration = Duration::from_secs(5);

/// How often peers with whom sessions stand are asked to introduce others to us, while such are missing.
const ASK_EVERY: Duration = Duration::from_secs(5);

/// What is to be done.
#[derive(Debug)]
pub(super) enum Act {
    /// A block goes to a router in its session.
    Block(RouterHash, Block),
    /// A datagram goes out.
    Datagram(SocketAddr, Vec<u8>),
    /// A router was introduced: it is to be called with this token.
    Dial(Target, SocketAddr, u64),
    /// A router cannot be called.
    CallFailed(RouterHash, &'static str, Fault),
    /// The NAT in front of us was rebound: peers are to hear from us.
    Rebound { same_ip: bool },
    /// For the control plane.
    News(News),
}

/// A router that we want to be introduced to.
struct Call {
    target: Target,
    /// Who could do it and was not asked yet.
    introducers: VecDeque<Introducer>,
    /// Whom we have asked.
    asked: bool,
    until: Mono,
}

pub(super) struct Services {
    tests: PeerTests,
    relay: Relay,
    introducers: Introducers,
    pub(super) known: KnownRouters,
    /// How we stand towards callers: IPv4, IPv6.
    standing: [Standing; 2],
    /// Whom we have asked for a tag in a session that stood already.
    asked: FxHashSet<RouterHash>,
    next_asking: Mono,
    /// The NAT in front of us was rebound and peers were not shown yet; whether our IP is the same.
    rebound: Option<bool>,
    /// When they may be shown.
    next_show: Mono,
    calls: FxHashMap<RouterHash, Call>,
    acts: VecDeque<Act>,
}

impl Services {
    pub(super) fn new(config: Config, seeds: [[u8; 32]; 2], now: Now) -> Self {
        let me = Me { net_id: config.net_id, keys: config.keys, allow_reserved: config.allow_private };
        let mut services = Self {
            tests: PeerTests::new(me.clone(), seeds[0]),
            relay: Relay::new(me, seeds[1]),
            introducers: Introducers::new(),
            known: KnownRouters::default(),
            standing: config.standing,
            asked: FxHashSet::default(),
            next_asking: now.mono,
            rebound: None,
            next_show: now.mono,
            calls: FxHashMap::default(),
            acts: VecDeque::new(),
        };
        config.standing.into_iter().for_each(|standing| services.stand(now, standing));
        services
    }

    /// From now on we stand so in one family.
    pub(super) fn stand(&mut self, now: Now, standing: Standing) {
        let Standing { v4, published, tested, seen } = standing;
        self.standing[usize::from(!v4)] = standing;
        self.tests.set_address(now, v4, tested);
        self.relay.set_address(v4, if published { tested } else { seen });
        if published {
            self.asked.clear();
        }
    }

    /// Our address of a family is to be tested soon.
    pub(super) fn retest(&mut self, now: Now, v4: bool) {
        self.tests.retest(now, v4);
    }

    /// True if whom we call there is to be asked for a tag: we cannot be called.
    pub(super) fn wants_tag(&self, addr: SocketAddr) -> bool {
        !self.standing[usize::from(addr.is_ipv6())].published
    }

    /// True if a router at this address is about to call us.
    pub(super) fn expects_call(&self, now: Now, addr: SocketAddr) -> bool {
        self.relay.expects_call(now, addr)
    }

    /// A session stands.
    pub(super) fn up(
        &mut self,
        peer: RouterHash,
        id: u64,
        addr: SocketAddr,
        info: Option<RouterInfo>,
        direction: Direction,
    ) {
        self.known.up(peer, id, addr, direction);
        if let Some(info) = info {
            self.known.learn(info);
        }
    }

    /// A session has ended.
    pub(super) fn down(&mut self, now: Now, peer: &RouterHash, id: u64) {
        if self.known.down(peer, id) {
            self.asked.remove(peer);
            self.relay.session_ended(peer);
            self.introducers.withdrawn(peer);
            self.refresh(now);
        }
    }

    /// A peer says in its session where it sees us. If that is elsewhere than before, the NAT in front of us has been
    /// rebound, and whoever sends to where we were waits for us in vain.
    pub(super) fn seen_anew(&mut self, now: Now, by: RouterHash, addr: SocketAddr) {
        let before = self.known.sees_us(&by, addr).filter(|before| *before != addr);
        if let Some(before) = before.filter(|before| before.is_ipv4() == addr.is_ipv4() && self.wants_tag(addr)) {
            let same_ip = before.ip() == addr.ip() && self.rebound.is_none_or(|same_ip| same_ip);
            self.rebound = Some(same_ip);
            self.show_address(now);
        }
    }

    /// Has our peers hear from us if it must be, and not too often: anyone can say that we have moved.
    fn show_address(&mut self, now: Now) {
        if now.mono >= self.next_show
            && let Some(same_ip) = self.rebound.take()
        {
            self.next_show = now.mono + SHOW_EVERY;
            self.acts.push_back(Act::Rebound { same_ip });
        }
    }

    /// Where we cannot be called any more, those with whom sessions stand are asked for tags, as whoever is called is.
    fn ask_for_tags(&mut self, now: Now) {
        if now.mono < self.next_asking {
            return;
        }
        self.next_asking = now.mono + ASK_EVERY;
        for v4 in [true, false] {
            if self.standing[usize::from(!v4)].published {
                continue;
            }
            let missing = self.introducers.missing(v4);
            for peer in self.known.introducing(v4, &self.asked, missing) {
                self.asked.insert(peer);
                let block = Block { kind: block::RELAY_TAG_REQUEST, data: Vec::new(), router_info: None };
                self.acts.push_back(Act::Block(peer, block));
            }
        }
    }

    /// A router gave us a tag. Only one that we asked counts, in a call of ours or later: strangers would become all our
    /// introducers.
    pub(super) fn tag(&mut self, now: Now, peer: RouterHash, tag: u32) {
        let asked = self.known.was_called(&peer) || self.asked.contains(&peer);
        if let Some(addr) = self.known.addr(&peer).filter(|addr| asked && self.wants_tag(*addr)) {
            self.relay.handle_tag(&peer, tag);
            self.introducers.offered(peer, addr.ip(), tag);
            self.refresh(now);
        }
    }

    /// A router asks us for a tag. Who cannot be called introduces nobody, and who publishes an address needs nobody.
    pub(super) fn tag_wanted(&mut self, now: Now, peer: RouterHash) {
        let Some(addr) = self.known.addr(&peer).filter(|addr| !self.wants_tag(*addr)) else { return };
        let same_family = |socket: SocketAddr| socket.is_ipv4() == addr.is_ipv4();
        let published = |info: &RouterInfo| info.ssu2().filter_map(|ssu2| ssu2.socket).any(same_family);
        if self.known.info(&peer).is_some_and(published) {
            return;
        }
        if let Some(tag) = self.relay.tag_for(now.mono, &peer, addr.ip()) {
            self.acts.push_back(Act::Block(
                peer,
                Block { kind: block::RELAY_TAG, data: tag.to_be_bytes().to_vec(), router_info: None },
            ));
        }
    }

    /// A block of a service came in the session with `from`.
    pub(super) fn on_block(&mut self, now: Now, endpoint: &Endpoint, from: RouterHash, kind: u8, data: &[u8]) {
        let Some(addr) = self.known.addr(&from) else { return };
        let view = View { known: &self.known, endpoint, now };
        match kind {
            block::PEER_TEST => self.tests.handle_block(now, &from, addr, data, &view),
            block::RELAY_REQUEST => self.relay.handle_request(now, &from, data, &view),
            block::RELAY_INTRO => self.relay.handle_intro(now, &from, data, &view),
            block::RELAY_RESPONSE => self.relay.handle_response(now, &from, data, &view),
            _ => {}
        }
    }

    /// A PeerTest or HolePunch came.
    pub(super) fn on_outside(&mut self, now: Now, endpoint: &Endpoint, outside: &Outside) {
        self.tests.handle_outside(now, outside);
        self.relay.handle_outside(now, outside, &View { known: &self.known, endpoint, now });
    }

    /// A RouterInfo passed by, its signature not verified. Machines may wait for it.
    pub(super) fn on_router_info(&mut self, now: Now, endpoint: &Endpoint, info: RouterInfo) {
        if info.verify().is_err() {
            return;
        }
        let hash = info.hash();
        self.known.learn(info);
        let view = View { known: &self.known, endpoint, now };
        self.tests.handle_router_info(now, &hash, &view);
        self.relay.handle_router_info(now, &hash, &view);
    }

    /// Calls a router by way of one of its introducers.
    pub(super) fn call(&mut self, now: Now, target: Target, introducers: &[Introducer]) {
        let peer = target.peer;
        if self.calls.len() >= MAX_CALLS {
            return self.acts.push_back(Act::CallFailed(peer, "dial_limit", Fault::Local));
        }
        // Its answers are signed, and it has no session with us that could have brought its RouterInfo.
        self.known.learn(target.info.clone());
        let introducers = introducers.iter().copied().collect();
        self.calls.insert(peer, Call { target, introducers, asked: false, until: now.mono + CALL_LIMIT });
        self.ask(now, &peer, true);
    }

    /// Asks an introducer with whom a session stands. If none does, the control plane is asked for one: `first` says
    /// that it has not been yet.
    fn ask(&mut self, now: Now, peer: &RouterHash, first: bool) {
        let Some(call) = self.calls.get_mut(peer).filter(|call| !call.asked) else { return };
        let connected = call.introducers.iter().position(|i| self.known.addr(&i.router).is_some());
        if let Some(introducer) = connected.and_then(|at| call.introducers.remove(at)) {
            call.asked = true;
            let v4 = self.known.addr(&introducer.router).is_none_or(|addr| addr.is_ipv4());
            let (bob, charlie, tag) = (introducer.router, *peer, introducer.tag);
            self.relay.introduce(now, Introduction { bob, charlie, tag, v4 });
        } else if call.introducers.is_empty() {
            self.calls.remove(peer);
            self.acts.push_back(Act::CallFailed(*peer, "introduction", Fault::PeerMisbehaved));
        } else if first {
            let all = call
                .introducers
                .iter()
                .map(|i| Act::News(News::NeedSession { peer: i.router, ours: call.target.ours }));
            self.acts.extend(all);
        }
    }

    /// Does what is due.
    pub(super) fn on_time(&mut self, now: Now, endpoint: &Endpoint) {
        let view = View { known: &self.known, endpoint, now };
        if self.tests.poll_timeout().is_some_and(|due| due <= now.mono) {
            self.tests.handle_timeout(now, &view);
        }
        if self.relay.poll_timeout().is_some_and(|due| due <= now.mono) {
            self.relay.handle_timeout(now, &view);
        }
    }

    /// When [`Services::on_time`] is due.
    pub(super) fn poll_timeout(&self) -> Option<Mono> {
        self.tests.poll_timeout().into_iter().chain(self.relay.poll_timeout()).min()
    }

    /// Once a second: calls whose introducer is connected by now, calls that took too long, introducers.
    pub(super) fn tick(&mut self, now: Now) {
        let waiting: Vec<RouterHash> = self.calls.iter().filter(|(_, c)| !c.asked).map(|(peer, _)| *peer).collect();
        waiting.iter().for_each(|peer| self.ask(now, peer, false));
        let over: Vec<RouterHash> = self.calls.iter().filter(|(_, c)| c.until <= now.mono).map(|(p, _)| *p).collect();
        for peer in over {
            self.calls.remove(&peer);
            self.acts.push_back(Act::CallFailed(peer, "introduction", Fault::PeerMisbehaved));
        }
        self.ask_for_tags(now);
        self.refresh(now);
        self.show_address(now);
    }

    /// Chooses introducers anew where one is missing, and has them published.
    fn refresh(&mut self, now: Now) {
        for v4 in [true, false] {
            if self.introducers.refresh(now, v4) {
                let introducers = self.introducers.chosen(v4).copied().collect();
                self.acts.push_back(Act::News(News::Introducers { v4, introducers }));
            }
        }
    }

    /// What is to be done next.
    pub(super) fn poll(&mut self, now: Now) -> Option<Act> {
        while let Some(output) = self.tests.poll_output() {
            let act = match output {
                peer_test::Output::Block { to, data, router_info } => {
                    Act::Block(to, Block { kind: block::PEER_TEST, data, router_info })
                }
                peer_test::Output::Datagram { to, bytes } => Act::Datagram(to, bytes),
                peer_test::Output::Status { address, status, .. } => Act::News(News::Reachability { address, status }),
                peer_test::Output::NeedRouterInfo(router) => Act::News(News::NeedRouterInfo(router)),
            };
            self.acts.push_back(act);
        }
        while let Some(output) = self.relay.poll_output() {
            self.on_relay(now, output);
        }
        self.acts.pop_front()
    }

    fn on_relay(&mut self, now: Now, output: relay::Output) {
        match output {
            relay::Output::Block { to, kind, data, router_info } => {
                let kind = match kind {
                    relay::BlockKind::Request => block::RELAY_REQUEST,
                    relay::BlockKind::Intro => block::RELAY_INTRO,
                    relay::BlockKind::Response => block::RELAY_RESPONSE,
                };
                self.acts.push_back(Act::Block(to, Block { kind, data, router_info }));
            }
            relay::Output::Datagram { to, bytes } => self.acts.push_back(Act::Datagram(to, bytes)),
            relay::Output::Introduced { charlie, addr, token } => {
                if let Some(call) = self.calls.remove(&charlie) {
                    self.acts.push_back(Act::Dial(call.target, addr, token));
                }
            }
            relay::Output::Failed { charlie, .. } => {
                if let Some(call) = self.calls.get_mut(&charlie) {
                    call.asked = false;
                }
                self.ask(now, &charlie, false);
            }
            relay::Output::NeedRouterInfo(router) => self.acts.push_back(Act::News(News::NeedRouterInfo(router))),
        }
    }

    /// Adds what was counted.
    pub(super) fn count(&self, stats: &mut Stats) {
        stats.tests = self.tests.tally().clone();
        stats.introductions = self.relay.tally().clone();
        stats.reachability = [true, false].map(|v4| self.tests.judge(v4).status());
        stats.introducers = [true, false].iter().map(|v4| self.introducers.chosen(*v4).count()).sum();
        stats.tags = self.relay.tags();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ramson_crypto::x25519::PublicKey;
    use ramson_protocol::data::router_address::RouterAddressBuf;
    use ramson_protocol::data::router_info::{Caps, RouterInfoBuilder, Version};
    use ramson_protocol::data::router_keys::RouterKeys;
    use ramson_protocol::time::Wall;
    use std::sync::Arc;

    fn now() -> Now {
        Now { mono: Duration::from_secs(1), wall: Wall::from_secs(1_800_000_000) }
    }

    fn info(keys: &RouterKeys) -> RouterInfo {
        RouterInfoBuilder::new(99, Version(0, 9, 69), Caps::parse("XU")).sign(keys, now().wall).unwrap()
    }

    fn standing(published: Option<SocketAddr>) -> Standing {
        Standing { v4: true, published: published.is_some(), tested: published, seen: None }
    }

    fn services(published: Option<SocketAddr>) -> Services {
        let keys = Arc::new(RouterKeys::generate(&mut rand::rng()));
        let standing = [standing(published), Standing::default()];
        Services::new(Config { net_id: 99, keys, allow_private: true, standing }, [[1; 32], [2; 32]], now())
    }

    #[test]
    fn a_rebound_nat_is_noticed_by_the_word_of_a_peer_and_all_peers_are_shown_at_most_every_five_seconds() {
        let (bob, carol) = (RouterHash([7; 32]), RouterHash([8; 32]));
        let ours = |port| SocketAddr::from(([60, 1, 2, 3], port));
        let shows = |services: &mut Services, now| {
            std::iter::from_fn(|| services.poll(now))
                .filter(|act| matches!(act, Act::Rebound { same_ip: true }))
                .count()
        };
        for (published, expected) in [(None, 1), (Some(ours(2000)), 0)] {
            let mut services = services(published);
            for (n, peer) in [bob, carol].into_iter().enumerate() {
                services.up(peer, 1, SocketAddr::from(([10, 0, 0, 2], 2000)), None, Direction::Outbound);
                // Through a symmetric NAT each sees another port.
                services.seen_anew(now(), peer, ours(2000 + n as u16));
            }
            assert_eq!(shows(&mut services, now()), 0, "nothing has changed");
            services.seen_anew(now(), bob, ours(3000));
            services.seen_anew(now(), carol, ours(3001));
            assert_eq!(shows(&mut services, now()), expected);
            let later = Now { mono: now().mono + SHOW_EVERY, ..now() };
            services.tick(later);
            assert_eq!(shows(&mut services, later), expected, "the second word may have been of another rebinding");
        }
    }

    /// Without this three strangers who called a hidden router and gave it tags unasked were all its introducers.
    #[test]
    fn a_tag_counts_only_from_a_router_that_we_called() {
        let chosen = |direction| {
            let mut services = services(None);
            services.up(RouterHash([7; 32]), 1, SocketAddr::from(([60, 0, 0, 2], 2000)), None, direction);
            services.tag(now(), RouterHash([7; 32]), 5);
            std::iter::from_fn(|| services.poll(now()))
                .filter(|act| matches!(act, Act::News(News::Introducers { .. })))
                .count()
        };
        assert_eq!([Direction::Inbound, Direction::Outbound].map(chosen), [0, 1]);
    }

    #[test]
    fn a_router_that_publishes_an_address_gets_no_tag() {
        let given = |socket: Option<&str>| {
            let keys = RouterKeys::generate(&mut rand::rng());
            let mut builder = RouterInfoBuilder::new(99, Version(0, 9, 69), Caps::parse("XU"));
            let (key, intro) = (PublicKey([3; 32]), [4; 32]);
            builder.addresses = vec![match socket {
                Some(at) => RouterAddressBuf::ssu2(at.parse().unwrap(), &key, &intro, "BC", 1500),
                None => RouterAddressBuf::ssu2_unpublished(&key, &intro, "4", &[]),
            }];
            let info = builder.sign(&keys, now().wall).unwrap();
            let mut services = services(Some(SocketAddr::from(([10, 0, 0, 1], 2000))));
            let (peer, at) = (info.hash(), SocketAddr::from(([10, 0, 0, 2], 2000)));
            services.up(peer, 1, at, Some(info), Direction::Inbound);
            services.tag_wanted(now(), peer);
            std::iter::from_fn(|| services.poll(now())).count()
        };
        assert_eq!([given(None), given(Some("10.0.0.2:2000")), given(Some("[2001:db8::1]:2000"))], [1, 0, 1]);
    }

    #[test]
    fn whom_we_are_to_be_introduced_to_is_known_when_it_answers() {
        let mut services = services(Some(SocketAddr::from(([10, 0, 0, 1], 2000))));
        let (bob, charlie) = (RouterHash([7; 32]), info(&RouterKeys::generate(&mut rand::rng())));
        services.up(bob, 1, SocketAddr::from(([10, 0, 0, 2], 2000)), None, Direction::Outbound);
        let target = Target {
            peer: charlie.hash(),
            static_key: PublicKey([3; 32]),
            intro_key: [4; 32],
            mtu: 1500,
            info: charlie.clone(),
            ours: true,
        };
        services.call(now(), target, &[Introducer { router: bob, tag: 5, expires: None }]);
        assert!(
            matches!(services.poll(now()), Some(Act::Block(to, block)) if to == bob && block.kind == block::RELAY_REQUEST)
        );
        assert!(services.known.info(&charlie.hash()).is_some(), "its answer is signed");
    }

    #[test]
    fn who_is_published_no_more_asks_those_for_tags_who_introduce_and_whom_it_knows_already() {
        let keys = RouterKeys::generate(&mut rand::rng());
        let at = SocketAddr::from(([10, 0, 0, 2], 2000));
        let address = RouterAddressBuf::ssu2(at, &PublicKey([3; 32]), &[4; 32], "BC", 1500);
        let builder = RouterInfoBuilder::new(99, Version(0, 9, 69), Caps::parse("XR")).address(address);
        let introduces = builder.sign(&keys, now().wall).unwrap();
        let mut services = services(Some(SocketAddr::from(([10, 0, 0, 1], 2000))));
        services.up(introduces.hash(), 1, at, Some(introduces.clone()), Direction::Inbound);
        let other = info(&RouterKeys::generate(&mut rand::rng()));
        services.up(other.hash(), 2, SocketAddr::from(([10, 0, 0, 3], 2000)), Some(other), Direction::Inbound);
        let asked = |services: &mut Services, secs| {
            let now = now().plus(Duration::from_secs(secs));
            services.tick(now);
            let acts = std::iter::from_fn(|| services.poll(now));
            let asked = acts.filter_map(|act| match act {
                Act::Block(to, block) if block.kind == block::RELAY_TAG_REQUEST => Some(to),
                _ => None,
            });
            asked.collect::<Vec<_>>()
        };
        assert_eq!(asked(&mut services, 10), []);
        services.stand(now(), standing(None));
        assert_eq!(asked(&mut services, 20), [introduces.hash()]);
        assert_eq!(asked(&mut services, 30), [], "once is enough");
    }
}
