//! Asks a site in I2P for its first page: `client FOLDER NAME`, such as `client /tmp/node example.b32.i2p`.
//!
//! With `--private` it makes a network of its own in this process, and a site to ask.

#![allow(clippy::print_stdout, reason = "an example speaks with its user")]

mod private;

use ramson::{Address, Node};
use std::error::Error;
use std::io::Write;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Asks for the page, and returns all that comes.
async fn fetch(node: &Node, site: Address) -> Result<Vec<u8>, Box<dyn Error>> {
    // Nobody is to find us, and nobody sees that this is the same program as an hour ago.
    let us = node.destination().unlisted().length(2).open().await?;
    let mut stream = us.connect(site, 80).await?;
    stream.write_all(format!("GET / HTTP/1.0\r\nHost: {site}\r\n\r\n").as_bytes()).await?;
    let mut page = Vec::new();
    stream.read_to_end(&mut page).await?;
    Ok(page)
}

/// A site with one page, for the private network.
async fn serve(node: Node) -> Result<Address, Box<dyn Error>> {
    let site = node.destination().length(2).open().await?;
    let address = site.address();
    let mut listener = site.listen().ok_or("listened already")?;
    tokio::spawn(async move {
        while let Some(mut stream) = listener.accept().await {
            let mut question = [0; 1024];
            if stream.read(&mut question).await.is_ok() {
                // A caller who is gone has what he wanted.
                let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nIt works.\n").await;
                let _ = stream.shutdown().await;
            }
        }
    });
    Ok(address)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [private] if private == "--private" => {
            let (network, [ours, theirs]) = private::Network::start().await?;
            let page = fetch(&ours, serve(theirs).await?).await?;
            println!("{}", String::from_utf8_lossy(&page));
            if !page.ends_with(b"It works.\n") {
                return Err("another page came".into());
            }
            network.stop().await
        }
        [folder, name] => {
            let node = Node::builder(folder).start().await?;
            node.ready().await?;
            let site = node.lookup(name)?.ok_or("the address book does not have this name")?;
            std::io::stdout().write_all(&fetch(&node, site).await?)?;
            Ok(node.stop().await?)
        }
        _ => Err("client FOLDER NAME, or client --private".into()),
    }
}
