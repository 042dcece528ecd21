//! Destinations that SAM 1 and 2 have by name: the server keeps their keys, one file for each.

use ramson_actors::disk::replace;
use ramson_protocol::data::private_keys::PrivateKeys;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;
use zeroize::Zeroizing;

/// The longest name.
const MAX_NAME: usize = 64;

/// Names that are kept, at most.
const MAX_NAMES: usize = 1024;

/// The keys of this name, in files of `folder`; new ones if there are none.
///
/// # Errors
/// `InvalidInput` if this cannot be a name, and `InvalidData` for a file that has no keys. What the system says.
pub(super) fn keys(folder: &Path, name: &str) -> io::Result<PrivateKeys> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(fits) {
        return Err(io::Error::new(ErrorKind::InvalidInput, "a name has letters, digits, - and _, 64 at most"));
    }
    let path = folder.join(format!("{name}.dat"));
    match fs::read(&path).map(Zeroizing::new) {
        Ok(bytes) => PrivateKeys::parse(&bytes).map_err(|error| io::Error::new(ErrorKind::InvalidData, error)),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            fs::create_dir_all(folder)?;
            if fs::read_dir(folder)?.count() >= MAX_NAMES {
                return Err(io::Error::other("too many destinations have names: remove some files"));
            }
            let keys = PrivateKeys::generate(rand::random(), &rand::random());
            replace(&path, &keys.to_bytes(), 0o600)?;
            Ok(keys)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_the_same_keys_again_and_leads_out_of_no_folder() {
        let folder = tempfile::tempdir().unwrap();
        let hash = |name: &str| keys(folder.path(), name).map(|keys| keys.destination.hash());
        let first = hash("imule").unwrap();
        assert_eq!((hash("imule").unwrap(), hash("other").unwrap() == first), (first, false));
        for wrong in ["", "a/b", "..", "a b", &"x".repeat(65)] {
            assert_eq!(hash(wrong).unwrap_err().kind(), ErrorKind::InvalidInput, "{wrong}");
        }
        fs::write(folder.path().join("broken.dat"), b"x").unwrap();
        assert_eq!(hash("broken").unwrap_err().kind(), ErrorKind::InvalidData);
    }
}
