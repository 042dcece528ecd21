//! Java I2P's host database, `hostsdb.blockfile`: sorted maps on pages, read only and from beginning to end.
//!
//! ```text
//! superblock   page 1: magic | 1.x | length 8 | first free page 4 | mounted 2 | span size 2 | page size 4
//! skip list    magic | first span 4 | first level 4 | size 4 ...      the list of lists stands on page 2
//! span         magic | continuation 4 | previous 4 | next 4 | most keys 2 | keys 2 | keys and values
//! continuation magic | next continuation 4 | keys and values
//! key, value   length 2 | length 2 | bytes ...                        the lengths never across pages
//! ```
//! Levels are for searching, so they are not looked at: all entries stand in the spans.
//!
//! spec: blockfile §Blockfile Format, §Blockfile Naming Service Tables

use super::HostName;
use super::book::Shelf;
use super::entry::Entry;
use ramson_protocol::data::keys_and_cert::Destination;
use ramson_protocol::data::mapping::Mapping;
use ramson_protocol::wire::Reader;
use std::collections::HashSet;
use std::io::{self, Read};
use std::path::Path;

const MAGIC: &[u8; 6] = &[0x31, 0x41, 0xde, b'I', b'2', b'P'];
const SKIP_LIST: &[u8] = b"SkipList";
const SPAN: &[u8] = b"Span";
const CONTINUATION: &[u8] = b"CONT";

/// Where the list of lists stands.
const META_PAGE: u32 = 2;

/// Files above this are no address book of anybody.
const MAX_FILE: u64 = 256 << 20;

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BlockfileError {
    /// The file.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is another kind of file, or of a version that we do not know.
    #[error("this is no hostsdb.blockfile of version 1")]
    Magic,
    /// A router has it open, or ended without closing it.
    #[error("Java I2P has it open, or ended without closing it: stop it, or start and stop it, and try again")]
    Mounted,
    /// What it says of itself does not fit together.
    #[error("it is damaged at page {0}")]
    Damaged(u32),
}

type Result<T> = std::result::Result<T, BlockfileError>;

/// What was found in the file.
#[derive(Debug, Default)]
pub struct Found {
    /// Names by the book they belong to, in its order.
    pub entries: Vec<(Shelf, HostName, Entry)>,
    /// Entries with names that break a rule or destinations that cannot be read.
    pub passed_over: u64,
}

/// Reads all hosts of a database.
///
/// # Errors
/// Why it cannot be read.
pub fn read(path: &Path) -> Result<Found> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MAX_FILE).read_to_end(&mut bytes)?;
    parse(&bytes)
}

fn parse(bytes: &[u8]) -> Result<Found> {
    let file = File::new(bytes)?;
    let mut found = Found::default();
    let mut lists = Vec::new();
    file.walk(META_PAGE, &mut |key, value| {
        let shelf = match key {
            b"privatehosts.txt" => Shelf::Private,
            b"userhosts.txt" => Shelf::User,
            b"hosts.txt" => Shelf::Hosts,
            _ => return,
        };
        lists.extend(value.try_into().ok().map(|page| (shelf, u32::from_be_bytes(page))));
    })?;
    for (shelf, page) in lists {
        file.walk(page, &mut |key, value| {
            let name = std::str::from_utf8(key).ok().and_then(|name| HostName::parse(name).ok());
            match name.zip(entry(value)) {
                Some((name, entry)) => found.entries.push((shelf, name, entry)),
                None => found.passed_over += 1,
            }
        })?;
    }
    Ok(found)
}

/// Version 4 has a number of destinations, version 3 one without a number; each tells itself by fitting.
fn entry(value: &[u8]) -> Option<Entry> {
    Entry::parse(value).ok().or_else(|| {
        let mut r = Reader::new(value);
        let properties = Mapping::parse(&mut r).ok()?;
        let destination = Destination::parse(&mut r).ok()?;
        r.is_empty().then(|| Entry::new(destination, properties.into()))
    })
}

/// A file whose first page has been looked at.
struct File<'a> {
    bytes: &'a [u8],
    page: usize,
}

