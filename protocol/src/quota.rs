//! Fair shares of something that strangers make us do: so much in all, so much for each of those who ask, and when it is
//! asked for more than there is, the same for all.
//!
//! ```text
//!          used in all                     one source may use
//!   full  |------------- total ---------|  nothing
//!         |  pressed: from the half on  |  its fair part of the half: half / sources that ask
//!         |-------------- half ---------|
//!         |                             |  what the limit of its level allows
//! ```
//! So whoever asks for little is served however many ask for much: those who ask for much use up one half among them and
//! not the other. What was used fades: within [`Config::window`] to a third.
//!
//! Sources are counted at [`LEVELS`] levels (a router, its near network, its wide one), each with a limit. There is no
//! table of sources that a crowd could fill: a level is two rows of counters, a source has a place in each by a keyed hash,
//! and the lesser of the two counts. Two sources must share both places to be taken for one.

use crate::bearer::{Bearer, Key, LEVELS};
use crate::time::Mono;
use ramson_crypto::siphash::siphash24;
use std::net::IpAddr;
use std::time::Duration;

/// Counters in a row.
const SLOTS: usize = 1024;

/// What there is.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// The time in which what was used fades to a third.
    pub window: Duration,
    /// What all together may use in the window.
    pub total: f32,
    /// What one source may use in the window, by level.
    pub each: [f32; LEVELS],
}

impl Config {
    /// So much a second for all, and for one source of each level.
    pub fn per_second(window: Duration, total: f32, each: [f32; LEVELS]) -> Self {
        let seconds = window.as_secs_f32();
        Self { window, total: total * seconds, each: each.map(|each| each * seconds) }
    }
}

/// A use that fades.
#[derive(Clone, Copy, Debug, Default)]
struct Use {
    amount: f32,
    /// In windows.
    at: f64,
}

impl Use {
    /// What is left of it, `now` in windows.
    fn at(self, now: f64) -> f32 {
        self.amount * (self.at - now).min(0.0).exp() as f32
    }

    fn add(&mut self, amount: f32, now: f64) {
        *self = Self { amount: self.at(now) + amount, at: now };
    }
}

/// The sources of one level.
#[derive(Debug)]
struct Level {
    rows: [Vec<Use>; 2],
    /// Those that use anything, as they were counted last.
    active: f32,
}

impl Level {
    fn used(&self, places: [usize; 2], now: f64) -> f32 {
        let [a, b] = self.rows.each_ref().map(|row| row.as_slice());
        let at = |row: &[Use], place: usize| row.get(place).map_or(0.0, |used| used.at(now));
        at(a, places[0]).min(at(b, places[1]))
    }

    /// Who comes to use more than `some` is one more that is active, until they are counted again.
    fn add(&mut self, places: [usize; 2], amount: f32, now: f64, some: f32) {
        let [a, b] = &mut self.rows;
        if let Some(used) = a.get_mut(places[0]) {
            let before = used.at(now);
            used.add(amount, now);
            self.active += f32::from(u8::from(before <= some && used.amount > some));
        }
        if let Some(used) = b.get_mut(places[1]) {
            used.add(amount, now);
        }
    }
}

/// The shares. Time is handed in; nothing is to be done when it passes.
#[derive(Debug)]
pub struct Quota {
    config: Config,
    keys: [[u64; 2]; 2],
    whole: Use,
    levels: [Level; LEVELS],
    counted: f64,
    refused: u64,
}

impl Quota {
    /// Nothing is used yet.
    pub fn new(config: Config, seed: [u64; 4]) -> Self {
        let level = || Level { rows: [vec![Use::default(); SLOTS], vec![Use::default(); SLOTS]], active: 0.0 };
        let [a, b, c, d] = seed;
        Self {
            config,
            keys: [[a, b], [c, d]],
            whole: Use::default(),
            levels: std::array::from_fn(|_| level()),
            counted: 0.0,
            refused: 0,
        }
    }

    /// Changes what there is; what was used stays used.
    pub fn set_config(&mut self, config: Config) {
        self.config = config;
    }

    /// Uses so much for this source, if it may have it.
    #[must_use]
    pub fn take(&mut self, from: &Bearer, amount: f32, now: Mono) -> bool {
        let allowed = self.allows(from, amount, now);
        if allowed {
            self.charge(from, amount, now);
        } else {
            self.refused += 1;
        }
        allowed
    }

    /// Whether this source may have so much now.
    pub fn allows(&mut self, from: &Bearer, amount: f32, now: Mono) -> bool {
        let now = self.windows(now);
        self.count(now);
        let used = self.whole.at(now);
        let half = self.config.total / 2.0;
        used + amount <= self.config.total
            && from.keys().all(|(level, key)| {
                let used_here = self.levels[level].used(self.places(&key), now);
                let fair =
                    if used > half { (half / self.levels[level].active.max(1.0)).max(amount) } else { f32::INFINITY };
                used_here + amount <= self.config.each[level].min(fair)
            })
    }

    /// Counts what was used without being asked for, and may so exceed what there is.
    pub fn charge(&mut self, from: &Bearer, amount: f32, now: Mono) {
        let now = self.windows(now);
        let some = self.some();
        self.whole.add(amount, now);
        for (level, key) in from.keys() {
            let places = self.places(&key);
            self.levels[level].add(places, amount, now, some);
        }
    }

    /// How often somebody could not have what he asked for.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Counts who uses anything: now and then, as it takes a walk through a row.
    fn count(&mut self, now: f64) {
        if now - self.counted < 1.0 / 16.0 {
            return;
        }
        self.counted = now;
        let some = self.some();
        for level in &mut self.levels {
            let active = level.rows[0].iter().filter(|used| used.at(now) > some).count();
            level.active = active as f32;
        }
    }

    /// Less than this is noise: as many as there are counters would not be pressing.
    fn some(&self) -> f32 {
        self.config.total / 2.0 / SLOTS as f32
    }

    fn windows(&self, now: Mono) -> f64 {
        now.as_secs_f64() / self.config.window.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    fn places(&self, key: &Key) -> [usize; 2] {
        self.keys.map(|[k0, k1]| {
            let hash = |words: &[u64]| words.iter().fold(0, |state, word| siphash24(k0, k1, state ^ *word));
            let ip = |ip: &IpAddr| match ip {
                IpAddr::V4(v4) => u128::from(u32::from(*v4)),
                IpAddr::V6(v6) => u128::from(*v6),
            };
            let bytes = |bytes: &[u8]| bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
            use crate::bearer::Network;
            let hashed = match key {
                // Hashes of routers are random enough in any part of them.
                Key::Router(router) => hash(&[1, bytes(&router.0[..8]), bytes(&router.0[8..16])]),
                Key::Through(router) => hash(&[2, bytes(&router.0[..8]), bytes(&router.0[8..16])]),
                Key::Tunnel(id) => hash(&[3, id.0.into()]),
                Key::Network(Network::Host(host)) => hash(&[4, ip(host) as u64, (ip(host) >> 64) as u64]),
                Key::Network(Network::V4Near(net)) => hash(&[5, bytes(net)]),
                Key::Network(Network::V4Wide(net)) => hash(&[6, bytes(net)]),
                Key::Network(Network::V6Near(net)) => hash(&[7, bytes(net)]),
                Key::Network(Network::V6Wide(net)) => hash(&[8, bytes(net)]),
            };
            (hashed % SLOTS as u64) as usize
        })
    }
}

#[cfg(test)]
mod tests;
