//! Who stands for another destination: what a MetaLeaseSet says, once its owner has resolved it.
//!
//! The one who stands is a destination of its own: first packets name it, and it signs the answers. So streams that were begun with the
//! other go on with it from their beginning, and later ones begin with it at once, until the word is over or it is not found any more.
//!
//! spec: proposal 123 §Meta LS2

use super::remote::Waiting;
use super::{Destination, Fate, Remote};
use crate::id::DestinationHash;
use crate::payload::STREAMING;
use crate::streaming::streams::Ports;
use crate::time::{Now, Wall};

/// For how many destinations others stand; of more, the word that is over first is forgotten.
const MAX_STANDING: usize = 256;

/// Where the header of a [`crate::payload`] has the number of its protocol.
const PROTOCOL_AT: usize = 9;

impl Destination {
    /// Begins a stream. `None` if there are too many.
    pub fn connect(&mut self, now: Now, remote: DestinationHash, ports: Ports) -> Option<u32> {
        let with = self.standing_for(now.wall, remote);
        self.streams.connect(now, with, ports)
    }

    /// Asks a destination whether it is there; the number that its answer bears.
    pub fn ping(&mut self, now: Now, remote: DestinationHash) -> u32 {
        let whom = self.standing_for(now.wall, remote);
        self.streams.ping(whom)
    }

    /// Who is to be spoken with in place of this destination; as a rule itself.
    pub(super) fn standing_for(&self, now: Wall, remote: DestinationHash) -> DestinationHash {
        match self.standing.get(&remote) {
            Some((other, until)) if *until > now => *other,
            _ => remote,
        }
    }

    /// `by`, whose lease set is known, stands for `of` until then.
    pub(super) fn stands(&mut self, now: Now, of: DestinationHash, by: DestinationHash, until: Wall) {
        if of == by || !self.remotes.contains_key(&by) {
            return self.not_found(now, of, Fate::Unusable);
        }
        self.standing.retain(|_, (_, until)| *until > now.wall);
        if self.standing.len() >= MAX_STANDING {
            let first = self.standing.iter().min_by_key(|(_, (_, until))| *until).map(|(of, _)| *of);
            first.map(|first| self.standing.remove(&first));
        }
        self.standing.insert(of, (by, until));
        let Some(Remote { waiting, .. }) = self.forget(&of) else { return };
        // Programs that speak for themselves have addressed what they say, and first packets are made anew.
        let (moved, lost): (Vec<Waiting>, Vec<Waiting>) = waiting
            .into_iter()
            .filter(|one| self.config.raw || one.bytes.get(PROTOCOL_AT) != Some(&STREAMING))
            .partition(|_| !self.config.raw);
        self.lose(lost, Fate::MetaLeaseSet);
        self.streams.redirect(now, of, by);
        moved.into_iter().for_each(|one| self.queue(now, by, one));
    }

    /// There is no lease set of this destination: it stands for nobody any more.
    pub(super) fn stands_no_more(&mut self, who: DestinationHash) {
        self.standing.retain(|_, (by, _)| *by != who);
    }
}
