//! The configuration file.
//!
//! Every key has a default, an unknown key is an error that names the nearest one, and every duration, size and rate
//! carries its unit.

use crate::units::{Rate, Span};
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The longest delay that can be set.
const LONGEST_DELAY: Duration = Duration::from_millis(20);

/// Everything an operator can set.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The network that we belong to.
    pub network: Network,
    /// What this router is.
    pub router: Router,
    /// The TCP transport.
    pub ntcp2: Ntcp2,
    /// The UDP transport.
    pub ssu2: Ssu2,
    /// What the line bears.
    pub bandwidth: Bandwidth,
    /// Tunnels of others.
    pub transit: Transit,
    /// Our own exploratory tunnels.
    pub exploratory: Exploratory,
    /// The network database.
    pub netdb: NetDb,
    /// The exporter.
    pub metrics: Metrics,
    /// The log.
    pub log: Log,
}

/// `[network]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Network {
    /// 2 is the live network.
    pub id: u8,
    /// Accept peers on loopback and in private ranges; only in private networks.
    pub allow_private_addresses: bool,
    /// RouterInfo files or folders that are read at start.
    pub bootstrap: Vec<PathBuf>,
    /// Files with addresses, networks and router hashes that we have nothing to do with, one to a line.
    pub blocklist: Vec<PathBuf>,
}

/// `[router]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Router {
    /// Keep and serve a part of the network database.
    pub floodfill: bool,
}

/// `[ntcp2]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ntcp2 {
    /// Whether to speak it.
    pub enabled: bool,
    /// Where to listen: one address, or several of different families.
    pub listen: OneOrMany,
    /// The addresses to publish; without any, peers cannot call us.
    pub publish: OneOrMany,
    /// I/O threads; 0 means one per core.
    pub threads: usize,
    /// Sessions without traffic are closed after this.
    pub idle_close: Span,
    /// Handshakes that may run at once.
    pub max_handshakes: usize,
}

/// `[ssu2]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ssu2 {
    /// Whether to speak it.
    pub enabled: bool,
    /// Where to listen: one address, or several of different families.
    pub listen: OneOrMany,
    /// The addresses to publish; without any, peers reach us through introducers.
    pub publish: OneOrMany,
    /// Sessions without traffic are closed after this.
    pub idle_close: Span,
    /// Handshakes that may run at once.
    pub max_handshakes: usize,
    /// The largest IP packet that the line takes, 1280 to 1500.
    pub mtu: u16,
    /// Whether the kernel, or the network card, may cut what we send into datagrams, where it can.
    pub segmentation_offload: bool,
}

/// One socket address or a list of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "RawOneOrMany")]
pub struct OneOrMany(pub Vec<SocketAddr>);

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

/// `[bandwidth]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Bandwidth {
    /// What may come in.
    pub inbound: Rate,
    /// What may go out.
    pub outbound: Rate,
    /// The share of it that tunnels of others may take, 0 to 1.
    pub transit_share: f64,
    /// How long a busy router may hold cells back so that it handles more of them at once, which spares processor time;
    /// `0ms` is never, and more than `20ms` is refused. Tunnels take hundreds of milliseconds, so nobody notices.
    pub max_delay: Span,
}

/// `[transit]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Transit {
    /// Tunnels of others at once; 0 carries none.
    pub max_tunnels: usize,
}

/// `[exploratory]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Exploratory {
    /// Hops of each tunnel.
    pub length: usize,
    /// Tunnels in each direction.
    pub quantity: usize,
}

/// `[netdb]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NetDb {
    /// RouterInfos that are kept, at most.
    pub max_routers: usize,
    /// Leasesets that are kept, at most.
    pub max_lease_sets: usize,
}

/// `[metrics]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Metrics {
    /// Where `/metrics` and `/health` are served.
    pub listen: Option<SocketAddr>,
}

/// `[log]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// A `tracing` filter, such as `info` or `warn,ramson_actors=debug`.
    pub level: String,
}

impl Default for Network {
    fn default() -> Self {
        Self { id: 2, allow_private_addresses: false, bootstrap: Vec::new(), blocklist: Vec::new() }
    }
}

impl Default for Ntcp2 {
    fn default() -> Self {
        Self {
            enabled: true,
            listen: OneOrMany(vec![SocketAddr::from(([0, 0, 0, 0], 20003))]),
            publish: OneOrMany::default(),
            threads: 0,
            // INTEROP: i2pd closes idle sessions after about two minutes; a floodfill keeps them longer to spare handshakes.
            idle_close: Span(Duration::from_secs(180)),
            max_handshakes: 512,
        }
    }
}

impl Default for Ssu2 {
    fn default() -> Self {
        let ntcp2 = Ntcp2::default();
        Self {
            enabled: true,
            listen: ntcp2.listen,
            publish: OneOrMany::default(),
            idle_close: ntcp2.idle_close,
            max_handshakes: ntcp2.max_handshakes,
            mtu: 1500,
            segmentation_offload: true,
        }
    }
}

impl Default for Bandwidth {
    fn default() -> Self {
        let rate = Rate(5_000_000);
        Self { inbound: rate, outbound: rate, transit_share: 0.8, max_delay: Span(ramson_protocol::shape::MAX_DELAY) }
    }
}

impl Default for Transit {
    fn default() -> Self {
        Self { max_tunnels: 10_000 }
    }
}

impl Default for Exploratory {
    fn default() -> Self {
        Self { length: 2, quantity: 3 }
    }
}

