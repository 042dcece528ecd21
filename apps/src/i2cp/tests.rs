use super::client::{Client, Config as ClientConfig};
use super::endpoint::{Endpoint, Found, Opened, Opener, Wish};
use super::*;
use crate::names::HostName;
use crate::names::book::Shelf;
use bytes::Bytes;
use ramson_actors::destination::Told;
use ramson_clients::raw::{self, Sink, Up};
use ramson_crypto::x25519::SecretKey;
use ramson_protocol::b32::B32;
use ramson_protocol::data::keys_and_cert::Destination;
use ramson_protocol::data::lease::Lease;
use ramson_protocol::data::private_keys::PrivateKeys;
use ramson_protocol::destination::raw::{Fate, Raw};
use ramson_protocol::i2cp::grant::Grant;
use ramson_protocol::i2cp::message::{self, lookup, status};
use ramson_protocol::id::{RouterHash, TunnelId};
use ramson_protocol::payload::{Payload, RAW};
use ramson_protocol::pool::Wanted;
use ramson_protocol::time::Wall;
use std::collections::HashMap;
use std::io;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Destinations that reach one another in memory, when their lease sets are signed.
#[derive(Clone, Default)]
struct Net(Arc<Mutex<HashMap<DestinationHash, Known>>>);

struct Known {
    destination: Destination,
    sink: Sink,
    granted: bool,
}

struct End {
    net: Net,
    hash: DestinationHash,
    sink: Sink,
    leases: mpsc::Sender<Vec<Lease>>,
}

impl Opener for Net {
    type Endpoint = End;

    async fn open(&self, wish: Wish) -> Option<Opened<End>> {
        let (sink, source) = raw::channel();
        let (leases, asked) = mpsc::channel(2);
        let hash = wish.destination.hash();
        let known = Known { destination: wish.destination, sink: sink.clone(), granted: false };
        self.0.lock().insert(hash, known);
        let end = Clock::system().plus(Duration::from_secs(600));
        leases.try_send(vec![Lease { gateway: RouterHash([1; 32]), tunnel: TunnelId(1), end }]).ok()?;
        Some(Opened { endpoint: End { net: self.clone(), hash, sink, leases }, leases: asked, source })
    }

    async fn find(&self, whom: B32) -> Found {
        let B32::Hash(hash) = whom else { return Err(lookup::KEY_NEEDED) };
        let net = self.0.lock();
        let known = net.get(&hash).filter(|known| known.granted);
        known
            .map(|known| message::Found { destination: known.destination.clone(), records: None })
            .ok_or(lookup::NOT_FOUND)
    }
}

impl Endpoint for End {
    async fn grant(&self, grant: Grant) {
        if let Some(known) = self.net.0.lock().get_mut(&self.hash) {
            assert_eq!(grant.lease_set.key(), self.hash.into());
            known.granted = true;
        }
    }

    fn send(&self, raw: Raw) -> bool {
        let net = self.net.0.lock();
        let to = net.get(&raw.to).filter(|known| known.granted);
        let fate = if to.is_some() { Fate::Sent } else { Fate::NoLeaseSet };
        to.map(|known| known.sink.push(Up::Payload(raw.payload)));
        raw.token.map(|token| self.sink.push(Up::Fate(token, fate)));
        true
    }

    fn want(&self, inbound: Wanted, _: Wanted) {
        // What is asked for is told as so many leases.
        let lease = Lease { gateway: RouterHash([1; 32]), tunnel: TunnelId(1), end: Wall(u64::MAX) };
        let _ = self.leases.try_send(vec![lease; inbound.count]);
    }

    async fn find(&self, whom: B32) -> Found {
        self.net.find(whom).await
    }

    async fn tell(&self, _: Vec<u8>, _: Told) {}
}

impl Drop for End {
    fn drop(&mut self) {
        self.net.0.lock().remove(&self.hash);
    }
}

struct Lab {
    net: Net,
    server: Arc<Server<Net>>,
    _folder: TempDir,
}

impl Lab {
    fn new(config: Config) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (net, names) = (Net::default(), Names::new(folder.path().join("names.redb")));
        let server = Server::new(net.clone(), names, Clock::new(), config);
        Self { net, server, _folder: folder }
    }

    fn socket(&self) -> DuplexStream {
        let (ours, theirs) = duplex(64 * 1024);
        let place = self.server.guests.place([127, 0, 0, 1].into()).unwrap();
        tokio::spawn(connection::serve(Arc::clone(&self.server), theirs, place));
        ours
    }

    async fn client(&self, n: u8) -> io::Result<Client<DuplexStream>> {
        let keys = PrivateKeys::generate([n; 32], &[n; 32]);
        Client::open(self.socket(), ClientConfig::new(keys, SecretKey::from_bytes([n; 32]))).await
    }
}

fn payload(content: &[u8]) -> Payload {
    Payload { from_port: 1, to_port: 2, protocol: RAW, content: Bytes::copy_from_slice(content) }
}

/// Waits until something is so.
async fn eventually(is: impl Fn() -> bool) {
    timeout(Duration::from_secs(10), crate::streams::until(is)).await.unwrap();
}

