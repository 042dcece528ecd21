//! Who we are to the network: our keys and the RouterInfo that says what can be had from us.

use crate::shared::Shared;
use actix::prelude::*;
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
use zeroize::Zeroizing;

/// The API version that we speak and publish. INTEROP: never the product's own version.
pub const API_VERSION: Version = Version(0, 9, 69);

/// Our RouterInfo is signed anew at least so often. INTEROP: Java every 14 to 25 minutes, i2pd 39.
const REPUBLISH: Duration = Duration::from_secs(18 * 60);

/// How often it is looked whether anything has changed.
const LOOK: Duration = Duration::from_secs(30);

/// Congestion is not published so soon after the start. spec: proposal 162 §Recommendations
const QUIET_START: Duration = Duration::from_secs(5 * 60);

/// All private keys of a node.
#[derive(Clone, Debug)]
pub struct NodeKeys {
    /// Of the RouterIdentity.
    pub router: RouterKeys,
    /// The static key of NTCP2.
    pub ntcp2: SecretKey,
    /// The IV that peers obfuscate their first key to us with.
    pub ntcp2_iv: [u8; 16],
}

impl NodeKeys {
    /// A new identity.
    pub fn generate(rng: &mut impl Rng) -> Self {
        let router = RouterKeys::generate(rng);
        let (mut ntcp2, mut ntcp2_iv) = ([0; 32], [0; 16]);
        rng.fill_bytes(&mut ntcp2);
        rng.fill_bytes(&mut ntcp2_iv);
        Self { router, ntcp2: SecretKey::from_bytes(ntcp2), ntcp2_iv }
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
        Ok(Self { ntcp2: SecretKey::from_bytes(ntcp2), ntcp2_iv, router: RouterKeys::from_bytes(r.rest())? })
    }
}

/// What a RouterInfo says beside the keys.
#[derive(Clone, Debug)]
pub struct Profile {
    /// The network.
    pub net_id: u8,
    /// Whether we keep a part of the netDb.
    pub floodfill: bool,
    /// Addresses at which peers can call us.
    pub publish: Vec<SocketAddr>,
    /// Bytes per second that others may use.
    pub share: u64,
}

/// Makes our RouterInfo. `counts` are the routers and leasesets that we know, for floodfills.
///
/// # Errors
/// `TooLarge`, with more addresses than anyone has.
pub fn router_info(
    keys: &NodeKeys,
    profile: &Profile,
    congestion: Congestion,
    counts: (usize, usize),
    now: Wall,
) -> wire::Result<RouterInfo> {
    let caps = Caps {
        bandwidth: Some(Bandwidth::of_share(profile.share)),
        floodfill: profile.floodfill,
        reachable: !profile.publish.is_empty(),
        unreachable: profile.publish.is_empty(),
        hidden: false,
        congestion,
    };
    let mut builder = RouterInfoBuilder::new(profile.net_id, API_VERSION, caps);
    let public = keys.ntcp2.public();
    for addr in &profile.publish {
        builder = builder.address(RouterAddressBuf::ntcp2(*addr, &public, &keys.ntcp2_iv));
    }
    if profile.publish.is_empty() {
        builder = builder.address(RouterAddressBuf::ntcp2_unpublished(&public, "4"));
    }
    if profile.floodfill {
        builder = builder.option("netdb.knownRouters", counts.0.to_string());
        builder = builder.option("netdb.knownLeaseSets", counts.1.to_string());
    }
    builder.sign(&keys.router, now)
}

/// What the identity needs to know of others, asked for each time.
pub trait Circumstances: 'static {
    /// How congested we are.
    fn congestion(&self) -> Congestion;
    /// Routers and leasesets that we know.
    fn netdb_counts(&self) -> (usize, usize);
    /// A new RouterInfo stands: store it, publish it.
    fn changed(&self, info: &RouterInfo);
}

/// Keeps our RouterInfo current.
///
/// State owned: what was published last. In: nothing but its timer. Out: a new snapshot in [`Shared`] and a call of
/// [`Circumstances::changed`].
pub struct Identity {
    shared: Shared,
    keys: Arc<NodeKeys>,
    profile: Profile,
    around: Box<dyn Circumstances>,
    started: Duration,
    congestion: Congestion,
    signed_at: Duration,
}

impl Identity {
    /// For the RouterInfo that stands in `shared`.
    pub fn new(shared: Shared, keys: Arc<NodeKeys>, profile: Profile, around: Box<dyn Circumstances>) -> Self {
        let now = shared.now().mono;
        Self { shared, keys, profile, around, started: now, congestion: Congestion::None, signed_at: now }
    }

    fn look(&mut self) {
        let now = self.shared.now();
        let congestion = if self.shared.draining() {
            // Nothing is taken any more, and peers should know at once.
            Congestion::G
        } else if now.mono.saturating_sub(self.started) < QUIET_START {
            Congestion::None
        } else {
            self.around.congestion()
        };
        let due = now.mono.saturating_sub(self.signed_at) >= REPUBLISH;
        if congestion != self.congestion || due {
            self.sign(congestion);
        }
    }

    fn sign(&mut self, congestion: Congestion) {
        let now = self.shared.now();
        match router_info(&self.keys, &self.profile, congestion, self.around.netdb_counts(), now.wall) {
            Ok(info) => {
                self.congestion = congestion;
                self.signed_at = now.mono;
                self.around.changed(&info);
                self.shared.set_router_info(info);
            }
            Err(error) => tracing::error!(%error, "our RouterInfo could not be made"),
        }
    }
}

impl Actor for Identity {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.around.changed(&self.shared.router_info());
        ctx.run_interval(LOOK, |actor, _| actor.look());
    }
}

impl Handler<crate::messages::Drain> for Identity {
    type Result = ();

    fn handle(&mut self, _: crate::messages::Drain, _: &mut Context<Self>) {
        self.look();
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
        assert!(NodeKeys::from_bytes(&keys.to_bytes()[..100]).is_err());
        let publish = vec!["10.1.0.1:20001".parse().unwrap()];
        let profile = Profile { net_id: 99, floodfill: true, publish, share: 20_000_000 };
        let info = router_info(&keys, &profile, Congestion::D, (12, 3), Wall::from_secs(1_790_000_000)).unwrap();
        info.verify().unwrap();
        assert_eq!(info.caps().to_string(), "XOfRD");
        assert_eq!((info.net_id(), info.version()), (Some(99), API_VERSION));
        assert_eq!(info.options().get("netdb.knownRouters"), Some("12"));
        assert!(info.ntcp2().any(|a| a.dialable().is_some()));
        assert!(info.as_bytes().len() < 1024);
    }
}
