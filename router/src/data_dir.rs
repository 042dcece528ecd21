//! The data folder: our keys, our RouterInfo, the database. A kill at any moment loses none of them.

use ramson_actors::identity::NodeKeys;
use rand_chacha::ChaCha20Rng;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Why the data folder cannot be used. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataError {
    /// The operating system's word.
    #[error("cannot {0} {1}: {2}")]
    Io(&'static str, PathBuf, #[source] io::Error),
    /// Another process uses the folder.
    #[error("{0} is in use by another ramson: stop it, or give this one a folder of its own with --data")]
    InUse(PathBuf),
    /// The key file is damaged.
    #[error("{0} is no key file: restore it from a backup, or move it away to begin with a new identity")]
    BadKeys(PathBuf),
}

/// An open data folder; other processes are kept out while it lives.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Opens the folder, and makes it if need be.
    ///
    /// # Errors
    /// If it cannot be made, or another process has it.
    pub(crate) fn open(path: &Path) -> Result<Self, DataError> {
        fs::create_dir_all(path).map_err(|e| DataError::Io("make the folder", path.to_owned(), e))?;
        let lock_path = path.join("lock");
        let lock = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&lock_path);
        let lock = lock.map_err(|e| DataError::Io("open", lock_path, e))?;
        lock.try_lock().map_err(|e| match e {
            fs::TryLockError::WouldBlock => DataError::InUse(path.to_owned()),
            fs::TryLockError::Error(e) => DataError::Io("lock", path.to_owned(), e),
        })?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// Our keys: those of the folder, or new ones, which are then on disk before this returns.
    ///
    /// # Errors
    /// If they cannot be read or written. A damaged file is never replaced.
    pub(crate) fn keys(&self) -> Result<NodeKeys, DataError> {
        let path = self.path.join("router.keys");
        match fs::read(&path) {
            Ok(bytes) => NodeKeys::from_bytes(&bytes).map_err(|_| DataError::BadKeys(path)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let keys = NodeKeys::generate(&mut rand::make_rng::<ChaCha20Rng>());
                write_atomically(&path, &keys.to_bytes(), 0o600).map_err(|e| DataError::Io("write", path, e))?;
                Ok(keys)
            }
            Err(e) => Err(DataError::Io("read", path, e)),
        }
    }

    /// Where our RouterInfo stands.
    pub(crate) fn router_info_path(&self) -> PathBuf {
        self.path.join("router.info")
    }

    /// Where the database stands.
    pub(crate) fn database_path(&self) -> PathBuf {
        self.path.join("netdb.redb")
    }

    /// Where the tokens stand that peers gave us for SSU2.
    pub(crate) fn tokens_path(&self) -> PathBuf {
        self.path.join("ssu2.tokens")
    }

    /// Where keys of a destination of this name stand. Their folder is there then.
    ///
    /// # Errors
    /// If it cannot be made.
    pub(crate) fn destination_path(&self, name: &str, kind: &str) -> Result<PathBuf, DataError> {
        let folder = self.path.join("destinations");
        fs::create_dir_all(&folder).map_err(|e| DataError::Io("make the folder", folder.clone(), e))?;
        Ok(folder.join(format!("{name}.{kind}")))
    }

    /// Where the profiles of other routers stand.
    pub(crate) fn profiles_path(&self) -> PathBuf {
        self.path.join("profiles")
    }
}

/// Replaces a file so that at any moment either the old or the new content is there: written beside it, synced, renamed.
///
/// # Errors
/// The operating system's; the old content is then still there.
pub(crate) fn write_atomically(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(mode).open(&beside)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    if let Some(folder) = path.parent() {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// Descriptors that this process has open, and may have at most.
pub(crate) fn descriptors() -> (u64, u64) {
    let open = fs::read_dir("/proc/self/fd").map_or(0, |d| d.count() as u64);
    (open, descriptor_limit())
}

fn descriptor_limit() -> u64 {
    let text = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = text.lines().find(|l| l.starts_with("Max open files"));
    line.and_then(|l| l.split_whitespace().nth(3)?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn keys_stay_the_same_are_private_and_a_damaged_file_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::open(folder.path()).unwrap();
        let first = data.keys().unwrap().to_bytes();
        assert_eq!(*first, *data.keys().unwrap().to_bytes());
        let path = folder.path().join("router.keys");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(&path, b"damaged").unwrap();
        assert!(matches!(data.keys(), Err(DataError::BadKeys(_))));
        assert_eq!(fs::read(&path).unwrap(), b"damaged");
    }

    #[test]
    fn a_folder_has_one_owner_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let first = DataDir::open(folder.path()).unwrap();
        assert!(matches!(DataDir::open(folder.path()), Err(DataError::InUse(_))));
        drop(first);
        DataDir::open(folder.path()).unwrap();
    }

    #[test]
    fn a_file_is_replaced_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        write_atomically(&path, b"one", 0o644).unwrap();
        write_atomically(&path, b"two", 0o644).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
