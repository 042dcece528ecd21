use super::super::entry::tests::key;
use super::super::feed::tests::{NOW, signed, text};
use super::*;
use ramson_protocol::base64::encode;

fn name(text: &str) -> HostName {
    HostName::parse(text).unwrap()
}

/// A book in a folder of its own.
struct Rig {
    book: Book,
    dir: tempfile::TempDir,
}

impl Rig {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { book: Book::open(&dir.path().join("names.redb")).unwrap(), dir }
    }

    /// A book that has read lines, of which each became something new.
    fn with(lines: &[String]) -> Self {
        let rig = Self::new();
        let report = rig.read(lines);
        assert_eq!(report, Report::from([("added", lines.len() as u64)]));
        rig
    }

    fn read(&self, lines: &[String]) -> Report {
        self.book.read_list(lines.join("\n").as_bytes(), "feed", NOW).unwrap()
    }

    /// The key by whose number the destination of a name was made.
    fn whose(&self, of: &str) -> Option<u8> {
        let (_, entry) = self.book.lookup(&name(of)).unwrap()?;
        (0..=255).find(|n| key(*n).1 == *entry.destination())
    }
}

fn plain(name: &str, n: u8) -> String {
    format!("{name}={}", text(n))
}

#[test]
fn a_name_that_is_known_stays_with_its_destination_and_what_says_otherwise_is_shown() {
    let rig = Rig::with(&[plain("a.i2p", 1), plain("b.i2p", 2)]);
    let lines = [plain("a.i2p", 1), plain("a.i2p", 9), "# words".to_owned(), "nonsense".to_owned(), plain("c.com", 1)];
    assert_eq!(rig.read(&lines), Report::from([("same", 1), ("conflict", 1), ("form", 1), ("suffix", 1)]));
    assert_eq!(rig.whose("a.i2p"), Some(1));
    let conflicts = rig.book.conflicts().unwrap();
    let [(of, source, said)] = &conflicts[..] else { panic!("{conflicts:?}") };
    assert_eq!((of.as_str(), source.as_str(), said.destination()), ("a.i2p", "feed", &key(9).1));
    assert_eq!(rig.book.names_of(key(1).1.hash()).unwrap(), [name("a.i2p")]);
    assert_eq!(rig.book.names_of(key(9).1.hash()).unwrap(), []);
}

#[test]
fn what_the_user_enters_comes_first_and_no_list_touches_it() {
    let rig = Rig::with(&[plain("a.i2p", 1)]);
    rig.book.add(Shelf::User, &name("a.i2p"), key(2).1, false, NOW).unwrap();
    rig.book.add(Shelf::Private, &name("p.i2p"), key(3).1, false, NOW).unwrap();
    assert_eq!((rig.whose("a.i2p"), rig.whose("p.i2p")), (Some(2), Some(3)));
    let taken = rig.book.add(Shelf::User, &name("a.i2p"), key(4).1, false, NOW);
    assert!(matches!(taken, Err(BookError::Taken(_))));
    // A private name is no other's business: the list may have it, and is not asked.
    assert_eq!(rig.read(&[plain("p.i2p", 5)]), Report::from([("added", 1)]));
    let give_up = signed(None, &format!("action=remove#name=a.i2p#dest={}", text(2)), None, 2);
    assert_eq!(rig.read(&[give_up]), Report::from([("same", 1)]));
    assert_eq!((rig.whose("a.i2p"), rig.whose("p.i2p")), (Some(2), Some(3)));
    assert!(rig.book.remove(Shelf::User, &name("a.i2p")).unwrap());
    assert!(!rig.book.remove(Shelf::User, &name("a.i2p")).unwrap());
    assert_eq!(rig.whose("a.i2p"), Some(1), "the list's");
    rig.book.add(Shelf::User, &name("a.i2p"), key(1).1, false, NOW).unwrap();
    rig.book.add(Shelf::User, &name("a.i2p"), key(2).1, true, NOW).unwrap();
    assert_eq!(rig.book.names_of(key(1).1.hash()).unwrap(), [name("a.i2p")], "the list still says so");
    rig.book.remove(Shelf::User, &name("a.i2p")).unwrap();
    rig.book.add(Shelf::User, &name("a.i2p"), key(4).1, false, NOW).unwrap();
    rig.book.add(Shelf::User, &name("a.i2p"), key(5).1, true, NOW).unwrap();
    assert_eq!(rig.whose("a.i2p"), Some(5));
}

#[test]
fn the_holder_of_a_name_moves_it_and_nobody_else_does() {
    let rig = Rig::with(&[plain("a.i2p", 1), plain("b.i2p", 2)]);
    let change = |name, to, from, inner| {
        let command = format!("action=changedest#olddest={}", text(from));
        rig.read(&[signed(Some((name, to)), &command, Some(inner), to)])
    };
    assert_eq!(change("a.i2p", 9, 8, 8), Report::from([("conflict", 1)]), "8 never had it");
    assert_eq!(change("a.i2p", 9, 1, 8), Report::from([("bad_signature", 1)]));
    assert_eq!(rig.whose("a.i2p"), Some(1));
    assert_eq!(change("a.i2p", 3, 1, 1), Report::from([("changed", 1)]));
    assert_eq!(change("a.i2p", 3, 1, 1), Report::from([("same", 1)]), "feeds repeat themselves");
    assert_eq!((rig.whose("a.i2p"), rig.book.names_of(key(1).1.hash()).unwrap()), (Some(3), vec![]));

    let further = format!("action=adddest#olddest={}", text(3));
    assert_eq!(rig.read(&[signed(Some(("a.i2p", 4)), &further, Some(3), 4)]), Report::from([("changed", 1)]));
    let (_, entry) = rig.book.lookup(&name("a.i2p")).unwrap().unwrap();
    assert_eq!((entry.destination(), entry.has(&key(3).1)), (&key(4).1, true));
    assert_eq!(entry.properties().get(property::VERIFIED), Some("true"));
}

