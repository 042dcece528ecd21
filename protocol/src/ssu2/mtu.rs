//! How large a packet the path takes: from the smallest size that every path must take up to what both ends allow, by
//! probes that lose nothing when they are lost, and back when large packets vanish.
//!
//! Sizes are of UDP payloads.
//!
//! spec: ssu2 §MTU, §PMTU Discovery; RFC 8899 for the shape

use crate::time::Mono;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// The smallest MTU of a path that SSU2 works on.
pub const MIN_MTU: u16 = 1280;
/// The largest that is used.
pub const MAX_MTU: u16 = 1500;

/// Lost probes after which a size is given up.
const TRIES: u8 = 3;
/// The search ends when this close.
const PRECISION: u16 = 16;
/// Between probes.
const INTERVAL: Duration = Duration::from_secs(1);
/// Before a search that ended too low begins anew.
const RETRY: Duration = Duration::from_secs(600);
/// Large packets lost in a row, with none acknowledged, after which the path is taken to have narrowed.
const BLACK_HOLE: u8 = 4;

/// IP and UDP headers of a path to `addr`.
pub fn overhead(addr: SocketAddr) -> u16 {
    match addr.ip().to_canonical() {
        IpAddr::V4(_) => 28,
        IpAddr::V6(_) => 48,
    }
}

/// The search.
#[derive(Debug)]
pub struct Discovery {
    min: u16,
    max: u16,
    current: u16,
    /// The smallest size found not to pass, or one above the largest allowed.
    ceiling: u16,
    /// The size of the probe on its way.
    probe: Option<u16>,
    tries: u8,
    next: Mono,
    lost_in_a_row: u8,
}

impl Discovery {
    /// For a path to `addr` whose ends allow IP packets of `mtu` bytes.
    pub fn new(addr: SocketAddr, mtu: u16, now: Mono) -> Self {
        let overhead = overhead(addr);
        let (min, max) = (MIN_MTU - overhead, mtu.clamp(MIN_MTU, MAX_MTU) - overhead);
        let next = now + INTERVAL;
        Self { min, max, current: min, ceiling: max + 1, probe: None, tries: 0, next, lost_in_a_row: 0 }
    }

    /// The largest packet to be sent now.
    pub fn current(&self) -> u16 {
        self.current
    }

    /// The smallest that every path takes.
    pub fn minimum(&self) -> u16 {
        self.min
    }

    /// The size of a probe that is due. To be called only when there is something to be gained, and to be followed by
    /// [`Discovery::sent`].
    pub fn due(&self, now: Mono) -> Option<u16> {
        if self.probe.is_some() || now < self.next {
            return None;
        }
        // The largest size is what most paths take: begin there.
        let untried = self.ceiling > self.max;
        let size = if untried { self.max } else { self.current.midpoint(self.ceiling) };
        (size > self.current && (untried || self.searching())).then_some(size)
    }

    /// The gap between what passes and what does not is still wide.
    fn searching(&self) -> bool {
        self.ceiling - self.current > PRECISION
    }

    /// A probe of `size` bytes has left.
    pub fn sent(&mut self, size: u16, now: Mono) {
        self.probe = Some(size);
        self.next = now + INTERVAL;
    }

    /// The probe arrived.
    pub fn on_probe_acked(&mut self) {
        if let Some(size) = self.probe.take() {
            self.current = self.current.max(size);
            (self.tries, self.lost_in_a_row) = (0, 0);
        }
    }

    /// The probe was lost, for its size or by chance.
    pub fn on_probe_lost(&mut self, now: Mono) {
        if let Some(size) = self.probe.take() {
            self.tries += 1;
            if self.tries >= TRIES {
                (self.ceiling, self.tries) = (size, 0);
                if !self.searching() {
                    (self.ceiling, self.next) = (self.max + 1, now + RETRY);
                }
            }
        }
    }

    /// A packet of `size` bytes arrived.
    pub fn on_acked(&mut self, size: u16) {
        if size > self.min {
            self.lost_in_a_row = 0;
        }
    }

    /// A packet of `size` bytes was lost. True if the path is now taken to have narrowed.
    pub fn on_lost(&mut self, size: u16, now: Mono) -> bool {
        if size <= self.min || self.current == self.min {
            return false;
        }
        self.lost_in_a_row += 1;
        self.lost_in_a_row >= BLACK_HOLE && self.on_silence(now)
    }

    /// Nothing is acknowledged any more, not even what was sent again. True if the path is now taken to have narrowed:
    /// when all packets are large, no later one arrives by which a loss would be noticed.
    pub fn on_silence(&mut self, now: Mono) -> bool {
        let narrower = self.current > self.min;
        if narrower {
            self.ceiling = self.max + 1;
            self.restrict(now + RETRY);
        }
        narrower
    }

    /// An unproven path, or one that has changed: back to the smallest size, and no probe before `until`.
    pub fn restrict(&mut self, until: Mono) {
        self.current = self.min;
        (self.probe, self.tries, self.lost_in_a_row) = (None, 0, 0);
        self.next = until;
    }

    /// A path that has been proven: search from the start.
    pub fn restart(&mut self, now: Mono) {
        self.restrict(now);
        self.ceiling = self.max + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr() -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], 9))
    }

    /// What the search finds on a path that takes at most `limit`, and with how many probes.
    fn search(limit: u16) -> (u16, u32) {
        let (mut d, mut now, mut probes) = (Discovery::new(addr(), 1500, Mono::ZERO), Mono::ZERO, 0);
        for _ in 0..200 {
            now += INTERVAL;
            if let Some(size) = d.due(now) {
                probes += 1;
                d.sent(size, now);
                if size <= limit { d.on_probe_acked() } else { d.on_probe_lost(now) }
            }
        }
        (d.current(), probes)
    }

    #[test]
    fn the_largest_size_takes_one_probe_and_others_are_found_to_within_sixteen_bytes() {
        assert_eq!(search(1500), (1472, 1));
        for limit in 1252..1472 {
            let (found, probes) = search(limit);
            assert!(found <= limit && limit - found <= PRECISION, "{limit}: {found}");
            assert!(probes < 20, "{limit}: {probes}");
        }
    }

    #[test]
    fn large_packets_that_vanish_bring_the_smallest_size_back() {
        let mut d = Discovery::new(addr(), 1500, Mono::ZERO);
        d.sent(1472, INTERVAL);
        d.on_probe_acked();
        assert!((0..3).all(|_| !d.on_lost(1400, INTERVAL)));
        d.on_acked(1400);
        assert!((0..3).all(|_| !d.on_lost(1400, INTERVAL)));
        assert!(!d.on_lost(1252, INTERVAL));
        assert!(d.on_lost(1400, INTERVAL));
        assert_eq!(d.current(), 1252);
        assert_eq!(d.due(INTERVAL * 2), None);
        assert!(d.due(RETRY * 2).is_some());
    }

    #[test]
    fn an_mtu_beyond_the_limits_is_brought_within() {
        for (mtu, probe) in [(0, None), (1280, None), (1400, Some(1372)), (9000, Some(1472))] {
            assert_eq!(Discovery::new(addr(), mtu, Mono::ZERO).due(INTERVAL), probe);
        }
        let v6 = SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], 9));
        assert_eq!(Discovery::new(v6, 1500, Mono::ZERO).current(), 1232);
    }
}
