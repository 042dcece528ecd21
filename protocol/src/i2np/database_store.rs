//! DatabaseStore: an entry of the netDb, to be kept, or in answer to a lookup.
//!
//! spec: i2np §DatabaseStore
//!
//! ```text
//! key 32 | type 1 | reply token 4 | if token != 0: reply tunnel 4, reply gateway 32 |
//! RouterInfo: length 2, gzip | LeaseSets: as they are
//! ```

use crate::data::entry::{Entry, EntryKind};
use crate::data::router_info;
use crate::gzip::{gunzip, gzip};
use crate::id::{NetDbKey, RouterHash, TunnelId};
use crate::wire::{Error, Reader, Result, Writer};
use bytes::Bytes;

/// Where a confirmation is to be sent. Its presence asks a floodfill to flood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The id that the DeliveryStatus is to carry. Not zero.
    pub token: u32,
    /// The tunnel to send it into; `None` for the gateway itself.
    pub tunnel: Option<TunnelId>,
    /// The router to send it to.
    pub gateway: RouterHash,
}

/// A DatabaseStore message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseStore {
    /// What it claims to be stored under; the netDb compares it with the entry's own.
    pub key: NetDbKey,
    /// Whether and where to confirm. To be ignored if the message came down a tunnel.
    pub reply: Option<Reply>,
    /// The entry, not yet verified.
    pub entry: Entry,
}

impl DatabaseStore {
    /// A message without a confirmation, as answers and flooding use it.
    pub fn new(entry: Entry) -> Self {
        Self { key: entry.key(), reply: None, entry }
    }

    /// Reads a body. The entry has bytes of its own.
    ///
    /// # Errors
    /// Those of the entry's parser; `Invalid` and `TooLarge` of gzip.
    pub fn parse(body: &Bytes) -> Result<Self> {
        let mut r = Reader::new(body);
        let key = NetDbKey(r.array()?);
        let kind = EntryKind::from_store_type(r.u8()?)?;
        let reply = match r.u32()? {
            0 => None,
            token => {
                let tunnel = Some(TunnelId(r.u32()?)).filter(|t| t.0 != 0);
                Some(Reply { token, tunnel, gateway: RouterHash(r.array()?) })
            }
        };
        let raw = match kind {
            EntryKind::RouterInfo => {
                let len = r.u16()?;
                let packed = r.take(usize::from(len))?;
                r.finish()?;
                gunzip(packed, router_info::MAX_LEN)?.into()
            }
            // Copied, as it is kept far longer than the buffer that the message came in.
            _ => Bytes::copy_from_slice(r.rest()),
        };
        Ok(Self { key, reply, entry: Entry::parse(kind, raw)? })
    }

    /// The body.
    ///
    /// # Errors
    /// `TooLarge`.
    pub fn to_body(&self) -> Result<Bytes> {
        let raw = self.entry.as_bytes();
        let mut out = Vec::with_capacity(80 + raw.len());
        out.put(&self.key.0);
        out.put_u8(self.entry.kind().store_type());
        match self.reply {
            None => out.put_u32(0),
            Some(reply) => {
                out.put_u32(reply.token);
                out.put_u32(reply.tunnel.unwrap_or_default().0);
                out.put(&reply.gateway.0);
            }
        }
        if self.entry.kind() == EntryKind::RouterInfo {
            let packed = gzip(raw);
            out.put_u16(u16::try_from(packed.len()).map_err(|_| Error::TooLarge("RouterInfo"))?);
            out.put(&packed);
        } else {
            out.put(raw);
        }
        Ok(out.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::keys_and_cert::Destination;
    use crate::data::lease::Lease;
    use crate::data::lease_set2::LeaseSet2Builder;
    use crate::data::router_info::{Caps, RouterInfoBuilder, Version};
    use crate::data::router_keys::RouterKeys;
    use crate::time::Wall;
    use ramson_crypto::sign::SigningKey;
    use rand::SeedableRng;

    fn entries() -> [Entry; 2] {
        let keys = RouterKeys::generate(&mut rand_chacha::ChaCha20Rng::seed_from_u64(1));
        let now = Wall::from_secs(1_790_000_000);
        let info = RouterInfoBuilder::new(2, Version(0, 9, 69), Caps::parse("XfR")).sign(&keys, now).unwrap();
        let key = SigningKey::from_seed([1; 32]);
        let lease = Lease { gateway: RouterHash([1; 32]), tunnel: TunnelId(1), end: Wall::from_secs(1_790_000_600) };
        let ls = LeaseSet2Builder { leases: vec![lease], ..LeaseSet2Builder::default() }
            .sign(&Destination::compose(&key.public(), &[2; 32]), &key, None, now)
            .unwrap();
        [info.into(), ls.into()]
    }

    #[test]
    fn entries_are_read_back_with_and_without_a_reply_and_every_prefix_is_refused() {
        let direct = Reply { token: 7, tunnel: None, gateway: RouterHash([9; 32]) };
        let tunnel = Reply { tunnel: Some(TunnelId(8)), ..direct };
        for entry in entries() {
            for reply in [None, Some(direct), Some(tunnel)] {
                let store = DatabaseStore { reply, ..DatabaseStore::new(entry.clone()) };
                let body = store.to_body().unwrap();
                assert_eq!(DatabaseStore::parse(&body), Ok(store));
                for n in 0..body.len() {
                    assert!(DatabaseStore::parse(&body.slice(..n)).is_err());
                }
            }
        }
    }

    #[test]
    fn the_upper_half_of_the_type_is_ignored_and_even_types_do_not_exist() {
        let [info, _] = entries();
        let mut body = DatabaseStore::new(info).to_body().unwrap().to_vec();
        body[32] = 0xf0;
        assert!(DatabaseStore::parse(&body.clone().into()).is_ok());
        body[32] = 2;
        assert_eq!(DatabaseStore::parse(&body.into()), Err(Error::Invalid("DatabaseStore type")));
    }

    #[test]
    fn a_compressed_bomb_is_refused() {
        let mut body = vec![0; 37];
        let bomb = gzip(&vec![0; 1_000_000]);
        body.put_u16(u16::try_from(bomb.len()).unwrap());
        body.put(&bomb);
        assert_eq!(DatabaseStore::parse(&body.into()), Err(Error::TooLarge("gzip content")));
    }
}
