//! Why the control plane drops a message or loses a command: one vocabulary for all its actors, as the data plane has its
//! own in [`ramson_transports::stats::DropCause`].

use crate::series::control;
use ramson_transports::causes;

causes! {
    /// Why the control plane dropped something.
    ControlDrop {
        /// The message has expired.
        Expired = "expired",
        /// The message expires further ahead than any honest sender's clock allows.
        TooFarAhead = "too_far_ahead",
        /// A message with this id was here before.
        Duplicate = "duplicate",
        /// Messages of this type may not come this way.
        NotAllowedHere = "not_allowed_here",
        /// Nothing handles messages of this type.
        UnsupportedType = "unsupported_type",
        /// The message could not be read.
        Malformed = "malformed",
        /// An answer that nobody waits for, or that did not come by the way on which it is waited for.
        Unexpected = "unexpected",
        /// It came out of a tunnel of ours that has ended since.
        OwnTunnelEnded = "own_tunnel_ended",
        /// Garlic under a one-time key of ours that does not open.
        GarlicForged = "garlic_forged",
        /// Garlic under a one-time key of ours that did not come by the way for which the key was given out.
        GarlicByAnotherWay = "garlic_by_another_way",
        /// Garlic that our static key does not open.
        GarlicNotOurs = "garlic_not_ours",
        /// Garlic whose cloves could not be read.
        GarlicMalformed = "garlic_malformed",
        /// Garlic within garlic.
        GarlicInGarlic = "garlic_in_garlic",
        /// More garlic waits for the threads that open it than may, or more of this one's than is left for others.
        OpenerBusy = "opener_busy",
        /// An actor does not keep up.
        MailboxFull = "mailbox_full",
        /// A shard of the network database does not keep up.
        NetDbShardFull = "netdb_shard_full",
        /// A subscriber of the network database does not keep up.
        SubscriberSlow = "subscriber_slow",
        /// The thread that writes the network database does not keep up.
        StorageFull = "storage_full",
        /// An I/O thread does not keep up with what we send.
        DataPlaneFull = "data_plane_full",
        /// An I/O thread did not take a new hop.
        HopInstall = "hop_install",
        /// A stranger has had its share of what we do for strangers.
        OverShare = "over_share",
        /// A confirmation that would go to another than the one who asks for it.
        ConfirmElsewhere = "confirm_elsewhere",
        /// One key was to be passed on to other floodfills too often.
        FloodedLately = "flooded_lately",
        /// A lookup of ours could not be sent.
        LookupNotSent = "lookup_not_sent",
        /// A DatabaseSearchReply over the session of another than its sender.
        SearchReplyNotFromSender = "search_reply_not_from_sender",
        /// A DatabaseSearchReply to a lookup that we have not sent, or by another way than the lookup named.
        SearchReplyNotAskedFor = "search_reply_not_asked_for",
    }
}

impl ControlDrop {
    /// Counts one.
    pub(crate) fn count(self) {
        control::DROPS.add([self.label()], 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_reason_has_a_label_of_its_own() {
        let labels: HashSet<_> = ControlDrop::ALL.iter().map(|drop| drop.label()).collect();
        assert_eq!(labels.len(), ControlDrop::ALL.len());
    }
}
