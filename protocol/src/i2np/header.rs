//! The I2NP header in both of its forms, and the message that it heads.
//!
//! spec: i2np §I2NP Message Header
//!
//! ```text
//! standard, 16 bytes: type 1 | id 4 | expiration 8, ms | size 2 | checksum 1 | body
//! short, 9 bytes:     type 1 | id 4 | expiration 4, s  | body to the end of its container
//! ```

use crate::id::MessageId;
use crate::time::Wall;
use crate::wire::{Error, Reader, Result, Writer};
use bytes::Bytes;
use ramson_crypto::hash::sha256;
use std::time::Duration;

/// Length of the standard header: in Data, TunnelGateway, tunnel fragments and ElGamal garlic.
pub const STANDARD_LEN: usize = 16;
/// Length of the short header: on NTCP2 and SSU2 links and in ratchet garlic.
pub const SHORT_LEN: usize = 9;
/// The largest body: what 64 fragments of a tunnel message carry.
///
/// spec: tunnel-message §Notes
pub const MAX_BODY: usize = 62_708;

/// A message with an expiration further ahead is refused: its sender's clock is wrong, or it wants to be remembered.
/// Java's inbound gateways accept three minutes and a minute of skew.
pub const MAX_AHEAD: Duration = Duration::from_secs(4 * 60);
/// How long after its expiration a message is still taken: the clock skew that links allow.
pub const SKEW: Duration = Duration::from_secs(60);
/// How far ahead we set the expiration of what we send directly.
pub const LIFETIME: Duration = Duration::from_secs(8);

/// The message types: code, variant, label.
macro_rules! message_types {
    ($($(#[$doc:meta])* $code:literal = $name:ident, $label:literal;)*) => {
        /// What a message is. Unknown codes are kept: they are forwarded as they are.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum MessageType {
            $($(#[$doc])* $name,)*
            /// Any other code.
            Unknown(u8),
        }

        impl MessageType {
            /// Every type that has a name, in the order of the codes.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The type of a code.
            pub const fn from_code(code: u8) -> Self {
                match code {
                    $($code => Self::$name,)*
                    other => Self::Unknown(other),
                }
            }

            /// The code on the wire.
            pub const fn code(self) -> u8 {
                match self {
                    $(Self::$name => $code,)*
                    Self::Unknown(code) => code,
                }
            }

            /// A name for metrics; `unknown` for those without one.
            pub const fn label(self) -> &'static str {
                match self {
                    $(Self::$name => $label,)*
                    Self::Unknown(_) => "unknown",
                }
            }
        }
    };
}

message_types! {
    /// An entry of the netDb: to be stored, or an answer.
    1 = DatabaseStore, "database_store";
    /// A question to the netDb.
    2 = DatabaseLookup, "database_lookup";
    /// The answer to a lookup without the entry: routers that are closer.
    3 = DatabaseSearchReply, "database_search_reply";
    /// A message has arrived.
    10 = DeliveryStatus, "delivery_status";
    /// Encrypted cloves.
    11 = Garlic, "garlic";
    /// A cell of a tunnel.
    18 = TunnelData, "tunnel_data";
    /// A message for the gateway of a tunnel.
    19 = TunnelGateway, "tunnel_gateway";
    /// Data of a destination; in garlic only.
    20 = Data, "data";
    /// Eight build records; deprecated.
    21 = TunnelBuild, "tunnel_build";
    /// The answer to it; deprecated.
    22 = TunnelBuildReply, "tunnel_build_reply";
    /// One to eight build records of 528 bytes.
    23 = VariableTunnelBuild, "variable_tunnel_build";
    /// The answer to it.
    24 = VariableTunnelBuildReply, "variable_tunnel_build_reply";
    /// One to eight build records of 218 bytes.
    25 = ShortTunnelBuild, "short_tunnel_build";
    /// The answer to it, from the endpoint of an outbound tunnel.
    26 = OutboundTunnelBuildReply, "outbound_tunnel_build_reply";
}

/// What the header of a message says. It is read and written as the short one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShortHeader {
    /// What the body is.
    pub kind: MessageType,
    /// Chosen at random by the sender.
    pub id: MessageId,
    /// When the message is worth nothing any more; the short header carries whole seconds.
    pub expiration: Wall,
}

impl ShortHeader {
    /// Reads the header; the body is what is left in the reader.
    ///
    /// # Errors
    /// `Truncated`.
    pub fn parse(r: &mut Reader<'_>) -> Result<Self> {
        Ok(Self {
            kind: MessageType::from_code(r.u8()?),
            id: MessageId(r.u32()?),
            expiration: Wall::from_secs(r.u32()?),
        })
    }

    /// Appends the header.
    pub fn write(&self, w: &mut impl Writer) {
        w.put_u8(self.kind.code());
        w.put_u32(self.id.0);
        // Rounded, as elsewhere: a message of 8 s must not become one of 7.
        w.put_u32(Wall(self.expiration.0.saturating_add(500)).secs());
    }
}

/// A whole message. The body is shared, not copied, when a message is forwarded.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// What the body is.
    pub kind: MessageType,
    /// Random; links and tunnels drop a second message of the same id.
    pub id: MessageId,
    /// When the message is worth nothing any more.
    pub expiration: Wall,
    /// Everything behind the header.
    pub body: Bytes,
}

