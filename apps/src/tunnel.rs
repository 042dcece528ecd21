//! TCP tunnels: `[[tunnel]]` of type `client` and `server`.

use crate::carry::carry;
use ramson_actors::destination::DestinationHandle;
use ramson_clients::Stream;
use ramson_protocol::b32::{B32, B32Error};
use ramson_protocol::base64;
use ramson_protocol::data::keys_and_cert::Destination;
use ramson_protocol::id::DestinationHash;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};

/// Connections of one tunnel at a time: so many files may be open.
const MAX_CONNECTIONS: usize = 4096;

/// A listener that cannot accept is asked again after this.
const PAUSE: Duration = Duration::from_millis(100);

/// The hash that a name means: `….b32.i2p`, or a destination in base 64.
///
/// # Errors
/// What is wrong with it, and what to write.
pub fn parse_name(name: &str) -> Result<DestinationHash, String> {
    match B32::parse(name.trim()) {
        Ok(B32::Hash(hash)) => return Ok(hash),
        Ok(B32::Blinded(_)) => return Err(format!("{name} has an encrypted LeaseSet, which is not read yet")),
        Err(B32Error::Suffix) => {}
        Err(error) => return Err(format!("{name}: {error}")),
    }
    let destination = base64::decode(name.trim()).and_then(|bytes| Destination::from_bytes(bytes.into()).ok());
    let hash = destination.map(|destination| destination.hash());
    hash.ok_or_else(|| {
        format!("{name} is neither a .b32.i2p name nor a destination in base 64: other names are not known yet")
    })
}

/// Listens at `listen`, and carries each connection to `remote` by a stream of its own.
///
/// # Errors
/// If the address cannot be listened on.
pub async fn client(
    listen: SocketAddr,
    destination: DestinationHandle,
    remote: DestinationHash,
    port: u16,
) -> io::Result<()> {
    let listener = TcpListener::bind(listen).await?;
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        // Callers wait in the kernel's queue meanwhile.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return Ok(()) };
        let Ok((socket, _)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let Some(stream) = destination.connect(remote, port) else { continue };
        tokio::spawn(async move {
            report(carry(socket, stream).await);
            drop(place);
        });
    }
}

/// Carries each stream of `accepted` to the server at `target`.
pub async fn server(target: SocketAddr, mut accepted: mpsc::Receiver<Stream>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    while let Some(stream) = accepted.recv().await {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        tokio::spawn(async move {
            match TcpStream::connect(target).await {
                Ok(socket) => report(carry(socket, stream).await),
                // The stream is broken off, which the other side sees as a refusal.
                Err(error) => tracing::warn!(%error, "a server tunnel cannot reach its target; is it running?"),
            }
            drop(place);
        });
    }
}

fn report(carried: io::Result<()>) {
    if let Err(error) = carried {
        tracing::debug!(%error, "a stream has ended early");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ramson_protocol::data::private_keys::PrivateKeys;

    #[test]
    fn a_name_means_the_same_destination_in_either_form() {
        let destination = PrivateKeys::generate([1; 32], &[2; 32]).destination;
        let b32 = destination.hash().to_b32();
        assert_eq!(parse_name(&b32), Ok(destination.hash()));
        assert_eq!(parse_name(&b32.to_uppercase()), Ok(destination.hash()));
        assert_eq!(parse_name(&base64::encode(destination.as_bytes())), Ok(destination.hash()));
        for wrong in ["", "example.i2p", "aaaa.b32.i2p", "AAAA"] {
            assert!(parse_name(wrong).is_err(), "{wrong}");
        }
    }
}
