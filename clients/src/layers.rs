//! The layers of a tunnel of our own.

use ramson_crypto::tunnel::{LayerCipher, decrypt_batch};
use ramson_protocol::tunnel::cell::Body;
use smallvec::SmallVec;

/// Cells that go through the cipher side by side.
pub(crate) const LANES: usize = 16;

/// Undoes the layers of a tunnel's hops, the last hop's first: what a creator does to cells that have come through its
/// tunnel, and in advance to those that it sends.
/// spec: tunnel-implementation §Tunnel Creator, "Inbound Endpoint Processing", "Outbound Gateway Processing"
pub(crate) fn peel(ciphers: &[LayerCipher], cells: &mut [Body]) {
    for cells in cells.chunks_mut(LANES) {
        for cipher in ciphers.iter().rev() {
            let mut lanes: SmallVec<[(&LayerCipher, &mut Body); LANES]> =
                cells.iter_mut().map(|cell| (cipher, cell)).collect();
            decrypt_batch(&mut lanes);
        }
    }
}
