//! The tunnels of the configuration: their keys, their destinations, and the applications on top.
//!
//! ```text
//! [[tunnel]] --> Plan: which destination it is on --> Running: a task
//!                        '--> Open: a destination, for all tunnels with the same keys
//! SIGHUP     --> what changed ends and begins anew, with its destination if that is another; all else goes on
//! ```
//! Keys are read before anything is changed, so that a file that cannot be read changes nothing.

use crate::Failure;
use crate::data_dir::{DataDir, write_atomically};
use crate::settings::tunnel::{Kind, Tunnel};
use ramson_actors::destination::{DestinationConfig, DestinationHandle, Options};
use ramson_actors::node::Node;
use ramson_actors::pool::Wanted;
use ramson_apps::names::feed::registration;
use ramson_apps::names::{HostName, Names};
use ramson_apps::services::Services;
use ramson_apps::streams::Streams;
use ramson_apps::tunnel::{Behind, Remote, Speech};
use ramson_apps::{Host, http_proxy, http_server, socks, tunnel};
use ramson_crypto::x25519::SecretKey;
use ramson_protocol::b32::B32;
use ramson_protocol::base64;
use ramson_protocol::blinding::Blinding;
use ramson_protocol::data::private_keys::PrivateKeys;
use ramson_transports::clock::Clock;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::future::Future;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

/// Keys that are made at each start; what follows the word is the name of a destination that several tunnels share.
const TRANSIENT: &str = "transient";

/// The tunnels that run.
pub(crate) struct Tunnels {
    host: Rc<Host>,
    data: Rc<DataDir>,
    names: Names,
    node: Node,
    running: BTreeMap<String, Running>,
    open: BTreeMap<Identity, Open>,
}

/// Whose keys a destination has: the text of `keys`, or the name of its only tunnel.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Identity {
    Own(String),
    Shared(String),
}

impl Identity {
    fn of(tunnel: &Tunnel) -> Self {
        if tunnel.keys.is_empty() || tunnel.keys == TRANSIENT {
            Self::Own(tunnel.name.clone())
        } else {
            Self::Shared(tunnel.keys.clone())
        }
    }
}

/// What a destination is to be; that of the first tunnel with its keys counts.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Shape {
    tunnel: String,
    keys: String,
    inbound_length: usize,
    outbound_length: usize,
    quantity: usize,
    /// One of its tunnels is a server's.
    published: bool,
    options: Options,
}

struct Running {
    config: Tunnel,
    task: AbortHandle,
}

struct Open {
    shape: Shape,
    destination: DestinationHandle,
    services: Services,
    task: AbortHandle,
}

impl Open {
    fn close(&self) {
        self.task.abort();
        self.destination.close();
    }
}

/// The keys of a destination that is to be opened.
struct Keys {
    signing: PrivateKeys,
    encryption: SecretKey,
}

impl Tunnels {
    /// None yet.
    pub(crate) fn new(host: Rc<Host>, data: Rc<DataDir>, names: Names, node: Node) -> Self {
        Self { host, data, names, node, running: BTreeMap::new(), open: BTreeMap::new() }
    }

    /// Has these tunnels run and no others. Those that run already, unchanged, are not disturbed.
    ///
    /// # Errors
    /// If keys cannot be read or made, with what to do; nothing has changed then. If no thread takes another destination.
    pub(crate) fn apply(&mut self, wanted: &[Tunnel]) -> Result<(), Failure> {
        let shapes = shapes(wanted);
        let mut keys = BTreeMap::new();
        for (identity, shape) in &shapes {
            if self.open.get(identity).is_none_or(|open| open.shape != *shape) {
                keys.insert(identity.clone(), self.keys(shape)?);
            }
        }
        for config in wanted.iter().filter(|config| config.kind().is_ok_and(Kind::is_server)) {
            behind(config)?;
        }
        self.running.retain(|name, running| {
            let same = wanted.iter().any(|tunnel| tunnel.name == *name && *tunnel == running.config);
            let stays = same && !keys.contains_key(&Identity::of(&running.config));
            if !stays {
                running.task.abort();
            }
            stays
        });
        self.open.retain(|identity, open| {
            let stays = shapes.get(identity) == Some(&open.shape);
            if !stays {
                open.close();
            }
            stays
        });
        for (identity, keys) in keys {
            if let Some(shape) = shapes.get(&identity) {
                let open = self.open(shape.clone(), keys)?;
                self.open.insert(identity, open);
            }
        }
        for config in wanted {
            if !self.running.contains_key(&config.name)
                && let Some(open) = self.open.get(&Identity::of(config))
            {
                let task = self.start(config, open)?;
                self.running.insert(config.name.clone(), Running { config: config.clone(), task });
            }
        }
        Ok(())
    }

