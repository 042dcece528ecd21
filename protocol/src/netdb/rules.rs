//! Which entries are taken.
//!
//! spec: network-database §RouterInfo Expiration, §Flooding; common-structures §LeaseSet2Header. Where the
//! specification leaves it to us, the numbers are those of the routers on the network.

use super::family::{self, Claim};
use crate::data::entry::{Entry, EntryKind};
use crate::data::key_type::SigType;
use crate::data::router_address::is_public;
use crate::data::router_info::{RouterInfo, Version};
use crate::i2np::database_store::DatabaseStore;
use crate::id::{NetDbKey, RouterHash};
use crate::time::Wall;
use std::net::IpAddr;
use std::time::Duration;

/// The largest RouterInfo; i2pd's buffer.
pub const MAX_ROUTER_INFO: usize = 3072;
/// The largest LeaseSet; i2pd's buffer with post-quantum keys.
pub const MAX_LEASE_SET: usize = 8192;
/// An entry from further ahead has a wrong clock behind it.
pub const MAX_FUTURE: Duration = Duration::from_secs(2 * 60);
/// A RouterInfo in a signed bundle may be as old as this: it will be refreshed when it is used.
pub const MAX_BUNDLE_AGE: Duration = Duration::from_secs(30 * 24 * 3600);
/// A LeaseSet (except Meta) does not end later than this from now: tunnels live ten minutes.
pub const MAX_LEASE_AHEAD: Duration = Duration::from_secs(16 * 60);
/// What is allowed for clocks that differ.
pub const SKEW: Duration = Duration::from_secs(60);
/// A LeaseSet whose earliest lease ended longer ago is not taken.
pub const MAX_LEASE_AGE: Duration = Duration::from_secs(10 * 60);
/// Routers below it are not kept: nobody builds tunnels through them.
pub const MIN_VERSION: Version = Version(0, 9, 51);
/// Floodfills below it are not asked.
pub const MIN_FLOODFILL_VERSION: Version = Version(0, 9, 59);

/// The id of the network that everybody is in.
const LIVE_NETWORK: u8 = 2;

const HOUR: Duration = Duration::from_secs(3600);

/// Why an entry is not taken: one vocabulary for counters, logs and the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Refusal {
    /// The message names another key than the entry has.
    WrongKey,
    /// It is about ourselves.
    Own,
    /// Another network, or none named.
    WrongNetwork,
    /// Above [`MAX_ROUTER_INFO`] or [`MAX_LEASE_SET`].
    TooLarge,
    /// Published more than [`MAX_FUTURE`] ahead.
    FromTheFuture,
    /// A RouterInfo that is older than we keep them.
    TooOld,
    /// Below [`MIN_VERSION`].
    OldVersion,
    /// A LeaseSet that has ended.
    Expired,
    /// A LeaseSet that ends later than any tunnel.
    ExpiresTooLate,
    /// A LeaseSet without leases.
    NoLeases,
    /// A LeaseSet that says it is not for the netDb.
    Unpublished,
    /// A LeaseSet that nobody should have sent us: we are not a floodfill and did not ask.
    NotFloodfill,
    /// We have this one or a newer one. To be confirmed like one that was taken.
    NotNewer,
    /// RSA, or unknown.
    SignatureType,
    /// The signature does not hold.
    BadSignature,
    /// It claims a family that has not signed it.
    BadFamily,
}

impl Refusal {
    /// How many there are, for arrays of counters.
    pub const COUNT: usize = 16;

    /// Its name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::WrongKey => "wrong_key",
            Self::Own => "own",
            Self::WrongNetwork => "wrong_network",
            Self::TooLarge => "too_large",
            Self::FromTheFuture => "from_the_future",
            Self::TooOld => "too_old",
            Self::OldVersion => "old_version",
            Self::Expired => "expired",
            Self::ExpiresTooLate => "expires_too_late",
            Self::NoLeases => "no_leases",
            Self::Unpublished => "unpublished",
            Self::NotFloodfill => "not_floodfill",
            Self::NotNewer => "not_newer",
            Self::SignatureType => "signature_type",
            Self::BadSignature => "bad_signature",
            Self::BadFamily => "bad_family",
        }
    }
}

/// How an entry came to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Someone stored it, or introduced himself.
    Unsolicited,
    /// We had asked for it.
    Reply,
    /// It was in a bundle that somebody signed whom the operator trusts.
    Bundle,
    /// We read it from a file, which the operator gave us or we wrote ourselves: its date is not judged, since our clock
    /// may be wrong, and the routers in it are the only ones that could tell us. It is refreshed when it is used.
    Import,
}

/// The rules of this router.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Our network.
    pub net_id: u8,
    /// Ourselves.
    pub own: RouterHash,
    /// Whether others may store with us.
    pub floodfill: bool,
}

