//! CoDel: drops from a queue whose cells have all waited too long for a whole interval, and more often the longer that lasts.
//!
//! ```text
//! calm --(every cell waited > TARGET for an INTERVAL)--> dropping: one at once, the n-th after INTERVAL / sqrt(n)
//!   ^-----------(a cell waited less, or it is the last)------------'
//! ```
//! The law is that of RFC 8289; its times are larger, since round trips through tunnels take 300 to 1000 ms.

use crate::time::Mono;
use std::time::Duration;

/// A standing queue of this age is no burst any more.
const TARGET: Duration = Duration::from_millis(20);

/// So long it must stand: about one round trip.
const INTERVAL: Duration = Duration::from_millis(400);

/// What CoDel knows of one queue.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Codel {
    /// When the queue will have stood for an interval; `None` while it does not stand.
    above_until: Option<Mono>,
    dropping: bool,
    next_drop: Mono,
    drops: u32,
}

impl Codel {
    /// Judges the cell at the head, which has waited for `sojourn`; `last` if none is behind it. True if it must go.
    pub(super) fn drop_head(&mut self, now: Mono, sojourn: Duration, last: bool) -> bool {
        if sojourn < TARGET || last {
            *self = Self { drops: self.drops, next_drop: self.next_drop, ..Self::default() };
            return false;
        }
        let until = *self.above_until.get_or_insert(now + INTERVAL);
        if self.dropping {
            let due = now >= self.next_drop;
            if due {
                self.drops += 1;
                self.next_drop += self.pause();
            }
            return due;
        }
        if now < until {
            return false;
        }
        self.dropping = true;
        // After a short calm it goes on nearly where it was, or it would have to find the right rate anew each time.
        let recently = now.saturating_sub(self.next_drop) < 16 * INTERVAL;
        self.drops = if recently && self.drops > 2 { self.drops - 2 } else { 1 };
        self.next_drop = now + self.pause();
        true
    }

    fn pause(&self) -> Duration {
        INTERVAL.div_f64(f64::from(self.drops.max(1)).sqrt())
    }
}
