use super::requests::Public;
use super::*;
use crate::expected::Via;
use crate::identity::{Floodfill, NodeKeys, Offer, Profile, State, router_info};
use crate::messages::{By, Origin};
use crate::node::{Node, NodeConfig};
use ramson_crypto::sign::SigningKey;
use ramson_protocol::data::keys_and_cert::Destination;
use ramson_protocol::data::lease::Lease;
use ramson_protocol::data::lease_set2::LeaseSet2Builder;
use ramson_protocol::i2np::Message as I2np;
use ramson_protocol::i2np::database_store::Reply;
use ramson_protocol::i2np::ways::Owner;
use ramson_protocol::id::{MessageId, TunnelId};
use ramson_protocol::reach::Publish;
use ramson_protocol::time::Wall;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

fn wall() -> Wall {
    Wall(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64)
}

fn profile(floodfill: bool, port: u16) -> Profile {
    let offer = Some(Offer { publish: Publish::Fixed(vec![at(port)]), mtu: 1500 });
    let floodfill = if floodfill { Floodfill::Yes } else { Floodfill::No };
    Profile { net_id: 99, floodfill, ntcp2: offer, ssu2: None, share: 10_000_000, family: None }
}

fn at(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn stranger() -> RouterInfo {
    let keys = NodeKeys::generate(&mut rand::rng());
    router_info(&keys, &profile(false, 1), &State::published_at(at(1)), wall()).unwrap()
}

fn lease_set() -> Entry {
    let key = SigningKey::from_seed(rand::random());
    let end = wall().plus(Duration::from_secs(500));
    let lease = Lease { gateway: RouterHash([1; 32]), tunnel: TunnelId(1), end };
    LeaseSet2Builder { leases: vec![lease], ..LeaseSet2Builder::default() }
        .sign(&Destination::compose(&key.public(), &[2; 32]), &key, None, wall())
        .unwrap()
        .into()
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn start(folder: &Path, keys: &NodeKeys, floodfill: bool, port: u16, bootstrap: Vec<Bytes>) -> Node {
    let address = format!("127.0.0.1:{port}").parse().unwrap();
    let usual = NodeConfig::for_tests(address, folder.join("netdb.redb"));
    Node::start(NodeConfig { keys: keys.clone(), profile: profile(floodfill, port), bootstrap, ..usual }).unwrap()
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..300 {
        if holds().await {
            return;
        }
        actix::clock::sleep(Duration::from_millis(50)).await;
    }
    panic!("not within 15 s: {what}");
}

fn store_message(entry: &Entry, reply: Option<Reply>) -> Incoming {
    let body = DatabaseStore { reply, ..DatabaseStore::new(entry.clone()) }.to_body().unwrap();
    let expiration = wall().plus(Duration::from_secs(10));
    let message = I2np { kind: MessageType::DatabaseStore, id: MessageId(1), expiration, body };
    Incoming { origin: Origin::Garlic(By::Session(RouterHash([1; 32]))), message }
}

/// A floodfill and a router that knows only it: what is stored with the one is found by the other, and is still there
/// when the floodfill starts again, but for LeaseSets, which end in minutes.
#[actix::test]
async fn what_is_stored_with_a_floodfill_is_found_by_others_and_survives_a_restart() {
    let (folder, other_folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let keys = NodeKeys::generate(&mut rand::rng());
    let other_keys = NodeKeys::generate(&mut rand::rng());
    let (port, other_port) = (free_port(), free_port());
    let floodfill = start(folder.path(), &keys, true, port, Vec::new());
    let info = floodfill.shared().router_info().as_bytes().clone();
    let other = start(other_folder.path(), &other_keys, false, other_port, vec![info]);

    until("the floodfill is known", async || other.netdb().floodfills().len() == 1).await;
    until("the other has published itself", async || {
        floodfill.netdb().known_router(other.shared().hash()).await.is_some()
    })
    .await;

    let (router, leases) = (Entry::from(stranger()), lease_set());
    let destination = DestinationHash(leases.key().0);
    floodfill.netdb().store(store_message(&router, None));
    let reply = Reply { token: 7, tunnel: Some(TunnelId(7)), gateway: other.shared().hash() };
    floodfill.netdb().store(store_message(&leases, Some(reply)));
    until("both are taken", async || floodfill.netdb().counts() == (2, 1)).await;

    let hash = router.as_router_info().unwrap().hash();
    assert_eq!(other.netdb().find_router(hash).await.map(Entry::from), Some(router.clone()));
    assert_eq!(other.netdb().find_lease_set(destination).await, Some(leases.clone()));
    assert_eq!(other.netdb().find_router(RouterHash([9; 32])).await, None);
    assert_eq!(other.netdb().routers().await.len(), 2);

    floodfill.stop().await;
    let again = start(folder.path(), &keys, true, free_port(), Vec::new());
    until("what was on disk is read", async || again.netdb().counts() == (2, 0)).await;
    assert_eq!(again.netdb().find_router(hash).await.map(Entry::from), Some(router));
    again.stop().await;
}

/// A floodfill that asks through its own tunnels gets entries down them from whoever knows the reply tunnel. One that it
/// has not asked for, stored and served, would tell all who ask for it whose tunnel it was.
#[actix::test]
async fn what_comes_unasked_out_of_our_own_tunnels_is_neither_stored_nor_served() {
    let folder = tempfile::tempdir().unwrap();
    let node = start(folder.path(), &NodeKeys::generate(&mut rand::rng()), true, free_port(), Vec::new());
    let tunnel = node.shared().tunnel_ids().reserve(Owner::Router);
    let (asked, unasked) = (lease_set(), lease_set());
    let until_then = node.shared().now().mono + Duration::from_secs(30);
    let floodfill = RouterHash([8; 32]);
    node.shared().expected().expect_entry(Owner::Router, asked.key(), floodfill, Via::Tunnel(tunnel), until_then);
    let elsewhere = node.shared().tunnel_ids().reserve(Owner::Router);
    for (entry, tunnel) in [(&unasked, tunnel), (&asked, elsewhere), (&asked, tunnel)] {
        let origin = Origin::OwnTunnel(tunnel, Owner::Router);
        node.netdb().store(Incoming { origin, ..store_message(entry, None) });
        node.netdb()
            .store(Incoming { origin: Origin::OwnGarlic(tunnel, Owner::Router), ..store_message(&unasked, None) });
    }
    let held = |entry: &Entry| node.netdb().ask(entry.key(), Get::LeaseSet(entry.key()));
    until("the answer is taken", async || held(&asked).await.flatten().is_some()).await;
    // What was sent last is handled last.
    assert_eq!(held(&unasked).await.flatten(), None);
    assert_eq!(held(&asked).await.flatten(), Some(asked.clone()));
    // Nor is the answer to our own question given to others.
    let lookup = |entry: &Entry| node.netdb().ask(entry.key(), Public(Get::LeaseSet(entry.key())));
    assert_eq!(lookup(&asked).await.flatten(), None);
    // The same over a session, from whoever publishes it, is.
    node.netdb().store(store_message(&unasked, None));
    until("a publication is served", async || lookup(&unasked).await.flatten().is_some()).await;
    node.stop().await;
}

struct Listener(tokio::sync::mpsc::UnboundedSender<RouterKnown>);

impl Actor for Listener {
    type Context = Context<Self>;
}

impl Handler<RouterKnown> for Listener {
    type Result = ();

    fn handle(&mut self, news: RouterKnown, _: &mut Context<Self>) {
        self.0.send(news).unwrap();
    }
}

#[actix::test]
async fn a_subscriber_hears_of_all_routers_before_and_after_it_came() {
    let folder = tempfile::tempdir().unwrap();
    let files: Vec<Bytes> = (0..100).map(|_| stranger().as_bytes().clone()).collect();
    let node = start(folder.path(), &NodeKeys::generate(&mut rand::rng()), false, free_port(), files);
    until("the files are read", async || node.netdb().counts().0 == 100).await;
    let (sender, mut heard) = tokio::sync::mpsc::unbounded_channel();
    node.netdb().subscribe(Listener(sender).start().recipient());
    let late = stranger();
    node.netdb().router_info(&RouterInfoReceived { from: None, bytes: late.as_bytes().clone(), flood: false });
    let mut hashes = std::collections::HashSet::new();
    while hashes.len() < 101 {
        match heard.recv().await.unwrap() {
            RouterKnown::Learned(info) => assert!(hashes.insert(info.hash())),
            RouterKnown::Trusted(_) => {}
            RouterKnown::Forgotten(_) => panic!("nobody was forgotten"),
        }
    }
    assert!(hashes.contains(&late.hash()));
}

#[test]
fn import_takes_the_good_and_counts_the_bad_by_cause() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("netdb.redb");
    let good = stranger().as_bytes().clone();
    let mut forged = stranger().as_bytes().to_vec();
    *forged.last_mut().unwrap() ^= 1;
    let found = vec![good.clone(), forged.into(), Bytes::from_static(b"nothing"), good.clone()];
    let rules = Rules { net_id: 99, own: RouterHash([0; 32]), floodfill: false };
    let refused = [("bad_signature".into(), 1), ("malformed".into(), 1)].into();
    assert_eq!(import(&path, found, &rules, wall()).unwrap(), Imported { taken: 1, known: 1, refused });
    let other = Rules { net_id: 2, ..rules };
    let imported = import(&path, vec![stranger().as_bytes().clone()], &other, wall()).unwrap();
    assert_eq!(imported, Imported { refused: [("wrong_network".into(), 1)].into(), ..Imported::default() });
    let held = storage::read_offline(&path).unwrap();
    assert_eq!(held.iter().map(|loaded| loaded.info.as_bytes()).collect::<Vec<_>>(), [&good]);
}

/// Whoever offers forged RouterInfos of its own is parted with and kept out, and nobody else is.
#[actix::test]
async fn a_router_that_forges_is_banned_for_a_while_and_one_that_passes_on_forgeries_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let node = start(folder.path(), &NodeKeys::generate(&mut rand::rng()), true, free_port(), Vec::new());
    let forge = || {
        let mut forged = stranger().as_bytes().to_vec();
        *forged.last_mut().unwrap() ^= 1;
        RouterInfo::parse(forged.into()).unwrap()
    };
    let (own, other) = (forge(), forge());
    let (forger, messenger) = (own.hash(), RouterHash([9; 32]));
    for _ in 0..12 {
        for (info, from) in [(&own, forger), (&other, messenger)] {
            let bytes = info.as_bytes().clone();
            node.netdb().router_info(&RouterInfoReceived { from: Some(from), bytes, flood: false });
        }
    }
    until("the forger is banned", async || node.shared().gate().bars_router(&forger)).await;
    assert!(!node.shared().gate().bars_router(&messenger));
    node.stop().await;
}

#[test]
fn a_router_info_is_asked_for_anew_after_an_hour_and_sooner_if_its_router_was_called_in_vain_since() {
    let (now, minutes) = (wall(), |n: u64| Duration::from_secs(n * 60));
    let before = |n| Wall(now.0 - u64::try_from(minutes(n).as_millis()).unwrap());
    assert!(!is_old(before(59), None, now) && is_old(before(61), None, now));
    assert!(is_old(before(21), Some(before(1)), now) && !is_old(before(19), Some(before(1)), now));
    assert!(!is_old(before(21), Some(before(30)), now), "it was called by what stood in an older one");
}
