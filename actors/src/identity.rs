//! Who we are to the network: our keys and the RouterInfo that says what can be had from us.

use crate::netdb::NetDb;
use crate::shared::Shared;
use crate::supervise::Vital;
use crate::transit::Published;
use actix::prelude::*;
use ramson_crypto::hash::hkdf2;
use ramson_crypto::x25519::SecretKey;
use ramson_protocol::data::router_address::RouterAddressBuf;
use ramson_protocol::data::router_info::{Bandwidth, Caps, Congestion, RouterInfo, RouterInfoBuilder, Version};
use ramson_protocol::data::router_keys::RouterKeys;
use ramson_protocol::dialing::Transport;
use ramson_protocol::netdb::family::FamilyKey;
use ramson_protocol::netdb::fitness::{Condition, Fitness};
use ramson_protocol::reach::{Publish, View};
use ramson_protocol::time::Wall;
use ramson_protocol::wire;
use rand::Rng;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use zeroize::{Zeroize, Zeroizing};

/// The API version that we speak and publish. INTEROP: never the product's own version.
pub const API_VERSION: Version = Version(0, 9, 69);

/// Our RouterInfo is signed anew at least so often. INTEROP: Java every 14 to 25 minutes, i2pd 39.
const REPUBLISH: Duration = Duration::from_secs(18 * 60);

/// How often it is looked whether anything has changed.
const LOOK: Duration = Duration::from_secs(5);

/// Congestion is not published so soon after the start. spec: proposal 162 §Recommendations
const QUIET_START: Duration = Duration::from_secs(5 * 60);

/// From one publishing of another congestion to the next. INTEROP: i2pd looks every eleven to thirteen minutes; floodfills of
/// Java take three RouterInfos of one router in ninety seconds.
const BETWEEN_CONGESTIONS: Duration = Duration::from_secs(10 * 60);

/// All private keys of a node.
#[derive(Clone, Debug)]
pub struct NodeKeys {
    /// The signing and encryption keys of the RouterIdentity.
    pub router: RouterKeys,
    /// The static key of NTCP2.
    pub ntcp2: SecretKey,
    /// The IV that peers obfuscate their first key to us with.
    pub ntcp2_iv: [u8; 16],
    /// The keys of SSU2. They are derived from the static key of NTCP2, so that no file of keys lacks them.
    pub ssu2: Ssu2Keys,
}

/// The private keys of SSU2.
#[derive(Clone, Debug)]
pub struct Ssu2Keys {
    /// The static key of the handshake.
    pub static_key: SecretKey,
    /// The introduction key, which is published.
    pub intro_key: [u8; 32],
}

impl Ssu2Keys {
    fn derive(ntcp2: &SecretKey) -> Self {
        let (mut secret, intro_key) = hkdf2(&[0; 32], &*Zeroizing::new(ntcp2.to_bytes()), b"ramson ssu2 keys");
        let static_key = SecretKey::from_bytes(secret);
        secret.zeroize();
        Self { static_key, intro_key }
    }
}

impl NodeKeys {
    /// A new identity.
    pub fn generate(rng: &mut impl Rng) -> Self {
        let router = RouterKeys::generate(rng);
        let (mut ntcp2, mut ntcp2_iv) = ([0; 32], [0; 16]);
        rng.fill_bytes(&mut ntcp2);
        rng.fill_bytes(&mut ntcp2_iv);
        Self::new(router, SecretKey::from_bytes(ntcp2), ntcp2_iv)
    }

    fn new(router: RouterKeys, ntcp2: SecretKey, ntcp2_iv: [u8; 16]) -> Self {
        let ssu2 = Ssu2Keys::derive(&ntcp2);
        Self { router, ntcp2, ntcp2_iv, ssu2 }
    }

    /// The bytes to be stored: the transport's keys, then the identity's.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::new(Vec::with_capacity(512));
        out.extend_from_slice(&*Zeroizing::new(self.ntcp2.to_bytes()));
        out.extend_from_slice(&self.ntcp2_iv);
        out.extend_from_slice(&self.router.to_bytes());
        out
    }

    /// Reads stored keys.
    ///
    /// # Errors
    /// If they are damaged.
    pub fn from_bytes(bytes: &[u8]) -> wire::Result<Self> {
        let mut r = wire::Reader::new(bytes);
        let (ntcp2, ntcp2_iv) = (r.array()?, r.array()?);
        Ok(Self::new(RouterKeys::from_bytes(r.rest())?, SecretKey::from_bytes(ntcp2), ntcp2_iv))
    }
}

