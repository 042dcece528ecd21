//! The proxy between programs and destinations that the test plays.

use super::*;
use crate::names::HostName;
use crate::names::book::Shelf;
use crate::names::entry::tests::key;
use ramson_protocol::time::Wall;
use std::net::SocketAddr;
use tokio::io::{DuplexStream, duplex};

/// Destination 1 answers with what it hears; the others do what their numbers say.
#[derive(Clone)]
struct Sites;

impl Network for Sites {
    type Stream = DuplexStream;

    async fn connect(&self, to: Target, port: u16) -> Result<DuplexStream, ConnectError> {
        let Target::Hash(hash) = to else { return Err(ConnectError::Encrypted) };
        let which = (1..9).find(|n| key(*n).1.hash() == hash).ok_or(ConnectError::NotFound)?;
        match which {
            2 => return Err(ConnectError::Refused),
            3 => std::future::pending().await,
            4 => return Err(ConnectError::NoTunnels),
            _ => {}
        }
        let (ours, mut theirs) = duplex(64 * 1024);
        tokio::spawn(async move {
            theirs.write_all(format!("{port}:").as_bytes()).await?;
            let (mut read, mut write) = tokio::io::split(&mut theirs);
            tokio::io::copy(&mut read, &mut write).await
        });
        Ok(ours)
    }

    async fn connected(_: &DuplexStream) -> Result<(), ConnectError> {
        Ok(())
    }

    async fn carry(mut program: TcpStream, early: Vec<u8>, mut stream: DuplexStream) -> io::Result<()> {
        stream.write_all(&early).await?;
        tokio::io::copy_bidirectional(&mut program, &mut stream).await.map(|_| ())
    }
}

struct Rig {
    at: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Rig {
    async fn new(patience: Duration) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let names = Names::new(folder.path().join("names.redb"));
        for (name, n) in [("site.i2p", 1), ("refuses.i2p", 2), ("silent.i2p", 3), ("early.i2p", 4), ("gone.i2p", 99)] {
            let name = HostName::parse(name).unwrap();
            names.book().unwrap().add(Shelf::User, &name, key(n).1, false, Wall(1)).unwrap();
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        tokio::spawn(Arc::new(Proxy::new(Sites, names, patience)).serve(listener));
        Self { at, _folder: folder }
    }

    /// Sends bytes, closes that direction, and reads all that comes.
    async fn talk(&self, bytes: &[u8]) -> Vec<u8> {
        let mut program = TcpStream::connect(self.at).await.unwrap();
        program.write_all(bytes).await.unwrap();
        program.shutdown().await.unwrap();
        let mut all = Vec::new();
        // A refusal may meet bytes that nobody reads any more.
        let _ = program.read_to_end(&mut all).await;
        all
    }

    async fn five(&self, name: &str, early: &[u8]) -> Vec<u8> {
        let head = [5, 1, 0, 5, 1, 0, 3, u8::try_from(name.len()).unwrap()];
        self.talk(&[&head[..], name.as_bytes(), &[0, 22], early].concat()).await
    }
}

#[tokio::test]
async fn bytes_go_both_ways_by_name_and_by_address_in_either_protocol() {
    let rig = Rig::new(Duration::from_secs(60)).await;
    let granted = [5, 0, 5, 0, 0, 1, 127, 0, 0, 1, 0, 1];
    for name in ["site.i2p".to_owned(), "SITE.i2p.".to_owned(), key(1).1.hash().to_b32()] {
        assert_eq!(rig.five(&name, b"hello").await, [&granted[..], b"22:hello"].concat(), "{name}");
    }
    let four = rig.talk(b"\x04\x01\x00\x16\x00\x00\x00\x07\x00site.i2p\x00hello").await;
    assert_eq!(four, [&[0, 90, 0, 1, 127, 0, 0, 1][..], b"22:hello"].concat());
}

#[tokio::test]
async fn each_failure_is_told_by_its_reply() {
    let rig = Rig::new(Duration::from_secs(60)).await;
    for (name, reply) in [
        ("example.com", 2),
        ("localhost", 2),
        ("10.0.0.1", 8),
        ("nobody.i2p", 4),
        ("aaaa.b32.i2p", 4),
        ("gone.i2p", 4),
        ("refuses.i2p", 5),
        ("early.i2p", 3),
    ] {
        let answer = rig.five(name, b"").await;
        assert_eq!(answer, [5, 0, 5, reply, 0, 1, 127, 0, 0, 1, 0, 1], "{name}");
    }
    let impatient = Rig::new(Duration::ZERO).await;
    assert_eq!(impatient.five("silent.i2p", b"").await.get(3), Some(&6));
}

#[tokio::test]
async fn a_web_page_that_posts_to_the_port_reaches_nobody() {
    let rig = Rig::new(Duration::from_secs(60)).await;
    assert_eq!(rig.talk(b"POST / HTTP/1.1\r\nHost: 127.0.0.1:4447\r\n\r\n").await, []);
}
