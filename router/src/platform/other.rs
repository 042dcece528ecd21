//! Windows, and whatever else is not like Linux.

use signal_hook::consts::{SIGINT, SIGTERM};
use std::convert::Infallible;
use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

pub(crate) use std::net::TcpStream as BlockingStream;
pub(crate) use tokio::net::TcpStream as LocalStream;

/// Nobody sends it here.
pub(crate) const SIGHUP: i32 = 1;

/// So often it is looked whether a signal has come.
const LOOK: Duration = Duration::from_millis(100);

/// A socket of this machine alone, of which there are none.
pub(crate) struct LocalListener(Infallible);

impl LocalListener {
    pub(crate) async fn accept(&self) -> io::Result<(LocalStream, ())> {
        match self.0 {}
    }
}

pub(crate) fn keep_files_private() {}

pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}

pub(crate) fn is_open_to_others(_: &Metadata) -> bool {
    false
}

pub(crate) fn close_to_others(_: &Path, _: &Metadata) -> io::Result<()> {
    Ok(())
}

pub(crate) fn device_and_number(_: &Metadata) -> Option<(u64, u64)> {
    None
}

pub(crate) fn free_disk(_: &Path) -> Option<u64> {
    None
}

pub(crate) fn descriptor_limits() -> (Option<u64>, Option<u64>) {
    (None, None)
}

pub(crate) fn raise_descriptor_limit() -> io::Result<()> {
    Ok(())
}

pub(crate) fn listen(_: &Path) -> io::Result<LocalListener> {
    Err(ErrorKind::Unsupported.into())
}

/// Where a router that runs listens.
pub(crate) fn connect(_: &Path) -> io::Result<BlockingStream> {
    Err(ErrorKind::Unsupported.into())
}

pub(crate) fn signals() -> io::Result<impl Iterator<Item = i32> + Send> {
    let flag = |signal| {
        let came = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(signal, Arc::clone(&came)).map(|_| (signal, came))
    };
    let flags = [flag(SIGTERM)?, flag(SIGINT)?];
    Ok(std::iter::from_fn(move || {
        loop {
            if let Some((signal, _)) = flags.iter().find(|(_, came)| came.swap(false, Relaxed)) {
                return Some(*signal);
            }
            std::thread::sleep(LOOK);
        }
    }))
}
