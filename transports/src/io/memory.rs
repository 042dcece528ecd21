//! Memory that peers make a thread hold: what they do not take, and what they begin and do not finish.
//!
//! Each session has bounds of its own; ten thousand of them at their bounds are too much. So once a second all is added up:
//! above half of the budget every session has less room, and above the budget those who hold the most part with it, the
//! deaf first. In between the line bounds what can come.

use super::Links;
use super::session::{Bounds, Session, Wire};
use crate::stats::{DropCause, Transport};
use ramson_protocol::link::callers::network;
use ramson_protocol::link::reason::Reason;
use ramson_protocol::time::Mono;
use rustc_hash::FxHashMap;
use std::cmp::Reverse;
use std::time::Duration;

/// Sessions that a network may have without being one that has many: in private networks all are in one.
const MANY: usize = 8;

/// Who has said or heard something so lately makes use of his session.
const IN_USE: Duration = Duration::from_secs(30);

/// Down to this part of the budget it is freed, so that it is not done every time.
const TARGET: (usize, usize) = (3, 4);

impl Links {
    /// Adds up what sessions hold, and frees what is too much.
    pub(super) fn relieve(&mut self) {
        let budget = self.shaper.held_budget();
        let held: usize = self.sessions.iter().map(|(_, session): (usize, &Session)| session.held()).sum();
        self.stats.held_bytes.set(held as u64);
        self.bounds = if held > budget / 2 { Bounds::narrow() } else { Bounds::default() };
        if held > budget {
            self.part_with_the_greatest(held, budget / TARGET.1 * TARGET.0);
        }
    }

    /// Closes sessions of NTCP2 for want of descriptors: the silent before those in use, of these first of networks that have
    /// many, and of these who has been silent for longest.
    pub(super) fn close_idlest(&mut self, sessions: usize) {
        let mut in_network: FxHashMap<u128, usize> = FxHashMap::default();
        let mut all: Vec<(bool, usize, Mono, usize)> = Vec::new();
        let now = self.now.mono;
        let tcp = |session: &Session| session.transport() == Transport::Ntcp2;
        for (index, session) in self.sessions.iter().filter(|(_, session)| tcp(session)) {
            let last = session.last_in.max(session.last_out);
            all.push((now.saturating_sub(last) < IN_USE, 0, last, index));
            *in_network.entry(network(session.ip, 24)).or_default() += 1;
        }
        for (_, rank, _, index) in &mut all {
            let of_network = self.sessions.get(*index).and_then(|session| in_network.get(&network(session.ip, 24)));
            *rank = usize::MAX - of_network.map_or(0, |count| count / MANY);
        }
        all.sort_unstable();
        for (_, _, _, index) in all.into_iter().take(sessions) {
            self.stats.dropped(DropCause::DescriptorsScarce);
            self.close(index, Some(Reason::NORMAL));
        }
    }

    pub(super) fn part_with_the_greatest(&mut self, mut held: usize, target: usize) {
        let now = self.now.mono;
        let mut all: Vec<(Reverse<(bool, usize)>, usize)> = self
            .sessions
            .iter()
            .map(|(index, session)| (Reverse((session.is_deaf(now), session.held())), index))
            .collect();
        all.sort_unstable();
        for (Reverse((_, bytes)), index) in all {
            if held <= target {
                break;
            }
            held -= bytes;
            self.stats.dropped(DropCause::MemoryFull);
            // Of SSU2 what is not finished goes alone, if that is most of it.
            if let Some(Wire::Ssu2(wire)) = self.sessions.get_mut(index).map(|session| &mut session.wire) {
                wire.core.give_up_incomplete();
                if wire.core.owed_bytes() < bytes / 2 {
                    continue;
                }
            }
            // NTCP2 has no code for it.
            let udp = self.sessions.get(index).is_some_and(|session| session.transport() == Transport::Ssu2);
            self.close(index, Some(if udp { Reason::CONNECTION_LIMITS } else { Reason::NORMAL }));
        }
    }
}
