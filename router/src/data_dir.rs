//! The data folder: our keys, our RouterInfo, the database. A kill at any moment loses none of them, and nobody else can
//! read them: the folder and its files are for their user alone.
//!
//! ```text
//! router.keys: "RAMSONK" | format 1 | the keys | SHA-256 of all before 32
//! ```
//! The first routers wrote the keys alone. Such a file is read, and written anew with what guards it.

use crate::platform;
use ramson_actors::disk;
use ramson_actors::identity::NodeKeys;
use ramson_crypto::hash::sha256;
use ramson_protocol::data::router_info::RouterInfo;
use rand::RngExt;
use rand_chacha::ChaCha20Rng;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// What a file of keys begins with; the last byte is the format.
const KEYS_MAGIC: [u8; 8] = *b"RAMSONK\x01";

/// Ports that are drawn from, and how often, until one is free.
const PORTS: std::ops::RangeInclusive<u16> = 9000..=31_000;
const DRAWS: usize = 20;

/// Why the data folder cannot be used. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataError {
    /// The operating system's word.
    #[error("cannot {what} {path}: {source}{}", advice(source))]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file or folder.
        path: PathBuf,
        /// What came of it.
        source: io::Error,
    },
    /// Another process uses the folder.
    #[error("{0} is in use by another ramson: stop it, or give this one a folder of its own with --data")]
    InUse(PathBuf),
    /// The file with our port is damaged.
    #[error("{0} has no port: write the number there that your firewall lets in, or remove the file to have one drawn")]
    BadPort(PathBuf),
    /// The key file is damaged.
    #[error("{0} is damaged, or no key file: restore it from a backup, or move it away to begin with a new identity")]
    BadKeys(PathBuf),
    /// A newer ramson has written the key file.
    #[error("{0} is of a newer ramson: run that one, or restore the file that this one has written")]
    NewerKeys(PathBuf),
    /// Keys and RouterInfo do not belong together.
    #[error(
        "{0} and router.info beside it are of two routers: one of them is damaged or from elsewhere. Restore router.keys from a \
         backup; if it is the right one, remove router.info"
    )]
    OtherKeys(PathBuf),
}

