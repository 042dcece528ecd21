//! The keys of tunnels' destinations: in files of their own, in the data folder, or made at each start.

use super::Shape;
use crate::Failure;
use crate::data_dir::DataDir;
use ramson_actors::disk;
use ramson_apps::names::HostName;
use ramson_apps::names::feed::registration;
use ramson_crypto::x25519::SecretKey;
use ramson_protocol::b32::B32;
use ramson_protocol::base64;
use ramson_protocol::blinding::Blinding;
use ramson_protocol::data::private_keys::PrivateKeys;
use ramson_transports::clock::Clock;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Keys that are made at each start; what follows the word is the name of a destination that several tunnels share.
pub(super) const TRANSIENT: &str = "transient";

/// The keys of a destination that is to be opened.
#[derive(Clone)]
pub(super) struct Keys {
    pub(super) signing: PrivateKeys,
    pub(super) encryption: SecretKey,
}

impl Keys {
    /// New ones, which nobody keeps.
    pub(super) fn transient() -> Self {
        let signing = PrivateKeys::generate(rand::random(), &rand::random());
        Self { signing, encryption: SecretKey::from_bytes(rand::random()) }
    }

    /// Those of a destination.
    ///
    /// # Errors
    /// If they cannot be read or made, or are of the wrong kind, with what to do.
    pub(super) fn read(shape: &Shape, data: &DataDir) -> Result<Self, Failure> {
        let (tunnel, keys) = (&shape.tunnel, &shape.keys);
        if keys.starts_with(TRANSIENT) {
            return Ok(Self::transient());
        }
        let keys = Self { signing: signing_keys(tunnel, keys, data)?, encryption: encryption(tunnel, data)? };
        if shape.options.encrypted.is_some() && keys.signing.offline.is_some() {
            return Err(format!("tunnel {tunnel}: an encrypted LeaseSet needs the destination's own key, and its file has a transient one: remove encrypted").into());
        }
        Ok(keys)
    }
}

/// The address of a tunnel whose keys are in the data folder.
pub(crate) fn address(name: &str, data: &DataDir) -> Result<String, Failure> {
    Ok(signing_keys(name, "", data)?.destination.hash().to_b32())
}

/// Prints the line by which a name is registered for a destination whose keys are in the data folder.
///
/// # Errors
/// If the name is none, or there are no such keys.
#[expect(clippy::print_stdout, reason = "it is what the command is for")]
pub(crate) fn register(data: &Path, name: &str, of: &str) -> Result<(), Failure> {
    let name = HostName::parse(name).map_err(|error| format!("{name:?} cannot be a name: {error}"))?;
    let path = data.join("destinations").join(format!("{of}.dat"));
    let keys = read(&path)?
        .ok_or_else(|| format!("there are no keys {}: `ramson destinations` lists them", path.display()))?;
    let line = registration(&name, &keys, Clock::system());
    println!("{}", line.ok_or("the keys are transient ones: register with the destination's own")?);
    Ok(())
}

/// A destination whose keys are in the data folder.
pub(crate) struct Kept {
    /// The name of its tunnel.
    pub(crate) name: String,
    /// Its address, or what is wrong with its keys.
    pub(crate) address: Result<String, String>,
    /// Its address if its LeaseSet is encrypted.
    pub(crate) encrypted: Option<String>,
}

/// The destinations whose keys are in the data folder.
///
/// # Errors
/// If the folder cannot be read.
pub(crate) fn kept(data: &Path) -> Result<Vec<Kept>, Failure> {
    let folder = data.join("destinations");
    let files = match fs::read_dir(&folder) {
        Ok(files) => files.collect::<Result<Vec<_>, _>>()?,
        Err(e) if e.kind() == ErrorKind::NotFound => Vec::new(),
        Err(e) => return Err(format!("cannot read {}: {e}", folder.display()).into()),
    };
    let mut paths: Vec<_> = files.into_iter().map(|file| file.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|kind| kind == "dat"));
    paths.sort();
    let of = |path: &PathBuf| {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        match read(path) {
            Ok(Some(keys)) => {
                let encrypted =
                    Blinding::of(&keys.destination, &[]).map(|one| B32::Blinded(one.address(false)).to_string());
                Some(Kept { name, address: Ok(keys.destination.hash().to_b32()), encrypted })
            }
            Ok(None) => None,
            Err(error) => Some(Kept { name, address: Err(error.to_string()), encrypted: None }),
        }
    };
    Ok(paths.iter().filter_map(of).collect())
}

/// Prints a new key of a reader of encrypted LeaseSets, and what the server is to know of it.
#[expect(clippy::print_stdout, reason = "it is what the command is for")]
pub(crate) fn client_key() {
    let secret: [u8; 32] = rand::random();
    let public = SecretKey::from_bytes(secret).public();
    println!("reader_key = \"{}\"      # of the reader's tunnel; keep it secret", base64::encode(&secret));
    println!("readers = [\"{}\"]     # of the server's tunnel", base64::encode(&public.0));
}

/// The keys of a tunnel's destination: those of the file that it names, or those in the data folder, made at its first start.
fn signing_keys(name: &str, keys: &str, data: &DataDir) -> Result<PrivateKeys, Failure> {
    if !keys.is_empty() {
        let path = Path::new(keys);
        return read(path)?
            .ok_or_else(|| format!("there is no key file {}: correct tunnel.keys", path.display()).into());
    }
    let path = data.destination_path(name, "dat")?;
    if let Some(keys) = read(&path)? {
        return Ok(keys);
    }
    let keys = PrivateKeys::generate(rand::random(), &rand::random());
    disk::replace(&path, &keys.to_bytes(), 0o600).map_err(|e| format!("cannot write {}: {e}", path.display()))?;
    Ok(keys)
}

fn read(path: &Path) -> Result<Option<PrivateKeys>, Failure> {
    match fs::read(path) {
        Ok(bytes) => PrivateKeys::parse(&bytes).map(Some).map_err(|e| {
            format!("{} is no key file that can be used here ({e}): restore it from a backup", path.display()).into()
        }),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(format!("cannot read {}: {e}", path.display()).into()),
    }
}

/// The private half of the key in a destination's lease sets, which key files do not have.
fn encryption(name: &str, data: &DataDir) -> Result<SecretKey, Failure> {
    let path = data.destination_path(name, "x25519")?;
    match fs::read(&path).map(<[u8; 32]>::try_from) {
        Ok(Ok(bytes)) => Ok(SecretKey::from_bytes(bytes)),
        Ok(Err(_)) => Err(format!("{} has not 32 bytes: remove it, and another key is made", path.display()).into()),
        Err(e) if e.kind() == ErrorKind::NotFound => {
            let bytes: [u8; 32] = rand::random();
            disk::replace(&path, &bytes, 0o600).map_err(|e| format!("cannot write {}: {e}", path.display()))?;
            Ok(SecretKey::from_bytes(bytes))
        }
        Err(e) => Err(format!("cannot read {}: {e}", path.display()).into()),
    }
}
