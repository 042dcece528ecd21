//! Whose a name is: the address book's, an address in base 32, a destination in base 64, or `ME`.

use super::Server;
use super::endpoint::{Endpoint, Opener, Wish};
use super::session::Home;
use crate::names::HostName;
use crate::streams::ready;
use ramson_protocol::b32::{self, B32};
use ramson_protocol::base64;
use ramson_protocol::data::keys_and_cert::Destination;
use ramson_protocol::id::DestinationHash;
use ramson_protocol::sam::Params;
use ramson_protocol::sam::reply::{Outcome, Reply};
use ramson_protocol::sam::session::decode;
use ramson_protocol::wire::Reader;
use std::sync::Arc;

/// Why a name leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum LookupError {
    #[error("it is neither a name that ends with .i2p nor a destination in base 64")]
    Malformed,
    #[error("its LeaseSet is encrypted, which is not read yet")]
    Encrypted,
    #[error("this socket has no session")]
    NoSession,
    #[error("no address book has this name")]
    Unknown,
    #[error("LeaseSet not found")]
    NotFound,
}

impl LookupError {
    pub(super) fn outcome(self) -> Outcome {
        match self {
            Self::Malformed | Self::Encrypted | Self::NoSession => Outcome::InvalidKey,
            Self::Unknown | Self::NotFound => Outcome::KeyNotFound,
        }
    }
}

enum Named {
    Whole(Destination),
    Hash(DestinationHash),
}

fn read<O: Opener>(server: &Server<O>, name: &str) -> Result<Named, LookupError> {
    let lower = name.to_ascii_lowercase();
    if lower.ends_with(b32::SUFFIX) {
        return match B32::parse(&lower) {
            Ok(B32::Hash(hash)) => Ok(Named::Hash(hash)),
            Ok(B32::Blinded(_)) => Err(LookupError::Encrypted),
            Err(_) => Err(LookupError::Malformed),
        };
    }
    if lower.ends_with(".i2p") || lower.ends_with(".i2p.alt") {
        let name = HostName::parse(&lower).map_err(|_| LookupError::Malformed)?;
        let found = server.names.destination(&name).map_err(|error| {
            tracing::warn!(%error, "the address book cannot be read");
            LookupError::Unknown
        })?;
        return found.map(Named::Whole).ok_or(LookupError::Unknown);
    }
    // INTEROP: private keys, which begin with their destination, are as good as it to i2pd and Java, and yosemite gives them.
    let destination = decode(name).and_then(|bytes| Destination::parse(&mut Reader::new(&bytes)).ok());
    destination.map(Named::Whole).ok_or(LookupError::Malformed)
}

/// Whose a name is, as far as streams need it.
///
/// # Errors
/// Why it leads nowhere.
pub(super) fn hash<O: Opener>(server: &Server<O>, name: &str) -> Result<DestinationHash, LookupError> {
    Ok(match read(server, name)? {
        Named::Whole(destination) => destination.hash(),
        Named::Hash(hash) => hash,
    })
}

/// Whose a name is, with all its keys. An address in base 32 is asked for in the network, as `own` if the socket has a session.
///
/// # Errors
/// Why it leads nowhere.
pub(super) async fn destination<O: Opener>(
    server: &Server<O>,
    own: Option<&Arc<Home<O::Endpoint>>>,
    name: &str,
) -> Result<Destination, LookupError> {
    if name == "ME" {
        return own.map(|home| home.keys.destination.clone()).ok_or(LookupError::NoSession);
    }
    let hash = match read(server, name)? {
        Named::Whole(destination) => return Ok(destination),
        Named::Hash(hash) => hash,
    };
    let found = match own {
        Some(home) if home.keys.destination.hash() == hash => return Ok(home.keys.destination.clone()),
        Some(home) => home.endpoint.find(hash).await,
        None => seek(server, hash).await,
    };
    found.ok_or(LookupError::NotFound)
}

/// What answers NAMING LOOKUP.
pub(super) async fn reply<O: Opener>(
    server: &Server<O>,
    own: Option<&Arc<Home<O::Endpoint>>>,
    params: &Params,
) -> Reply {
    let name = params.get("NAME").unwrap_or_default();
    let reply = |outcome| Reply::new("NAMING REPLY", outcome).with("NAME", name);
    match destination(server, own, name).await {
        Ok(found) => reply(Outcome::Ok).with("VALUE", &base64::encode(found.as_bytes())),
        Err(error) => reply(error.outcome()).saying(error),
    }
}

/// Asks as nobody in particular: to ask as a session of another program would tie the two together.
async fn seek<O: Opener>(server: &Server<O>, hash: DestinationHash) -> Option<Destination> {
    let open = async || server.opener.open(Wish::nobody(server.tunnels)).await.ok_or(());
    let seeker = server.seeker.get_or_try_init(open).await.ok()?;
    ready(|| seeker.is_ready()).await?;
    seeker.find(hash).await
}
