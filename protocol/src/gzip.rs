//! Gzip, bounded: what comes out of a peer's bytes never exceeds the caller's limit.
//!
//! spec: i2np §DatabaseStore, notes — the header is Java's, so that it does not tell which router wrote it:
//! `1F 8B 08 00 00000000 02 FF`.

use crate::wire::{Error, Result};
use flate2::{Compression, GzBuilder, bufread::GzDecoder};
use std::io::{Read, Write};

/// Decompresses one gzip member of at most `limit` bytes.
///
/// # Errors
/// `TooLarge` if there is more than `limit`; `Invalid` for anything that is not gzip or whose checksum is wrong.
pub fn gunzip(bytes: &[u8], limit: usize) -> Result<Vec<u8>> {
    // Twelve times is more than any RouterInfo compresses; the vector grows beyond it only with what really comes out.
    let mut out = Vec::with_capacity(limit.min(bytes.len().saturating_mul(12)).min(4096));
    let bound = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    GzDecoder::new(bytes).take(bound).read_to_end(&mut out).map_err(|_| Error::Invalid("gzip"))?;
    if out.len() > limit {
        return Err(Error::TooLarge("gzip content"));
    }
    // It is kept for an hour or a day: no spare room.
    out.shrink_to_fit();
    Ok(out)
}

/// Compresses `bytes` at the highest level, with the header that all routers write.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let out = Vec::with_capacity(bytes.len() / 2 + 32);
    let mut encoder = GzBuilder::new().mtime(0).operating_system(0xff).write(out, Compression::best());
    match encoder.write_all(bytes).and_then(|()| encoder.finish()) {
        Ok(out) => out,
        // A vector takes every write.
        Err(_) => unreachable!("writing to memory"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_header_is_javas() {
        assert_eq!(gzip(b"x")[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 0xff]);
    }

    #[test]
    fn a_bomb_is_refused_without_being_unpacked() {
        let bomb = gzip(&vec![0; 10_000_000]);
        assert!(bomb.len() < 12_000);
        assert_eq!(gunzip(&bomb, 3072), Err(Error::TooLarge("gzip content")));
    }

    #[test]
    fn every_prefix_and_every_flipped_bit_is_refused_or_harmless() {
        let packed = gzip(b"a router and its addresses, a router and its addresses");
        for n in 0..packed.len() {
            assert_eq!(gunzip(&packed[..n], 100), Err(Error::Invalid("gzip")));
            let mut bad = packed.clone();
            bad[n] ^= 0x10;
            let _ = gunzip(&bad, 100);
        }
    }

    proptest! {
        #[test]
        fn unpacking_undoes_packing(bytes in prop::collection::vec(any::<u8>(), 0..3000)) {
            prop_assert_eq!(gunzip(&gzip(&bytes), bytes.len()), Ok(bytes));
        }
    }
}
