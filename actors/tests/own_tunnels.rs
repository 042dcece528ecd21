//! Four routers on the loopback interface build tunnels through each other, without any peer of other make.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use actix::prelude::*;
use bytes::Bytes;
use ramson_actors::identity::Floodfill;
use ramson_actors::messages::{Incoming, Origin, RouterInfoReceived};
use ramson_actors::node::{Node, NodeConfig};
use ramson_actors::pool::PoolConfig;
use ramson_actors::settings::Live;
use ramson_protocol::blocklist::Blocklist;
use ramson_protocol::i2np::MessageType;
use ramson_protocol::i2np::ways::Owner;
use ramson_protocol::tunnel::Delivery;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

/// Passes on whatever Data messages a node receives.
struct Sink(Sender<Incoming>);

impl Actor for Sink {
    type Context = Context<Self>;
}

impl Handler<Incoming> for Sink {
    type Result = ();

    fn handle(&mut self, incoming: Incoming, _: &mut Context<Self>) {
        let _ = self.0.send(incoming);
    }
}

/// An address that nobody listens on at the moment.
fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn start(folder: &Path, n: usize, length: usize, known: &[Bytes]) -> (Node, Receiver<Incoming>) {
    let addr = free_address();
    let (tx, rx) = channel();
    let mut config = NodeConfig::for_tests(addr, folder.join(format!("{n}.redb")));
    config.profile.floodfill = if n < 2 { Floodfill::Yes } else { Floodfill::No };
    config.pool = PoolConfig::exploratory(2, length);
    config.profiles = Some(folder.join(format!("profiles{n}")));
    config.bootstrap = known.to_vec();
    config.data = Some(Sink(tx).start().recipient());
    let node = Node::start(config);
    (node.unwrap(), rx)
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}");
        actix::clock::sleep(Duration::from_millis(50)).await;
    }
}

fn ready(node: &Node) -> bool {
    let own = node.own_tunnels();
    own.inbound.len() == 2 && own.outbound.len() == 2
}

#[actix::test]
async fn four_routers_build_tunnels_through_each_other_and_a_message_passes_through_both_kinds() {
    let folder = tempfile::tempdir().unwrap();
    let infos: Mutex<Vec<Bytes>> = Mutex::new(Vec::new());
    let mut nodes = Vec::new();
    let started = Instant::now();
    for n in 0..4 {
        let (node, data) = start(folder.path(), n, 2, &infos.lock().unwrap());
        infos.lock().unwrap().push(node.shared().router_info().as_bytes().clone());
        nodes.push((node, data));
    }
    for (node, _) in &nodes {
        for bytes in infos.lock().unwrap().iter().cloned() {
            node.netdb().router_info(&RouterInfoReceived { from: None, bytes, flood: false });
        }
    }
    until("all tunnels", || {
        for (node, _) in &nodes {
            let own = node.own_tunnels();
            let found = node.shared().is_known() || (own.inbound.is_empty() && own.outbound.is_empty());
            // On a slow machine they are built all the same after six seconds.
            let waited = started.elapsed() >= Duration::from_secs(6);
            assert!(found || waited, "a tunnel was built before the last hop could look us up");
        }
        nodes.iter().all(|(node, _)| ready(node))
    })
    .await;
    let (from, to) = (&nodes[0].0, &nodes[3]);
    let us = from.shared().hash();
    let own = from.own_tunnels();
    assert!(own.outbound.iter().all(|t| t.first_hop != us) && own.inbound.iter().all(|t| t.gateway != us));
    let back = to.0.own_tunnels().inbound[0];
    // Enough for several cells.
    let message = from.shared().message(MessageType::Data, [&2500_u32.to_be_bytes()[..], &[7; 2500]].concat());
    let sent = message.clone();
    let delivery = Delivery::Tunnel(back.gateway, back.gateway_tunnel);
    assert!(from.shared().send_through(&own.outbound[0], delivery, message));
    let mut got = None;
    until("the message", || {
        got = to.1.try_recv().ok();
        got.is_some()
    })
    .await;
    let got = got.unwrap();
    assert_eq!(got.origin, Origin::OwnTunnel(back.id, Owner::Router));
    assert_eq!((got.message.id, got.message.body), (sent.id, sent.body));
    for (node, _) in &nodes[1..] {
        node.stop().await;
    }
    from.drain().await;
    assert!(from.own_tunnels().inbound.is_empty());
    assert!(folder.path().join("profiles0").exists());
}

#[actix::test]
async fn a_router_that_wants_no_hops_is_both_ends_of_its_tunnels() {
    let folder = tempfile::tempdir().unwrap();
    let (node, data) = start(folder.path(), 0, 0, &[]);
    until("the tunnels", || !node.own_tunnels().inbound.is_empty()).await;
    let own = node.own_tunnels();
    let (out, back) = (own.outbound[0], own.inbound[0]);
    assert_eq!((out.first_hop, back.gateway), (node.shared().hash(), node.shared().hash()));
    let message = node.shared().message(MessageType::Data, [&1_u32.to_be_bytes()[..], &[7]].concat());
    assert!(node.shared().send_through(&out, Delivery::Tunnel(back.gateway, back.gateway_tunnel), message));
    let mut got = None;
    until("the message", || {
        got = data.try_recv().ok();
        got.is_some()
    })
    .await;
    assert_eq!(got.unwrap().origin, Origin::OwnTunnel(back.id, Owner::Router));
    node.stop().await;
}

#[actix::test]
async fn who_is_blocked_is_not_let_in_and_who_comes_to_be_blocked_is_parted_with() {
    let folder = tempfile::tempdir().unwrap();
    let (alice, _alice_data) = start(folder.path(), 0, 1, &[]);
    let blocked = |text: &str| {
        let mut list = Blocklist::default();
        list.add(text).unwrap();
        alice.reload(Live { blocklist: list, ..Live::for_tests() });
    };
    let sessions = || {
        let stats = alice.transports().stats();
        let open = stats.iter().flat_map(|thread| &thread.wires).map(|w| w.sessions_in.get() + w.sessions_out.get());
        open.sum::<u64>()
    };
    let (bob, _bob_data) = start(folder.path(), 1, 1, &[]);
    blocked(&bob.shared().hash().to_base64());
    // Bob builds tunnels through the only router that he knows.
    let info = alice.shared().router_info().as_bytes().clone();
    bob.netdb().router_info(&RouterInfoReceived { from: None, bytes: info, flood: false });
    until("the refusal", || alice.transports().handshakes().iter().any(|(label, n)| label.outcome == "gate" && *n > 0))
        .await;
    assert_eq!(sessions(), 0);
    blocked("");
    let info = bob.shared().router_info().as_bytes().clone();
    alice.netdb().router_info(&RouterInfoReceived { from: None, bytes: info, flood: false });
    until("a session", || sessions() > 0).await;
    blocked("127.0.0.0/8");
    until("the end of it", || sessions() == 0).await;
    bob.stop().await;
    alice.stop().await;
}