impl Rules {
    /// Judges what a DatabaseStore brings; see [`Rules::judge`].
    ///
    /// # Errors
    /// The reason.
    pub fn judge_store(
        &self,
        store: &DatabaseStore,
        source: Source,
        held: Option<&Entry>,
        known_routers: usize,
        now: Wall,
    ) -> Result<(), Refusal> {
        if store.key != store.entry.key() {
            return Err(Refusal::WrongKey);
        }
        self.judge(&store.entry, source, held, known_routers, now)
    }

    /// Judges an entry, signatures included: [`Rules::judge_content`], then [`judge_signatures`].
    ///
    /// # Errors
    /// The reason.
    pub fn judge(
        &self,
        entry: &Entry,
        source: Source,
        held: Option<&Entry>,
        known_routers: usize,
        now: Wall,
    ) -> Result<(), Refusal> {
        self.judge_content(entry, source, held, known_routers, now)?;
        judge_signatures(entry)
    }

    /// Judges all but the signatures: what costs little, so that a worker is troubled only with what would be taken.
    ///
    /// # Errors
    /// The reason.
    pub fn judge_content(
        &self,
        entry: &Entry,
        source: Source,
        held: Option<&Entry>,
        known_routers: usize,
        now: Wall,
    ) -> Result<(), Refusal> {
        if entry.key() == NetDbKey::from(self.own) {
            return Err(Refusal::Own);
        }
        match entry {
            Entry::RouterInfo(info) => self.judge_router(info, source, known_routers, now)?,
            lease_set => self.judge_lease_set(lease_set, source, now)?,
        }
        if held.is_some_and(|held| !is_newer(entry, held)) {
            return Err(Refusal::NotNewer);
        }
        Ok(())
    }

    fn judge_router(&self, info: &RouterInfo, source: Source, known_routers: usize, now: Wall) -> Result<(), Refusal> {
        if info.as_bytes().len() > MAX_ROUTER_INFO {
            return Err(Refusal::TooLarge);
        }
        if info.net_id() != Some(self.net_id) {
            return Err(Refusal::WrongNetwork);
        }
        let oldest = match source {
            Source::Import => Duration::MAX,
            Source::Bundle => MAX_BUNDLE_AGE,
            Source::Unsolicited | Source::Reply => max_age(info, known_routers, self.floodfill),
        };
        if source != Source::Import && info.published() > now.plus(MAX_FUTURE) {
            return Err(Refusal::FromTheFuture);
        }
        if now.since(info.published()) > oldest {
            return Err(Refusal::TooOld);
        }
        if info.version() < MIN_VERSION {
            return Err(Refusal::OldVersion);
        }
        if signs_as_routers_do(info.signing_type()) { Ok(()) } else { Err(Refusal::SignatureType) }
    }

    fn judge_lease_set(&self, entry: &Entry, source: Source, now: Wall) -> Result<(), Refusal> {
        if source == Source::Unsolicited && !self.floodfill {
            return Err(Refusal::NotFloodfill);
        }
        if entry.as_bytes().len() > MAX_LEASE_SET {
            return Err(Refusal::TooLarge);
        }
        if entry.is_unpublished() {
            return Err(Refusal::Unpublished);
        }
        let expires = entry.expires().unwrap_or_default();
        let (leases, offline) = match entry {
            Entry::RouterInfo(_) => (1, None),
            Entry::LeaseSet(e) => (e.leases().count(), None),
            Entry::LeaseSet2(e) => (e.leases().count(), e.offline()),
            Entry::MetaLeaseSet(e) => (e.leases().count(), e.offline()),
            // What it holds is hidden.
            Entry::EncryptedLeaseSet(e) => (1, e.offline()),
        };
        if leases == 0 {
            return Err(Refusal::NoLeases);
        }
        if expires.plus(SKEW) < now || offline.is_some_and(|o| o.expires.plus(SKEW) < now) {
            return Err(Refusal::Expired);
        }
        match entry {
            Entry::LeaseSet(e) if e.earliest().plus(MAX_LEASE_AGE) < now => return Err(Refusal::Expired),
            // Its "version" is the end of a lease, which may lie ahead.
            Entry::LeaseSet(_) => {}
            _ if entry.version() > now.plus(MAX_FUTURE) => return Err(Refusal::FromTheFuture),
            _ => {}
        }
        let latest = match entry {
            Entry::LeaseSet2(e) => expires.max(e.latest_lease()),
            _ => expires,
        };
        // A Meta lives as long as its sixteen bits of seconds allow, and one may be inside an encrypted one.
        let may_be_meta = matches!(entry.kind(), EntryKind::MetaLeaseSet | EntryKind::EncryptedLeaseSet);
        if latest > now.plus(MAX_LEASE_AHEAD) && !may_be_meta {
            return Err(Refusal::ExpiresTooLate);
        }
        Ok(())
    }
}

