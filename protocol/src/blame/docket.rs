//! What is remembered of those of one kind: points that fade, bans, and how often each was banned before.

use super::{Config, HALF_LIFE};
use crate::time::Mono;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// Less than this is nothing.
const NOTHING: f32 = 0.5;

#[derive(Clone, Debug)]
struct Record {
    points: f32,
    as_of: Mono,
    /// Zero for one who never was.
    banned_until: Mono,
    bans: u32,
    /// Why he was banned last.
    reason: Cow<'static, str>,
}

impl Record {
    /// Of one of whom nothing is known.
    fn fresh(now: Mono) -> Self {
        Self { points: 0.0, as_of: now, banned_until: Mono::ZERO, bans: 0, reason: Cow::Borrowed("") }
    }

    fn points(&self, now: Mono) -> f32 {
        let age = now.saturating_sub(self.as_of);
        self.points * (-age.as_secs_f32() / HALF_LIFE.as_secs_f32()).exp2()
    }

    /// How much is lost if this is forgotten: earlier bans before points.
    fn worth(&self, now: Mono, config: &Config) -> (u32, f32) {
        let remembered = now < self.banned_until + config.memory;
        (if remembered { self.bans } else { 0 }, self.points(now))
    }
}

/// What a charge has led to.
#[derive(Debug)]
pub(super) struct Verdict<K> {
    /// The ban that begins.
    pub(super) banned_until: Option<Mono>,
    /// Whose ban ended for it.
    pub(super) displaced: Option<K>,
    /// Suspects that were forgotten to make room.
    pub(super) forgotten: u64,
}

/// The records.
#[derive(Debug)]
pub(super) struct Docket<K> {
    records: BTreeMap<K, Record>,
    /// Those who are banned, in the order in which they will be free.
    bans: BTreeSet<(Mono, K)>,
    max: usize,
}

impl<K: Ord + Copy> Docket<K> {
    /// Empty, and never with more than `max` records.
    pub(super) fn new(max: usize) -> Self {
        Self { records: BTreeMap::new(), bans: BTreeSet::new(), max: max.max(4) }
    }

    /// Adds points to somebody, and bans him at the threshold: these points, for that reason.
    pub(super) fn charge(
        &mut self,
        key: K,
        (points, reason): (f32, &'static str),
        threshold: f32,
        now: Mono,
        config: &Config,
    ) -> Verdict<K> {
        let forgotten = if self.records.contains_key(&key) { 0 } else { self.make_room(now, config) };
        let mut verdict = Verdict { banned_until: None, displaced: None, forgotten };
        let record = self.records.entry(key).or_insert_with(|| Record::fresh(now));
        if now < record.banned_until {
            return verdict;
        }
        if now >= record.banned_until + config.memory {
            record.bans = 0;
        }
        record.points = record.points(now) + points;
        record.as_of = now;
        if record.points < threshold {
            return verdict;
        }
        let (until, bans) = (now + config.ban(record.bans), record.bans.saturating_add(1));
        *record = Record { points: 0.0, as_of: now, banned_until: until, bans, reason: Cow::Borrowed(reason) };
        verdict.displaced = self.enter(key, until, now);
        verdict.banned_until = Some(until);
        verdict
    }

    /// Bans somebody whatever his points, or bans him for another time than he is.
    pub(super) fn sentence(
        &mut self,
        key: K,
        (until, bans, reason): (Mono, u32, Cow<'static, str>),
        now: Mono,
        config: &Config,
    ) -> Verdict<K> {
        let forgotten = if self.records.contains_key(&key) { 0 } else { self.make_room(now, config) };
        let record = self.records.entry(key).or_insert_with(|| Record::fresh(now));
        self.bans.remove(&(record.banned_until, key));
        *record = Record { points: 0.0, as_of: now, banned_until: until, bans: bans.max(record.bans), reason };
        Verdict { banned_until: Some(until), displaced: self.enter(key, until, now), forgotten }
    }

    /// Puts somebody on the list of the banned; whose ban ended for want of room.
    fn enter(&mut self, key: K, until: Mono, now: Mono) -> Option<K> {
        let displaced = self.bans.first().filter(|_| self.bans.len() >= self.max / 2).map(|(_, first)| *first);
        if let Some(first) = displaced {
            self.free(&first, now);
        }
        self.bans.insert((until, key));
        displaced
    }

    /// Forgets who has nothing left; if that is nobody, a quarter of those who are free, the lightest first. Returns how
    /// many of them still had something.
    fn make_room(&mut self, now: Mono, config: &Config) -> u64 {
        if self.records.len() < self.max {
            return 0;
        }
        self.records.retain(|_, record| now < record.banned_until || record.worth(now, config) >= (0, NOTHING));
        if self.records.len() < self.max {
            return 0;
        }
        let mut free: Vec<((u32, f32), K)> = self
            .records
            .iter()
            .filter(|(_, record)| now >= record.banned_until)
            .map(|(key, record)| (record.worth(now, config), *key))
            .collect();
        free.sort_by(|((bans, points), _), ((other_bans, other), _)| {
            bans.cmp(other_bans).then(points.total_cmp(other))
        });
        free.truncate(self.max / 4);
        for (_, key) in &free {
            self.records.remove(key);
        }
        free.len() as u64
    }

    /// Ends a ban early.
    fn free(&mut self, key: &K, now: Mono) {
        if let Some(record) = self.records.get_mut(key) {
            self.bans.remove(&(record.banned_until, *key));
            record.banned_until = record.banned_until.min(now);
        }
    }

    /// Forgets somebody; true if he was banned.
    pub(super) fn pardon(&mut self, key: &K) -> bool {
        self.records.remove(key).is_some_and(|record| self.bans.remove(&(record.banned_until, *key)))
    }

    /// One whose ban is over, taken from the list.
    pub(super) fn lift(&mut self, now: Mono) -> Option<K> {
        self.bans.first().filter(|(until, _)| *until <= now)?;
        self.bans.pop_first().map(|(_, key)| key)
    }

    /// When the next ban ends.
    pub(super) fn next_lift(&self) -> Option<Mono> {
        self.bans.first().map(|(until, _)| *until)
    }

    /// Those who are banned, those who are free first at the front: until when, how often by now, and why.
    pub(super) fn bans(&self) -> impl Iterator<Item = (K, Mono, u32, Cow<'static, str>)> {
        self.bans.iter().filter_map(|(until, key)| {
            self.records.get(key).map(|record| (*key, *until, record.bans, record.reason.clone()))
        })
    }

    /// How many are remembered.
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }
}
