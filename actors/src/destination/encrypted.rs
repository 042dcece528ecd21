//! Encrypted lease sets of a destination and of those that it looks for.
//!
//! ```text
//! address (b33) --> key of the day --> search --> EncryptedLeaseSet --> LeaseSet2: whose hash it is from then on is remembered
//! own lease set --> sealed, with the key of the day --> floodfills; at midnight UTC made anew, for its place is another then
//! ```
//! spec: encryptedleaseset

use super::{DestinationHandle, LocalDestination};
use crate::drops::ControlDrop;
use actix::prelude::*;
use ramson_protocol::b32::Blinded;
use ramson_protocol::blinding::{Blinding, ClientKey, OpenError, open, seal};
use ramson_protocol::data::encrypted_lease_set::EncryptedLeaseSet;
use ramson_protocol::data::entry::Entry;
use ramson_protocol::data::keys_and_cert::Destination;
use ramson_protocol::data::lease_set2::{FLAG_BLINDED, LeaseSet2};
use ramson_protocol::data::mapping::MappingBuf;
use ramson_protocol::destination::In as ToCore;
pub use ramson_protocol::destination::options::Options;
use ramson_protocol::id::{DestinationHash, NetDbKey};
use ramson_protocol::netdb::routing_key::Day;
use ramson_protocol::netdb::search::In;
use ramson_protocol::streaming::streams::Signer;
use ramson_protocol::time::Wall;
use ramson_protocol::wire;
use rand_chacha::ChaCha20Rng;
use std::collections::HashMap;

/// Destinations of which is remembered that their lease sets are encrypted.
const MAX_KNOWN: usize = 256;

/// Why a destination is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FindError {
    /// Nobody has its lease set.
    #[error("nobody has its lease set")]
    NotFound,
    /// It was found and could not be read.
    #[error("its lease set is encrypted: {0}")]
    Unreadable(OpenError),
}

/// What a program has told of somebody whose lease set is encrypted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// What must be known beside the address.
    pub secret: Option<String>,
    /// The key with which it is read.
    pub client_key: Option<ClientKey>,
}

/// The lease set of whoever signs with this key is read so from now on.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct Tell(Vec<u8>, Told);

impl DestinationHandle {
    /// Reads the lease set of whoever signs with this key so from now on. Of too many some are forgotten.
    pub async fn tell(&self, signing_key: Vec<u8>, told: Told) {
        // One that has ended looks for nobody.
        let _ = self.actor.send(Tell(signing_key, told)).await;
    }
}

impl Handler<Tell> for LocalDestination {
    type Result = ();

    fn handle(&mut self, Tell(key, told): Tell, _: &mut Context<Self>) {
        let all = &mut self.encrypted.told;
        if all.len() >= MAX_KNOWN && !all.contains_key(&key) {
            all.clear();
        }
        all.insert(key, told);
    }
}

/// What a destination has to do with encrypted lease sets.
pub(super) struct Encrypted {
    options: Options,
    /// Of its own, if that is one.
    own: Option<Blinding>,
    /// With what those are read of which its program has said so, by their signing keys.
    told: HashMap<Vec<u8>, Told>,
    /// Those that were read, by the hash of their destination.
    known: HashMap<DestinationHash, Blinding>,
    /// Those that are looked for, and whose they are, if that is known.
    sought: HashMap<NetDbKey, (Blinding, Option<DestinationHash>)>,
}

impl Encrypted {
    pub(super) fn new(options: Options, destination: &Destination) -> Self {
        let own = options.encrypted.as_ref().and_then(|_| Blinding::of(destination, options.secret.as_bytes()));
        Self { options, own, told: HashMap::new(), known: HashMap::new(), sought: HashMap::new() }
    }

    /// The records in its lease set.
    pub(super) fn records(&self) -> MappingBuf {
        self.options.records.clone()
    }

    /// Flags of its lease set.
    pub(super) fn flags(&self) -> u16 {
        if self.options.encrypted.is_some() { FLAG_BLINDED } else { 0 }
    }

    /// What floodfills are given of a lease set.
    ///
    /// # Errors
    /// If the destination's key cannot be blinded: it is not Ed25519, or kept offline.
    pub(super) fn seal(&self, lease_set: &LeaseSet2, signer: &Signer, rng: &mut ChaCha20Rng) -> wire::Result<Entry> {
        let Some(readers) = &self.options.encrypted else { return Ok(lease_set.clone().into()) };
        let blinding = self.own.as_ref().ok_or(wire::Error::Invalid("signing key: it cannot be blinded"))?;
        Ok(seal(lease_set, &signer.key, blinding, readers, rng)?.into())
    }

