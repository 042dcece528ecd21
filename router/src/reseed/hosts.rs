//! Whom a node asks for bundles, and whose it believes.

use super::outside::World;
use crate::Failure;
use crate::settings::Settings;
use crate::settings::network::Reseed;
use ramson_actors::reseeder::ReseedConfig;
use ramson_protocol::reseed::certificate::{Certificate, Signers};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The hosts of the live network that both i2pd and Java I2P ask.
pub(crate) const USUAL: [&str; 10] = [
    "https://i2p.novg.net/",
    "https://i2pseed.creativecowpat.net:8443/",
    "https://reseed-fr.i2pd.xyz/",
    "https://reseed-pl.i2pd.xyz/",
    "https://reseed.diva.exchange/",
    "https://reseed.i2pgit.org/",
    "https://reseed.onion.im/",
    "https://reseed.stormycloud.org/",
    "https://reseed2.i2p.net/",
    "https://www2.mk16.de/",
];

/// The number of the live network.
const LIVE: u8 = 2;

/// Signers of whom one is not believed alone.
const NEEDED: usize = 2;

macro_rules! certificates {
    ($($name:literal),+ $(,)?) => {
        [$(($name, include_str!(concat!("../../certificates/", $name, ".crt")))),+]
    };
}

/// The people who sign bundles for the live network, as i2pd ships their certificates.
const CERTIFICATES: [(&str, &str); 14] = certificates![
    "acetone_at_mail.i2p",
    "admin_at_stormycloud.org",
    "creativecowpat_at_mail.i2p",
    "diyarciftci_at_protonmail.com",
    "echelon3_at_mail.i2p",
    "hankhill19580_at_gmail.com",
    "i2p-reseed_at_mk16.de",
    "igor_at_novg.net",
    "lazygravy_at_mail.i2p",
    "orignal_at_mail.i2p",
    "r4sas-reseed_at_mail.i2p",
    "rambler_at_mail.i2p",
    "reseed_at_diva.exchange",
    "sahil_at_mail.i2p",
];

/// What a node is told of reseeding; nothing if it is not to. `kept` is the folder for bundles that were good.
///
/// # Errors
/// If a host is no address, or a certificate cannot be read.
pub(crate) fn plan(settings: &Settings, kept: PathBuf) -> Result<Option<ReseedConfig>, Failure> {
    let (id, own) = (settings.network.id, &settings.network.reseed);
    let hosts: Vec<String> = match own {
        Reseed::Usual if id == LIVE => USUAL.map(str::to_owned).to_vec(),
        Reseed::Usual | Reseed::Off => return Ok(None),
        Reseed::Hosts(hosts) => hosts.clone(),
    };
    if hosts.is_empty() {
        return Ok(None);
    }
    let addresses = hosts.iter().map(|host| address(host, id)).collect::<Result<Vec<_>, _>>()?;
    let needed = NEEDED.min(hosts.len());
    if needed < NEEDED {
        tracing::warn!("network.reseed names one host: it is believed alone; name two or more, of different people");
    }
    let outside = Arc::new(World::new(settings, addresses, kept)?);
    Ok(Some(ReseedConfig { hosts, needed, signers: signers(settings)?, outside }))
}

/// Where a host has its bundle.
///
/// # Errors
/// If it is not of the form that is asked for.
pub(crate) fn address(host: &str, id: u8) -> Result<String, Failure> {
    let wrong = || {
        format!(
            "network.reseed: {host:?} is no reseed host: write its address with https, such as \"https://reseed.example.org/\""
        )
    };
    let rest = host.strip_prefix("https://").ok_or_else(wrong)?;
    if rest.is_empty() || rest.starts_with('/') || rest.contains(char::is_whitespace) || rest.contains(['?', '#']) {
        return Err(wrong().into());
    }
    // spec: updates §SU3 Reseed File Specification — the file's name, and the network in the query.
    let file = if host.ends_with(".su3") { "" } else { "/i2pseeds.su3" };
    Ok(format!("{}{file}?netid={id}", host.trim_end_matches('/')))
}

