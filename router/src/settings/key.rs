//! What can be said of a key of the configuration without knowing its section: its value as text, and whether a change takes
//! effect while the router runs.

use crate::units::{DayPart, Quota, Rate, Span};
use std::path::PathBuf;

/// When a changed value takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// At SIGHUP.
    Live,
    /// At the next start.
    Start,
}

/// A key, as it is declared.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    /// Its section and name, such as `bandwidth.inbound`.
    pub name: String,
    /// What kind of value it takes, in words.
    pub kind: &'static str,
    /// The default, as it is written in the file.
    pub default: String,
    /// When a change takes effect.
    pub life: Life,
    /// What it does, one line of the source after the other.
    pub doc: &'static [&'static str],
}

/// A key whose value differs between two settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// Its section and name.
    pub name: String,
    /// The value before, as it is written in the file.
    pub before: String,
    /// The value now.
    pub now: String,
    /// When it takes effect.
    pub life: Life,
}

/// A value that a key can have.
pub(crate) trait Value: PartialEq {
    /// What is to be written, in words for the operator.
    const KIND: &'static str;

    /// As it is written in the file; `none` if there is no way to write it.
    fn text(&self) -> String;
}

impl Value for bool {
    const KIND: &'static str = "`true` or `false`";

    fn text(&self) -> String {
        self.to_string()
    }
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl Value for $number {
            const KIND: &'static str = "number";

            fn text(&self) -> String {
                self.to_string()
            }
        }
    )*};
}

numbers!(i8, u8, u16, u32, usize, f64);

impl Value for String {
    const KIND: &'static str = "text";

    fn text(&self) -> String {
        quoted(self)
    }
}

impl Value for Span {
    const KIND: &'static str = "duration, such as `\"30s\"` or `\"10min\"`";

    fn text(&self) -> String {
        quoted(&self.to_string())
    }
}

impl Value for Rate {
    const KIND: &'static str = "rate, such as `\"25MB/s\"` or `\"200Mbit/s\"`";

    fn text(&self) -> String {
        quoted(&self.to_string())
    }
}

impl Value for super::Endpoint {
    const KIND: &'static str = "address with port, or `false`";

    fn text(&self) -> String {
        self.0.map_or_else(|| "false".to_owned(), |addr| quoted(&addr.to_string()))
    }
}

impl Value for Quota {
    const KIND: &'static str = "volume, such as `\"2TB\"`, or `\"none\"`";

    fn text(&self) -> String {
        quoted(&self.to_string())
    }
}

impl Value for Vec<DayPart> {
    const KIND: &'static str = "list of parts of the day, such as `[\"07:00-23:00 2MB/s\"]`";

    fn text(&self) -> String {
        list(self.iter().map(|part| quoted(&part.to_string())))
    }
}

impl Value for Vec<PathBuf> {
    const KIND: &'static str = "list of paths";

    fn text(&self) -> String {
        list(self.iter().map(|path| quoted(&path.to_string_lossy())))
    }
}

impl Value for Vec<String> {
    const KIND: &'static str = "list of texts";

    fn text(&self) -> String {
        list(self.iter().map(|text| quoted(text)))
    }
}

/// A text as it is written in the file.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// A list as it is written in the file.
pub(super) fn list(values: impl Iterator<Item = String>) -> String {
    format!("[{}]", values.collect::<Vec<_>>().join(", "))
}
