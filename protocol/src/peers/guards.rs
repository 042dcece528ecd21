//! The few routers that stand next to us in the tunnels of destinations.
//!
//! Whoever is the first hop of a tunnel knows whose it is, if he knows that he is the first. Were it another router each time,
//! everybody would be it in time; so a few are kept for days. The router's own tunnels have others, since that is how
//! routers get to be known.

use super::choice::Strictness;
use super::{Peers, Purpose};
use crate::id::RouterHash;
use crate::time::{Mono, Now};
use rand::RngExt;
use rand_chacha::ChaCha20Rng;
use std::time::Duration;

/// Guards that can be used now: if there are fewer another one is chosen.
const USABLE: usize = 6;

/// Guards in all. When there are more, those who were chosen first go.
const MAX: usize = 12;

/// One is kept for so long, and up to so much longer: all at once would be seen.
const KEPT: Duration = Duration::from_secs(5 * 24 * 3600);
const KEPT_LONGER: Duration = Duration::from_secs(5 * 24 * 3600);

/// A tunnel's worth of experience, at least: nobody comes from nowhere and stands next to us.
const EXPERIENCE: f32 = 0.5;

#[derive(Clone, Copy, Debug)]
pub(super) struct Guard {
    pub(super) hash: RouterHash,
    pub(super) until: Mono,
}

impl Peers {
    /// One that was a guard before a restart, or is to be one now.
    pub(super) fn add_guard(&mut self, hash: RouterHash, now: Mono, rng: &mut ChaCha20Rng) {
        let until = now + KEPT + KEPT_LONGER.mul_f32(rng.random());
        self.guards.push(Guard { hash, until });
        if self.guards.len() > MAX {
            self.guards.remove(0);
        }
    }

    /// Whether a router is kept as a guard.
    pub fn is_guard(&self, router: &RouterHash) -> bool {
        self.guards.iter().any(|guard| guard.hash == *router)
    }

    /// Lets go of those whose time is up or who are gone, and chooses others as far as they are missing.
    pub(super) fn renew_guards(&mut self, now: Now, rng: &mut ChaCha20Rng) {
        let index = &self.index;
        self.guards.retain(|guard| guard.until > now.mono && index.contains_key(&guard.hash));
        let usable = |peers: &Self, at: usize| {
            let entry = &peers.entries[at];
            let fits = entry.facts.as_ref().is_some_and(|facts| facts.dialable);
            fits && peers.weight(entry, Purpose::Client, now, Strictness::PROVEN) > 0.0
        };
        let have = self.guards.iter().filter_map(|g| self.index.get(&g.hash)).filter(|at| usable(self, **at)).count();
        for _ in have..USABLE {
            let mut best: Option<(f32, RouterHash)> = None;
            for (at, entry) in self.entries.iter().enumerate() {
                if entry.profile.experience(now.mono) < EXPERIENCE || self.is_guard(&entry.hash) || !usable(self, at) {
                    continue;
                }
                let weight = self.weight(entry, Purpose::Client, now, Strictness::PROVEN);
                let key = rng.random::<f32>().powf(1.0 / weight);
                if best.is_none_or(|(best, _)| key > best) {
                    best = Some((key, entry.hash));
                }
            }
            let Some((_, hash)) = best else { return };
            self.add_guard(hash, now.mono, rng);
        }
    }
}
