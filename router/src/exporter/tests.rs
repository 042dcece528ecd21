//! What a running node exports, held against the tables.

use super::{Began, install, render, series};
use crate::data_dir::DataDir;
use crate::run::start_node;
use crate::settings::Settings;
use ramson_actors::series::{Kind, Row};
use std::collections::{BTreeMap, HashMap, HashSet};

/// What a page says of each family: its help, its type, and the label names of its samples.
#[derive(Debug, Default)]
struct Family {
    help: String,
    kind: String,
    labels: HashSet<Vec<String>>,
}

fn families(text: &str) -> BTreeMap<String, Family> {
    let mut all: BTreeMap<String, Family> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next()) {
            (Some("#"), Some(what)) => {
                let (name, rest) = (words.next().unwrap(), words.next().unwrap().to_owned());
                let family = all.entry(name.to_owned()).or_default();
                let slot = if what == "HELP" { &mut family.help } else { &mut family.kind };
                assert!(std::mem::replace(slot, rest).is_empty(), "{name} stands twice: {line}");
            }
            _ => {
                let (sample, _) = line.rsplit_once(' ').unwrap();
                let (name, labels) = sample.trim_end_matches('}').split_once('{').unwrap_or((sample, ""));
                let of_histogram = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
                let name = of_histogram.filter(|base| all.contains_key(*base)).unwrap_or(name);
                let family = all.get_mut(name).unwrap_or_else(|| panic!("nothing is said of {line}"));
                let names =
                    labels.split(',').filter_map(|label| label.split_once('=')).map(|(name, _)| name.to_owned());
                family.labels.insert(names.filter(|name| name != "le").collect());
            }
        }
    }
    all
}

#[actix::test]
async fn every_series_of_a_running_node_stands_in_a_table_and_says_what_it_is() {
    let prometheus = install().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let text = "[network]\nid = 99\nallow_private_addresses = true\n[router]\nio_threads = 2\n\
                [ntcp2]\nlisten = \"127.0.0.1:0\"\n[ssu2]\nlisten = \"127.0.0.1:0\"\n[exploratory]\nlength = 0\n";
    let node = start_node(&Settings::parse(text).unwrap(), &DataDir::open(folder.path()).unwrap(), None).unwrap();
    while node.own_tunnels().inbound.is_empty() {
        actix::clock::sleep(std::time::Duration::from_millis(10)).await;
    }
    let began = Began::now();
    let page = render(&node, &prometheus, began);
    // Whoever scrapes it takes each change for a restart.
    let start =
        |page: &str| page.lines().find(|line| line.starts_with("process_start_time_seconds ")).map(str::to_owned);
    assert_eq!(start(&page), start(&render(&node, &prometheus, began)));
    assert!(start(&page).is_some());
    let rows: HashMap<&str, &Row> = series().map(|row| (row.name, row)).collect();
    let found = families(&page);
    assert!(found.len() > 40, "{page}");
    for (name, family) in found {
        let row = rows.get(name.as_str()).unwrap_or_else(|| panic!("{name} stands in no table"));
        assert_eq!((family.help.as_str(), family.kind.as_str()), (row.help, row.kind.label()), "{name}");
        let labels = row.labels.iter().map(|label| (*label).to_owned()).collect();
        assert_eq!(family.labels, HashSet::from([labels]), "{name}");
    }
    node.stop().await;
}

#[test]
fn every_series_is_named_by_the_rules_of_prometheus_and_only_once() {
    let mut names = HashSet::new();
    for row in series() {
        assert!(names.insert(row.name), "{} is declared twice", row.name);
        assert_eq!(row.name.ends_with("_total"), row.kind == Kind::Counter, "{}", row.name);
        assert!(row.help.ends_with('.') && !row.help.contains(['\n', '|', '\\']), "{}: {:?}", row.name, row.help);
        for wrong in ["nanosecond", "microsecond", "milli", "kilo", "percent", "minute", "hour"] {
            assert!(!row.name.contains(wrong), "{} is not in base units", row.name);
        }
    }
}
