//! Hosts that are good, and hosts that are not; proxies in between.

use super::super::serve::tls;
use super::super::signer::https;
use super::*;
use rustls::{ServerConnection, StreamOwned};
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use tempfile::TempDir;

/// A host on loopback that answers each request with the same bytes.
struct Host {
    folder: TempDir,
    at: SocketAddr,
}

impl Host {
    fn new(answer: Vec<u8>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = Arc::new(tls(https(folder.path(), &["127.0.0.1".to_owned()]).unwrap()).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        thread::spawn(move || {
            for caller in listener.incoming().flatten() {
                let tls = ServerConnection::new(Arc::clone(&config)).unwrap();
                let mut stream = StreamOwned::new(tls, caller);
                // A caller who does not trust us hangs up.
                let _ = stream.read(&mut [0; 4096]).and_then(|_| stream.write_all(&answer));
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        });
        Self { folder, at }
    }

    fn of_body(body: &[u8]) -> Self {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
        Self::new([head.as_bytes(), body].concat())
    }

    fn fetched(&self, more: &str) -> Result<Vec<u8>, String> {
        let certificate = self.folder.path().join("https.crt");
        let text = format!("[network]\nid = 99\nreseed_certificates = [{certificate:?}]\n{more}\n");
        self.fetched_with(&text)
    }

    fn fetched_with(&self, text: &str) -> Result<Vec<u8>, String> {
        Client::new(&Settings::parse(text).unwrap())
            .unwrap()
            .fetch(&format!("https://{}/i2pseeds.su3?netid=99", self.at))
    }
}

/// A proxy on loopback for one kind of greeting, which counts whom it has let through.
fn proxy(greet: fn(&mut TcpStream) -> SocketAddr) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (at, through) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&through);
    thread::spawn(move || {
        for mut caller in listener.incoming().flatten() {
            let mut host = TcpStream::connect(greet(&mut caller)).unwrap();
            counted.fetch_add(1, Relaxed);
            let (mut back, mut answers) = (caller.try_clone().unwrap(), host.try_clone().unwrap());
            thread::spawn(move || io::copy(&mut answers, &mut back));
            // Either side may end it.
            let _ = io::copy(&mut caller, &mut host);
        }
    });
    (at, through)
}

/// `CONNECT host:port HTTP/1.1`, and headers up to an empty line.
fn http(caller: &mut TcpStream) -> SocketAddr {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        caller.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    caller.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
    let head = String::from_utf8(head).unwrap();
    head.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// SOCKS 5 without a name and password, for an address of IPv4 or a name that is one.
fn socks(caller: &mut TcpStream) -> SocketAddr {
    let mut greeting = [0; 2];
    caller.read_exact(&mut greeting).unwrap();
    caller.read_exact(&mut vec![0; usize::from(greeting[1])]).unwrap();
    caller.write_all(&[5, 0]).unwrap();
    let mut request = [0; 4];
    caller.read_exact(&mut request).unwrap();
    let host = if request[3] == 1 {
        let mut ip = [0; 4];
        caller.read_exact(&mut ip).unwrap();
        std::net::Ipv4Addr::from(ip).to_string()
    } else {
        let mut len = [0];
        caller.read_exact(&mut len).unwrap();
        let mut name = vec![0; usize::from(len[0])];
        caller.read_exact(&mut name).unwrap();
        String::from_utf8(name).unwrap()
    };
    let mut port = [0; 2];
    caller.read_exact(&mut port).unwrap();
    caller.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).unwrap();
    format!("{host}:{}", u16::from_be_bytes(port)).parse().unwrap()
}

#[test]
fn a_host_whose_certificate_was_given_is_heard_and_another_is_not() {
    let host = Host::of_body(b"a bundle");
    assert_eq!(host.fetched("").unwrap(), b"a bundle");
    let error = host.fetched_with("[network]\nid = 99\n").unwrap_err();
    assert!(error.contains("certificate"), "{error}");
}

#[test]
fn a_proxy_is_used_whatever_it_speaks() {
    let host = Host::of_body(b"a bundle");
    for (scheme, greet) in [("http", http as fn(&mut TcpStream) -> SocketAddr), ("socks5", socks)] {
        let (at, through) = proxy(greet);
        let setting = format!("reseed_proxy = \"{scheme}://{at}\"");
        assert_eq!(host.fetched(&setting).unwrap(), b"a bundle", "{scheme}");
        assert!(through.load(Relaxed) > 0, "{scheme}");
    }
}

#[test]
fn a_host_that_sends_too_much_or_nothing_of_use_is_told_so() {
    let error = Host::of_body(&vec![0; MAX_FILE + 1]).fetched("").unwrap_err();
    assert!(error.contains("more than"), "{error}");
    let endless =
        b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".iter().copied().chain(std::iter::repeat_n(7, 2 * MAX_FILE));
    let error = Host::new(endless.collect()).fetched("").unwrap_err();
    assert!(error.contains("more than"), "{error}");
    let error = Host::new(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_vec()).fetched("").unwrap_err();
    assert!(error.contains("404"), "{error}");
    assert!(Host::new(b"no HTTP at all".to_vec()).fetched("").is_err());
    let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf of it".to_vec();
    assert!(Host::new(cut).fetched("").is_err());
    // To a place without HTTPS it does not go.
    let moved = b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1/\r\ncontent-length: 0\r\n\r\n".to_vec();
    assert!(Host::new(moved).fetched("").is_err());
}

#[test]
fn a_signer_makes_no_path() {
    assert_eq!(file_name("someone@mail.i2p"), "someone_at_mail.i2p");
    assert_eq!(file_name("../../etc/passwd"), ".._.._etc_passwd");
}

#[test]
fn what_is_kept_is_there_again() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new(&Settings::default(), Vec::new(), folder.path().join("kept")).unwrap();
    assert!(world.kept().is_empty());
    world.keep("a@mail.i2p", b"one");
    world.keep("a@mail.i2p", b"two");
    world.keep("b@mail.i2p", b"three");
    let mut kept = world.kept();
    kept.sort();
    assert_eq!(kept, [b"three".to_vec(), b"two".to_vec()]);
}

#[test]
fn a_proxy_that_is_none_says_what_to_write() {
    let settings = |proxy: &str| Settings::parse(&format!("[network]\nreseed_proxy = {proxy:?}\n")).unwrap();
    for good in ["", "socks5://127.0.0.1:9050", "http://user:pass@proxy.example:3128"] {
        assert!(Client::new(&settings(good)).is_ok(), "{good}");
    }
    let error = Client::new(&settings("ftp://x")).err().unwrap().to_string();
    assert!(error.contains("network.reseed_proxy") && error.contains("socks5://"), "{error}");
}
