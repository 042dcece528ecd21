//! `[bandwidth]`

use super::section::section;
use crate::units::{DayPart, Quota, Rate, Span};
use ramson_protocol::budget::Hours;
use ramson_protocol::shape::{Limits, MAX_DELAY};
use std::time::Duration;

/// A line that bears less carries no tunnel.
const LEAST: Rate = Rate(10_000);

/// The longest delay that can be set.
const LONGEST_DELAY: Duration = Duration::from_millis(20);

section! {
    /// What the line bears. The bandwidth letter in our RouterInfo and the size of the filter of repeated cells follow it.
    Bandwidth = "bandwidth" {
        /// What may come in.
        inbound: Rate = Rate(5_000_000) => Live;
        /// What may go out.
        outbound: Rate = Rate(5_000_000) => Live;
        /// The share of it that tunnels of others may take, 0 to 1.
        transit_share: f64 = 0.8 => Live;
        /// How long a busy router may hold cells back so that it handles more of them at once, which spares processor
        /// time; `0ms` is never, and more than `20ms` is refused. Tunnels take hundreds of milliseconds, so nobody notices.
        max_delay: Span = Span(MAX_DELAY) => Live;
        /// What may go over the line in a calendar month, both directions together, such as `2TB`; `none` is without bound. What
        /// is left of it is spread over what is left of the month, and the bandwidth letter follows.
        quota: Quota = Quota(None) => Live;
        /// Parts of the day (UTC) in which each direction has a rate of its own, such as `["07:00-23:00 2MB/s"]`; the least of all
        /// that hold counts, and never more than `inbound` and `outbound`.
        schedule: Vec<DayPart> = Vec::new() => Live;
    }
}

impl Bandwidth {
    /// # Errors
    /// What cannot be, and what to write.
    pub(crate) fn check(&self) -> Result<(), String> {
        for (key, rate) in [("inbound", self.inbound), ("outbound", self.outbound)] {
            if rate.0 < LEAST.0 {
                return Err(format!(
                    "bandwidth.{key} = \"{rate}\" carries no tunnel: write {LEAST} or more; to carry none of others, transit.max_tunnels = 0"
                ));
            }
        }
        if !(0.0..=1.0).contains(&self.transit_share) {
            return Err("bandwidth.transit_share is a share: write a number from 0 to 1, such as 0.8".to_owned());
        }
        if self.max_delay.0 > LONGEST_DELAY {
            return Err(
                "bandwidth.max_delay: more than 20ms would be felt in every round trip; 2ms is usual".to_owned()
            );
        }
        Ok(())
    }

    /// The parts of the day with a rate of their own.
    pub(crate) fn hours(&self) -> Vec<Hours> {
        self.schedule.iter().map(|part| part.0).collect()
    }

    /// What the line bears, in the data plane's terms.
    pub(crate) fn limits(&self) -> Limits {
        let (inbound, outbound) = (self.inbound.0, self.outbound.0);
        let transit = (inbound.min(outbound) as f64 * self.transit_share) as u64;
        Limits { inbound, outbound, transit, max_delay: self.max_delay.0 }
    }
}