impl<'a> File<'a> {
    fn new(bytes: &'a [u8]) -> Result<Self> {
        let head = bytes.first_chunk::<1024>().ok_or(BlockfileError::Magic)?;
        let [major, minor] = [head[6], head[7]];
        if !head.starts_with(MAGIC) || major != 1 {
            return Err(BlockfileError::Magic);
        }
        if head[20..22] != [0, 0] {
            return Err(BlockfileError::Mounted);
        }
        let page = if minor < 2 { 1024 } else { usize::try_from(u32_at(head, 24)).unwrap_or(0) };
        if !(512..=64 * 1024).contains(&page) {
            return Err(BlockfileError::Damaged(1));
        }
        Ok(Self { bytes, page })
    }

    /// A page that begins with its magic.
    fn page(&self, number: u32, magic: &[u8]) -> Result<&'a [u8]> {
        let at = (number as usize).checked_sub(1).and_then(|index| index.checked_mul(self.page));
        let page = at.and_then(|at| self.bytes.get(at..)?.get(..self.page));
        page.filter(|page| page.starts_with(magic)).ok_or(BlockfileError::Damaged(number))
    }

    /// Gives all keys and values of the skip list on a page.
    fn walk(&self, list: u32, each: &mut impl FnMut(&[u8], &[u8])) -> Result<()> {
        let mut next = u32_at(self.page(list, SKIP_LIST)?, 8);
        let mut seen = HashSet::new();
        while next != 0 {
            if !seen.insert(next) {
                return Err(BlockfileError::Damaged(next));
            }
            let page = self.page(next, SPAN)?;
            let mut span =
                Span { file: self, page, number: next, continuation: u32_at(page, 4), at: 20, left: self.bytes.len() };
            for _ in 0..u16::from_be_bytes([page[18], page[19]]) {
                let (key, value) = span.pair()?;
                each(&key, &value);
            }
            next = u32_at(page, 12);
        }
        Ok(())
    }
}

/// A place in a span and its continuations.
struct Span<'a> {
    file: &'a File<'a>,
    page: &'a [u8],
    number: u32,
    continuation: u32,
    at: usize,
    /// Bytes that may still be taken: continuations that go in circles end here.
    left: usize,
}

