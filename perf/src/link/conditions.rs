//! What a line does to packets, as an operator orders it.

use std::str::FromStr;
use std::time::Duration;

/// What one direction of a link does to packets. The default is a wire that does nothing.
///
/// Written as `rate=10MB/s,delay=25ms,loss=1%`: what is not named is as in the default.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Conditions {
    /// `rate`: bytes per second, of whole packets.
    pub rate: Option<f64>,
    /// `queue`: how long a packet may wait for its turn at that rate; one that would wait longer is dropped.
    pub queue: Duration,
    /// `delay`: of every packet, after its turn.
    pub delay: Duration,
    /// `jitter`: added to it, from nothing to this. It changes no order by itself.
    pub jitter: Duration,
    /// `loss`: the share that is lost, each packet by itself.
    pub loss: f64,
    /// `reorder`: the share that comes `late`, behind packets that were sent after it.
    pub reorder: f64,
    /// `late`: how much later those come.
    pub late: Duration,
    /// `duplicate`: the share that comes twice.
    pub duplicate: f64,
    /// `mtu`: larger packets vanish without a word, as behind a filter that drops what routers say about them.
    pub mtu: usize,
}

impl Default for Conditions {
    fn default() -> Self {
        Self {
            rate: None,
            queue: Duration::from_millis(50),
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            loss: 0.0,
            reorder: 0.0,
            late: Duration::from_millis(5),
            duplicate: 0.0,
            mtu: usize::MAX,
        }
    }
}

impl FromStr for Conditions {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut conditions = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').ok_or_else(|| format!("{part}: write NAME=VALUE"))?;
            conditions.set(name.trim(), value.trim()).ok_or_else(|| format!("{part}: {}", usage(name.trim())))?;
        }
        Ok(conditions)
    }
}

impl Conditions {
    fn set(&mut self, name: &str, value: &str) -> Option<()> {
        match name {
            "rate" => self.rate = Some(number(value.strip_suffix("MB/s")?)? * 1e6).filter(|rate| *rate > 0.0),
            "queue" => self.queue = milliseconds(value)?,
            "delay" => self.delay = milliseconds(value)?,
            "jitter" => self.jitter = milliseconds(value)?,
            "late" => self.late = milliseconds(value)?,
            "loss" => self.loss = share(value)?,
            "reorder" => self.reorder = share(value)?,
            "duplicate" => self.duplicate = share(value)?,
            "mtu" => self.mtu = value.parse().ok()?,
            _ => return None,
        }
        Some(())
    }
}

fn usage(name: &str) -> &'static str {
    match name {
        "rate" => "write a rate such as 10MB/s",
        "queue" | "delay" | "jitter" | "late" => "write a time such as 25ms",
        "loss" | "reorder" | "duplicate" => "write a share such as 0.5%",
        "mtu" => "write a number of bytes",
        _ => "there are rate, queue, delay, jitter, loss, reorder, late, duplicate and mtu",
    }
}

fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|n: &f64| n.is_finite() && *n >= 0.0)
}

fn milliseconds(text: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(number(text.strip_suffix("ms")?)? / 1e3).ok()
}

fn share(text: &str) -> Option<f64> {
    number(text.strip_suffix('%')?).map(|percent| percent / 100.0).filter(|share| *share <= 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ordered_is_read_and_the_rest_is_a_plain_wire() {
        let conditions = "rate=10MB/s, delay=25ms,loss=0.5%".parse();
        let expected =
            Conditions { rate: Some(10e6), delay: Duration::from_millis(25), loss: 0.005, ..Conditions::default() };
        assert_eq!(conditions, Ok(expected));
        assert_eq!("".parse(), Ok(Conditions::default()));
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_a_word_on_how_to_write_it() {
        for (text, said) in [
            ("delay=25", "such as 25ms"),
            ("loss=0.1", "such as 0.5%"),
            ("loss=101%", "such as 0.5%"),
            ("rate=-1MB/s", "such as 10MB/s"),
            ("los=1%", "there are rate"),
            ("delay", "NAME=VALUE"),
        ] {
            assert!(text.parse::<Conditions>().unwrap_err().contains(said), "{text}");
        }
    }
}
