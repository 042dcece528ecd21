//! Durations and rates as an operator writes them: always with their unit.

use ramson_protocol::budget::Hours;
use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

/// What an operator wrote could not be read as a quantity.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no {what}: write a number and a unit, such as {example}")]
pub(crate) struct BadUnit {
    text: String,
    what: &'static str,
    example: &'static str,
}

/// A duration, such as `30s` or `10min`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span(pub Duration);

/// Bytes per second, such as `25MB/s` or `200Mbit/s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate(pub u64);

/// Bytes in a calendar month, such as `2TB`; none is without bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Quota(pub Option<u64>);

/// Hours of the day with a rate of their own, such as `07:00-23:00 2MB/s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DayPart(pub Hours);

impl fmt::Display for Quota {
    /// In the largest unit that needs no fraction.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(bytes) = self.0 else { return f.write_str("none") };
        let units = [("TB", 1_000_000_000_000), ("GB", 1_000_000_000), ("MB", 1_000_000)];
        match units.into_iter().find(|(_, unit)| bytes > 0 && bytes.is_multiple_of(*unit)) {
            Some((name, unit)) => write!(f, "{}{name}", bytes / unit),
            None => write!(f, "{bytes}B"),
        }
    }
}

impl fmt::Display for DayPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clock = |secs: u32| format!("{:02}:{:02}", secs / 3600, secs / 60 % 60);
        let Hours { from, until, rate } = self.0;
        write!(f, "{}-{} {}", clock(from), clock(until), Rate(rate))
    }
}

impl fmt::Display for Span {
    /// In the largest unit that needs no fraction.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.as_millis();
        let units = [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000)];
        match units.into_iter().find(|(_, unit)| ms > 0 && ms.is_multiple_of(*unit)) {
            Some((name, unit)) => write!(f, "{}{name}", ms / unit),
            None => write!(f, "{ms}ms"),
        }
    }
}

impl fmt::Display for Rate {
    /// In the largest unit of bytes that needs no fraction.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [("GB/s", 1_000_000_000), ("MB/s", 1_000_000), ("kB/s", 1000)];
        match units.into_iter().find(|(_, unit)| self.0 > 0 && self.0.is_multiple_of(*unit)) {
            Some((name, unit)) => write!(f, "{}{name}", self.0 / unit),
            None => write!(f, "{}B/s", self.0),
        }
    }
}

fn split(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    number.parse::<f64>().ok().filter(|n| n.is_finite() && *n >= 0.0).map(|n| (n, unit.trim()))
}

fn bytes(unit: &str) -> Option<f64> {
    Some(match unit {
        "B" => 1.0,
        "kB" | "KB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        "TB" => 1e12,
        "KiB" => 1024.0,
        "MiB" => 1024.0 * 1024.0,
        "GiB" => 1024.0 * 1024.0 * 1024.0,
        "TiB" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        "bit" => 0.125,
        "kbit" | "Kbit" => 125.0,
        "Mbit" => 125e3,
        "Gbit" => 125e6,
        _ => return None,
    })
}

impl TryFrom<String> for Span {
    type Error = BadUnit;

    fn try_from(text: String) -> Result<Self, BadUnit> {
        let seconds = split(&text).and_then(|(n, unit)| {
            Some(
                n * match unit {
                    "ms" => 0.001,
                    "s" => 1.0,
                    "min" => 60.0,
                    "h" => 3600.0,
                    "d" => 86400.0,
                    _ => return None,
                },
            )
        });
        match seconds.and_then(|s| Duration::try_from_secs_f64(s).ok()) {
            Some(d) => Ok(Self(d)),
            None => Err(BadUnit { text, what: "duration", example: "\"30s\", \"10min\" or \"2h\"" }),
        }
    }
}

impl TryFrom<String> for Rate {
    type Error = BadUnit;

    fn try_from(text: String) -> Result<Self, BadUnit> {
        let rate = split(&text).and_then(|(n, unit)| Some(n * bytes(unit.strip_suffix("/s")?)?));
        match rate {
            Some(n) => Ok(Self(n as u64)),
            None => Err(BadUnit { text, what: "rate", example: "\"25MB/s\" or \"200Mbit/s\"" }),
        }
    }
}

/// Reads a quantity, and tells who wrote a bare number what is missing.
struct WithUnit<T>(PhantomData<T>);

impl<T: TryFrom<String, Error = BadUnit>> Visitor<'_> for WithUnit<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number and a unit in quotation marks")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        T::try_from(text.to_owned()).map_err(E::custom)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(WithUnit(PhantomData))
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(WithUnit(PhantomData))
    }
}

