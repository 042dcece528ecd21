//! A destination by I2CP, at any router, that sends every datagram back: `i2cp_echo ROUTER [TYPES]`, such as
//! `i2cp_echo 127.0.0.1:7654 6,4`.
//!
//! It prints who it is, and then nothing. `TYPES` are those of the keys in its lease sets: 4 is X25519, 5, 6 and 7 add ML-KEM-512, 768 or
//! 1024 to it. Each has a key of its own.

#![allow(clippy::print_stdout, reason = "an example speaks with its user")]

use ramson_apps::datagrams::{Sender, open, seal};
use ramson_apps::i2cp::client::{Client, Config};
use ramson_crypto::x25519::SecretKey;
use ramson_protocol::base64;
use ramson_protocol::data::key_type::EncType;
use ramson_protocol::data::private_keys::PrivateKeys;
use ramson_protocol::destination::datagrams::Datagram;
use ramson_protocol::payload::{DATAGRAM, Payload};
use ramson_protocol::ratchet::handshake::Secrets;
use ramson_protocol::streaming::streams::Ports;
use std::error::Error;
use tokio::net::TcpStream;

/// New keys of these types.
fn secrets(types: &str) -> Option<Secrets> {
    let handshakes: Option<Vec<_>> =
        types.split(',').map(|kind| EncType::from_code(kind.trim().parse().ok()?).handshake()).collect();
    Secrets::new(handshakes?.into_iter().map(|kind| (kind, SecretKey::from_bytes(rand::random()))))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (router, types) = match &arguments[..] {
        [router] => (router, "4"),
        [router, types] => (router, types.as_str()),
        _ => return Err("i2cp_echo ROUTER [TYPES]".into()),
    };
    let keys = PrivateKeys::generate(rand::random(), &rand::random());
    let encryption = secrets(types).ok_or("types are 4, 5, 6 and 7, with commas between")?;
    let options = ["inbound.length", "outbound.length"].map(|name| (name.to_owned(), "2".to_owned())).to_vec();
    let config = Config { keys: keys.clone(), encryption, options, credentials: None, stands: Vec::new() };
    let mut us = Client::open(TcpStream::connect(router).await?, config).await?;
    println!("{}", base64::encode(us.destination().as_bytes()));
    loop {
        let Payload { from_port, to_port, protocol, content } = us.receive().await?;
        let ports = Ports { from: from_port, to: to_port };
        let came = Datagram { peer: None, ports, protocol, content };
        // What nobody has signed nobody gets back.
        let Some((Some(Sender::Signed(from)), payload)) = open(&keys.destination.hash(), &came) else { continue };
        let content = seal(&keys, DATAGRAM, &from.hash(), payload);
        let answer = Payload { from_port: to_port, to_port: from_port, protocol: DATAGRAM, content };
        us.send(&from, &answer).await?;
    }
}