    /// Where the lease set of this destination is kept now, if it is known to be encrypted.
    pub(super) fn of_hash(&self, hash: &DestinationHash, now: Wall) -> Option<(NetDbKey, Blinding)> {
        placed(self.known.get(hash)?.clone(), now)
    }

    /// The same of an address. `None` if keys of its type cannot be blinded.
    pub(super) fn of_address(&self, address: &Blinded, now: Wall) -> Option<(NetDbKey, Blinding)> {
        let secret = self.told.get(&address.key).and_then(|told| told.secret.as_ref());
        placed(Blinding::of_address(address, secret.unwrap_or(&self.options.secret).as_bytes())?, now)
    }

    /// The key with which the lease set of this one is read, if there is one.
    fn client_key(&self, of: &Blinding) -> Option<&ClientKey> {
        let told = self.told.get(&of.signing_key()[..]).and_then(|told| told.client_key.as_ref());
        told.or(self.options.client_key.as_ref())
    }

    /// A search is over: whom it was for, if it was for one of these.
    pub(super) fn sought(&mut self, key: NetDbKey) -> Option<Option<DestinationHash>> {
        self.sought.remove(&key).map(|(_, hash)| hash)
    }
}

fn placed(blinding: Blinding, now: Wall) -> Option<(NetDbKey, Blinding)> {
    Some((blinding.on(Day::of(now))?.place(), blinding))
}

impl LocalDestination {
    /// An encrypted lease set is kept under another key each day.
    pub(super) fn renew_for_the_day(&mut self) {
        let today = Day::of(self.shared.now().wall);
        let sealed = self.stored.as_ref().filter(|stored| matches!(stored, Entry::EncryptedLeaseSet(_)));
        if sealed.is_some_and(|sealed| Day::of(sealed.version()) != today) {
            // As if no tunnel were in it yet.
            self.inbound.clear();
        }
    }

    /// Looks for an encrypted lease set that is kept under this key, that of `hash` if it was read before.
    pub(super) fn begin_blinded(
        &mut self,
        (key, blinding): (NetDbKey, Blinding),
        hash: Option<DestinationHash>,
        ctx: &mut Context<Self>,
    ) {
        let sought = self.encrypted.sought.entry(key).or_insert((blinding, hash));
        sought.1 = sought.1.or(hash);
        self.search(key, ctx);
    }

    /// An encrypted lease set came that was asked for.
    pub(super) fn on_encrypted(&mut self, key: NetDbKey, sealed: &EncryptedLeaseSet, ctx: &mut Context<Self>) {
        if sealed.key() != key || !self.searches.contains_key(&key) {
            return ControlDrop::Unexpected.count();
        }
        if self.stored.as_ref().is_some_and(|ours| ours.key() == key) {
            return if sealed.verify().is_ok() {
                self.on_own(key, sealed.published(), ctx)
            };
        }
        let Some((blinding, hash)) = self.encrypted.sought.get(&key).cloned() else {
            return ControlDrop::Unexpected.count();
        };
        let now = self.shared.now().wall;
        match open(sealed, &blinding, self.encrypted.client_key(&blinding)) {
            Ok(lease_set) if lease_set.expires() > now => {
                let (whose, known) = (lease_set.hash(), &mut self.encrypted.known);
                if known.len() < MAX_KNOWN || known.contains_key(&whose) {
                    known.insert(whose, blinding);
                }
                let lease_set = Entry::from(lease_set);
                self.tell_finders(key, &Ok(lease_set.clone()));
                self.encrypted.sought.remove(&key);
                self.answer(ToCore::LeaseSet(lease_set));
                self.feed(key, In::Found, ctx);
            }
            Err(why @ (OpenError::KeyNeeded | OpenError::NotAllowed)) => {
                self.tell_finders(key, &Err(FindError::Unreadable(why)));
                self.encrypted.sought.remove(&key);
                if let Some(hash) = hash {
                    self.answer(ToCore::NotFound(hash));
                }
                self.feed(key, In::Found, ctx);
            }
            // Another floodfill may have a better one.
            Ok(_) | Err(OpenError::Other | OpenError::Malformed) => ControlDrop::Unexpected.count(),
        }
    }
}