/// What a RouterInfo says beside the keys.
#[derive(Clone, Debug)]
pub struct Profile {
    /// The id of the network, 2 for the live one.
    pub net_id: u8,
    /// Whether we keep a part of the netDb.
    pub floodfill: Floodfill,
    /// What NTCP2 offers, if it is spoken.
    pub ntcp2: Option<Offer>,
    /// What SSU2 offers, if it is spoken.
    pub ssu2: Option<Offer>,
    /// Bytes per second that others may use.
    pub share: u64,
    /// The family of routers that we belong to, with its key.
    pub family: Option<FamilyKey>,
}

/// Whether we keep a part of the netDb for others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Floodfill {
    /// Never.
    #[default]
    No,
    /// Always, as long as peers can call us.
    Yes,
    /// If we are fit for it.
    Auto,
}

/// What a transport offers to peers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The addresses at which peers can call us.
    pub publish: Publish,
    /// The largest IP packet that the line takes; of SSU2 alone.
    pub mtu: u16,
}

/// The families of addresses that we can call, as the `caps` of an address say it.
fn called(families: impl Iterator<Item = bool>) -> String {
    families.map(|v4| if v4 { '4' } else { '6' }).collect()
}

impl Profile {
    /// Whether we begin as a floodfill.
    pub fn starts_as_floodfill(&self) -> bool {
        self.floodfill == Floodfill::Yes
    }

    fn addresses(&self, keys: &NodeKeys, view: &View) -> Vec<RouterAddressBuf> {
        // Before the first look at the interfaces, or without any, it counts where we listen.
        let usable = [true, false].map(|v4| view.family(v4).usable);
        let usable = |v4: bool| usable[usize::from(!v4)] || (usable == [false; 2] && v4);
        // Families in which a transport calls and is not called.
        let unpublished = |transport: Transport| {
            [true, false].into_iter().filter(move |v4| usable(*v4) && view.family(*v4).published(transport).is_empty())
        };
        let published = |transport: Transport| view.families.iter().flat_map(move |f| f.published(transport)).copied();
        let mut addresses = Vec::new();
        if self.ntcp2.is_some() {
            let public = keys.ntcp2.public();
            addresses
                .extend(published(Transport::Ntcp2).map(|at| RouterAddressBuf::ntcp2(at, &public, &keys.ntcp2_iv)));
            let caps = called(unpublished(Transport::Ntcp2));
            if !caps.is_empty() {
                addresses.push(RouterAddressBuf::ntcp2_unpublished(&public, &caps));
            }
        }
        if let Some(offer) = &self.ssu2 {
            let (public, intro) = (keys.ssu2.static_key.public(), &keys.ssu2.intro_key);
            // Whoever can be called can test others and introduce them.
            let open = |at| RouterAddressBuf::ssu2(at, &public, intro, "BC", offer.mtu);
            addresses.extend(published(Transport::Ssu2).map(open));
            // Introducers of one family are of no use in another, so each has an address of its own.
            let introduced = |v4: &bool| !view.family(*v4).introducers.is_empty();
            for v4 in unpublished(Transport::Ssu2).filter(introduced) {
                let (caps, introducers) = (called(std::iter::once(v4)), &view.family(v4).introducers);
                addresses.push(RouterAddressBuf::ssu2_unpublished(&public, intro, &caps, introducers));
            }
            let caps = called(unpublished(Transport::Ssu2).filter(|v4| !introduced(v4)));
            if !caps.is_empty() {
                addresses.push(RouterAddressBuf::ssu2_unpublished(&public, intro, &caps, &[]));
            }
        }
        addresses
    }
}

/// What changes of our RouterInfo while we run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// How peers reach us.
    pub view: View,
    /// How congested we are.
    pub congestion: Congestion,
    /// Whether we are a floodfill, if peers can call us.
    pub floodfill: bool,
    /// Routers and leasesets that we know: floodfills say it. Zero is not said, for it would be said after each start.
    pub counts: (usize, usize),
}

