//! The node, its thread, and what it is asked for.

use super::Error;
use super::address::Address;
use super::destination::DestinationBuilder;
use crate::data_dir::DataDir;
use crate::run::start_node;
use crate::sam::open_one;
use crate::settings::Settings;
use actix::System;
use bytes::Bytes;
use ramson_actors::destination::DestinationHandle;
use ramson_actors::node::Node as Router;
use ramson_apps::names::{HostName, Names};
use ramson_apps::sam::endpoint::{Opened, Wish};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::sleep;

/// So often it is asked whether tunnels stand.
pub(super) const LOOK: Duration = Duration::from_millis(100);

/// What a node is to do, on its own thread.
pub(super) enum Ask {
    Open(Box<Wish>, oneshot::Sender<Option<Opened>>),
    Close(DestinationHandle),
    Learn(Vec<Bytes>, oneshot::Sender<usize>),
    Stop,
}

/// How a node ended: with `None` as it was told to.
type Outcome = Option<Error>;

/// Makes a [`Node`].
#[derive(Clone, Debug)]
pub struct NodeBuilder {
    data: PathBuf,
    configuration: String,
}

impl NodeBuilder {
    /// Settings, as they stand in the router's configuration file: TOML, all keys of `docs/configuration.md`.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), ramson::Error> {
    /// let node = ramson::Node::builder("/var/lib/my-program/i2p")
    ///     .configuration("[bandwidth]\ninbound = \"2MB/s\"\noutbound = \"1MB/s\"\n[router]\nfloodfill = false\n")
    ///     .start()
    ///     .await?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn configuration(mut self, toml: impl Into<String>) -> Self {
        self.configuration = toml.into();
        self
    }

    /// Starts the node. It is not connected with anybody yet: see [`Node::ready`].
    ///
    /// # Errors
    /// [`Error::Configuration`], and [`Error::Start`] if the folder is in use, a port is taken, or the system gives no thread.
    pub async fn start(self) -> Result<Node, Error> {
        let settings = Settings::parse(&self.configuration).map_err(Error::Configuration)?;
        settings.check().map_err(Error::Configuration)?;
        let (begun, begins) = oneshot::channel();
        let (desk, asks) = mpsc::unbounded_channel();
        let (end, ended) = watch::channel(None);
        let data = self.data;
        let life = move || {
            let outcome = live(&settings, &data, begun, asks);
            // The folder is free by now.
            end.send_replace(Some(outcome));
        };
        let thread = thread::Builder::new().name("node".to_owned()).spawn(life);
        thread.map_err(|error| Error::Start(format!("cannot start a thread: {error}")))?;
        let (router, names) = begins.await.map_err(|_| Error::Ended)?.map_err(Error::Start)?;
        Ok(Node(Arc::new(Inner { router, names, desk, ended })))
    }
}

/// The thread of a node, from its start to its end.
fn live(
    settings: &Settings,
    data: &std::path::Path,
    begun: oneshot::Sender<Result<(Router, Names), String>>,
    asks: mpsc::UnboundedReceiver<Ask>,
) -> Outcome {
    System::new().block_on(async move {
        let started = DataDir::open(data).map_err(|error| error.to_string()).and_then(|data| {
            let router = start_node(settings, &data, None).map_err(|error| error.to_string())?;
            Ok((router, data))
        });
        let (router, data) = match started {
            Ok(started) => started,
            Err(why) => {
                // Whoever asked for it may be gone.
                let _ = begun.send(Err(why));
                return None;
            }
        };
        if begun.send(Ok((router.clone(), Names::new(data.names_path())))).is_err() {
            router.stop().await;
            return None;
        }
        let outcome = serve(&router, asks).await;
        router.stop().await;
        outcome
    })
}

async fn serve(router: &Router, mut asks: mpsc::UnboundedReceiver<Ask>) -> Outcome {
    loop {
        let ask = tokio::select! {
            ask = asks.recv() => ask,
            what = router.failed() => return Some(Error::Failed(what)),
        };
        match ask {
            Some(Ask::Open(wish, reply)) => {
                if let Err(Some(unwanted)) = reply.send(open_one(router, *wish)) {
                    unwanted.handle.close();
                }
            }
            Some(Ask::Close(handle)) => handle.close(),
            Some(Ask::Learn(routers, reply)) => {
                let router = router.clone();
                actix::spawn(async move {
                    // Whoever asked may be gone.
                    let _ = reply.send(router.netdb().bootstrap(routers).await.taken);
                });
            }
            Some(Ask::Stop) | None => return None,
        }
    }
}

