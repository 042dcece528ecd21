//! DatabaseLookup: a question to a floodfill.
//!
//! spec: i2np §DatabaseLookup; proposal 154 (ECIES replies)
//!
//! ```text
//! key 32 | from 32 | flags 1 | reply tunnel 4, if flag | excluded 2 | hash 32 * excluded |
//! reply key 32, tags 1, tag 32 or 8 * tags, if flag
//! ```

use crate::id::{NetDbKey, RouterHash, TunnelId};
use crate::wire::{Error, Reader, Result, Writer};
use smallvec::SmallVec;

/// Most peers that can be excluded.
pub const MAX_EXCLUDED: usize = 512;
/// Most session tags in a lookup.
pub const MAX_TAGS: u8 = 32;

const FLAG_TUNNEL: u8 = 1;
const FLAG_ELGAMAL: u8 = 1 << 1;
const FLAG_ECIES: u8 = 1 << 4;

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LookupKind {
    /// Anything under the key; deprecated.
    Any,
    /// A LeaseSet of any kind.
    LeaseSet,
    /// A RouterInfo.
    RouterInfo,
    /// Routers near the key that are not floodfills.
    Exploratory,
}

/// How the reply is to be encrypted.
#[derive(Clone, PartialEq, Eq)]
pub enum ReplyEncryption {
    /// Not at all.
    None,
    /// AES under a session key with one of these tags: how ElGamal routers asked.
    ElGamal {
        /// The session key.
        key: [u8; 32],
        /// One or more.
        tags: SmallVec<[[u8; 32]; 1]>,
    },
    /// ChaCha20-Poly1305 as an existing-session ratchet message: how all routers ask.
    Ecies {
        /// The key.
        key: [u8; 32],
        /// The tag in front of the reply.
        tag: [u8; 8],
    },
}

impl std::fmt::Debug for ReplyEncryption {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::ElGamal { .. } => "ElGamal(..)",
            Self::Ecies { .. } => "Ecies(..)",
        })
    }
}

/// A DatabaseLookup message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseLookup {
    /// What is looked for.
    pub key: NetDbKey,
    /// Who asks, or the gateway of the tunnel that the reply is to come through.
    pub from: RouterHash,
    /// The tunnel at that gateway.
    pub reply_tunnel: Option<TunnelId>,
    /// What kind of entry.
    pub kind: LookupKind,
    /// Routers that the asker knows already. At most [`MAX_EXCLUDED`].
    pub exclude: Vec<RouterHash>,
    /// How the reply is to be encrypted.
    pub encryption: ReplyEncryption,
}

impl DatabaseLookup {
    /// Reads a body.
    ///
    /// # Errors
    /// `Truncated`; `TooLarge` for too many excluded peers or tags; `Invalid` for a tunnel of zero and for a
    /// combination of encryption flags that is not defined.
    pub fn parse(body: &[u8]) -> Result<Self> {
        let mut r = Reader::new(body);
        let key = NetDbKey(r.array()?);
        let from = RouterHash(r.array()?);
        let flags = r.u8()?;
        let reply_tunnel = match flags & FLAG_TUNNEL {
            0 => None,
            _ => Some(TunnelId(r.u32()?)),
        };
        if reply_tunnel == Some(TunnelId(0)) {
            return Err(Error::Invalid("reply tunnel"));
        }
        let count = usize::from(r.u16()?);
        if count > MAX_EXCLUDED {
            return Err(Error::TooLarge("excluded peers"));
        }
        let (hashes, _) = r.take(count * 32)?.as_chunks::<32>();
        let exclude: Vec<_> = hashes.iter().map(|h| RouterHash(*h)).collect();
        let kind = match flags >> 2 & 3 {
            0 => LookupKind::Any,
            1 => LookupKind::LeaseSet,
            2 => LookupKind::RouterInfo,
            _ => LookupKind::Exploratory,
        };
        let encryption = match (flags & FLAG_ECIES != 0, flags & FLAG_ELGAMAL != 0) {
            (false, false) => ReplyEncryption::None,
            (false, true) => Self::elgamal(&mut r)?,
            (true, false) => {
                let key = r.array()?;
                if r.u8()? != 1 {
                    return Err(Error::Invalid("number of reply tags"));
                }
                ReplyEncryption::Ecies { key, tag: r.array()? }
            }
            (true, true) => return Err(Error::Invalid("reply encryption")),
        };
        Ok(Self { key, from, reply_tunnel, kind, exclude, encryption })
    }

    fn elgamal(r: &mut Reader<'_>) -> Result<ReplyEncryption> {
        let key = r.array()?;
        let count = r.u8()?;
        if !(1..=MAX_TAGS).contains(&count) {
            return Err(Error::Invalid("number of reply tags"));
        }
        let (tags, _) = r.take(usize::from(count) * 32)?.as_chunks::<32>();
        Ok(ReplyEncryption::ElGamal { key, tags: tags.iter().copied().collect() })
    }

