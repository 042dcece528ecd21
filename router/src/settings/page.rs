//! The reference page of the configuration, made from the declarations.

use super::Settings;
use super::key::{Key, Life};
use std::fmt::Write;

const INTRODUCTION: &str = "\
# Configuration

<!-- Made by `ramson doc configuration`. Do not edit: change router/src/settings/ and make it anew. -->

`ramson run --config FILE` reads a TOML file. Every key has a default, so that no file at all is a valid configuration; an
unknown key is an error that names the nearest one; every duration, size and rate carries its unit. `ramson config check
--config FILE` says what is wrong with a file, or what it changes.

At SIGHUP the file is read again, all or nothing: if anything in it is wrong, the settings in force stay as they are. A
changed key that is *live* takes effect at once; of any other the log says that it takes effect at the next start.
";

const EXAMPLE: &str = "\
# The configuration of Ramson. Every key stands here with its default: take the # away to change it.
# `ramson config check --config THIS_FILE` says what is wrong with it, `systemctl reload ramson` has it read again.
";

/// The page, in Markdown.
pub(crate) fn configuration() -> String {
    let mut page = INTRODUCTION.to_owned();
    for (name, about, keys) in Settings::sections().into_iter().chain(Settings::lists()) {
        let _ = write!(page, "\n## `[{name}]`\n\n{}\n\n", joined(about));
        page += "| key | default | live | |\n|---|---|---|---|\n";
        for key in keys {
            row(&mut page, name, &key);
        }
    }
    page
}

/// A configuration file with every key at its default, as a comment, so that it changes nothing.
pub(crate) fn example() -> String {
    let mut page = EXAMPLE.to_owned();
    for (name, about, keys) in Settings::sections() {
        let _ = writeln!(page, "\n[{name}]\n# {}", joined(about));
        for key in keys {
            let key_name = key.name.strip_prefix(name).map_or(key.name.as_str(), |rest| rest.trim_start_matches('.'));
            let live = if key.life == Life::Live { " A change is live." } else { "" };
            page += "\n";
            for line in wrapped(&format!("{}{live}", joined(key.doc)), 100) {
                let _ = writeln!(page, "# {line}");
            }
            let _ = writeln!(page, "#{key_name} = {}", key.default);
        }
    }
    for (name, about, keys) in Settings::lists() {
        // There is none unless it is written, so its lines stay words until the # and the space are taken away.
        let _ = writeln!(page, "\n# [{name}]\n# {}", joined(about));
        for key in keys {
            let key_name = key.name.rsplit('.').next().unwrap_or_default();
            page += "#\n";
            for line in wrapped(&joined(key.doc), 98) {
                let _ = writeln!(page, "#   {line}");
            }
            let _ = writeln!(page, "# {key_name} = {}", key.default);
        }
    }
    page
}

/// Words in lines of so many characters at most, if no word is longer.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Writing to a string cannot fail.
fn row(page: &mut String, section: &str, key: &Key) {
    let section = section.trim_matches(['[', ']']);
    let name = key.name.strip_prefix(section).map_or(key.name.as_str(), |rest| rest.trim_start_matches('.'));
    let live = match key.life {
        Life::Live => "yes",
        Life::Start => "no",
    };
    let (default, doc) = (&key.default, joined(key.doc));
    let _ = writeln!(page, "| `{name}` | `{default}` | {live} | {doc} ({}) |", key.kind);
}

/// Lines of a documentation comment as one.
fn joined(lines: &[&str]) -> String {
    lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_example_changes_nothing_and_with_its_keys_taken_in_neither() {
        use super::super::Settings;
        let text = super::example();
        assert_eq!(Settings::parse(&text).unwrap().changes(&Settings::default()), []);
        let keys =
            text.lines().map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line));
        let taken: String = keys.map(|line| format!("{line}\n")).collect();
        assert_eq!(Settings::parse(&taken).unwrap().changes(&Settings::default()), [], "{taken}");
        let stands = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/ramson.toml");
        let stale = "packaging/ramson.toml is stale: cargo run -p ramson -- doc example > packaging/ramson.toml";
        assert!(std::fs::read_to_string(stands).unwrap_or_default() == text, "{stale}");
    }

    #[test]
    fn the_page_in_docs_is_the_one_that_is_made_now() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
        let stands = std::fs::read_to_string(path).unwrap_or_default();
        let stale = "docs/configuration.md is stale: cargo run -p ramson -- doc configuration > docs/configuration.md";
        assert!(stands == super::configuration(), "{stale}");
    }
}