/// A router of this process; clones are the same. It ends with [`Node::stop`], or when the last clone and the last destination are
/// dropped.
#[derive(Clone)]
pub struct Node(Arc<Inner>);

struct Inner {
    router: Router,
    names: Names,
    desk: mpsc::UnboundedSender<Ask>,
    ended: watch::Receiver<Option<Outcome>>,
}

impl Node {
    /// A node whose keys, and whatever else it must know again, live in this folder, which is made if need be.
    pub fn builder(data: impl Into<PathBuf>) -> NodeBuilder {
        NodeBuilder { data: data.into(), configuration: String::new() }
    }

    /// Waits until the node has tunnels of its own, which it needs for everything else. After its first start that takes minutes on
    /// the live network: bound it by a timeout if you must.
    ///
    /// # Errors
    /// [`Error::Ended`] and [`Error::Failed`].
    pub async fn ready(&self) -> Result<(), Error> {
        while self.why_not_ready().is_some() {
            self.check()?;
            sleep(LOOK).await;
        }
        Ok(())
    }

    /// What the node waits for, in words for people. `None` if it is ready.
    pub fn why_not_ready(&self) -> Option<String> {
        self.0.router.readiness().err()
    }

    /// Begins a destination.
    pub fn destination(&self) -> DestinationBuilder {
        DestinationBuilder::new(self.clone())
    }

    /// Whose a name is: an address as it stands, or a name such as `example.i2p` that the address book of this node has. `None` if it
    /// has not.
    ///
    /// # Errors
    /// [`Error::Names`] if this is no name, or the address book cannot be read.
    pub fn lookup(&self, name: &str) -> Result<Option<Address>, Error> {
        if let Ok(address) = name.parse() {
            return Ok(Some(address));
        }
        let failed = |why: &dyn fmt::Display| Error::Names(why.to_string());
        let name = HostName::parse(&name.to_ascii_lowercase()).map_err(|error| failed(&error))?;
        let found = self.0.names.destination(&name).map_err(|error| failed(&error))?;
        Ok(found.map(|destination| Address(destination.hash())))
    }

    /// Our own RouterInfo, as others know us: for networks that are not the public one.
    pub fn router_info(&self) -> Bytes {
        self.0.router.shared().router_info().as_bytes().clone()
    }

    /// Makes other routers known to this one, by their RouterInfos; tells how many were taken. For networks that are not the public one,
    /// which a node finds by itself.
    ///
    /// # Errors
    /// [`Error::Ended`].
    pub async fn learn(&self, routers: Vec<Bytes>) -> Result<usize, Error> {
        let (reply, taken) = oneshot::channel();
        self.ask(Ask::Learn(routers, reply))?;
        taken.await.map_err(|_| Error::Ended)
    }

    /// Ends the node and all that is on it, without waiting for the tunnels of others, and returns when its folder is free.
    ///
    /// # Errors
    /// [`Error::Failed`] if it had ended by itself.
    pub async fn stop(&self) -> Result<(), Error> {
        // One that has ended takes nothing.
        let _ = self.0.desk.send(Ask::Stop);
        self.ended().await
    }

    /// Waits until the node has ended.
    ///
    /// # Errors
    /// [`Error::Failed`] if nobody has told it to.
    pub async fn ended(&self) -> Result<(), Error> {
        let mut ended = self.0.ended.clone();
        let outcome = ended.wait_for(Option::is_some).await.map(|outcome| outcome.clone().flatten());
        outcome.ok().flatten().map_or(Ok(()), Err)
    }

    /// # Errors
    /// If it has ended.
    pub(super) fn check(&self) -> Result<(), Error> {
        match &*self.0.ended.borrow() {
            None => Ok(()),
            Some(outcome) => Err(outcome.clone().unwrap_or(Error::Ended)),
        }
    }

    pub(super) fn close(&self, destination: DestinationHandle) {
        // With a node that has ended it has ended, too.
        let _ = self.0.desk.send(Ask::Close(destination));
    }

    pub(super) async fn open(&self, wish: Wish) -> Result<Opened, Error> {
        let (reply, opened) = oneshot::channel();
        self.ask(Ask::Open(Box::new(wish), reply))?;
        opened.await.map_err(|_| Error::Ended)?.ok_or(Error::Busy)
    }

    fn ask(&self, ask: Ask) -> Result<(), Error> {
        self.check()?;
        self.0.desk.send(ask).map_err(|_| Error::Ended)
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Node(..)")
    }
}
