//! The ways to another destination: through which tunnel of ours to which lease of its.
//!
//! ```text
//! at first         any
//! a round trip     is noted for the way that it was measured on, the shortest of each
//! after a pause    another lease that was not tried yet, then another tunnel; once there is none, the shortest way of all
//! nothing comes    another lease, then another tunnel, and not a way that has failed of late
//! other lanes      ways whose first hop or whose gateway no other lane has, both where there are such
//! ```
//! A way is changed between two bursts and not within one: what is on its way would be overtaken and taken for lost.
//!
//! INTEROP: i2pd and Java draw one, and change it when nothing comes back, lease and tunnel in turn.

use crate::data::lease::Lease;
use crate::id::{RouterHash, TunnelId};
use crate::streaming::lanes::MOST_LANES;
use crate::time::{Mono, Now, Wall};
use rand::Rng;
use rand_chacha::ChaCha20Rng;
use std::time::Duration;

/// A lease that ends sooner is not chosen any more.
const LEAST_LIFE: Duration = Duration::from_secs(15);

/// After so long with nothing to send another way may be taken.
pub(super) const PAUSE: Duration = Duration::from_secs(2);

/// A way with this round trip is as good as any: nothing else is tried.
const GOOD: Duration = Duration::from_millis(100);

/// A way on which nothing came back is not taken for so long, if there is another.
const FAILED_FOR: Duration = Duration::from_secs(60);

/// What of a lease does not change when it is published anew.
type Place = (RouterHash, TunnelId);

/// A tunnel of ours, and a lease.
type Way = (TunnelId, Place);

/// Our tunnels and the leases of the other.
type Ends<'a> = (&'a [OutboundTunnelRef], &'a [Lease]);

/// How to send through one of our outbound tunnels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutboundTunnelRef {
    /// The number under which its gateway is installed here.
    pub id: TunnelId,
    /// Its first hop; ourselves if it has no hops.
    pub first_hop: RouterHash,
}

/// What is known of a way that was taken.
#[derive(Clone, Copy, Debug)]
struct Tried {
    way: Way,
    best: Option<Duration>,
    failed: Option<Mono>,
}

impl Tried {
    fn has_failed(&self, now: Mono) -> bool {
        self.failed.is_some_and(|at| now < at + FAILED_FOR)
    }
}

/// The ways to one destination.
#[derive(Debug, Default)]
pub(super) struct Paths {
    tunnel: Option<OutboundTunnelRef>,
    lease: Option<Lease>,
    /// The way in use is used since then.
    since: Mono,
    /// How often the way was changed because nothing came back.
    changes: u32,
    tried: Vec<Tried>,
    /// What the lanes beside the first take.
    others: [Option<(OutboundTunnelRef, Lease)>; MOST_LANES - 1],
}

fn place(lease: &Lease) -> Place {
    (lease.gateway, lease.tunnel)
}

fn at(place: Place, leases: &[Lease]) -> Option<Lease> {
    leases.iter().find(|lease| (lease.gateway, lease.tunnel) == place).copied()
}

impl Paths {
    /// How often the way was changed because nothing came back.
    #[cfg(test)]
    pub(super) fn changes(&self) -> u32 {
        self.changes
    }

    /// The tunnel of ours and the lease that are used.
    #[cfg(test)]
    pub(super) fn used(&self) -> (Option<TunnelId>, Option<Lease>) {
        (self.tunnel.map(|tunnel| tunnel.id), self.lease)
    }

    /// The leases are these from now on.
    pub(super) fn keep_leases(&mut self, leases: &[Lease]) {
        self.tried.retain(|tried| at(tried.way.1, leases).is_some());
        self.lease = self.lease.and_then(|lease| at(place(&lease), leases));
        for way in &mut self.others {
            *way = way.and_then(|(tunnel, lease)| Some((tunnel, at(place(&lease), leases)?)));
        }
    }

