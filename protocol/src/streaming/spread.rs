//! Whether a stream takes more than one way at once.
//!
//! ```text
//! limited by its ways for a while --> one more is opened, on trial --- clearly more arrives ---> it stays
//!            ^                                                    '--- no more arrives ---> it is closed: a longer and longer pause
//!            '--------------------------------------------------------------------------------------------'
//! ```
//! What limits a stream is mostly one hop among the six of its way, and another way has others. Where it is the line or the processor at
//! one of the ends, a second way brings nothing, and shows it.

use crate::time::Mono;
use std::time::Duration;

/// What arrives is measured over so many round trips, and a new way has so many before that to find out what it bears.
const WATCHED_TRIPS: u32 = 8;
const SETTLING_TRIPS: u32 = 6;

/// Neither is shorter than this.
const LEAST: Duration = Duration::from_secs(4);

/// A way on trial stays if so much more arrives: what a stream carries swings by a few in a hundred by itself.
const WORTH: f64 = 1.2;

/// After a trial in vain the next one begins no sooner than after this, after two in a row twice that, and so on.
const PAUSE: Duration = Duration::from_secs(60);
const MOST_PAUSE: Duration = Duration::from_secs(960);

/// Ways that carry so many bytes a second each are not what limits a stream: no hop of them does.
const FAST: f64 = 8e6;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing.
    Stay,
    /// Another way is tried.
    Open,
    /// The one on trial is given up.
    Close(usize),
}

/// What was decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Ways that were opened.
    pub(super) opened: u64,
    /// Those of them that stayed.
    pub(super) kept: u64,
}

#[derive(Debug)]
struct Trial {
    lane: usize,
    /// Bytes a second without it.
    before: f64,
    /// Since when it has had its time to find out what it bears.
    from: Mono,
}

/// What decides.
#[derive(Debug)]
pub(super) struct Spread {
    /// Since when the stream has been limited by its ways without a break, and what had been delivered then.
    since: Option<(Mono, u64)>,
    trial: Option<Trial>,
    /// Bytes a second, as they were measured last.
    rate: f64,
    not_before: Mono,
    pause: Duration,
    counts: Counts,
}

impl Spread {
    pub(super) fn new() -> Self {
        Self { since: None, trial: None, rate: 0.0, not_before: Mono::ZERO, pause: PAUSE, counts: Counts::default() }
    }

    /// What was decided since this was asked last.
    pub(super) fn take_counts(&mut self) -> Counts {
        std::mem::take(&mut self.counts)
    }

    /// So much has been delivered in all, over `lanes` ways, whose round trip is this. `limited`: there is more to be sent, and only the ways
    /// do not let it.
    pub(super) fn judge(
        &mut self,
        now: Mono,
        delivered: u64,
        limited: bool,
        round_trip: Duration,
        lanes: usize,
    ) -> Verdict {
        let settling = self.trial.as_ref().is_some_and(|trial| now < trial.from);
        if !limited || settling {
            self.since = None;
            return Verdict::Stay;
        }
        let (since, before) = *self.since.get_or_insert((now, delivered));
        let within = now.saturating_sub(since);
        if within < LEAST.max(round_trip * WATCHED_TRIPS) {
            return Verdict::Stay;
        }
        self.since = None;
        self.rate = (delivered - before) as f64 / within.as_secs_f64();
        match self.trial.take() {
            Some(trial) if self.rate < trial.before * WORTH => {
                self.failed(now);
                Verdict::Close(trial.lane)
            }
            Some(_) => {
                self.pause = PAUSE;
                self.counts.kept += 1;
                Verdict::Stay
            }
            None if now >= self.not_before && self.rate < FAST * lanes as f64 => Verdict::Open,
            None => Verdict::Stay,
        }
    }

    /// The way that was asked for is this one.
    pub(super) fn opened(&mut self, now: Mono, lane: usize, round_trip: Duration) {
        let from = now + LEAST.max(round_trip * SETTLING_TRIPS);
        self.counts.opened += 1;
        self.trial = Some(Trial { lane, before: self.rate, from });
    }

    /// There is no other way, or it is worth nothing.
    pub(super) fn failed(&mut self, now: Mono) {
        (self.trial, self.since) = (None, None);
        self.not_before = now + self.pause;
        self.pause = (self.pause * 2).min(MOST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRIP: Duration = Duration::from_millis(300);

    /// A stream for so many seconds whose ways carry, all together, what this says of their number; how many it has at the end, and how often
    /// one was opened.
    fn run(seconds: u64, limited: impl Fn(u64) -> bool, rate: impl Fn(usize) -> f64) -> (usize, usize) {
        let (mut spread, mut lanes, mut opened, mut delivered) = (Spread::new(), 1, 0, 0.0);
        for tenth in 0..seconds * 10 {
            let now = Duration::from_millis(tenth * 100);
            delivered += rate(lanes) / 10.0;
            match spread.judge(now, delivered as u64, limited(tenth), TRIP, lanes) {
                Verdict::Stay => {}
                Verdict::Open if lanes < 4 => {
                    spread.opened(now, lanes, TRIP);
                    (lanes, opened) = (lanes + 1, opened + 1);
                }
                Verdict::Open => spread.failed(now),
                Verdict::Close(lane) => {
                    assert_eq!(lane, lanes - 1);
                    lanes -= 1;
                }
            }
        }
        (lanes, opened)
    }

    #[test]
    fn ways_that_bring_something_stay_and_others_are_given_up() {
        assert_eq!(run(60, |_| true, |lanes| 1e5 * lanes as f64), (4, 3));
        assert_eq!(run(45, |_| true, |lanes| 1e5 * lanes.min(2) as f64), (2, 2), "the third brings nothing");
        assert_eq!(run(50, |_| true, |_| 1e5), (1, 1));
    }

    #[test]
    fn trials_in_vain_become_rare() {
        let (lanes, opened) = run(3600, |_| true, |_| 1e5);
        assert!((1..=2).contains(&lanes) && (4..=8).contains(&opened), "{opened} in an hour");
    }

    #[test]
    fn who_has_little_to_send_or_is_fast_stays_on_one() {
        assert_eq!(run(600, |tenth| tenth % 15 != 0, |lanes| 1e5 * lanes as f64), (1, 0));
        assert_eq!(run(600, |_| true, |lanes| 2e7 * lanes as f64), (1, 0));
    }
}
