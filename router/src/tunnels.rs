//! The tunnels of the configuration: their keys, their destinations, and the applications on top.
//!
//! ```text
//! [[tunnel]] --> Plan: which destination it is on --> Running: a task (start.rs)
//!                        '--> Open: a destination, for all tunnels with the same keys (keys.rs)
//! SIGHUP     --> what changed ends and begins anew, with its destination if that is another; all else goes on
//! ```
//! Keys are read before anything is changed, so that a file that cannot be read changes nothing.

mod keys;
mod start;

pub(crate) use keys::{Kept, address, client_key, kept, register};

use crate::Failure;
use crate::data_dir::DataDir;
use crate::proxy::opener_of;
use crate::settings::tunnel::{Kind, Tunnel};
use keys::Keys;
use ramson_actors::destination::{DestinationConfig, DestinationHandle, Options};
use ramson_actors::node::Node;
use ramson_actors::pool::Wanted;
use ramson_apps::Host;
use ramson_apps::names::Names;
use ramson_apps::network::Network;
use ramson_apps::services::Services;
use ramson_apps::streams::Streams;
use ramson_apps::udp::Datagrams;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// Datagrams of a destination that wait for its tunnels; what comes beyond is lost.
const WAITING: usize = 512;

/// The tunnels that run.
pub(crate) struct Tunnels {
    host: Rc<Host>,
    data: Rc<DataDir>,
    names: Names,
    node: Node,
    running: BTreeMap<String, Running>,
    open: BTreeMap<Identity, Box<Open>>,
}

/// Whose keys a destination has: the text of `keys`, or the name of its only tunnel.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Identity {
    Own(String),
    Shared(String),
}

impl Identity {
    fn of(tunnel: &Tunnel) -> Self {
        if tunnel.keys.is_empty() || tunnel.keys == keys::TRANSIENT {
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
    /// Inbound and outbound.
    wanted: [Wanted; 2],
    /// One of its tunnels is a server's.
    published: bool,
    /// One of its tunnels carries datagrams.
    datagrams: bool,
    /// It is opened when it is first used.
    delayed: bool,
    /// And another one in its stead, when nobody has used it for long.
    anew: bool,
    options: Options,
}

struct Running {
    config: Box<Tunnel>,
    task: AbortHandle,
}

struct Open {
    shape: Shape,
    streams: Streams,
    /// `None` of one that is opened when it is first used.
    destination: Option<DestinationHandle>,
    services: Services,
    datagrams: Option<Datagrams>,
    tasks: Vec<AbortHandle>,
}

impl Open {
    fn close(&self) {
        self.tasks.iter().for_each(AbortHandle::abort);
        match &self.destination {
            Some(destination) => destination.close(),
            None => self.streams.end(),
        }
    }
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
                keys.insert(identity.clone(), Keys::read(shape, &self.data)?);
            }
        }
        for config in wanted.iter().filter(|config| config.kind().is_ok_and(Kind::takes_streams)) {
            start::behind(config)?;
            config.guard()?;
        }
        self.running.retain(|name, running| {
            let same = wanted.iter().any(|tunnel| tunnel.name == *name && *tunnel == *running.config);
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
                self.open.insert(identity, Box::new(open));
            }
        }
        for config in wanted {
            if !self.running.contains_key(&config.name)
                && let Some(open) = self.open.get(&Identity::of(config))
            {
                let task = self.start(config, open)?;
                self.running.insert(config.name.clone(), Running { config: Box::new(config.clone()), task });
            }
        }
        Ok(())
    }

    fn open(&self, shape: Shape, keys: Keys) -> Result<Open, Failure> {
        let (of, signer) = (shape.clone(), keys.signing.clone());
        let config = move || {
            let Keys { signing, encryption } = if of.anew { Keys::transient() } else { keys.clone() };
            DestinationConfig {
                signer: signing,
                encryption,
                inbound: of.wanted[0],
                outbound: of.wanted[1],
                published: of.published,
                options: of.options.clone(),
            }
        };
        let services = Services::default();
        if shape.delayed {
            let streams = Streams::new(opener_of(&self.node, config, shape.datagrams)).anew_when_idle(shape.anew);
            return Ok(Open { shape, streams, destination: None, services, datagrams: None, tasks: Vec::new() });
        }
        let (incoming, came) = if shape.datagrams { Some(mpsc::channel(WAITING)) } else { None }.unzip();
        let opened = self.node.destinations().open_with(config(), incoming);
        let (destination, accepted) = opened.ok_or("no thread takes another destination: start fewer tunnels")?;
        let mut tasks = vec![self.host.run(services.clone().serve(accepted))];
        let datagrams = came.map(|came| {
            let datagrams = Datagrams::of(signer, destination.clone());
            tasks.push(self.host.run(datagrams.clone().serve(came)));
            datagrams
        });
        let streams = Streams::of(destination.clone(), datagrams.clone());
        Ok(Open { shape, streams, destination: Some(destination), services, datagrams, tasks })
    }
}

