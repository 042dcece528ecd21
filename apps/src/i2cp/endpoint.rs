//! What the server asks of the router: destinations whose lease sets programs sign.

use crate::streams::{end, until};
use ramson_actors::destination::program::ProgramConfig;
use ramson_actors::destination::{DestinationHandle, FindError, Options, Told};
use ramson_clients::raw::{self, Source};
use ramson_protocol::b32::B32;
use ramson_protocol::blinding::OpenError;
use ramson_protocol::data::entry::Entry;
use ramson_protocol::data::keys_and_cert::Destination;
use ramson_protocol::data::lease::Lease;
use ramson_protocol::destination::raw::Raw;
use ramson_protocol::i2cp::grant::Grant;
use ramson_protocol::i2cp::message::{self, lookup};
use ramson_protocol::pool::Wanted;
use std::future::Future;
use std::sync::Arc;
use tokio::sync::{OnceCell, mpsc, oneshot};

/// Leases that wait to be signed: only the newest are of use.
const LEASES: usize = 2;

/// A destination that is wanted.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Who it is.
    pub destination: Destination,
    /// Tunnels to it.
    pub inbound: Wanted,
    /// Tunnels away from it.
    pub outbound: Wanted,
    /// Others find it.
    pub published: bool,
    /// With what it reads encrypted lease sets.
    pub options: Options,
}

/// Whose something is, or why nobody's: one of [`lookup`].
pub type Found = Result<message::Found, u8>;

/// One that was opened.
#[derive(Debug)]
pub struct Opened<E> {
    /// The way to it.
    pub endpoint: E,
    /// Leases that its program is to sign.
    pub leases: mpsc::Receiver<Vec<Lease>>,
    /// What comes for it.
    pub source: Source,
}

/// Opens destinations. Clones are the same.
pub trait Opener: Clone + Send + Sync + 'static {
    /// What it opens.
    type Endpoint: Endpoint;

    /// Opens one, whose tunnels are built from then on. `None` if the router cannot take it now.
    fn open(&self, wish: Wish) -> impl Future<Output = Option<Opened<Self::Endpoint>>> + Send;

    /// Looks for whose an address is, as nobody in particular.
    fn find(&self, whom: B32) -> impl Future<Output = Found> + Send;
}

/// A destination, until it is dropped.
pub trait Endpoint: Send + Sync + 'static {
    /// Takes a lease set that its program has signed.
    fn grant(&self, grant: Grant) -> impl Future<Output = ()> + Send;

    /// Sends a payload. False if the router does not keep up: it may be tried again.
    fn send(&self, raw: Raw) -> bool;

    /// Has other tunnels from now on.
    fn want(&self, inbound: Wanted, outbound: Wanted);

    /// Looks for whose an address is.
    fn find(&self, whom: B32) -> impl Future<Output = Found> + Send;

    /// Reads the encrypted lease set of whoever signs with this key so from now on.
    fn tell(&self, signing_key: Vec<u8>, told: Told) -> impl Future<Output = ()> + Send;
}

/// Whoever opens destinations is asked by this.
pub enum Ask {
    /// For one of a program's.
    Program(Box<ProgramConfig>, oneshot::Sender<DestinationHandle>),
    /// For one that nobody can call, to look for others.
    Seeker(oneshot::Sender<DestinationHandle>),
}

/// Destinations of the router.
#[derive(Clone)]
pub struct OfRouter {
    desk: mpsc::Sender<Ask>,
    seeker: Arc<OnceCell<Local>>,
}

impl OfRouter {
    /// Those that `desk` opens.
    pub fn new(desk: mpsc::Sender<Ask>) -> Self {
        Self { desk, seeker: Arc::default() }
    }
}

impl Opener for OfRouter {
    type Endpoint = Local;

    async fn open(&self, wish: Wish) -> Option<Opened<Local>> {
        let Wish { destination, inbound, outbound, published, options } = wish;
        let ((sink, source), (leases, asked)) = (raw::channel(), mpsc::channel(LEASES));
        let config = ProgramConfig { destination, inbound, outbound, published, options, leases, sink };
        let (reply, opened) = oneshot::channel();
        self.desk.send(Ask::Program(Box::new(config), reply)).await.ok()?;
        let endpoint = Local(opened.await.ok()?);
        Some(Opened { endpoint, leases: asked, source })
    }

    async fn find(&self, whom: B32) -> Found {
        let open = async || {
            let (reply, opened) = oneshot::channel();
            self.desk.send(Ask::Seeker(reply)).await.map_err(|_| ())?;
            opened.await.map(Local).map_err(|_| ())
        };
        let seeker = self.seeker.get_or_try_init(open).await.map_err(|()| lookup::NOT_FOUND)?;
        until(|| seeker.0.is_ready()).await;
        seeker.find(whom).await
    }
}

/// A destination of the router.
pub struct Local(DestinationHandle);

impl Endpoint for Local {
    async fn grant(&self, grant: Grant) {
        self.0.grant(grant).await;
    }

    fn send(&self, raw: Raw) -> bool {
        self.0.send_raw(raw)
    }

    fn want(&self, inbound: Wanted, outbound: Wanted) {
        self.0.want(inbound, outbound);
    }

    async fn tell(&self, signing_key: Vec<u8>, told: Told) {
        self.0.tell(signing_key, told).await;
    }

    async fn find(&self, whom: B32) -> Found {
        let found = self.0.find_lease_set(whom).await.map_err(|error| match error {
            FindError::NotFound => lookup::NOT_FOUND,
            FindError::Unreadable(OpenError::KeyNeeded) => lookup::KEY_NEEDED,
            FindError::Unreadable(_) => lookup::NOT_READ,
        })?;
        let destination = found.destination().ok_or(lookup::NOT_FOUND)?;
        // Those of the first kind have no options.
        let records = if let Entry::LeaseSet2(found) = &found { Some(found.options().into()) } else { None };
        Ok(message::Found { destination, records })
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        end(&self.0);
    }
}
