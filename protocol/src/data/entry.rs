//! What the netDb holds: a RouterInfo, or a LeaseSet of one of four kinds.
//!
//! spec: i2np §DatabaseStore (type field)

use super::encrypted_lease_set::EncryptedLeaseSet;
use super::key_type::EncType;
use super::keys_and_cert::Destination;
use super::lease::Lease;
use super::lease_set::LeaseSet;
use super::lease_set2::{FLAG_UNPUBLISHED, LeaseSet2};
use super::meta_lease_set::MetaLeaseSet;
use super::router_info::RouterInfo;
use crate::id::NetDbKey;
use crate::time::Wall;
use crate::wire::{Error, Result};
use bytes::Bytes;

/// The kinds, with their DatabaseStore types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum EntryKind {
    /// A router.
    RouterInfo = 0,
    /// A destination, the first kind.
    LeaseSet = 1,
    /// A destination.
    LeaseSet2 = 3,
    /// A hidden destination.
    EncryptedLeaseSet = 5,
    /// A destination with many homes.
    MetaLeaseSet = 7,
}

impl EntryKind {
    /// The kind of a DatabaseStore type; its upper half is ignored.
    ///
    /// # Errors
    /// `Invalid` for types that do not exist.
    pub fn from_store_type(code: u8) -> Result<Self> {
        Ok(match code & 0x0f {
            0 => Self::RouterInfo,
            1 => Self::LeaseSet,
            3 => Self::LeaseSet2,
            5 => Self::EncryptedLeaseSet,
            7 => Self::MetaLeaseSet,
            _ => return Err(Error::Invalid("DatabaseStore type")),
        })
    }

    /// The DatabaseStore type.
    pub fn store_type(self) -> u8 {
        self as u8
    }

    /// True for all but RouterInfo.
    pub fn is_lease_set(self) -> bool {
        self != Self::RouterInfo
    }
}

/// An entry, checked in structure but not yet verified. Clones share the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// 0.
    RouterInfo(RouterInfo),
    /// 1.
    LeaseSet(LeaseSet),
    /// 3.
    LeaseSet2(LeaseSet2),
    /// 5.
    EncryptedLeaseSet(EncryptedLeaseSet),
    /// 7.
    MetaLeaseSet(MetaLeaseSet),
}

impl Entry {
    /// Reads an entry of a known kind from its (uncompressed) bytes.
    ///
    /// # Errors
    /// Those of the kind's own parser.
    pub fn parse(kind: EntryKind, raw: Bytes) -> Result<Self> {
        Ok(match kind {
            EntryKind::RouterInfo => Self::RouterInfo(RouterInfo::parse(raw)?),
            EntryKind::LeaseSet => Self::LeaseSet(LeaseSet::parse(raw)?),
            EntryKind::LeaseSet2 => Self::LeaseSet2(LeaseSet2::parse(raw)?),
            EntryKind::EncryptedLeaseSet => Self::EncryptedLeaseSet(EncryptedLeaseSet::parse(raw)?),
            EntryKind::MetaLeaseSet => Self::MetaLeaseSet(MetaLeaseSet::parse(raw)?),
        })
    }

    /// What it is.
    pub fn kind(&self) -> EntryKind {
        match self {
            Self::RouterInfo(_) => EntryKind::RouterInfo,
            Self::LeaseSet(_) => EntryKind::LeaseSet,
            Self::LeaseSet2(_) => EntryKind::LeaseSet2,
            Self::EncryptedLeaseSet(_) => EntryKind::EncryptedLeaseSet,
            Self::MetaLeaseSet(_) => EntryKind::MetaLeaseSet,
        }
    }

    /// The key that its content calls for.
    pub fn key(&self) -> NetDbKey {
        match self {
            Self::RouterInfo(e) => e.hash().into(),
            Self::LeaseSet(e) => e.hash().into(),
            Self::LeaseSet2(e) => e.hash().into(),
            Self::EncryptedLeaseSet(e) => e.key(),
            Self::MetaLeaseSet(e) => e.hash().into(),
        }
    }

