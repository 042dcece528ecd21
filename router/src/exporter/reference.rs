//! The reference page of the metrics, made from the tables.

use super::{series, table};
use ramson_actors::series::{Row, Vocabulary, control};
use ramson_transports::stats::{DropCause, Role};
use std::fmt::Write;

const INTRODUCTION: &str = "\
# Metrics

<!-- Made by `ramson doc metrics`. Do not edit: change the tables in actors/src/series/ and router/src/exporter/table.rs. -->

`/metrics` serves these in Prometheus' text format. Counters end in `_total`; quantities are in base units, which their names
bear. A series of the control plane appears when it first counts.

";

/// The page, in Markdown.
pub(crate) fn metrics() -> String {
    let mut rows: Vec<&Row> = series().collect();
    rows.sort_by_key(|row| row.name);
    let mut page = format!("{INTRODUCTION}| series | kind | unit | labels | |\n|---|---|---|---|---|\n");
    for row in rows {
        let labels = row.labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
        // Writing to a string cannot fail.
        let _ = writeln!(page, "| `{}` | {} | {} | {labels} | {} |", row.name, row.kind.label(), row.unit(), row.help);
    }
    page += &values(&table::DROPS.row(), "cause", DropCause::ALL.iter().map(|cause| (cause.label(), cause.about())));
    for Vocabulary { series, label, words } in control::vocabularies() {
        page += &values(&series, label, words.into_iter());
    }
    page += &values(&table::CELLS.row(), "role", Role::ALL.iter().map(|role| (role.label(), role.about())));
    page
}

/// What the values of one of a series' labels mean.
fn values(row: &Row, label: &str, all: impl Iterator<Item = (&'static str, &'static str)>) -> String {
    let mut part = format!("\n## `{}` by `{label}`\n\n| `{label}` | |\n|---|---|\n", row.name);
    for (value, about) in all {
        // Writing to a string cannot fail.
        let _ = writeln!(part, "| `{value}` | {about} |");
    }
    part
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_page_in_docs_is_the_one_that_is_made_now() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md");
        let stands = std::fs::read_to_string(path).unwrap_or_default();
        let stale = "docs/metrics.md is stale: cargo run -p ramson -- doc metrics > docs/metrics.md";
        assert!(stands == super::metrics(), "{stale}");
    }
}