impl Message {
    /// The header fields.
    pub fn header(&self) -> ShortHeader {
        ShortHeader { kind: self.kind, id: self.id, expiration: self.expiration }
    }

    /// Splits a message with a standard header that fills `bytes` into what its header says and its body.
    ///
    /// The checksum is not compared: whatever brings us such a message has authenticated it.
    ///
    /// # Errors
    /// `Truncated`, `Trailing`; `TooLarge` above [`MAX_BODY`].
    pub fn split_std(bytes: &[u8]) -> Result<(ShortHeader, &[u8])> {
        let mut r = Reader::new(bytes);
        let kind = MessageType::from_code(r.u8()?);
        let id = MessageId(r.u32()?);
        let expiration = Wall(r.u64()?);
        let size = usize::from(r.u16()?);
        let _checksum = r.u8()?;
        if size > MAX_BODY {
            return Err(Error::TooLarge("I2NP message"));
        }
        let body = r.take(size)?;
        r.finish()?;
        Ok((ShortHeader { kind, id, expiration }, body))
    }

    /// Reads a message with a standard header that fills `bytes`; the body shares them.
    ///
    /// # Errors
    /// As [`Message::split_std`].
    pub fn from_std(bytes: &Bytes) -> Result<Self> {
        let (ShortHeader { kind, id, expiration }, body) = Self::split_std(bytes)?;
        Ok(Self { kind, id, expiration, body: bytes.slice_ref(body) })
    }

    /// Reads a message with a short header that fills `bytes`; the body shares them.
    ///
    /// # Errors
    /// `Truncated`; `TooLarge` above [`MAX_BODY`].
    pub fn from_short(bytes: &Bytes) -> Result<Self> {
        let mut r = Reader::new(bytes);
        let ShortHeader { kind, id, expiration } = ShortHeader::parse(&mut r)?;
        if r.remaining() > MAX_BODY {
            return Err(Error::TooLarge("I2NP message"));
        }
        Ok(Self { kind, id, expiration, body: bytes.slice(SHORT_LEN..) })
    }

    /// Appends the message with its standard header.
    ///
    /// # Errors
    /// `TooLarge` above [`MAX_BODY`]; then nothing was appended.
    pub fn write_std(&self, w: &mut impl Writer) -> Result<()> {
        write_std(self.header(), &self.body, w)
    }

    /// Appends the message with its short header.
    ///
    /// # Errors
    /// `TooLarge` above [`MAX_BODY`]; then nothing was appended.
    pub fn write_short(&self, w: &mut impl Writer) -> Result<()> {
        if self.body.len() > MAX_BODY {
            return Err(Error::TooLarge("I2NP message"));
        }
        self.header().write(w);
        w.put(&self.body);
        Ok(())
    }

    /// The message with its standard header.
    ///
    /// # Errors
    /// `TooLarge` above [`MAX_BODY`].
    pub fn to_std(&self) -> Result<Vec<u8>> {
        let mut out = Vec::with_capacity(STANDARD_LEN + self.body.len());
        self.write_std(&mut out)?;
        Ok(out)
    }

    /// The message with its short header.
    ///
    /// # Errors
    /// `TooLarge` above [`MAX_BODY`].
    pub fn to_short(&self) -> Result<Vec<u8>> {
        let mut out = Vec::with_capacity(SHORT_LEN + self.body.len());
        self.write_short(&mut out)?;
        Ok(out)
    }
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Message({:?}, {} bytes)", self.kind, self.body.len())
    }
}

/// Whether a message is to be taken now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Take it.
    Fresh,
    /// Its expiration, and the skew that we allow, have passed.
    Expired,
    /// Its expiration is further ahead than anyone needs.
    TooFarAhead,
}