/// What to do about what the operating system says.
fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::PermissionDenied => ": run as the user whose folder it is, or name another with --data",
        ErrorKind::ReadOnlyFilesystem => ": name a folder that can be written to with --data",
        ErrorKind::StorageFull => ": make room on the disk",
        _ => "",
    }
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
        let failed = |e| DataError::Io { what: "make the folder", path: path.to_owned(), source: e };
        platform::make_folder(path).map_err(failed)?;
        make_private(path);
        let lock_path = path.join("lock");
        let mut options = OpenOptions::new();
        let lock = disk::of_mode(options.create(true).truncate(false).write(true), 0o600).open(&lock_path);
        let lock = lock.map_err(|e| DataError::Io { what: "open", path: lock_path, source: e })?;
        lock.try_lock().map_err(|e| match e {
            fs::TryLockError::WouldBlock => DataError::InUse(path.to_owned()),
            fs::TryLockError::Error(e) => DataError::Io { what: "lock", path: path.to_owned(), source: e },
        })?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// Our keys: those of the folder, or new ones, which are then on disk before this returns.
    ///
    /// # Errors
    /// If they cannot be read or written. A damaged file is never replaced.
    pub(crate) fn keys(&self) -> Result<NodeKeys, DataError> {
        let path = self.path.join("router.keys");
        match fs::read(&path).map(Zeroizing::new) {
            Ok(bytes) => self.read_keys(&path, &bytes),
            Err(e) if e.kind() == ErrorKind::NotFound => {
                let keys = NodeKeys::generate(&mut rand::make_rng::<ChaCha20Rng>());
                write_keys(&path, &keys)?;
                Ok(keys)
            }
            Err(e) => Err(DataError::Io { what: "read", path, source: e }),
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
            Err(e) if e.kind() == ErrorKind::NotFound => {
                let port = free_port();
                let written = disk::replace(&path, format!("{port}\n").as_bytes(), 0o600);
                written.map_err(|e| DataError::Io { what: "write", path, source: e }).map(|()| port)
            }
            Err(e) => Err(DataError::Io { what: "read", path, source: e }),
        }
    }

    /// The port that the router of a folder has chosen, if it has run.
    pub(crate) fn chosen_port(folder: &Path) -> Option<u16> {
        fs::read_to_string(folder.join("port")).ok()?.trim().parse().ok()
    }

    /// Where the correction of our clock stands.
    pub(crate) fn clock_path(&self) -> PathBuf {
        self.path.join("clock")
    }

    /// Keys as they are written now, or as they once were. Those are written anew if they are ours beyond doubt.
    fn read_keys(&self, path: &Path, bytes: &[u8]) -> Result<NodeKeys, DataError> {
        let bad = || DataError::BadKeys(path.to_owned());
        let (magic, format) = KEYS_MAGIC.split_at(7);
        if !bytes.starts_with(magic) {
            let keys = NodeKeys::from_bytes(bytes).map_err(|_| bad())?;
            if *keys.to_bytes() != bytes {
                return Err(bad());
            }
            self.check_identity(&keys, path)?;
            write_keys(path, &keys)?;
            return Ok(keys);
        }
        if bytes.get(7).is_some_and(|found| *found > format[0]) {
            return Err(DataError::NewerKeys(path.to_owned()));
        }
        let (content, sum) = bytes.split_last_chunk::<32>().ok_or_else(bad)?;
        let keys = content.strip_prefix(&KEYS_MAGIC).filter(|_| sha256(&[content]) == *sum).ok_or_else(bad)?;
        let keys = NodeKeys::from_bytes(keys).map_err(|_| bad())?;
        self.check_identity(&keys, path)?;
        Ok(keys)
    }

    /// What we signed last must be of the same router, if it is there and whole.
    fn check_identity(&self, keys: &NodeKeys, path: &Path) -> Result<(), DataError> {
        let signed = fs::read(self.router_info_path()).ok().and_then(|bytes| RouterInfo::parse(bytes.into()).ok());
        match signed.filter(|info| info.verify().is_ok()) {
            Some(info) if info.hash() != keys.router.identity.hash() => Err(DataError::OtherKeys(path.to_owned())),
            _ => Ok(()),
        }
    }

    /// Where our RouterInfo stands.
    pub(crate) fn router_info_path(&self) -> PathBuf {
        Self::router_info_in(&self.path)
    }

    /// Where the RouterInfo of a folder's router stands, whoever has the folder.
    pub(crate) fn router_info_in(folder: &Path) -> PathBuf {
        folder.join("router.info")
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

    /// Where the month's volume is counted.
    pub(crate) fn volume_path(&self) -> PathBuf {
        self.path.join("volume")
    }

    /// The folder for bundles of RouterInfos that were good.
    pub(crate) fn reseed_path(&self) -> PathBuf {
        self.path.join("reseed")
    }

    /// Where keys of a destination of this name stand. Their folder is there then.
    ///
    /// # Errors
    /// If it cannot be made.
    pub(crate) fn destination_path(&self, name: &str, kind: &str) -> Result<PathBuf, DataError> {
        let folder = self.path.join("destinations");
        fs::create_dir_all(&folder).map_err(|source| DataError::Io {
            what: "make the folder",
            path: folder.clone(),
            source,
        })?;
        Ok(folder.join(format!("{name}.{kind}")))
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

/// The keys, and what tells a damaged file from a whole one.
fn write_keys(path: &Path, keys: &NodeKeys) -> Result<(), DataError> {
    let mut content = Zeroizing::new(KEYS_MAGIC.to_vec());
    content.extend_from_slice(&keys.to_bytes());
    let sum = sha256(&[&content]);
    content.extend_from_slice(&sum);
    disk::replace(path, &content, 0o600).map_err(|e| DataError::Io { what: "write", path: path.to_owned(), source: e })
}

/// Takes from others what rights they have in the folder, from an earlier version or another hand.
fn make_private(folder: &Path) {
    let files = fs::read_dir(folder).map(|entries| entries.flatten().map(|entry| entry.path()).collect::<Vec<_>>());
    for path in files.unwrap_or_default().iter().map(PathBuf::as_path).chain([folder]) {
        let Ok(about) = fs::symlink_metadata(path) else { continue };
        if !platform::is_open_to_others(&about) || about.is_symlink() {
            continue;
        }
        match platform::close_to_others(path, &about) {
            Ok(()) if path.ends_with("router.keys") => {
                tracing::warn!("router.keys could be read by other users of this machine; it cannot any more");
            }
            Ok(()) => {}
            Err(error) => tracing::warn!(%error, "other users can read {}: chmod it", path.display()),
        }
    }
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
    (open, platform::descriptor_limits().0.unwrap_or(0))
}

/// Descriptors that connections may not have: for the database, listeners and UDP, the exporter, the control socket, DNS.
const RESERVED: u64 = 192;

/// As many descriptors as the system lets us have. Shells and service managers leave us 1,024 of them, and a busy router
/// has a connection to each of several thousand peers.
pub(crate) fn raise_descriptor_limit() {
    let (now, most) = platform::descriptor_limits();
    if now < most
        && let Err(error) = platform::raise_descriptor_limit()
    {
        tracing::warn!(%error, "the limit of open files stays low: raise it, with LimitNOFILE of systemd or ulimit -n");
    }
}

/// Connections of NTCP2 that there may be at once; the rest of the descriptors is for all else.
pub(crate) fn connections() -> usize {
    let limit = platform::descriptor_limits().0.unwrap_or(u64::MAX);
    usize::try_from(limit.saturating_sub(RESERVED).max(64)).unwrap_or(usize::MAX / 2)
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn keys_stay_the_same_are_private_and_a_damaged_file_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::open(folder.path()).unwrap();
        let first = data.keys().unwrap().to_bytes();
        assert_eq!(*first, *data.keys().unwrap().to_bytes());
        let path = folder.path().join("router.keys");
        assert_eq!(mode(&path), 0o600);
        let whole = fs::read(&path).unwrap();
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, &flipped).unwrap();
            assert!(data.keys().is_err(), "bit {bit}");
            assert_eq!(fs::read(&path).unwrap(), flipped);
        }
        for end in 0..whole.len() {
            fs::write(&path, &whole[..end]).unwrap();
            assert!(matches!(data.keys(), Err(DataError::BadKeys(_))), "cut off at {end}");
        }
        fs::write(&path, b"RAMSONK\x02 something of the future").unwrap();
        assert!(matches!(data.keys(), Err(DataError::NewerKeys(_))));
        fs::write(&path, &whole).unwrap();
        assert_eq!(*first, *data.keys().unwrap().to_bytes());
    }

    #[test]
    fn keys_of_the_first_routers_are_read_and_guarded_from_then_on() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::open(folder.path()).unwrap();
        let keys = NodeKeys::generate(&mut rand::make_rng::<ChaCha20Rng>());
        let path = folder.path().join("router.keys");
        fs::write(&path, &*keys.to_bytes()).unwrap();
        assert_eq!(*data.keys().unwrap().to_bytes(), *keys.to_bytes());
        assert!(fs::read(&path).unwrap().starts_with(&KEYS_MAGIC));
        assert_eq!(*data.keys().unwrap().to_bytes(), *keys.to_bytes());
    }

    #[test]
    fn keys_that_did_not_sign_our_router_info_are_another_routers() {
        use ramson_actors::identity::{Floodfill, Profile, State, router_info};
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::open(folder.path()).unwrap();
        let other = NodeKeys::generate(&mut rand::make_rng::<ChaCha20Rng>());
        let profile = Profile { net_id: 99, floodfill: Floodfill::No, ntcp2: None, ssu2: None, share: 1, family: None };
        let now = ramson_transports::clock::Clock::system();
        let info = router_info(&other, &profile, &State::default(), now).unwrap();
        let _ = data.keys().unwrap();
        fs::write(data.router_info_path(), b"damaged").unwrap();
        assert!(data.keys().is_ok(), "a damaged router.info says nothing");
        fs::write(data.router_info_path(), info.as_bytes()).unwrap();
        let error = data.keys().unwrap_err();
        assert!(matches!(error, DataError::OtherKeys(_)) && error.to_string().contains("backup"), "{error}");
    }

    #[test]
    fn the_folder_and_what_was_open_in_it_become_private() {
        let folder = tempfile::tempdir().unwrap();
        let new = folder.path().join("a/b");
        drop(DataDir::open(&new).unwrap());
        assert_eq!(mode(&new), 0o700);
        let old = folder.path().join("old");
        fs::create_dir(&old).unwrap();
        fs::set_permissions(&old, Permissions::from_mode(0o755)).unwrap();
        fs::write(old.join("profiles"), b"x").unwrap();
        fs::set_permissions(old.join("profiles"), Permissions::from_mode(0o644)).unwrap();
        drop(DataDir::open(&old).unwrap());
        assert_eq!((mode(&old), mode(&old.join("profiles"))), (0o700, 0o600));
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
    fn the_limit_of_descriptors_is_raised_and_connections_leave_some() {
        raise_descriptor_limit();
        let (now, most) = platform::descriptor_limits();
        assert_eq!(now, most);
        assert!(connections() as u64 + RESERVED <= now.unwrap_or(u64::MAX).max(64 + RESERVED));
    }

    #[test]
    fn a_file_is_replaced_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        disk::replace(&path, b"one", 0o644).unwrap();
        disk::replace(&path, b"two", 0o644).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
