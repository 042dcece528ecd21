//! The way to reseed hosts, and the bundles that are kept for the day on which none of them answers.
//!
//! What a host sends counts for nothing before the signature in it is verified; TLS keeps those who listen from learning
//! which routers we begin with. So a host must have a certificate that the world knows, or one that the operator gave us.

use super::hosts::files;
use crate::Failure;
use crate::settings::Settings;
use ramson_actors::disk;
use ramson_actors::reseeder::Outside;
use ramson_protocol::reseed::bundle::MAX_FILE;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use ureq::Agent;
use ureq::config::IpFamily;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

/// A host that has not sent all by then is given up.
const PATIENCE: Duration = Duration::from_secs(90);

/// A host that has not been reached by then is given up.
const CONNECT: Duration = Duration::from_secs(20);

/// INTEROP: what i2pd and Java I2P call themselves, so that nobody is told from it who asks.
const USER_AGENT: &str = "Wget/1.11.4";

/// Bundles that are kept.
const MOST_KEPT: usize = 32;

/// Fetches files over HTTPS.
pub(super) struct Client(Vec<Agent>);

impl Client {
    /// By the proxy and the certificates of the settings.
    ///
    /// # Errors
    /// If the proxy is no address of one, or a certificate cannot be read.
    pub(super) fn new(settings: &Settings) -> Result<Self, Failure> {
        let proxy = match settings.network.reseed_proxy.as_str() {
            "" => None,
            text => Some(ureq::Proxy::new(text).map_err(|_| {
                format!(
                    "network.reseed_proxy = {text:?} is no proxy: write \"socks5://127.0.0.1:9050\" or \"http://127.0.0.1:3128\""
                )
            })?),
        };
        let mut given = Vec::new();
        for (_, text) in files(&settings.network.reseed_certificates)? {
            given.extend(parse_pem(&text).filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(certificate),
                _ => None,
            }));
        }
        let agents = roots(given).into_iter().map(|roots| {
            let tls = TlsConfig::builder().root_certs(roots).build();
            let config = Agent::config_builder()
                .tls_config(tls)
                .proxy(proxy.clone())
                .https_only(true)
                .max_redirects(3)
                .ip_family(IpFamily::Any)
                .user_agent(USER_AGENT)
                .timeout_connect(Some(CONNECT))
                .timeout_global(Some(PATIENCE));
            config.build().new_agent()
        });
        Ok(Self(agents.collect()))
    }

    /// The file at an address, of [`MAX_FILE`] bytes at most.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn fetch(&self, address: &str) -> Result<Vec<u8>, String> {
        let mut last = "no certificates to know it by".to_owned();
        for agent in &self.0 {
            match get(agent, address) {
                Ok(file) => return Ok(file),
                // Another set of certificates may know it.
                Err(ureq::Error::Rustls(error)) => last = format!("its certificate is not trusted: {error}"),
                Err(ureq::Error::BodyExceedsLimit(_)) => return Err(format!("it sends more than {MAX_FILE} bytes")),
                Err(ureq::Error::StatusCode(code)) => return Err(format!("it answers with status {code}")),
                Err(ureq::Error::Timeout(_)) => return Err("it does not answer in time".to_owned()),
                Err(ureq::Error::HostNotFound) => {
                    return Err("its name is not known: is there a name server?".to_owned());
                }
                Err(error) => {
                    last = error.to_string();
                    if !last.contains("certificate") {
                        return Err(last);
                    }
                }
            }
        }
        Err(last)
    }
}

fn get(agent: &Agent, address: &str) -> Result<Vec<u8>, ureq::Error> {
    let mut answer = agent.get(address).call()?;
    answer.body_mut().with_config().limit(MAX_FILE as u64).read_to_vec()
}

/// Whose certificates make a host known: those that were given first, then those of the world.
fn roots(given: Vec<Certificate<'static>>) -> Vec<RootCerts> {
    let given = (!given.is_empty()).then(|| RootCerts::Specific(Arc::new(given)));
    given.into_iter().chain([RootCerts::WebPki]).collect()
}

/// Reads a file that may not be larger than a bundle.
///
/// # Errors
/// The operating system's.
pub(super) fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(MAX_FILE as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The hosts of a node, and its folder for what was good.
pub(super) struct World {
    client: Client,
    addresses: Vec<String>,
    kept: PathBuf,
}

impl World {
    /// For hosts with their bundles at these addresses.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub(super) fn new(settings: &Settings, addresses: Vec<String>, kept: PathBuf) -> Result<Self, Failure> {
        Ok(Self { client: Client::new(settings)?, addresses, kept })
    }
}

impl Outside for World {
    fn fetch(&self, host: usize) -> Result<Vec<u8>, String> {
        let address = self.addresses.get(host).ok_or("there is no such host")?;
        self.client.fetch(address)
    }

    fn keep(&self, signer: &str, file: &[u8]) {
        let path = self.kept.join(format!("{}.su3", file_name(signer)));
        let kept = fs::create_dir_all(&self.kept).and_then(|()| disk::replace(&path, file, 0o600));
        if let Err(error) = kept {
            tracing::warn!(%error, "the bundle of a reseed host could not be kept");
        }
    }

    fn kept(&self) -> Vec<Vec<u8>> {
        let Ok(entries) = fs::read_dir(&self.kept) else { return Vec::new() };
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        let bundles = paths.filter(|path| path.extension().is_some_and(|end| end == "su3"));
        bundles.take(MOST_KEPT).filter_map(|path| read_bounded(&path).ok()).collect()
    }
}

/// A signer's id as the name of a file, as all routers name certificates: `someone_at_mail.i2p`.
pub(super) fn file_name(signer: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
    signer.replace('@', "_at_").chars().map(plain).collect()
}

#[cfg(test)]
mod tests;
