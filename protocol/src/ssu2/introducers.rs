//! Which routers introduce others to us, and how that is published.
//!
//! Routers with which a session stands give us tags. Of those up to three per address family are published, from
//! different networks if it can be, for somewhat more than an hour; after an hour another set is chosen, so that a
//! published tag is always good for a while. The sessions of the chosen ones must be kept alive.
//!
//! spec: ssu2 §Introducers, §Relay Process

use super::directory::wide_network;
use crate::base64;
use crate::data::mapping::MappingBuf;
use crate::data::router_address::{Introducer, RouterAddressBuf};
use crate::id::RouterHash;
use crate::time::{Mono, Now};
use ramson_crypto::x25519::PublicKey;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::net::IpAddr;
use std::time::Duration;

/// Introducers that are published per address family.
pub const PUBLISHED: usize = 3;
/// How long one is published before it is chosen anew.
const RENEW: Duration = Duration::from_secs(3600);
/// How long one is said to be good.
const LIFETIME: Duration = Duration::from_secs(4800);
/// Tags that are kept per address family.
const MAX_OFFERS: usize = 256;

/// A tag that a router gave us.
#[derive(Clone, Copy, Debug)]
struct Offer {
    tag: u32,
    network: u64,
    /// When it was published last.
    chosen: Option<Mono>,
}

/// One that is published.
#[derive(Clone, Copy, Debug)]
struct Chosen {
    introducer: Introducer,
    renew: Mono,
}

/// One address family.
#[derive(Default)]
struct Family {
    offers: FxHashMap<RouterHash, Offer>,
    chosen: SmallVec<[Chosen; PUBLISHED]>,
}

impl Family {
    /// Drops what is over, fills up. True if the set is another one.
    fn choose(&mut self, now: Now) -> bool {
        let before = self.chosen.len();
        let offers = &self.offers;
        self.chosen.retain(|c| {
            c.renew > now.mono && offers.get(&c.introducer.router).is_some_and(|o| o.tag == c.introducer.tag)
        });
        let mut changed = self.chosen.len() != before;
        while self.chosen.len() < PUBLISHED
            && let Some((router, tag)) = self.best()
        {
            if let Some(offer) = self.offers.get_mut(&router) {
                offer.chosen = Some(now.mono);
            }
            let introducer = Introducer { router, tag, expires: Some(now.wall.plus(LIFETIME).secs()) };
            self.chosen.push(Chosen { introducer, renew: now.mono + RENEW });
            changed = true;
        }
        changed
    }

    /// The next one: from a network that has none yet, then who was not published for longest.
    fn best(&self) -> Option<(RouterHash, u32)> {
        let is_chosen = |router: &RouterHash| self.chosen.iter().any(|c| c.introducer.router == *router);
        let taken = |network: u64| {
            self.chosen
                .iter()
                .filter(move |c| self.offers.get(&c.introducer.router).is_some_and(|o| o.network == network))
        };
        self.offers
            .iter()
            .filter(|(router, _)| !is_chosen(router))
            .min_by_key(|(router, o)| (taken(o.network).count(), o.chosen, **router))
            .map(|(router, o)| (*router, o.tag))
    }
}

/// The introducers of both address families.
#[derive(Default)]
pub struct Introducers([Family; 2]);

impl Introducers {
    /// Knows no introducers yet.
    pub fn new() -> Self {
        Self::default()
    }

    fn family(&mut self, v4: bool) -> &mut Family {
        &mut self.0[usize::from(!v4)]
    }

    /// A router with which a session stands, and which is at `ip`, gave us a tag.
    pub fn offered(&mut self, router: RouterHash, ip: IpAddr, tag: u32) {
        let family = self.family(ip.to_canonical().is_ipv4());
        let chosen = family.offers.get(&router).and_then(|o| o.chosen);
        if tag != 0 && (family.offers.len() < MAX_OFFERS || family.offers.contains_key(&router)) {
            family.offers.insert(router, Offer { tag, network: wide_network(ip), chosen });
        }
    }

    /// The session with a router has ended.
    pub fn withdrawn(&mut self, router: &RouterHash) {
        self.0.iter_mut().for_each(|family| {
            family.offers.remove(router);
        });
    }

    /// Chooses anew where one is missing or was published for an hour. True if something else is to be published for
    /// this family.
    pub fn refresh(&mut self, now: Now, v4: bool) -> bool {
        self.family(v4).choose(now)
    }

    /// What is to be published.
    pub fn chosen(&self, v4: bool) -> impl Iterator<Item = &Introducer> {
        self.0[usize::from(!v4)].chosen.iter().map(|c| &c.introducer)
    }

    /// True if the session with a router must be kept alive.
    pub fn is_chosen(&self, router: &RouterHash) -> bool {
        self.0.iter().any(|family| family.chosen.iter().any(|c| c.introducer.router == *router))
    }

    /// How many more tags are needed.
    pub fn missing(&self, v4: bool) -> usize {
        PUBLISHED.saturating_sub(self.0[usize::from(!v4)].offers.len())
    }

