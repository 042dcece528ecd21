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

mod address;
pub(crate) mod bandwidth;
pub(crate) mod bob;
pub(crate) mod clock;
pub(crate) mod exploratory;
pub(crate) mod i2cp;
pub(crate) mod i2pcontrol;
pub(crate) mod key;
pub(crate) mod log;
pub(crate) mod metrics;
pub(crate) mod names;
pub(crate) mod netdb;
pub(crate) mod network;
pub(crate) mod ntcp2;
pub(crate) mod page;
pub(crate) mod proxies;
pub(crate) mod publish;
pub(crate) mod router;
pub(crate) mod sam;
mod section;
pub(crate) mod ssu2;
#[cfg(test)]
mod tests;
pub(crate) mod transit;
pub(crate) mod tunnel;

use crate::import_tunnels;
pub(crate) use address::Endpoint;
use key::{Change, Key};
use serde::Deserialize;
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
            /// Files of `router.tunnel_files`, and how many tunnels of each do not run.
            #[serde(skip)]
            pub left_out: Vec<(String, usize)>,
        }

        impl Settings {
            /// All sections: their names, what they are about, and their keys.
            pub(crate) fn sections() -> Vec<(&'static str, &'static [&'static str], Vec<Key>)> {
                vec![$((stringify!($name), <$section>::ABOUT, <$section>::keys()),)+]
            }

            /// The same of what can stand there many times.
            pub(crate) fn lists() -> Vec<(&'static str, &'static [&'static str], Vec<Key>)> {
                vec![("[tunnel]", tunnel::Tunnel::ABOUT, tunnel::Tunnel::keys())]
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
    clock: clock::Clock,
    router: router::Router,
    ntcp2: ntcp2::Ntcp2,
    ssu2: ssu2::Ssu2,
    bandwidth: bandwidth::Bandwidth,
    transit: transit::Transit,
    exploratory: exploratory::Exploratory,
    netdb: netdb::NetDb,
    metrics: metrics::Metrics,
    log: log::Log,
    names: names::Names,
    http_proxy: proxies::HttpProxy,
    socks_proxy: proxies::SocksProxy,
    sam: sam::Sam,
    i2cp: i2cp::I2cp,
    bob: bob::Bob,
    i2pcontrol: i2pcontrol::I2pControl,
}

/// Keys that have another name now: the section and name before, and the key that does the same.
const RENAMED: [(&str, &str, &str); 1] = [("ntcp2", "threads", "router.io_threads")];

/// What other routers call a key, and what is to be written here.
const FOREIGN: [(&str, &str); 14] = [
    ("bandwidth", "bandwidth.inbound and bandwidth.outbound, such as \"25MB/s\""),
    ("datadir", "--data on the command line"),
    ("host", "ntcp2.publish and ssu2.publish, with the port"),
    ("ifname", "ntcp2.listen and ssu2.listen, with an address"),
    ("ipv4", "an address of IPv4 in ntcp2.listen and ssu2.listen, or none"),
    ("ipv6", "an address of IPv6 in ntcp2.listen and ssu2.listen, such as \"[::]:20003\", or none"),
    ("logfile", "nothing: the log goes to standard error"),
    ("loglevel", "log.level"),
    ("nat", "nothing: it is found and served by itself; router.port_mapping says whether a gateway is asked"),
    ("netid", "network.id"),
    ("notransit", "transit.max_tunnels = 0"),
    ("port", "ntcp2.listen and ssu2.listen, such as \"0.0.0.0:20003\""),
    ("share", "bandwidth.transit_share, such as 0.8"),
    ("transittunnels", "transit.max_tunnels"),
];

/// A name is near to another from here on, by Jaro and Winkler.
const NEAR: f64 = 0.84;

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
        let mut settings = Self::parse(&text).map_err(|e| SettingsError::Parse(path.to_owned(), e))?;
        settings.read_tunnel_files().map_err(SettingsError::Contradiction)?;
        settings.check().map_err(SettingsError::Contradiction)?;
        Ok(settings)
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// A message with the line, and what to write instead.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        // Editors of other systems put a mark in front.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        toml::from_str(text).map_err(|e| format!("{e}{}", advice(text, &e)).trim_end().to_owned())
    }

    /// Adds the tunnels of other routers' files.
    ///
    /// # Errors
    /// If one cannot be read.
    fn read_tunnel_files(&mut self) -> Result<(), String> {
        for file in &self.router.tunnel_files {
            let mut names = self.tunnel.iter().map(|tunnel| tunnel.name.clone()).collect();
            let found = import_tunnels::tunnels(Path::new(file), &mut names);
            let (tunnels, left_out) = found.map_err(|error| format!("router.tunnel_files: {error}"))?;
            self.tunnel.extend(tunnels);
            self.left_out.extend((left_out > 0).then(|| (file.clone(), left_out)));
        }
        Ok(())
    }

    /// Whether the values can be, and go together.
    ///
    /// # Errors
    /// What is wrong, and what to write.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.network.check()?;
        self.bandwidth.check()?;
        self.exploratory.check()?;
        self.netdb.check()?;
        self.ntcp2.check()?;
        self.ssu2.check()?;
        self.names.check()?;
        self.http_proxy.check()?;
        self.socks_proxy.check()?;
        self.sam.check()?;
        self.i2cp.check()?;
        self.bob.check()?;
        self.i2pcontrol.check()?;
        self.log.check()?;
        tunnel::check(&self.tunnel)?;
        if !self.ntcp2.enabled && !self.ssu2.enabled {
            return Err(
                "ntcp2.enabled and ssu2.enabled are both false, which leaves no transport: enable one".to_owned()
            );
        }
        let private = self.network.allow_private_addresses;
        for (name, enabled, listen, publish) in [
            ("ntcp2", self.ntcp2.enabled, &self.ntcp2.listen, &self.ntcp2.publish),
            ("ssu2", self.ssu2.enabled, &self.ssu2.listen, &self.ssu2.publish),
        ] {
            if enabled {
                listen.check(name)?;
                publish.check(name, listen, private)?;
            }
        }
        self.router.check(self)
    }
}

