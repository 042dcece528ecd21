//! What a destination of ours keeps of another: its lease set, the way there, and what waits for it.

use super::paths::{OutboundTunnelRef, PAUSE, Paths};
use crate::data::entry::Entry;
use crate::data::key_type::EncType;
use crate::data::lease::Lease;
use crate::id::{DestinationHash, TunnelId};
use crate::payload::STREAMING;
use crate::ratchet::block::MessageRef;
use crate::ratchet::handshake::Kind;
use crate::time::{Mono, Now, Wall};
use ramson_crypto::elgamal;
use ramson_crypto::x25519::PublicKey;
use rand_chacha::ChaCha20Rng;
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// A lease set that was told and not acknowledged is told again after this. INTEROP: four seconds in i2pd.
const TELL_AGAIN: Duration = Duration::from_secs(4);

/// While a New Session message is not answered, packets of streams wait so long for its answer.
const HOLD: Duration = Duration::from_millis(2500);

/// The same for datagrams: the other side may never have anything to answer. INTEROP: i2pd drops New Session messages that come within
/// 200 ms of another.
const DATAGRAM_HOLD: Duration = Duration::from_millis(250);

/// A search is not begun anew so soon after one that found nothing.
pub(super) const MISSED: Duration = Duration::from_secs(5);

/// A search that found nothing is begun anew after this while the last one is young: who has just begun is published within seconds, and
/// floodfills pass him on to one another.
const SEARCHED_AGAIN: Duration = Duration::from_millis(1500);

/// So long it is searched for those who wait. INTEROP: twelve seconds in i2pd, fifteen in Java.
pub(super) const SEARCHED: Duration = Duration::from_secs(10);

/// After so many changes of the path with nothing heard the lease set itself may be out of date: its owner publishes another
/// as soon as its tunnels die, and nobody tells us.
const DOUBTED: u32 = 2;

/// A lease set that is doubted is searched no more often than this.
const DOUBTED_AGAIN: Duration = Duration::from_secs(10);

/// While nothing of ours seems to come there, so often it is to be asked whether it does, no more often than this; and who has said
/// something so long after the first question, and answered none, does not hear us.
const PROBES: u8 = 3;
const PROBED_AGAIN: Duration = Duration::from_secs(2);
const PROBED: Duration = Duration::from_secs(6);

/// Questions whether what is sent comes.
#[derive(Debug, Default)]
struct Probe {
    asked: u8,
    first: Mono,
    last: Mono,
    /// Something came so long after the first.
    heard: bool,
}

/// A key of another destination's, and the handshake that is made with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TheirKey {
    pub(super) kind: Kind,
    pub(super) key: PublicKey,
}

/// Those keys of a lease set that we can use, in the order of our kinds of handshakes.
pub(super) type Keys = SmallVec<[TheirKey; 2]>;

/// See [`Keys`].
fn keys(named: &[(EncType, &[u8])], kinds: impl Iterator<Item = Kind>) -> Keys {
    let with = |kind: Kind| {
        let of_kind = named.iter().find(|(found, _)| *found == EncType::of_handshake(kind));
        let key = of_kind.and_then(|(_, key)| (*key).try_into().ok()).map(PublicKey);
        key.map(|key| TheirKey { kind, key })
    };
    kinds.filter_map(with).collect()
}

/// What a verified lease set tells of another destination.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) hash: DestinationHash,
    pub(super) version: Wall,
    pub(super) expires: Wall,
    leases: Vec<Lease>,
    pub(super) keys: Keys,
    /// The key of those who know nothing newer, if there is no other.
    pub(super) old: Option<Arc<elgamal::PublicKey>>,
}

impl Known {
    /// Of a lease set of the first or the second kind, with the keys that we can use.
    pub(super) fn of(lease_set: &Entry, kinds: impl Iterator<Item = Kind>) -> Self {
        let named = lease_set.encryption_keys();
        let keys = keys(&named, kinds);
        let old = named.iter().find(|(kind, _)| *kind == EncType::ElGamal).filter(|_| keys.is_empty());
        Self {
            hash: DestinationHash(lease_set.key().0),
            version: lease_set.version(),
            expires: lease_set.expires().unwrap_or_default(),
            leases: lease_set.leases(),
            keys,
            old: old.and_then(|(_, key)| elgamal::PublicKey::from_bytes(key)).map(Arc::new),
        }
    }

    /// True if there is a key that something can be sent to.
    pub(super) fn is_usable(&self, now: Wall) -> bool {
        (!self.keys.is_empty() || self.old.is_some()) && self.expires > now
    }
}