impl State {
    /// Of a router that stands like this, and of which nothing more is known.
    pub fn of(view: View) -> Self {
        Self { view, ..Self::default() }
    }

    /// Of a router that is published at one address, and of which nothing more is known.
    pub fn published_at(at: SocketAddr) -> Self {
        Self::of(View::published_at(at))
    }
}

/// Makes our RouterInfo.
///
/// # Errors
/// `TooLarge`, with more addresses than anyone has.
pub fn router_info(keys: &NodeKeys, profile: &Profile, state: &State, now: Wall) -> wire::Result<RouterInfo> {
    let reachable = state.view.is_reachable();
    // Who cannot be called answers nobody. INTEROP: i2pd drops it as we do, Java never builds through `fU`.
    let floodfill = state.floodfill && reachable;
    let share = Bandwidth::of_share(profile.share);
    let caps = Caps {
        // Who carries nothing for others is not to be asked.
        bandwidth: Some(if state.congestion == Congestion::G { share.min(Bandwidth::L) } else { share }),
        floodfill,
        reachable,
        unreachable: !reachable,
        hidden: state.view.hidden,
        congestion: state.congestion,
    };
    let mut builder = RouterInfoBuilder::new(profile.net_id, API_VERSION, caps);
    for address in profile.addresses(keys, &state.view) {
        builder = builder.address(address);
    }
    if let Some(family) = &profile.family {
        for (key, value) in family.options(&keys.router.identity.hash()) {
            builder = builder.option(key, value);
        }
    }
    let (routers, lease_sets) = state.counts;
    if floodfill && routers > 0 {
        builder = builder.option("netdb.knownRouters", routers.to_string());
        builder = builder.option("netdb.knownLeaseSets", lease_sets.to_string());
    }
    builder.sign(&keys.router, now)
}

/// Keeps our RouterInfo current.
///
/// State owned: what was published last. In: its timer, a changed [`Share`], [`Look`] when something has changed that must be
/// published at once, [`Resign`] when our clock has. Out: a new snapshot in [`Shared`], the same to the database, which
/// publishes it once our clock is believable, and to the callback of whoever started the node.
pub struct Identity {
    shared: Shared,
    keys: Arc<NodeKeys>,
    profile: Profile,
    transit: Arc<Published>,
    netdb: NetDb,
    on_change: Box<dyn Fn(&RouterInfo)>,
    started: Duration,
    state: State,
    signed_at: Duration,
    /// When a changed congestion was last published.
    congested_at: Option<Duration>,
    fitness: Fitness,
    /// The last one was given to the database to publish.
    told: bool,
    _vital: Vital,
}

/// Something has changed that is to be published at once.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Look;

/// Our clock has changed: what was signed bears a wrong date.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Resign;

impl Identity {
    /// For the RouterInfo that stands in `shared`. What the manager of tunnels of others publishes in `transit` becomes
    /// our congestion cap; `on_change` is called with each new RouterInfo.
    pub(crate) fn new(
        shared: Shared,
        keys: Arc<NodeKeys>,
        profile: Profile,
        transit: Arc<Published>,
        netdb: NetDb,
        on_change: Box<dyn Fn(&RouterInfo)>,
    ) -> Self {
        let now = shared.now().mono;
        let _vital = shared.vitals().guard("the keeper of our RouterInfo");
        let state = State { floodfill: profile.starts_as_floodfill(), ..State::of(shared.reach().view.clone()) };
        Self {
            shared,
            keys,
            profile,
            transit,
            netdb,
            on_change,
            started: now,
            state,
            signed_at: now,
            congested_at: None,
            fitness: Fitness::default(),
            told: false,
            _vital,
        }
    }

    /// A new RouterInfo stands. It is published when there is reason to believe its date.
    fn tell(&mut self, info: &RouterInfo) {
        (self.on_change)(info);
        self.told = self.shared.believes_clock() && !self.state.view.hidden;
        if self.told {
            self.netdb.publish(info.clone());
        }
    }

    /// How congested we are to call ourselves.
    ///
    /// spec: proposal 162 §Recommendations — averages of minutes, and nothing that tells of starts and ends
    fn congestion(&self, now: Duration) -> Congestion {
        let was = self.state.congestion;
        let is = self.transit.congestion();
        if is == Congestion::G || was == Congestion::G {
            // The operator's word, not the traffic's.
            return is;
        }
        let quiet = now.saturating_sub(self.started) < QUIET_START || self.shared.draining();
        let lately = self.congested_at.is_some_and(|at| now.saturating_sub(at) < BETWEEN_CONGESTIONS);
        if quiet || lately { was } else { is }
    }

