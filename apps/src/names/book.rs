//! The address book: three books in one database, searched in order, and what did not fit.
//!
//! ```text
//! names       (book, name)   -> Entry                        private, user, hosts
//! holders     hash           -> names                        which names a destination has
//! conflicts   (name, source) -> Entry                        what a list said otherwise
//! feeds       URL            -> words of its server          by which it says whether a list has changed
//! ```
//! Each change is one transaction: whatever happens meanwhile, it is there whole or not at all.
//!
//! A file or feed changes `hosts` only. What the user entered is looked up first and is never touched by them, and a name that
//! is known stays with its destination unless a signed command of its holder moves it; what says otherwise becomes a conflict.

use super::HostName;
use super::entry::{Entry, property};
use super::feed::{Command, FeedError};
use super::hosts::{Host, Line, LineError};
use ramson_protocol::data::keys_and_cert::Destination;
use ramson_protocol::data::mapping::MappingBuf;
use ramson_protocol::id::DestinationHash;
use ramson_protocol::time::Wall;
use redb::{Database, MultimapTable, MultimapTableDefinition, ReadableDatabase, ReadableMultimapTable};
use redb::{ReadableTable, ReadableTableMetadata, Table, TableDefinition, WriteTransaction};
use std::collections::BTreeMap;
use std::io::BufRead;
use std::path::Path;

const NAMES: TableDefinition<'_, (u8, &str), &[u8]> = TableDefinition::new("names");
const HOLDERS: MultimapTableDefinition<'_, &[u8; 32], &str> = MultimapTableDefinition::new("holders");
const CONFLICTS: TableDefinition<'_, (&str, &str), &[u8]> = TableDefinition::new("conflicts");
const FEEDS: TableDefinition<'_, &str, &str> = TableDefinition::new("feeds");

/// Names in the book of hosts, at most. The largest lists have some ten thousand.
pub const MAX_HOSTS: u64 = 1_000_000;

/// Conflicts that are kept.
pub const MAX_CONFLICTS: u64 = 10_000;

/// Bytes that are read of one list.
pub const MAX_LIST: u64 = 256 << 20;

/// Which book, in the order in which they are searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Shelf {
    /// Names of the user's own, which are never given to others.
    Private = 0,
    /// Names that the user has entered or taken from a link.
    User = 1,
    /// Names out of lists.
    Hosts = 2,
}

impl Shelf {
    /// All of them, in the order in which they are searched.
    pub const ALL: [Self; 3] = [Self::Private, Self::User, Self::Hosts];

    /// What the user calls it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::User => "user",
            Self::Hosts => "hosts",
        }
    }
}

/// What became of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A name is new.
    Added,
    /// A name has another destination, name or properties, or is gone, as its holder wanted.
    Changed,
    /// It was so already.
    Same,
    /// The name has another destination; see [`Book::conflicts`].
    Conflict,
    /// A line that cannot be read, or a command that is not followed, with the reason's name.
    Refused(&'static str),
    /// The book is full.
    Full,
}

impl Outcome {
    /// The name of the outcome in counts.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Changed => "changed",
            Self::Same => "same",
            Self::Conflict => "conflict",
            Self::Refused(reason) => reason,
            Self::Full => "full",
        }
    }
}

/// A failure of the database or its file.
#[derive(Debug, thiserror::Error)]
pub enum BookError {
    /// The database.
    #[error("address book: {0}")]
    Database(Box<redb::Error>),
    /// What was to be read.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The name is there, with another destination.
    #[error("{0} is another destination already: remove it first, or give --replace")]
    Taken(HostName),
}

/// The errors of the database's calls, which all are parts of one.
macro_rules! database_errors {
    ($($error:ident),*) => {$(
        impl From<redb::$error> for BookError {
            fn from(error: redb::$error) -> Self {
                Self::Database(Box::new(error.into()))
            }
        }
    )*};
}

database_errors!(DatabaseError, TransactionError, TableError, StorageError, CommitError);

type Result<T> = std::result::Result<T, BookError>;

