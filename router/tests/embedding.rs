//! A node inside of a program: how it begins and ends. That it carries what it should, the examples show.

use ramson::{Error, Node};
use std::path::Path;

/// A node that calls nobody.
async fn start(folder: &Path) -> Result<Node, Error> {
    let configuration = "[network]\nid = 99\nallow_private_addresses = true\n[router]\nio_threads = 1\n\
                         [ntcp2]\nlisten = \"127.0.0.1:0\"\n[ssu2]\nenabled = false\n";
    Node::builder(folder).configuration(configuration).start().await
}

#[tokio::test]
async fn what_cannot_be_is_said_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = Node::builder(folder.path()).configuration("[router]\nfloodfil = true").start().await.unwrap_err();
    assert!(matches!(&wrong, Error::Configuration(why) if why.contains("floodfill")), "{wrong}");
    let node = start(folder.path()).await.unwrap();
    let second = start(folder.path()).await.unwrap_err();
    assert!(matches!(&second, Error::Start(why) if why.contains("in use")), "{second}");
    node.stop().await.unwrap();
}

#[tokio::test]
async fn a_node_that_has_ended_frees_its_folder_and_opens_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let node = start(folder.path()).await.unwrap();
    let info = node.router_info();
    assert!(node.why_not_ready().is_some());
    node.stop().await.unwrap();
    assert_eq!(node.destination().open().await.map(|_| ()), Err(Error::Ended));
    assert_eq!(node.ready().await, Err(Error::Ended));

    let again = start(folder.path()).await.unwrap();
    let opening = tokio::spawn(again.destination().open());
    tokio::task::yield_now().await;
    // It waits for tunnels when the node ends.
    again.stop().await.unwrap();
    assert_eq!(opening.await.unwrap().map(|_| ()), Err(Error::Ended));
    assert_ne!(info, again.router_info());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_in_one_process_know_each_other_and_end_alone() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (one, two) = (start(folders[0].path()).await.unwrap(), start(folders[1].path()).await.unwrap());
    assert_ne!(one.router_info(), two.router_info());
    drop(one);
    // The folder is free a moment after the last handle is gone.
    let one = loop {
        match start(folders[0].path()).await {
            Ok(node) => break node,
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
        }
    };
    assert_eq!(two.learn(vec![b"nonsense".as_slice().into()]).await, Ok(0));
    one.stop().await.unwrap();
    two.stop().await.unwrap();
}