    /// The way that a lane beside the first takes, drawn anew where its tunnel or its lease is over, or in use by another. True beside it if
    /// it is another than before. `None` if there is no way of its own for it.
    pub(super) fn choose_other(
        &mut self,
        lane: usize,
        (outbound, leases): Ends<'_>,
        now: Now,
        rng: &mut ChaCha20Rng,
    ) -> Option<(TunnelId, Lease, bool)> {
        let at = lane.checked_sub(1)?;
        let before = *self.others.get(at)?;
        let lasts = |way: &(OutboundTunnelRef, Lease)| way.1.end >= now.wall.plus(LEAST_LIFE);
        if let Some((tunnel, lease)) = before.filter(|way| lasts(way) && self.ends_of_its_own(way, at) > 0) {
            return Some((tunnel.id, lease, false));
        }
        let ways = outbound.iter().flat_map(|tunnel| fresh(leases, now.wall).map(|lease| (*tunnel, lease)));
        let ways: Vec<_> =
            ways.map(|way| (self.ends_of_its_own(&way, at), way)).filter(|(ends, _)| *ends > 0).collect();
        let most = ways.iter().map(|(ends, _)| *ends).max();
        let best: Vec<_> = ways.iter().filter(|(ends, _)| Some(*ends) == most).map(|(_, way)| *way).collect();
        let next = pick_good(&best, |(tunnel, lease)| !self.has_failed(*tunnel, lease, now.mono), rng);
        self.others[at] = next;
        let (tunnel, lease) = next?;
        Some((tunnel.id, lease, before.is_some()))
    }

    /// How many of its ends no other lane than that at this place has.
    fn ends_of_its_own(&self, (tunnel, lease): &(OutboundTunnelRef, Lease), this: usize) -> usize {
        let begins = self.others_than(this).all(|(other, _)| other.first_hop != tunnel.first_hop);
        let ends = self.others_than(this).all(|(_, with)| with.gateway != lease.gateway);
        usize::from(begins) + usize::from(ends)
    }

    /// What the first lane takes, and all others than that at this place.
    fn others_than(&self, this: usize) -> impl Iterator<Item = (OutboundTunnelRef, Lease)> {
        let others = self.others.iter().enumerate().filter(move |(at, _)| *at != this).filter_map(|(_, way)| *way);
        self.tunnel.zip(self.lease).into_iter().chain(others)
    }

    /// Nothing comes back on a lane beside the first, which takes another way the next time.
    pub(super) fn leave_other(&mut self, lane: usize, now: Mono) {
        let way = lane.checked_sub(1).and_then(|at| self.others.get_mut(at)?.take());
        if let Some((tunnel, lease)) = way {
            self.fail((tunnel.id, place(&lease)), now);
        }
    }

    /// Nothing came back on this way.
    fn fail(&mut self, way: Way, now: Mono) {
        match self.tried.iter_mut().find(|tried| tried.way == way) {
            Some(tried) => (tried.best, tried.failed) = (None, Some(now)),
            None => self.tried.push(Tried { way, best: None, failed: Some(now) }),
        }
    }

    /// True if nothing came back on this way of late.
    fn has_failed(&self, tunnel: OutboundTunnelRef, lease: &Lease, now: Mono) -> bool {
        let way = (tunnel.id, place(lease));
        self.tried.iter().any(|tried| tried.way == way && tried.has_failed(now))
    }

    /// Our tunnels are these from now on.
    pub(super) fn keep_tunnels(&mut self, outbound: &[OutboundTunnelRef]) {
        self.tried.retain(|tried| outbound.iter().any(|tunnel| tunnel.id == tried.way.0));
        self.tunnel = self.tunnel.filter(|tunnel| outbound.contains(tunnel));
        self.others.iter_mut().for_each(|way| *way = way.filter(|(tunnel, _)| outbound.contains(tunnel)));
    }

    /// The way to use, drawn anew where its tunnel or its lease is over. True beside it if it is another than before.
    pub(super) fn choose(
        &mut self,
        (outbound, leases): Ends<'_>,
        now: Now,
        rng: &mut ChaCha20Rng,
    ) -> Option<(TunnelId, Lease, bool)> {
        let before = self.way();
        if self.tunnel.is_none_or(|tunnel| !outbound.contains(&tunnel)) {
            self.tunnel = pick(outbound, rng);
        }
        if self.lease.is_none_or(|lease| lease.end < now.wall.plus(LEAST_LIFE)) {
            let fresh: Vec<Lease> = fresh(leases, now.wall).collect();
            // One that ends soon is better than none.
            self.lease = pick(&fresh, rng).or_else(|| leases.iter().copied().max_by_key(|lease| lease.end));
        }
        let (tunnel, lease) = (self.tunnel?, self.lease?);
        let is_new = before != Some((tunnel.id, place(&lease)));
        if is_new {
            self.take(tunnel, lease, now.mono);
        }
        Some((tunnel.id, lease, is_new && before.is_some()))
    }

