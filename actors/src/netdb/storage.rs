//! The RouterInfos of the netDb on disk: an embedded database that a thread of its own writes, in batches. LeaseSets end in
//! minutes and are not kept: that would be wear and evidence for nothing.
//!
//! State owned: the database file. In: entries to keep and keys to forget, over a bounded channel. A batch is one
//! transaction: a kill at any moment loses at most the batch that was not written yet, never what was there before.
//!
//! ```text
//!                 write failed: the file is closed                            tried again, ever less often
//! written ------------------------------------------> changes are gathered -----------------------------+
//!    ^                                                     |   ^                                        |
//!    |      opened anew, and all that was gathered is written, or what was lost is asked for anew       |
//!    +-----------------------------------------------------+   +---------------- fails again -----------+
//!
//! table "entries": key (32) -> kind (1, as in DatabaseStore; 0x10: not to be given to others) | the entry's exact bytes
//! ```

mod writer;

use crate::drops::ControlDrop;
use bytes::Bytes;
use crossbeam::channel::{Sender, TrySendError, bounded};
use ramson_protocol::data::entry::EntryKind;
use ramson_protocol::data::router_info::RouterInfo;
use ramson_protocol::id::NetDbKey;
use redb::{Database, ReadableTable, TableDefinition, TableError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::oneshot;
use writer::Writer;

const ENTRIES: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("entries");

/// Changes that wait for the thread.
const QUEUE: usize = 16 * 1024;

/// Changes in one transaction.
const BATCH: usize = 500;

/// Memory that the database may take for its pages: all entries are in ours already.
const CACHE: usize = 4 << 20;

/// Set in the byte of the kind: it came in answer to a search of ours, and others must not be told.
const PRIVATE: u8 = 0x10;

enum Command {
    /// Keep a RouterInfo; whether it may be given to others.
    Keep(RouterInfo, bool),
    Forget(NetDbKey),
    /// Answered when all before it is on disk.
    Flush(oneshot::Sender<()>),
    /// The same, and the file is closed.
    Close(oneshot::Sender<()>),
}

/// A RouterInfo that was on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Loaded {
    pub(super) info: RouterInfo,
    /// It may be given to others.
    pub(super) public: bool,
}

/// What was on disk.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) routers: Vec<Loaded>,
    /// Keys of LeaseSets.
    pub(super) lease_sets: Vec<NetDbKey>,
}

/// The way to the thread; cheap to clone.
#[derive(Clone)]
pub(super) struct Storage {
    /// Boxed, since the channel has all its places from the beginning.
    commands: Sender<Box<Command>>,
    losses: Arc<Losses>,
}

/// Whether the disk lacks anything that it should have.
#[derive(Debug, Default)]
struct Losses {
    /// Changes were dropped.
    some: AtomicBool,
    /// How often that was so when the disk could be written again.
    to_mend: AtomicU64,
}

impl Storage {
    /// Opens the database, or begins a new one, and returns what is in it.
    ///
    /// # Errors
    /// If the file cannot be opened, made, or moved aside when it is damaged.
    pub(super) fn open(path: &Path) -> io::Result<(Self, Found)> {
        let (database, found) = open_or_begin_anew(path)?;
        let (commands, receiver) = bounded(QUEUE);
        let losses = Arc::<Losses>::default();
        let mut writer = Writer::new(path.to_owned(), database, Arc::clone(&losses));
        std::thread::Builder::new().name("netdb-storage".to_owned()).spawn(move || writer.run(&receiver))?;
        Ok((Self { commands, losses }, found))
    }

    /// Keep a RouterInfo in place of what is there.
    pub(super) fn keep(&self, info: RouterInfo, public: bool) {
        self.command(Command::Keep(info, public));
    }

    /// Forget what is under a key.
    pub(super) fn forget(&self, key: NetDbKey) {
        self.command(Command::Forget(key));
    }

    /// Rises whenever the disk can be written and lacks something: then all is to be kept again.
    pub(super) fn losses(&self) -> u64 {
        self.losses.to_mend.load(Relaxed)
    }

    /// Waits until everything is on disk.
    pub(super) async fn flush(&self) {
        self.wait(Command::Flush).await;
    }

    /// Waits until everything is on disk and the file is closed.
    pub(super) async fn close(&self) {
        self.wait(Command::Close).await;
    }

    async fn wait(&self, make: impl FnOnce(oneshot::Sender<()>) -> Command) {
        let (done, wait) = oneshot::channel();
        let mut command = Box::new(make(done));
        loop {
            match self.commands.try_send(command) {
                Ok(()) => break,
                Err(TrySendError::Full(back)) => command = back,
                Err(TrySendError::Disconnected(_)) => return,
            }
            actix::clock::sleep(Duration::from_millis(20)).await;
        }
        // An error means that the thread has ended, and has said why.
        let _ = wait.await;
    }

