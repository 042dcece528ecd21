//! What a program tells of a destination whose lease set is encrypted.
//!
//! ```text
//! session 2 | flags 1 | endpoint type 1 | blinded type 2 | expires 4, s | endpoint | key 32, if bit 0 | secret, if bit 4
//! ```
//! spec: i2cp §BlindingInfoMessage

use super::{session, text};
use crate::data::key_type::SigType;
use crate::data::keys_and_cert::Destination;
use crate::data::mapping::write_string;
use crate::i2cp::SessionId;
use crate::id::DestinationHash;
use crate::time::Wall;
use crate::wire::{Error, Reader, Result, Writer};
use bytes::Bytes;

/// What a program knows of a destination whose lease set is encrypted.
#[derive(Clone, PartialEq, Eq)]
pub struct BlindingInfo {
    /// The session that it is for.
    pub session: SessionId,
    /// Which destination.
    pub endpoint: BlindedEndpoint,
    /// The type of the blinded key.
    pub blinded_type: u16,
    /// Until when this is of use.
    pub expires: Wall,
    /// How clients are told apart: 0 by X25519, 1 by keys that both have.
    pub scheme: Option<u8>,
    /// The key of this client.
    pub key: Option<[u8; 32]>,
    /// What one must know to find it.
    pub secret: Option<String>,
}

impl std::fmt::Debug for BlindingInfo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlindingInfo").field("scheme", &self.scheme).finish_non_exhaustive()
    }
}

/// Which destination a [`BlindingInfo`] is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlindedEndpoint {
    /// 0.
    Hash(DestinationHash),
    /// 1.
    Name(String),
    /// 2.
    Destination(Destination),
    /// 3: the type of its signing key, and the key.
    Key(u16, Bytes),
}

impl BlindingInfo {
    pub(super) fn parse(r: &mut Reader<'_>) -> Result<Self> {
        let (session, flags, kind) = (session(r)?, r.u8()?, r.u8()?);
        let (blinded_type, expires) = (r.u16()?, Wall::from_secs(r.u32()?));
        let endpoint = match kind {
            0 => BlindedEndpoint::Hash(DestinationHash(r.array()?)),
            1 => BlindedEndpoint::Name(text(r)?),
            2 => BlindedEndpoint::Destination(Destination::parse(r)?),
            3 => {
                let kind = r.u16()?;
                let len = SigType::from_code(kind).public_key_len();
                let key = r.take(len.ok_or(Error::Invalid("signature type"))?)?;
                BlindedEndpoint::Key(kind, Bytes::copy_from_slice(key))
            }
            _ => return Err(Error::Invalid("blinded endpoint")),
        };
        let scheme = (flags & 1 != 0).then_some(flags >> 1 & 7);
        let key = if scheme.is_some() { Some(r.array()?) } else { None };
        let secret = if flags & 0x10 != 0 { Some(text(r)?) } else { None };
        Ok(Self { session, endpoint, blinded_type, expires, scheme, key, secret })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let scheme = self.scheme.map_or(0, |scheme| 1 | scheme << 1 & 0x0e);
        out.put_u16(self.session.0);
        out.put_u8(scheme | if self.secret.is_some() { 0x10 } else { 0 });
        out.put_u8(match self.endpoint {
            BlindedEndpoint::Hash(_) => 0,
            BlindedEndpoint::Name(_) => 1,
            BlindedEndpoint::Destination(_) => 2,
            BlindedEndpoint::Key(..) => 3,
        });
        out.put_u16(self.blinded_type);
        out.put_u32(self.expires.secs());
        match &self.endpoint {
            BlindedEndpoint::Hash(hash) => out.put(&hash.0),
            BlindedEndpoint::Name(name) => write_string(out, name),
            BlindedEndpoint::Destination(destination) => out.put(destination.as_bytes()),
            BlindedEndpoint::Key(kind, key) => {
                out.put_u16(*kind);
                out.put(key);
            }
        }
        if self.scheme.is_some() {
            out.put(&self.key.unwrap_or_default());
        }
        if let Some(secret) = &self.secret {
            write_string(out, secret);
        }
    }
}
