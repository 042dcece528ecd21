//! Whom a floodfill passes an entry on to.
//!
//! spec: network-database §Flooding — to the floodfills closest to the entry's routing key, directly, with a token of
//! zero, so that they neither answer nor flood again.

use super::floodfills::Floodfills;
use super::routing_key::{Day, routing_key, until_midnight};
use crate::data::entry::Entry;
use crate::i2np::database_store::Reply;
use crate::id::{NetDbKey, RouterHash};
use crate::time::{Mono, Wall};
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::time::Duration;

/// How many floodfills get an entry.
pub const FAN_OUT: usize = 3;
/// How many of tomorrow's get it besides, near midnight.
pub const FAN_OUT_TOMORROW: usize = 2;
/// How many of those that get it were reached: when strangers crowd around a key, others get it besides.
pub const FAN_OUT_PROVEN: usize = 2;
/// "Never" older.
///
/// spec: network-database §Flooding
pub const MAX_ROUTER_AGE: Duration = Duration::from_secs(3600);

const MIDNIGHT_ROUTER: Duration = Duration::from_secs(45 * 60);
const MIDNIGHT_LEASE_SET: Duration = Duration::from_secs(10 * 60);

/// Whether an entry that was just taken, as a newer one, is to be flooded.
pub fn is_due(entry: &Entry, reply: Option<&Reply>, now: Wall) -> bool {
    let fresh = match entry.expires() {
        None => now.since(entry.version()) <= MAX_ROUTER_AGE,
        Some(expires) => expires > now,
    };
    reply.is_some() && fresh && !entry.is_unpublished()
}

/// The floodfills to send it to: the closest today and, near midnight, those that will be closest tomorrow. Never
/// ourselves, whom we have it from, or the router that it is about.
pub fn targets(
    entry: &Entry,
    floodfills: &Floodfills,
    own: RouterHash,
    from: Option<RouterHash>,
    now: Wall,
) -> SmallVec<[RouterHash; 8]> {
    let (key, today) = (entry.key(), Day::of(now));
    let wanted = |r: &RouterHash| *r != own && Some(*r) != from && NetDbKey::from(*r) != key;
    let place = routing_key(key, today);
    let mut chosen = floodfills.closest_n(&place, FAN_OUT, 0, wanted);
    let met = chosen.iter().filter(|router| floodfills.is_proven(router)).count();
    if met < FAN_OUT_PROVEN {
        let others = |router: &RouterHash| wanted(router) && floodfills.is_proven(router) && !chosen.contains(router);
        let more = floodfills.closest_n(&place, FAN_OUT_PROVEN - met, 0, others);
        chosen.extend(more);
    }
    let near_midnight = if entry.kind().is_lease_set() { MIDNIGHT_LEASE_SET } else { MIDNIGHT_ROUTER };
    if until_midnight(now) < near_midnight {
        let tomorrow = routing_key(key, today.next());
        for router in floodfills.closest_n(&tomorrow, FAN_OUT_TOMORROW, 1, wanted) {
            if !chosen.contains(&router) {
                chosen.push(router);
            }
        }
    }
    chosen
}

/// How often one key is flooded: whoever signs anew every second makes us send three copies each time.
///
/// INTEROP: Java's numbers.
#[derive(Debug, Default)]
pub struct Throttle {
    floods: BTreeMap<NetDbKey, u8>,
    since: Mono,
}

impl Throttle {
    /// The span in which floods are counted.
    pub const PERIOD: Duration = Duration::from_secs(90);
    /// Floods of one key in the span.
    pub const FLOODS: u8 = 3;
    /// Most keys that are remembered; beyond, nothing is flooded until the span is over.
    pub const MAX_KEYS: usize = 16 * 1024;

    /// Whether this key may be flooded now.
    pub fn allows(&mut self, key: NetDbKey, now: Mono) -> bool {
        if now.saturating_sub(self.since) >= Self::PERIOD {
            self.floods.clear();
            self.since = now;
        }
        if self.floods.len() >= Self::MAX_KEYS && !self.floods.contains_key(&key) {
            return false;
        }
        let floods = self.floods.entry(key).or_default();
        *floods = floods.saturating_add(1);
        *floods <= Self::FLOODS
    }
}