/// The destinations of these tunnels.
fn shapes(tunnels: &[Tunnel]) -> BTreeMap<Identity, Shape> {
    let mut shapes = BTreeMap::new();
    let those = |is: fn(Kind) -> bool| -> BTreeSet<Identity> {
        tunnels.iter().filter(|one| one.kind().is_ok_and(is)).map(Identity::of).collect()
    };
    let (published, datagrams) = (those(Kind::is_server), those(Kind::has_datagrams));
    // Those that wait for somebody to call or to send cannot be opened later.
    let waits = |one: &&Tunnel| !one.delay_open && !one.new_keys_on_idle || !one.kind().is_ok_and(Kind::can_wait);
    let at_once: BTreeSet<Identity> = tunnels.iter().filter(waits).map(Identity::of).collect();
    for tunnel in tunnels {
        let identity = Identity::of(tunnel);
        let (published, datagrams) = (published.contains(&identity), datagrams.contains(&identity));
        let delayed = !at_once.contains(&identity);
        shapes.entry(identity).or_insert_with(|| Shape {
            tunnel: tunnel.name.clone(),
            keys: tunnel.keys.clone(),
            wanted: tunnel.wanted(),
            published,
            datagrams,
            delayed,
            anew: delayed && tunnel.new_keys_on_idle,
            // They were checked with all settings.
            options: tunnel.options().unwrap_or_default(),
        });
    }
    shapes
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

    #[test]
    fn a_destination_that_only_clients_have_can_wait_until_it_is_used() {
        let client = "[[tunnel]]\nname = \"c\"\ntype = \"socks\"\nlisten = \"127.0.0.1:1\"\nkeys = \"transient-x\"\ndelay_open = true\n";
        let identity = Identity::Shared("transient-x".to_owned());
        assert!(shapes(&tunnels(client))[&identity].delayed);
        let also = client.replace("name = \"c\"", "name = \"d\"").replace("delay_open = true", "");
        assert!(!shapes(&tunnels(&format!("{client}{also}")))[&identity].delayed);
        let server = server("s", "keys = \"transient-x\"");
        assert!(!shapes(&tunnels(&format!("{client}{server}")))[&identity].delayed);
    }

    #[test]
    fn one_that_is_to_be_another_after_a_pause_is_opened_when_it_is_used() {
        let client = "[[tunnel]]\nname = \"c\"\ntype = \"socks\"\nlisten = \"127.0.0.1:1\"\nkeys = \"transient\"\nclose_on_idle = true\n";
        let of = |text: &str| {
            let shape = shapes(&tunnels(text)).remove(&Identity::Own("c".to_owned())).unwrap();
            (shape.delayed, shape.anew)
        };
        assert_eq!(of(client), (false, false));
        assert_eq!(of(&format!("{client}new_keys_on_idle = true\n")), (true, true));
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
        let hash = |running: &Tunnels| {
            running.open[&Identity::Shared("transient-x".to_owned())].destination.as_ref().unwrap().hash()
        };
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
