//! DatabaseSearchReply: not here, but ask these.
//!
//! spec: i2np §DatabaseSearchReply
//!
//! ```text
//! key 32 | count 1 | hash 32 * count | from 32
//! ```

use crate::id::{NetDbKey, RouterHash};
use crate::wire::{Reader, Result, Writer};

/// More hashes than this are not followed.
///
/// spec: i2np §DatabaseSearchReply, notes
pub const MAX_PEERS: usize = 16;

/// A DatabaseSearchReply message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseSearchReply {
    /// What was looked for.
    pub key: NetDbKey,
    /// Routers that the answering one thinks are close.
    pub peers: Vec<RouterHash>,
    /// Who answers. Anyone can write anything here.
    pub from: RouterHash,
}

impl DatabaseSearchReply {
    /// Reads a body. Hashes beyond the first [`MAX_PEERS`] are dropped.
    ///
    /// # Errors
    /// `Truncated`.
    pub fn parse(body: &[u8]) -> Result<Self> {
        let mut r = Reader::new(body);
        let key = NetDbKey(r.array()?);
        let count = usize::from(r.u8()?);
        let (hashes, _) = r.take(count * 32)?.as_chunks::<32>();
        let peers = hashes.iter().take(MAX_PEERS).map(|h| RouterHash(*h)).collect();
        Ok(Self { key, peers, from: RouterHash(r.array()?) })
    }

    /// The body, with at most [`MAX_PEERS`] hashes.
    pub fn to_body(&self) -> Vec<u8> {
        let peers = &self.peers[..self.peers.len().min(MAX_PEERS)];
        let mut out = Vec::with_capacity(65 + peers.len() * 32);
        out.put(&self.key.0);
        out.put_u8(u8::try_from(peers.len()).unwrap_or(0));
        for peer in peers {
            out.put(&peer.0);
        }
        out.put(&self.from.0);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Error;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_read_back_and_every_prefix_is_truncated(
            key: [u8; 32], from: [u8; 32], peers in prop::collection::vec(any::<[u8; 32]>().prop_map(RouterHash), 0..=16)
        ) {
            let reply = DatabaseSearchReply { key: NetDbKey(key), peers, from: RouterHash(from) };
            let body = reply.to_body();
            prop_assert_eq!(DatabaseSearchReply::parse(&body), Ok(reply));
            for n in 0..body.len() {
                let truncated = matches!(DatabaseSearchReply::parse(&body[..n]), Err(Error::Truncated { .. }));
                prop_assert!(truncated);
            }
        }
    }

    #[test]
    fn the_seventeenth_hash_is_dropped() {
        let mut body = vec![0; 33];
        body[32] = 200;
        body.resize(33 + 200 * 32, 7);
        body.resize(33 + 201 * 32, 9);
        let reply = DatabaseSearchReply::parse(&body).unwrap();
        assert_eq!((reply.peers.len(), reply.from), (16, RouterHash([9; 32])));
    }
}