    /// The exact bytes, signature included, uncompressed.
    pub fn as_bytes(&self) -> &Bytes {
        match self {
            Self::RouterInfo(e) => e.as_bytes(),
            Self::LeaseSet(e) => e.as_bytes(),
            Self::LeaseSet2(e) => e.as_bytes(),
            Self::EncryptedLeaseSet(e) => e.as_bytes(),
            Self::MetaLeaseSet(e) => e.as_bytes(),
        }
    }

    /// What tells a newer one from an older one: the time of publication, or for the first kind of LeaseSet, which has
    /// none, the earliest end of a lease.
    pub fn version(&self) -> Wall {
        match self {
            Self::RouterInfo(e) => e.published(),
            Self::LeaseSet(e) => e.earliest(),
            Self::LeaseSet2(e) => e.published(),
            Self::EncryptedLeaseSet(e) => e.published(),
            Self::MetaLeaseSet(e) => e.published(),
        }
    }

    /// When a LeaseSet ends; a RouterInfo does not say.
    pub fn expires(&self) -> Option<Wall> {
        match self {
            Self::RouterInfo(_) => None,
            Self::LeaseSet(e) => Some(e.expires()),
            Self::LeaseSet2(e) => Some(e.expires()),
            Self::EncryptedLeaseSet(e) => Some(e.expires()),
            Self::MetaLeaseSet(e) => Some(e.expires()),
        }
    }

    /// True if it says that it is neither to be flooded nor given out.
    pub fn is_unpublished(&self) -> bool {
        let flags = match self {
            Self::RouterInfo(_) | Self::LeaseSet(_) => 0,
            Self::LeaseSet2(e) => e.flags(),
            Self::EncryptedLeaseSet(e) => e.flags(),
            Self::MetaLeaseSet(e) => e.flags(),
        };
        flags & FLAG_UNPUBLISHED != 0
    }

    /// Verifies its signature.
    ///
    /// # Errors
    /// `Signature`.
    pub fn verify(&self) -> Result<()> {
        match self {
            Self::RouterInfo(e) => e.verify(),
            Self::LeaseSet(e) => e.verify(),
            Self::LeaseSet2(e) => e.verify(),
            Self::EncryptedLeaseSet(e) => e.verify(),
            Self::MetaLeaseSet(e) => e.verify(),
        }
    }

    /// Whose it is, if that is a destination and not hidden.
    pub fn destination(&self) -> Option<Destination> {
        match self {
            Self::RouterInfo(_) | Self::EncryptedLeaseSet(_) => None,
            Self::LeaseSet(e) => e.destination().ok(),
            Self::LeaseSet2(e) => e.destination().ok(),
            Self::MetaLeaseSet(e) => e.destination().ok(),
        }
    }

    /// The leases in it; none in what is encrypted or has no tunnels.
    pub fn leases(&self) -> Vec<Lease> {
        match self {
            Self::RouterInfo(_) | Self::EncryptedLeaseSet(_) | Self::MetaLeaseSet(_) => Vec::new(),
            Self::LeaseSet(e) => e.leases().collect(),
            Self::LeaseSet2(e) => e.leases().collect(),
        }
    }

    /// The keys by which messages are encrypted to a destination, in its order of preference; none in what is encrypted.
    pub fn encryption_keys(&self) -> Vec<(EncType, &[u8])> {
        match self {
            Self::RouterInfo(_) | Self::EncryptedLeaseSet(_) | Self::MetaLeaseSet(_) => Vec::new(),
            Self::LeaseSet(e) => vec![(EncType::ElGamal, e.encryption_key())],
            Self::LeaseSet2(e) => e.encryption_keys().collect(),
        }
    }

    /// The RouterInfo, if it is one.
    pub fn as_router_info(&self) -> Option<&RouterInfo> {
        match self {
            Self::RouterInfo(e) => Some(e),
            _ => None,
        }
    }
}

impl From<RouterInfo> for Entry {
    fn from(e: RouterInfo) -> Self {
        Self::RouterInfo(e)
    }
}

impl From<LeaseSet> for Entry {
    fn from(e: LeaseSet) -> Self {
        Self::LeaseSet(e)
    }
}

impl From<LeaseSet2> for Entry {
    fn from(e: LeaseSet2) -> Self {
        Self::LeaseSet2(e)
    }
}

impl From<EncryptedLeaseSet> for Entry {
    fn from(e: EncryptedLeaseSet) -> Self {
        Self::EncryptedLeaseSet(e)
    }
}