/// A payload that is to be sent.
#[derive(Debug)]
pub(super) struct Waiting {
    /// The gzip member.
    pub(super) bytes: Vec<u8>,
    /// Until when it is of use.
    pub(super) until: Wall,
    /// Our lease set may go along.
    pub(super) bundle: bool,
    /// Whoever wants to know what becomes of it knows it by this number.
    pub(super) token: Option<u32>,
    /// The lane of a stream's packet; zero for all else.
    pub(super) lane: usize,
}

/// Another destination.
#[derive(Debug)]
pub(super) struct Remote {
    lease_set: Option<Known>,
    /// Its hybrid handshakes were not answered.
    plain: bool,
    pub(super) paths: Paths,
    /// Changes of the path since it was heard, or its lease set last came or was searched.
    in_vain: u32,
    pub(super) waiting: VecDeque<Waiting>,
    looking: bool,
    /// Since when it is searched for those who wait now.
    sought: Option<Mono>,
    missed_until: Mono,
    /// The version of our lease set that it has.
    pub(super) told: Option<Wall>,
    /// One that was sent and may not have come.
    telling: Option<(Wall, Option<MessageRef>, Mono)>,
    pub(super) used: Mono,
    /// Since when we send and hear nothing, if nobody else watches whether the way there is good.
    pub(super) unheard: Option<Mono>,
    /// Since the path was changed, until it says that something of ours has come.
    probe: Option<Probe>,
}

impl Remote {
    pub(super) fn new(now: Mono) -> Self {
        Self {
            lease_set: None,
            plain: false,
            paths: Paths::default(),
            in_vain: 0,
            waiting: VecDeque::new(),
            looking: false,
            sought: None,
            missed_until: Mono::ZERO,
            told: None,
            telling: None,
            used: now,
            unheard: None,
            probe: None,
        }
    }

    pub(super) fn keys(&self) -> &[TheirKey] {
        self.lease_set.as_ref().map_or(&[], |known| &known.keys)
    }

    /// The key to send with: that of a session that stands, or the best for a new one.
    pub(super) fn key(&self, is_ready: impl Fn(&PublicKey) -> bool) -> Option<TheirKey> {
        let ready = self.keys().iter().find(|theirs| is_ready(&theirs.key));
        let new = || self.keys().iter().find(|theirs| theirs.kind.is_none() || !self.plain);
        ready.or_else(new).copied()
    }

    /// The key of one who speaks by ElGamal alone.
    pub(super) fn old_key(&self) -> Option<&Arc<elgamal::PublicKey>> {
        self.lease_set.as_ref()?.old.as_ref()
    }

    /// Hybrid handshakes are not answered: it is asked without from now on, if it has a key for that.
    pub(super) fn go_plain(&mut self) -> bool {
        let can = !self.plain && self.keys().iter().any(|theirs| theirs.kind.is_none());
        self.plain |= can;
        can
    }

    /// True if a lease set of this version is known, or a newer one.
    pub(super) fn has(&self, version: Wall) -> bool {
        self.lease_set.as_ref().is_some_and(|known| known.version >= version)
    }

    pub(super) fn learn(&mut self, known: Known) {
        self.looking = false;
        if self.has(known.version) {
            return;
        }
        (self.in_vain, self.sought) = (0, None);
        self.paths.keep_leases(&known.leases);
        self.lease_set = Some(known);
    }

    pub(super) fn has_lease(&self, now: Wall) -> bool {
        self.lease_set.as_ref().is_some_and(|known| known.leases.iter().any(|lease| lease.end > now))
    }

    /// How long what waits is held for the answer to a New Session message.
    pub(super) fn hold(&self) -> Duration {
        // The protocol's number, see the header of [`crate::payload`].
        let streaming = self.waiting.front().is_none_or(|first| first.bytes.get(9) == Some(&STREAMING));
        if streaming { HOLD } else { DATAGRAM_HOLD }
    }

    /// True if a search is to begin.
    pub(super) fn look_up(&mut self, now: Mono) -> bool {
        let begin = !self.looking && now >= self.missed_until;
        self.looking |= begin;
        if begin {
            self.sought.get_or_insert(now);
        }
        begin
    }

    /// Something came from there.
    pub(super) fn heard(&mut self, now: Mono) {
        self.in_vain = 0;
        if let Some(probe) = &mut self.probe {
            probe.heard |= probe.asked > 0 && now >= probe.first + PROBED;
        }
    }

    /// True if a message in its session is to ask whether it has come.
    pub(super) fn asks(&mut self, now: Mono) -> bool {
        let Some(probe) = self.probe.as_mut().filter(|one| one.asked == 0 || now >= one.last + PROBED_AGAIN) else {
            return false;
        };
        if probe.asked == 0 {
            probe.first = now;
        }
        (probe.asked, probe.last) = (probe.asked.saturating_add(1), now);
        true
    }

