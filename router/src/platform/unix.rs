//! Linux, macOS, and what is like them.

use rustix::fs::{Mode, statvfs};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit, umask};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::fs::{self, DirBuilder, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;

pub(crate) use signal_hook::consts::SIGHUP;
pub(crate) use std::os::unix::net::UnixStream as BlockingStream;
pub(crate) use tokio::net::{UnixListener as LocalListener, UnixStream as LocalStream};

/// What we write is nobody else's to read, whoever writes it.
pub(crate) fn keep_files_private() {
    umask(Mode::RWXG | Mode::RWXO);
}

/// Makes a folder for our user alone, and those that it is in.
///
/// # Errors
/// The operating system's.
pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Whether other users have rights in this file or folder.
pub(crate) fn is_open_to_others(about: &Metadata) -> bool {
    about.permissions().mode() & 0o077 != 0
}

/// Takes from other users what rights they have.
///
/// # Errors
/// The operating system's.
pub(crate) fn close_to_others(path: &Path, about: &Metadata) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(about.permissions().mode() & 0o700))
}

/// What names a file on this machine: its device and its number there.
pub(crate) fn device_and_number(about: &Metadata) -> Option<(u64, u64)> {
    Some((about.dev(), about.ino()))
}

/// Bytes that are free on the disk of a folder.
pub(crate) fn free_disk(folder: &Path) -> Option<u64> {
    let disk = statvfs(folder).ok()?;
    Some(disk.f_bavail * disk.f_frsize)
}

/// Descriptors that we may have now, and at most. `None` is without a limit.
pub(crate) fn descriptor_limits() -> (Option<u64>, Option<u64>) {
    let limit = getrlimit(Resource::Nofile);
    (limit.current, limit.maximum)
}

/// Lets us have as many as we may at most.
///
/// # Errors
/// The operating system's.
pub(crate) fn raise_descriptor_limit() -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).map_err(io::Error::from)
}

/// A socket for our user alone, in the place of one that nobody listens at any more.
///
/// # Errors
/// If somebody does, or something else is there.
pub(crate) fn listen(path: &Path) -> io::Result<LocalListener> {
    let is_left = || fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    if is_left() && BlockingStream::connect(path).is_err() {
        fs::remove_file(path)?;
    }
    let listener = LocalListener::bind(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Where a router that runs listens.
///
/// # Errors
/// If none does.
pub(crate) fn connect(path: &Path) -> io::Result<BlockingStream> {
    BlockingStream::connect(path)
}

/// Signals that are for us, from now on. Whoever does not look at them finds them later.
///
/// # Errors
/// The operating system's.
pub(crate) fn signals() -> io::Result<impl Iterator<Item = i32> + Send> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    Ok(std::iter::from_fn(move || signals.forever().next()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_takes_the_place_of_a_dead_one_and_of_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("i2cp.sock");
        let first = listen(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(listen(&path).is_err(), "somebody listens there");
        drop(first);
        listen(&path).unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "mine").unwrap();
        assert!(listen(&file).is_err() && fs::read(&file).unwrap() == b"mine");
    }
}
