//! `[router]`

use super::Settings;
use super::key::{Value, quoted};
use super::publish::Published;
use super::section::section;
use ramson_actors::identity::Floodfill;
use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};
use std::fmt;

section! {
    /// What this router is.
    Router = "router" {
        /// What it is for: `"full"` serves programs of this machine as well as other routers; `"relay"` serves other routers
        /// alone: no proxy, tunnel or other service for programs begins.
        role: Role = Role::Full => Start;
        /// Keep and serve a part of the network database: `true` always, as long as peers can call us; `"auto"` if the line, the
        /// time that we have been up, and the load allow it; `false` never.
        floodfill: Keeps = Keeps(Floodfill::No) => Start;
        /// Say nothing of where we are, publish nothing, and carry nothing for others: for a router that only uses the network.
        hidden: bool = false => Start;
        /// Ask the gateway before this machine for ports, by UPnP, PCP and NAT-PMP, where `publish` is `"auto"` and the address
        /// is a private one.
        port_mapping: bool = true => Start;
        /// The key file of the family of routers that this one belongs to, made by `ramson family`. Routers of one operator say
        /// so, and none of them is in a tunnel with another.
        family: String = String::new() => Start;
        /// Files of i2pd (`tunnels.conf`) and Java I2P (`i2ptunnel.config`), with the folders beside them: their tunnels run beside those that
        /// stand here, with the keys that they name. `ramson import-tunnels FILE` shows what becomes of them, and what is left out.
        tunnel_files: Vec<String> = Vec::new() => Live;
        /// Threads that carry the sessions of both transports; 0 means one per core.
        io_threads: usize = 0 => Start;
    }
}

/// More threads than any machine has use for.
const MOST_THREADS: usize = 256;

impl Router {
    /// # Errors
    /// What cannot be, and what to write.
    pub(crate) fn check(&self, all: &Settings) -> Result<(), String> {
        if self.io_threads > MOST_THREADS {
            return Err(format!(
                "router.io_threads = {}: {MOST_THREADS} at most; 0 is one for each core, which is best",
                self.io_threads
            ));
        }
        if self.role == Role::Relay && !all.tunnel.is_empty() {
            return Err(
                "router.role = \"relay\", but there are tunnels, which then would not begin: remove [[tunnel]] and \
                 router.tunnel_files, or write role = \"full\""
                    .to_owned(),
            );
        }
        let nowhere = |enabled: bool, publish: &Published| !enabled || *publish == Published::Nothing;
        let unpublished =
            nowhere(all.ntcp2.enabled, &all.ntcp2.publish) && nowhere(all.ssu2.enabled, &all.ssu2.publish);
        if self.floodfill.0 == Floodfill::Yes && (unpublished || self.hidden) {
            return Err(
                "router.floodfill = true, but nobody can call this router, and a floodfill has to answer: publish an address \
                 (ntcp2.publish, ssu2.publish: \"auto\"), or write false"
                    .to_owned(),
            );
        }
        let published = |publish: &Published| matches!(publish, Published::At(_));
        if self.hidden && (published(&all.ntcp2.publish) || published(&all.ssu2.publish)) {
            return Err(
                "router.hidden = true, but addresses are to be published: remove ntcp2.publish and ssu2.publish, or \
                        write hidden = false"
                    .to_owned(),
            );
        }
        Ok(())
    }
}

/// Whom this router is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// Other routers, and programs of this machine.
    #[default]
    Full,
    /// Other routers alone.
    Relay,
}

impl Value for Role {
    const KIND: &'static str = "`\"full\"` or `\"relay\"`";

    fn text(&self) -> String {
        quoted(match self {
            Self::Full => "full",
            Self::Relay => "relay",
        })
    }
}

/// Whether to be a floodfill, as it is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Keeps(pub(crate) Floodfill);

impl Value for Keeps {
    const KIND: &'static str = "`true`, `false`, or `\"auto\"`";

    fn text(&self) -> String {
        match self.0 {
            Floodfill::No => "false".to_owned(),
            Floodfill::Yes => "true".to_owned(),
            Floodfill::Auto => quoted("auto"),
        }
    }
}

impl<'de> Deserialize<'de> for Keeps {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Word;

        impl Visitor<'_> for Word {
            type Value = Keeps;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true, false, or \"auto\"")
            }

            fn visit_bool<E: Error>(self, on: bool) -> Result<Keeps, E> {
                Ok(Keeps(if on { Floodfill::Yes } else { Floodfill::No }))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Keeps, E> {
                match text {
                    "auto" => Ok(Keeps(Floodfill::Auto)),
                    other => Err(E::custom(format!("`{other}`: write true, false, or \"auto\""))),
                }
            }
        }

        from.deserialize_any(Word)
    }
}