    /// When one is to be chosen anew.
    pub fn poll_timeout(&self) -> Option<Mono> {
        self.0.iter().flat_map(|family| family.chosen.iter().map(|c| c.renew)).min()
    }

    /// The address that a router publishes which is reached through introducers: no host, no port.
    pub fn address(&self, v4: bool, static_key: &PublicKey, intro: &[u8; 32], mtu: u16) -> RouterAddressBuf {
        let mut options = MappingBuf::new();
        options.set("caps", if v4 { "4" } else { "6" });
        options.set("i", base64::encode(intro)).set("s", base64::encode(&static_key.0)).set("v", "2");
        if mtu != super::local::MAX_MTU {
            options.set("mtu", mtu.to_string());
        }
        for (n, introducer) in self.chosen(v4).enumerate() {
            options.set(&format!("ih{n}"), base64::encode(&introducer.router.0));
            options.set(&format!("itag{n}"), introducer.tag.to_string());
            if let Some(expires) = introducer.expires {
                options.set(&format!("iexp{n}"), expires.to_string());
            }
        }
        RouterAddressBuf { cost: 15, style: "SSU2".to_owned(), options }
    }
}

impl std::fmt::Debug for Introducers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (v4, v6) = (self.chosen(true).count(), self.chosen(false).count());
        f.debug_struct("Introducers").field("v4", &v4).field("v6", &v6).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::router_address::RouterAddress;
    use crate::time::Wall;
    use crate::wire::Reader;

    fn at(secs: u32) -> Now {
        Now { mono: Duration::from_secs(secs.into()), wall: Wall::from_secs(1_800_000_000 + secs) }
    }

    fn router(n: u8) -> RouterHash {
        RouterHash([n; 32])
    }

    fn offer(introducers: &mut Introducers, n: u8, network: u8) {
        introducers.offered(router(n), IpAddr::from([60, network, 0, n]), 100 + u32::from(n));
    }

    fn chosen(introducers: &Introducers) -> Vec<u8> {
        let mut all: Vec<_> = introducers.chosen(true).map(|i| i.router.0[0]).collect();
        all.sort_unstable();
        all
    }

    #[test]
    fn three_of_different_networks_are_published_and_replaced_when_their_session_ends() {
        let mut introducers = Introducers::new();
        assert!(!introducers.refresh(at(0), true));
        assert_eq!(introducers.missing(true), 3);
        for (n, network) in [(1, 1), (2, 1), (3, 1), (4, 2), (5, 3)] {
            offer(&mut introducers, n, network);
        }
        introducers.offered(router(9), "2a01::1".parse().unwrap(), 5);
        introducers.offered(router(8), IpAddr::from([60, 7, 0, 1]), 0);
        assert!(introducers.refresh(at(1), true));
        assert_eq!(chosen(&introducers), [1, 4, 5]);
        assert!(!introducers.refresh(at(2), true));
        assert_eq!((introducers.missing(true), introducers.missing(false)), (0, 2));
        introducers.withdrawn(&router(4));
        assert!(introducers.refresh(at(3), true));
        assert_eq!(chosen(&introducers), [1, 2, 5]);
        assert!(introducers.is_chosen(&router(2)) && !introducers.is_chosen(&router(3)));
        offer(&mut introducers, 6, 6);
        assert!(!introducers.refresh(at(4), true), "three are enough");
        introducers.offered(router(1), IpAddr::from([60, 1, 0, 1]), 999);
        assert!(introducers.refresh(at(5), true), "another tag");
    }

    #[test]
    fn after_an_hour_others_are_chosen_while_the_tags_are_still_good() {
        let mut introducers = Introducers::new();
        (1..=6).for_each(|n| offer(&mut introducers, n, n));
        introducers.refresh(at(10), true);
        assert_eq!(chosen(&introducers), [1, 2, 3]);
        assert_eq!(introducers.poll_timeout(), Some(at(3610).mono));
        assert!(!introducers.refresh(at(3609), true));
        assert!(introducers.chosen(true).all(|i| i.expires.unwrap() > at(3610).wall.secs() + 1000));
        assert!(introducers.refresh(at(3610), true));
        assert_eq!(chosen(&introducers), [4, 5, 6]);
        introducers.refresh(at(7210), true);
        assert_eq!(chosen(&introducers), [1, 2, 3]);
    }

    #[test]
    fn what_is_published_is_read_back() {
        let mut introducers = Introducers::new();
        (1..=3).for_each(|n| offer(&mut introducers, n, n));
        introducers.refresh(at(0), true);
        let mut bytes = Vec::new();
        introducers.address(true, &PublicKey([7; 32]), &[3; 32], 1400).write(&mut bytes).unwrap();
        let view = RouterAddress::parse(&mut Reader::new(&bytes)).unwrap().ssu2().unwrap();
        assert_eq!((view.socket, view.mtu, view.caps.v4, view.caps.v6), (None, 1400, true, false));
        let published: Vec<_> = introducers.chosen(true).copied().collect();
        assert_eq!(view.introducers[..], published);
    }
}
