//! Answers each datagram with its length: `datagrams FOLDER`; asks somebody who does: `datagrams FOLDER ADDRESS`.
//!
//! With `--private` it makes a network of its own in this process, and asks itself.

#![allow(clippy::print_stdout, reason = "an example speaks with its user")]

mod private;

use futures_util::{SinkExt, StreamExt};
use ramson::{Address, Datagram, Datagrams, Kind, Node};
use std::error::Error;
use std::time::Duration;

/// Datagrams may be lost, and at first the receiver is looked for: so often, and so far apart, it is asked.
const TIMES: usize = 60;
const PAUSE: Duration = Duration::from_secs(1);

async fn answer(datagrams: Datagrams) {
    let (mut to, mut from) = datagrams.split();
    while let Some(Datagram { peer: Some(peer), kind, payload, .. }) = from.next().await {
        let answer = Datagram { kind, ..Datagram::to(peer, payload.len().to_string()) };
        // What is not taken is as if it had been lost.
        let _ = to.send(answer).await;
    }
}

/// Asks until an answer comes.
async fn ask(datagrams: &mut Datagrams, peer: Address, kind: Kind) -> Result<String, Box<dyn Error>> {
    for _ in 0..TIMES {
        datagrams.try_send(Datagram { kind, ..Datagram::to(peer, "How long is this?") })?;
        if let Ok(Some(answer)) = tokio::time::timeout(PAUSE, datagrams.receive()).await
            && answer.peer == Some(peer)
            && answer.kind == kind
        {
            return Ok(String::from_utf8_lossy(&answer.payload).into_owned());
        }
    }
    Err("nobody answers".into())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (network, ours, theirs, peer) = match &arguments[..] {
        [private] if private == "--private" => {
            let (network, [ours, theirs]) = private::Network::start().await?;
            (Some(network), ours, Some(theirs), None)
        }
        [folder] => (None, Node::builder(folder).start().await?, None, None),
        [folder, peer] => (None, Node::builder(folder).start().await?, None, Some(peer.parse()?)),
        _ => return Err("datagrams FOLDER [ADDRESS], or datagrams --private".into()),
    };
    ours.ready().await?;
    let us = ours.destination().length(2).open().await?;
    println!("{}", us.address());
    let mut datagrams = us.datagrams().ok_or("taken already")?;
    let mut peer: Option<Address> = peer;
    if let Some(theirs) = &theirs {
        let them = theirs.destination().length(2).open().await?;
        peer = Some(them.address());
        tokio::spawn(answer(them.datagrams().ok_or("taken already")?));
    }
    let Some(peer) = peer else {
        answer(datagrams).await;
        return Ok(());
    };
    for kind in [Kind::Signed, Kind::Bound, Kind::Claimed] {
        println!("{kind:?}: {}", ask(&mut datagrams, peer, kind).await?);
    }
    match network {
        Some(network) => network.stop().await,
        None => Ok(ours.stop().await?),
    }
}
