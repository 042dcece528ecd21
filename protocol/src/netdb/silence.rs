//! Floodfills that do not answer: after a few questions in a row they are left alone for hours.
//!
//! Through tunnels silence may be a tunnel's fault, and without a network it is everybody's; so it counts only while others
//! answer.

use crate::id::RouterHash;
use crate::time::Mono;
use std::collections::BTreeMap;
use std::time::Duration;

/// Questions without an answer, in a row, after which one is left alone.
const PATIENCE: u32 = 3;
/// For how long, the first time; twice as long each further time.
const REST: Duration = Duration::from_secs(3600);
const LONGEST_REST: Duration = Duration::from_secs(8 * 3600);
/// Somebody must have answered in this time, or nobody's silence counts.
const ANSWERED_WITHIN: Duration = Duration::from_secs(60);
/// Floodfills that are remembered. When there are more, those that rest the shortest time are forgotten.
const MAX: usize = 4096;

#[derive(Clone, Copy, Debug, Default)]
struct Silent {
    in_a_row: u32,
    rests: u32,
    until: Mono,
}

/// Who has not answered lately.
#[derive(Debug, Default)]
pub struct Silence {
    routers: BTreeMap<RouterHash, Silent>,
    answered: Option<Mono>,
}

impl Silence {
    /// A floodfill has answered.
    pub fn answered(&mut self, router: &RouterHash, now: Mono) {
        self.answered = Some(now);
        self.routers.remove(router);
    }

    /// A floodfill has not. True if it is left alone from now on.
    pub fn silent(&mut self, router: RouterHash, now: Mono) -> bool {
        if self.answered.is_none_or(|at| now.saturating_sub(at) > ANSWERED_WITHIN) {
            return false;
        }
        if self.routers.len() >= MAX && !self.routers.contains_key(&router) {
            let first = self.routers.iter().min_by_key(|(_, silent)| silent.until).map(|(router, _)| *router);
            if let Some(first) = first {
                self.routers.remove(&first);
            }
        }
        let silent = self.routers.entry(router).or_default();
        silent.in_a_row += 1;
        if silent.in_a_row < PATIENCE {
            return false;
        }
        silent.in_a_row = 0;
        silent.until = now + (REST * (1 << silent.rests.min(8))).min(LONGEST_REST);
        silent.rests += 1;
        true
    }

    /// Whether one is left alone.
    pub fn rests(&self, router: &RouterHash, now: Mono) -> bool {
        self.routers.get(router).is_some_and(|silent| silent.until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SILENT: RouterHash = RouterHash([1; 32]);
    const GOOD: RouterHash = RouterHash([2; 32]);

    fn at(secs: u64) -> Mono {
        Duration::from_secs(secs)
    }

    #[test]
    fn who_does_not_answer_three_times_while_others_do_is_left_alone_for_hours() {
        let mut silence = Silence::default();
        silence.answered(&GOOD, at(100));
        assert!(!silence.silent(SILENT, at(101)) && !silence.silent(SILENT, at(102)));
        assert!(silence.silent(SILENT, at(103)));
        assert!(
            silence.rests(&SILENT, at(3702)) && !silence.rests(&SILENT, at(3704)) && !silence.rests(&GOOD, at(103))
        );
        silence.answered(&GOOD, at(4000));
        let rests = (0..3).filter(|_| silence.silent(SILENT, at(4001))).count();
        assert_eq!(rests, 1);
        assert!(silence.rests(&SILENT, at(4000 + 7000)), "twice as long");
        silence.answered(&SILENT, at(4002));
        assert!(!silence.rests(&SILENT, at(4003)));
    }

    #[test]
    fn when_nobody_answers_the_fault_is_ours_and_the_table_is_bounded() {
        let mut silence = Silence::default();
        assert!((0..100).all(|n| !silence.silent(SILENT, at(n))));
        silence.answered(&GOOD, at(100));
        for n in 0..2 * MAX as u32 {
            let mut hash = [0; 32];
            hash[..4].copy_from_slice(&n.to_be_bytes());
            silence.silent(RouterHash(hash), at(101));
        }
        assert_eq!(silence.routers.len(), MAX);
    }
}
