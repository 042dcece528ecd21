//! The thread that writes: one transaction for all that waits; and what it does while the disk cannot be written.
//!
//! After an error the database library wants its file closed and opened again, whatever the reason was. So a disk that was
//! full, or a mount that was gone, is tried again by itself, and works again by itself.

use super::{BATCH, Command, Losses, open_or_begin_anew, write};
use crate::drops::ControlDrop;
use crate::series::control;
use crossbeam::channel::{Receiver, RecvTimeoutError};
use ramson_protocol::id::NetDbKey;
use redb::Database;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// The first change of a batch waits so long for others.
const GATHER: Duration = Duration::from_secs(3);

/// Changes that are gathered while the disk cannot be written; what comes beyond is asked for anew when it can.
const MAX_GATHERED: usize = 16 * 1024;

/// From one attempt to write a disk that cannot be written to the next: twice as long each time.
const RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(30);

pub(super) struct Writer {
    path: PathBuf,
    /// None while it cannot be written.
    database: Option<Database>,
    /// The last change of each key that is not on disk yet.
    gathered: HashMap<NetDbKey, Command>,
    losses: Arc<Losses>,
    failures: u32,
    retry_at: Instant,
}

impl Writer {
    pub(super) fn new(path: PathBuf, database: Database, losses: Arc<Losses>) -> Self {
        let (gathered, retry_at) = (HashMap::new(), Instant::now());
        Self { path, database: Some(database), gathered, losses, failures: 0, retry_at }
    }

    /// The body of the thread. It ends when it is told to close, or when nobody is left to tell it anything.
    pub(super) fn run(&mut self, commands: &Receiver<Box<Command>>) {
        loop {
            let mut done = Vec::new();
            let (mut until, mut closes, mut asked) = ((self.failures > 0).then_some(self.retry_at), false, false);
            while !asked && (self.failures > 0 || self.gathered.len() < BATCH) {
                let received = match until {
                    Some(until) => commands.recv_deadline(until),
                    None => commands.recv().map_err(|_| RecvTimeoutError::Disconnected),
                };
                match received.map(|command| *command) {
                    Ok(Command::Flush(sender)) => (asked, _) = (true, done.push(sender)),
                    Ok(Command::Close(sender)) => (asked, closes, _) = (true, true, done.push(sender)),
                    Ok(change) => self.gather(change),
                    Err(RecvTimeoutError::Timeout) => break,
                    Err(RecvTimeoutError::Disconnected) => (asked, closes) = (true, true),
                }
                until = until.or_else(|| Some(Instant::now() + GATHER));
            }
            if asked || Instant::now() >= self.retry_at {
                self.write();
            }
            if closes && !self.gathered.is_empty() {
                tracing::error!(
                    changes = self.gathered.len(),
                    "the netDb is closed, and the disk lacks the last of it"
                );
            }
            if closes {
                self.database = None;
            }
            answer(done);
            if closes {
                return;
            }
        }
    }

    fn gather(&mut self, change: Command) {
        let key = match &change {
            Command::Keep(info, _) => info.hash().into(),
            Command::Forget(key) => *key,
            Command::Flush(_) | Command::Close(_) => return,
        };
        if self.gathered.len() >= MAX_GATHERED && !self.gathered.contains_key(&key) {
            self.losses.some.store(true, Relaxed);
            return ControlDrop::StorageFull.count();
        }
        self.gathered.insert(key, change);
    }

    /// Writes what is gathered, as far as the disk lets it.
    fn write(&mut self) {
        let result = self.try_write();
        match result {
            Ok(()) if self.failures > 0 => {
                tracing::info!("the netDb can be written to disk again");
                self.failures = 0;
            }
            Ok(()) => {}
            Err(error) => {
                // The library does nothing more with a file after an error.
                self.database = None;
                if self.failures == 0 {
                    tracing::error!(
                        %error,
                        path = %self.path.display(),
                        "the netDb could not be written to disk; is it full, or read-only? It is tried again"
                    );
                }
                control::NETDB_STORAGE_ERRORS.add([], 1);
                self.retry_at = Instant::now() + (RETRY * (1 << self.failures.min(8))).min(LONGEST_RETRY);
                self.failures = self.failures.saturating_add(1);
                return;
            }
        }
        if self.losses.some.swap(false, Relaxed) {
            self.losses.to_mend.fetch_add(1, Relaxed);
        }
    }

    fn try_write(&mut self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        if self.database.is_none() {
            let (database, found) = open_or_begin_anew(&self.path)?;
            // A file that was begun anew lacks everything.
            if found.routers.is_empty() {
                self.losses.some.store(true, Relaxed);
            }
            self.database = Some(database);
        }
        let Some(database) = &self.database else { return Ok(()) };
        while !self.gathered.is_empty() {
            let keys: Vec<NetDbKey> = self.gathered.keys().take(BATCH).copied().collect();
            write(database, keys.iter().filter_map(|key| self.gathered.get(key)))?;
            for key in keys {
                self.gathered.remove(&key);
            }
        }
        Ok(())
    }
}

fn answer(done: Vec<oneshot::Sender<()>>) {
    for sender in done {
        // Whoever waited may have given up.
        let _ = sender.send(());
    }
}

#[cfg(test)]
impl Writer {
    /// The next attempt to write finds the file closed, as after an error.
    pub(super) fn fail_once(&mut self) {
        self.database = None;
    }

    /// Whether these changes, and all before, can be written now.
    pub(super) fn writes(&mut self, changes: &[Command]) -> bool {
        for change in changes {
            self.gather(match change {
                Command::Keep(info, public) => Command::Keep(info.clone(), *public),
                Command::Forget(key) => Command::Forget(*key),
                Command::Flush(_) | Command::Close(_) => continue,
            });
        }
        self.write();
        self.failures == 0
    }
}
