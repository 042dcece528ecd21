//! Whom a floodfill passes an entry on to.
//!
//! spec: network-database §Flooding — to the floodfills closest to the entry's routing key, directly, with a token of
//! zero, so that they neither answer nor flood again.

use super::router_set::RouterSet;
use super::routing_key::{Day, routing_key, until_midnight};
use crate::data::entry::Entry;
use crate::i2np::database_store::Reply;
use crate::id::{NetDbKey, RouterHash};
use crate::time::Wall;
use smallvec::SmallVec;
use std::time::Duration;

/// How many floodfills get an entry.
pub const FAN_OUT: usize = 3;
/// How many of tomorrow's get it besides, near midnight.
pub const FAN_OUT_TOMORROW: usize = 2;
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
    floodfills: &RouterSet,
    own: RouterHash,
    from: Option<RouterHash>,
    now: Wall,
) -> SmallVec<[RouterHash; FAN_OUT + FAN_OUT_TOMORROW]> {
    let (key, today) = (entry.key(), Day::of(now));
    let wanted = |r: &RouterHash| *r != own && Some(*r) != from && NetDbKey::from(*r) != key;
    let mut chosen: SmallVec<[RouterHash; FAN_OUT + FAN_OUT_TOMORROW]> =
        floodfills.closest_n(&routing_key(key, today), FAN_OUT, wanted);
    let near_midnight = if entry.kind().is_lease_set() { MIDNIGHT_LEASE_SET } else { MIDNIGHT_ROUTER };
    if until_midnight(now) < near_midnight {
        let tomorrow = routing_key(key, today.next());
        for router in floodfills.closest_n::<FAN_OUT_TOMORROW>(&tomorrow, FAN_OUT_TOMORROW, wanted) {
            if !chosen.contains(&router) {
                chosen.push(router);
            }
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::router_info::{Caps, RouterInfoBuilder, Version};
    use crate::data::router_keys::RouterKeys;
    use rand::SeedableRng;

    const MIDNIGHT: Wall = Wall(1_798_761_600_000);

    fn entry(published: Wall) -> Entry {
        let keys = RouterKeys::generate(&mut rand_chacha::ChaCha20Rng::seed_from_u64(1));
        RouterInfoBuilder::new(2, Version(0, 9, 69), Caps::parse("XR")).sign(&keys, published).unwrap().into()
    }

    fn floodfills() -> RouterSet {
        (0..200u8).map(|n| RouterHash([n; 32])).collect()
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
    fn only_what_was_stored_with_a_token_and_is_fresh_is_flooded() {
        let reply = Reply { token: 1, tunnel: None, gateway: RouterHash([1; 32]) };
        let hour_ago = MIDNIGHT.minus(MAX_ROUTER_AGE);
        assert!(is_due(&entry(hour_ago), Some(&reply), MIDNIGHT));
        assert!(!is_due(&entry(hour_ago), None, MIDNIGHT));
        assert!(!is_due(&entry(Wall(hour_ago.0 - 1)), Some(&reply), MIDNIGHT));
    }
}
