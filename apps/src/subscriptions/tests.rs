//! Lists at sites that the test plays.

use super::*;
use crate::names::HostName;
use crate::names::entry::tests::key;
use crate::network::{ConnectError, Target};
use parking_lot::Mutex;
use ramson_protocol::base64;
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::TcpStream;

const URL: &str = "http://lists.i2p/hosts.txt";

/// A site that answers each request with the next of its answers, and keeps what it heard.
#[derive(Clone, Default)]
struct Site(Arc<Mutex<(Vec<String>, Vec<String>)>>);

impl Network for Site {
    type Stream = DuplexStream;

    async fn connect(&self, to: Target, port: u16) -> Result<DuplexStream, ConnectError> {
        if to != Target::Hash(key(1).1.hash()) || port != 80 {
            return Err(ConnectError::NotFound);
        }
        let (ours, mut theirs) = duplex(1 << 20);
        let site = self.clone();
        tokio::spawn(async move {
            let mut heard = vec![0; 8192];
            let len = theirs.read(&mut heard).await.unwrap();
            let answer = {
                let mut all = site.0.lock();
                all.0.push(String::from_utf8_lossy(&heard[..len]).into_owned());
                if all.1.is_empty() { String::new() } else { all.1.remove(0) }
            };
            let _ = theirs.write_all(answer.as_bytes()).await;
        });
        Ok(ours)
    }

    async fn connected(_: &DuplexStream) -> Result<(), ConnectError> {
        Ok(())
    }

    async fn carry(_: TcpStream, _: Vec<u8>, _: DuplexStream) -> io::Result<()> {
        Ok(())
    }
}

struct Rig {
    site: Site,
    names: Names,
    _folder: tempfile::TempDir,
}

impl Rig {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let names = Names::new(folder.path().join("names.redb"));
        let book = names.book().unwrap();
        let name = HostName::parse("lists.i2p").unwrap();
        book.add(crate::names::book::Shelf::User, &name, key(1).1, false, Clock::system()).unwrap();
        Self { site: Site::default(), names, _folder: folder }
    }

    fn answers(&self, all: &[String]) {
        self.site.0.lock().1.extend_from_slice(all);
    }

    fn lists(&self) -> Subscriptions<Site> {
        Subscriptions::new(self.site.clone(), self.names.clone(), &[URL.to_owned()], Duration::from_secs(12 * 3600))
    }

    fn heard(&self) -> Vec<String> {
        self.site.0.lock().0.iter().map(|head| head.to_ascii_lowercase()).collect()
    }

    fn knows(&self, name: &str, n: u8) -> bool {
        self.names.resolve(name).is_ok_and(|found| found == ramson_protocol::b32::B32::Hash(key(n).1.hash()))
    }
}

fn list(headers: &str, lines: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{headers}Content-Length: {}\r\n\r\n{lines}", lines.len())
}

fn line(name: &str, n: u8) -> String {
    format!("{name}={}\n", base64::encode(key(n).1.as_bytes()))
}

#[tokio::test]
async fn a_list_is_read_once_and_asked_for_news_afterwards() {
    let rig = Rig::new();
    let headers = "ETag: \"one\"\r\nLast-Modified: Sat, 01 Jan 2026 00:00:00 GMT\r\n";
    rig.answers(&[list(headers, &line("new.i2p", 2)), "HTTP/1.1 304 Not Modified\r\n\r\n".to_owned()]);
    let report = rig.lists().fetch(URL).await.unwrap().unwrap();
    assert_eq!(report.get("added"), Some(&1));
    assert!(rig.knows("new.i2p", 2));
    assert!(rig.lists().fetch(URL).await.unwrap().is_none(), "another process has kept the words");
    let [first, second] = &rig.heard()[..] else { panic!("{:?}", rig.heard()) };
    assert!(first.starts_with("get /hosts.txt http/1.1\r\n") && first.contains("host: lists.i2p\r\n"), "{first}");
    assert!(!first.contains("if-none-match") && first.contains("user-agent: myob"), "{first}");
    assert!(second.contains("if-none-match: \"one\"") && second.contains("if-modified-since: sat, 01"), "{second}");
}

#[tokio::test]
async fn a_list_moves_no_name_that_is_known_and_a_broken_one_changes_nothing() {
    let rig = Rig::new();
    let whole = list("", &(line("lists.i2p", 3) + &line("other.i2p", 4)));
    let broken = format!("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{}", line("half.i2p", 5));
    let long = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\nx", MAX_BYTES + 1);
    rig.answers(&[whole, broken, long, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned()]);
    rig.lists().fetch(URL).await.unwrap();
    assert!(rig.knows("lists.i2p", 1) && rig.knows("other.i2p", 4));
    assert!(matches!(rig.lists().fetch(URL).await, Err(FetchError::Http(_))));
    assert!(!rig.knows("half.i2p", 5));
    assert!(rig.lists().fetch(URL).await.is_err());
    assert!(matches!(rig.lists().fetch(URL).await, Err(FetchError::Status(StatusCode::NOT_FOUND))));
    assert!(matches!(rig.lists().fetch("http://nobody.i2p/x").await, Err(FetchError::Resolve(_))));
}

#[test]
fn a_list_outside_of_i2p_is_never_fetched() {
    for url in ["http://lists.i2p/hosts.txt", "http://lists.i2p.alt:81/x?y"] {
        assert!(check(url).is_ok(), "{url}");
    }
    for url in [
        "https://lists.i2p/",
        "http://example.com/hosts.txt",
        "http://127.0.0.1/",
        "hosts.txt",
        "",
        "http://me@lists.i2p/",
    ] {
        assert!(check(url).is_err(), "{url}");
    }
}

#[test]
fn what_fails_is_tried_again_after_longer_and_longer() {
    let seconds: Vec<u64> = [1, 2, 3, 7, 100].map(|failures| again_after(failures).as_secs()).to_vec();
    assert_eq!(seconds, [60, 120, 240, 3600, 3600]);
}

#[tokio::test(start_paused = true)]
async fn a_list_that_failed_comes_again_soon_and_one_that_was_read_after_the_interval() {
    let rig = Rig::new();
    rig.answers(&[String::new(), list("", &line("late.i2p", 6))]);
    let begun = Instant::now();
    let following = tokio::spawn(rig.lists().follow());
    while !rig.knows("late.i2p", 6) {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let minutes = begun.elapsed().as_secs() / 60;
    assert_eq!((minutes, rig.heard().len()), (4, 2), "three minutes, and one more");
    tokio::time::sleep(Duration::from_secs(11 * 3600)).await;
    assert_eq!(rig.heard().len(), 2);
    following.abort();
}