/// Appends a message with its standard header.
///
/// # Errors
/// `TooLarge` above [`MAX_BODY`]; then nothing was appended.
pub fn write_std(header: ShortHeader, body: &[u8], w: &mut impl Writer) -> Result<()> {
    w.put(&standard(header, body)?);
    w.put(body);
    Ok(())
}

/// The standard header of a message with this body.
///
/// # Errors
/// `TooLarge` above [`MAX_BODY`].
pub fn standard(header: ShortHeader, body: &[u8]) -> Result<[u8; STANDARD_LEN]> {
    let size = u16::try_from(body.len()).ok().filter(|_| body.len() <= MAX_BODY);
    let size = size.ok_or(Error::TooLarge("I2NP message"))?;
    let mut out = [0; STANDARD_LEN];
    out[0] = header.kind.code();
    out[1..5].copy_from_slice(&header.id.0.to_be_bytes());
    out[5..13].copy_from_slice(&header.expiration.0.to_be_bytes());
    out[13..15].copy_from_slice(&size.to_be_bytes());
    out[15] = sha256(&[body])[0];
    Ok(out)
}

/// Judges an expiration.
///
/// spec: i2np §I2NP Message Header, notes — "may reject messages with expirations too far in the future"
pub fn freshness(expiration: Wall, now: Wall) -> Freshness {
    if expiration.plus(SKEW) < now {
        Freshness::Expired
    } else if expiration > now.plus(MAX_AHEAD) {
        Freshness::TooFarAhead
    } else {
        Freshness::Fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample() -> Message {
        Message {
            kind: MessageType::DeliveryStatus,
            id: MessageId(0x0102_0304),
            expiration: Wall::from_secs(1_790_000_000),
            body: Bytes::from_static(&[9; 12]),
        }
    }

    #[test]
    fn both_headers_are_read_back_and_every_prefix_is_truncated() {
        let m = sample();
        let std = Bytes::from(m.to_std().unwrap());
        let short = Bytes::from(m.to_short().unwrap());
        assert_eq!((std.len(), short.len()), (28, 21));
        assert_eq!(Message::from_std(&std), Ok(m.clone()));
        assert_eq!(Message::from_short(&short), Ok(m));
        for n in 0..std.len() {
            assert!(matches!(Message::from_std(&std.slice(..n)), Err(Error::Truncated { .. })));
        }
        for n in 0..SHORT_LEN {
            assert!(matches!(Message::from_short(&short.slice(..n)), Err(Error::Truncated { .. })));
        }
    }

    #[test]
    fn every_type_code_survives_and_every_type_has_a_label_of_its_own() {
        for code in 0..=u8::MAX {
            assert_eq!(MessageType::from_code(code).code(), code);
        }
        let labels: std::collections::HashSet<_> = MessageType::ALL.iter().map(|kind| kind.label()).collect();
        assert_eq!(labels.len(), MessageType::ALL.len());
        assert!(!labels.contains("unknown") && MessageType::ALL.is_sorted_by_key(|kind| kind.code()));
    }

    #[test]
    fn a_message_is_fresh_from_four_minutes_before_its_expiration_to_one_after() {
        let now = Wall::from_secs(1_790_000_000);
        let at = |s: i64| freshness(Wall((now.0 as i64 + s * 1000) as u64), now);
        assert_eq!(at(-61), Freshness::Expired);
        assert_eq!(at(-60), Freshness::Fresh);
        assert_eq!(at(240), Freshness::Fresh);
        assert_eq!(at(241), Freshness::TooFarAhead);
    }

    #[test]
    fn a_body_that_no_tunnel_carries_is_refused() {
        let m = Message { body: vec![0; MAX_BODY + 1].into(), ..sample() };
        assert_eq!(m.to_std(), Err(Error::TooLarge("I2NP message")));
        assert_eq!(m.to_short(), Err(Error::TooLarge("I2NP message")));
    }

    proptest! {
        #[test]
        fn encoding_and_decoding_is_the_identity(kind: u8, id: u32, secs: u32, body in prop::collection::vec(any::<u8>(), 0..200)) {
            let m = Message {
                kind: MessageType::from_code(kind),
                id: MessageId(id),
                expiration: Wall::from_secs(secs),
                body: body.into(),
            };
            prop_assert_eq!(Message::from_std(&m.to_std().unwrap().into()), Ok(m.clone()));
            prop_assert_eq!(Message::from_short(&m.to_short().unwrap().into()), Ok(m));
        }
    }
}
