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

/// What the file holds.
pub(super) fn to_bytes(peers: &Peers, now: Mono) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    peers.write(now, &mut out);
    out
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::replace;
    use ramson_protocol::peers::Config;
    use rand::SeedableRng;
    use std::time::Duration;

    const NOW: Mono = Duration::from_secs(9);

    #[test]
    fn profiles_come_back_from_their_file_and_a_missing_or_damaged_one_does_no_harm() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("profiles");
        let mut rng = ChaCha20Rng::from_seed([7; 32]);
        let mut peers = Peers::new(Config::default());
        read(&path, &mut peers, NOW, &mut rng).unwrap();
        // One profile with one acceptance.
        let body = [&[0, 0, 0, 1][..], &[5; 32], &1_f32.to_be_bytes(), &[0; 20]].concat();
        replace(&path, &[&MAGIC[..], &body].concat(), 0o600).unwrap();
        read(&path, &mut peers, NOW, &mut rng).unwrap();
        assert_eq!(peers.len(), 1);
        assert_eq!(to_bytes(&peers, NOW)[MAGIC.len()..], body);
        for damaged in [&b"RMSP"[..], b"not ours", b"RMSP\x02\0\0\0\0", b"RMSP\x01\xff\xff\xff\xff"] {
            replace(&path, damaged, 0o600).unwrap();
            assert!(read(&path, &mut Peers::new(Config::default()), NOW, &mut rng).is_err());
        }
    }
}
