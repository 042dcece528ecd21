//! Datagrams as applications have them: with their senders, of every kind.
//!
//! ```text
//! 17 signed | 19 signed, for one receiver | 20 claimed | 18 and all others: nobody says who
//! ```
//! spec: datagrams

use bytes::Bytes;
use ramson_protocol::data::keys_and_cert::Destination;
use ramson_protocol::data::private_keys::PrivateKeys;
use ramson_protocol::datagram::{Claimed, DATAGRAM2, DATAGRAM3, Signed};
use ramson_protocol::destination::datagrams::Datagram;
use ramson_protocol::id::DestinationHash;
use ramson_protocol::payload::DATAGRAM;
use ramson_transports::clock::Clock;

/// Who has sent a datagram, as far as it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sender {
    /// His signature is under it.
    Signed(Destination),
    /// It says so, and nothing that we know says otherwise.
    Claimed(DestinationHash),
}

/// The bytes of a datagram with its sender, as its kind has him.
pub fn seal(keys: &PrivateKeys, protocol: u8, to: &DestinationHash, payload: Bytes) -> Bytes {
    let from = keys.destination.clone();
    match protocol {
        DATAGRAM => Signed { from, payload }.to_bytes1(&keys.key).into(),
        DATAGRAM2 => Signed { from, payload }.to_bytes2(to, &keys.key, keys.offline.as_deref()).into(),
        DATAGRAM3 => Claimed { from: from.hash(), payload }.to_bytes().into(),
        _ => payload,
    }
}

/// Who has sent a datagram to `us`, and what. `None` if he is not who he says; nobody for one of another kind.
pub fn open(us: &DestinationHash, datagram: &Datagram) -> Option<(Option<Sender>, Bytes)> {
    let Datagram { peer, protocol, content, .. } = datagram;
    let signed = |signed: Signed| (Some(Sender::Signed(signed.from)), signed.payload);
    match *protocol {
        DATAGRAM => Signed::parse1(content, *peer).ok().map(signed),
        DATAGRAM2 => Signed::parse2(content, us, *peer, Clock::system()).ok().map(signed),
        DATAGRAM3 => {
            let Claimed { from, payload } = Claimed::parse(content).ok()?;
            // spec: datagrams §Datagram3 — nobody has signed it. A session that is another's says that it is not his.
            peer.is_none_or(|peer| peer == from).then(|| (Some(Sender::Claimed(from)), payload))
        }
        _ => Some((None, content.clone())),
    }
}
