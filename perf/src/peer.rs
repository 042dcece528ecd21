//! A simulated router: an identity, a RouterInfo, and blocking sessions with the router under test.
//!
//! spec: ntcp2 §1) SessionRequest to §4) Data Phase, the initiator's side; ssu2

mod build;
mod link;
mod udp;

pub use build::{BuildAnswer, HopRequest, Sealed};
pub use link::{Link, Received, is_timeout};
pub use udp::UdpLink;

use bytes::Bytes;
use ramson_crypto::x25519::{PublicKey, SecretKey};
use ramson_protocol::data::router_address::RouterAddressBuf;
use ramson_protocol::data::router_info::{Caps, RouterInfo, RouterInfoBuilder, Version};
use ramson_protocol::data::router_keys::RouterKeys;
use ramson_protocol::id::RouterHash;
use ramson_protocol::link::padding::PaddingOptions;
use ramson_protocol::ntcp2::initiator;
use ramson_protocol::ssu2::header::MaskKey;
use ramson_protocol::ssu2::local::{self, Remote};
use ramson_protocol::time::{Now, Wall};
use rand::Rng;
use rand_chacha::ChaCha20Rng;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Whatever went wrong, in words: these are tools, and their reader is a person.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What the functions of these tools return.
pub type Outcome<T> = Result<T, Failure>;

/// For TCP to connect.
const CONNECT: Duration = Duration::from_secs(5);

/// Both clocks, the monotonic one counted from the tool's start.
pub fn now() -> Now {
    static START: OnceLock<Instant> = OnceLock::new();
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    Now { mono: START.get_or_init(Instant::now).elapsed(), wall: Wall(u64::try_from(wall).unwrap_or(u64::MAX)) }
}

/// The router under test.
#[derive(Clone, Debug)]
pub struct Target {
    /// The network that it belongs to.
    pub net_id: u8,
    /// What our sockets are bound to, if it matters.
    pub source: Option<IpAddr>,
    /// Its hash.
    pub hash: RouterHash,
    /// The key to which build records are sealed.
    pub encryption: PublicKey,
    /// Its NTCP2 address.
    pub ntcp2: Option<Ntcp2>,
    /// Its SSU2 address.
    pub ssu2: Option<Remote>,
}

/// An NTCP2 address.
#[derive(Clone, Debug)]
pub struct Ntcp2 {
    /// Where it listens.
    pub addr: SocketAddr,
    /// `s` of its address.
    pub static_key: PublicKey,
    /// `i` of its address.
    pub iv: [u8; 16],
}

impl Target {
    /// From its RouterInfo file; `addr` overrides the address that it publishes.
    ///
    /// # Errors
    /// If the file is no RouterInfo with an X25519 key.
    pub fn read(path: &Path, addr: Option<SocketAddr>, net_id: u8, source: Option<IpAddr>) -> Outcome<Self> {
        let bytes = std::fs::read(path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
        let info = RouterInfo::parse(bytes.into()).map_err(|e| format!("{} is no RouterInfo: {e}", path.display()))?;
        info.verify()?;
        let hash = info.hash();
        let ntcp2 = info.ntcp2().find_map(|a| a.dialable()).map(|(at, static_key, iv)| Ntcp2 {
            addr: addr.unwrap_or(at),
            static_key,
            iv,
        });
        let ssu2 = info.ssu2().find_map(|a| {
            let (intro, mtu) = (MaskKey::new(a.intro_key), a.mtu);
            Some(Remote { hash, addr: addr.or(a.socket)?, static_key: a.static_key, intro, mtu })
        });
        let encryption = info.encryption_key().ok_or("the router has no X25519 key")?;
        Ok(Self { net_id, source, hash, encryption, ntcp2, ssu2 })
    }

    /// The same, called from another address of ours.
    #[must_use]
    pub fn called_from(self, source: Option<IpAddr>) -> Self {
        Self { source, ..self }
    }

    /// Its NTCP2 address.
    ///
    /// # Errors
    /// If it has none that could be called.
    pub fn ntcp2(&self) -> Outcome<&Ntcp2> {
        self.ntcp2.as_ref().ok_or_else(|| "the RouterInfo has no NTCP2 address that could be called".into())
    }

    /// Its SSU2 address.
    ///
    /// # Errors
    /// If it has none that could be called.
    pub fn ssu2(&self) -> Outcome<&Remote> {
        self.ssu2.as_ref().ok_or_else(|| "the RouterInfo has no SSU2 address that could be called".into())
    }

    /// A TCP connection.
    ///
    /// # Errors
    /// The socket's, or if there is no NTCP2 address.
    pub fn connect(&self) -> Outcome<TcpStream> {
        let addr = self.ntcp2()?.addr;
        let socket = socket2::Socket::new(socket2::Domain::for_address(addr), socket2::Type::STREAM, None)?;
        if let Some(ip) = self.source {
            socket.bind(&SocketAddr::new(ip, 0).into())?;
        }
        socket.connect_timeout(&addr.into(), CONNECT)?;
        socket.set_tcp_nodelay(true)?;
        Ok(socket.into())
    }
}

/// A router of our own.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its keys.
    pub keys: RouterKeys,
    /// The static key of both transports.
    pub static_key: SecretKey,
    /// Its public half.
    pub static_public: PublicKey,
    /// The introduction key of SSU2.
    pub intro: [u8; 32],
    /// The RouterInfo, as it will be sent.
    pub info: Bytes,
    /// Its hash.
    pub hash: RouterHash,
}

