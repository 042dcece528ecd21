//! What strangers may make the network database do, in all and each of them.
//!
//! ```text
//! before a mailbox    lookups, stores                       in number
//! before a worker     signatures, those of rare kinds apart in number; a forged one counts as many
//! before an answer    bytes of answers and of copies for other floodfills, and what of an answer is beyond a few
//!                     times the question; confirmations
//! ```
//! The numbers are far above what a floodfill of the live network sees (some dozens of lookups and stores a second, from
//! thousands of routers).

use parking_lot::Mutex;
use ramson_protocol::bearer::Bearer;
use ramson_protocol::netdb::rules::Cost;
use ramson_protocol::quota::{Config, Quota};
use ramson_protocol::time::Mono;
use rand::Rng;
use std::time::Duration;

/// The time over which all is reckoned: a burst of so many seconds' worth may come at once.
const WINDOW: Duration = Duration::from_secs(10);

/// Answers and copies may take this part of the line.
const LINE_PARTS: f32 = 8.0;

/// An answer of so many times the question is given for nothing.
const FREE_TIMES: f32 = 4.0;

/// What a message costs on the wire beside its body: headers, padding, garlic.
const OVERHEAD: usize = 100;

/// A forged signature counts as so many good ones: whoever forges is soon looked at no more.
const FORGED: f32 = 20.0;

/// One kind of thing.
struct Share(Mutex<Quota>);

impl Share {
    fn new(config: Config) -> Self {
        let mut rng = rand::rng();
        Self(Mutex::new(Quota::new(config, std::array::from_fn(|_| rng.next_u64()))))
    }

    fn per_second(total: f32, each: [f32; 3]) -> Self {
        Self::new(Config::per_second(WINDOW, total, each))
    }

    fn take(&self, from: &Bearer, amount: f32, now: Mono) -> bool {
        self.0.lock().take(from, amount, now)
    }
}

/// All of them.
pub(super) struct Shares {
    lookups: Share,
    stores: Share,
    signatures: Share,
    rare_signatures: Share,
    answers: Share,
    excess: Share,
    confirmations: Share,
}

impl Shares {
    /// For a line of so many bytes a second.
    pub(super) fn new(line: u64) -> Self {
        let shares = Self {
            lookups: Share::per_second(4000.0, [100.0, 200.0, 400.0]),
            stores: Share::per_second(4000.0, [500.0, 1000.0, 2000.0]),
            signatures: Share::per_second(4000.0, [500.0, 1000.0, 2000.0]),
            rare_signatures: Share::per_second(60.0, [6.0, 12.0, 24.0]),
            answers: Share::new(answers(line)),
            excess: Share::new(excess(line)),
            confirmations: Share::per_second(400.0, [10.0, 20.0, 40.0]),
        };
        shares.set_line(line);
        shares
    }

    /// The line has changed.
    pub(super) fn set_line(&self, line: u64) {
        self.answers.0.lock().set_config(answers(line));
        self.excess.0.lock().set_config(excess(line));
    }

    /// A lookup, before anything is done for it.
    pub(super) fn lookup(&self, from: &Bearer, now: Mono) -> bool {
        self.lookups.take(from, 1.0, now)
    }

    /// A store, before anything is done for it.
    pub(super) fn store(&self, from: &Bearer, now: Mono) -> bool {
        self.stores.take(from, 1.0, now)
    }

    /// A signature, before it is verified.
    pub(super) fn signature(&self, from: &Bearer, cost: Cost, now: Mono) -> bool {
        match cost {
            Cost::Usual => self.signatures.take(from, 1.0, now),
            Cost::Rare => self.rare_signatures.take(from, 1.0, now),
        }
    }

    /// It was forged.
    pub(super) fn forged(&self, from: &Bearer, cost: Cost, now: Mono) {
        let share = if cost == Cost::Rare { &self.rare_signatures } else { &self.signatures };
        share.0.lock().charge(from, FORGED, now);
    }

    /// An answer of so many bytes to a question of so many.
    pub(super) fn answer(&self, from: &Bearer, answer: usize, question: usize, now: Mono) -> bool {
        let (answer, question) = ((answer + OVERHEAD) as f32, (question + OVERHEAD) as f32);
        let beyond = (answer - FREE_TIMES * question).max(0.0);
        self.excess.take(from, beyond, now) && self.answers.take(from, answer, now)
    }

