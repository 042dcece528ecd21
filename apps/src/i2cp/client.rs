//! A program's end of I2CP, for programs in Rust: a session at any router that speaks it, on this machine or another.
//!
//! ```no_run
//! # use ramson_apps::i2cp::client::{Client, Config};
//! # use ramson_crypto::x25519::SecretKey;
//! # use ramson_protocol::data::private_keys::PrivateKeys;
//! # use ramson_protocol::payload::{Payload, RAW};
//! # use tokio::net::TcpStream;
//! # async fn example() -> std::io::Result<()> {
//! let router = TcpStream::connect("127.0.0.1:7654").await?;
//! let keys = PrivateKeys::generate(rand::random(), &rand::random());
//! let encryption = SecretKey::from_bytes(rand::random());
//! let mut client = Client::open(router, Config::new(keys, encryption)).await?;
//! let other = client.look_up_name("example.i2p").await?.expect("known");
//! client.send(&other, &Payload { from_port: 0, to_port: 7, protocol: RAW, content: "hello".into() }).await?;
//! let answer = client.receive().await?;
//! # drop(answer);
//! # Ok(())
//! # }
//! ```

use bytes::{Bytes, BytesMut};
use ramson_protocol::data::keys_and_cert::Destination;
pub use ramson_protocol::i2cp::client::Config;
use ramson_protocol::i2cp::client::{self as machine, In, Out};
use ramson_protocol::i2cp::message::Query;
use ramson_protocol::id::DestinationHash;
use ramson_protocol::payload::Payload;
use ramson_protocol::time::Now;
use ramson_transports::clock::Clock;
use std::collections::VecDeque;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Bytes that are read at once.
const CHUNK: usize = 64 * 1024;

/// Payloads that are kept while something else is waited for; the oldest beyond are lost.
const MAX_KEPT: usize = 1024;

/// A session.
pub struct Client<S> {
    router: S,
    machine: machine::Client,
    clock: Clock,
    buffer: BytesMut,
    payloads: VecDeque<Bytes>,
    told: VecDeque<(u32, u8)>,
    found: VecDeque<(u32, Option<Destination>)>,
    is_ready: bool,
    next: u32,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    /// Opens a session over a connection to a router, and waits until it has tunnels, which may take minutes.
    ///
    /// # Errors
    /// If the connection breaks or the router refuses, with its reason.
    pub async fn open(router: S, config: Config) -> io::Result<Self> {
        let mut client = Self {
            router,
            machine: machine::Client::new(config),
            clock: Clock::new(),
            buffer: BytesMut::with_capacity(CHUNK),
            payloads: VecDeque::new(),
            told: VecDeque::new(),
            found: VecDeque::new(),
            is_ready: false,
            next: 0,
        };
        client.drain().await?;
        while !client.is_ready {
            client.turn().await?;
        }
        Ok(client)
    }

    /// Who the session is.
    pub fn destination(&self) -> &Destination {
        self.machine.destination()
    }

    /// Sends a payload, and does not wait for what becomes of it.
    ///
    /// # Errors
    /// If the connection breaks, or it is too long.
    pub async fn send(&mut self, to: &Destination, payload: &Payload) -> io::Result<()> {
        self.send_with(to, payload, 0).await
    }

    /// The same, and waits for what becomes of it: the last status that the router tells. See [`ramson_protocol::i2cp::message::status`].
    ///
    /// # Errors
    /// If the connection breaks, or it is too long.
    pub async fn send_and_wait(&mut self, to: &Destination, payload: &Payload) -> io::Result<u8> {
        let nonce = self.number();
        self.send_with(to, payload, nonce).await?;
        loop {
            while let Some((number, status)) = self.told.pop_front() {
                if number == nonce && status != ramson_protocol::i2cp::message::status::ACCEPTED {
                    return Ok(status);
                }
            }
            self.turn().await?;
        }
    }

    async fn send_with(&mut self, to: &Destination, payload: &Payload, nonce: u32) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(payload.content.len() + 32);
        payload.write(&mut bytes).map_err(io::Error::other)?;
        self.input(In::Send { to: to.clone(), payload: bytes.into(), nonce }).await
    }

    /// Waits for a payload. One that cannot be read is left out.
    ///
    /// # Errors
    /// If the connection breaks or the router ends it, with its reason.
    pub async fn receive(&mut self) -> io::Result<Payload> {
        loop {
            while let Some(bytes) = self.payloads.pop_front() {
                if let Ok(payload) = Payload::parse(&bytes) {
                    return Ok(payload);
                }
            }
            self.turn().await?;
        }
    }

    /// Whose a name is. `None` if nobody knows.
    ///
    /// # Errors
    /// If the connection breaks or the router ends it, with its reason.
    pub async fn look_up_name(&mut self, name: &str) -> io::Result<Option<Destination>> {
        self.look_up(Query::Name(name.to_owned())).await
    }

    /// Whose a hash is. `None` if nobody knows.
    ///
    /// # Errors
    /// If the connection breaks or the router ends it, with its reason.
    pub async fn look_up_hash(&mut self, hash: DestinationHash) -> io::Result<Option<Destination>> {
        self.look_up(Query::Hash(hash)).await
    }

    async fn look_up(&mut self, query: Query) -> io::Result<Option<Destination>> {
        let number = self.number();
        self.input(In::LookUp(number, query)).await?;
        loop {
            while let Some((request, found)) = self.found.pop_front() {
                if request == number {
                    return Ok(found);
                }
            }
            self.turn().await?;
        }
    }

    /// Ends the session.
    ///
    /// # Errors
    /// If the connection has broken already.
    pub async fn close(mut self) -> io::Result<()> {
        let _ = self.input(In::Close).await;
        self.router.shutdown().await
    }

    fn number(&mut self) -> u32 {
        self.next = self.next.wrapping_add(1).max(1);
        self.next
    }

    fn now(&self) -> Now {
        self.clock.now()
    }

    async fn input(&mut self, input: In<'_>) -> io::Result<()> {
        self.machine.handle_input(self.clock.now(), input);
        self.drain().await
    }

    /// Waits for something of the router's.
    async fn turn(&mut self) -> io::Result<()> {
        if self.router.read_buf(&mut self.buffer).await? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the router has closed the connection"));
        }
        let now = self.now();
        self.machine.handle_input(now, In::Bytes(&self.buffer));
        self.buffer.clear();
        self.drain().await
    }

    async fn drain(&mut self) -> io::Result<()> {
        while let Some(out) = self.machine.poll_output() {
            match out {
                Out::Write(bytes) => self.router.write_all(&bytes).await?,
                Out::Ready => self.is_ready = true,
                Out::Payload(payload) => {
                    if self.payloads.len() >= MAX_KEPT {
                        self.payloads.pop_front();
                    }
                    self.payloads.push_back(payload);
                }
                Out::Told(number, status) => self.told.push_back((number, status)),
                Out::Found(number, found) => self.found.push_back((number, found)),
                Out::Ended(why) => return Err(io::Error::new(io::ErrorKind::ConnectionAborted, why)),
            }
        }
        // Nobody may wait for these: what was told without a question is forgotten.
        for _ in MAX_KEPT..self.told.len() {
            self.told.pop_front();
        }
        Ok(())
    }
}

impl<S> std::fmt::Debug for Client<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("machine", &self.machine).finish_non_exhaustive()
    }
}
