//! Whether we are fit to be a floodfill, where the operator leaves it to us.
//!
//! INTEROP: Java I2P demands a class of N or better, two hours and more, and not to be congested; what is given up returns late,
//! since every change moves a part of the database from one router to another.

use crate::data::router_info::{Bandwidth, Congestion};
use crate::time::Mono;
use std::time::Duration;

/// A router that was started lately may end soon.
const UP: Duration = Duration::from_secs(2 * 3600);

/// Whoever has given it up does not try again so soon.
const REST: Duration = Duration::from_secs(3600);

/// The least class. Answers to lookups and floods take what others may use.
const CLASS: Bandwidth = Bandwidth::P;

/// What is known of ourselves.
#[derive(Clone, Copy, Debug)]
pub struct Condition {
    /// Since when we run.
    pub up: Duration,
    /// Peers can call us.
    pub reachable: bool,
    /// Several agree with our clock: floodfills judge dates.
    pub right_clock: bool,
    /// Our class.
    pub class: Bandwidth,
    /// Our load, as it is published.
    pub congestion: Congestion,
}

/// The machine.
#[derive(Debug, Default)]
pub struct Fitness {
    fit: bool,
    given_up: Option<Mono>,
}

impl Fitness {
    /// Whether we are one now.
    pub fn judge(&mut self, now: Mono, condition: &Condition) -> bool {
        let Condition { up, reachable, right_clock, class, congestion } = *condition;
        let able = reachable && right_clock && class >= CLASS && congestion < Congestion::E;
        if self.fit && !able {
            self.given_up = Some(now);
        }
        let rested = self.given_up.is_none_or(|at| now.saturating_sub(at) >= REST);
        self.fit = able && (self.fit || (up >= UP && rested && congestion == Congestion::None));
        self.fit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIT: Condition =
        Condition { up: UP, reachable: true, right_clock: true, class: Bandwidth::X, congestion: Congestion::None };

    fn at(secs: u64) -> Mono {
        Duration::from_secs(secs)
    }

    #[test]
    fn who_lacks_anything_is_no_floodfill() {
        for lacking in [
            Condition { up: Duration::from_secs(7199), ..FIT },
            Condition { reachable: false, ..FIT },
            Condition { right_clock: false, ..FIT },
            Condition { class: Bandwidth::O, ..FIT },
            Condition { congestion: Congestion::D, ..FIT },
        ] {
            assert!(!Fitness::default().judge(at(8000), &lacking), "{lacking:?}");
        }
        assert!(Fitness::default().judge(at(8000), &FIT));
    }

    #[test]
    fn it_is_given_up_under_load_and_taken_up_again_late() {
        let mut fitness = Fitness::default();
        assert!(fitness.judge(at(8000), &FIT));
        assert!(fitness.judge(at(8010), &Condition { congestion: Congestion::D, ..FIT }), "it is borne");
        assert!(!fitness.judge(at(8020), &Condition { congestion: Congestion::E, ..FIT }));
        assert!(!fitness.judge(at(8030), &FIT));
        assert!(fitness.judge(at(8020) + REST, &FIT));
    }
}
