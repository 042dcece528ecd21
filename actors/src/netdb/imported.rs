//! What became of RouterInfos that came from outside of the network: files, folders, bundles.

use ramson_protocol::netdb::rules::Refusal;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// How many were taken, and why the others were not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Taken into the database.
    pub taken: usize,
    /// Known already, as new or newer, or our own.
    pub known: usize,
    /// Refused, by the name of the cause.
    pub refused: BTreeMap<Cow<'static, str>, usize>,
}

impl Imported {
    /// One more that was refused.
    pub(super) fn refuse(&mut self, cause: &'static str) {
        if [Refusal::NotNewer.name(), Refusal::Own.name()].contains(&cause) {
            self.known += 1;
        } else {
            *self.refused.entry(cause.into()).or_default() += 1;
        }
    }

    /// And what became of others.
    pub fn add(&mut self, others: Self) {
        self.taken += others.taken;
        self.known += others.known;
        for (cause, count) in others.refused {
            *self.refused.entry(cause).or_default() += count;
        }
    }

    /// All that were offered.
    pub fn total(&self) -> usize {
        self.taken + self.known + self.refused.values().sum::<usize>()
    }

    /// Whether the operator should hear of it: something was offered, and more of it was refused than not; or nothing was
    /// offered.
    pub fn is_poor(&self) -> bool {
        let refused: usize = self.refused.values().sum();
        refused > self.taken + self.known || self.total() == 0
    }

    /// What to do about the commonest cause of refusals, in a network with this number.
    pub fn advice(&self, net_id: u8) -> String {
        let most = self.refused.iter().max_by_key(|(_, n)| **n).map(|(cause, _)| &**cause);
        let is = |refusal: Refusal| most == Some(refusal.name());
        if self.total() == 0 {
            "there is no RouterInfo in it: name files called routerInfo-*.dat, or a folder with them".to_owned()
        } else if is(Refusal::WrongNetwork) {
            format!("they are of another network, and network.id is {net_id}")
        } else if is(Refusal::FromTheFuture) {
            "they were published after this machine's time: its clock is behind".to_owned()
        } else if is(Refusal::TooOld) {
            "they are older than 30 days: get newer ones, or this machine's clock is ahead".to_owned()
        } else if most == Some("malformed") {
            "they are no RouterInfos".to_owned()
        } else {
            String::new()
        }
    }
}

impl fmt::Display for Imported {
    /// Such as `3 taken of 20: 1 known already, 12 too_old, 4 wrong_network`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} taken of {}", self.taken, self.total())?;
        let known = (self.known > 0).then(|| format!("{} known already", self.known));
        let refused = self.refused.iter().map(|(cause, n)| format!("{n} {cause}"));
        let rest: Vec<_> = known.into_iter().chain(refused).collect();
        if rest.is_empty() { Ok(()) } else { write!(f, ": {}", rest.join(", ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_by_cause_and_the_commonest_says_what_to_do() {
        let mut imported = Imported { taken: 3, ..Imported::default() };
        assert!(!imported.is_poor());
        (0..12).for_each(|_| imported.refuse("wrong_network"));
        (0..4).for_each(|_| imported.refuse("too_old"));
        imported.refuse("not_newer");
        assert_eq!(imported.to_string(), "3 taken of 20: 1 known already, 4 too_old, 12 wrong_network");
        assert!(imported.is_poor());
        assert!(imported.advice(99).contains("network.id is 99"));
        assert!(Imported::default().is_poor() && Imported::default().advice(2).contains("no RouterInfo"));
    }
}