impl Span<'_> {
    fn pair(&mut self) -> Result<(Vec<u8>, Vec<u8>)> {
        if self.page.len() - self.at < 4 {
            self.turn()?;
        }
        let lengths = &self.page[self.at..self.at + 4];
        let key = usize::from(u16::from_be_bytes([lengths[0], lengths[1]]));
        let value = usize::from(u16::from_be_bytes([lengths[2], lengths[3]]));
        self.at += 4;
        Ok((self.take(key)?, self.take(value)?))
    }

    fn take(&mut self, len: usize) -> Result<Vec<u8>> {
        self.left = self.left.checked_sub(len).ok_or(BlockfileError::Damaged(self.number))?;
        let mut out = Vec::with_capacity(len);
        while out.len() < len {
            if self.at == self.page.len() {
                self.turn()?;
            }
            let part = (len - out.len()).min(self.page.len() - self.at);
            out.extend_from_slice(&self.page[self.at..self.at + part]);
            self.at += part;
        }
        Ok(out)
    }

    fn turn(&mut self) -> Result<()> {
        self.left = self.left.checked_sub(8).ok_or(BlockfileError::Damaged(self.number))?;
        self.number = self.continuation;
        self.page = self.file.page(self.number, CONTINUATION)?;
        (self.continuation, self.at) = (u32_at(self.page, 4), 8);
        Ok(())
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::super::entry::{property, tests::key};
    use super::*;
    use proptest::prelude::*;
    use ramson_protocol::data::mapping::MappingBuf;

    /// Writes a file as Java does, but for the levels: lists of pairs, spans of at most sixteen.
    struct Writer(Vec<[u8; 1024]>);

    impl Writer {
        fn new() -> Self {
            let mut head = [0; 1024];
            head[..6].copy_from_slice(MAGIC);
            (head[6], head[7]) = (1, 2);
            head[24..28].copy_from_slice(&1024_u32.to_be_bytes());
            Self(vec![head, [0; 1024]])
        }

        fn new_page(&mut self, magic: &[u8]) -> usize {
            let mut page = [0; 1024];
            page[..magic.len()].copy_from_slice(magic);
            self.0.push(page);
            self.0.len()
        }

        fn put(&mut self, page: usize, at: usize, bytes: &[u8]) {
            self.0[page - 1][at..at + bytes.len()].copy_from_slice(bytes);
        }

        /// Returns the page of the first span.
        fn spans(&mut self, pairs: &[(Vec<u8>, Vec<u8>)]) -> u32 {
            let (mut first, mut former) = (0, 0);
            for chunk in pairs.chunks(16) {
                let span = self.new_page(SPAN);
                if former == 0 {
                    first = span as u32;
                } else {
                    self.put(former, 12, &(span as u32).to_be_bytes());
                }
                former = span;
                self.put(span, 18, &(chunk.len() as u16).to_be_bytes());
                let (mut page, mut at, mut link) = (span, 20, 4);
                for (key, value) in chunk {
                    let lengths = [(key.len() as u16).to_be_bytes(), (value.len() as u16).to_be_bytes()].concat();
                    for (i, byte) in [&lengths[..], key, value].concat().iter().enumerate() {
                        if at == 1024 || i == 0 && at > 1020 {
                            let next = self.new_page(CONTINUATION);
                            self.put(page, link, &(next as u32).to_be_bytes());
                            (page, at, link) = (next, 8, 4);
                        }
                        self.put(page, at, &[*byte]);
                        at += 1;
                    }
                }
            }
            first
        }

        fn list(&mut self, pairs: &[(Vec<u8>, Vec<u8>)]) -> u32 {
            let list = self.new_page(SKIP_LIST);
            let span = self.spans(pairs);
            self.put(list, 8, &span.to_be_bytes());
            list as u32
        }

        fn finish(mut self, lists: &[(&str, u32)]) -> Vec<u8> {
            let pairs: Vec<_> =
                lists.iter().map(|(name, page)| (name.as_bytes().to_vec(), page.to_be_bytes().to_vec())).collect();
            let span = self.spans(&pairs);
            self.put(2, 0, SKIP_LIST);
            self.put(2, 8, &span.to_be_bytes());
            self.0.concat()
        }
    }

    fn file() -> Vec<u8> {
        let mut properties = MappingBuf::new();
        properties.set(property::NOTES, "x".repeat(200));
        let entry = |n: u8| {
            let entry = Entry::new(key(n).1, properties.clone());
            (format!("host{n}.i2p").into_bytes(), entry.to_bytes().unwrap())
        };
        let mut hosts: Vec<_> = (0..50).map(entry).collect();
        // One of version 3, one that breaks a rule, one whose destination is none.
        hosts.push((b"old.i2p".to_vec(), hosts[7].1[1..].to_vec()));
        hosts.push((b"bad.com".to_vec(), hosts[0].1.clone()));
        hosts.push((b"bad.i2p".to_vec(), vec![1, 0, 0, 7]));
        let mut writer = Writer::new();
        let lists = [
            ("%%__INFO__%%", writer.list(&[(b"info".to_vec(), vec![0, 0])])),
            ("hosts.txt", writer.list(&hosts)),
            ("privatehosts.txt", writer.list(&[entry(99)])),
        ];
        writer.finish(&lists)
    }

    #[test]
    fn all_hosts_of_all_lists_are_found_across_pages() {
        let found = parse(&file()).unwrap();
        assert_eq!((found.entries.len(), found.passed_over), (52, 2));
        for n in 0..50_u8 {
            let name = format!("host{n}.i2p");
            let (shelf, _, entry) = found.entries.iter().find(|(_, found, _)| found.as_str() == name).unwrap();
            assert_eq!((*shelf, entry.destination()), (Shelf::Hosts, &key(n).1));
        }
        let of = |name: &str| found.entries.iter().find(|(_, found, _)| found.as_str() == name).unwrap();
        assert_eq!((of("host99.i2p").0, of("old.i2p").2.destination()), (Shelf::Private, &key(7).1));
    }

    #[test]
    fn a_file_that_is_open_elsewhere_or_no_such_file_is_told() {
        let mut mounted = file();
        mounted[21] = 1;
        assert!(matches!(parse(&mounted), Err(BlockfileError::Mounted)));
        assert!(matches!(parse(b"SQLite format 3"), Err(BlockfileError::Magic)));
        assert!(matches!(parse(&[0; 4096]), Err(BlockfileError::Magic)));
        let whole = file();
        assert!(matches!(parse(&whole[..whole.len() / 2]), Err(BlockfileError::Damaged(_))));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn no_damage_is_a_panic_or_goes_on_for_ever(changes in prop::collection::vec((0_usize..60_000, any::<u8>()), 1..20)) {
            let mut file = file();
            for (at, byte) in changes {
                let at = at % file.len();
                file[at] = byte;
            }
            let _ = parse(&file);
        }
    }
}