    fn look(&mut self) {
        let now = self.shared.now().mono;
        let (view, congestion) = (self.shared.reach().view.clone(), self.congestion(now));
        let due = now.saturating_sub(self.signed_at) >= REPUBLISH;
        // What peers see of us, and what is tested, is no part of what we say.
        let says_else = !says_the_same(&view, &self.state.view);
        let floodfill = self.is_floodfill(now, &view);
        if congestion != self.state.congestion || floodfill != self.state.floodfill || says_else || due {
            self.sign(view, congestion);
        }
    }

    fn is_floodfill(&mut self, now: Duration, view: &View) -> bool {
        match self.profile.floodfill {
            Floodfill::No => false,
            Floodfill::Yes => true,
            Floodfill::Auto => {
                let condition = Condition {
                    up: now.saturating_sub(self.started),
                    reachable: view.is_reachable(),
                    right_clock: self.shared.believes_clock(),
                    class: Bandwidth::of_share(self.profile.share),
                    congestion: self.transit.congestion(),
                };
                self.fitness.judge(now, &condition)
            }
        }
    }

    fn sign(&mut self, view: View, congestion: Congestion) {
        let now = self.shared.now();
        let floodfill = self.is_floodfill(now.mono, &view);
        if floodfill != self.state.floodfill {
            tracing::info!(floodfill, "whether we are a floodfill has changed");
        }
        if congestion != self.state.congestion {
            self.congested_at = Some(now.mono);
        }
        let state = State { view, congestion, floodfill, counts: self.netdb.counts() };
        match router_info(&self.keys, &self.profile, &state, now.wall) {
            Ok(info) => {
                self.state = state;
                self.signed_at = now.mono;
                self.tell(&info);
                self.shared.set_router_info(info);
            }
            Err(error) => tracing::error!(%error, "our RouterInfo could not be made"),
        }
    }

    fn sign_anew(&mut self) {
        self.sign(self.shared.reach().view.clone(), self.state.congestion);
    }
}

/// True if two views lead to the same RouterInfo.
fn says_the_same(a: &View, b: &View) -> bool {
    let said = |view: &View, v4: bool| {
        let family = view.family(v4);
        (family.usable, family.ntcp2.clone(), family.ssu2.clone(), family.introducers.clone())
    };
    a.hidden == b.hidden && [true, false].into_iter().all(|v4| said(a, v4) == said(b, v4))
}

impl Actor for Identity {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.tell(&self.shared.router_info());
        self.shared.stop_when_over(self, ctx);
        ctx.run_interval(LOOK, |actor, _| actor.look());
    }
}

impl Handler<crate::messages::Drain> for Identity {
    type Result = ();

    fn handle(&mut self, _: crate::messages::Drain, _: &mut Context<Self>) {
        self.look();
    }
}

impl Handler<Look> for Identity {
    type Result = ();

    fn handle(&mut self, _: Look, _: &mut Context<Self>) {
        self.look();
    }
}

impl Handler<Resign> for Identity {
    type Result = ();

    fn handle(&mut self, _: Resign, _: &mut Context<Self>) {
        self.sign_anew();
    }
}

/// What others may use has changed, in bytes per second: the letter that says it is published at once.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Share(pub u64);

impl Handler<Share> for Identity {
    type Result = ();