    /// So many copies of so many bytes for other floodfills.
    pub(super) fn copies(&self, from: &Bearer, copies: usize, bytes: usize, now: Mono) -> bool {
        self.answers.take(from, (copies * (bytes + OVERHEAD)) as f32, now)
    }

    /// A DeliveryStatus.
    pub(super) fn confirmation(&self, from: &Bearer, now: Mono) -> bool {
        self.confirmations.take(from, 1.0, now)
    }
}

fn answers(line: u64) -> Config {
    let total = line as f32 / LINE_PARTS;
    Config::per_second(WINDOW, total, [64e3, 128e3, 256e3].map(|each: f32| each.min(total / 2.0)))
}

fn excess(line: u64) -> Config {
    let total = line as f32 / LINE_PARTS / 2.0;
    Config::per_second(WINDOW, total, [16e3, 32e3, 64e3].map(|each: f32| each.min(total / 2.0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ramson_protocol::id::RouterHash;

    fn session(n: u8) -> Bearer {
        Bearer::session(RouterHash([n; 32]), Some([100, n, 1, 1].into()), false)
    }

    fn at(millis: u64) -> Mono {
        Duration::from_millis(millis)
    }

    /// The attack: a thousand questions of eighty bytes a second for a LeaseSet of eight thousand.
    #[test]
    fn answers_are_a_few_times_what_was_sent_and_a_part_of_the_line_and_leave_room_for_others() {
        let (line, seconds) = (25_000_000, 60);
        let shares = Shares::new(line);
        let (question, mut sent, mut served) = (80, 0, 0);
        for milli in 0..seconds * 1000 {
            let now = at(milli);
            let large = if milli % 2 == 0 { 3000 } else { 8000 };
            if shares.lookup(&session(1), now) && shares.answer(&session(1), large, question, now) {
                sent += large;
            }
            if milli % 1000 == 0 {
                served += u64::from(shares.lookup(&session(2), now) && shares.answer(&session(2), 1200, question, now));
            }
        }
        let asked = (question + OVERHEAD) * seconds as usize * 1000;
        assert!(sent < asked / 2, "{sent} bytes sent for {asked}");
        assert_eq!(served, seconds, "who asks once a second is always answered");
    }

    #[test]
    fn a_thousand_askers_in_as_many_networks_get_no_more_than_the_part_of_the_line() {
        let (line, seconds) = (5_000_000, 30);
        let shares = Shares::new(line);
        let mut sent = 0;
        for milli in 0..seconds * 1000 {
            for n in 0..4_u16 {
                let [a, b] = (n + (milli as u16 % 250) * 4).to_be_bytes();
                let mut hash = [a; 32];
                hash[1] = b;
                let from = Bearer::session(RouterHash(hash), Some([50 + a, b, 1, 1].into()), false);
                sent += if shares.answer(&from, 1000, 80, at(milli)) { 1000 } else { 0 };
            }
        }
        // A burst of a window may come before.
        assert!(sent <= line / 8 * (seconds + 10), "{sent}");
    }

    #[test]
    fn whoever_forges_is_soon_looked_at_no_more_and_others_are() {
        let shares = Shares::new(25_000_000);
        for (cost, most) in [(Cost::Usual, 500), (Cost::Rare, 10)] {
            let mut verified = 0;
            for milli in 0..1000 {
                if shares.signature(&session(1), cost, at(milli)) {
                    verified += 1;
                    shares.forged(&session(1), cost, at(milli));
                }
            }
            assert!(verified <= most, "{verified}");
            assert!(shares.signature(&session(2), cost, at(1000)));
        }
    }

    #[test]
    fn confirmations_and_copies_have_their_bounds() {
        let shares = Shares::new(1_000_000);
        let count = |mut take: Box<dyn FnMut() -> bool>| (0..5000).filter(|_| take()).count();
        let (from, now) = (session(1), at(0));
        assert_eq!(count(Box::new(|| shares.confirmation(&from, now))), 100);
        assert_eq!(count(Box::new(|| shares.store(&from, now))), 5000);
        let copies = count(Box::new(|| shares.copies(&from, 5, 900, now)));
        assert!(copies * 5 * 1000 <= 640_000 && copies > 100, "{copies}");
    }
}
