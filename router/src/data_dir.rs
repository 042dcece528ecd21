//! The data folder: our keys, our RouterInfo, the database. A kill at any moment loses none of them.

use ramson_actors::identity::NodeKeys;
use rand::RngExt;
use rand_chacha::ChaCha20Rng;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Ports that are drawn from, and how often, until one is free.
const PORTS: std::ops::RangeInclusive<u16> = 9000..=31_000;
const DRAWS: usize = 20;

/// Why the data folder cannot be used. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataError {
    /// The operating system's word.
    #[error("cannot {0} {1}: {2}")]
    Io(&'static str, PathBuf, #[source] io::Error),
    /// Another process uses the folder.
    #[error("{0} is in use by another ramson: stop it, or give this one a folder of its own with --data")]
    InUse(PathBuf),
    /// The file with our port is damaged.
    #[error("{0} has no port: write the number there that your firewall lets in, or remove the file to have one drawn")]
    BadPort(PathBuf),
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

    /// The folder itself.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The port that this router has chosen for itself: that of the folder, or a new one, which is then on disk.
    ///
    /// # Errors
    /// If it cannot be read or written.
    pub(crate) fn port(&self) -> Result<u16, DataError> {
        let path = self.path.join("port");
        match fs::read_to_string(&path) {
            Ok(text) => text.trim().parse().ok().filter(|port| *port != 0).ok_or(DataError::BadPort(path)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let port = free_port();
                let written = write_atomically(&path, format!("{port}\n").as_bytes(), 0o600);
                written.map_err(|e| DataError::Io("write", path, e)).map(|()| port)
            }
            Err(e) => Err(DataError::Io("read", path, e)),
        }
    }

    /// Where the correction of our clock stands.
    pub(crate) fn clock_path(&self) -> PathBuf {
        self.path.join("clock")
    }

    /// Where our RouterInfo stands.
    pub(crate) fn router_info_path(&self) -> PathBuf {
        self.path.join("router.info")
    }

    /// Where the address book stands.
    pub(crate) fn names_path(&self) -> PathBuf {
        self.path.join("names.redb")
    }

    /// Where the database stands.
    pub(crate) fn database_path(&self) -> PathBuf {
        self.path.join("netdb.redb")
    }

    /// Where the tokens stand that peers gave us for SSU2.
    pub(crate) fn tokens_path(&self) -> PathBuf {
        self.path.join("ssu2.tokens")
    }

    /// Where the profiles of other routers stand.
    pub(crate) fn profiles_path(&self) -> PathBuf {
        self.path.join("profiles")
    }

    /// Where bans stand.
    pub(crate) fn bans_path(&self) -> PathBuf {
        self.path.join("bans")
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

/// A port at random that nobody has taken on this machine. INTEROP: i2pd and Java I2P draw theirs from the same, so that a
/// port tells nothing.
fn free_port() -> u16 {
    let mut rng = rand::make_rng::<ChaCha20Rng>();
    let mut draw = || rng.random_range(PORTS);
    let free =
        |port: &u16| TcpListener::bind(("0.0.0.0", *port)).is_ok() && UdpSocket::bind(("0.0.0.0", *port)).is_ok();
    let found = (0..DRAWS).map(|_| draw()).find(free);
    found.unwrap_or_else(draw)
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
    fn a_port_is_drawn_once_and_kept_and_a_damaged_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::open(folder.path()).unwrap();
        let port = data.port().unwrap();
        assert!(PORTS.contains(&port));
        assert_eq!(data.port().unwrap(), port);
        fs::write(folder.path().join("port"), "0").unwrap();
        assert!(data.port().unwrap_err().to_string().contains("has no port"));
        let others: std::collections::HashSet<u16> = (0..20).map(|_| free_port()).collect();
        assert!(others.len() > 15, "everyone draws its own");
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