    /// True, once, if it speaks, and nothing of ours comes to it.
    ///
    /// INTEROP: a receiver has tags for so many messages ahead of the last that came, i2pd for 800. Where more are lost in a row it can open
    /// none that follows, and cannot know.
    pub(super) fn is_deaf(&mut self) -> bool {
        self.probe.take_if(|probe| probe.asked >= PROBES && probe.heard).is_some()
    }

    /// True if a search is to begin for a newer lease set than the one that is known.
    pub(super) fn look_up_anew(&mut self, now: Mono) -> bool {
        let begin = self.in_vain >= DOUBTED && self.look_up(now);
        if begin {
            self.in_vain = 0;
            self.missed_until = now + DOUBTED_AGAIN;
        }
        begin
    }

    /// When a search may begin, if none is under way.
    pub(super) fn searched_again(&self) -> Option<Mono> {
        (!self.looking).then_some(self.missed_until)
    }

    /// Nothing was found: what waits is given up, unless what is known may still do, or it is early enough for another search: then at
    /// [`Remote::searched_again`]. What was found and is of no use (`hopeless`) will not be better then.
    pub(super) fn not_found(&mut self, now: Now, hopeless: bool) -> Option<VecDeque<Waiting>> {
        self.looking = false;
        let early = !hopeless && self.sought.is_some_and(|since| now.mono < since + SEARCHED);
        if early && !self.waiting.is_empty() {
            self.missed_until = self.missed_until.max(now.mono + SEARCHED_AGAIN);
            return None;
        }
        self.sought = None;
        self.missed_until = self.missed_until.max(now.mono + MISSED);
        (!self.has_lease(now.wall)).then(|| std::mem::take(&mut self.waiting))
    }

    /// The tunnel and the lease to use, and whether they are others than before.
    pub(super) fn path(
        &mut self,
        outbound: &[OutboundTunnelRef],
        now: Now,
        rng: &mut ChaCha20Rng,
    ) -> Option<(TunnelId, Lease, bool)> {
        self.paths.choose((outbound, leases(self.lease_set.as_ref())), now, rng)
    }

    /// The same for a lane; beside the first there may be none.
    pub(super) fn lane(
        &mut self,
        lane: usize,
        outbound: &[OutboundTunnelRef],
        now: Now,
        rng: &mut ChaCha20Rng,
    ) -> Option<(TunnelId, Lease, bool)> {
        if lane == 0 {
            return self.path(outbound, now, rng);
        }
        self.paths.choose_other(lane, (outbound, leases(self.lease_set.as_ref())), now, rng)
    }

    /// Something is to be sent. True if, after a pause, it takes another way than what was sent before.
    pub(super) fn touch(&mut self, outbound: &[OutboundTunnelRef], now: Now, rng: &mut ChaCha20Rng) -> bool {
        let before = std::mem::replace(&mut self.used, now.mono);
        let ends = (outbound, leases(self.lease_set.as_ref()));
        now.mono >= before + PAUSE && self.paths.reconsider(ends, now, rng)
    }

    /// Nothing comes back: another way.
    pub(super) fn change_path(&mut self, outbound: &[OutboundTunnelRef], now: Mono, rng: &mut ChaCha20Rng) {
        self.in_vain += 1;
        self.probe.get_or_insert_default();
        self.paths.change((outbound, leases(self.lease_set.as_ref())), now, rng);
    }

    /// True if this version of our lease set is to go along with a message.
    pub(super) fn wants(&self, version: Wall, now: Mono) -> bool {
        let telling = self.telling.filter(|(told, _, at)| *told >= version && now < *at + TELL_AGAIN);
        self.told.is_none_or(|told| told < version) && telling.is_none()
    }

    pub(super) fn tell(&mut self, version: Wall, message: Option<MessageRef>, now: Mono) {
        self.telling = Some((version, message, now));
    }

    /// A session stands: what was in the question has come.
    pub(super) fn answered(&mut self) {
        self.probe = None;
        if let Some((version, None, _)) = self.telling {
            self.told = self.told.max(Some(version));
        }
    }

    pub(super) fn acked(&mut self, message: MessageRef) {
        self.probe = None;
        if let Some((version, _, _)) = self.telling.take_if(|(_, told, _)| *told == Some(message)) {
            self.told = self.told.max(Some(version));
        }
    }
}

fn leases(lease_set: Option<&Known>) -> &[Lease] {
    lease_set.map_or(&[], |known| &known.leases)
}
