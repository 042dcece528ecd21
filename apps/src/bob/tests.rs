use super::*;
use crate::sam::tests::Net;
use ramson_protocol::base64;
use ramson_protocol::data::private_keys::PrivateKeys;
use std::net::SocketAddr;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

struct Bench {
    addr: SocketAddr,
    server: Arc<Server<Net>>,
    _folder: TempDir,
}

impl Bench {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let names = Names::new(folder.path().join("names.redb"));
        let server = Server::new(Net::default(), names, Wanted::new(2, 2));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        tokio::spawn(Arc::clone(&server).serve(listener));
        Self { addr, server, _folder: folder }
    }

    async fn program(&self) -> Program {
        let mut program = Program(BufReader::new(TcpStream::connect(self.addr).await.unwrap()));
        assert_eq!((program.line().await, program.line().await), ("BOB 00.00.10".to_owned(), "OK".to_owned()));
        program
    }
}

struct Program(BufReader<TcpStream>);

impl Program {
    async fn line(&mut self) -> String {
        let mut line = String::new();
        let _ = self.0.read_line(&mut line).await;
        line.trim_end_matches('\n').to_owned()
    }

    async fn ask(&mut self, line: &str) -> String {
        self.0.write_all(format!("{line}\r\n").as_bytes()).await.unwrap();
        self.line().await
    }

    /// Says these, all of which are done.
    async fn tell(&mut self, lines: &[&str]) -> String {
        let mut last = String::new();
        for line in lines {
            last = self.ask(line).await;
            assert!(last.starts_with("OK"), "{line}: {last}");
        }
        last.trim_start_matches("OK ").to_owned()
    }
}

/// A port that nobody has.
async fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn a_program_reaches_another_by_its_destination_and_says_or_does_not_say_who_it_is() {
    let bench = Bench::new().await;
    let behind = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let out_port = format!("outport {}", behind.local_addr().unwrap().port());
    for quiet in [false, true] {
        let (mouth_name, ear_name) = (format!("setnick mouth{quiet}"), format!("setnick ear{quiet}"));
        let mut mouth = bench.program().await;
        let to = mouth.tell(&[&mouth_name, "newkeys"]).await;
        if quiet {
            mouth.tell(&["quiet"]).await;
        }
        mouth.tell(&["outhost 127.0.0.1", &out_port, "start"]).await;
        let (mut ear, port) = (bench.program().await, free_port().await);
        let from = ear.tell(&[&ear_name, "newkeys"]).await;
        ear.tell(&["inhost 127.0.0.1", &format!("inport {port}"), "start", "quit"]).await;

        let mut caller = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        caller.write_all(format!("{to}\r\nhello\n").as_bytes()).await.unwrap();
        let (served, _) = behind.accept().await.unwrap();
        let mut served = BufReader::new(served);
        let mut line = String::new();
        if !quiet {
            served.read_line(&mut line).await.unwrap();
            assert_eq!(line.trim_end(), from);
            line.clear();
        }
        served.read_line(&mut line).await.unwrap();
        assert_eq!(line, "hello\n");
        served.write_all(b"back").await.unwrap();
        let mut back = [0; 4];
        caller.read_exact(&mut back).await.unwrap();
        assert_eq!(&back, b"back");
    }
}

#[tokio::test]
async fn a_tunnel_lives_on_without_its_socket_and_is_taken_up_stopped_and_cleared() {
    let bench = Bench::new().await;
    let (mut first, port) = (bench.program().await, free_port().await);
    let key = first.tell(&["setnick one", "newkeys"]).await;
    first.tell(&[&format!("inport {port}"), "start"]).await;
    assert_eq!(first.ask("start").await, "ERROR tunnel is active");
    drop(first);

    let mut second = bench.program().await;
    assert_eq!(second.ask("setnick one").await, "ERROR tunnel is active");
    assert_eq!(second.ask("getnick two").await, "ERROR no nickname has been set");
    assert_eq!(second.tell(&["getnick one", "getdest"]).await, key);
    let line = second.ask("list").await;
    assert!(line.starts_with("DATA NICKNAME: one STARTING: false RUNNING: true"), "{line}");
    assert_eq!(second.line().await, "OK Listing done");
    assert_eq!(second.ask("status one").await, format!("OK {line}"));
    assert_eq!(second.ask("stop").await, "OK Tunnel stopping");
    assert_eq!(second.ask("stop").await, "ERROR tunnel is inactive");
    second.tell(&["start", "stop", "start", "clear"]).await;
    assert_eq!(second.ask("status one").await, "ERROR no nickname has been set");
    assert!(bench.server.started.lock().is_empty());
    assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err());
    assert_eq!(second.ask("quit").await, "OK Bye!");
    assert_eq!(second.line().await, "");
}

#[tokio::test]
async fn no_line_of_a_web_page_is_read() {
    let bench = Bench::new().await;
    let mut page = bench.program().await;
    let post = "POST /x HTTP/1.1\r\nHost: localhost\r\n\r\nsetnick page\nnewkeys\ninhost 127.0.0.1\ninport 0\nstart\n";
    page.0.write_all(post.as_bytes()).await.unwrap();
    assert_eq!(page.line().await, "");
    assert!(bench.server.started.lock().is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_is_closed_and_who_has_spoken_may_think() {
    let bench = Bench::new().await;
    let mut silent = bench.program().await;
    let mut user = bench.program().await;
    user.tell(&["setnick thinking"]).await;
    assert_eq!(silent.line().await, "");
    tokio::time::sleep(std::time::Duration::from_secs(1800)).await;
    user.tell(&["getnick thinking"]).await;
}

#[tokio::test]
async fn names_are_looked_up_and_mistakes_answered() {
    let bench = Bench::new().await;
    let mut program = bench.program().await;
    let key = program.tell(&["setnick one", "newkeys"]).await;
    let unknown = base64::encode(PrivateKeys::generate([1; 32], &[1; 32]).destination.as_bytes());
    for (line, answer) in [
        ("", "ERROR unknown command"),
        ("nonsense", "ERROR unknown command"),
        ("setnick", "ERROR no nickname has been set"),
        ("start", "ERROR (inhost):inport or outhost:outport must be set."),
        ("stop", "ERROR tunnel is inactive"),
        ("lookup", "ERROR empty lookup address"),
        ("lookup nobody.i2p", "ERROR Address Not found"),
        ("ping", "ERROR empty ping address"),
        (&format!("lookup {unknown}"), &format!("OK {unknown}")),
        (&format!("lookup {}.b32.i2p", "a".repeat(52)), "ERROR LeaseSet Not found"),
        (&format!("ping {unknown}"), "ERROR LeaseSet Not found"),
    ] {
        assert_eq!(program.ask(line).await, answer, "{line}");
    }
    program.tell(&["outhost 127.0.0.1", "outport 9", "start"]).await;
    let mut other = bench.program().await;
    let pong = other.ask(&format!("ping {key}")).await;
    assert!(pong.starts_with("OK pong from ") && pong.ends_with(" ms"), "{pong}");
    other.0.write_all(&[b'x'; 20_000]).await.unwrap();
    assert_eq!(other.line().await, "", "a line without end is none");
    program.0.write_all(b"zap\n").await.unwrap();
    assert_eq!(program.line().await, "");
}
