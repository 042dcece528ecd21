//! What is exported, said once: name, unit, labels and help of each series stand in a table, and whoever counts names an
//! entry of it. The reference page and what `/metrics` says of itself come from the same tables.
//!
//! A counter's name ends in `_total`; a quantity is in base units (seconds, bytes, ratios), and its name says so.

pub mod control;
pub mod outcomes;

use std::time::Duration;

/// What a series is, whatever it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Series<const LABELS: usize> {
    /// Its name.
    pub name: &'static str,
    /// The names of its labels.
    pub labels: [&'static str; LABELS],
    /// What it tells, in a sentence.
    pub help: &'static str,
}

/// The kinds of Prometheus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Values by size.
    Histogram,
}

impl Kind {
    /// As Prometheus writes it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// An entry of a table, whatever its number of labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// What kind it is.
    pub kind: Kind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it tells.
    pub help: &'static str,
}

impl Row {
    /// The unit that the name bears, if it is a quantity of one.
    pub fn unit(&self) -> &'static str {
        let name = self.name.strip_suffix("_total").unwrap_or(self.name);
        ["bytes_per_second", "seconds", "bytes", "ratio"].into_iter().find(|unit| name.ends_with(unit)).unwrap_or("")
    }

    /// Tells the recorder of the process what the series is.
    #[expect(clippy::disallowed_macros, reason = "this is what all others go through")]
    pub fn describe(&self) {
        match self.kind {
            Kind::Counter => metrics::describe_counter!(self.name, self.help),
            Kind::Gauge => metrics::describe_gauge!(self.name, self.help),
            Kind::Histogram => metrics::describe_histogram!(self.name, self.help),
        }
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name<const LABELS: usize>(pub Series<LABELS>);

        impl<const LABELS: usize> $name<LABELS> {
            /// As an entry of a table.
            pub const fn row(&'static self) -> Row {
                Row { name: self.0.name, kind: Kind::$name, labels: &self.0.labels, help: self.0.help }
            }

            /// The labels with these values.
            fn with(&self, values: [&'static str; LABELS]) -> Vec<metrics::Label> {
                self.0.labels.into_iter().zip(values).map(|(name, value)| metrics::Label::from_static_parts(name, value)).collect()
            }
        }
    )*};
}

kinds! {
    /// A series that only grows.
    Counter
    /// A series that goes up and down.
    Gauge
    /// A series of values by size.
    Histogram
}

#[expect(clippy::disallowed_macros, reason = "this is what all others go through")]
impl<const LABELS: usize> Counter<LABELS> {
    /// Counts `n` more, under these values of the labels.
    pub fn add(&self, values: [&'static str; LABELS], n: u64) {
        metrics::counter!(self.0.name, self.with(values)).increment(n);
    }
}

#[expect(clippy::disallowed_macros, reason = "this is what all others go through")]
impl<const LABELS: usize> Gauge<LABELS> {
    /// Sets it, under these values of the labels.
    pub fn set(&self, values: [&'static str; LABELS], value: f64) {
        metrics::gauge!(self.0.name, self.with(values)).set(value);
    }

    /// Changes it by so much: where several keep one sum.
    pub fn change(&self, values: [&'static str; LABELS], by: f64) {
        metrics::gauge!(self.0.name, self.with(values)).increment(by);
    }
}

#[expect(clippy::disallowed_macros, reason = "this is what all others go through")]
impl<const LABELS: usize> Histogram<LABELS> {
    /// Records a duration in seconds, under these values of the labels.
    pub fn record(&self, values: [&'static str; LABELS], time: Duration) {
        metrics::histogram!(self.0.name, self.with(values)).record(time.as_secs_f64());
    }
}

/// Declares series and the table of them: `kind NAME = "name" ["label", ..] "help";` for each.
#[macro_export]
macro_rules! series {
    ($(#[doc = $about:literal])+ $table:ident { $($kind:ident $name:ident = $text:literal [$($label:literal),*] $help:literal;)+ }) => {
        $(
            #[doc = $help]
            pub static $name: $crate::series::$kind<{ <[&str]>::len(&[$($label),*]) }> =
                $crate::series::$kind($crate::series::Series { name: $text, labels: [$($label),*], help: $help });
        )+

        $(#[doc = $about])+
        pub static $table: &[$crate::series::Row] = &[$($name.row()),+];
    };
}

/// All words that a label of a series may have.
#[derive(Clone, Debug)]
pub struct Vocabulary {
    /// The series.
    pub series: Row,
    /// Which of its labels.
    pub label: &'static str,
    /// The words, and what they mean.
    pub words: Vec<(&'static str, &'static str)>,
}

impl Vocabulary {
    /// Begins the series at zero under each of the words, if it has no other label.
    #[expect(clippy::disallowed_macros, reason = "this is what all others go through")]
    pub(crate) fn begin(&self) {
        if self.series.labels == [self.label] {
            for (word, _) in &self.words {
                let label = metrics::Label::from_static_parts(self.label, word);
                metrics::counter!(self.series.name, vec![label]).increment(0);
            }
        }
    }
}

/// Exports the counters of a core, which tell what has happened so far: what has come since the last time is added.
#[derive(Debug)]
pub(crate) struct Exported<const N: usize>([u64; N]);

impl<const N: usize> Exported<N> {
    /// Of a core that has counted nothing yet.
    pub(crate) fn new() -> Self {
        Self([0; N])
    }

    /// Adds to `series` what is new of each of these, under its label.
    pub(crate) fn add(&mut self, series: &Counter<1>, now: [(&'static str, u64); N]) {
        for (last, (label, now)) in self.0.iter_mut().zip(now) {
            series.add([label], now.saturating_sub(std::mem::replace(last, now)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_knows_the_unit_that_its_name_bears() {
        let unit = |name| Row { name, kind: Kind::Gauge, labels: &[], help: "" }.unit();
        assert_eq!(unit("x_busy_seconds_total"), "seconds");
        assert_eq!(unit("x_limit_bytes_per_second"), "bytes_per_second");
        assert_eq!(unit("x_cells_total"), "");
    }
}
