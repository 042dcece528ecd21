//! A private network inside of this process, so that examples run without the live one: some routers, and as many more as an example
//! wants for itself. Nothing of it leaves the machine.

use ramson::Node;
use std::error::Error;
use std::net::TcpListener;
use std::time::Duration;
use tempfile::TempDir;

/// Routers that carry the tunnels.
const RELAYS: usize = 6;

/// Tunnels stand within this time.
const PATIENCE: Duration = Duration::from_secs(120);

/// The network: it ends when it is dropped.
pub(crate) struct Network {
    relays: Vec<Node>,
    _folders: TempDir,
}

impl Network {
    /// Starts the routers, and `N` nodes for the example, which know each other.
    pub(crate) async fn start<const N: usize>() -> Result<(Self, [Node; N]), Box<dyn Error>> {
        let folders = tempfile::tempdir()?;
        let mut nodes = Vec::new();
        for n in 0..RELAYS + N {
            // A port that is free now.
            let at = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
            let configuration = format!(
                "[network]\nid = 99\nallow_private_addresses = true\n[router]\nfloodfill = {}\nio_threads = 1\n\
                 [ntcp2]\nlisten = \"{at}\"\npublish = \"{at}\"\n[ssu2]\nenabled = false\n\
                 [bandwidth]\ninbound = \"50MB/s\"\noutbound = \"50MB/s\"\n[exploratory]\nlength = 2\nquantity = 2\n",
                n < RELAYS / 2,
            );
            nodes.push(Node::builder(folders.path().join(n.to_string())).configuration(configuration).start().await?);
        }
        let known: Vec<_> = nodes.iter().map(Node::router_info).collect();
        for node in &nodes {
            node.learn(known.clone()).await?;
        }
        for node in &nodes {
            tokio::time::timeout(PATIENCE, node.ready()).await.map_err(|_| {
                format!("no tunnels in the private network: {}", node.why_not_ready().unwrap_or_default())
            })??;
        }
        let own = nodes.split_off(RELAYS).try_into().map_err(|_| "the nodes are as many as were wanted")?;
        Ok((Self { relays: nodes, _folders: folders }, own))
    }

    /// Ends its routers.
    pub(crate) async fn stop(self) -> Result<(), Box<dyn Error>> {
        for relay in &self.relays {
            relay.stop().await?;
        }
        Ok(())
    }
}
