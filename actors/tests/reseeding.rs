//! A node that knows nobody and asks hosts outside: what they bring, what is believed, what is kept.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use ramson_actors::identity::{Floodfill, NodeKeys, Offer, Profile, State, router_info};
use ramson_actors::node::{Node, NodeConfig};
use ramson_actors::reseeder::{Outside, ReseedConfig};
use ramson_crypto::rsa::PrivateKey;
use ramson_protocol::data::router_info::RouterInfo;
use ramson_protocol::reach::Publish;
use ramson_protocol::reach::View;
use ramson_protocol::reseed::bundle;
use ramson_protocol::reseed::certificate::{Certificate, Signers};
use ramson_protocol::time::Wall;
use rand_chacha::ChaCha20Rng;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const KEY: &str = include_str!("../../crypto/src/rsa/test_key.pem");
const PEM: &str = include_str!("../../protocol/src/reseed/test_signer.crt");

fn now() -> Wall {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Wall(u64::try_from(since.as_millis()).unwrap())
}

fn routers(from: u16, count: u16) -> Vec<RouterInfo> {
    let made = (from..from + count).map(|n| {
        let keys = NodeKeys::generate(&mut rand::make_rng::<ChaCha20Rng>());
        let at = ([127, 0, 0, 1], 20_000 + n).into();
        let ntcp2 = Some(Offer { publish: Publish::Fixed(vec![at]), mtu: 1500 });
        let (floodfill, family) = (Floodfill::No, None);
        let profile = Profile { net_id: 99, floodfill, ntcp2, ssu2: None, share: 1 << 20, family };
        router_info(&keys, &profile, &State::of(View::published_at(at)), now()).unwrap()
    });
    made.collect()
}

/// A certificate of the one key under two names: two people as far as a router can tell.
fn signers(names: &[&str]) -> Signers {
    let mut signers = Signers::default();
    let certificate = Certificate::parse_all(PEM.as_bytes()).unwrap().remove(0);
    names.iter().for_each(|name| signers.add(Certificate { signer: (*name).to_owned(), ..certificate.clone() }));
    signers
}

fn file(signer: &str, routers: &[RouterInfo]) -> Vec<u8> {
    let key = PrivateKey::from_pem(KEY).unwrap();
    bundle::make(routers, signer, &key, now(), &mut rand::make_rng::<ChaCha20Rng>()).unwrap()
}

/// Hosts that answer as they are told, and a memory for what is kept.
#[derive(Default)]
struct World {
    hosts: Vec<Result<Vec<u8>, String>>,
    kept: Mutex<BTreeMap<String, Vec<u8>>>,
}

impl Outside for World {
    fn fetch(&self, host: usize) -> Result<Vec<u8>, String> {
        self.hosts[host].clone()
    }

    fn keep(&self, signer: &str, file: &[u8]) {
        self.kept.lock().unwrap().insert(signer.to_owned(), file.to_vec());
    }

    fn kept(&self) -> Vec<Vec<u8>> {
        self.kept.lock().unwrap().values().cloned().collect()
    }
}

fn start(folder: &std::path::Path, world: &Arc<World>, needed: usize) -> Node {
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut config = NodeConfig::for_tests(address, folder.join("netdb"));
    config.reseed = Some(ReseedConfig {
        hosts: (0..world.hosts.len()).map(|n| format!("https://{n}.example/")).collect(),
        needed,
        signers: signers(&["a@mail.i2p", "b@mail.i2p"]),
        outside: Arc::<World>::clone(world),
    });
    Node::start(config).unwrap()
}

async fn until(what: &str, node: &Node, done: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !done() {
        assert!(Instant::now() < end, "not in time: {what}; {}", node.reseeding());
        actix::clock::sleep(Duration::from_millis(50)).await;
    }
}

#[actix::test]
async fn a_node_that_knows_nobody_takes_what_two_signers_bring_and_keeps_it() {
    let folder = tempfile::tempdir().unwrap();
    let hosts = vec![
        Err("connection refused".to_owned()),
        Ok(file("a@mail.i2p", &routers(0, 5))),
        Ok(b"<html>a portal of a hotel</html>".to_vec()),
        Ok(file("b@mail.i2p", &routers(5, 5))),
    ];
    let world = Arc::new(World { hosts, ..World::default() });
    let node = start(folder.path(), &world, 2);
    assert!(node.readiness().unwrap_err().contains("about to reseed"));
    until("ten routers", &node, || node.netdb().counts().0 == 10).await;
    until("both bundles kept", &node, || world.kept().len() == 2).await;
    node.stop().await;
}

#[actix::test]
async fn one_signer_alone_is_not_believed_and_what_was_kept_helps_when_all_hosts_fail() {
    let folder = tempfile::tempdir().unwrap();
    let lies = Ok(file("a@mail.i2p", &routers(100, 9)));
    let world = Arc::new(World { hosts: vec![lies.clone(), lies], ..World::default() });
    let kept = [("a@mail.i2p", routers(0, 3)), ("b@mail.i2p", routers(3, 3))];
    kept.iter().for_each(|(signer, routers)| world.keep(signer, &file(signer, routers)));
    let node = start(folder.path(), &world, 2);
    until("the kept ones", &node, || node.netdb().counts().0 == 6).await;
    assert!(node.reseeding().contains("1 of the 2 signers that are needed"), "{}", node.reseeding());
    node.stop().await;
}