    fn command(&self, command: Command) {
        if self.commands.try_send(Box::new(command)).is_err() {
            self.losses.some.store(true, Relaxed);
            ControlDrop::StorageFull.count();
        }
    }
}

fn write<'a>(database: &Database, batch: impl Iterator<Item = &'a Command>) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        let mut table = transaction.open_table(ENTRIES)?;
        for command in batch {
            match command {
                Command::Keep(info, public) => {
                    let kind = EntryKind::RouterInfo.store_type() | if *public { 0 } else { PRIVATE };
                    table.insert(&info.hash().0, [&[kind], &info.as_bytes()[..]].concat().as_slice())?;
                }
                Command::Forget(key) => drop(table.remove(&key.0)?),
                Command::Flush(_) | Command::Close(_) => {}
            }
        }
    }
    transaction.commit()?;
    Ok(())
}

fn open_or_begin_anew(path: &Path) -> io::Result<(Database, Found)> {
    match open_guarded(path) {
        Ok(opened) => Ok(opened),
        Err(error) if is_damage(&error) => {
            let aside = aside(path);
            std::fs::rename(path, &aside)?;
            tracing::warn!(
                %error,
                moved_to = %aside.display(),
                "the netDb file is damaged: it was moved aside and a new one begun; routers will be learnt again"
            );
            open_guarded(path).map_err(io::Error::other)
        }
        Err(error) => Err(io::Error::other(format!("the netDb {}: {error}", path.display()))),
    }
}

/// Opens and reads on a thread of its own: a damaged file must not end the router even if the library panics over it.
fn open_guarded(path: &Path) -> Result<(Database, Found), redb::Error> {
    let path = path.to_owned();
    let opened = std::thread::Builder::new().name("netdb-open".to_owned()).spawn(move || open_and_read(&path));
    match opened.map_err(redb::Error::Io)?.join() {
        Ok(result) => result,
        Err(_) => Err(redb::Error::Corrupted("it cannot be read".to_owned())),
    }
}

fn open_and_read(path: &Path) -> Result<(Database, Found), redb::Error> {
    let database = Database::builder().set_cache_size(CACHE).create(path)?;
    let mut found = Found::default();
    let transaction = redb::ReadableDatabase::begin_read(&database)?;
    match transaction.open_table(ENTRIES) {
        Ok(table) => {
            for row in table.iter()? {
                let (key, value) = row?;
                found.read(NetDbKey(*key.value()), value.value());
            }
        }
        Err(TableError::TableDoesNotExist(_)) => {}
        Err(error) => return Err(error.into()),
    }
    Ok((database, found))
}

impl Found {
    /// An entry of a kind or form that we no longer read is not worth a refusal.
    fn read(&mut self, key: NetDbKey, value: &[u8]) {
        let Some((kind, raw)) = value.split_first() else { return };
        match EntryKind::from_store_type(*kind) {
            Ok(EntryKind::RouterInfo) => {
                if let Ok(info) = RouterInfo::parse(Bytes::copy_from_slice(raw)) {
                    self.routers.push(Loaded { info, public: kind & PRIVATE == 0 });
                }
            }
            Ok(_) => self.lease_sets.push(key),
            Err(_) => {}
        }
    }
}

/// Errors that a new file cures. Others, such as a missing right or a full disk, would only come again.
fn is_damage(error: &redb::Error) -> bool {
    match error {
        redb::Error::Io(e) => matches!(e.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof),
        redb::Error::Corrupted(_)
        | redb::Error::UpgradeRequired(_)
        | redb::Error::RepairAborted
        | redb::Error::TableTypeMismatch { .. }
        | redb::Error::TypeDefinitionChanged { .. } => true,
        _ => false,
    }
}

fn aside(path: &Path) -> PathBuf {
    let secs = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".damaged-{secs}"));
    name.into()
}

/// Takes RouterInfos into a database that nobody else has open.
///
/// # Errors
/// If it cannot be opened or written.
pub(super) fn write_offline(path: &Path, routers: Vec<RouterInfo>) -> io::Result<()> {
    let (database, _) = open_or_begin_anew(path)?;
    let commands: Vec<_> = routers.into_iter().map(|info| Command::Keep(info, true)).collect();
    commands.chunks(BATCH).try_for_each(|batch| write(&database, batch.iter())).map_err(io::Error::other)
}

/// What a database holds that nobody else has open.
///
/// # Errors
/// If it cannot be opened.
pub(super) fn read_offline(path: &Path) -> io::Result<Vec<Loaded>> {
    open_or_begin_anew(path).map(|(_, found)| found.routers)
}

#[cfg(test)]
mod tests;
