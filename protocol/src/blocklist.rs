//! The operator's list of addresses and routers that we have nothing to do with.
//!
//! ```text
//! # a comment, also behind an entry
//! 192.0.2.7
//! 192.0.2.0/24
//! 192.0.2.10-192.0.2.20
//! 2001:db8::/32
//! <44 characters: a router hash in I2P's base 64>
//! some words:192.0.2.0/24        the form of Java I2P's blocklist.txt
//! ```

use crate::base64;
use crate::id::RouterHash;
use std::collections::HashSet;
use std::net::IpAddr;

/// The list, ready to be asked.
#[derive(Clone, Debug, Default)]
pub struct Blocklist {
    /// First and last address of each range, in order and apart from each other. IPv4 is mapped into IPv6.
    ranges: Vec<(u128, u128)>,
    routers: HashSet<RouterHash>,
}

/// A line that says nothing to us.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {text:?} is no address, network, range or router hash; write for example 192.0.2.0/24")]
pub struct BadLine {
    /// Counted from one.
    pub line: usize,
    /// The entry.
    pub text: String,
}

impl Blocklist {
    /// Adds the entries of a text.
    ///
    /// # Errors
    /// The first line that cannot be read; nothing is added then.
    pub fn add(&mut self, text: &str) -> Result<(), BadLine> {
        let (mut ranges, mut routers) = (Vec::new(), Vec::new());
        for (at, line) in text.lines().enumerate() {
            let entry = line.split('#').next().unwrap_or_default().trim();
            if entry.is_empty() {
                continue;
            }
            match Entry::parse(entry).or_else(|| Entry::parse(entry.rsplit_once(':')?.1.trim())) {
                Some(Entry::Range(first, last)) => ranges.push((first, last)),
                Some(Entry::Router(hash)) => routers.push(hash),
                None => return Err(BadLine { line: at + 1, text: entry.to_owned() }),
            }
        }
        self.ranges.append(&mut ranges);
        self.routers.extend(routers);
        self.merge();
        Ok(())
    }

    /// True if the address is on the list.
    pub fn has_address(&self, ip: IpAddr) -> bool {
        let ip = number(ip);
        let behind = self.ranges.partition_point(|(first, _)| *first <= ip);
        behind.checked_sub(1).is_some_and(|at| ip <= self.ranges[at].1)
    }

    /// True if the router is on the list.
    pub fn has_router(&self, router: &RouterHash) -> bool {
        self.routers.contains(router)
    }

    /// The routers on the list.
    pub fn routers(&self) -> impl Iterator<Item = &RouterHash> {
        self.routers.iter()
    }

    /// How many ranges of addresses, and how many routers.
    pub fn len(&self) -> (usize, usize) {
        (self.ranges.len(), self.routers.len())
    }

    /// True if nothing is on the list.
    pub fn is_empty(&self) -> bool {
        self.len() == (0, 0)
    }

    /// Puts the ranges in order, and makes one of those that touch.
    fn merge(&mut self) {
        self.ranges.sort_unstable();
        self.ranges.dedup_by(|next, kept| {
            let touches = next.0 <= kept.1.saturating_add(1);
            if touches {
                kept.1 = kept.1.max(next.1);
            }
            touches
        });
    }
}

enum Entry {
    Range(u128, u128),
    Router(RouterHash),
}

impl Entry {
    fn parse(text: &str) -> Option<Self> {
        if let Ok(ip) = text.parse() {
            return Some(Self::Range(number(ip), number(ip)));
        }
        if let Some((network, bits)) = text.split_once('/') {
            let (ip, bits) = (network.parse::<IpAddr>().ok()?, bits.parse::<u32>().ok()?);
            let width: u32 = if ip.is_ipv4() { 32 } else { 128 };
            let host = u128::MAX.checked_shr(128 - width.checked_sub(bits)?).unwrap_or(0);
            return Some(Self::Range(number(ip) & !host, number(ip) | host));
        }
        if let Some((first, last)) = text.split_once('-')
            && let (Ok(first), Ok(last)) = (first.trim().parse::<IpAddr>(), last.trim().parse::<IpAddr>())
        {
            let (from, to) = (number(first), number(last));
            return (first.is_ipv4() == last.is_ipv4() && from <= to).then_some(Self::Range(from, to));
        }
        Some(Self::Router(RouterHash(base64::decode(text)?.try_into().ok()?)))
    }
}