    fn keys(&self, shape: &Shape) -> Result<Keys, Failure> {
        let keys = self.keys_of(shape)?;
        if shape.options.encrypted.is_some() && keys.signing.offline.is_some() {
            return Err(format!("tunnel {}: an encrypted LeaseSet needs the destination's own key, and its file has a transient one: remove encrypted", shape.tunnel).into());
        }
        Ok(keys)
    }

    fn keys_of(&self, shape: &Shape) -> Result<Keys, Failure> {
        if shape.keys.starts_with(TRANSIENT) {
            let signing = PrivateKeys::generate(rand::random(), &rand::random());
            return Ok(Keys { signing, encryption: SecretKey::from_bytes(rand::random()) });
        }
        Ok(Keys {
            signing: signing_keys(&shape.tunnel, &shape.keys, &self.data)?,
            encryption: encryption(&shape.tunnel, &self.data)?,
        })
    }

    fn open(&self, shape: Shape, keys: Keys) -> Result<Open, Failure> {
        let Keys { signing, encryption } = keys;
        let opened = self.node.destinations().open(DestinationConfig {
            signer: signing.into(),
            encryption,
            inbound: Wanted::new(shape.quantity, shape.inbound_length),
            outbound: Wanted::new(shape.quantity, shape.outbound_length),
            published: shape.published,
            options: shape.options.clone(),
        });
        let (destination, accepted) = opened.ok_or("no thread takes another destination: start fewer tunnels")?;
        let services = Services::default();
        let task = self.host.run(services.clone().serve(accepted));
        Ok(Open { shape, destination, services, task })
    }

    fn start(&self, config: &Tunnel, open: &Open) -> Result<AbortHandle, Failure> {
        let streams = Streams::of(open.destination.clone());
        let names = self.names.clone();
        let patience = crate::proxy::PATIENCE;
        let port = config.port;
        let client = |speech| -> Result<AbortHandle, Failure> {
            let remote = Remote::parse(&config.destination)?;
            let (streams, names) = (streams.clone(), names.clone());
            Ok(self.listen(config, move |at| tunnel::client(at, streams, names, remote, port, speech)))
        };
        Ok(match config.kind()? {
            Kind::Client => client(Speech::Any)?,
            Kind::IrcClient => client(Speech::Irc)?,
            Kind::Socks => {
                let proxy = Arc::new(socks::Proxy::new(streams, names, patience));
                self.listen(config, move |at| proxy.serve(at))
            }
            Kind::HttpProxy | Kind::Connect => {
                let proxy = http_proxy::Proxy::new(streams, names, patience);
                let only = config.kind()? == Kind::Connect;
                let proxy = Arc::new(if only { proxy.only_connect() } else { proxy });
                self.listen(config, move |at| proxy.serve(at))
            }
            Kind::Server | Kind::HttpServer | Kind::IrcServer | Kind::Site => {
                let behind = behind(config)?;
                self.host.run(tunnel::server(open.services.add(config.port, config.access()?), behind))
            }
        })
    }

