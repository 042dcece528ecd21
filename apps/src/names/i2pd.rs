//! i2pd's address book: `addressbook/addresses.csv` and the identities beside it.
//!
//! ```text
//! addresses.csv, local.csv    name,52 characters of base 32
//! b32/x/NAME.b32              an identity, binary; x is the first of the 52 characters
//! ```

use super::HostName;
use super::entry::{Entry, property};
use bytes::Bytes;
use ramson_protocol::base64::encode32;
use ramson_protocol::data::keys_and_cert::Destination;
use ramson_protocol::data::mapping::MappingBuf;
use std::io::{self, BufRead};
use std::path::Path;

/// An identity file is no larger than this.
const MAX_IDENTITY: u64 = 4096;

/// What was found in i2pd's folder.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Names with their destinations.
    pub entries: Vec<(HostName, Entry)>,
    /// Names that break a rule, or whose destination is not there whole: i2pd looks such ones up by their hash.
    pub passed_over: u64,
}

/// Reads the folder `addressbook` of i2pd's data folder.
///
/// # Errors
/// If there is no list of names in it, or it cannot be read.
pub fn read(folder: &Path) -> io::Result<Found> {
    let mut found = Found::default();
    let list = std::fs::File::open(folder.join("addresses.csv"))?;
    for line in io::BufReader::new(io::Read::take(list, super::book::MAX_LIST)).lines() {
        let line = line?;
        let Some((name, label)) = line.trim().split_once(',') else { continue };
        let entry = HostName::parse(name).ok().zip(identity(folder, label.trim()));
        match entry {
            Some((name, destination)) => {
                let mut properties = MappingBuf::new();
                properties.set(property::SOURCE, "i2pd");
                found.entries.push((name, Entry::new(destination, properties)));
            }
            None => found.passed_over += 1,
        }
    }
    Ok(found)
}

fn identity(folder: &Path, label: &str) -> Option<Destination> {
    // The label becomes part of a path.
    if label.len() != 52 || !super::is_base32(label) {
        return None;
    }
    let path = folder.join("b32").join(&label[..1]).join(format!("{label}.b32"));
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(std::fs::File::open(path).ok()?, MAX_IDENTITY), &mut bytes).ok()?;
    Destination::from_bytes(Bytes::from(bytes)).ok().filter(|destination| encode32(&destination.hash().0) == label)
}

#[cfg(test)]
mod tests {
    use super::super::entry::tests::key;
    use super::*;

    #[test]
    fn names_whose_identity_is_there_are_taken_and_the_others_counted() {
        let dir = tempfile::tempdir().unwrap();
        let label = |n: u8| encode32(&key(n).1.hash().0);
        let folder = dir.path().join("b32").join(&label(1)[..1]);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{}.b32", label(1))), key(1).1.as_bytes()).unwrap();
        // Somebody else's identity under a name that is not its hash.
        let folder = dir.path().join("b32").join(&label(3)[..1]);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{}.b32", label(3))), key(4).1.as_bytes()).unwrap();
        let list = [("a.i2p", label(1)), ("b.i2p", label(2)), ("c.i2p", label(3)), ("d.com", label(1))];
        let list: String = list.iter().map(|(name, label)| format!("{name},{label}\n")).collect();
        std::fs::write(dir.path().join("addresses.csv"), list + "e.i2p,../../../../etc/passwd\n\n").unwrap();
        let found = read(dir.path()).unwrap();
        let names: Vec<_> = found.entries.iter().map(|(name, entry)| (name.as_str(), entry.destination())).collect();
        assert_eq!((names, found.passed_over), (vec![("a.i2p", &key(1).1)], 4));
    }
}