/// What a list brought: lines by outcome.
pub type Report = BTreeMap<&'static str, u64>;

/// The address book.
pub struct Book(Database);

impl Book {
    /// Opens the book, or begins one.
    ///
    /// # Errors
    /// If the file cannot be opened or is no book.
    pub fn open(path: &Path) -> Result<Self> {
        let database = Database::create(path)?;
        // The tables are there from now on, so that reading needs no case for none.
        let transaction = database.begin_write()?;
        transaction.open_table(NAMES)?;
        transaction.open_multimap_table(HOLDERS)?;
        transaction.open_table(CONFLICTS)?;
        transaction.open_table(FEEDS)?;
        transaction.commit()?;
        Ok(Self(database))
    }

    /// Whose a name is, and by which book.
    ///
    /// # Errors
    /// Those of the database.
    pub fn lookup(&self, name: &HostName) -> Result<Option<(Shelf, Entry)>> {
        self.find(&Shelf::ALL, name)
    }

    /// The same without the private book, for what is shown to others.
    ///
    /// # Errors
    /// Those of the database.
    pub fn lookup_public(&self, name: &HostName) -> Result<Option<(Shelf, Entry)>> {
        self.find(&[Shelf::User, Shelf::Hosts], name)
    }

    fn find(&self, shelves: &[Shelf], name: &HostName) -> Result<Option<(Shelf, Entry)>> {
        let names = self.0.begin_read()?.open_table(NAMES)?;
        for shelf in shelves.iter().copied() {
            if let Some(entry) = names.get((shelf as u8, name.as_str()))?.and_then(|at| Entry::parse(at.value()).ok()) {
                return Ok(Some((shelf, entry)));
            }
        }
        Ok(None)
    }

    /// The names of a destination.
    ///
    /// # Errors
    /// Those of the database.
    pub fn names_of(&self, destination: DestinationHash) -> Result<Vec<HostName>> {
        let holders = self.0.begin_read()?.open_multimap_table(HOLDERS)?;
        let names = holders.get(&destination.0)?.filter_map(|name| HostName::parse(name.ok()?.value()).ok());
        Ok(names.collect())
    }

    /// Goes through a book by name, from the first that is not before `from`, until `each` returns false.
    ///
    /// # Errors
    /// Those of the database.
    pub fn walk(&self, shelf: Shelf, from: &str, mut each: impl FnMut(HostName, Entry) -> bool) -> Result<()> {
        let names = self.0.begin_read()?.open_table(NAMES)?;
        for item in names.range((shelf as u8, from)..(shelf as u8 + 1, ""))? {
            let (key, value) = item?;
            let (Ok(name), Ok(entry)) = (HostName::parse(key.value().1), Entry::parse(value.value())) else { continue };
            if !each(name, entry) {
                break;
            }
        }
        Ok(())
    }

    /// What lists said of names that are somebody else's: name, source, and what it said.
    ///
    /// # Errors
    /// Those of the database.
    pub fn conflicts(&self) -> Result<Vec<(HostName, String, Entry)>> {
        let conflicts = self.0.begin_read()?.open_table(CONFLICTS)?;
        let mut all = Vec::new();
        for item in conflicts.iter()? {
            let (key, value) = item?;
            if let (Ok(name), Ok(entry)) = (HostName::parse(key.value().0), Entry::parse(value.value())) {
                all.push((name, key.value().1.to_owned(), entry));
            }
        }
        Ok(all)
    }

    /// What was kept of a list that is followed.
    ///
    /// # Errors
    /// Those of the database.
    pub fn feed(&self, url: &str) -> Result<Option<String>> {
        let feeds = self.0.begin_read()?.open_table(FEEDS)?;
        Ok(feeds.get(url)?.map(|kept| kept.value().to_owned()))
    }

    /// Keeps this of a list that is followed.
    ///
    /// # Errors
    /// Those of the database.
    pub fn keep_feed(&self, url: &str, words: &str) -> Result<()> {
        let transaction = self.0.begin_write()?;
        transaction.open_table(FEEDS)?.insert(url, words)?;
        transaction.commit()?;
        Ok(())
    }

