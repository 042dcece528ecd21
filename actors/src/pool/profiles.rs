//! Profiles on disk: who was a good hop is known again after a restart. A file that is missing or damaged costs only
//! that knowledge.
//!
//! ```text
//! "RMSP" | format (1) | what Peers::write wrote
//! ```

use ramson_protocol::peers::Peers;
use ramson_protocol::time::Mono;
use ramson_protocol::wire::Reader;
use rand_chacha::ChaCha20Rng;
use std::io;
use std::path::Path;

const MAGIC: [u8; 5] = *b"RMSP\x01";

/// Files larger than this are not ours: 56 bytes per profile.
const MAX_LEN: u64 = 16 << 20;

/// The bytes for [`write`].
pub(super) fn to_bytes(peers: &Peers, now: Mono) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    peers.write(now, &mut out);
    out
}

/// Replaces the file.
///
/// # Errors
/// If it cannot be written; the old one stays then.
pub(super) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    std::fs::write(&new, bytes)?;
    std::fs::rename(&new, path)
}

/// Reads what the file has.
///
/// # Errors
/// If there is a file but it cannot be read, or is not one of ours, or ends early; what was read until then counts.
pub(super) fn read(path: &Path, peers: &mut Peers, now: Mono, rng: &mut ChaCha20Rng) -> io::Result<()> {
    match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(file) if file.len() > MAX_LEN => return Err(io::ErrorKind::InvalidData.into()),
        Ok(_) => {}
    }
    let bytes = std::fs::read(path)?;
    let rest = bytes.strip_prefix(&MAGIC).ok_or(io::ErrorKind::InvalidData)?;
    peers.read(&mut Reader::new(rest), now, rng).map_err(io::Error::other)
}
