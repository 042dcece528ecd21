//! An echo that anybody in I2P can call: `server FOLDER`. Its address is the same at each start.
//!
//! With `--private` it makes a network of its own in this process, and calls itself.

#![allow(clippy::print_stdout, reason = "an example speaks with its user")]

mod private;

use futures_util::StreamExt;
use ramson::{Destination, Keys, Node};
use std::error::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Gives everybody back what he says.
async fn echo(server: Destination) {
    let Some(listener) = server.listen() else { return };
    // A listener is a stream of streams: many are served at once.
    listener
        .for_each_concurrent(100, |stream| async move {
            let (mut from, mut to) = tokio::io::split(stream);
            if tokio::io::copy(&mut from, &mut to).await.is_ok() {
                // Who is gone hears no end.
                let _ = to.shutdown().await;
            }
        })
        .await;
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [private] if private == "--private" => {
            let (network, [ours, theirs]) = private::Network::start().await?;
            let server = theirs.destination().length(2).open().await?;
            let address = server.address();
            let serving = tokio::spawn(echo(server));
            let client = ours.destination().unlisted().length(2).open().await?;
            for size in [1, 1000, 1_000_000] {
                let sent: Vec<u8> = (0..size).map(|n: usize| (n ^ n >> 8) as u8).collect();
                let (mut from, mut to) = tokio::io::split(client.connect(address, 7).await?);
                let write = async {
                    to.write_all(&sent).await?;
                    to.shutdown().await
                };
                let mut got = Vec::new();
                let (written, read) = tokio::join!(write, from.read_to_end(&mut got));
                written?;
                read?;
                if got != sent {
                    return Err("the echo is another".into());
                }
                println!("{size} bytes came back");
            }
            serving.abort();
            network.stop().await
        }
        [folder] => {
            let node = Node::builder(folder).start().await?;
            node.ready().await?;
            let keys = Keys::kept(std::path::Path::new(folder).join("echo.dat"))?;
            let server = node.destination().keys(keys).open().await?;
            println!("{}", server.address());
            tokio::select! {
                () = echo(server) => {}
                ended = node.ended() => ended?,
            }
            Ok(())
        }
        _ => Err("server FOLDER, or server --private".into()),
    }
}
