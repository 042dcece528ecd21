//! What a RouterInfo's `caps` and `router.version` say.
//!
//! spec: network-database overview §RouterInfo (caps); proposal 162 (congestion); i2np §Protocol Versions

use crate::time::Wall;
use std::time::Duration;

/// Shared bandwidth, by letter, lowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Bandwidth {
    /// Below 12 KBps.
    K,
    /// 12 to 48 KBps.
    L,
    /// 48 to 64 KBps.
    M,
    /// 64 to 128 KBps.
    N,
    /// 128 to 256 KBps.
    O,
    /// 256 to 2000 KBps.
    P,
    /// Above 2000 KBps.
    X,
}

impl Bandwidth {
    /// The letter for a share of `bytes` per second.
    pub fn of_share(bytes_per_second: u64) -> Self {
        match bytes_per_second / 1000 {
            0..12 => Self::K,
            12..48 => Self::L,
            48..64 => Self::M,
            64..128 => Self::N,
            128..256 => Self::O,
            256..2000 => Self::P,
            _ => Self::X,
        }
    }

    fn letters(self) -> &'static str {
        match self {
            Self::K => "K",
            Self::L => "L",
            Self::M => "M",
            Self::N => "N",
            Self::O => "O",
            // INTEROP: no O stands beside them any more: it was for routers that are long gone.
            Self::P => "P",
            Self::X => "X",
        }
    }
}

/// How congested a router says it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Congestion {
    /// It does not say.
    #[default]
    None,
    /// `D`: medium.
    D,
    /// `E`: high.
    E,
    /// `G`: it rejects all tunnels.
    G,
}

/// The capabilities of a router.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Caps {
    /// The highest bandwidth letter.
    pub bandwidth: Option<Bandwidth>,
    /// `f`.
    pub floodfill: bool,
    /// `R`.
    pub reachable: bool,
    /// `U`.
    pub unreachable: bool,
    /// `H`.
    pub hidden: bool,
    /// `D`, `E` or `G`.
    pub congestion: Congestion,
}

impl Caps {
    /// Reads the letters; unknown ones are ignored.
    pub fn parse(text: &str) -> Self {
        let mut caps = Self::default();
        for letter in text.bytes() {
            let bandwidth = match letter {
                b'K' => Bandwidth::K,
                b'L' => Bandwidth::L,
                b'M' => Bandwidth::M,
                b'N' => Bandwidth::N,
                b'O' => Bandwidth::O,
                b'P' => Bandwidth::P,
                b'X' => Bandwidth::X,
                _ => {
                    match letter {
                        b'f' => caps.floodfill = true,
                        b'R' => caps.reachable = true,
                        b'U' => caps.unreachable = true,
                        b'H' => caps.hidden = true,
                        b'D' => caps.congestion = caps.congestion.max(Congestion::D),
                        b'E' => caps.congestion = caps.congestion.max(Congestion::E),
                        b'G' => caps.congestion = caps.congestion.max(Congestion::G),
                        _ => {}
                    }
                    continue;
                }
            };
            caps.bandwidth = caps.bandwidth.max(Some(bandwidth));
        }
        caps
    }

    /// The congestion to reckon with now.
    ///
    /// spec: proposal 162 — an E older than 15 minutes counts as D.
    pub fn congestion_at(&self, published: Wall, now: Wall) -> Congestion {
        match self.congestion {
            Congestion::E if now.since(published) > Duration::from_secs(15 * 60) => Congestion::D,
            c => c,
        }
    }
}

impl std::fmt::Display for Caps {
    /// As they are published: bandwidth, floodfill, reachability, hidden, and congestion last.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.bandwidth.map_or("", Bandwidth::letters))?;
        for (set, letter) in [(self.floodfill, "f"), (self.reachable, "R"), (self.unreachable, "U"), (self.hidden, "H")]
        {
            if set {
                f.write_str(letter)?;
            }
        }
        f.write_str(match self.congestion {
            Congestion::None => "",
            Congestion::D => "D",
            Congestion::E => "E",
            Congestion::G => "G",
        })
    }
}

/// An API version such as 0.9.69, compared number by number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u16, pub u16, pub u16);

impl Version {
    /// Reads up to three numbers; what is missing or not a number is zero.
    pub fn parse(text: &str) -> Self {
        let mut parts = text.split('.').map(|n| n.parse().unwrap_or(0));
        let mut next = || parts.next().unwrap_or(0);
        Self(next(), next(), next())
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_read_and_written() {
        let caps = Caps::parse("XOfRE");
        assert_eq!(caps.bandwidth, Some(Bandwidth::X));
        assert!(caps.floodfill && caps.reachable && !caps.unreachable && !caps.hidden);
        assert_eq!(caps.to_string(), "XfRE");
        assert_eq!(Caps::parse("?zLU").to_string(), "LU");
        assert_eq!(Bandwidth::of_share(25_000_000), Bandwidth::X);
    }

    #[test]
    fn high_congestion_fades_after_a_quarter_of_an_hour() {
        let caps = Caps::parse("XE");
        let at = Wall::from_secs(1_000_000);
        assert_eq!(caps.congestion_at(at, at.plus(Duration::from_secs(900))), Congestion::E);
        assert_eq!(caps.congestion_at(at, at.plus(Duration::from_secs(901))), Congestion::D);
    }

    #[test]
    fn versions_compare_by_number() {
        assert!(Version::parse("0.9.9") < Version::parse("0.9.58"));
        assert_eq!(Version::parse("0.9"), Version(0, 9, 0));
        assert_eq!(Version::parse("x"), Version::default());
    }
}