    /// The body. Peers above [`MAX_EXCLUDED`] and tags above [`MAX_TAGS`] are left out.
    pub fn to_body(&self) -> Vec<u8> {
        let exclude = &self.exclude[..self.exclude.len().min(MAX_EXCLUDED)];
        let mut out = Vec::with_capacity(128 + exclude.len() * 32);
        out.put(&self.key.0);
        out.put(&self.from.0);
        let kind = match self.kind {
            LookupKind::Any => 0,
            LookupKind::LeaseSet => 1,
            LookupKind::RouterInfo => 2,
            LookupKind::Exploratory => 3,
        };
        let encryption = match self.encryption {
            ReplyEncryption::None => 0,
            ReplyEncryption::ElGamal { .. } => FLAG_ELGAMAL,
            ReplyEncryption::Ecies { .. } => FLAG_ECIES,
        };
        out.put_u8(u8::from(self.reply_tunnel.is_some()) | kind << 2 | encryption);
        if let Some(tunnel) = self.reply_tunnel {
            out.put_u32(tunnel.0);
        }
        out.put_u16(u16::try_from(exclude.len()).unwrap_or(0));
        for hash in exclude {
            out.put(&hash.0);
        }
        match &self.encryption {
            ReplyEncryption::None => {}
            ReplyEncryption::ElGamal { key, tags } => {
                let tags = &tags[..tags.len().min(usize::from(MAX_TAGS))];
                out.put(key);
                out.put_u8(u8::try_from(tags.len()).unwrap_or(MAX_TAGS));
                for tag in tags {
                    out.put(tag);
                }
            }
            ReplyEncryption::Ecies { key, tag } => {
                out.put(key);
                out.put_u8(1);
                out.put(tag);
            }
        }
        out
    }

    /// True if only routers near the key are wanted, said in either the new or the old way.
    ///
    /// spec: i2np §DatabaseLookup — "if excludedPeers includes a hash of all zeroes, the request is exploratory"
    pub fn is_exploratory(&self) -> bool {
        self.kind == LookupKind::Exploratory || self.exclude.contains(&RouterHash([0; 32]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lookups() -> impl Strategy<Value = DatabaseLookup> {
        let kind = prop_oneof![
            Just(LookupKind::Any),
            Just(LookupKind::LeaseSet),
            Just(LookupKind::RouterInfo),
            Just(LookupKind::Exploratory)
        ];
        let encryption = prop_oneof![
            Just(ReplyEncryption::None),
            any::<([u8; 32], [u8; 8])>().prop_map(|(key, tag)| ReplyEncryption::Ecies { key, tag }),
            (any::<[u8; 32]>(), prop::collection::vec(any::<[u8; 32]>(), 1..=32))
                .prop_map(|(key, tags)| ReplyEncryption::ElGamal { key, tags: tags.into() }),
        ];
        let exclude = prop::collection::vec(any::<[u8; 32]>().prop_map(RouterHash), 0..5);
        (any::<[u8; 32]>(), any::<[u8; 32]>(), prop::option::of(1u32..), kind, exclude, encryption).prop_map(
            |(key, from, tunnel, kind, exclude, encryption)| DatabaseLookup {
                key: NetDbKey(key),
                from: RouterHash(from),
                reply_tunnel: tunnel.map(TunnelId),
                kind,
                exclude,
                encryption,
            },
        )
    }

    proptest! {
        #[test]
        fn a_lookup_is_read_back_and_every_prefix_is_truncated(lookup in lookups()) {
            let body = lookup.to_body();
            prop_assert_eq!(DatabaseLookup::parse(&body), Ok(lookup));
            for n in 0..body.len() {
                let truncated = matches!(DatabaseLookup::parse(&body[..n]), Err(Error::Truncated { .. }));
                prop_assert!(truncated);
            }
        }
    }

    #[test]
    fn limits_hold_and_both_ways_to_explore_are_understood() {
        let mut lookup = DatabaseLookup {
            key: NetDbKey([1; 32]),
            from: RouterHash([2; 32]),
            reply_tunnel: None,
            kind: LookupKind::Any,
            exclude: vec![RouterHash([3; 32]); 600],
            encryption: ReplyEncryption::None,
        };
        let mut body = lookup.to_body();
        assert_eq!(DatabaseLookup::parse(&body).unwrap().exclude.len(), 512);
        body[65..67].copy_from_slice(&513u16.to_be_bytes());
        assert_eq!(DatabaseLookup::parse(&body), Err(Error::TooLarge("excluded peers")));
        assert!(!lookup.is_exploratory());
        lookup.exclude[0] = RouterHash([0; 32]);
        assert!(lookup.is_exploratory());
    }
}
