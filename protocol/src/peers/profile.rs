//! How a router has done as a hop: decaying counts, and until when it is left alone.
//!
//! All counts lose half of their weight in [`HALF_LIFE`], so that old sins and old merits fade alike.

use crate::time::Mono;
use crate::wire::{Reader, Result, Writer};
use std::time::Duration;

/// Counts halve in this time.
pub const HALF_LIFE: Duration = Duration::from_secs(30 * 60);
/// After a refusal a router is left alone for so long, as i2pd does.
pub const AFTER_REFUSAL: Duration = Duration::from_secs(330);
/// After we could not connect to it.
pub const AFTER_UNREACHABLE: Duration = Duration::from_secs(8 * 60);
/// After so many refusals in a row it counts as one that always refuses ...
pub const REFUSALS_IN_A_ROW: u8 = 5;
/// ... and is left alone for so long.
pub const AFTER_ALWAYS_REFUSING: Duration = Duration::from_secs(60 * 60);

/// A router that was reached, or took part in a tunnel, is no stranger for so long.
pub const PROVEN_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// What is left of one count after some hours.
const LONG_AGO: f32 = 0.01;

/// The weight of one more test in the average round trip.
const SMOOTHING: f32 = 0.2;

/// Flags of stored profiles.
const PROVEN: u8 = 1;
const GUARD: u8 = 2;

/// What one router did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It took part in a tunnel.
    Accepted,
    /// It refused to.
    Refused,
    /// We could not connect to it.
    Unreachable,
    /// There is a session with it, whoever called.
    Reached,
    /// It was reached where it says that it is, by us or by its own call.
    Proven,
    /// Its reply was not what it should be.
    Misbehaved,
}

/// What happened to a tunnel, by the fault or merit of one of its hops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shared {
    /// The build got no answer.
    BuildTimedOut,
    /// A test came back.
    TestPassed {
        /// After so long, through two tunnels.
        rtt: Duration,
    },
    /// A test did not.
    TestFailed,
}

/// The counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    counts: Counts,
    as_of: Mono,
    refusals_in_a_row: u8,
    excluded_until: Mono,
    unreachable_until: Mono,
    /// Until then it counts as one that was reached.
    proven_until: Mono,
    /// The round trip of tests of tunnels through it, in seconds, on average. Not kept over a restart.
    round_trip: Option<f32>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Counts {
    accepted: f32,
    refused: f32,
    timed_out: f32,
    tests_passed: f32,
    tests_failed: f32,
}

impl Profile {
    /// A router without history.
    pub fn new(now: Mono) -> Self {
        Self {
            counts: Counts::default(),
            as_of: now,
            refusals_in_a_row: 0,
            excluded_until: Mono::ZERO,
            unreachable_until: Mono::ZERO,
            proven_until: Mono::ZERO,
            round_trip: None,
        }
    }

    /// Notes what it did.
    pub fn note(&mut self, event: Event, now: Mono) {
        self.decay(now);
        let exclude = match event {
            Event::Accepted => {
                self.counts.accepted += 1.0;
                self.refusals_in_a_row = 0;
                self.proven_until = now + PROVEN_FOR;
                Duration::ZERO
            }
            Event::Refused => {
                self.counts.refused += 1.0;
                self.refusals_in_a_row = self.refusals_in_a_row.saturating_add(1);
                if self.refusals_in_a_row >= REFUSALS_IN_A_ROW { AFTER_ALWAYS_REFUSING } else { AFTER_REFUSAL }
            }
            Event::Unreachable => {
                self.counts.timed_out += 1.0;
                self.unreachable_until = now + AFTER_UNREACHABLE;
                Duration::ZERO
            }
            Event::Reached | Event::Proven => {
                self.unreachable_until = Mono::ZERO;
                if event == Event::Proven {
                    self.proven_until = now + PROVEN_FOR;
                }
                Duration::ZERO
            }
            Event::Misbehaved => {
                self.counts.timed_out += 1.0;
                AFTER_UNREACHABLE
            }
        };
        self.excluded_until = self.excluded_until.max(now + exclude);
    }

    /// Notes its share of what happened to a tunnel.
    pub fn note_shared(&mut self, event: Shared, share: f32, now: Mono) {
        self.decay(now);
        match event {
            Shared::BuildTimedOut => self.counts.timed_out += share,
            Shared::TestPassed { rtt } => {
                self.counts.tests_passed += share;
                let mean = self.round_trip.get_or_insert(rtt.as_secs_f32());
                *mean += SMOOTHING * (rtt.as_secs_f32() - *mean);
            }
            Shared::TestFailed => self.counts.tests_failed += share,
        }
    }

    /// True if it was reached lately.
    pub fn is_proven(&self, now: Mono) -> bool {
        now < self.proven_until
    }

    /// True if it has agreed to be a hop within the last hours.
    pub fn has_agreed(&self, now: Mono) -> bool {
        self.decayed(now).accepted > LONG_AGO
    }

    /// The round trip of tests through it, in seconds, on average.
    pub fn round_trip(&self) -> Option<f32> {
        self.round_trip
    }

    /// True while it is left alone.
    pub fn is_excluded(&self, now: Mono) -> bool {
        now < self.excluded_until.max(self.unreachable_until)
    }

    /// From 0 to 1: how likely it is to take part and to work, with a cautious guess for the unknown.
    pub fn success(&self, now: Mono) -> f32 {
        let c = self.decayed(now);
        // One imaginary acceptance and half a refusal to begin with.
        let accepts = (c.accepted + 1.0) / (c.accepted + c.refused + 2.0 * c.timed_out + 1.5);
        let works = (c.tests_passed + 1.0) / (c.tests_passed + c.tests_failed + 1.0);
        accepts * works
    }

