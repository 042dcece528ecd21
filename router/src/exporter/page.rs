//! Samples that are read at a scrape, gathered by series and written in Prometheus' text format.

use ramson_actors::series::{Histogram, Row, Series};
use ramson_transports::stats::{self, IoStats};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

/// The samples of one scrape, by the name of their series: each as it is written up to its value, and that.
#[derive(Debug, Default)]
pub(super) struct Page(BTreeMap<&'static str, Vec<(String, f64)>>);

impl Page {
    /// A sample of a counter or a gauge, under these values of the labels. Added to what is there under the same.
    pub(super) fn put<const LABELS: usize>(&mut self, series: &Series<LABELS>, values: [&str; LABELS], value: f64) {
        let labels: Vec<_> =
            series.labels.iter().zip(values).map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        self.add(series.name, format!("{}{labels}", series.name), value);
    }

    /// A histogram that was counted by all threads, its values in `1 / per` of the unit.
    pub(super) fn histogram(
        &mut self,
        series: &Histogram<0>,
        threads: &[Arc<IoStats>],
        per: f64,
        of: impl Fn(&IoStats) -> &stats::Histogram,
    ) {
        let name = series.0.name;
        let mut total = 0;
        let buckets = threads.first().map_or(0, |t| of(t).buckets.len());
        for bucket in 0..buckets {
            total += threads.iter().map(|t| of(t).buckets[bucket].get()).sum::<u64>();
            if bucket + 1 < buckets {
                let bound = ((1_u64 << bucket) - 1) as f64 / per;
                self.add(name, format!("{name}_bucket{{le=\"{bound}\"}}"), total as f64);
            }
        }
        let sum: u64 = threads.iter().map(|t| of(t).sum.get()).sum();
        self.add(name, format!("{name}_bucket{{le=\"+Inf\"}}"), total as f64);
        self.add(name, format!("{name}_sum"), sum as f64 / per);
        self.add(name, format!("{name}_count"), total as f64);
    }

    fn add(&mut self, name: &'static str, sample: String, value: f64) {
        let samples = self.0.entry(name).or_default();
        match samples.iter_mut().find(|(other, _)| *other == sample) {
            Some((_, sum)) => *sum += value,
            None => samples.push((sample, value)),
        }
    }

    /// Writes each series of the table that has samples, with what it is.
    pub(super) fn write(&self, table: &[Row], out: &mut String) {
        for Row { name, kind, help, .. } in table {
            let Some(samples) = self.0.get(name) else { continue };
            // Writing to a string cannot fail.
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {}", kind.label());
            for (sample, value) in samples {
                let _ = writeln!(out, "{sample} {value}");
            }
        }
    }
}

/// As a label's value is written.
fn escaped(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', r#"\""#).replace('\n', r"\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use ramson_actors::series::{Gauge, Kind};

    static X: Histogram<0> = Histogram(Series { name: "x", labels: [], help: "X." });
    static Y: Gauge<1> = Gauge(Series { name: "y", labels: ["z"], help: "Y." });

    #[test]
    fn a_histogram_is_cumulative_and_sums_over_threads() {
        let threads = [Arc::new(IoStats::default()), Arc::new(IoStats::default())];
        for (thread, value) in [(0, 1), (0, 16), (1, 16), (1, 100_000)] {
            threads[thread].lanes.record(value);
        }
        let (mut page, mut text) = (Page::default(), String::new());
        page.histogram(&X, &threads, 1e6, |t| &t.lanes);
        page.write(&[X.row()], &mut text);
        assert!(text.starts_with("# HELP x X.\n# TYPE x histogram\nx_bucket{le=\"0\"} 0\n"), "{text}");
        assert!(text.contains("x_bucket{le=\"0.000001\"} 1\n"), "{text}");
        assert!(text.contains("x_bucket{le=\"0.000015\"} 1\n"), "{text}");
        assert!(text.contains("x_bucket{le=\"0.000031\"} 3\n"), "{text}");
        assert!(text.contains("x_bucket{le=\"+Inf\"} 4\n") && text.contains("x_sum 0.100033\n"), "{text}");
    }

    #[test]
    fn the_samples_of_a_series_stand_together_under_what_it_is() {
        let (mut page, mut text) = (Page::default(), String::new());
        for value in ["a", "b\"\\", "a"] {
            page.put(&Y.0, [value], 0.5);
            page.histogram(&X, &[], 1.0, |t| &t.lanes);
        }
        page.write(&[Y.row()], &mut text);
        assert_eq!(text, "# HELP y Y.\n# TYPE y gauge\ny{z=\"a\"} 1\ny{z=\"b\\\"\\\\\"} 0.5\n");
        assert_eq!(Y.row().kind, Kind::Gauge);
    }
}
