//! A destination by I2CP, at any router, for which others stand: `i2cp_meta ROUTER NAME...`, such as
//! `i2cp_meta 127.0.0.1:7654 first….b32.i2p second….b32.i2p`, the best first.
//!
//! It prints who it is, and keeps its MetaLeaseSet published as long as it runs. i2pd and Java I2P take such from programs.

#![allow(clippy::print_stdout, reason = "an example speaks with its user")]

use ramson_apps::i2cp::client::{Client, Config};
use ramson_crypto::x25519::SecretKey;
use ramson_protocol::b32::B32;
use ramson_protocol::data::private_keys::PrivateKeys;
use ramson_protocol::id::DestinationHash;
use std::error::Error;
use tokio::net::TcpStream;

/// Whose name this is, if it is not that of somebody hidden.
fn hash(name: &str) -> Result<DestinationHash, Box<dyn Error>> {
    match B32::parse(name)? {
        B32::Hash(hash) => Ok(hash),
        B32::Blinded(_) => Err("who is hidden stands for nobody".into()),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (router, names) = arguments.split_first().ok_or("i2cp_meta ROUTER NAME...")?;
    let keys = PrivateKeys::generate(rand::random(), &rand::random());
    let stands = names.iter().map(|name| hash(name)).collect::<Result<Vec<_>, _>>()?;
    let config = Config { stands, ..Config::new(keys, SecretKey::from_bytes(rand::random())) };
    let mut us = Client::open(TcpStream::connect(router).await?, config).await?;
    println!("{}", B32::Hash(us.destination().hash()));
    loop {
        us.receive().await?;
    }
}