/// All whose bundles are believed: in the live network those who come with the router, and everybody whose certificate
/// stands in `network.reseed_certificates`.
///
/// # Errors
/// If a file cannot be read or is none.
pub(crate) fn signers(settings: &Settings) -> Result<Signers, Failure> {
    let mut signers = Signers::default();
    if settings.network.id == LIVE {
        for (name, text) in CERTIFICATES {
            let all = Certificate::parse_all(text.as_bytes()).map_err(|e| format!("the certificate of {name}: {e}"))?;
            all.into_iter().for_each(|certificate| signers.add(certificate));
        }
    }
    for (path, text) in files(&settings.network.reseed_certificates)? {
        match Certificate::parse_all(&text) {
            Ok(all) => all.into_iter().for_each(|certificate| signers.add(certificate)),
            // One of TLS has another kind of key, and is of use to the client alone.
            Err(error) => tracing::debug!(path = %path.display(), %error, "not the certificate of a signer"),
        }
    }
    Ok(signers)
}

/// What is in `network.reseed_certificates`: the files, and those of folders that end in `.crt` or `.pem`.
///
/// # Errors
/// If one that is named cannot be read.
pub(super) fn files(paths: &[PathBuf]) -> Result<Vec<(PathBuf, Vec<u8>)>, Failure> {
    let failed = |path: &Path, e| format!("cannot read network.reseed_certificates entry {}: {e}", path.display());
    let mut found = Vec::new();
    for path in paths {
        let mut files = vec![path.clone()];
        if path.is_dir() {
            files = std::fs::read_dir(path)
                .map_err(|e| failed(path, e))?
                .filter_map(|entry| Some(entry.ok()?.path()))
                .filter(|path| path.extension().is_some_and(|end| end == "crt" || end == "pem"))
                .collect();
            files.sort();
        }
        for file in files {
            let text = std::fs::read(&file).map_err(|e| failed(&file, e))?;
            // A folder of certificates may hold keys, which are nobody's business here.
            if !text.windows(11).any(|part| part == b"PRIVATE KEY") {
                found.push((file, text));
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ramson_protocol::time::Wall;

    fn settings(text: &str) -> Settings {
        Settings::parse(text).unwrap()
    }

    #[test]
    fn the_certificates_that_come_with_the_router_are_good_and_named_like_their_files() {
        let signers = signers(&Settings::default()).unwrap();
        assert_eq!(signers.len(), CERTIFICATES.len());
        for (name, _) in CERTIFICATES {
            let [one] = signers.of(&name.replace("_at_", "@")) else { panic!("{name}") };
            assert!(one.is_valid(Wall::from_secs(1_780_000_000)), "{name} has ended in 2026");
        }
    }

    #[test]
    fn the_live_network_asks_two_signers_of_the_usual_hosts_and_a_private_one_only_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let plan = |text: &str| plan(&settings(text), folder.path().join("kept"));
        let live = plan("").unwrap().unwrap();
        assert_eq!((live.hosts.len(), live.needed), (USUAL.len(), 2));
        assert!(plan("[network]\nreseed = false\n").unwrap().is_none());
        assert!(plan("[network]\nid = 99\n").unwrap().is_none());
        assert!(plan("[network]\nid = 99\nreseed = true\n").unwrap().is_none());
        let own = plan("[network]\nid = 99\nreseed = [\"https://10.1.0.9:8443/\"]\n").unwrap().unwrap();
        assert_eq!((own.hosts.len(), own.needed, own.signers.len()), (1, 1, 0));
        let own = plan("[network]\nreseed = [\"https://a.example/\", \"https://b.example/\"]\n").unwrap().unwrap();
        assert_eq!((own.needed, own.signers.len()), (2, CERTIFICATES.len()));
    }

    #[test]
    fn a_host_is_asked_for_the_file_of_its_network() {
        assert_eq!(address("https://a.example/", 2).unwrap(), "https://a.example/i2pseeds.su3?netid=2");
        assert_eq!(address("https://a.example:8443", 99).unwrap(), "https://a.example:8443/i2pseeds.su3?netid=99");
        assert_eq!(address("https://a.example/x/y.su3", 2).unwrap(), "https://a.example/x/y.su3?netid=2");
        for wrong in ["", "a.example", "http://a.example/", "https://", "https:///x", "https://a b/", "https://a/?x=1"]
        {
            let error = address(wrong, 2).unwrap_err().to_string();
            assert!(error.contains("network.reseed") && error.contains("https://reseed.example.org/"), "{error}");
        }
    }
}