    /// Enters a name as the user wants it. Another destination is replaced only if that is said.
    ///
    /// # Errors
    /// `Taken`; those of the database.
    pub fn add(&self, shelf: Shelf, name: &HostName, destination: Destination, replace: bool, now: Wall) -> Result<()> {
        let transaction = self.0.begin_write()?;
        let mut change = Change::open(&transaction)?;
        let known = change.get(shelf, name)?;
        if !replace && known.as_ref().is_some_and(|known| !known.has(&destination)) {
            return Err(BookError::Taken(name.clone()));
        }
        let entry = Entry::new(destination, properties("user", false, now));
        change.put(shelf, name, known.as_ref(), &entry)?;
        drop(change);
        transaction.commit()?;
        Ok(())
    }

    /// Takes a name out; false if it was not there.
    ///
    /// # Errors
    /// Those of the database.
    pub fn remove(&self, shelf: Shelf, name: &HostName) -> Result<bool> {
        let transaction = self.0.begin_write()?;
        let mut change = Change::open(&transaction)?;
        let was_there = change.take(shelf, name)?;
        drop(change);
        transaction.commit()?;
        Ok(was_there)
    }

    /// Reads a list into the book of hosts, all of it in one change.
    ///
    /// # Errors
    /// If it cannot be read, or the database fails; then nothing of it is taken.
    pub fn read_list(&self, list: impl BufRead, source: &str, now: Wall) -> Result<Report> {
        let transaction = self.0.begin_write()?;
        let mut change = Change::open(&transaction)?;
        let mut report = Report::new();
        let mut lines = Lines { list: std::io::Read::take(list, MAX_LIST), line: Vec::new() };
        while let Some(line) = lines.next()? {
            let line = match line.and_then(|line| Line::parse(&line)) {
                Ok(None) => continue,
                Ok(Some(line)) => Command::verify(line, now).map_err(FeedError::label),
                Err(error) => Err(LineError::label(&error)),
            };
            let outcome = match line {
                Ok(command) => change.follow(command, source, now)?,
                Err(reason) => Outcome::Refused(reason),
            };
            *report.entry(outcome.label()).or_default() += 1;
        }
        drop(change);
        transaction.commit()?;
        Ok(report)
    }

    /// Takes entries of another router's book into one of ours, without touching names that are there.
    ///
    /// # Errors
    /// Those of the database; then nothing is taken.
    pub fn merge(
        &self,
        shelf: Shelf,
        entries: impl IntoIterator<Item = (HostName, Entry)>,
        source: &str,
    ) -> Result<Report> {
        let transaction = self.0.begin_write()?;
        let mut change = Change::open(&transaction)?;
        let mut report = Report::new();
        for (name, entry) in entries {
            let outcome = match change.get(shelf, &name)? {
                None if change.names.len()? >= MAX_HOSTS => Outcome::Full,
                None => {
                    change.put(shelf, &name, None, &entry)?;
                    Outcome::Added
                }
                Some(known) if known.has(entry.destination()) => Outcome::Same,
                Some(_) => change.conflict(&name, source, &entry)?,
            };
            *report.entry(outcome.label()).or_default() += 1;
        }
        drop(change);
        transaction.commit()?;
        Ok(report)
    }
}

/// The lines of a list, none of which takes more memory than it may.
struct Lines<R> {
    list: std::io::Take<R>,
    line: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    fn next(&mut self) -> std::io::Result<Option<std::result::Result<String, LineError>>> {
        self.line.clear();
        let mut long = false;
        loop {
            let buffer = self.list.fill_buf()?;
            if buffer.is_empty() {
                if self.line.is_empty() && !long {
                    return Ok(None);
                }
                break;
            }
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let part = &buffer[..end.unwrap_or(buffer.len())];
            long |= self.line.len() + part.len() > super::hosts::MAX_LINE;
            if !long {
                self.line.extend_from_slice(part);
            }
            let taken = part.len() + usize::from(end.is_some());
            self.list.consume(taken);
            if end.is_some() {
                break;
            }
        }
        // What is not UTF-8 is no name, and is told as one that has a wrong character.
        Ok(Some(if long { Err(LineError::TooLong) } else { Ok(String::from_utf8_lossy(&self.line).into_owned()) }))
    }
}

