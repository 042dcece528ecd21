//! The netDb on disk: an embedded database that a thread of its own writes, in batches.
//!
//! State owned: the database file. In: entries to keep and keys to forget, over a bounded channel; when it is full the
//! change is dropped and counted, as the next version of the entry will come. A batch is one transaction: a kill at any
//! moment loses at most the batch that was not written yet, never what was there before.
//!
//! ```text
//! table "entries": key (32) -> kind (1, as in DatabaseStore) | the entry's exact bytes
//! ```

use crate::drops::ControlDrop;
use crate::series::control;
use bytes::Bytes;
use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};
use ramson_protocol::data::entry::{Entry, EntryKind};
use ramson_protocol::id::NetDbKey;
use redb::{Database, ReadableTable, TableDefinition, TableError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::oneshot;

const ENTRIES: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("entries");

/// Changes that wait for the thread.
const QUEUE: usize = 16 * 1024;

/// Changes in one transaction.
const BATCH: usize = 500;

/// The first change of a batch waits so long for others.
const GATHER: Duration = Duration::from_secs(3);

/// Memory that the database may take for its pages: all entries are in ours already.
const CACHE: usize = 4 << 20;

enum Command {
    Keep(Entry),
    Forget(NetDbKey),
    /// Answered when all before it is on disk.
    Flush(oneshot::Sender<()>),
    /// The same, and the file is closed.
    Close(oneshot::Sender<()>),
}

/// The way to the thread; cheap to clone.
#[derive(Clone)]
pub(super) struct Storage(Sender<Command>);

impl Storage {
    /// Opens the database, or begins a new one, and returns what is in it.
    ///
    /// # Errors
    /// If the file cannot be opened, made, or moved aside when it is damaged.
    pub(super) fn open(path: &Path) -> io::Result<(Self, Vec<Entry>)> {
        let (database, entries) = open_or_begin_anew(path)?;
        let (sender, receiver) = bounded(QUEUE);
        std::thread::Builder::new().name("netdb-storage".to_owned()).spawn(move || write_all(database, &receiver))?;
        Ok((Self(sender), entries))
    }

    /// Keep an entry in place of what is there.
    pub(super) fn keep(&self, entry: Entry) {
        self.command(Command::Keep(entry));
    }

    /// Forget what is under a key.
    pub(super) fn forget(&self, key: NetDbKey) {
        self.command(Command::Forget(key));
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
        let mut command = make(done);
        loop {
            match self.0.try_send(command) {
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
        if self.0.try_send(command).is_err() {
            ControlDrop::StorageFull.count();
        }
    }
}

/// The body of the thread that writes: one transaction for all that waits, until it is told to close.
fn write_all(database: Database, commands: &Receiver<Command>) {
    while let Ok(first) = commands.recv() {
        let mut done = Vec::new();
        let mut closes = false;
        let mut batch = Vec::new();
        let mut gather = |command| match command {
            Command::Flush(sender) => {
                done.push(sender);
                true
            }
            Command::Close(sender) => {
                done.push(sender);
                closes = true;
                true
            }
            change => {
                batch.push(change);
                batch.len() >= BATCH
            }
        };
        let until = Instant::now() + GATHER;
        let mut full = gather(first);
        while !full {
            match commands.recv_deadline(until) {
                Ok(command) => full = gather(command),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        }
        if let Err(error) = write(&database, &batch) {
            tracing::error!(%error, entries = batch.len(), "the netDb could not be written to disk");
            control::NETDB_STORAGE_ERRORS.add([], 1);
        }
        if closes {
            drop(database);
            answer(done);
            return;
        }
        answer(done);
    }
}

fn answer(done: Vec<oneshot::Sender<()>>) {
    for sender in done {
        // Whoever waited may have given up.
        let _ = sender.send(());
    }
}

fn write(database: &Database, batch: &[Command]) -> Result<(), redb::Error> {
    if batch.is_empty() {
        return Ok(());
    }
    let transaction = database.begin_write()?;
    {
        let mut table = transaction.open_table(ENTRIES)?;
        for command in batch {
            match command {
                Command::Keep(entry) => {
                    let value = [&[entry.kind().store_type()], &entry.as_bytes()[..]].concat();
                    table.insert(&entry.key().0, value.as_slice())?;
                }
                Command::Forget(key) => drop(table.remove(&key.0)?),
                Command::Flush(_) | Command::Close(_) => {}
            }
        }
    }
    transaction.commit()?;
    Ok(())
}

fn open_or_begin_anew(path: &Path) -> io::Result<(Database, Vec<Entry>)> {
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
fn open_guarded(path: &Path) -> Result<(Database, Vec<Entry>), redb::Error> {
    let path = path.to_owned();
    let opened = std::thread::Builder::new().name("netdb-open".to_owned()).spawn(move || open_and_read(&path));
    match opened.map_err(redb::Error::Io)?.join() {
        Ok(result) => result,
        Err(_) => Err(redb::Error::Corrupted("it cannot be read".to_owned())),
    }
}

fn open_and_read(path: &Path) -> Result<(Database, Vec<Entry>), redb::Error> {
    let database = Database::builder().set_cache_size(CACHE).create(path)?;
    let mut entries = Vec::new();
    let transaction = redb::ReadableDatabase::begin_read(&database)?;
    match transaction.open_table(ENTRIES) {
        Ok(table) => {
            for row in table.iter()? {
                let (_, value) = row?;
                // An entry of a kind or form that we no longer read is not worth a refusal.
                entries.extend(read(value.value()));
            }
        }
        Err(TableError::TableDoesNotExist(_)) => {}
        Err(error) => return Err(error.into()),
    }
    Ok((database, entries))
}

fn read(value: &[u8]) -> Option<Entry> {
    let (kind, raw) = value.split_first()?;
    Entry::parse(EntryKind::from_store_type(*kind).ok()?, Bytes::copy_from_slice(raw)).ok()
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

/// Takes entries into a database that nobody else has open.
///
/// # Errors
/// If it cannot be opened or written.
pub(super) fn write_offline(path: &Path, entries: Vec<Entry>) -> io::Result<()> {
    let (database, _) = open_or_begin_anew(path)?;
    let commands: Vec<_> = entries.into_iter().map(Command::Keep).collect();
    commands.chunks(BATCH).try_for_each(|batch| write(&database, batch)).map_err(io::Error::other)
}

/// What a database holds that nobody else has open.
///
/// # Errors
/// If it cannot be opened.
pub(super) fn read_offline(path: &Path) -> io::Result<Vec<Entry>> {
    open_or_begin_anew(path).map(|(_, entries)| entries)
}

#[cfg(test)]
mod tests;