#[tokio::test]
async fn two_programs_find_each_other_and_exchange_payloads_with_their_ports() {
    let lab = Lab::new(Config::default());
    let (mut one, mut two) = (lab.client(1).await.unwrap(), lab.client(2).await.unwrap());
    // Ready is told when the lease set is under way.
    let hash = two.destination().hash();
    eventually(|| lab.net.0.lock()[&hash].granted).await;
    let found = one.look_up_hash(hash).await.unwrap().unwrap();
    assert_eq!(found, *two.destination());
    assert_eq!(one.send_and_wait(&found, &payload(b"there")).await.unwrap(), status::SENT);
    assert_eq!(two.receive().await.unwrap(), payload(b"there"));
    let own = one.destination().clone();
    eventually(|| lab.net.0.lock()[&own.hash()].granted).await;
    two.send(&own, &payload(b"and back")).await.unwrap();
    assert_eq!(one.receive().await.unwrap(), payload(b"and back"));
    let nobody = PrivateKeys::generate([9; 32], &[9; 32]).destination;
    assert_eq!(one.send_and_wait(&nobody, &payload(b"x")).await.unwrap(), status::NO_LEASE_SET);
}

#[tokio::test]
async fn a_program_can_speak_to_itself() {
    let lab = Lab::new(Config::default());
    let mut one = lab.client(1).await.unwrap();
    let own = one.destination().clone();
    assert_eq!(one.look_up_hash(own.hash()).await.unwrap(), Some(own.clone()));
    assert_eq!(one.send_and_wait(&own, &payload(b"me")).await.unwrap(), status::SENT_LOCALLY);
    assert_eq!(one.receive().await.unwrap(), payload(b"me"));
}

#[tokio::test]
async fn names_are_those_of_the_address_book() {
    let lab = Lab::new(Config::default());
    let known = PrivateKeys::generate([7; 32], &[7; 32]).destination;
    let name = HostName::parse("known.i2p").unwrap();
    lab.server.names.book().unwrap().add(Shelf::User, &name, known.clone(), false, Wall(1)).unwrap();
    let mut one = lab.client(1).await.unwrap();
    assert_eq!(one.look_up_name("Known.i2p").await.unwrap(), Some(known));
    for nobody in ["unknown.i2p", "", "a b", &format!("{}.b32.i2p", "a".repeat(52)), "aaaa.b32.i2p"] {
        assert_eq!(one.look_up_name(nobody).await.unwrap(), None, "{nobody}");
    }
}

#[tokio::test]
async fn a_destination_has_one_session_and_is_free_when_its_socket_is_gone() {
    let lab = Lab::new(Config::default());
    let one = lab.client(1).await.unwrap();
    let refused = lab.client(1).await.unwrap_err();
    assert_eq!(refused.to_string(), "duplicate destination");
    drop(one);
    eventually(|| lab.server.in_use.lock().is_empty() && lab.net.0.lock().is_empty()).await;
    let again = lab.client(1).await.unwrap();
    again.close().await.unwrap();
    eventually(|| lab.server.in_use.lock().is_empty()).await;
}

#[tokio::test]
async fn a_password_is_asked_for_and_told() {
    let credentials = Some(("me".to_owned(), "secret".to_owned()));
    let lab = Lab::new(Config { credentials: credentials.clone(), ..Config::default() });
    assert!(lab.client(1).await.unwrap_err().to_string().starts_with("Authorization required"));
    let keys = PrivateKeys::generate([1; 32], &[1; 32]);
    let config = ClientConfig { credentials, ..ClientConfig::new(keys, SecretKey::from_bytes([1; 32])) };
    Client::open(lab.socket(), config).await.unwrap();
}

#[tokio::test]
async fn a_program_that_does_not_read_loses_payloads_and_holds_up_nobody() {
    let lab = Lab::new(Config::default());
    let (mut one, mut two) = (lab.client(1).await.unwrap(), lab.client(2).await.unwrap());
    let deaf = lab.client(3).await.unwrap();
    let (to, other) = (deaf.destination().clone(), two.destination().clone());
    eventually(|| lab.net.0.lock().values().all(|known| known.granted)).await;
    for _ in 0..200 {
        one.send_and_wait(&to, &payload(&[0; 50_000])).await.unwrap();
    }
    assert_eq!(one.send_and_wait(&other, &payload(b"still")).await.unwrap(), status::SENT);
    assert_eq!(two.receive().await.unwrap(), payload(b"still"));
    drop(deaf);
}

#[tokio::test]
async fn who_says_nothing_has_less_time_if_there_are_many() {
    let lab = Lab::new(Config::default());
    assert_eq!(lab.server.of_connection().greeting, Duration::from_secs(60));
    let held: Vec<_> = (0..300).map(|_| lab.socket()).collect();
    assert_eq!(lab.server.of_connection().greeting, Duration::from_secs(3));
    // Each has a place until it is closed.
    drop(held);
    eventually(|| lab.server.of_connection().greeting == Duration::from_secs(60)).await;
    let mut program = lab.socket();
    program.write_all(&[0x2a]).await.unwrap();
    let _many: Vec<_> = (0..256).map(|_| lab.socket()).collect();
    // Who has spoken is not one of those.
    eventually(|| lab.server.of_connection().greeting == Duration::from_secs(60)).await;
}

#[tokio::test]
async fn whatever_speaks_another_protocol_is_closed_without_a_word() {
    let lab = Lab::new(Config::default());
    let mut socket = lab.socket();
    socket.write_all(b"POST / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut said = Vec::new();
    socket.read_to_end(&mut said).await.unwrap();
    assert!(said.is_empty());
}