fn properties(source: &str, verified: bool, now: Wall) -> MappingBuf {
    let mut all = MappingBuf::new();
    all.set(property::ADDED, now.0.to_string()).set(property::SOURCE, source);
    if verified {
        all.set(property::VERIFIED, "true");
    }
    all
}

/// A change of the book.
struct Change<'t> {
    names: Table<'t, (u8, &'static str), &'static [u8]>,
    holders: MultimapTable<'t, &'static [u8; 32], &'static str>,
    conflicts: Table<'t, (&'static str, &'static str), &'static [u8]>,
}

impl<'t> Change<'t> {
    fn open(transaction: &'t WriteTransaction) -> Result<Self> {
        Ok(Self {
            names: transaction.open_table(NAMES)?,
            holders: transaction.open_multimap_table(HOLDERS)?,
            conflicts: transaction.open_table(CONFLICTS)?,
        })
    }

    fn get(&self, shelf: Shelf, name: &HostName) -> Result<Option<Entry>> {
        Ok(self.names.get((shelf as u8, name.as_str()))?.and_then(|at| Entry::parse(at.value()).ok()))
    }

    /// Enters a name in place of what is `known` of it.
    fn put(&mut self, shelf: Shelf, name: &HostName, known: Option<&Entry>, entry: &Entry) -> Result<()> {
        // Our own properties are short, and those of others were read from a mapping.
        let Ok(bytes) = entry.to_bytes() else { return Ok(()) };
        self.names.insert((shelf as u8, name.as_str()), bytes.as_slice())?;
        if let Some(known) = known {
            self.forget_holders(name, known)?;
        }
        for destination in entry.destinations() {
            self.holders.insert(&destination.hash().0, name.as_str())?;
        }
        Ok(())
    }

    fn take(&mut self, shelf: Shelf, name: &HostName) -> Result<bool> {
        let Some(known) = self.get(shelf, name)? else { return Ok(false) };
        self.names.remove((shelf as u8, name.as_str()))?;
        self.forget_holders(name, &known)?;
        Ok(true)
    }

    /// The name may have lost what it had by `entry`, unless a book still says so.
    fn forget_holders(&mut self, name: &HostName, entry: &Entry) -> Result<()> {
        let mut left = Vec::new();
        for shelf in Shelf::ALL {
            left.extend(self.get(shelf, name)?);
        }
        for destination in entry.destinations().filter(|one| !left.iter().any(|entry| entry.has(one))) {
            self.holders.remove(&destination.hash().0, name.as_str())?;
        }
        Ok(())
    }

    fn conflict(&mut self, name: &HostName, source: &str, entry: &Entry) -> Result<Outcome> {
        if self.conflicts.len()? < MAX_CONFLICTS
            && let Ok(bytes) = entry.to_bytes()
        {
            self.conflicts.insert((name.as_str(), source), bytes.as_slice())?;
        }
        Ok(Outcome::Conflict)
    }