    /// Runs what serves programs of this machine. A socket that a tunnel before this one had may be free in a moment.
    fn listen<F>(&self, config: &Tunnel, serve: impl FnOnce(TcpListener) -> F + Send + 'static) -> AbortHandle
    where
        F: Future<Output = ()> + Send,
    {
        let (listen, name) = (config.listen.0, config.name.clone());
        self.host.run(async move {
            let Some(listen) = listen else { return };
            match bind(listen).await {
                Ok(listener) => serve(listener).await,
                Err(error) => tracing::error!(%error, %name, "a tunnel cannot listen; change tunnel.listen"),
            }
        })
    }
}

/// So often it is tried to listen, and how long apart.
const TRIES: usize = 10;
const APART: std::time::Duration = std::time::Duration::from_millis(100);

async fn bind(listen: SocketAddr) -> std::io::Result<TcpListener> {
    let mut tries = 1;
    loop {
        match TcpListener::bind(listen).await {
            Err(error) if error.kind() == ErrorKind::AddrInUse && tries < TRIES => {
                tries += 1;
                tokio::time::sleep(APART).await;
            }
            bound => return bound,
        }
    }
}

/// What stands behind a server tunnel.
///
/// # Errors
/// If there is nothing, with what to write.
fn behind(config: &Tunnel) -> Result<Behind, Failure> {
    let text = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    let site = |content| {
        let site = http_server::Site::new(http_server::Config {
            content,
            host: text(&config.host),
            reject_inproxy: config.reject_inproxy,
            requests_per_minute: config.requests_per_minute,
            changes_per_minute: config.changes_per_minute,
        });
        let failed =
            |error| format!("tunnel {}: cannot show {}: {error}; correct directory", config.name, config.directory);
        site.map(Behind::Web).map_err(failed)
    };
    let target = config.target.0.ok_or("a server tunnel needs target");
    Ok(match config.kind()? {
        Kind::Site => site(http_server::Content::Folder { path: config.directory.clone().into(), spa: config.spa })?,
        Kind::HttpServer => site(http_server::Content::Program(target?))?,
        Kind::IrcServer => Behind::Irc { target: target?, password: text(&config.webirc_password) },
        _ => Behind::Program(target?),
    })
}

/// The destinations of these tunnels.
fn shapes(tunnels: &[Tunnel]) -> BTreeMap<Identity, Shape> {
    let mut shapes = BTreeMap::new();
    let published: BTreeSet<Identity> =
        tunnels.iter().filter(|one| one.kind().is_ok_and(Kind::is_server)).map(Identity::of).collect();
    for tunnel in tunnels {
        let identity = Identity::of(tunnel);
        let published = published.contains(&identity);
        shapes.entry(identity).or_insert_with(|| Shape {
            tunnel: tunnel.name.clone(),
            keys: tunnel.keys.clone(),
            inbound_length: tunnel.inbound_length,
            outbound_length: tunnel.outbound_length,
            quantity: tunnel.quantity,
            published,
            // They were checked with all settings.
            options: tunnel.options().unwrap_or_default(),
        });
    }
    shapes
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::start_node;
    use crate::settings::Settings;

    const NODE: &str = "[network]\nid = 99\nallow_private_addresses = true\n[router]\nio_threads = 1\n\
                        [ntcp2]\nlisten = \"127.0.0.1:0\"\n[ssu2]\nenabled = false\n[exploratory]\nquantity = 0\n";

    fn tunnels(text: &str) -> Vec<Tunnel> {
        Settings::parse(text).unwrap().tunnel
    }

    fn server(name: &str, more: &str) -> String {
        format!("[[tunnel]]\nname = \"{name}\"\ntype = \"server\"\ntarget = \"127.0.0.1:1\"\n{more}\n")
    }

    #[test]
    fn tunnels_with_the_same_keys_share_a_destination_that_is_published_for_one_server() {
        let client = "[[tunnel]]\nname = \"c\"\ntype = \"socks\"\nlisten = \"127.0.0.1:1\"\nkeys = \"k.dat\"\n";
        let all = shapes(&tunnels(&format!("{client}{}{}", server("a", "keys = \"k.dat\""), server("b", ""))));
        assert_eq!(all.len(), 2);
        assert!(all[&Identity::Shared("k.dat".to_owned())].published);
        assert_eq!(all[&Identity::Shared("k.dat".to_owned())].tunnel, "c");
        assert!(!shapes(&tunnels(client))[&Identity::Shared("k.dat".to_owned())].published);
    }

    #[actix::test]
    async fn what_changed_begins_anew_and_all_else_is_not_disturbed() {
        let folder = tempfile::tempdir().unwrap();
        let data = Rc::new(DataDir::open(folder.path()).unwrap());
        let node = start_node(&Settings::parse(NODE).unwrap(), &data, None).unwrap();
        let names = Names::new(data.names_path());
        let mut running = Tunnels::new(Rc::new(Host::start().unwrap()), data, names, node.clone());
        let (a, b) = (server("a", ""), server("b", ""));
        let shared = |name: &str| server(name, "keys = \"transient-x\"\nport = 5");
        running.apply(&tunnels(&format!("{a}{b}{}", shared("c")))).unwrap();
        let task = |running: &Tunnels, name: &str| running.running[name].task.id();
        let before = ["a", "b", "c"].map(|name| task(&running, name));
        let hash = |running: &Tunnels| running.open[&Identity::Shared("transient-x".to_owned())].destination.hash();
        let shared_before = hash(&running);
        // b changes, d comes to c's destination.
        let changed = server("b", "quantity = 2");
        running.apply(&tunnels(&format!("{a}{changed}{}{}", shared("c"), shared("d")))).unwrap();
        assert_eq!([task(&running, "a"), task(&running, "c")], [before[0], before[2]]);
        assert_ne!(task(&running, "b"), before[1]);
        assert_eq!((running.open.len(), hash(&running)), (3, shared_before));
        // Keys that cannot be read change nothing.
        let error = running.apply(&tunnels(&server("e", "keys = \"/nowhere/x.dat\""))).unwrap_err().to_string();
        assert!(error.contains("correct tunnel.keys"), "{error}");
        assert_eq!((task(&running, "a"), running.running.len()), (before[0], 4));
        running.apply(&tunnels(&a)).unwrap();
        assert_eq!((task(&running, "a"), running.running.len(), running.open.len()), (before[0], 1, 1));
        node.stop().await;
    }
}
