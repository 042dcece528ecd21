//! TCP tunnels: `[[tunnel]]` of the types that carry connections of programs.
//!
//! ```text
//! client       program -> listening socket -> stream to one destination, found by its name for each connection
//! irc-client   the same, through the filter of irc.rs
//! server       stream of anybody -> socket to a local program
//! http-server  the same through http_server.rs, irc-server through irc.rs
//! ```

use crate::http_server::Site;
use crate::irc;
use crate::listener;
use crate::local::{Local, Program};
use crate::names::Names;
use crate::network::{Network, Target};
use crate::streams::Streams;
use ramson_clients::Stream;
use ramson_protocol::b32::{B32, B32Error, Blinded};
use ramson_protocol::base64;
use ramson_protocol::data::keys_and_cert::Destination;
use ramson_protocol::id::DestinationHash;
use ramson_protocol::irc::webirc;
use std::io;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};

/// Connections of one tunnel at a time: so many files may be open.
const MAX_CONNECTIONS: usize = 4096;

/// By which name we are a gateway to a server of IRC. INTEROP: i2pd says the same.
const GATEWAY: &str = "cgiirc";

/// Whom a tunnel leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remote {
    /// A destination.
    Hash(DestinationHash),
    /// A destination whose LeaseSet is encrypted.
    Blinded(Blinded),
    /// Whoever has this name when somebody connects.
    Name(String),
}

impl Remote {
    /// Reads a name of the address book, `….b32.i2p`, or a destination in base 64.
    ///
    /// # Errors
    /// What is wrong with it, and what to write.
    pub fn parse(name: &str) -> Result<Self, String> {
        let name = name.trim();
        match B32::parse(name) {
            Ok(B32::Hash(hash)) => return Ok(Self::Hash(hash)),
            Ok(B32::Blinded(blinded)) => return Ok(Self::Blinded(blinded)),
            Err(B32Error::Suffix) => {}
            Err(error) => return Err(format!("{name}: {error}")),
        }
        if name.to_ascii_lowercase().ends_with(".i2p") {
            let name = crate::names::HostName::parse(name).map_err(|error| format!("{name}: {error}"))?;
            return Ok(Self::Name(name.as_str().to_owned()));
        }
        let destination = base64::decode(name).and_then(|bytes| Destination::from_bytes(bytes.into()).ok());
        let hash = destination.map(|destination| Self::Hash(destination.hash()));
        hash.ok_or_else(|| format!("{name} is neither a name that ends with .i2p nor a destination in base 64"))
    }

    /// Whom it means now.
    ///
    /// # Errors
    /// If nobody has the name.
    pub fn find(&self, names: &Names) -> Result<Target, String> {
        match self {
            Self::Hash(hash) => Ok(Target::Hash(*hash)),
            Self::Blinded(blinded) => Ok(Target::Blinded(blinded.clone())),
            Self::Name(name) => names.resolve(name).map(Target::from).map_err(|error| error.to_string()),
        }
    }
}

/// What programs of a client tunnel speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speech {
    /// Anything.
    Any,
    /// IRC.
    Irc,
}

/// Carries each connection to `listener` to a port of `remote` by a stream of its own.
pub async fn client(listener: TcpListener, streams: Streams, names: Names, remote: Remote, port: u16, speech: Speech) {
    let serve = |socket| {
        let (target, streams) = (remote.find(&names), streams.clone());
        async move {
            let target = match target {
                Ok(target) => target,
                Err(error) => {
                    return tracing::warn!(
                        "the destination of a client tunnel is not found: {error}; `ramson name add` enters it"
                    );
                }
            };
            report(match streams.connect(target, port).await {
                Ok(stream) if speech == Speech::Irc => irc::client(socket, stream).await,
                Ok(stream) => Streams::carry(socket, Vec::new(), stream).await,
                Err(error) => Err(io::Error::other(error)),
            });
        }
    };
    listener::serve(listener, MAX_CONNECTIONS, |_| (), serve).await;
}

/// What stands behind a server tunnel.
#[derive(Clone)]
pub enum Behind {
    /// A program that is given all as it comes.
    Program(Program),
    /// A web server.
    Web(Arc<Site>),
    /// A server of IRC.
    Irc {
        /// Which.
        program: Program,
        /// What it knows us by as a gateway; without it, `USER` gets the caller's name as host.
        password: Option<String>,
    },
}

/// Carries each stream of `accepted` to what stands behind, `most` at a time.
pub async fn server(mut accepted: mpsc::Receiver<Stream>, behind: Behind, most: usize) {
    let places = Arc::new(Semaphore::new(most));
    while let Some(stream) = accepted.recv().await {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let behind = behind.clone();
        tokio::spawn(async move {
            report(serve_one(stream, behind).await);
            drop(place);
        });
    }
}

async fn serve_one(stream: Stream, behind: Behind) -> io::Result<()> {
    match behind {
        Behind::Program(program) => match connect(&program, &stream).await? {
            Local::Plain(plain) => Streams::carry(plain, Vec::new(), stream).await,
            mut tls @ Local::Tls(_) => {
                let mut stream = stream;
                tokio::io::copy_bidirectional(&mut tls, &mut stream).await.map(|_| ())
            }
        },
        Behind::Web(site) => {
            // Others begin no stream without saying who they are.
            let Some(who) = stream.caller().map(|(who, _)| who.clone()) else { return Ok(()) };
            site.serve(stream, &who).await;
            Ok(())
        }
        Behind::Irc { program, password } => {
            let (host, program) = (stream.remote().to_b32(), connect(&program, &stream).await?);
            let ip = program.ip()?.to_string();
            match password {
                Some(password) => {
                    let first = webirc(&password, GATEWAY, &host, &ip);
                    irc::server(stream, program, None, Some(&first)).await
                }
                None => irc::server(stream, program, Some(&host), None).await,
            }
        }
    }
}

/// A connection to a local program. If there is none the stream is broken off, which the other side sees as a refusal.
async fn connect(program: &Program, stream: &Stream) -> io::Result<Local> {
    let connected = program.connect(&stream.remote()).await;
    if let Err(error) = &connected {
        tracing::warn!(%error, "a server tunnel cannot reach its target; is it running?");
    }
    connected
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
        let (b32, hash) = (destination.hash().to_b32(), Remote::Hash(destination.hash()));
        assert_eq!(Remote::parse(&b32), Ok(hash.clone()));
        assert_eq!(Remote::parse(&b32.to_uppercase()), Ok(hash.clone()));
        assert_eq!(Remote::parse(&base64::encode(destination.as_bytes())), Ok(hash));
        assert_eq!(Remote::parse("Example.i2p"), Ok(Remote::Name("example.i2p".to_owned())));
        for wrong in ["", "example.com", "a--b.i2p", "aaaa.b32.i2p", "AAAA"] {
            assert!(Remote::parse(wrong).is_err(), "{wrong}");
        }
    }
}
