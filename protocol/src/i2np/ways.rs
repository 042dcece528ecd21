//! Who may say what, by what way: the router's one table of which I2NP message is taken from where.
//!
//! A message reaches this router over a session, out of a tunnel of others that ends here, or out of an inbound tunnel
//! of our own; each of these may also bring garlic with messages inside. The way decides what a message may do:
//!
//! * What comes over a session or out of a tunnel of others speaks to the router as a member of the network: it may ask,
//!   store and build.
//! * What comes out of one of our own tunnels was sent by somebody who must not learn which router, or which other
//!   destination of it, owns the tunnel. So it may answer what the tunnel's owner has asked, and nothing else:
//!   a question answered, or an entry stored and then served to others, would show the owner.
//! * Garlic changes none of that: its content is judged by the way on which the garlic came. See [`Way::inside`].
//!
//! [`Allowed::IfExpected`] is for whoever dispatches: the message is taken only if the owner of the way has asked for
//! it, is not flooded, published or served to others, and is dropped otherwise without any sign to the sender.
//!
//! spec: i2np §Messages; tunnel-creation-ecies §Message Flow; ecies-routers §Message encryption, §Reply encryption.
//! Where the specifications leave the choice, the rule is that of Java I2P (`InboundMessageDistributor`) or stricter.

use super::MessageType;
use crate::id::DestinationId;

/// Whose tunnel, key or question something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    /// The router: its exploratory tunnels, its searches, its builds.
    Router,
    /// One of our own destinations: its tunnels, its searches, its sessions.
    Destination(DestinationId),
}

/// By what way a message reached us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Way {
    /// From a router, over its session.
    Direct,
    /// For this router, out of an outbound tunnel of others that ends here. Nobody knows who sent it.
    Endpoint,
    /// A local clove of garlic to the router's static key that came by [`Way::Direct`] or [`Way::Endpoint`].
    Garlic,
    /// Out of an inbound tunnel of this owner. Nobody knows who sent it.
    OwnTunnel(Owner),
    /// A clove of garlic out of an inbound tunnel of this owner, under a key that this owner gave out.
    OwnGarlic(Owner),
}

/// Which keys may open a garlic message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opener {
    /// The router's static key, and no other: an answer to one of our own questions that was sent to the router itself
    /// asks whether this router is the one that waits for it.
    RouterKey,
    /// The one-time keys and sessions of this owner, and no other: what opens under the router's key, out of an own
    /// tunnel, asks whether this router owns the tunnel.
    KeysOf(Owner),
}

/// Whether a message may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Allowed {
    /// It is taken. In what belongs to a destination this means: by that destination alone.
    Yes,
    /// It is taken only as the answer to something that the owner of the way (the router for [`Way::Direct`],
    /// [`Way::Endpoint`] and [`Way::Garlic`]) has asked and still waits for.
    IfExpected,
    /// It is dropped.
    No,
}

impl Way {
    /// How garlic that came this way is opened, and by what way its cloves come then. `None`: it is not opened, since
    /// garlic in garlic is used by nobody and would multiply our work.
    ///
    /// spec: i2np §GarlicClove — "although that is not used in practice"
    pub fn inside(self) -> Option<(Opener, Self)> {
        match self {
            Self::Direct | Self::Endpoint => Some((Opener::RouterKey, Self::Garlic)),
            Self::OwnTunnel(owner) => Some((Opener::KeysOf(owner), Self::OwnGarlic(owner))),
            Self::Garlic | Self::OwnGarlic(_) => None,
        }
    }

    /// Whose questions may be answered by this way.
    pub fn owner(self) -> Owner {
        match self {
            Self::Direct | Self::Endpoint | Self::Garlic => Owner::Router,
            Self::OwnTunnel(owner) | Self::OwnGarlic(owner) => owner,
        }
    }

    /// Whether it is one of our own tunnels that would be shown by an answer.
    pub fn is_own(self) -> bool {
        matches!(self, Self::OwnTunnel(_) | Self::OwnGarlic(_))
    }
}

/// What may come by each kind of way.
struct Row {
    direct: Allowed,
    endpoint: Allowed,
    garlic: Allowed,
    /// Out of an own tunnel, unwrapped: of the router, of a destination.
    tunnel: [Allowed; 2],
    /// Out of an own tunnel, in garlic: of the router, of a destination.
    sealed: [Allowed; 2],
}

