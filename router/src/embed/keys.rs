//! Keys of destinations.

use super::Error;
use super::address::Address;
use ramson_actors::disk;
use ramson_protocol::data::private_keys::PrivateKeys;
use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use zeroize::Zeroizing;

/// The private keys of a destination: whoever has them is that destination. `Debug` shows none.
///
/// Their bytes are those of the files of i2pd (`.dat`) and Java I2P (`eepPriv.dat`), which can be read as they are.
///
/// ```
/// # fn example() -> Result<(), ramson::Error> {
/// let folder = std::env::temp_dir().join("of-my-program");
/// # std::fs::create_dir_all(&folder).map_err(|error| ramson::Error::Keys(error.to_string()))?;
/// let keys = ramson::Keys::kept(folder.join("server.dat"))?;
/// // At the next start it is the same destination.
/// assert_eq!(ramson::Keys::kept(folder.join("server.dat"))?.address(), keys.address());
/// # std::fs::remove_dir_all(&folder).map_err(|error| ramson::Error::Keys(error.to_string()))?;
/// # Ok(()) }
/// # example().unwrap();
/// ```
#[derive(Clone)]
pub struct Keys(pub(crate) PrivateKeys);

impl Keys {
    /// New ones, of Ed25519.
    pub fn generate() -> Self {
        Self(PrivateKeys::generate(rand::random(), &rand::random()))
    }

    /// Those of a file, or new ones, which are then on disk before this returns. Only the file's owner can read it.
    ///
    /// # Errors
    /// [`Error::Keys`] if it cannot be read or written. A damaged file is never replaced.
    pub fn kept(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let failed = |why: &dyn fmt::Display| Error::Keys(format!("{}: {why}", path.display()));
        match fs::read(path).map(Zeroizing::new) {
            Ok(bytes) => Self::from_bytes(&bytes).map_err(|error| failed(&error)),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let keys = Self::generate();
                disk::replace(path, &keys.to_bytes(), 0o600).map_err(|error| failed(&error))?;
                Ok(keys)
            }
            Err(error) => Err(failed(&error)),
        }
    }

    /// Reads the bytes of a file.
    ///
    /// # Errors
    /// [`Error::Keys`] if they are no keys, or of a kind that cannot sign here.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        PrivateKeys::parse(bytes).map(Self).map_err(|error| Error::Keys(error.to_string()))
    }

    /// The bytes of a file.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        self.0.to_bytes()
    }

    /// Whose keys they are.
    pub fn address(&self) -> Address {
        Address(self.0.destination.hash())
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_keys_are_the_same_again_and_a_damaged_file_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.dat");
        let keys = Keys::kept(&path).unwrap();
        assert_eq!(Keys::kept(&path).unwrap().address(), keys.address());
        assert_ne!(Keys::generate().address(), keys.address());
        fs::write(&path, b"damaged").unwrap();
        assert!(Keys::kept(&path).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"damaged");
    }
}