impl Default for NetDb {
    fn default() -> Self {
        Self { max_routers: 50_000, max_lease_sets: 20_000 }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self { listen: Some(SocketAddr::from(([127, 0, 0, 1], 9656))) }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".to_owned() }
    }
}

/// Why a configuration cannot be used. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("cannot read the configuration {0}: {1}")]
    Read(PathBuf, std::io::Error),
    /// The file is no TOML, or has a key or value that is not known.
    #[error("in the configuration {0}: {1}")]
    Parse(PathBuf, String),
    /// Values that do not go together.
    #[error("in the configuration: {0}")]
    Contradiction(String),
}

impl Config {
    /// Reads a file, or takes the defaults without one.
    ///
    /// # Errors
    /// If it cannot be read or understood, with what to do about it.
    pub fn load(path: Option<&Path>) -> Result<Self, ConfigError> {
        let Some(path) = path else { return Ok(Self::default()) };
        let text = std::fs::read_to_string(path).map_err(|e| ConfigError::Read(path.to_owned(), e))?;
        let config = Self::parse(&text).map_err(|e| ConfigError::Parse(path.to_owned(), e))?;
        config.check()?;
        Ok(config)
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// A message with the line, and for an unknown key the nearest one that is known.
    pub fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|e| match nearest(e.message()) {
            Some(hint) => format!("{}did you mean `{hint}`?", e),
            None => e.to_string(),
        })
    }

    fn check(&self) -> Result<(), ConfigError> {
        let fail = |text: &str| Err(ConfigError::Contradiction(text.to_owned()));
        if !(0.0..=1.0).contains(&self.bandwidth.transit_share) {
            return fail("bandwidth.transit_share is a share: write a number from 0 to 1, such as 0.8");
        }
        if self.bandwidth.max_delay.0 > LONGEST_DELAY {
            return fail("bandwidth.max_delay: more than 20ms would be felt in every round trip; 2ms is usual");
        }
        if self.exploratory.length > 7 {
            return fail("exploratory.length: a tunnel has at most 7 hops beside us; 2 is usual");
        }
        if !self.ntcp2.enabled && !self.ssu2.enabled {
            return fail("ntcp2.enabled and ssu2.enabled are both false, which leaves no transport: enable one");
        }
        if !(1280..=1500).contains(&self.ssu2.mtu) {
            return fail("ssu2.mtu: an IP packet of SSU2 has 1280 to 1500 bytes; 1500 is usual");
        }
        let private = |a: &SocketAddr| !ramson_protocol::data::router_address::is_public(a.ip());
        for (name, enabled, listen, publish) in [
            ("ntcp2", self.ntcp2.enabled, &self.ntcp2.listen, &self.ntcp2.publish),
            ("ssu2", self.ssu2.enabled, &self.ssu2.listen, &self.ssu2.publish),
        ] {
            if enabled && listen.0.is_empty() {
                return fail(&format!("{name}.listen is empty: give an address, such as \"0.0.0.0:20003\""));
            }
            if !self.network.allow_private_addresses && publish.0.iter().any(private) {
                return fail(&format!(
                    "{name}.publish is a private or reserved address, which no peer of the live network can call: publish \
                     the public one, or set network.allow_private_addresses = true in a private network"
                ));
            }
        }
        Ok(())
    }
}

/// For "unknown field `x`, expected one of `a`, `b`": the nearest of those expected.
fn nearest(message: &str) -> Option<String> {
    let rest = message.strip_prefix("unknown field `")?;
    let (wrong, expected) = rest.split_once('`')?;
    let known = expected.split('`').skip(1).step_by(2);
    known.max_by(|a, b| strsim::jaro_winkler(wrong, a).total_cmp(&strsim::jaro_winkler(wrong, b))).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_names_the_nearest_and_its_line() {
        let error = Config::parse("[network]\nid = 99\nboostrap = []\n").unwrap_err();
        assert!(error.contains("did you mean `bootstrap`?"), "{error}");
        assert!(error.contains("line 3"), "{error}");
        let error = Config::parse("[netwrok]\nid = 99\n").unwrap_err();
        assert!(error.contains("did you mean `network`?"), "{error}");
    }

    #[test]
    fn a_full_file_is_read() {
        let text = "[network]\nid = 99\nallow_private_addresses = true\n[ntcp2]\nlisten = \"10.3.0.1:20003\"\n\
                    publish = [\"10.3.0.1:20003\", \"[::1]:20003\"]\n[bandwidth]\ninbound = \"25MB/s\"\n";
        let config = Config::parse(text).unwrap();
        assert_eq!(config.network.id, 99);
        assert_eq!(config.ntcp2.publish.0.len(), 2);
        assert_eq!(config.bandwidth.inbound, Rate(25_000_000));
        config.check().unwrap();
    }

    #[test]
    fn a_private_address_is_not_published_to_the_live_network() {
        let config = Config::parse("[ntcp2]\npublish = \"10.3.0.1:20003\"\n").unwrap();
        let error = config.check().unwrap_err().to_string();
        assert!(error.contains("allow_private_addresses"), "{error}");
    }

    #[test]
    fn a_delay_that_would_be_felt_is_refused() {
        let delay = |text: &str| Config::parse(&format!("[bandwidth]\nmax_delay = \"{text}\"\n")).unwrap().check();
        assert!(delay("0ms").is_ok() && delay("5ms").is_ok());
        assert!(delay("1s").unwrap_err().to_string().contains("max_delay"));
    }

    #[test]
    fn a_rate_without_unit_says_what_to_write() {
        let error = Config::parse("[bandwidth]\ninbound = \"25\"\n").unwrap_err();
        assert!(error.contains("25MB/s"), "{error}");
    }
}
