//! Who we are to the network: our keys and the RouterInfo that says what can be had from us.

use crate::netdb::NetDb;
use crate::reach::Reach;
use crate::shared::Shared;
use crate::supervise::Vital;
use crate::transit::Published;
use actix::prelude::*;
use ramson_crypto::hash::hkdf2;
use ramson_crypto::x25519::SecretKey;
use ramson_protocol::data::router_address::RouterAddressBuf;
use ramson_protocol::data::router_info::{Bandwidth, Caps, Congestion, RouterInfo, RouterInfoBuilder, Version};
use ramson_protocol::data::router_keys::RouterKeys;
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
    pub floodfill: bool,
    /// What NTCP2 offers, if it is spoken.
    pub ntcp2: Option<Offer>,
    /// What SSU2 offers, if it is spoken.
    pub ssu2: Option<Offer>,
    /// Bytes per second that others may use.
    pub share: u64,
}

/// What a transport offers to peers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Addresses at which peers can call us.
    pub publish: Vec<SocketAddr>,
    /// The largest IP packet that the line takes; of SSU2 alone.
    pub mtu: u16,
}

impl Profile {
    /// All addresses at which peers can call us.
    pub fn published(&self) -> impl Iterator<Item = &SocketAddr> {
        [&self.ntcp2, &self.ssu2].into_iter().flatten().flat_map(|offer| &offer.publish)
    }

    fn addresses(&self, keys: &NodeKeys, reach: &Reach) -> Vec<RouterAddressBuf> {
        let mut addresses = Vec::new();
        if let Some(offer) = &self.ntcp2 {
            let public = keys.ntcp2.public();
            addresses.extend(offer.publish.iter().map(|at| RouterAddressBuf::ntcp2(*at, &public, &keys.ntcp2_iv)));
            if offer.publish.is_empty() {
                addresses.push(RouterAddressBuf::ntcp2_unpublished(&public, "4"));
            }
        }
        if let Some(offer) = &self.ssu2 {
            let (public, intro) = (keys.ssu2.static_key.public(), &keys.ssu2.intro_key);
            // Whoever can be called can test others and introduce them.
            let published = |at: &SocketAddr| RouterAddressBuf::ssu2(*at, &public, intro, "BC", offer.mtu);
            addresses.extend(offer.publish.iter().map(published));
            if offer.publish.is_empty() {
                addresses.push(RouterAddressBuf::ssu2_unpublished(&public, intro, "4", &reach.introducers));
            }
        }
        addresses
    }
}

/// Makes our RouterInfo. `counts` are the routers and leasesets that we know, for floodfills.
///
/// # Errors
/// `TooLarge`, with more addresses than anyone has.
pub fn router_info(
    keys: &NodeKeys,
    profile: &Profile,
    reach: &Reach,
    congestion: Congestion,
    counts: (usize, usize),
    now: Wall,
) -> wire::Result<RouterInfo> {
    let reachable = profile.published().next().is_some();
    let caps = Caps {
        bandwidth: Some(Bandwidth::of_share(profile.share)),
        floodfill: profile.floodfill,
        reachable,
        unreachable: !reachable,
        hidden: false,
        congestion,
    };
    let mut builder = RouterInfoBuilder::new(profile.net_id, API_VERSION, caps);
    for address in profile.addresses(keys, reach) {
        builder = builder.address(address);
    }
    if profile.floodfill {
        builder = builder.option("netdb.knownRouters", counts.0.to_string());
        builder = builder.option("netdb.knownLeaseSets", counts.1.to_string());
    }
    builder.sign(&keys.router, now)
}

/// Keeps our RouterInfo current.
///
/// State owned: what was published last. In: its timer, a changed [`Share`]. Out: a new snapshot in [`Shared`], the same to
/// the database, which publishes it, and to the callback of whoever started the node.
pub struct Identity {
    shared: Shared,
    keys: Arc<NodeKeys>,
    profile: Profile,
    transit: Arc<Published>,
    netdb: NetDb,
    on_change: Box<dyn Fn(&RouterInfo)>,
    started: Duration,
    congestion: Congestion,
    reach: Reach,
    signed_at: Duration,
    _vital: Vital,
}

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
        let (congestion, reach) = (Congestion::None, Reach::default());
        let _vital = shared.vitals().guard("the keeper of our RouterInfo");
        Self {
            shared,
            keys,
            profile,
            transit,
            netdb,
            on_change,
            started: now,
            congestion,
            reach,
            signed_at: now,
            _vital,
        }
    }

    /// A new RouterInfo stands.
    fn tell(&self, info: &RouterInfo) {
        (self.on_change)(info);
        self.netdb.publish(info.clone());
    }

    fn look(&mut self) {
        let now = self.shared.now();
        let congestion = if self.shared.draining() {
            // Nothing is taken any more, and peers should know at once.
            Congestion::G
        } else if now.mono.saturating_sub(self.started) < QUIET_START {
            Congestion::None
        } else {
            self.transit.congestion()
        };
        let due = now.mono.saturating_sub(self.signed_at) >= REPUBLISH;
        let reach = Reach::clone(&self.shared.reach());
        if congestion != self.congestion || reach != self.reach || due {
            self.sign(congestion, reach);
        }
    }

    fn sign(&mut self, congestion: Congestion, reach: Reach) {
        let now = self.shared.now();
        match router_info(&self.keys, &self.profile, &reach, congestion, self.netdb.counts(), now.wall) {
            Ok(info) => {
                self.congestion = congestion;
                self.reach = reach;
                self.signed_at = now.mono;
                self.tell(&info);
                self.shared.set_router_info(info);
            }
            Err(error) => tracing::error!(%error, "our RouterInfo could not be made"),
        }
    }
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

/// What others may use has changed, in bytes per second: the letter that says it is published at once.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Share(pub u64);

impl Handler<Share> for Identity {
    type Result = ();

    fn handle(&mut self, Share(share): Share, _: &mut Context<Self>) {
        let former = std::mem::replace(&mut self.profile.share, share);
        if Bandwidth::of_share(former) != Bandwidth::of_share(share) {
            self.sign(self.congestion, self.reach.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_back_and_the_router_info_says_what_we_are() {
        let keys = NodeKeys::generate(&mut rand::rng());
        let back = NodeKeys::from_bytes(&keys.to_bytes()).unwrap();
        assert_eq!(*back.to_bytes(), *keys.to_bytes());
        assert_eq!(back.ssu2.intro_key, keys.ssu2.intro_key);
        assert_eq!(back.ssu2.static_key.public(), keys.ssu2.static_key.public());
        assert!(NodeKeys::from_bytes(&keys.to_bytes()[..100]).is_err());
        let offer = Some(Offer { publish: vec!["10.1.0.1:20001".parse().unwrap()], mtu: 1500 });
        let (ntcp2, ssu2) = (offer.clone(), offer);
        let profile = Profile { net_id: 99, floodfill: true, ntcp2, ssu2, share: 20_000_000 };
        let (reach, now) = (Reach::default(), Wall::from_secs(1_790_000_000));
        let info = router_info(&keys, &profile, &reach, Congestion::D, (12, 3), now).unwrap();
        info.verify().unwrap();
        assert_eq!(info.caps().to_string(), "XOfRD");
        assert_eq!((info.net_id(), info.version()), (Some(99), API_VERSION));
        assert_eq!(info.options().get("netdb.knownRouters"), Some("12"));
        assert!(info.ntcp2().any(|a| a.dialable().is_some()));
        assert!(info.ssu2().any(|a| a.socket.is_some() && a.static_key != keys.ntcp2.public()));
        assert!(info.as_bytes().len() < 1024);
    }
}
