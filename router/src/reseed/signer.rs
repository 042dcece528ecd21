//! Keys and certificates of our own, for bundles and for HTTPS. Each is made when it is first needed, and kept.

use super::outside::file_name;
use crate::Failure;
use ramson_actors::disk;
use ramson_crypto::rsa::PrivateKey;
use rand_chacha::ChaCha20Rng;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How long certificates of ours are good.
const YEARS: u64 = 10;

const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// One who signs bundles.
pub(super) struct Signer {
    /// His id, as his certificate names him.
    pub(super) id: String,
    /// What he signs with.
    pub(super) key: PrivateKey,
    /// The file of his certificate, which all who take his bundles need.
    pub(super) certificate: PathBuf,
}

impl Signer {
    /// The signer with this id, whose key and certificate stand in a folder, or are made there.
    ///
    /// # Errors
    /// If the id is no id, or the files cannot be read or made.
    pub(super) fn open(folder: &Path, id: &str) -> Result<Self, Failure> {
        let (name, host) = id.split_once('@').unwrap_or_default();
        // INTEROP: i2pd reads the name up to the next slash.
        if name.is_empty() || host.is_empty() || id.len() > 64 || id.contains(['/', ' ']) || !id.is_ascii() {
            return Err(format!("--signer {id:?} is no id: write one like an address, such as you@mail.i2p").into());
        }
        let base = folder.join(file_name(id));
        let (key_path, certificate) = (with_end(&base, ".pem"), with_end(&base, ".crt"));
        let key = match fs::read_to_string(&key_path) {
            Ok(text) => PrivateKey::from_pem(&text).map_err(|_| {
                format!("{} is no RSA key with 4096 bits in PKCS #8: restore it, or move it away", key_path.display())
            })?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => make_key(folder, &key_path)?,
            Err(e) => return Err(format!("cannot read {}: {e}", key_path.display()).into()),
        };
        if !certificate.exists() {
            let pem = key.to_pem().map_err(|_| "the key cannot be written as PEM")?;
            let pair = KeyPair::from_pkcs8_pem_and_sign_algo(&pem, &rcgen::PKCS_RSA_SHA512)?;
            let text = certificate_for(id, Vec::new())?.self_signed(&pair)?.pem();
            write(&certificate, text.as_bytes(), 0o644)?;
        }
        Ok(Self { id: id.to_owned(), key, certificate })
    }
}

fn make_key(folder: &Path, path: &Path) -> Result<PrivateKey, Failure> {
    fs::create_dir_all(folder).map_err(|e| format!("cannot make {}: {e}", folder.display()))?;
    let key = PrivateKey::generate(&mut rand::make_rng::<ChaCha20Rng>()).map_err(|_| "no key could be made")?;
    let pem = key.to_pem().map_err(|_| "the key cannot be written as PEM")?;
    write(path, pem.as_bytes(), 0o600)?;
    Ok(key)
}

/// Certificate and key for HTTPS under these names, which are host names or addresses: those in the folder, or new ones.
///
/// # Errors
/// If they cannot be read or made.
pub(crate) fn https(folder: &Path, names: &[String]) -> Result<(String, String), Failure> {
    let (key_path, certificate) = (folder.join("https.key"), folder.join("https.crt"));
    if !(key_path.exists() && certificate.exists()) {
        fs::create_dir_all(folder).map_err(|e| format!("cannot make {}: {e}", folder.display()))?;
        let pair = KeyPair::generate()?;
        let common = names.first().map_or("reseed", String::as_str);
        let text = certificate_for(common, names.to_vec())?.self_signed(&pair)?.pem();
        write(&key_path, pair.serialize_pem().as_bytes(), 0o600)?;
        write(&certificate, text.as_bytes(), 0o644)?;
    }
    let read = |path: &Path| fs::read_to_string(path).map_err(|e| format!("cannot read {}: {e}", path.display()));
    Ok((read(&certificate)?, read(&key_path)?))
}

fn certificate_for(common_name: &str, names: Vec<String>) -> Result<CertificateParams, Failure> {
    let mut params = CertificateParams::new(names)?;
    let mut name = DistinguishedName::new();
    // The order of the certificates that all routers ship.
    name.push(DnType::CountryName, "XX");
    name.push(DnType::OrganizationName, "I2P Anonymous Network");
    name.push(DnType::OrganizationalUnitName, "I2P");
    name.push(DnType::CommonName, common_name);
    params.distinguished_name = name;
    let yesterday = SystemTime::now() - Duration::from_secs(24 * 3600);
    params.not_before = yesterday.into();
    params.not_after = (yesterday + YEAR * YEARS as u32).into();
    Ok(params)
}

fn write(path: &Path, content: &[u8], mode: u32) -> Result<(), Failure> {
    Ok(disk::replace(path, content, mode).map_err(|e| format!("cannot write {}: {e}", path.display()))?)
}

fn with_end(base: &Path, end: &str) -> PathBuf {
    let mut path = base.as_os_str().to_owned();
    path.push(end);
    path.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ramson_protocol::reseed::certificate::Certificate;

    const KEY: &str = include_str!("../../../crypto/src/rsa/test_key.pem");

    #[test]
    fn a_signer_has_a_certificate_that_names_him_and_both_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("me_at_mail.i2p.pem"), KEY).unwrap();
        let signer = Signer::open(folder.path(), "me@mail.i2p").unwrap();
        let text = fs::read(&signer.certificate).unwrap();
        let certificate = Certificate::parse_all(&text).unwrap().remove(0);
        assert_eq!((certificate.signer.as_str(), certificate.key), ("me@mail.i2p", signer.key.public()));
        let again = Signer::open(folder.path(), "me@mail.i2p").unwrap();
        assert_eq!(fs::read(again.certificate).unwrap(), text);
        for wrong in ["", "me", "@", "me@", "a/b@c", "a b@c"] {
            assert!(Signer::open(folder.path(), wrong).is_err(), "{wrong}");
        }
        fs::write(folder.path().join("bad_at_mail.i2p.pem"), "no key").unwrap();
        assert!(Signer::open(folder.path(), "bad@mail.i2p").err().unwrap().to_string().contains("PKCS #8"));
    }

    #[test]
    fn https_has_names_and_addresses() {
        let folder = tempfile::tempdir().unwrap();
        let first = https(folder.path(), &["seed.example.org".to_owned(), "10.1.0.9".to_owned()]).unwrap();
        assert!(first.0.contains("BEGIN CERTIFICATE") && first.1.contains("PRIVATE KEY"));
        assert_eq!(https(folder.path(), &[]).unwrap(), first);
    }
}
