//! What an operator can set: the configuration file, read into one value.
//!
//! ```text
//! file -> Settings, checked -> the node at its start
//!            | SIGHUP: read anew, compared with those in force
//!            '-> changes -> Live keys: to the node; Start keys: a line in the log
//! ```
//! Each section is declared once, in its own file: key, type, default, documentation, and whether a change is live. Every
//! key has a default, an unknown key is an error that names the nearest one, and every duration, size and rate carries
//! its unit. `docs/configuration.md` is made from the same declarations.

pub(crate) mod bandwidth;
pub(crate) mod exploratory;
pub(crate) mod key;
pub(crate) mod log;
pub(crate) mod metrics;
pub(crate) mod netdb;
pub(crate) mod network;
pub(crate) mod ntcp2;
pub(crate) mod page;
pub(crate) mod router;
mod section;
pub(crate) mod ssu2;
#[cfg(test)]
mod tests;
pub(crate) mod transit;
pub(crate) mod tunnel;

use key::{Change, Key};
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Declares the whole of the sections.
macro_rules! settings {
    ($($name:ident: $section:ty,)+) => {
        /// Everything that an operator can set.
        #[derive(Clone, Debug, Default, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub(crate) struct Settings {
            $(#[doc = concat!("`[", stringify!($name), "]`")] pub $name: $section,)+
            /// `[[tunnel]]`
            pub tunnel: Vec<tunnel::Tunnel>,
        }

        impl Settings {
            /// All sections: their names, what they are about, and their keys.
            pub(crate) fn sections() -> Vec<(&'static str, &'static [&'static str], Vec<Key>)> {
                vec![
                    $((stringify!($name), <$section>::ABOUT, <$section>::keys()),)+
                    ("[tunnel]", tunnel::Tunnel::ABOUT, tunnel::Tunnel::keys()),
                ]
            }

            /// The keys whose values differ from those of `before`.
            pub(crate) fn changes(&self, before: &Self) -> Vec<Change> {
                let mut all = Vec::new();
                $(all.extend(self.$name.changes(&before.$name));)+
                all.extend(tunnel::changes(&self.tunnel, &before.tunnel));
                all
            }
        }
    };
}

settings! {
    network: network::Network,
    router: router::Router,
    ntcp2: ntcp2::Ntcp2,
    ssu2: ssu2::Ssu2,
    bandwidth: bandwidth::Bandwidth,
    transit: transit::Transit,
    exploratory: exploratory::Exploratory,
    netdb: netdb::NetDb,
    metrics: metrics::Metrics,
    log: log::Log,
}

/// Keys that have another name now: the section and name before, and the key that does the same.
const RENAMED: [(&str, &str, &str); 1] = [("ntcp2", "threads", "router.io_threads")];

/// One socket address or a list of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "RawOneOrMany")]
pub(crate) struct OneOrMany(pub Vec<SocketAddr>);

#[derive(Deserialize)]
#[serde(untagged)]
enum RawOneOrMany {
    One(SocketAddr),
    Many(Vec<SocketAddr>),
}

impl From<RawOneOrMany> for OneOrMany {
    fn from(raw: RawOneOrMany) -> Self {
        match raw {
            RawOneOrMany::One(a) => Self(vec![a]),
            RawOneOrMany::Many(all) => Self(all),
        }
    }
}

/// Why a configuration cannot be used. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    /// The file could not be read.
    #[error("cannot read the configuration {0}: {1}")]
    Read(PathBuf, std::io::Error),
    /// The file is no TOML, or has a key or value that is not known.
    #[error("in the configuration {0}: {1}")]
    Parse(PathBuf, String),
    /// Values that cannot be, or do not go together.
    #[error("in the configuration: {0}")]
    Contradiction(String),
}

impl Settings {
    /// Reads a file, or takes the defaults without one.
    ///
    /// # Errors
    /// If it cannot be read or understood, with what to do about it.
    pub(crate) fn load(path: Option<&Path>) -> Result<Self, SettingsError> {
        let Some(path) = path else { return Ok(Self::default()) };
        let text = std::fs::read_to_string(path).map_err(|e| SettingsError::Read(path.to_owned(), e))?;
        let settings = Self::parse(&text).map_err(|e| SettingsError::Parse(path.to_owned(), e))?;
        settings.check().map_err(SettingsError::Contradiction)?;
        Ok(settings)
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// A message with the line, and for an unknown key the one that it was renamed to, or the nearest that is known.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|e| match (renamed(text, e.message()), nearest(e.message())) {
            (Some((old, new)), _) => format!("{e}{old} is named {new} now"),
            (None, Some(hint)) => format!("{e}did you mean `{hint}`?"),
            (None, None) => e.to_string(),
        })
    }

    /// Whether the values can be, and go together.
    fn check(&self) -> Result<(), String> {
        self.bandwidth.check()?;
        self.exploratory.check()?;
        self.ssu2.check()?;
        self.log.check()?;
        tunnel::check(&self.tunnel)?;
        if !self.ntcp2.enabled && !self.ssu2.enabled {
            return Err(
                "ntcp2.enabled and ssu2.enabled are both false, which leaves no transport: enable one".to_owned()
            );
        }
        let private = |a: &SocketAddr| !ramson_protocol::data::router_address::is_public(a.ip());
        for (name, enabled, listen, publish) in [
            ("ntcp2", self.ntcp2.enabled, &self.ntcp2.listen, &self.ntcp2.publish),
            ("ssu2", self.ssu2.enabled, &self.ssu2.listen, &self.ssu2.publish),
        ] {
            if enabled && listen.0.is_empty() {
                return Err(format!("{name}.listen is empty: give an address, such as \"0.0.0.0:20003\""));
            }
            if !self.network.allow_private_addresses && publish.0.iter().any(private) {
                return Err(format!(
                    "{name}.publish is a private or reserved address, which no peer of the live network can call: publish \
                     the public one, or set network.allow_private_addresses = true in a private network"
                ));
            }
        }
        Ok(())
    }
}

/// The key that the error is about, if that is one of [`RENAMED`], and what it is named now.
fn renamed(text: &str, message: &str) -> Option<(String, &'static str)> {
    let table: toml::Table = text.parse().ok()?;
    let (section, key, now) = RENAMED.into_iter().find(|(section, key, _)| {
        let has = table.get(*section).and_then(toml::Value::as_table).is_some_and(|keys| keys.contains_key(*key));
        has && message.starts_with(&format!("unknown field `{key}`"))
    })?;
    Some((format!("{section}.{key}"), now))
}

/// For "unknown field `x`, expected one of `a`, `b`": the nearest of those expected.
fn nearest(message: &str) -> Option<String> {
    let rest = message.strip_prefix("unknown field `")?;
    let (wrong, expected) = rest.split_once('`')?;
    let known = expected.split('`').skip(1).step_by(2);
    known.max_by(|a, b| strsim::jaro_winkler(wrong, a).total_cmp(&strsim::jaro_winkler(wrong, b))).map(str::to_owned)
}
