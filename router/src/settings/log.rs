//! `[log]`

use super::section::section;

/// What a level can be.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// What other programs call them.
const FOREIGN: [(&str, &str); 16] = [
    ("all", "trace"),
    ("alert", "error"),
    ("crit", "error"),
    ("critical", "error"),
    ("emerg", "error"),
    ("err", "error"),
    ("fatal", "error"),
    ("severe", "error"),
    ("fine", "debug"),
    ("verbose", "debug"),
    ("information", "info"),
    ("normal", "info"),
    ("notice", "info"),
    ("none", "off"),
    ("quiet", "warn"),
    ("warning", "warn"),
];

/// Whose lines there can be: our crates, and of the libraries those that write any.
const TARGETS: [&str; 14] = [
    "ramson",
    "ramson_actors",
    "ramson_apps",
    "ramson_clients",
    "ramson_protocol",
    "ramson_transports",
    "actix",
    "actix_http",
    "actix_server",
    "actix_web",
    "mio",
    "rustls",
    "ureq",
    "ureq_proto",
];

section! {
    /// The log.
    Log = "log" {
        /// A filter, such as `info` or `warn,ramson_actors=debug`: a level (`off`, `error`, `warn`, `info`, `debug`, `trace`),
        /// and levels of modules that differ from it.
        level: String = "info".to_owned() => Live;
    }
}

impl Log {
    /// # Errors
    /// What cannot be, and what to write.
    pub(crate) fn check(&self) -> Result<(), String> {
        let parts: Vec<&str> = self.level.split(',').map(str::trim).collect();
        parts.iter().try_for_each(|part| directive(part)).map_err(|e| format!("log.level = {:?}: {e}", self.level))
    }
}

/// One part of a filter.
fn directive(part: &str) -> Result<(), String> {
    match part.split_once('=') {
        None => level(part),
        Some((target, of_it)) => {
            let name = target.split("::").next().unwrap_or_default();
            if !TARGETS.contains(&name) {
                return Err(format!("nothing called `{target}` writes lines; those who do are {}", TARGETS.join(", ")));
            }
            level(of_it)
        }
    }
}

fn level(word: &str) -> Result<(), String> {
    let small = word.to_ascii_lowercase();
    if LEVELS.contains(&small.as_str()) {
        return Ok(());
    }
    let foreign = FOREIGN.iter().find(|(name, _)| *name == small).map(|(_, level)| *level);
    match foreign.or_else(|| super::near(&small, LEVELS.into_iter())) {
        Some(level) => Err(format!("`{word}` is no level: write \"{level}\"")),
        None if TARGETS.contains(&small.as_str()) => {
            Err(format!("of `{word}` the level is missing: write \"{small}=debug\""))
        }
        None => Err(format!("`{word}` is no level: write one of {}", LEVELS.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(level: &str) -> Result<(), String> {
        Log { level: level.to_owned() }.check()
    }

    #[test]
    fn a_level_that_is_taken_lets_lines_through_and_others_name_what_to_write() {
        for good in [
            "info",
            "WARN",
            "off",
            "warn,ramson_actors=debug",
            "info, ramson_actors::netdb=trace, ramson_apps=debug",
            "error,actix_server=info",
        ] {
            assert_eq!(checked(good), Ok(()));
            assert!(crate::log::filter(good).is_ok(), "{good}");
        }
        for (wrong, words) in [
            ("loud", "one of off, error, warn"),
            ("verbose", "\"debug\""),
            ("warning", "\"warn\""),
            ("information", "\"info\""),
            ("critical", "\"error\""),
            ("none", "\"off\""),
            ("inof", "\"info\""),
            ("", "one of off"),
            ("info,", "one of off"),
            ("ramson_actors", "\"ramson_actors=debug\""),
            ("nobody=debug", "nothing called `nobody`"),
            ("info,ramson_actors=loud", "`loud` is no level"),
            ("a=b=c", "nothing called `a`"),
            ("info[span]", "no level"),
        ] {
            let error = checked(wrong).unwrap_err();
            assert!(error.contains(words), "{wrong}: {error}");
        }
    }
}
