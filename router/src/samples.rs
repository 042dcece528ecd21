//! What `/metrics` says, read back: for commands that tell an operator in words what stands there in numbers.

use std::collections::BTreeMap;

/// One sample of a series.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    /// The values of its labels, by name.
    pub(crate) labels: BTreeMap<String, String>,
    /// Its value.
    pub(crate) value: f64,
}

/// The samples of a page, by series.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples(BTreeMap<String, Vec<Sample>>);

impl Samples {
    /// Reads a page; lines that are no samples are passed over.
    pub(crate) fn read(page: &str) -> Self {
        let mut all = Self::default();
        for line in page.lines().filter(|line| !line.starts_with('#')) {
            let Some((name, value)) = line.rsplit_once(' ') else { continue };
            let Ok(value) = value.parse() else { continue };
            let (name, labels) = name.split_once('{').unwrap_or((name, ""));
            let labels = labels.trim_end_matches('}').split("\",").filter_map(|label| {
                let (name, value) = label.split_once("=\"")?;
                Some((name.to_owned(), value.trim_end_matches('"').to_owned()))
            });
            all.0.entry(name.to_owned()).or_default().push(Sample { labels: labels.collect(), value });
        }
        all
    }

    /// The samples of a series.
    pub(crate) fn of(&self, series: &str) -> &[Sample] {
        self.0.get(series).map_or(&[], Vec::as_slice)
    }

    /// The sum of those samples of a series that have these labels, among others.
    pub(crate) fn sum(&self, series: &str, labels: &[(&str, &str)]) -> f64 {
        let has = |sample: &&Sample| {
            labels.iter().all(|(name, value)| sample.labels.get(*name).is_some_and(|found| found == value))
        };
        self.of(series).iter().filter(has).map(|sample| sample.value).sum()
    }

    /// The sums of a series by the value of one label, without those that are zero.
    pub(crate) fn by(&self, series: &str, label: &str) -> BTreeMap<String, f64> {
        let mut sums: BTreeMap<String, f64> = BTreeMap::new();
        for sample in self.of(series).iter().filter(|sample| sample.value != 0.0) {
            *sums.entry(sample.labels.get(label).cloned().unwrap_or_default()).or_default() += sample.value;
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_found_by_their_labels() {
        let page = "# HELP x X.\n# TYPE x counter\nx{a=\"1\",b=\"u, v\"} 2\nx{a=\"1\",b=\"w\"} 3\nx{a=\"2\",b=\"w\"} 0\ny 0.5\n";
        let samples = Samples::read(page);
        assert_eq!(samples.sum("x", &[("a", "1")]), 5.0);
        assert_eq!(samples.sum("x", &[("b", "u, v")]), 2.0);
        assert_eq!((samples.sum("y", &[]), samples.sum("z", &[])), (0.5, 0.0));
        assert_eq!(samples.by("x", "b"), BTreeMap::from([("u, v".to_owned(), 2.0), ("w".to_owned(), 3.0)]));
    }
}