#[test]
fn names_are_changed_added_and_given_up_by_their_holders() {
    let rig = Rig::with(&[plain("old.i2p", 1), plain("b.i2p", 2)]);
    let rename = signed(Some(("new.i2p", 1)), "action=changename#oldname=old.i2p", None, 1);
    assert_eq!(rig.read(&[rename]), Report::from([("changed", 1)]));
    assert_eq!((rig.whose("new.i2p"), rig.whose("old.i2p")), (Some(1), None));
    let grab = signed(Some(("b.i2p", 1)), "action=changename#oldname=new.i2p", None, 1);
    assert_eq!(rig.read(&[grab]), Report::from([("conflict", 1)]));
    assert_eq!((rig.whose("b.i2p"), rig.whose("new.i2p")), (Some(2), Some(1)));

    let alias = signed(Some(("alias.i2p", 1)), "action=addname#oldname=new.i2p", None, 1);
    let below = |name, holder| {
        let command = format!("action=addsubdomain#oldname=b.i2p#olddest={}", text(holder));
        signed(Some((name, 7)), &command, Some(holder), 7)
    };
    assert_eq!(rig.read(&[alias, below("x.b.i2p", 2)]), Report::from([("added", 2)]));
    assert_eq!(rig.read(&[below("y.b.i2p", 3)]), Report::from([("not_the_holder", 1)]));
    let update = signed(Some(("new.i2p", 1)), "action=update#k=v", None, 1);
    let foreign = signed(Some(("new.i2p", 5)), "action=update#k=v", None, 5);
    assert_eq!(rig.read(&[update, foreign]), Report::from([("changed", 1), ("not_the_holder", 1)]));

    let all = signed(None, &format!("action=removeall#dest={}", text(1)), None, 1);
    assert_eq!(rig.read(std::slice::from_ref(&all)), Report::from([("changed", 1)]));
    assert_eq!(rig.read(&[all]), Report::from([("same", 1)]));
    assert_eq!((rig.whose("new.i2p"), rig.whose("alias.i2p"), rig.whose("b.i2p")), (None, None, Some(2)));
}

#[test]
fn a_list_without_end_or_line_ends_is_read_within_its_bounds() {
    let rig = Rig::new();
    let long = vec![b'a'; 50_000];
    let list = [&long[..], b"\n", plain("a.i2p", 1).as_bytes(), b"\n\xff\xfe=x\n", &long, &long].concat();
    let report = rig.book.read_list(&list[..], "feed", NOW).unwrap();
    assert_eq!(report, Report::from([("added", 1), ("too_long", 2), ("suffix", 1)]));
}

#[test]
fn a_list_that_fails_in_the_middle_leaves_nothing() {
    struct Fails(bool);
    impl std::io::Read for Fails {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            if std::mem::replace(&mut self.0, true) {
                return Err(std::io::Error::other("cut off"));
            }
            let line = plain("a.i2p", 1) + "\n";
            buffer[..line.len()].copy_from_slice(line.as_bytes());
            Ok(line.len())
        }
    }
    let rig = Rig::new();
    assert!(rig.book.read_list(std::io::BufReader::new(Fails(false)), "feed", NOW).is_err());
    assert_eq!(rig.whose("a.i2p"), None);
}

#[test]
fn a_book_is_read_again_as_it_was_and_walked_by_name() {
    let rig = Rig::with(&[plain("c.i2p", 3), plain("a.i2p", 1), plain("b.i2p", 2)]);
    rig.book.add(Shelf::User, &name("u.i2p"), key(4).1, false, NOW).unwrap();
    let Rig { book, dir } = rig;
    drop(book);
    let book = Book::open(&dir.path().join("names.redb")).unwrap();
    let mut names = Vec::new();
    book.walk(Shelf::Hosts, "b", |name, entry| {
        assert_eq!(entry.properties().get(property::SOURCE), Some("feed"));
        names.push(name.to_string());
        true
    })
    .unwrap();
    assert_eq!(names, ["b.i2p", "c.i2p"]);
    let merged = [(name("a.i2p"), key(1)), (name("b.i2p"), key(9)), (name("d.i2p"), key(5))];
    let merged = merged.map(|(name, (_, destination))| (name, Entry::new(destination, MappingBuf::new())));
    assert_eq!(
        book.merge(Shelf::Hosts, merged, "import").unwrap(),
        Report::from([("added", 1), ("conflict", 1), ("same", 1)])
    );
    assert_eq!(encode(key(5).1.as_bytes()), text(5));
}