    fn way(&self) -> Option<Way> {
        Some((self.tunnel?.id, place(self.lease.as_ref()?)))
    }

    fn take(&mut self, tunnel: OutboundTunnelRef, lease: Lease, now: Mono) {
        (self.tunnel, self.lease, self.since) = (Some(tunnel), Some(lease), now);
        let way = (tunnel.id, place(&lease));
        if !self.tried.iter().any(|tried| tried.way == way) {
            self.tried.push(Tried { way, best: None, failed: None });
        }
    }

    fn current(&mut self) -> Option<&mut Tried> {
        let way = self.way()?;
        self.tried.iter_mut().find(|tried| tried.way == way)
    }

    /// The round trip of something that was sent then.
    pub(super) fn measured(&mut self, sent: Mono, round_trip: Duration) {
        if sent >= self.since
            && let Some(tried) = self.current()
        {
            tried.best = Some(tried.best.map_or(round_trip, |best| best.min(round_trip)));
            tried.failed = None;
        }
    }

    /// Nothing is on its way: the next burst may take another. True if it does.
    pub(super) fn reconsider(&mut self, (outbound, leases): Ends<'_>, now: Now, rng: &mut ChaCha20Rng) -> bool {
        // Without streams nothing is measured, and nothing could be chosen by it.
        let Some((tunnel, lease)) = self.tunnel.zip(self.lease) else { return false };
        if self.current().and_then(|tried| tried.best).is_none_or(|best| best <= GOOD) {
            return false;
        }
        let fresh: Vec<Lease> = fresh(leases, now.wall).collect();
        let is_new_lease = |other: &Lease| !self.tried.iter().any(|tried| tried.way.1 == place(other));
        let is_new_tunnel = |other: &OutboundTunnelRef| !self.tried.iter().any(|tried| tried.way.0 == other.id);
        let new_leases: Vec<Lease> = fresh.iter().copied().filter(is_new_lease).collect();
        let new_tunnels: Vec<OutboundTunnelRef> = outbound.iter().copied().filter(is_new_tunnel).collect();
        let best = self.best(outbound, &fresh, now.mono).unwrap_or((tunnel, lease));
        let next = match pick(&new_leases, rng) {
            Some(lease) => (tunnel, lease),
            None => pick(&new_tunnels, rng).map_or(best, |tunnel| (tunnel, best.1)),
        };
        let changes = next != (tunnel, lease);
        if changes {
            self.take(next.0, next.1, now.mono);
        }
        changes
    }

    /// The shortest way that has not failed.
    fn best(&self, outbound: &[OutboundTunnelRef], leases: &[Lease], now: Mono) -> Option<(OutboundTunnelRef, Lease)> {
        let good = self.tried.iter().filter(|tried| !tried.has_failed(now));
        let with_lease = good.filter_map(|tried| {
            let (id, lease) = tried.way;
            let tunnel = outbound.iter().find(|tunnel| tunnel.id == id)?;
            Some((tried.best?, *tunnel, at(lease, leases)?))
        });
        with_lease.min_by_key(|(best, ..)| *best).map(|(_, tunnel, lease)| (tunnel, lease))
    }

    /// Nothing comes back: another lease, then another tunnel of ours, in turn.
    pub(super) fn change(&mut self, (outbound, leases): Ends<'_>, now: Mono, rng: &mut ChaCha20Rng) {
        self.changes += 1;
        let Some((tunnel, lease)) = self.tunnel.zip(self.lease) else { return };
        self.fail((tunnel.id, place(&lease)), now);
        let tunnels: Vec<OutboundTunnelRef> = outbound.iter().copied().filter(|other| *other != tunnel).collect();
        let leases: Vec<Lease> = leases.iter().copied().filter(|other| *other != lease).collect();
        // The other end knows best which of its tunnels live, ours may be the dead one.
        let next = if self.changes % 2 == 1 || tunnels.is_empty() {
            pick_good(&leases, |other| !self.has_failed(tunnel, other, now), rng).map(|lease| (tunnel, lease))
        } else {
            pick_good(&tunnels, |other| !self.has_failed(*other, &lease, now), rng).map(|tunnel| (tunnel, lease))
        };
        if let Some((tunnel, lease)) = next {
            self.take(tunnel, lease, now);
        }
    }
}

