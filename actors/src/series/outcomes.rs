//! How things ended, in the words of the metrics: each series of outcomes has one list of them here, or in the core that decides
//! ([`Refusal`](ramson_protocol::netdb::rules::Refusal), [`admission::Reason`](ramson_protocol::admission::Reason), the judge's faults).

use ramson_transports::causes;

causes! {
    /// What became of an entry of the network database that somebody sent us and no rule forbids.
    StoreOutcome {
        /// It was taken.
        Taken = "taken",
        /// It could not be read.
        Malformed = "malformed",
        /// It came out of a tunnel of ours in which we had not asked for it.
        NotAskedFor = "not_asked_for",
        /// Who brought it has had its share.
        OverShare = "over_share",
        /// Too many signatures wait to be verified.
        Busy = "busy",
    }
}

causes! {
    /// What a lookup of somebody else's was answered with.
    LookupOutcome {
        /// The entry.
        Found = "found",
        /// Floodfills that are closer.
        NotFound = "not_found",
        /// Nothing: it could not be read.
        Malformed = "malformed",
        /// Nothing: it would have been sent to another than who asked.
        NotFromSender = "not_from_sender",
        /// Nothing: too many came for the same place.
        Throttled = "throttled",
        /// Nothing: who asked has had its share.
        OverShare = "over_share",
        /// Nothing: the answer does not fit into a message.
        TooLarge = "too_large",
        /// Nothing: there was no way to whom it was to go.
        NotSent = "not_sent",
    }
}

causes! {
    /// How a search of ours in the network ended.
    SearchOutcome {
        /// With what was looked for.
        Found = "found",
        /// All who were asked had nothing.
        NotFound = "not_found",
        /// Too few had answered in time.
        TimedOut = "timed_out",
        /// It looked for nothing but new routers.
        Explored = "explored",
        /// It did not begin: the same was missed a short while ago.
        MissedLately = "missed_lately",
        /// It did not begin: too many were under way.
        Busy = "busy",
        /// A floodfill that has not answered for long is left alone from now on.
        FloodfillRests = "floodfill_rests",
    }
}

causes! {
    /// The way of a lookup of ours, or of its answer.
    LookupWay {
        /// Through our tunnels.
        Tunnels = "tunnels",
        /// In a session.
        Session = "session",
    }
}

causes! {
    /// What is known of a round of publishing.
    Publication {
        /// A floodfill has said that it has it.
        Confirmed = "confirmed",
        /// None has.
        Unconfirmed = "unconfirmed",
        /// Another floodfill was asked, and has it, too.
        Verified = "verified",
        /// Another floodfill was asked, and has it not.
        NotVerified = "not_verified",
    }
}

causes! {
    /// How a build of a tunnel of our own ended.
    BuildOutcome {
        /// All hops have agreed.
        Ok = "ok",
        /// A hop has not.
        Refused = "refused",
        /// No answer came.
        Timeout = "timeout",
        /// It could not be sent.
        Unsent = "unsent",
        /// There were too few routers to choose hops among.
        NoPeers = "no_peers",
    }
}

causes! {
    /// Whether a test of a tunnel came back.
    TestOutcome {
        /// It did.
        Ok = "ok",
        /// It did not.
        Failed = "failed",
    }
}

causes! {
    /// What became of a request to build a tunnel of others.
    RequestAnswer {
        /// We are a hop of it.
        Accepted = "accepted",
        /// We said no.
        Refused = "refused",
        /// We said nothing.
        Dropped = "dropped",
        /// We were a hop, and the place was given to another.
        Reclaimed = "reclaimed",
    }
}

causes! {
    /// Why, beside what admission has for reasons.
    RequestReason {
        /// There is room.
        Accepted = "accepted",
        /// It was here before.
        Replayed = "replayed",
        /// Too many wait to be opened.
        QueueFull = "queue_full",
        /// Nobody is known to have sent it, and only to a gateway may it come so.
        NoPrevious = "no_previous",
        /// The answer could not be made.
        Unanswerable = "unanswerable",
        /// The tunnel had carried nothing.
        NeverUsed = "never_used",
        /// The message is no request.
        NotABuild = "not_a_build",
        /// The message could not be read.
        Malformed = "malformed",
        /// None of its records is for us.
        NoRecord = "no_record",
        /// Our record does not open, or says what cannot be.
        BadRecord = "bad_record",
        /// It was made too long ago.
        TooOld = "too_old",
        /// It was made in the future.
        TooFarAhead = "too_far_ahead",
        /// We would be our own next hop.
        NextIsUs = "next_is_us",
        /// The next hop would be the one before us.
        NextIsPrevious = "next_is_previous",
    }
}

causes! {
    /// What came of asking the gateway before us for a port.
    GatewayOutcome {
        /// It is ours.
        Mapped = "mapped",
        /// It is ours at an address that nobody outside can reach.
        Private = "private",
        /// We cannot have it.
        Refused = "refused",
        /// Nothing was said.
        TimedOut = "timed_out",
        /// There is none that speaks this protocol.
        NoGateway = "no_gateway",
        /// The gateway does not know its own address.
        NoAddress = "no_address",
    }
}

causes! {
    /// What came of asking a time server.
    ClockOutcome {
        /// The time.
        Answered = "answered",
        /// Its name is not known.
        Name = "name",
        /// There was no socket for the question.
        Socket = "socket",
        /// There is no way to it.
        Unreachable = "unreachable",
        /// It said nothing in time.
        TimedOut = "timed_out",
        /// It does not know the time itself.
        Unsynchronised = "unsynchronised",
        /// Its answer cannot be.
        Absurd = "absurd",
        /// Answers came to questions that were not ours.
        Forged = "forged",
    }
}

causes! {
    /// What a round of reseeding brought.
    ReseedOutcome {
        /// Routers of several signers.
        Taken = "taken",
        /// Those of bundles that were kept of an earlier round.
        Kept = "kept",
        /// Nothing.
        Failed = "failed",
    }
}

causes! {
    /// What came of asking a reseed host, beside what may be wrong with its bundle.
    FetchOutcome {
        /// A bundle that is good.
        Good = "good",
        /// It could not be asked.
        Unreachable = "unreachable",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_word_of_a_series_stands_for_two_things() {
        let distinct = |labels: Vec<&'static str>| labels.iter().collect::<HashSet<_>>().len() == labels.len();
        macro_rules! check {
            ($($name:ident)*) => {
                $(assert!(distinct($name::ALL.iter().map(|value| value.label()).collect()), stringify!($name));)*
            };
        }
        check!(StoreOutcome LookupOutcome SearchOutcome LookupWay Publication BuildOutcome TestOutcome RequestAnswer);
        check!(RequestReason GatewayOutcome ClockOutcome ReseedOutcome FetchOutcome);
    }
}