/// Whether a message of this type may come this way.
pub fn may_come(kind: MessageType, way: Way) -> Allowed {
    let row = row(kind);
    let of = |[router, destination]: [Allowed; 2], owner| match owner {
        Owner::Router => router,
        Owner::Destination(_) => destination,
    };
    match way {
        Way::Direct => row.direct,
        Way::Endpoint => row.endpoint,
        Way::Garlic => row.garlic,
        Way::OwnTunnel(owner) => of(row.tunnel, owner),
        Way::OwnGarlic(owner) => of(row.sealed, owner),
    }
}

fn row(kind: MessageType) -> Row {
    use Allowed::{IfExpected, No, Yes};
    const NEVER: Row = Row { direct: No, endpoint: No, garlic: No, tunnel: [No; 2], sealed: [No; 2] };
    // A message to the router that no tunnel of ours may bring.
    const REQUEST: Row = Row { direct: Yes, endpoint: Yes, garlic: Yes, ..NEVER };
    match kind {
        // spec: i2np §DatabaseStore — floods come directly, publications also through tunnels and in garlic. Out of own
        // tunnels only what a search waits for: i2pd takes nothing else ("unsolicited LS must be received directly"),
        // and Java takes it without serving it. A destination also gets the LeaseSet that its correspondent bundles with data.
        MessageType::DatabaseStore => Row { tunnel: [IfExpected; 2], sealed: [IfExpected, Yes], ..REQUEST },
        // spec: i2np §DatabaseLookup; ecies-routers §Message encryption. Our answer would show who owns the tunnel.
        MessageType::DatabaseLookup => REQUEST,
        // spec: i2np §DatabaseSearchReply; ecies-routers §Reply encryption — sealed with the key in the request. No
        // request of ours names the router's static key, so nothing that it opens is an answer.
        MessageType::DatabaseSearchReply => {
            Row { direct: IfExpected, endpoint: IfExpected, tunnel: [IfExpected; 2], sealed: [IfExpected; 2], ..NEVER }
        }
        // spec: i2np §DeliveryStatus. Java confirms a store that named no reply tunnel through an exploratory tunnel if
        // it has no session with us; tunnel tests and the acknowledgements of old destinations come in garlic.
        MessageType::DeliveryStatus => {
            Row { direct: IfExpected, endpoint: IfExpected, tunnel: [IfExpected; 2], sealed: [IfExpected; 2], ..NEVER }
        }
        // spec: i2np §Garlic. Which key may open it says `Way::inside`.
        MessageType::Garlic => Row { direct: Yes, endpoint: Yes, tunnel: [Yes; 2], ..NEVER },
        // spec: tunnel-message, i2np §TunnelData, §TunnelGateway — between neighbours only. A tunnel that ends here and
        // delivers to a tunnel of this router says so in its delivery instructions.
        MessageType::TunnelData | MessageType::TunnelGateway => Row { direct: Yes, ..NEVER },
        // spec: i2np §Data — "will never be sent unwrapped. It is only used inside Garlic messages." The private test
        // network, which sends it down exploratory tunnels, says that it expects it.
        MessageType::Data => Row { tunnel: [IfExpected, No], sealed: [No, Yes], ..NEVER },
        // spec: i2np §TunnelBuild, §TunnelBuildReply — for tunnels with ElGamal routers, of which there are none left.
        MessageType::TunnelBuild | MessageType::TunnelBuildReply => NEVER,
        // spec: tunnel-creation-ecies §Message Flow — from the creator or the previous hop, out of the creator's outbound
        // tunnel, or wrapped for the gateway. The answer to an inbound build of ours is such a message too, from the last
        // hop's session.
        MessageType::VariableTunnelBuild | MessageType::ShortTunnelBuild => REQUEST,
        // spec: tunnel-creation-ecies §Message Flow — "TUNNEL delivery from OBEP to creator". Sent to the router itself
        // it would ask whether this is the creator.
        MessageType::VariableTunnelBuildReply => Row { tunnel: [IfExpected; 2], ..NEVER },
        // The same, "garlic wrapped (optional)".
        MessageType::OutboundTunnelBuildReply => Row { tunnel: [IfExpected; 2], sealed: [IfExpected; 2], ..NEVER },
        // Nobody here understands it.
        MessageType::Unknown(_) => NEVER,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write;

    const DESTINATION: Owner = Owner::Destination(DestinationId(7));

    const WAYS: [Way; 7] = [
        Way::Direct,
        Way::Endpoint,
        Way::Garlic,
        Way::OwnTunnel(Owner::Router),
        Way::OwnTunnel(DESTINATION),
        Way::OwnGarlic(Owner::Router),
        Way::OwnGarlic(DESTINATION),
    ];

    /// What the other tests do not say in words; "own" and "sealed" are out of own tunnels, plain and in garlic.
    const MATRIX: &str = r"
                             session       endpoint      garlic        own/router    own/dest      sealed/router sealed/dest
  1 DatabaseStore            yes           yes           yes           expected      expected      expected      yes
  2 DatabaseLookup           yes           yes           yes           .             .             .             .
  3 DatabaseSearchReply      expected      expected      .             expected      expected      expected      expected
 10 DeliveryStatus           expected      expected      .             expected      expected      expected      expected
 11 Garlic                   yes           yes           .             yes           yes           .             .
 18 TunnelData               yes           .             .             .             .             .             .
 19 TunnelGateway            yes           .             .             .             .             .             .
 20 Data                     .             .             .             expected      .             .             yes
 21 TunnelBuild              .             .             .             .             .             .             .
 22 TunnelBuildReply         .             .             .             .             .             .             .
 23 VariableTunnelBuild      yes           yes           yes           .             .             .             .
 24 VariableTunnelBuildReply .             .             .             expected      expected      .             .
 25 ShortTunnelBuild         yes           yes           yes           .             .             .             .
 26 OutboundTunnelBuildReply .             .             .             expected      expected      expected      expected
 99 Unknown(99)              .             .             .             .             .             .             .
";

    fn types() -> Vec<MessageType> {
        [MessageType::ALL, &[MessageType::Unknown(99)]].concat()
    }

    fn matrix() -> String {
        let mut out = format!("\n{:28}", "");
        for way in ["session", "endpoint", "garlic", "own/router", "own/dest", "sealed/router", "sealed/dest"] {
            let _ = write!(out, " {way:13}");
        }
        for kind in types() {
            let _ = write!(out, "\n{:28}", format!("{:3} {kind:?}", kind.code()));
            for way in WAYS {
                let word = match may_come(kind, way) {
                    Allowed::Yes => "yes",
                    Allowed::IfExpected => "expected",
                    Allowed::No => ".",
                };
                let _ = write!(out, " {word:13}");
            }
        }
        out.lines().map(str::trim_end).collect::<Vec<_>>().join("\n") + "\n"
    }

    #[test]
    fn the_whole_matrix_is_as_it_was_decided() {
        assert_eq!(matrix(), MATRIX, "\n{}", matrix());
    }

    #[test]
    fn own_tunnels_bring_answers_and_never_a_question() {
        use MessageType::{DatabaseLookup, ShortTunnelBuild, TunnelData, TunnelGateway, VariableTunnelBuild};
        for kind in [DatabaseLookup, ShortTunnelBuild, VariableTunnelBuild, TunnelData, TunnelGateway] {
            for way in WAYS.into_iter().filter(|way| way.is_own()) {
                assert_eq!(may_come(kind, way), Allowed::No, "{kind:?} by {way:?}");
            }
        }
    }

    #[test]
    fn only_a_destination_takes_unasked_what_comes_out_of_own_tunnels() {
        for kind in types().into_iter().filter(|kind| *kind != MessageType::Garlic) {
            for way in [Way::OwnTunnel(Owner::Router), Way::OwnTunnel(DESTINATION), Way::OwnGarlic(Owner::Router)] {
                assert_ne!(may_come(kind, way), Allowed::Yes, "{kind:?} by {way:?}");
            }
        }
    }

    #[test]
    fn garlic_keeps_its_owner_is_opened_by_the_owners_keys_only_and_not_twice() {
        for way in WAYS {
            match way.inside() {
                Some((opener, inner)) => {
                    let keys = if way.is_own() { Opener::KeysOf(way.owner()) } else { Opener::RouterKey };
                    assert_eq!((opener, inner.owner(), inner.is_own()), (keys, way.owner(), way.is_own()));
                    assert_eq!(inner.inside(), None);
                    assert_eq!(may_come(MessageType::Garlic, way), Allowed::Yes);
                }
                None => assert_eq!(may_come(MessageType::Garlic, way), Allowed::No, "{way:?}"),
            }
        }
    }
}