/// Those that last a while yet.
fn fresh(leases: &[Lease], now: Wall) -> impl Iterator<Item = Lease> {
    leases.iter().copied().filter(move |lease| lease.end >= now.plus(LEAST_LIFE))
}

/// One of those that are good, or any if none is.
fn pick_good<T: Copy>(from: &[T], is_good: impl Fn(&T) -> bool, rng: &mut ChaCha20Rng) -> Option<T> {
    let good: Vec<T> = from.iter().copied().filter(is_good).collect();
    pick(&good, rng).or_else(|| pick(from, rng))
}

fn pick<T: Copy>(from: &[T], rng: &mut ChaCha20Rng) -> Option<T> {
    let at = rng.next_u32() as usize;
    from.get(at.checked_rem(from.len())?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use std::collections::BTreeSet;

    const NOW: Now = Now { mono: Duration::from_secs(100), wall: Wall(1_750_000_000_000) };
    const OURS: [OutboundTunnelRef; 3] = [ours(1, 1), ours(2, 2), ours(3, 3)];

    const fn ours(id: u32, first_hop: u8) -> OutboundTunnelRef {
        OutboundTunnelRef { id: TunnelId(id), first_hop: RouterHash([first_hop; 32]) }
    }

    fn leases(count: u32) -> Vec<Lease> {
        let end = NOW.wall.plus(Duration::from_secs(600));
        (0..count).map(|n| Lease { gateway: RouterHash([9; 32]), tunnel: TunnelId(n), end }).collect()
    }

    fn after(seconds: u64) -> Now {
        NOW.plus(Duration::from_secs(seconds))
    }

    #[test]
    fn ways_that_have_failed_are_left_out_while_there_are_others() {
        let (mut paths, mut rng, leases) = (Paths::default(), ChaCha20Rng::from_seed([1; 32]), leases(4));
        let ends = (&OURS[..1], &leases[..]);
        let mut used = BTreeSet::new();
        for n in 0..4 {
            let (_, lease, _) = paths.choose(ends, after(n), &mut rng).unwrap();
            assert!(used.insert(lease.tunnel), "{used:?} and {lease:?} again");
            paths.change(ends, after(n).mono, &mut rng);
        }
        assert!(paths.choose(ends, after(5), &mut rng).is_some(), "any is better than none");
        assert_eq!(paths.changes(), 4);
    }

    /// Each tunnel of ours and each lease has a delay, and the round trip is their sum.
    #[test]
    fn the_shortest_of_all_ways_is_found_by_trying_each_end_once() {
        for seed in 0..50 {
            let (mut paths, mut rng, leases) = (Paths::default(), ChaCha20Rng::from_seed([seed; 32]), leases(5));
            let delay =
                |tunnel: TunnelId, lease: &Lease| 200 + 90 * u64::from(tunnel.0) + 70 * u64::from(lease.tunnel.0);
            let mut turns = 0;
            for n in 0..20 {
                let now = after(10 * n);
                let changed = paths.reconsider((&OURS, &leases), now, &mut rng);
                let (tunnel, lease, _) = paths.choose((&OURS, &leases), now, &mut rng).unwrap();
                turns += usize::from(changed);
                paths.measured(now.mono, Duration::from_millis(delay(tunnel, &lease)));
            }
            let (tunnel, lease) = paths.used();
            assert_eq!((tunnel, lease.map(|lease| lease.tunnel)), (Some(TunnelId(1)), Some(TunnelId(0))));
            assert!(turns <= 8, "{turns}");
        }
    }

    #[test]
    fn each_lane_has_a_first_hop_or_a_gateway_of_its_own_and_both_where_there_are() {
        let mut rng = ChaCha20Rng::from_seed([5; 32]);
        let mut leases = leases(5);
        (0..5).for_each(|n| leases[usize::from(n)].gateway = RouterHash([10 + n; 32]));
        let first = |taken: &[(TunnelId, Lease)]| -> BTreeSet<_> { taken.iter().map(|way| way.0).collect() };
        let last = |taken: &[(TunnelId, Lease)]| -> BTreeSet<_> { taken.iter().map(|way| way.1.gateway.0).collect() };
        let three_hops = [ours(1, 1), ours(2, 2), ours(3, 3)];
        let one_hop = [ours(1, 1), ours(2, 1), ours(3, 1)];
        for (outbound, leases, lanes, firsts, lasts) in [
            (&three_hops[..], &leases[..], 4, 3, 4),
            (&three_hops, &leases[..1], 3, 3, 1),
            (&one_hop, &leases[..3], 3, 1, 3),
            (&one_hop, &leases[..1], 1, 1, 1),
        ] {
            let (mut paths, ends) = (Paths::default(), (outbound, leases));
            let mut taken: Vec<_> = paths.choose(ends, NOW, &mut rng).into_iter().collect();
            let others = (1..4).map_while(|lane| paths.choose_other(lane, ends, NOW, &mut rng)).collect::<Vec<_>>();
            taken.extend(others.iter().copied());
            let taken: Vec<_> = taken.into_iter().map(|(tunnel, lease, _)| (tunnel, lease)).collect();
            assert_eq!(taken.len(), lanes, "{taken:?}");
            assert!(lasts == last(&taken).len() && first(&taken).len() >= firsts);
            let again: Vec<_> = (1..lanes).filter_map(|lane| paths.choose_other(lane, ends, NOW, &mut rng)).collect();
            assert_eq!(again, others, "they stay");
        }
    }

    #[test]
    fn a_lane_that_failed_takes_another_way_and_makes_way_for_the_first() {
        let (mut paths, mut rng, leases) = (Paths::default(), ChaCha20Rng::from_seed([6; 32]), leases(5));
        let ends = (&OURS[..], &leases[..]);
        let (tunnel, ..) = paths.choose(ends, NOW, &mut rng).unwrap();
        let (second, lease, _) = paths.choose_other(1, ends, NOW, &mut rng).unwrap();
        paths.leave_other(1, NOW.mono);
        let next = paths.choose_other(1, ends, NOW, &mut rng).unwrap();
        assert_ne!((next.0, next.1), (second, lease));
        // The first lane's tunnel is gone, and it takes that of the other.
        let left: Vec<OutboundTunnelRef> = OURS.into_iter().filter(|ours| ours.id != tunnel).collect();
        paths.keep_tunnels(&left[..1]);
        paths.choose((&left[..1], &leases), NOW, &mut rng).unwrap();
        assert_eq!(paths.choose_other(1, (&left[..1], &leases), NOW, &mut rng), None);
        let (other, ..) = paths.choose_other(1, (&left, &leases), NOW, &mut rng).unwrap();
        assert_eq!(other, left[1].id);
    }

    #[test]
    fn what_was_sent_before_says_nothing_of_the_way_that_was_taken_since_and_a_quick_one_is_kept() {
        let (mut paths, mut rng, leases) = (Paths::default(), ChaCha20Rng::from_seed([3; 32]), leases(2));
        let ends = (&OURS[..1], &leases[..]);
        paths.choose(ends, after(1), &mut rng).unwrap();
        paths.measured(after(0).mono, Duration::from_millis(900));
        assert!(!paths.reconsider(ends, after(5), &mut rng), "nothing is known of it");
        paths.measured(after(5).mono, Duration::from_millis(30));
        assert!(!paths.reconsider(ends, after(9), &mut rng));
    }

    #[test]
    fn what_is_kept_is_bounded_by_the_ends_that_there_are() {
        let (mut paths, mut rng) = (Paths::default(), ChaCha20Rng::from_seed([4; 32]));
        for n in 0..1000 {
            let leases = leases(16);
            let ours: Vec<OutboundTunnelRef> = (n..n + 16).map(|id| ours(id, 1)).collect();
            paths.keep_leases(&leases);
            paths.keep_tunnels(&ours);
            paths.choose((&ours, &leases), NOW, &mut rng).unwrap();
            paths.measured(NOW.mono, Duration::from_millis(300));
            paths.reconsider((&ours, &leases), NOW, &mut rng);
            assert!(paths.tried.len() <= 256);
        }
    }
}
