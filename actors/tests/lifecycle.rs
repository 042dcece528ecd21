//! A node as a part of a program: it starts, fails to start and stops as a whole, beside another one.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use ramson_actors::identity::Floodfill;
use ramson_actors::messages::RouterInfoReceived;
use ramson_actors::node::{Node, NodeConfig};
use ramson_actors::pool::{PoolConfig, Purpose, Wanted};
use ramson_protocol::i2np::ways::Owner;
use ramson_protocol::id::DestinationId;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

/// Threads are counted, so the tests go one after the other.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn config(folder: &Path, name: &str) -> NodeConfig {
    let mut config = NodeConfig::for_tests(free_address(), folder.join(name));
    config.profile.floodfill = Floodfill::Yes;
    config.pool = PoolConfig::exploratory(1, 1);
    config
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}");
        actix::clock::sleep(Duration::from_millis(20)).await;
    }
}

/// Threads of this process.
fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

#[actix::test]
async fn two_nodes_live_in_one_process_and_each_ends_whole_while_the_other_goes_on() {
    let _alone = ALONE.lock().await;
    let folder = tempfile::tempdir().unwrap();
    let first = Node::start(config(folder.path(), "first")).unwrap();
    let threads_of_one = threads();
    let second = Node::start(config(folder.path(), "second")).unwrap();
    for (a, b) in [(&first, &second), (&second, &first)] {
        let bytes = b.shared().router_info().as_bytes().clone();
        a.netdb().router_info(&RouterInfoReceived { from: None, bytes, flood: false });
    }
    until("tunnels through each other", || {
        [&first, &second]
            .iter()
            .all(|node| !node.own_tunnels().inbound.is_empty() && !node.own_tunnels().outbound.is_empty())
    })
    .await;
    let remains = second.remains();
    second.drain().await;
    drop(second);
    until("nothing of the second is left", || remains.are_gone()).await;
    // Workers of pools end when the last of those who send them work is gone; the system's own threads for blocking work
    // may be some more than before.
    until("its threads have ended", || threads() <= threads_of_one + 8).await;
    assert_eq!(first.shared().vitals().failure(), None);
    assert!(first.netdb().known_router(first.shared().hash()).await.is_some(), "the first goes on");
    let remains = first.remains();
    first.stop().await;
    assert_eq!(first.shared().vitals().failure(), None, "what ends because it was told to is no failure");
    drop(first);
    until("nothing of the first is left", || remains.are_gone()).await;
}

#[actix::test]
async fn a_node_that_cannot_start_leaves_nothing_behind() {
    let _alone = ALONE.lock().await;
    let folder = tempfile::tempdir().unwrap();
    let before = threads();
    for _ in 0..3 {
        let mut wrong = config(folder.path(), "one");
        wrong.netdb.database = folder.path().join("no such folder").join("netdb");
        assert!(Node::start(wrong).is_err());
    }
    until("all threads have ended", || threads() <= before + 2).await;
    // The address is free again, too.
    let again = Node::start(config(folder.path(), "one")).unwrap();
    again.stop().await;
}

/// A destination's pool beside the router's: through the same routers, with tunnels and a life of its own.
#[actix::test]
async fn pools_stand_side_by_side_each_with_its_own_tunnels_and_end() {
    let _alone = ALONE.lock().await;
    let folder = tempfile::tempdir().unwrap();
    let names = ["a", "b", "c"];
    let nodes: Vec<Node> = names.iter().map(|name| Node::start(config(folder.path(), name)).unwrap()).collect();
    for a in &nodes {
        for b in &nodes {
            let bytes = b.shared().router_info().as_bytes().clone();
            a.netdb().router_info(&RouterInfoReceived { from: None, bytes, flood: false });
        }
    }
    let owner = Owner::Destination(DestinationId(7));
    let (inbound, outbound) = (Wanted { backups: 1, ..Wanted::new(2, 1) }, Wanted { variance: 1, ..Wanted::new(2, 1) });
    let pool =
        nodes[0].pools().open(PoolConfig { owner, purpose: Purpose::Client, inbound, outbound, hops: Arc::default() });
    until("the destination's tunnels, one of them a backup", || {
        let paths = pool.paths().get();
        (paths.inbound.len(), paths.outbound.len()) == (3, 2)
    })
    .await;
    until("the router's own", || !nodes[0].own_tunnels().inbound.is_empty()).await;
    let (theirs, ours) = (pool.paths().get(), nodes[0].own_tunnels());
    assert!(theirs.inbound.iter().all(|tunnel| !ours.inbound.contains(tunnel)));
    pool.close();
    until("they have ended", || pool.paths().get().inbound.is_empty()).await;
    assert!(!nodes[0].own_tunnels().inbound.is_empty(), "the router keeps its own");
    for node in &nodes {
        node.stop().await;
    }
}
