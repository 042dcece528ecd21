//! A filter file of a server, and the lists beside it.
//!
//! ```text
//! definition, read once --> Filter (protocol/src/access_filter.rs): asks for lists, says what is to be written
//! lists                 --> read anew when they have changed, looked at every ten seconds
//! ```
//! Files are small and local; they are read where the call is judged.

use crate::tunnel::Remote;
use parking_lot::Mutex;
use ramson_protocol::access_filter::{Filter, FilterError};
use ramson_protocol::id::DestinationHash;
use ramson_protocol::time::Mono;
use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// How often it is looked whether lists have changed. spec: filter-format §Bulk Thresholds
const LOOK: Duration = Duration::from_secs(10);

/// The largest definition and the largest list that are read.
const MAX_FILE: u64 = 4 << 20;

/// A filter and its lists; shared by what asks it.
#[derive(Clone, Debug)]
pub struct FilterFile(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    filter: Filter,
    /// Where paths begin that are not whole.
    folder: PathBuf,
    lists: Vec<List>,
    looked: Option<Mono>,
}

#[derive(Debug)]
struct List {
    path: PathBuf,
    read: Option<SystemTime>,
    who: BTreeSet<DestinationHash>,
}

/// Why there is no filter.
#[derive(Debug, thiserror::Error)]
pub enum FilterFileError {
    /// The definition cannot be read.
    #[error("{0}")]
    Read(#[from] io::Error),
    /// It is none.
    #[error("{0}")]
    Definition(#[from] FilterError),
}

fn destination(text: &str) -> Option<DestinationHash> {
    match Remote::parse(text) {
        Ok(Remote::Hash(hash)) => Some(hash),
        Ok(Remote::Blinded(_) | Remote::Name(_)) | Err(_) => None,
    }
}

impl FilterFile {
    /// Reads a definition. Paths in it are as they stand there, or beside it.
    ///
    /// # Errors
    /// If it cannot be read, or is none.
    pub fn open(path: &Path) -> Result<Self, FilterFileError> {
        let filter = Filter::parse(&read(path)?, destination)?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let list = |path: &String| List { path: folder.join(path), read: None, who: BTreeSet::new() };
        let lists = filter.lists().iter().map(list).collect();
        let folder = folder.to_owned();
        Ok(Self(Arc::new(Mutex::new(State { filter, folder, lists, looked: None }))))
    }

    /// Judges a call.
    pub(super) fn allows(&self, who: DestinationHash, now: Mono) -> bool {
        let mut state = self.0.lock();
        let State { filter, folder, lists, looked } = &mut *state;
        if looked.is_none_or(|at| now >= at + LOOK) {
            *looked = Some(now);
            lists.iter_mut().for_each(List::look);
        }
        let verdict = filter.call(now, who, |list| lists.get(list).is_some_and(|list| list.who.contains(&who)));
        for path in &verdict.record {
            if let Err(error) = record(&folder.join(path), who) {
                tracing::warn!(%error, path, "a filter cannot write down who calls too often; see the path behind record");
            }
        }
        let allowed = verdict.allowed;
        if !verdict.record.is_empty() {
            // Who was written down may be on a list now.
            *looked = None;
        }
        allowed
    }
}

impl List {
    /// Reads the list if it has changed. One that is not there names nobody.
    fn look(&mut self) {
        let changed = fs::metadata(&self.path).and_then(|file| file.modified()).ok();
        if changed == self.read {
            return;
        }
        self.read = changed;
        match read(&self.path) {
            Ok(text) => self.who = text.lines().map(str::trim).filter_map(destination).collect(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.who.clear(),
            // What it said before holds.
            Err(error) => tracing::warn!(%error, path = %self.path.display(), "a list of a filter cannot be read"),
        }
    }
}

fn read(path: &Path) -> io::Result<String> {
    if fs::metadata(path)?.len() > MAX_FILE {
        return Err(io::Error::other("it has more than 4 MB"));
    }
    fs::read_to_string(path)
}

/// Writes somebody into a file, if he is not there and it is not full.
fn record(path: &Path, who: DestinationHash) -> io::Result<()> {
    let name = who.to_b32();
    let text = match read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        read => read?,
    };
    if text.lines().any(|line| line.trim() == name) {
        return Ok(());
    }
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    let begin = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    file.write_all(format!("{begin}{name}\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_written_down_is_on_the_list_that_throttles_him_from_then_on() {
        let folder = tempfile::tempdir().unwrap();
        let (definition, list) = (folder.path().join("filter.txt"), folder.path().join("throttled.txt"));
        fs::write(&definition, "3/5 record throttled.txt\ndeny file throttled.txt\nallow default").unwrap();
        let filter = FilterFile::open(&definition).unwrap();
        let (often, seldom) = (DestinationHash([1; 32]), DestinationHash([2; 32]));
        let calls = [1, 2, 3, 4].map(|at| filter.allows(often, Duration::from_secs(at)));
        assert_eq!(calls, [true, true, true, false]);
        assert!(filter.allows(seldom, Duration::from_secs(4)));
        assert_eq!(fs::read_to_string(&list).unwrap(), format!("{}\n", often.to_b32()));
        // By hand, and as base 64 as well.
        fs::write(&list, format!("# friends\n{}\n", seldom.to_b32())).unwrap();
        assert!(!filter.allows(seldom, Duration::from_secs(20)));
        assert!(filter.allows(often, Duration::from_secs(20)));
        fs::remove_file(&list).unwrap();
        assert!(filter.allows(seldom, Duration::from_secs(40)));
    }

    #[test]
    fn a_definition_that_is_none_says_where() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("filter.txt");
        assert!(FilterFile::open(&path).is_err());
        fs::write(&path, "allow default\nexplode default\n").unwrap();
        assert!(FilterFile::open(&path).unwrap_err().to_string().contains("line 2"));
    }
}