/// Verifies the signatures of an entry: its own, and that of the family it claims.
///
/// # Errors
/// `BadSignature`, `BadFamily`.
pub fn judge_signatures(entry: &Entry) -> Result<(), Refusal> {
    entry.verify().map_err(|_| Refusal::BadSignature)?;
    match entry.as_router_info().map(family::claim) {
        Some(Claim::Forged) => Err(Refusal::BadFamily),
        _ => Ok(()),
    }
}

/// Routers have Ed25519 keys; a few have those of ECDSA with the smaller curves. INTEROP: there is no router with DSA or
/// P-521 left on the network, and to verify either costs as much as twenty of the others.
fn signs_as_routers_do(kind: SigType) -> bool {
    match kind {
        SigType::EcdsaP256 | SigType::EcdsaP384 | SigType::Ed25519 => true,
        SigType::DsaSha1
        | SigType::EcdsaP521
        | SigType::Rsa2048
        | SigType::Rsa3072
        | SigType::Rsa4096
        | SigType::Ed25519ph
        | SigType::RedDsa
        | SigType::Unknown(_) => false,
    }
}

/// What it costs to verify the signatures of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost {
    /// Tens of microseconds, as for nearly all entries.
    Usual,
    /// Milliseconds: old destinations, and whoever wants to keep us busy.
    Rare,
}

/// What it costs to verify the signatures of an entry: its own, the one that an offline key has signed, its family's.
pub fn cost(entry: &Entry) -> Cost {
    let rare = |kind: SigType| !matches!(kind, SigType::Ed25519 | SigType::RedDsa | SigType::EcdsaP256);
    let (own, offline) = match entry {
        Entry::RouterInfo(e) => {
            let key = e.options().get("family.key").and_then(|key| key.split_once(':'));
            let family = key.and_then(|(code, _)| code.parse().ok()).map(SigType::from_code);
            (e.signing_type(), family)
        }
        Entry::LeaseSet(e) => (e.destination().map_or(SigType::DsaSha1, |d| d.signing_type()), None),
        Entry::LeaseSet2(e) => {
            (e.destination().map_or(SigType::DsaSha1, |d| d.signing_type()), e.offline().map(|o| o.kind))
        }
        Entry::MetaLeaseSet(e) => {
            (e.destination().map_or(SigType::DsaSha1, |d| d.signing_type()), e.offline().map(|o| o.kind))
        }
        Entry::EncryptedLeaseSet(e) => (e.signing_type(), e.offline().map(|o| o.kind)),
    };
    if rare(own) || offline.is_some_and(rare) { Cost::Rare } else { Cost::Usual }
}

/// True if `entry` is to replace `held` under the same key.
pub fn is_newer(entry: &Entry, held: &Entry) -> bool {
    if entry.kind() == held.kind() {
        entry.version() > held.version()
    } else {
        // A destination that changes its kind of LeaseSet: versions do not compare, ends do.
        entry.expires() > held.expires()
    }
}

/// How old a RouterInfo may be: the more routers we know, the fresher they have to be.
pub fn max_age(info: &RouterInfo, known_routers: usize, floodfill: bool) -> Duration {
    let hidden_or_introduced = info.caps().unreachable || info.addresses().all(|a| a.socket().is_none());
    if floodfill || known_routers > 5000 {
        HOUR
    } else if hidden_or_introduced && known_routers > 25 {
        // Introducers are worth an hour.
        Duration::from_secs(54 * 60)
    } else {
        let scaled = HOUR * 27 * 90 / u32::try_from(known_routers + 1).unwrap_or(u32::MAX);
        scaled.clamp(HOUR, HOUR * 27)
    }
}

/// True for an address at which a router of this network can be: on the live one it is public. What is published beside it
/// may be one of an overlay, or of no network at all.
fn exists(info: &RouterInfo, ip: IpAddr) -> bool {
    info.net_id() != Some(LIVE_NETWORK) || is_public(ip)
}

/// True if a router is worth being asked and stored with.
pub fn is_usable_floodfill(info: &RouterInfo) -> bool {
    let caps = info.caps();
    caps.floodfill
        && !caps.unreachable
        && !caps.hidden
        && info.version() >= MIN_FLOODFILL_VERSION
        && info.signing_type() != SigType::DsaSha1
        && info.encryption_key().is_some()
        && info.addresses().filter_map(|a| a.socket()).any(|socket| exists(info, socket.ip()))
}

#[cfg(test)]
mod tests;
