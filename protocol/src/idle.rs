//! What a destination gives up while nobody uses it: tunnels, some of them or all.
//!
//! ```text
//! Full -- unused for a while --> Few -- unused for longer --> None
//!   ^                             |                            |
//!   '--------- used again --------+----------------------------'
//! ```
//! Tunnels that stand live to their end; what changes is how many are built anew. So who comes back soon finds them as they were.
//!
//! spec: i2cp §Options (`i2cp.reduceOnIdle`, `i2cp.closeOnIdle`)

use crate::pool::Wanted;
use crate::time::Mono;
use std::time::Duration;

/// INTEROP: Java's defaults, and the least that it takes.
const REDUCE: Duration = Duration::from_secs(20 * 60);
const CLOSE: Duration = Duration::from_secs(30 * 60);
const LEAST: Duration = Duration::from_secs(5 * 60);

/// When what is given up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Only so many tunnels in each direction after this.
    pub reduce: Option<(Duration, usize)>,
    /// None after this.
    pub close: Option<Duration>,
}

impl Config {
    /// What a program asks for: `is` tells whether an option is true, `number` its number. INTEROP: Java keeps one tunnel
    /// in each direction if nothing else is said; times are in milliseconds.
    pub fn asked(is: impl Fn(&str) -> bool, number: impl Fn(&str) -> Option<i64>) -> Self {
        let time = |name: &str, default: Duration| {
            let asked = number(name).and_then(|ms| u64::try_from(ms).ok()).map(Duration::from_millis);
            asked.unwrap_or(default).max(LEAST)
        };
        let few = number("i2cp.reduceQuantity").and_then(|few| usize::try_from(few).ok()).unwrap_or(1).max(1);
        Self {
            reduce: is("i2cp.reduceOnIdle").then(|| (time("i2cp.reduceIdleTime", REDUCE), few)),
            close: is("i2cp.closeOnIdle").then(|| time("i2cp.closeIdleTime", CLOSE)),
        }
    }
}

/// What a destination has now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// All its tunnels.
    Full,
    /// So many in each direction.
    Few(usize),
    /// None.
    Nothing,
}

impl Held {
    /// Of tunnels that are wanted, those that are.
    pub fn of(self, wanted: Wanted) -> Wanted {
        match self {
            Self::Full => wanted,
            Self::Few(few) => Wanted { count: wanted.count.min(few), backups: 0, ..wanted },
            Self::Nothing => Wanted { count: 0, backups: 0, ..wanted },
        }
    }
}

/// Watches whether a destination is used.
#[derive(Debug)]
pub struct Idle {
    config: Config,
    /// What was counted of its use, and since when it has been so.
    used: u64,
    since: Mono,
    held: Held,
}

impl Idle {
    /// Of one that begins now.
    pub fn new(config: Config, now: Mono) -> Self {
        Self { config, used: 0, since: now, held: Held::Full }
    }

    /// `used` counts whatever is done with the destination. Tells what it has from now on, if that changes.
    pub fn look(&mut self, now: Mono, used: u64) -> Option<Held> {
        if used != self.used {
            (self.used, self.since) = (used, now);
        }
        let unused = now.saturating_sub(self.since);
        let few = self.config.reduce.filter(|(after, _)| unused >= *after).map(|(_, few)| Held::Few(few));
        let nothing = self.config.close.filter(|after| unused >= *after).map(|_| Held::Nothing);
        let held = nothing.or(few).unwrap_or(Held::Full);
        (std::mem::replace(&mut self.held, held) != held).then_some(held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn tunnels_are_given_up_in_two_steps_and_all_come_back_with_the_first_use() {
        let mut idle = Idle::new(Config { reduce: Some((MINUTE * 20, 1)), close: Some(MINUTE * 30) }, Mono::ZERO);
        assert_eq!(idle.look(MINUTE * 19, 0), None);
        assert_eq!(idle.look(MINUTE * 20, 0), Some(Held::Few(1)));
        assert_eq!(idle.look(MINUTE * 29, 0), None);
        assert_eq!(idle.look(MINUTE * 30, 0), Some(Held::Nothing));
        assert_eq!(idle.look(MINUTE * 40, 7), Some(Held::Full));
        assert_eq!(idle.look(MINUTE * 59, 7), None);
        assert_eq!(idle.look(MINUTE * 60, 7), Some(Held::Few(1)));
        let wanted = Wanted { backups: 2, ..Wanted::new(3, 2) };
        assert_eq!(Held::Few(1).of(wanted), Wanted::new(1, 2));
        assert_eq!(Held::Few(9).of(wanted), Wanted::new(3, 2));
        assert_eq!((Held::Full.of(wanted), Held::Nothing.of(wanted).count), (wanted, 0));
    }

    #[test]
    fn options_of_programs_are_read_as_java_does() {
        let asked = |on: &[&str], numbers: &[(&str, i64)]| {
            let number = |name: &str| numbers.iter().find(|(key, _)| *key == name).map(|(_, n)| *n);
            Config::asked(|name| on.contains(&name), number)
        };
        assert_eq!(asked(&[], &[("i2cp.reduceIdleTime", 900_000)]), Config::default());
        let both = ["i2cp.reduceOnIdle", "i2cp.closeOnIdle"];
        assert_eq!(asked(&both, &[]), Config { reduce: Some((REDUCE, 1)), close: Some(CLOSE) });
        let numbers = [("i2cp.reduceIdleTime", 900_000), ("i2cp.reduceQuantity", 2), ("i2cp.closeIdleTime", -1)];
        assert_eq!(asked(&both, &numbers), Config { reduce: Some((MINUTE * 15, 2)), close: Some(CLOSE) });
        assert_eq!(asked(&both[..1], &[("i2cp.reduceIdleTime", 1)]).reduce, Some((LEAST, 1)));
    }
}
