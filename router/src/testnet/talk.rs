//! A stream between two destinations of this process, through tunnels of each: every byte is checked where it arrives.

use crate::Failure;
use ramson_actors::destination::{DestinationConfig, DestinationHandle, Options};
use ramson_actors::node::Node;
use ramson_actors::pool::Wanted;
use ramson_clients::Stream;
use ramson_crypto::x25519::SecretKey;
use ramson_protocol::data::private_keys::PrivateKeys;
use ramson_protocol::id::DestinationHash;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::mpsc;

/// Bytes that are written at once, and how often: a megabyte a second.
const CHUNK: usize = 50_000;
const PAUSE: Duration = Duration::from_millis(50);

/// A stream that ended is begun anew after this.
const AGAIN: Duration = Duration::from_secs(1);

/// Tunnels of each destination: few, so that a small network bears them.
const TUNNELS: Wanted = Wanted::new(2, 2);

/// What came of it so far.
#[derive(Debug, Default)]
pub(super) struct Talk {
    /// Bytes that arrived as they were sent.
    pub(super) bytes: AtomicU64,
    /// Some did not.
    pub(super) wrong: AtomicBool,
}

/// Opens both destinations, and has the one speak to the other until the node ends.
///
/// # Errors
/// If there is no room for them.
pub(super) fn start(node: &Node) -> Result<Arc<Talk>, Failure> {
    let talk = Arc::new(Talk::default());
    let (listener, accepted) = open(node, true)?;
    let (speaker, _) = open(node, false)?;
    actix::spawn(listen(accepted, Arc::clone(&talk)));
    actix::spawn(speak(speaker, listener.hash()));
    Ok(talk)
}

fn open(node: &Node, published: bool) -> Result<(DestinationHandle, mpsc::Receiver<Stream>), Failure> {
    let signer = PrivateKeys::generate(rand::random(), &rand::random());
    let encryption = SecretKey::from_bytes(rand::random());
    let config = DestinationConfig {
        signer,
        encryption,
        inbound: TUNNELS,
        outbound: TUNNELS,
        published,
        options: Options::default(),
    };
    node.destinations().open(config).ok_or_else(|| "no thread takes a destination".into())
}

/// The byte at this place of a stream.
fn byte(at: usize) -> u8 {
    (at ^ at >> 8 ^ at >> 16) as u8
}

async fn speak(speaker: DestinationHandle, to: DestinationHash) {
    loop {
        if let Some(stream) = speaker.connect(to, 0) {
            let mut at = 0;
            loop {
                let chunk: Vec<u8> = (at..at + CHUNK).map(byte).collect();
                if stream.write_all(&chunk).await.is_err() {
                    break;
                }
                at += CHUNK;
                actix::clock::sleep(PAUSE).await;
            }
        }
        actix::clock::sleep(AGAIN).await;
    }
}

async fn listen(mut accepted: mpsc::Receiver<Stream>, talk: Arc<Talk>) {
    while let Some(stream) = accepted.recv().await {
        let talk = Arc::clone(&talk);
        actix::spawn(async move {
            let (mut at, mut buffer) = (0, vec![0; CHUNK]);
            while let Ok(len) = stream.read(&mut buffer).await
                && len > 0
            {
                let right = buffer[..len].iter().zip(at..).all(|(got, at)| *got == byte(at));
                if !right {
                    talk.wrong.store(true, Relaxed);
                }
                at += len;
                talk.bytes.fetch_add(len as u64, Relaxed);
            }
        });
    }
}
