//! The question to a time server, and its answer.
//!
//! spec: RFC 4330 §4, §5; RFC 5905 §7.3
//!
//! ```text
//! LI 2 bits, version 3, mode 3 | stratum 1 | poll 1 | precision 1 | root delay 4 | root dispersion 4 | reference id 4
//! reference timestamp 8 | origin 8 | receive 8 | transmit 8
//! ```
//! A timestamp has seconds since 1900 and a fraction, 32 bits each. Ours says nothing: it is a random number, which the
//! server gives back as the origin, so that nobody answers who has not seen the question.

use crate::time::{Mono, Wall};
use crate::wire::{Reader, Writer};
use std::time::Duration;

/// The port of time servers.
pub const PORT: u16 = 123;

/// Bytes of a question, and of an answer without extensions.
pub const LEN: usize = 48;

/// Version 4, from a client.
const CLIENT: u8 = 4 << 3 | 3;

/// Answers that were longer under way say too little.
const MAX_ROUND_TRIP: Duration = Duration::from_secs(2);

/// From 1900 to 1970, in seconds.
const TO_1970: u64 = 2_208_988_800;

/// Why an answer is of no use: a label for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is too short.
    #[error("it is too short")]
    Short,
    /// It is no answer of a server.
    #[error("it is not from a server")]
    NotAServer,
    /// It is not to our question.
    #[error("it answers another question")]
    Unasked,
    /// The server says that it has no right time, or is not to be asked.
    #[error("the server has no time to tell")]
    Unsynchronised,
    /// Its times contradict each other or ours.
    #[error("its times contradict each other")]
    Absurd,
}

/// The question with this random number.
pub fn question(cookie: u64) -> Vec<u8> {
    let mut out = vec![CLIENT];
    out.put(&[0; LEN - 9]);
    out.put_u64(cookie);
    out
}

/// How many milliseconds the server's clock is ahead of ours. The question with this number went out at `sent` by our wall
/// clock, and the answer came `took` later.
///
/// # Errors
/// If the answer says nothing.
pub fn offset_ms(answer: &[u8], cookie: u64, sent: Wall, took: Mono) -> Result<i64, Error> {
    let mut r = Reader::new(answer);
    let mut read = || -> crate::wire::Result<(u8, u8, u64, u64, u64)> {
        let (flags, stratum) = (r.u8()?, r.u8()?);
        r.take(22)?;
        Ok((flags, stratum, r.u64()?, r.u64()?, r.u64()?))
    };
    let (flags, stratum, origin, received, transmitted) = read().map_err(|_| Error::Short)?;
    if flags & 7 != 4 || !(3..=4).contains(&(flags >> 3 & 7)) {
        return Err(Error::NotAServer);
    }
    if origin != cookie {
        return Err(Error::Unasked);
    }
    // A leap indicator of 3 is an alarm; stratum 0 asks us to go away.
    if flags >> 6 == 3 || !(1..16).contains(&stratum) || received == 0 || transmitted == 0 {
        return Err(Error::Unsynchronised);
    }
    let (received, transmitted) = (since_1970_ms(received), since_1970_ms(transmitted));
    let thought = transmitted.checked_sub(received).ok_or(Error::Absurd)?;
    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    if thought > took_ms.saturating_add(1) || took > MAX_ROUND_TRIP {
        return Err(Error::Absurd);
    }
    // Half of what it was under way.
    let middle = sent.plus(took).0.midpoint(sent.0);
    let signed = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
    Ok(signed(received.midpoint(transmitted)) - signed(middle))
}

/// spec: RFC 4330 §3 — without the top bit a timestamp is of the era that begins in 2036.
fn since_1970_ms(timestamp: u64) -> u64 {
    let era = if timestamp >> 63 == 0 { 1 << 32 } else { 0 };
    let seconds = ((timestamp >> 32) + era).saturating_sub(TO_1970);
    seconds * 1000 + (((timestamp & 0xffff_ffff) * 1000) >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const COOKIE: u64 = 0x0123_4567_89ab_cdef;
    const SENT: Wall = Wall(1_790_000_000_000);

    fn timestamp(ms: u64) -> u64 {
        let seconds = (ms / 1000 + TO_1970) & 0xffff_ffff;
        (seconds << 32) | (((ms % 1000) << 32) / 1000)
    }

    /// An answer of a server that is `ahead` milliseconds ahead, and got the question after `there` of them.
    fn answer(ahead: u64, there: u64) -> Vec<u8> {
        let mut out = vec![4 << 3 | 4, 2];
        out.put(&[0; 22]);
        out.put_u64(COOKIE);
        out.put_u64(timestamp(SENT.0 + there + ahead));
        out.put_u64(timestamp(SENT.0 + there + ahead + 1));
        out
    }

    #[test]
    fn a_question_says_nothing_of_us_and_its_answer_how_far_we_are_off() {
        let asked = question(COOKIE);
        assert_eq!((asked.len(), asked[0], &asked[1..40]), (LEN, 0x23, &[0; 39][..]));
        let took = Duration::from_millis(101);
        let offset = offset_ms(&answer(3_600_000, 50), COOKIE, SENT, took).unwrap();
        assert!((3_599_998..=3_600_002).contains(&offset), "{offset}");
    }

    #[test]
    fn the_era_after_2036_is_told_from_the_one_before() {
        for year_2040 in [2_208_988_800_000, 4_000_000_000_000] {
            assert!(since_1970_ms(timestamp(year_2040)).abs_diff(year_2040) <= 1);
        }
    }

    #[test]
    fn answers_that_say_nothing_are_refused() {
        let took = Duration::from_millis(101);
        let of = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = answer(0, 50);
            change(&mut bytes);
            offset_ms(&bytes, COOKIE, SENT, took)
        };
        assert!(of(&|_| {}).is_ok());
        assert_eq!(of(&|b| b.truncate(LEN - 1)), Err(Error::Short));
        assert_eq!(of(&|b| b[0] = 4 << 3 | 3), Err(Error::NotAServer));
        assert_eq!(of(&|b| b[24] ^= 1), Err(Error::Unasked));
        assert_eq!(of(&|b| b[0] |= 0xc0), Err(Error::Unsynchronised));
        assert_eq!(of(&|b| b[1] = 0), Err(Error::Unsynchronised), "the kiss of death");
        assert_eq!(of(&|b| b[40..].fill(0)), Err(Error::Unsynchronised));
        assert_eq!(of(&|b| b[32] ^= 1), Err(Error::Absurd));
        assert_eq!(offset_ms(&answer(0, 50), COOKIE, SENT, Duration::from_secs(3)), Err(Error::Absurd));
    }

    proptest! {
        #[test]
        fn no_answer_does_harm(bytes in proptest::collection::vec(any::<u8>(), 0..80), took in 0..5000_u64) {
            let _ = offset_ms(&bytes, COOKIE, SENT, Duration::from_millis(took));
        }
    }
}
