//! Filters of a server: how often each destination may call, and whose calls are written down.
//!
//! ```text
//! 15/5 default                 whom nothing else names: the fifteenth call within five seconds is refused
//! allow explicit NAME.b32.i2p  this one: always; `deny` is never
//! 30/60 file PATH              those whom the file names, one a line
//! 60/5 record PATH             writes into the file who calls as often, and refuses nothing
//! ```
//! For each destination the first line that names it counts. The files are the owner's to read and write: this asks whether a list has
//! somebody, and says what is to be written.
//!
//! spec: filter-format. INTEROP: Java I2P reads the same files.

use crate::id::DestinationHash;
use crate::time::Mono;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Lines of a definition, and calls that a threshold can count.
const MAX_LINES: usize = 1024;
const MAX_CALLS: usize = 10_000;
const MAX_SECONDS: u64 = 86_400;

/// Callers whose calls are counted; with more of them the one that called longest ago is forgotten.
const CALLERS: usize = 4096;

/// Times of calls that are kept in all.
const TIMES: usize = 1 << 18;

/// How often one may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threshold {
    /// As often as he likes.
    Allow,
    /// Never.
    Deny,
    /// Fewer calls than so many within a time.
    Fewer(usize, Duration),
}

impl Threshold {
    fn parse(word: &str) -> Option<Self> {
        match word.to_ascii_lowercase().as_str() {
            "allow" => return Some(Self::Allow),
            "deny" => return Some(Self::Deny),
            _ => {}
        }
        let (calls, seconds) = word.split_once('/')?;
        let calls = calls.parse().ok().filter(|calls| (1..=MAX_CALLS).contains(calls))?;
        let seconds = seconds.parse().ok().filter(|seconds| (1..=MAX_SECONDS).contains(seconds))?;
        Some(Self::Fewer(calls, Duration::from_secs(seconds)))
    }

    /// Whether these calls, the last of which is now, are too many.
    fn is_breached(self, calls: &VecDeque<Mono>, now: Mono) -> bool {
        match self {
            Self::Allow => false,
            Self::Deny => true,
            Self::Fewer(most, within) => {
                // The times are in order, so the one that would be too many is enough.
                calls.len().checked_sub(most).and_then(|at| calls.get(at)).is_some_and(|first| *first + within > now)
            }
        }
    }
}

/// Whom a line names.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Those {
    This(DestinationHash),
    /// Whom the list of this number has.
    List(usize),
}

/// Why a definition is none, with the number of its line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct FilterError {
    line: usize,
    why: &'static str,
}

/// A filter; see the module.
#[derive(Debug, Default)]
pub struct Filter {
    rules: Vec<(Threshold, Those)>,
    default: Option<Threshold>,
    recorders: Vec<(Threshold, String)>,
    /// Paths of lists, by their numbers.
    lists: Vec<String>,
    calls: BTreeMap<DestinationHash, VecDeque<Mono>>,
    times: usize,
}

/// What becomes of a call.
#[derive(Debug, PartialEq, Eq)]
pub struct Verdict<'a> {
    /// Whether it is taken.
    pub allowed: bool,
    /// The files into which the caller is to be written, if he is not there.
    pub record: Vec<&'a str>,
}

impl Filter {
    /// Reads a definition. `destination` reads a name of base 32, or a destination or hash in base 64.
    ///
    /// # Errors
    /// Which line cannot be read, and why.
    pub fn parse(text: &str, destination: impl Fn(&str) -> Option<DestinationHash>) -> Result<Self, FilterError> {
        let mut filter = Self::default();
        for (at, line) in text.lines().enumerate() {
            let failed = |why| FilterError { line: at + 1, why };
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if at >= MAX_LINES {
                return Err(failed("there are more lines than 1024"));
            }
            let mut words = line.splitn(3, char::is_whitespace).map(str::trim);
            let threshold = words.next().and_then(Threshold::parse);
            let threshold = threshold.ok_or(failed("begin with allow, deny, or calls/seconds such as 15/5"))?;
            let (kind, rest) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            match (kind.to_ascii_lowercase().as_str(), rest) {
                ("default", "") if filter.default.is_none() => filter.default = Some(threshold),
                ("default", _) => return Err(failed("there can be one default, with nothing behind it")),
                ("explicit", name) => {
                    let hash = destination(name).ok_or(failed("write a .b32.i2p name behind explicit"))?;
                    filter.rules.push((threshold, Those::This(hash)));
                }
                ("file" | "record", "") => return Err(failed("write the path of a file")),
                ("file", path) => {
                    filter.rules.push((threshold, Those::List(filter.lists.len())));
                    filter.lists.push(path.to_owned());
                }
                ("record", path) => {
                    if !matches!(threshold, Threshold::Fewer(..)) {
                        return Err(failed("record needs calls/seconds, such as 30/5"));
                    }
                    filter.recorders.push((threshold, path.to_owned()));
                }
                _ => return Err(failed("write default, explicit, file or record behind the threshold")),
            }
        }
        Ok(filter)
    }

    /// The paths of the lists that it asks for, by their numbers.
    pub fn lists(&self) -> &[String] {
        &self.lists
    }