    /// How much we know of it: events, faded.
    pub fn experience(&self, now: Mono) -> f32 {
        let c = self.decayed(now);
        c.accepted + c.refused + c.timed_out + c.tests_passed + c.tests_failed
    }

    /// Stores it in 24 bytes: counts, refusals in a row, whether it was reached and is one of those next to us, and seconds
    /// for which it is still left alone.
    pub fn write(&self, guard: bool, now: Mono, out: &mut impl Writer) {
        let c = self.decayed(now);
        for count in [c.accepted, c.refused, c.timed_out, c.tests_passed, c.tests_failed] {
            out.put(&count.to_be_bytes());
        }
        let left = self.excluded_until.max(self.unreachable_until).saturating_sub(now).as_secs();
        out.put_u8(self.refusals_in_a_row);
        let proven = if self.is_proven(now) { PROVEN } else { 0 };
        out.put_u8(proven | if guard { GUARD } else { 0 });
        out.put_u16(u16::try_from(left).unwrap_or(u16::MAX));
    }

    /// Reads a stored one, and whether it is one of those next to us.
    ///
    /// # Errors
    /// If the bytes end early.
    pub fn read(r: &mut Reader<'_>, now: Mono) -> Result<(Self, bool)> {
        let mut count = || -> Result<f32> {
            let value = f32::from_be_bytes(r.array()?);
            Ok(if value.is_finite() { value.clamp(0.0, 1e6) } else { 0.0 })
        };
        let counts = Counts {
            accepted: count()?,
            refused: count()?,
            timed_out: count()?,
            tests_passed: count()?,
            tests_failed: count()?,
        };
        let (refusals_in_a_row, flags) = (r.u8()?, r.u8()?);
        let excluded_until = now + Duration::from_secs(r.u16()?.into());
        let proven_until = if flags & PROVEN == 0 { Mono::ZERO } else { now + PROVEN_FOR };
        let (unreachable_until, round_trip) = (Mono::ZERO, None);
        let profile =
            Self { counts, as_of: now, refusals_in_a_row, excluded_until, unreachable_until, proven_until, round_trip };
        Ok((profile, flags & GUARD != 0))
    }

    fn decay(&mut self, now: Mono) {
        self.counts = self.decayed(now);
        self.as_of = now;
    }

    fn decayed(&self, now: Mono) -> Counts {
        let periods = now.saturating_sub(self.as_of).as_secs_f32() / HALF_LIFE.as_secs_f32();
        let f = 0.5_f32.powf(periods);
        let c = self.counts;
        Counts {
            accepted: c.accepted * f,
            refused: c.refused * f,
            timed_out: c.timed_out * f,
            tests_passed: c.tests_passed * f,
            tests_failed: c.tests_failed * f,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Mono = Duration::from_secs(100);

    #[test]
    fn success_rises_with_acceptances_and_falls_with_everything_else_and_fades() {
        let unknown = Profile::new(START);
        let after = |events: &[Event]| {
            let mut p = Profile::new(START);
            events.iter().for_each(|e| p.note(*e, START));
            p
        };
        let good = after(&[Event::Accepted; 5]);
        let bad = after(&[Event::Refused; 2]);
        let worse = after(&[Event::Unreachable; 2]);
        let s = |p: &Profile| p.success(START);
        assert!(s(&good) > s(&unknown) && s(&unknown) > s(&bad) && s(&bad) > s(&worse));
        let mut untrue = good.clone();
        for _ in 0..4 {
            untrue.note_shared(Shared::TestFailed, 0.5, START);
        }
        assert!(s(&untrue) < 0.5 * s(&good));
        let later = START + 20 * HALF_LIFE;
        assert!((good.success(later) - unknown.success(later)).abs() < 0.001);
        assert!(good.experience(START) > 4.9 && good.experience(later) < 0.01);
    }

    #[test]
    fn who_could_not_be_reached_and_then_has_a_session_with_us_is_no_longer_left_alone() {
        let mut p = Profile::new(START);
        p.note(Event::Unreachable, START);
        assert!(p.is_excluded(START));
        p.note(Event::Reached, START);
        assert!(!p.is_excluded(START));
        p.note(Event::Refused, START);
        p.note(Event::Reached, START);
        assert!(p.is_excluded(START), "a refusal stands");
    }

    #[test]
    fn who_refuses_is_left_alone_and_who_always_does_for_an_hour() {
        let mut p = Profile::new(START);
        p.note(Event::Refused, START);
        assert!(p.is_excluded(START + Duration::from_secs(329)) && !p.is_excluded(START + AFTER_REFUSAL));
        for _ in 1..REFUSALS_IN_A_ROW {
            p.note(Event::Refused, START);
        }
        assert!(p.is_excluded(START + Duration::from_secs(3599)));
        p.note(Event::Accepted, START);
        assert_eq!(p.refusals_in_a_row, 0);
    }

    #[test]
    fn a_profile_is_stored_in_24_bytes_and_damage_does_no_harm() {
        let mut p = Profile::new(START);
        p.note(Event::Accepted, START);
        p.note(Event::Refused, START);
        let mut bytes = Vec::new();
        p.write(true, START, &mut bytes);
        assert_eq!(bytes.len(), 24);
        assert_eq!(Profile::read(&mut Reader::new(&bytes), START), Ok((p, true)));
        let (odd, _) = Profile::read(&mut Reader::new(&[0xff; 24]), START).unwrap();
        assert!(odd.success(START).is_finite());
        assert!(Profile::read(&mut Reader::new(&[0; 23]), START).is_err());
    }
}