impl TryFrom<String> for Quota {
    type Error = BadUnit;

    fn try_from(text: String) -> Result<Self, BadUnit> {
        if text.trim() == "none" {
            return Ok(Self(None));
        }
        match split(&text).and_then(|(n, unit)| Some(n * bytes(unit)?)) {
            Some(n) if n >= 1.0 => Ok(Self(Some(n as u64))),
            _ => Err(BadUnit { text, what: "volume", example: "\"2TB\", \"500GB\" or \"none\"" }),
        }
    }
}

impl TryFrom<String> for DayPart {
    type Error = BadUnit;

    fn try_from(text: String) -> Result<Self, BadUnit> {
        let parsed = text.trim().split_once(' ').and_then(|(hours, rate)| {
            let (from, until) = hours.split_once('-')?;
            let (from, until) = (time_of_day(from)?, time_of_day(until)?);
            let rate = Rate::try_from(rate.to_owned()).ok()?.0;
            // At the very beginning and end of a day there is one midnight.
            let until = until % 86_400;
            (from < 86_400 && from != until).then_some(Hours { from, until, rate })
        });
        let example = "\"07:00-23:00 2MB/s\"";
        parsed.map(Self).ok_or(BadUnit { text, what: "part of a day with a rate", example })
    }
}

/// `HH:MM` as seconds since midnight; `24:00` is the end of the day.
fn time_of_day(text: &str) -> Option<u32> {
    let (hour, minute) = text.split_once(':')?;
    let (hour, minute): (u32, u32) = (hour.parse().ok()?, minute.parse().ok()?);
    (minute < 60 && (hour < 24 || (hour, minute) == (24, 0))).then_some(hour * 3600 + minute * 60)
}

impl<'de> Deserialize<'de> for Quota {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(WithUnit(PhantomData))
    }
}

impl<'de> Deserialize<'de> for DayPart {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(WithUnit(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_out_is_read_back() {
        for ms in [0, 1, 999, 1000, 90_000, 120_000, 86_400_000, 86_401_000] {
            let span = Span(Duration::from_millis(ms));
            assert_eq!(Span::try_from(span.to_string()), Ok(span));
        }
        for rate in [0, 1, 1500, 25_000_000, 1_000_000_000, u64::from(u32::MAX)] {
            assert_eq!(Rate::try_from(Rate(rate).to_string()), Ok(Rate(rate)));
        }
        assert_eq!(
            (Span(Duration::from_secs(600)).to_string(), Rate(5_000_000).to_string()),
            ("10min".into(), "5MB/s".into())
        );
    }

    #[test]
    fn volumes_and_parts_of_days_are_read_and_written() {
        for text in ["2TB", "500GB", "none", "1500B"] {
            assert_eq!(Quota::try_from(text.to_owned()).unwrap().to_string(), text);
        }
        for bad in ["2", "2TB/s", "0TB", "much", ""] {
            assert!(Quota::try_from(bad.to_owned()).is_err(), "{bad}");
        }
        for text in ["07:00-23:00 2MB/s", "22:30-06:00 500kB/s"] {
            assert_eq!(DayPart::try_from(text.to_owned()).unwrap().to_string(), text);
        }
        assert_eq!(DayPart::try_from("18:00-24:00 2MB/s".to_owned()).unwrap().to_string(), "18:00-00:00 2MB/s");
        for bad in ["7-23 2MB/s", "07:00-23:00", "07:00-07:00 2MB/s", "25:00-03:00 2MB/s", "07:00-23:61 2MB/s", "x", ""]
        {
            let error = DayPart::try_from(bad.to_owned()).unwrap_err().to_string();
            assert!(error.contains("07:00-23:00 2MB/s"), "{bad}: {error}");
        }
    }

    #[test]
    fn quantities_need_their_unit() {
        assert_eq!(Rate::try_from("25MB/s".to_owned()), Ok(Rate(25_000_000)));
        assert_eq!(Rate::try_from("200 Mbit/s".to_owned()), Ok(Rate(25_000_000)));
        assert_eq!(Rate::try_from("1.5MiB/s".to_owned()), Ok(Rate(1_572_864)));
        assert_eq!(Span::try_from("10min".to_owned()), Ok(Span(Duration::from_secs(600))));
        for bad in ["25", "25MB", "MB/s", "-1MB/s", "", "1e400kB/s"] {
            assert!(Rate::try_from(bad.to_owned()).is_err(), "{bad}");
        }
        let error = Span::try_from("30".to_owned()).unwrap_err().to_string();
        assert!(error.contains("`30`") && error.contains("\"10min\""), "{error}");
    }
}
