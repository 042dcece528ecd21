//! One flow of datagrams: when each is to name its sender, and what the other side's options ask.
//!
//! ```text
//! silence of 100 ms --> a datagram that names us --> raw ones, as long as they follow each other
//! options "flags" with 2 --> an empty datagram of the third kind with "acked", the highest "seqn" that came
//! ```
//! INTEROP: i2pd's UDPTunnel. It asks for such words to know whether its path still leads here; without an answer it takes another, and
//! stops to send after some hundred.

use super::{Form, Kind};
use ramson_protocol::data::mapping::MappingBuf;
use std::time::{Duration, Instant};

/// After a silence of this length a datagram names its sender.
const SILENCE: Duration = Duration::from_millis(100);

/// A flow that nobody has used for so long is forgotten.
pub(super) const IDLE: Duration = Duration::from_secs(120);

/// The flag by which the other side asks what has come.
const ASKED: u8 = 2;

/// See the module.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) kind: Kind,
    used: Instant,
    sent: bool,
    highest: u32,
}

impl Flow {
    pub(super) fn new(kind: Kind, now: Instant) -> Self {
        Self { kind, used: now, sent: false, highest: 0 }
    }

    /// How the next datagram goes.
    pub(super) fn next(&mut self, now: Instant) -> Form {
        let names = !self.sent || now.duration_since(self.used) > SILENCE;
        (self.sent, self.used) = (true, now);
        if names { Form::Named(self.kind, MappingBuf::new()) } else { Form::Raw }
    }

    /// Something has come; what is to be said to that, without a payload.
    pub(super) fn heard(&mut self, options: &MappingBuf, now: Instant) -> Option<Form> {
        self.used = now;
        let number = |key| options.get(key).and_then(|text| text.parse::<u32>().ok());
        self.highest = self.highest.max(number("seqn").unwrap_or(0));
        let flags = options.get("flags").and_then(|text| text.parse::<u8>().ok()).unwrap_or(0);
        (flags & ASKED != 0).then(|| {
            let mut answer = MappingBuf::new();
            answer.set("acked", self.highest.to_string());
            Form::Named(Kind::Three, answer)
        })
    }

    pub(super) fn used(&self) -> Instant {
        self.used
    }

    pub(super) fn is_idle(&self, now: Instant) -> bool {
        now.duration_since(self.used) > IDLE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_a_flow_and_each_after_a_silence_names_its_sender() {
        let now = Instant::now();
        let mut flow = Flow::new(Kind::Two, now);
        let mut names = |at: u64| flow.next(now + Duration::from_millis(at)) != Form::Raw;
        assert_eq!([0, 50, 100, 201, 250].map(&mut names), [true, false, false, true, false]);
    }

    #[test]
    fn who_asks_what_has_come_hears_the_highest_number() {
        let now = Instant::now();
        let mut flow = Flow::new(Kind::Three, now);
        let mut hear = |pairs: &[(&str, &str)]| {
            let mut options = MappingBuf::new();
            for (key, value) in pairs {
                options.set(key, *value);
            }
            match flow.heard(&options, now) {
                Some(Form::Named(Kind::Three, answer)) => answer.get("acked").map(str::to_owned),
                _ => None,
            }
        };
        assert_eq!(hear(&[("seqn", "7")]), None);
        assert_eq!(hear(&[("seqn", "5"), ("flags", "2")]).as_deref(), Some("7"));
        assert_eq!(hear(&[("seqn", "x"), ("flags", "3")]).as_deref(), Some("7"));
        assert_eq!(hear(&[("flags", "1")]), None);
    }
}
