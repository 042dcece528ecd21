//! The key of a family of routers: who has it can say that a router belongs to the family.
//!
//! ```text
//! "ramson family 1" | name | the private key of Ed25519, 64 hexadecimal digits
//! ```

use crate::Failure;
use ramson_actors::disk;
use ramson_protocol::netdb::family::FamilyKey;
use rand::Rng;
use rand_chacha::ChaCha20Rng;
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use zeroize::Zeroizing;

const HEAD: &str = "ramson family 1";

/// A file that is longer is none of ours.
const MAX_LEN: u64 = 1024;

/// Makes a key, for the user alone.
///
/// # Errors
/// If the name is none, or there is such a file.
pub(crate) fn make(name: &str, file: &Path) -> Result<(), Failure> {
    let mut seed = Zeroizing::new([0; 32]);
    rand::make_rng::<ChaCha20Rng>().fill_bytes(&mut *seed);
    if FamilyKey::new(name, *seed).is_none() {
        return Err(
            format!("{name:?} is no name for a family: write a word of letters, digits, dots, and dashes").into()
        );
    }
    let mut text = Zeroizing::new(format!("{HEAD} {name} "));
    for byte in &*seed {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text.push('\n');
    let failed = |e: std::io::Error| format!("cannot write {}: {e}", file.display());
    let mut options = OpenOptions::new();
    let mut out = disk::of_mode(options.create_new(true).write(true), 0o600).open(file).map_err(failed)?;
    out.write_all(text.as_bytes()).and_then(|()| out.sync_all()).map_err(failed)?;
    Ok(())
}

/// Reads a key; none without a path.
///
/// # Errors
/// If the file cannot be read, or is no such key.
pub(crate) fn read(path: &str) -> Result<Option<FamilyKey>, Failure> {
    if path.is_empty() {
        return Ok(None);
    }
    let len = fs::metadata(path).map_err(|e| format!("cannot read router.family = {path:?}: {e}"))?.len();
    let text = (len <= MAX_LEN).then(|| fs::read_to_string(path).ok()).flatten().map(Zeroizing::new);
    let key = text.and_then(|text| parse(&text));
    let advice =
        || format!("router.family = {path:?} is no key of a family: make one with `ramson family NAME --file FILE`");
    Ok(Some(key.ok_or_else(advice)?))
}

fn parse(text: &str) -> Option<FamilyKey> {
    let mut words = text.strip_prefix(HEAD)?.split_whitespace();
    let (name, digits) = (words.next()?, words.next()?);
    let mut seed = Zeroizing::new([0; 32]);
    if digits.len() != 64 || !digits.is_ascii() || words.next().is_some() {
        return None;
    }
    for (byte, at) in seed.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(&digits[at..at + 2], 16).ok()?;
    }
    FamilyKey::new(name, *seed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ramson_protocol::id::RouterHash;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_that_is_made_is_read_back_is_private_and_replaces_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("family.key");
        make("herbs", &path).unwrap();
        let text = path.to_str().unwrap();
        let sign = || read(text).unwrap().unwrap().options(&RouterHash([1; 32]));
        assert_eq!((sign()[0].1.as_str(), sign()), ("herbs", sign()));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(make("herbs", &path).is_err());
        assert!(make("two words", &folder.path().join("other")).is_err());
    }

    #[test]
    fn what_is_no_key_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("family.key");
        assert!(read(path.to_str().unwrap()).unwrap_err().to_string().contains("cannot read router.family"));
        for text in ["", HEAD, "ramson family 1 herbs 00", &format!("{HEAD} herbs {}", "\u{e9}".repeat(32))] {
            fs::write(&path, text).unwrap();
            assert!(read(path.to_str().unwrap()).unwrap_err().to_string().contains("ramson family NAME"), "{text}");
        }
        assert!(read("").unwrap().is_none());
    }
}