/// The address as a number: IPv4 as `::ffff:a.b.c.d`, however it is written.
fn number(ip: IpAddr) -> u128 {
    u128::from(match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn list(text: &str) -> Blocklist {
        let mut list = Blocklist::default();
        list.add(text).unwrap();
        list
    }

    fn has(list: &Blocklist, ip: &str) -> bool {
        list.has_address(ip.parse().unwrap())
    }

    #[test]
    fn every_form_is_read() {
        let hash = RouterHash([7; 32]);
        let list = list(&format!(
            "# all forms\n192.0.2.7 # one\n198.51.100.0/24\n203.0.113.10 - 203.0.113.20\n2001:db8::/32\n::1\n\
             somebody:10.0.0.0/8\nof a range: 11.0.0.1-11.0.0.3\n\n{}\nwith words:{}\n",
            hash.to_base64(),
            RouterHash([8; 32]).to_base64(),
        ));
        for ip in ["192.0.2.7", "198.51.100.0", "198.51.100.255", "203.0.113.10", "203.0.113.20", "2001:db8:1::", "::1"]
        {
            assert!(has(&list, ip), "{ip}");
        }
        for ip in ["10.255.0.1", "11.0.0.2", "::ffff:10.0.0.1"] {
            assert!(has(&list, ip), "{ip}");
        }
        for ip in ["192.0.2.6", "192.0.2.8", "198.51.101.0", "203.0.113.9", "203.0.113.21", "2001:db9::", "::2"] {
            assert!(!has(&list, ip), "{ip}");
        }
        assert!(
            list.has_router(&hash) && list.has_router(&RouterHash([8; 32])) && !list.has_router(&RouterHash([9; 32]))
        );
        assert_eq!(list.len(), (7, 2));
    }

    #[test]
    fn a_line_that_says_nothing_is_named_and_nothing_is_taken() {
        let mut list = Blocklist::default();
        for wrong in
            ["192.0.2.300", "192.0.2.0/33", "::/129", "192.0.2.9-192.0.2.1", "192.0.2.1-::1", "a.b32.i2p", "/", "-"]
        {
            let error = list.add(&format!("192.0.2.1\n{wrong}\n")).unwrap_err();
            assert_eq!(error, BadLine { line: 2, text: wrong.to_owned() });
        }
        assert!(list.is_empty());
        assert!(!has(&list, "0.0.0.0"));
    }

    #[test]
    fn everything_can_be_blocked() {
        let list = list("0.0.0.0/0\n::/0\n");
        assert!(has(&list, "255.255.255.255") && has(&list, "0.0.0.0") && has(&list, "ffff::1"));
    }

    proptest! {
        #[test]
        fn merged_ranges_say_the_same_as_each_alone(
            ranges in prop::collection::vec((0..64_u8, 0..64_u8), 1..12), asked in 0..64_u8,
        ) {
            let ranges: Vec<_> = ranges.into_iter().map(|(a, b)| (a.min(b), a.max(b))).collect();
            let text: String = ranges.iter().map(|(a, b)| format!("192.0.2.{a}-192.0.2.{b}\n")).collect();
            let expected = ranges.iter().any(|(a, b)| (*a..=*b).contains(&asked));
            prop_assert_eq!(has(&list(&text), &format!("192.0.2.{asked}")), expected);
        }

        #[test]
        fn no_text_makes_it_panic(text in "[0-9a-f:./# \n-]{0,60}") {
            drop(Blocklist::default().add(&text));
        }
    }
}
