//! Whose a name is: the address book's, an address in base 32, a destination in base 64, or `ME`.
//!
//! An address with a key (b33) tells a destination whose LeaseSet is encrypted: who that is says the LeaseSet alone.

use super::Server;
use super::endpoint::{Endpoint, Opener, Wish};
use super::session::Home;
use crate::names::HostName;
use crate::streams::ready;
use ramson_actors::destination::FindError;
use ramson_protocol::b32::{self, B32, Blinded};
use ramson_protocol::base64;
use ramson_protocol::blinding::OpenError;
use ramson_protocol::data::entry::Entry;
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
    #[error("an address with a key is looked for from version 3 on")]
    Encrypted,
    #[error("this socket has no session")]
    NoSession,
    #[error("no address book has this name")]
    Unknown,
    #[error("LeaseSet not found")]
    NotFound,
    #[error("LeaseSet not read: {0}; see i2cp.leaseSetPrivKey and i2cp.leaseSetSecret")]
    Unreadable(OpenError),
}

impl LookupError {
    pub(super) fn outcome(self) -> Outcome {
        match self {
            Self::Malformed | Self::Encrypted | Self::NoSession | Self::Unreadable(_) => Outcome::InvalidKey,
            Self::Unknown | Self::NotFound => Outcome::KeyNotFound,
        }
    }
}

impl From<FindError> for LookupError {
    fn from(error: FindError) -> Self {
        match error {
            FindError::NotFound => Self::NotFound,
            FindError::Unreadable(why) => Self::Unreadable(why),
        }
    }
}

/// What a name says.
#[derive(Clone, Debug)]
pub(super) enum Named {
    Whole(Destination),
    Hash(DestinationHash),
    Blinded(Blinded),
}

/// What a name says, as far as nobody has to be asked.
///
/// # Errors
/// Why it leads nowhere.
pub(super) fn read<O: Opener>(server: &Server<O>, name: &str) -> Result<Named, LookupError> {
    let lower = name.to_ascii_lowercase();
    if lower.ends_with(b32::SUFFIX) {
        return match B32::parse(&lower) {
            Ok(B32::Hash(hash)) => Ok(Named::Hash(hash)),
            Ok(B32::Blinded(address)) => Ok(Named::Blinded(address)),
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

/// Whose a name is, as far as streams need it and nobody has to be asked.
///
/// # Errors
/// Why it leads nowhere.
pub(super) fn hash<O: Opener>(server: &Server<O>, name: &str) -> Result<DestinationHash, LookupError> {
    match read(server, name)? {
        Named::Whole(destination) => Ok(destination.hash()),
        Named::Hash(hash) => Ok(hash),
        Named::Blinded(_) => Err(LookupError::Encrypted),
    }
}

/// Whose a name is, as far as streams need it: a session asks for an address with a key.
///
/// # Errors
/// Why it leads nowhere.
pub(super) async fn reachable<E: Endpoint>(home: &Home<E>, named: Named) -> Result<DestinationHash, FindError> {
    match named {
        Named::Whole(destination) => Ok(destination.hash()),
        Named::Hash(hash) => Ok(hash),
        Named::Blinded(address) if is_own(home, &address) => Ok(home.keys.destination.hash()),
        Named::Blinded(address) => {
            let found = home.endpoint.find(B32::Blinded(address)).await?;
            Ok(found.destination().ok_or(FindError::NotFound)?.hash())
        }
    }
}

/// True if an address is that of the session itself, which finds its own LeaseSet nowhere.
fn is_own<E: Endpoint>(home: &Home<E>, address: &Blinded) -> bool {
    let own = &home.keys.destination;
    own.signing_type() == address.signing && own.signing_key().is_some_and(|key| *key == address.key)
}

/// What answers NAMING LOOKUP.
pub(super) async fn reply<O: Opener>(
    server: &Server<O>,
    own: Option<&Arc<Home<O::Endpoint>>>,
    params: &Params,
) -> Reply {
    let name = params.get("NAME").unwrap_or_default();
    let reply = |outcome| Reply::new("NAMING REPLY", outcome).with("NAME", name);
    // spec: samv3 §Name Lookup Options
    let records = params.is_true("OPTIONS");
    match answer(server, own, name, records).await {
        Ok((found, lease_set)) => {
            let reply = reply(Outcome::Ok).with("VALUE", &base64::encode(found.as_bytes()));
            let Some(Entry::LeaseSet2(lease_set)) = lease_set.filter(|_| records) else { return reply };
            let text = |bytes| String::from_utf8_lossy(bytes);
            let add = |reply: Reply, (key, value)| reply.with_record(&text(key), &text(value));
            lease_set.options().iter().fold(reply, add)
        }
        Err(LookupError::NotFound) if records => reply(Outcome::LeaseSetNotFound).saying(LookupError::NotFound),
        Err(error) => reply(error.outcome()).saying(error),
    }
}

/// Whose a name is, with all its keys, and the LeaseSet, if one was asked for: `ask` has that done also for who is known. It is
/// asked for by the destination of the socket's session, if it has one.
async fn answer<O: Opener>(
    server: &Server<O>,
    own: Option<&Arc<Home<O::Endpoint>>>,
    name: &str,
    ask: bool,
) -> Result<(Destination, Option<Entry>), LookupError> {
    if name == "ME" {
        return own.map(|home| (home.keys.destination.clone(), None)).ok_or(LookupError::NoSession);
    }
    let whom = match read(server, name)? {
        Named::Whole(destination) if !ask => return Ok((destination, None)),
        Named::Whole(destination) => B32::Hash(destination.hash()),
        Named::Hash(hash) => B32::Hash(hash),
        Named::Blinded(address) => B32::Blinded(address),
    };
    let lease_set = match own {
        Some(home) => {
            let destination = &home.keys.destination;
            let is_ours = match &whom {
                B32::Hash(hash) => *hash == destination.hash(),
                B32::Blinded(address) => is_own(home, address),
            };
            if is_ours {
                return Ok((destination.clone(), None));
            }
            home.endpoint.find(whom).await?
        }
        None => seek(server, whom).await?,
    };
    let destination = lease_set.destination().ok_or(LookupError::NotFound)?;
    Ok((destination, Some(lease_set)))
}

/// Asks as nobody in particular: to ask as a session of another program would tie the two together.
async fn seek<O: Opener>(server: &Server<O>, whom: B32) -> Result<Entry, FindError> {
    let open = async || server.opener.open(Wish::nobody(server.tunnels)).await.ok_or(FindError::NotFound);
    let seeker = server.seeker.get_or_try_init(open).await?;
    ready(|| seeker.is_ready()).await.ok_or(FindError::NotFound)?;
    seeker.find(whom).await
}