    fn handle(&mut self, Share(share): Share, _: &mut Context<Self>) {
        let former = std::mem::replace(&mut self.profile.share, share);
        if Bandwidth::of_share(former) != Bandwidth::of_share(share) {
            self.sign_anew();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ramson_protocol::data::router_address::Introducer;
    use ramson_protocol::id::RouterHash;
    use ramson_protocol::reach::Family;

    #[test]
    fn keys_are_read_back_and_the_router_info_says_what_we_are() {
        let keys = NodeKeys::generate(&mut rand::rng());
        let back = NodeKeys::from_bytes(&keys.to_bytes()).unwrap();
        assert_eq!(*back.to_bytes(), *keys.to_bytes());
        assert_eq!(back.ssu2.intro_key, keys.ssu2.intro_key);
        assert_eq!(back.ssu2.static_key.public(), keys.ssu2.static_key.public());
        assert!(NodeKeys::from_bytes(&keys.to_bytes()[..100]).is_err());
        let at = "10.1.0.1:20001".parse().unwrap();
        let offer = Some(Offer { publish: Publish::Fixed(vec![at]), mtu: 1500 });
        let (ntcp2, ssu2) = (offer.clone(), offer);
        let profile = Profile { net_id: 99, floodfill: Floodfill::Yes, ntcp2, ssu2, share: 20_000_000, family: None };
        let state = State { congestion: Congestion::D, floodfill: true, counts: (12, 3), ..State::published_at(at) };
        let now = Wall::from_secs(1_790_000_000);
        let info = router_info(&keys, &profile, &state, now).unwrap();
        info.verify().unwrap();
        assert_eq!(info.caps().to_string(), "XfRD");
        assert_eq!((info.net_id(), info.version()), (Some(99), API_VERSION));
        assert_eq!(info.options().get("netdb.knownRouters"), Some("12"));
        assert!(info.ntcp2().any(|a| a.dialable().is_some()));
        assert!(info.ssu2().any(|a| a.socket.is_some() && a.static_key != keys.ntcp2.public()));
        assert!(info.as_bytes().len() < 1024);
    }

    /// What a router says of itself that stands like this, with IPv4 and IPv6.
    fn says(families: [Family; 2], congestion: Congestion) -> RouterInfo {
        let keys = NodeKeys::generate(&mut rand::rng());
        let offer = Some(Offer { publish: Publish::Auto, mtu: 1500 });
        let (ntcp2, ssu2) = (offer.clone(), offer);
        let profile = Profile { net_id: 99, floodfill: Floodfill::Yes, ntcp2, ssu2, share: 20_000_000, family: None };
        let state = State { congestion, floodfill: true, ..State::of(View { families, hidden: false }) };
        router_info(&keys, &profile, &state, Wall::from_secs(1_790_000_000)).unwrap()
    }

    fn usable() -> Family {
        Family { usable: true, ..Family::default() }
    }

    #[test]
    fn who_is_not_published_says_which_families_it_calls() {
        for (usable, expected) in [([true, false], "4"), ([false, true], "6"), ([true, true], "46")] {
            let info = says(usable.map(|usable| Family { usable, ..Family::default() }), Congestion::None);
            let caps: Vec<_> = info.addresses().filter_map(|address| address.options.get("caps")).collect();
            assert_eq!(caps, [expected; 2], "one of each transport");
        }
    }

    #[test]
    fn a_family_that_is_not_published_is_said_beside_one_that_is_with_introducers_of_its_own() {
        let at: SocketAddr = "[2a01::5]:20003".parse().unwrap();
        let introducer = Introducer { router: RouterHash([7; 32]), tag: 9, expires: None };
        let hidden = Family { introducers: vec![introducer], ..usable() };
        let open = Family { ntcp2: vec![at], ssu2: vec![at], ..usable() };
        let info = says([hidden, open], Congestion::None);
        let ssu2: Vec<_> = info.ssu2().collect();
        assert_eq!((info.ntcp2().count(), ssu2.len()), (2, 2));
        assert_eq!((ssu2[0].socket, ssu2[0].introducers.len()), (Some(at), 0));
        assert_eq!((ssu2[1].caps.v4, ssu2[1].caps.v6, &ssu2[1].introducers[..]), (true, false, &[introducer][..]));
        assert!(info.caps().reachable);
    }

    #[test]
    fn a_floodfill_that_nobody_can_call_is_none_and_one_that_knows_nothing_does_not_say_so() {
        assert_eq!(says([usable(), usable()], Congestion::None).caps().to_string(), "XU");
        let at = "10.1.0.1:20001".parse().unwrap();
        let info = says([Family { ntcp2: vec![at], ..usable() }, Family::default()], Congestion::None);
        assert_eq!((info.caps().to_string(), info.options().get("netdb.knownRouters")), ("XfR".to_owned(), None));
    }

    #[test]
    fn who_carries_nothing_for_others_says_so_with_a_class_that_nobody_wants() {
        assert_eq!(says([usable(), usable()], Congestion::G).caps().to_string(), "LUG");
    }
}
