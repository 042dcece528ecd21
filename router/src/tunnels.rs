//! The TCP tunnels of the configuration: their keys, their destinations, and the applications on top.

use crate::Failure;
use crate::data_dir::{DataDir, write_atomically};
use crate::settings::tunnel::Tunnel;
use ramson_actors::destination::DestinationConfig;
use ramson_actors::node::Node;
use ramson_actors::pool::Wanted;
use ramson_apps::{Host, tunnel};
use ramson_crypto::x25519::SecretKey;
use ramson_protocol::data::private_keys::PrivateKeys;
use ramson_protocol::streaming::streams::Signer;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// Opens a destination for each tunnel, and starts what runs on it.
///
/// # Errors
/// If keys cannot be read or made, or an application not be started; with what to do.
pub(crate) fn start(host: &Host, tunnels: &[Tunnel], data: &DataDir, node: &Node) -> Result<(), Failure> {
    for config in tunnels {
        let keys = keys(config, data)?;
        let signer = Signer { destination: keys.destination, key: keys.key, offline: keys.offline };
        let server = config.r#type == "server";
        let opened = node.destinations().open(DestinationConfig {
            signer,
            encryption: encryption(&config.name, data)?,
            inbound: Wanted::new(config.quantity, config.inbound_length),
            outbound: Wanted::new(config.quantity, config.outbound_length),
            published: server,
        });
        let (destination, accepted) = opened.ok_or("no thread takes another destination: start fewer tunnels")?;
        let name = config.name.clone();
        match (config.listen.0, config.target.0) {
            (_, Some(target)) if server => host.run(tunnel::server(target, accepted)),
            (Some(listen), _) => {
                let remote = tunnel::parse_name(&config.destination)?;
                let task = tunnel::client(listen, destination, remote, config.port);
                host.run(async move {
                    if let Err(error) = task.await {
                        tracing::error!(%error, %name, "a client tunnel cannot listen; change tunnel.listen");
                    }
                });
            }
            (None, _) => {}
        }
    }
    Ok(())
}

/// Prints the destinations whose keys are in the data folder.
///
/// # Errors
/// If the folder cannot be read.
#[expect(clippy::print_stdout, reason = "it is what the command is for")]
pub(crate) fn list(data: &Path) -> Result<(), Failure> {
    let folder = data.join("destinations");
    let files = match fs::read_dir(&folder) {
        Ok(files) => files.collect::<Result<Vec<_>, _>>()?,
        Err(e) if e.kind() == ErrorKind::NotFound => Vec::new(),
        Err(e) => return Err(format!("cannot read {}: {e}", folder.display()).into()),
    };
    let mut paths: Vec<_> = files.into_iter().map(|file| file.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|kind| kind == "dat"));
    paths.sort();
    for path in paths {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        match read(&path) {
            Ok(Some(keys)) => println!("{name:20} {}", keys.destination.hash().to_b32()),
            Ok(None) => {}
            Err(error) => println!("{name:20} {error}"),
        }
    }
    Ok(())
}

/// The keys of a tunnel's destination: those of the file that it names, or those in the data folder, made at its first start.
fn keys(config: &Tunnel, data: &DataDir) -> Result<PrivateKeys, Failure> {
    if !config.keys.is_empty() {
        let path = Path::new(&config.keys);
        return read(path)?
            .ok_or_else(|| format!("there is no key file {}: correct tunnel.keys", path.display()).into());
    }
    let path = data.destination_path(&config.name, "dat")?;
    if let Some(keys) = read(&path)? {
        return Ok(keys);
    }
    let keys = PrivateKeys::generate(rand::random(), &rand::random());
    write_atomically(&path, &keys.to_bytes(), 0o600).map_err(|e| format!("cannot write {}: {e}", path.display()))?;
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
            write_atomically(&path, &bytes, 0o600).map_err(|e| format!("cannot write {}: {e}", path.display()))?;
            Ok(SecretKey::from_bytes(bytes))
        }
        Err(e) => Err(format!("cannot read {}: {e}", path.display()).into()),
    }
}