impl Identity {
    /// A new router of network `net_id` with unpublished addresses, its RouterInfo made at `published`.
    ///
    /// # Errors
    /// If the RouterInfo cannot be written.
    pub fn new(net_id: u8, published: Wall, rng: &mut ChaCha20Rng) -> Outcome<Self> {
        Self::with_filling(net_id, published, 0, rng)
    }

    /// The same, with options that make the RouterInfo longer by about `filling` bytes.
    ///
    /// # Errors
    /// If the RouterInfo cannot be written.
    pub fn with_filling(net_id: u8, published: Wall, filling: usize, rng: &mut ChaCha20Rng) -> Outcome<Self> {
        let [mut secret, mut intro] = [[0; 32]; 2];
        rng.fill_bytes(&mut secret);
        rng.fill_bytes(&mut intro);
        let (keys, static_key) = (RouterKeys::generate(rng), SecretKey::from_bytes(secret));
        let static_public = static_key.public();
        let mut builder = RouterInfoBuilder::new(net_id, Version::parse("0.9.69"), Caps::parse("OR"))
            .address(RouterAddressBuf::ntcp2_unpublished(&static_public, "4"))
            .address(RouterAddressBuf::ssu2_unpublished(&static_public, &intro, "4", &[]));
        for n in 0..filling.div_ceil(220) {
            builder = builder.option(&format!("filling{n}"), "f".repeat(200));
        }
        let info = builder.sign(&keys, published)?;
        Ok(Self { hash: info.hash(), info: info.as_bytes().clone(), keys, static_key, static_public, intro })
    }

    /// A RouterInfo of the same router, with an NTCP2 address that it publishes.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn published_at(&self, net_id: u8, at: SocketAddr, caps: &str) -> Outcome<RouterInfo> {
        Ok(RouterInfoBuilder::new(net_id, Version::parse("0.9.69"), Caps::parse(caps))
            .address(RouterAddressBuf::ntcp2(at, &self.static_public, &[1; 16]))
            .sign(&self.keys, now().wall)?)
    }

    /// What a handshake of SSU2 must know of us.
    pub fn local_ssu2(&self, net_id: u8) -> local::Local {
        let static_key = self.static_key.clone();
        local::Local::new(net_id, self.hash, static_key, self.intro, self.info.clone())
    }

    /// What the handshake's initiator must know of us, with `info` as the RouterInfo that it shows.
    pub fn local<'a>(&'a self, net_id: u8, info: &'a [u8]) -> initiator::Local<'a> {
        initiator::Local {
            net_id,
            static_key: &self.static_key,
            static_public: &self.static_public,
            router_info: info,
            padding: PaddingOptions::default(),
            clock_confirmed: true,
        }
    }
}