/// What to write instead of what the error is about.
fn advice(text: &str, error: &toml::de::Error) -> String {
    if let Some((old, new)) = renamed(text, error.message()) {
        return format!("{old} is named {new} now");
    }
    let at = error.span().map_or(0, |span| span.start);
    if let Some((wrong, expected)) = unknown(error.message()) {
        return unknown_advice(wrong, &expected, section_at(text, at));
    }
    // A value of another kind: what the key takes is known.
    let Some(key) = key_at(text, at) else { return String::new() };
    let key = Settings::sections().into_iter().flat_map(|(_, _, keys)| keys).find(|known| known.name == key);
    key.map(|key| format!("{} takes: {}", key.name, key.kind)).unwrap_or_default()
}

fn unknown_advice(wrong: &str, expected: &[&str], section: Option<&str>) -> String {
    if let Some(hint) = near(wrong, expected.iter().copied()) {
        return format!("did you mean `{hint}`?");
    }
    let elsewhere: Vec<_> = Settings::sections()
        .into_iter()
        .filter(|(name, _, keys)| {
            Some(*name) != section && keys.iter().any(|key| key.name == format!("{name}.{wrong}"))
        })
        .map(|(name, ..)| format!("[{name}]"))
        .collect();
    if !elsewhere.is_empty() {
        return format!("`{wrong}` is a key of {}", elsewhere.join(", "));
    }
    let foreign = FOREIGN.iter().find(|(name, _)| *name == wrong.to_ascii_lowercase());
    foreign.map(|(_, instead)| format!("instead of `{wrong}` write {instead}")).unwrap_or_default()
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

/// Of "unknown field `x`, expected one of `a`, `b`": the one that is not known, and those that are.
fn unknown(message: &str) -> Option<(&str, Vec<&str>)> {
    let rest = message.strip_prefix("unknown field `")?;
    let (wrong, expected) = rest.split_once('`')?;
    Some((wrong, expected.split('`').skip(1).step_by(2).collect()))
}

/// The nearest of those that are known, if any is near.
fn near<'a>(wrong: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let likeness = |known: &str| strsim::jaro_winkler(wrong, known);
    known.max_by(|a, b| likeness(a).total_cmp(&likeness(b))).filter(|best| likeness(best) >= NEAR)
}

/// The section that a place in the text belongs to.
fn section_at(text: &str, at: usize) -> Option<&str> {
    let headers = text.get(..at)?.lines().rev().map(str::trim);
    headers.filter_map(|line| line.strip_prefix('[')?.split(']').next()).map(str::trim).next()
}

/// The section and key of the line that a place in the text is in.
fn key_at(text: &str, at: usize) -> Option<String> {
    let line = text.get(..at)?.rfind('\n').map_or(0, |end| end + 1);
    let (key, _) = text.get(line..)?.lines().next()?.split_once('=')?;
    Some(format!("{}.{}", section_at(text, line)?, key.trim()))
}