    /// Counts a call and judges it. `has` says whether the list of a number has the caller.
    pub fn call(&mut self, now: Mono, who: DestinationHash, has: impl Fn(usize) -> bool) -> Verdict<'_> {
        let thresholds = self.rules.iter().map(|(threshold, _)| threshold).chain(&self.default);
        let of = |threshold: &Threshold| if let Threshold::Fewer(most, _) = threshold { *most } else { 0 };
        let keep = thresholds.chain(self.recorders.iter().map(|(threshold, _)| threshold)).map(of).max().unwrap_or(0);
        self.count(now, who, keep);
        let none = VecDeque::new();
        let calls = self.calls.get(&who).unwrap_or(&none);
        let names = |those: &Those| match those {
            Those::This(hash) => *hash == who,
            Those::List(number) => has(*number),
        };
        let rule = self.rules.iter().find(|(_, those)| names(those)).map(|(threshold, _)| *threshold);
        let threshold = rule.or(self.default).unwrap_or(Threshold::Allow);
        let record = self.recorders.iter().filter(|(threshold, _)| threshold.is_breached(calls, now));
        Verdict { allowed: !threshold.is_breached(calls, now), record: record.map(|(_, path)| path.as_str()).collect() }
    }

    /// Keeps the times of the last calls of each caller, as many as a threshold asks for.
    fn count(&mut self, now: Mono, who: DestinationHash, keep: usize) {
        if keep == 0 {
            return;
        }
        while self.times >= TIMES || self.calls.len() >= CALLERS && !self.calls.contains_key(&who) {
            let longest = self.calls.iter().min_by_key(|(_, calls)| calls.back().copied()).map(|(who, _)| *who);
            let Some(gone) = longest.and_then(|longest| self.calls.remove(&longest)) else { break };
            self.times -= gone.len();
        }
        let calls = self.calls.entry(who).or_default();
        calls.push_back(now);
        self.times += 1;
        if calls.len() > keep {
            calls.pop_front();
            self.times -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn filter(text: &str) -> Filter {
        Filter::parse(text, |name| name.parse().ok().map(|n| DestinationHash([n; 32]))).unwrap()
    }

    /// The verdicts on calls of a caller at these seconds, who is on the lists of these numbers.
    fn verdicts(filter: &mut Filter, who: u8, at: &[u64], on: &[usize]) -> Vec<bool> {
        let call = |at: &u64| {
            let now = Mono::default() + Duration::from_secs(*at);
            filter.call(now, DestinationHash([who; 32]), |list| on.contains(&list)).allowed
        };
        at.iter().map(call).collect()
    }

    #[test]
    fn one_call_fewer_than_the_threshold_is_allowed_within_its_time() {
        let mut three = filter("3/5 default");
        assert_eq!(verdicts(&mut three, 1, &[10, 11, 12, 13, 30, 31], &[]), [true, true, false, false, true, true]);
        assert_eq!(verdicts(&mut three, 2, &[31], &[]), [true], "each is counted alone");
        assert_eq!(verdicts(&mut filter("1/1 default"), 1, &[10, 20], &[]), [false, false]);
        assert_eq!(verdicts(&mut filter(""), 1, &[1, 1, 1], &[]), [true; 3]);
    }

    #[test]
    fn the_first_line_that_names_a_destination_counts() {
        let text = "# comment\n\ndeny default\nallow file /friends with space\ndeny explicit 1\nallow explicit 1\nallow explicit 2";
        let mut filter = filter(text);
        assert_eq!(filter.lists(), ["/friends with space"]);
        assert_eq!(verdicts(&mut filter, 1, &[1], &[0]), [true]);
        assert_eq!(verdicts(&mut filter, 1, &[1], &[]), [false]);
        assert_eq!(verdicts(&mut filter, 2, &[1], &[]), [true]);
        assert_eq!(verdicts(&mut filter, 3, &[1], &[]), [false]);
    }

    #[test]
    fn who_calls_too_often_is_written_down_and_not_refused_for_it() {
        let mut filter = filter("allow default\n2/5 record /often\n3/5 record /more");
        let mut call = |at| {
            let verdict = filter.call(Mono::default() + Duration::from_secs(at), DestinationHash([1; 32]), |_| false);
            (verdict.allowed, verdict.record.len())
        };
        assert_eq!([10, 11, 12, 40].map(&mut call), [(true, 0), (true, 1), (true, 2), (true, 0)]);
    }

    #[test]
    fn what_cannot_be_read_is_named_with_its_line() {
        for wrong in [
            "x default",
            "0/5 default",
            "5/0 default",
            "allow",
            "allow explicit no",
            "deny file",
            "allow record /x",
            "1/2/3 default",
            "allow default\nallow default",
            "99999/5 default",
        ] {
            let parsed = Filter::parse(wrong, |_| None);
            assert!(parsed.as_ref().is_err_and(|error| error.line == wrong.lines().count()), "{wrong}: {parsed:?}");
        }
    }

    #[test]
    fn strangers_without_number_are_not_remembered() {
        let mut filter = filter("3/60 default");
        for n in 0..(CALLERS as u32 + 10) {
            let mut hash = [0; 32];
            hash[..4].copy_from_slice(&n.to_be_bytes());
            filter.call(Mono::default() + Duration::from_millis(n.into()), DestinationHash(hash), |_| false);
        }
        assert_eq!((filter.calls.len(), filter.times), (CALLERS, CALLERS));
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_read_or_refused(text in "((allow|deny|[0-9]{1,3}/[0-9]{1,3}|\\PC{0,4}) (default|explicit|file|record|\\PC{0,4}) ?\\PC{0,9}\n?){0,4}") {
            if let Ok(mut filter) = Filter::parse(&text, |_| Some(DestinationHash([1; 32]))) {
                filter.call(Mono::default(), DestinationHash([1; 32]), |_| true);
            }
        }
    }
}