    /// What the book of hosts, or failing that another one, says of a name.
    fn known(&self, name: &HostName) -> Result<Option<Entry>> {
        for shelf in [Shelf::Hosts, Shelf::User] {
            if let Some(entry) = self.get(shelf, name)? {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    fn follow(&mut self, command: Command, source: &str, now: Wall) -> Result<Outcome> {
        match command {
            Command::Add { host, signed } => self.add(&host, source, signed, now),
            Command::AddName { host, old } | Command::ChangeName { host, old }
                if !self.holds(&old, &host.destination)? =>
            {
                // The old name is not here, or somebody else's: then this is no more than a new name.
                self.add(&host, source, true, now)
            }
            Command::AddName { host, .. } => self.add(&host, source, true, now),
            Command::ChangeName { host, old } => {
                let outcome = self.add(&host, source, true, now)?;
                if outcome == Outcome::Conflict || outcome == Outcome::Full {
                    return Ok(outcome);
                }
                self.take(Shelf::Hosts, &old)?;
                Ok(Outcome::Changed)
            }
            Command::ChangeDestination { host, old } => self.move_to(&host, &old, true, source, now),
            Command::AddDestination { host, old } => self.move_to(&host, &old, false, source, now),
            Command::AddSubdomain { host, above, holder } => match self.known(&above)? {
                Some(entry) if !entry.has(&holder) => Ok(Outcome::Refused("not_the_holder")),
                _ => self.add(&host, source, true, now),
            },
            Command::Update { host } => self.update(&host, source, now),
            Command::Remove { name, destination } => self.give_up(&name, &destination),
            Command::RemoveAll { destination } => {
                let names: Vec<HostName> = {
                    let all = self.holders.get(&destination.hash().0)?;
                    all.filter_map(|name| HostName::parse(name.ok()?.value()).ok()).collect()
                };
                let mut outcome = Outcome::Same;
                for name in names {
                    if self.give_up(&name, &destination)? == Outcome::Changed {
                        outcome = Outcome::Changed;
                    }
                }
                Ok(outcome)
            }
        }
    }

    fn holds(&self, name: &HostName, destination: &Destination) -> Result<bool> {
        Ok(self.get(Shelf::Hosts, name)?.is_some_and(|entry| entry.has(destination)))
    }

    fn add(&mut self, host: &Host, source: &str, signed: bool, now: Wall) -> Result<Outcome> {
        let entry = Entry::new(host.destination.clone(), properties(source, signed, now));
        match self.known(&host.name)? {
            Some(known) if known.has(&host.destination) => Ok(Outcome::Same),
            Some(_) => self.conflict(&host.name, source, &entry),
            None if self.names.len()? >= MAX_HOSTS => Ok(Outcome::Full),
            None => {
                self.put(Shelf::Hosts, &host.name, None, &entry)?;
                Ok(Outcome::Added)
            }
        }
    }

    /// The holder wants another destination, in place of the old one or before it.
    fn move_to(&mut self, host: &Host, old: &Destination, replace: bool, source: &str, now: Wall) -> Result<Outcome> {
        let Some(known) = self.get(Shelf::Hosts, &host.name)? else { return self.add(host, source, true, now) };
        if known.destination() == &host.destination {
            return Ok(Outcome::Same);
        }
        let mut properties = properties(source, true, now);
        if !known.has(old) {
            return self.conflict(&host.name, source, &Entry::new(host.destination.clone(), properties));
        }
        properties.set(property::MODIFIED, now.0.to_string());
        if let Some(added) = known.properties().get(property::ADDED) {
            properties.set(property::ADDED, added);
        }
        let mut entry = if replace { Entry::new(host.destination.clone(), properties.clone()) } else { known.clone() };
        entry.prefer(host.destination.clone(), properties);
        self.put(Shelf::Hosts, &host.name, Some(&known), &entry)?;
        Ok(Outcome::Changed)
    }

    fn update(&mut self, host: &Host, source: &str, now: Wall) -> Result<Outcome> {
        match self.get(Shelf::Hosts, &host.name)? {
            Some(known) if known.destination() == &host.destination => {
                let mut entry = known.clone();
                let properties = entry.properties_mut();
                properties.set(property::MODIFIED, now.0.to_string()).set(property::VERIFIED, "true");
                self.put(Shelf::Hosts, &host.name, Some(&known), &entry)?;
                Ok(Outcome::Changed)
            }
            Some(_) => Ok(Outcome::Refused("not_the_holder")),
            None => self.add(host, source, true, now),
        }
    }

    fn give_up(&mut self, name: &HostName, destination: &Destination) -> Result<Outcome> {
        if !self.holds(name, destination)? {
            return Ok(Outcome::Same);
        }
        self.take(Shelf::Hosts, name)?;
        Ok(Outcome::Changed)
    }
}

#[cfg(test)]
mod tests;