#[cfg(test)]
mod tests {
    use super::super::router_set::RouterSet;
    use super::*;
    use crate::data::router_info::{Caps, RouterInfoBuilder, Version};
    use crate::data::router_keys::RouterKeys;
    use rand::SeedableRng;

    const MIDNIGHT: Wall = Wall(1_798_761_600_000);

    fn entry(published: Wall) -> Entry {
        let keys = RouterKeys::generate(&mut rand_chacha::ChaCha20Rng::seed_from_u64(1));
        RouterInfoBuilder::new(2, Version(0, 9, 69), Caps::parse("XR")).sign(&keys, published).unwrap().into()
    }

    fn all() -> RouterSet {
        (0..200u8).map(|n| RouterHash([n; 32])).collect()
    }

    fn floodfills() -> Floodfills {
        all().into()
    }

    #[test]
    fn tomorrows_floodfills_are_added_in_the_last_three_quarters_of_an_hour() {
        let own = RouterHash([255; 32]);
        let at = |minutes: u64| {
            let now = MIDNIGHT.minus(Duration::from_secs(60 * minutes));
            targets(&entry(now), &floodfills(), own, None, now)
        };
        assert_eq!(at(46).len(), 3);
        let late = at(44);
        assert!(late.len() > 3 && late.len() <= 5);
        assert_eq!(late[..3], at(46)[..]);
    }

    #[test]
    fn neither_we_nor_the_sender_get_it_back() {
        let now = MIDNIGHT.minus(Duration::from_secs(7200));
        let all = targets(&entry(now), &floodfills(), RouterHash([255; 32]), None, now);
        let rest = targets(&entry(now), &floodfills(), all[0], Some(all[1]), now);
        assert_eq!(rest.len(), 3);
        assert_eq!(rest[0], all[2]);
    }

    #[test]
    fn floodfills_that_were_reached_get_it_too_when_strangers_crowd_around_the_key() {
        let now = MIDNIGHT.minus(Duration::from_secs(7200));
        let entry = entry(now);
        let place = routing_key(entry.key(), Day::of(now));
        let order: Vec<_> = all().closest(&place).collect();
        let set = |range: std::ops::Range<usize>| order[range].iter().copied().collect::<RouterSet>();
        let crowded = Floodfills::new(set(50..100), set(0..50));
        let chosen = targets(&entry, &crowded, RouterHash([255; 32]), None, now);
        assert_eq!(chosen[..], [order[0], order[1], order[2], order[50], order[51]]);
        let met = Floodfills::new(set(0..50), set(50..100));
        assert_eq!(targets(&entry, &met, RouterHash([255; 32]), None, now)[..], order[..3]);
    }

    #[test]
    fn one_key_is_flooded_three_times_in_ninety_seconds_and_others_beside_it() {
        let mut throttle = Throttle::default();
        let allowed = |t: &mut Throttle, key, secs| t.allows(NetDbKey([key; 32]), Duration::from_secs(secs));
        assert!((0..3).all(|n| allowed(&mut throttle, 1, n)));
        assert!(!allowed(&mut throttle, 1, 80) && allowed(&mut throttle, 2, 80));
        assert!(allowed(&mut throttle, 1, 91));
        let many = |n: u32| {
            let mut key = [0; 32];
            key[..4].copy_from_slice(&n.to_be_bytes());
            NetDbKey(key)
        };
        let taken = (0..100_000).filter(|n| throttle.allows(many(*n), Duration::from_secs(92))).count();
        assert!(taken < Throttle::MAX_KEYS);
        assert_eq!(throttle.floods.len(), Throttle::MAX_KEYS);
    }

    #[test]
    fn only_what_was_stored_with_a_token_and_is_fresh_is_flooded() {
        let reply = Reply { token: 1, tunnel: None, gateway: RouterHash([1; 32]) };
        let hour_ago = MIDNIGHT.minus(MAX_ROUTER_AGE);
        assert!(is_due(&entry(hour_ago), Some(&reply), MIDNIGHT));
        assert!(!is_due(&entry(hour_ago), None, MIDNIGHT));
        assert!(!is_due(&entry(Wall(hour_ago.0 - 1)), Some(&reply), MIDNIGHT));
    }
}
