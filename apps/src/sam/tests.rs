use super::endpoint::{Caller, Endpoint, Opener, Wish};
use super::*;
use crate::names::HostName;
use crate::names::book::Shelf;
use crate::network::ConnectError;
use parking_lot::Mutex;
use ramson_actors::destination::{FindError, Options};
use ramson_protocol::b32::B32;
use ramson_protocol::base64;
use ramson_protocol::blinding::{ClientKey, OpenError, Readers};
use ramson_protocol::data::entry::Entry;
use ramson_protocol::data::keys_and_cert::Destination;
use ramson_protocol::data::lease::Lease;
use ramson_protocol::data::lease_set2::LeaseSet2Builder;
use ramson_protocol::data::private_keys::PrivateKeys;
use ramson_protocol::datagram::{Claimed, Signed};
use ramson_protocol::destination::datagrams::Datagram;
use ramson_protocol::id::{DestinationHash, RouterHash, TunnelId};
use ramson_protocol::streaming::streams::Ports;
use ramson_protocol::time::Wall;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{
    AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, DuplexStream, ReadBuf, duplex,
};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{mpsc, watch};

mod bad_input;
mod options;

/// Destinations that reach one another in memory.
#[derive(Clone, Default)]
pub(crate) struct Net(Arc<Mutex<HashMap<DestinationHash, Known>>>);

struct Known {
    keys: PrivateKeys,
    options: Options,
    callers: mpsc::Sender<Caller<Wire>>,
    datagrams: mpsc::Sender<Datagram>,
}

/// A stream; without a pipe to nobody.
pub(crate) struct Wire {
    pipe: Option<DuplexStream>,
    over: watch::Receiver<bool>,
}

pub(crate) struct End {
    net: Net,
    destination: Destination,
    client_key: Option<ClientKey>,
    callers: tokio::sync::Mutex<mpsc::Receiver<Caller<Wire>>>,
    datagrams: tokio::sync::Mutex<mpsc::Receiver<Datagram>>,
    over: watch::Sender<bool>,
}

impl Opener for Net {
    type Endpoint = End;

    async fn open(&self, wish: Wish) -> Option<End> {
        let destination = wish.keys.destination.clone();
        let (callers, called) = mpsc::channel(64);
        let (datagrams, received) = mpsc::channel(64);
        let client_key = wish.options.client_key.clone();
        let known = Known { keys: wish.keys, options: wish.options, callers, datagrams };
        if wish.published {
            self.0.lock().insert(destination.hash(), known);
        }
        let (callers, datagrams) = (tokio::sync::Mutex::new(called), tokio::sync::Mutex::new(received));
        Some(End { net: self.clone(), destination, client_key, callers, datagrams, over: watch::channel(false).0 })
    }
}

impl Endpoint for End {
    type Stream = Wire;

    fn is_ready(&self) -> bool {
        true
    }

    fn end(&self) {
        self.net.0.lock().remove(&self.destination.hash());
        self.over.send_replace(true);
    }

    fn connect(&self, to: DestinationHash, ports: Ports) -> Option<Wire> {
        let over = self.over.subscribe();
        let net = self.net.0.lock();
        let Some(known) = net.get(&to) else { return Some(Wire { pipe: None, over }) };
        let (ours, theirs) = duplex(100_000);
        let stream = Wire { pipe: Some(theirs), over: watch::channel(false).1 };
        let ports = ports.turned();
        let called = known.callers.try_send(Caller { stream, from: self.destination.clone(), ports }).is_ok();
        Some(Wire { pipe: called.then_some(ours), over })
    }

    async fn connected(stream: &Wire) -> Result<(), ConnectError> {
        if stream.pipe.is_some() { Ok(()) } else { Err(ConnectError::NotFound) }
    }

    async fn accept(&self) -> Option<Caller<Wire>> {
        self.callers.lock().await.recv().await
    }

    fn send(&self, datagram: Datagram) -> bool {
        let to = datagram.peer.unwrap();
        let came = Datagram { peer: Some(self.destination.hash()), ..datagram };
        self.net.0.lock().get(&to).is_some_and(|known| known.datagrams.try_send(came).is_ok())
    }

    async fn receive(&self) -> Option<Datagram> {
        self.datagrams.lock().await.recv().await
    }

    async fn find(&self, whom: B32) -> Result<Entry, FindError> {
        let net = self.net.0.lock();
        let is = |known: &&Known| match &whom {
            B32::Hash(hash) => known.keys.destination.hash() == *hash,
            B32::Blinded(address) => known.keys.destination.signing_key().is_some_and(|key| *key == address.key),
        };
        let known = net.values().find(is).ok_or(FindError::NotFound)?;
        if known.options.encrypted.as_ref().is_some_and(Readers::need_keys) && self.client_key.is_none() {
            return Err(FindError::Unreadable(OpenError::KeyNeeded));
        }
        let end = Wall::from_secs(600);
        let builder = LeaseSet2Builder {
            options: known.options.records.clone(),
            leases: vec![Lease { gateway: RouterHash([1; 32]), tunnel: TunnelId(1), end }],
            ..LeaseSet2Builder::default()
        };
        Ok(builder.sign(&known.keys.destination, &known.keys.key, None, Wall::from_secs(1)).unwrap().into())
    }

    async fn carry(mut program: TcpStream, early: Vec<u8>, mut stream: Wire) -> io::Result<()> {
        stream.write_all(&early).await?;
        let mut over = stream.over.clone();
        tokio::select! {
            done = tokio::io::copy_bidirectional(&mut program, &mut stream) => done.map(|_| ()),
            Ok(_) = over.wait_for(|over| *over) => Ok(()),
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.pipe {
            Some(pipe) => Pin::new(pipe).poll_read(cx, buffer),
            None => Poll::Ready(Err(io::ErrorKind::HostUnreachable.into())),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.pipe {
            Some(pipe) => Pin::new(pipe).poll_write(cx, bytes),
            None => Poll::Ready(Ok(bytes.len())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.pipe {
            Some(pipe) => Pin::new(pipe).poll_shutdown(cx),
            None => Poll::Ready(Ok(())),
        }
    }
}

/// A server, and programs that speak with it.
struct Bench {
    addr: SocketAddr,
    udp: SocketAddr,
    server: Arc<Server<Net>>,
    book: PrivateKeys,
    _folder: TempDir,
}

impl Bench {
    async fn new() -> Self {
        Self::with(Users::default()).await
    }

    async fn with(users: Users) -> Self {
        let book = PrivateKeys::generate([9; 32], &[9; 32]);
        let folder = tempfile::tempdir().unwrap();
        let names = Names::new(folder.path().join("names.redb"));
        let name = HostName::parse("site.i2p").unwrap();
        names.book().unwrap().add(Shelf::User, &name, book.destination.clone(), false, Wall(1)).unwrap();
        let keys = Some(folder.path().join("keys"));
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let udp_addr = udp.local_addr().unwrap();
        let server =
            Server::new(Net::default(), Config { names, tunnels: Wanted::new(2, 2), udp: Some(udp), users, keys });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        tokio::spawn(Arc::clone(&server).serve(vec![Door::Tcp(listener)]));
        Self { addr, udp: udp_addr, server, book, _folder: folder }
    }

    async fn raw(&self) -> Program {
        Program(BufReader::new(TcpStream::connect(self.addr).await.unwrap()))
    }

    async fn program(&self) -> Program {
        self.version("3.3").await
    }

    async fn version(&self, version: &str) -> Program {
        let mut program = self.raw().await;
        let hello = program.ask(&format!("HELLO VERSION MIN=3.0 MAX={version}")).await;
        assert_eq!(hello, format!("HELLO REPLY RESULT=OK VERSION={version}"));
        program
    }

    /// A program with a session of streams, and its destination.
    async fn session(&self, id: &str, options: &str) -> (Program, String) {
        self.styled("STREAM", id, options).await
    }

    async fn styled(&self, style: &str, id: &str, options: &str) -> (Program, String) {
        let mut program = self.program().await;
        let line = format!("SESSION CREATE STYLE={style} ID={id} DESTINATION=TRANSIENT SIGNATURE_TYPE=7 {options}");
        let reply = program.ask(&line).await;
        assert!(reply.starts_with("SESSION STATUS RESULT=OK DESTINATION="), "{reply}");
        let me = program.ask("NAMING LOOKUP NAME=ME").await;
        (program, me.strip_prefix("NAMING REPLY RESULT=OK NAME=ME VALUE=").unwrap().to_owned())
    }

    /// Two sessions, `a` and `b`, and the destination of each.
    async fn pair(&self) -> [(Program, String); 2] {
        [self.session("a", "").await, self.session("b", "").await]
    }
}

struct Program(BufReader<TcpStream>);

impl Program {
    async fn tell(&mut self, line: &str) {
        self.0.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    async fn ask(&mut self, line: &str) -> String {
        self.tell(line).await;
        self.line().await
    }

    /// The next line, empty at the end.
    async fn line(&mut self) -> String {
        let mut line = String::new();
        // A socket that breaks has ended as well.
        let _ = self.0.read_line(&mut line).await;
        line.trim_end_matches('\n').to_owned()
    }

    async fn write(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    /// What came of a numbered stream: its number and its bytes.
    async fn piece(&mut self) -> (String, Vec<u8>) {
        let line = self.line().await;
        let (id, size) = line.strip_prefix("STREAM RECEIVED ID=").unwrap_or(&line).split_once(" SIZE=").unwrap();
        let mut bytes = vec![0; size.parse().unwrap()];
        self.0.read_exact(&mut bytes).await.unwrap();
        (id.to_owned(), bytes)
    }

    async fn expect(&mut self, bytes: &[u8]) {
        let mut got = vec![0; bytes.len()];
        self.0.read_exact(&mut got).await.unwrap();
        assert_eq!(got, bytes);
    }
}

#[tokio::test]
async fn whoever_does_not_begin_with_hello_is_told_nothing() {
    let bench = Bench::new().await;
    for line in
        ["POST / HTTP/1.1\r\n\r\nHELLO VERSION", "SESSION CREATE", "", "NAMING LOOKUP NAME=ME", &"x".repeat(9000)]
    {
        let mut program = bench.raw().await;
        assert_eq!(program.ask(line).await, "", "{line}");
    }
    let mut old = bench.raw().await;
    assert_eq!(old.ask("HELLO VERSION MIN=0.1 MAX=0.9").await, "HELLO REPLY RESULT=NOVERSION");
    assert_eq!(old.line().await, "");
}

#[tokio::test(start_paused = true)]
async fn where_there_are_users_nobody_else_has_a_word() {
    let bench = Bench::with(Users::new([("me", "secret word")])).await;
    let mut me = bench.raw().await;
    assert_eq!(me.ask("HELLO VERSION USER=me PASSWORD=\"secret word\"").await, "HELLO REPLY RESULT=OK VERSION=3.3");
    for wrong in ["", "USER=me", "USER=me PASSWORD=secret", "USER=you PASSWORD=\"secret word\""] {
        let mut other = bench.raw().await;
        let reply = other.ask(&format!("HELLO VERSION {wrong}")).await;
        assert!(reply.starts_with("HELLO REPLY RESULT=I2P_ERROR MESSAGE="), "{wrong}: {reply}");
        assert_eq!(other.ask("DEST GENERATE").await, "");
    }
    assert_eq!(me.ask("AUTH ADD USER=you PASSWORD=x").await, "AUTH STATUS RESULT=OK");
    assert_eq!(me.ask("AUTH REMOVE USER=me").await, "AUTH STATUS RESULT=OK");
    for wrong in ["REMOVE USER=you", "REMOVE USER=me", "ADD USER=you PASSWORD=y", "ADD USER=z", "NONSENSE"] {
        let reply = me.ask(&format!("AUTH {wrong}")).await;
        assert!(reply.starts_with("AUTH STATUS RESULT=I2P_ERROR MESSAGE="), "{wrong}: {reply}");
    }
    let mut you = bench.raw().await;
    assert_eq!(you.ask("HELLO VERSION USER=you PASSWORD=x").await, "HELLO REPLY RESULT=OK VERSION=3.3");
    assert_eq!(you.ask("AUTH DISABLE").await, "AUTH STATUS RESULT=OK");
    bench.program().await;
}

#[tokio::test]
async fn programs_of_version_1_have_all_streams_on_one_socket() {
    let bench = Bench::new().await;
    let (mut caller, mut taker) = (bench.raw().await, bench.raw().await);
    for (program, name, direction) in [(&mut caller, "TRANSIENT", "CREATE"), (&mut taker, "kept", "RECEIVE")] {
        assert_eq!(program.ask("HELLO VERSION MIN=1.0 MAX=1.0").await, "HELLO REPLY RESULT=OK VERSION=1.0");
        let create = format!("SESSION CREATE STYLE=STREAM DESTINATION={name} DIRECTION={direction}");
        assert_eq!(program.ask(&create).await, format!("SESSION STATUS RESULT=OK DESTINATION={name}"));
    }
    let me = taker.ask("NAMING LOOKUP NAME=ME").await;
    let address = me.strip_prefix("NAMING REPLY RESULT=OK NAME=ME VALUE=").unwrap();
    for id in [1, 7] {
        let connect = format!("STREAM CONNECT ID={id} DESTINATION={address}");
        assert_eq!(caller.ask(&connect).await, format!("STREAM STATUS RESULT=OK ID={id}"));
    }
    for id in ["-1", "-2"] {
        let connected = taker.line().await;
        assert!(connected.starts_with("STREAM CONNECTED DESTINATION=") && connected.ends_with(&format!(" ID={id}")));
    }
    caller.write(b"STREAM SEND ID=7 SIZE=5\nhe\nloSTREAM SEND ID=1 SIZE=2\nab").await;
    let mut came = [taker.piece().await, taker.piece().await];
    came.sort();
    assert_eq!(came, [("-1".to_owned(), b"ab".to_vec()), ("-2".to_owned(), b"he\nlo".to_vec())]);
    taker.write(b"STREAM SEND ID=-1 SIZE=3\nxyzSTREAM CLOSE ID=-1\n").await;
    assert_eq!(caller.piece().await, ("1".to_owned(), b"xyz".to_vec()));
    assert_eq!(caller.line().await, "STREAM CLOSED RESULT=OK ID=1");
    for (wrong, outcome) in
        [("ID=7", "I2P_ERROR"), ("ID=0", "I2P_ERROR"), ("ID=-5", "I2P_ERROR"), ("ID=9", "INVALID_KEY")]
    {
        let to = if outcome == "INVALID_KEY" { "AAAA" } else { address };
        let reply = caller.ask(&format!("STREAM CONNECT {wrong} DESTINATION={to}")).await;
        assert!(reply.starts_with(&format!("STREAM STATUS RESULT={outcome} {wrong} MESSAGE=")), "{reply}");
    }
    let refused = taker.ask(&format!("STREAM CONNECT ID=1 DESTINATION={address}")).await;
    assert!(refused.starts_with("STREAM STATUS RESULT=I2P_ERROR"), "{refused}");
    // The name has the same keys again, and its destination is nobody's when the socket is gone.
    assert_eq!(caller.ask("STREAM SEND ID=7 SIZE=99999").await, "");
    drop(taker);
    while bench.server.sessions.len() > 0 {
        tokio::task::yield_now().await;
    }
    let mut again = bench.raw().await;
    again.ask("HELLO VERSION MIN=1 MAX=2.0").await;
    again.ask("SESSION CREATE STYLE=STREAM DESTINATION=kept").await;
    assert_eq!(again.ask("NAMING LOOKUP NAME=ME").await, me);
}

#[tokio::test]
async fn programs_of_version_2_say_how_much_may_come_and_hear_when_a_buffer_is_full() {
    let bench = Bench::new().await;
    let (mut caller, mut taker) = (bench.raw().await, bench.raw().await);
    for program in [&mut caller, &mut taker] {
        assert_eq!(program.ask("HELLO VERSION MIN=1.0 MAX=2.0").await, "HELLO REPLY RESULT=OK VERSION=2.0");
        program.ask("SESSION CREATE STYLE=STREAM DESTINATION=TRANSIENT").await;
    }
    let me = taker.ask("NAMING LOOKUP NAME=ME").await;
    let address = me.strip_prefix("NAMING REPLY RESULT=OK NAME=ME VALUE=").unwrap();
    caller.ask(&format!("STREAM CONNECT ID=1 DESTINATION={address}")).await;
    taker.line().await;
    let piece = [b"STREAM SEND ID=1 SIZE=30000\n".to_vec(), vec![7; 30_000]].concat();
    let mut sent = 0;
    loop {
        caller.write(&piece).await;
        let reply = caller.line().await;
        sent += usize::from(reply.contains("RESULT=OK"));
        if reply.contains("STATE=BUFFER_FULL") {
            break;
        }
        assert_eq!(reply, "STREAM SEND ID=1 RESULT=OK STATE=READY");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    taker.write(b"STREAM RECEIVE ID=-1 LIMIT=100\n").await;
    assert_eq!(taker.piece().await, ("-1".to_owned(), vec![7; 100]));
    taker.write(b"STREAM RECEIVE ID=-1 LIMIT=NONE\n").await;
    let mut got = 100;
    while got < sent * 30_000 {
        got += taker.piece().await.1.len();
    }
    assert_eq!(got, sent * 30_000);
    assert_eq!(caller.line().await, "STREAM READY_TO_SEND ID=1");
    assert_eq!(caller.ask("STREAM SEND ID=5 SIZE=1\nx").await, "STREAM SEND ID=5 RESULT=FAILED STATE=READY");
}

#[tokio::test]
async fn a_stream_is_accepted_with_who_called_and_carries_bytes_both_ways() {
    let bench = Bench::new().await;
    let [_a, (_b, to)] = bench.pair().await;
    let mut acceptor = bench.program().await;
    assert_eq!(acceptor.ask("STREAM ACCEPT ID=b").await, "STREAM STATUS RESULT=OK");
    let mut caller = bench.program().await;
    caller.tell(&format!("STREAM CONNECT ID=a DESTINATION={to} FROM_PORT=7 TO_PORT=8\nearly ")).await;
    assert_eq!(caller.line().await, "STREAM STATUS RESULT=OK");
    let line = acceptor.line().await;
    let (from, ports) = line.split_once(' ').unwrap();
    assert_eq!(ports, "FROM_PORT=7 TO_PORT=8");
    assert_eq!(
        bench.server.sessions.get("a").unwrap().home.keys.destination.as_bytes(),
        &base64::decode(from).unwrap()
    );
    caller.tell("and late").await;
    acceptor.expect(b"early \nand late\n").await;
    acceptor.tell("answer").await;
    caller.expect(b"answer\n").await;
    drop(acceptor);
    assert_eq!(caller.line().await, "", "the end comes across");
}

#[tokio::test]
async fn old_programs_are_told_no_ports() {
    let bench = Bench::new().await;
    let [_a, (_b, to)] = bench.pair().await;
    let mut acceptor = bench.version("3.1").await;
    acceptor.ask("STREAM ACCEPT ID=b").await;
    bench.program().await.ask(&format!("STREAM CONNECT ID=a DESTINATION={to}")).await;
    let line = acceptor.line().await;
    assert!(base64::decode(&line).is_some(), "{line}");
}

#[tokio::test]
async fn many_wait_at_once_and_each_gets_one_stream() {
    let bench = Bench::new().await;
    let [_a, (_b, to)] = bench.pair().await;
    let mut acceptors = Vec::new();
    for _ in 0..20 {
        let mut acceptor = bench.program().await;
        assert_eq!(acceptor.ask("STREAM ACCEPT ID=b SILENT=false").await, "STREAM STATUS RESULT=OK");
        acceptors.push(acceptor);
    }
    // Whose socket is gone gets none.
    acceptors.remove(0);
    let mut callers = Vec::new();
    for n in 0..acceptors.len() {
        let mut caller = bench.program().await;
        assert_eq!(caller.ask(&format!("STREAM CONNECT ID=a DESTINATION={to}")).await, "STREAM STATUS RESULT=OK");
        caller.tell(&format!("{n}")).await;
        callers.push(caller);
    }
    for acceptor in &mut acceptors {
        acceptor.line().await;
        acceptor.line().await.parse::<usize>().unwrap();
    }
}

#[tokio::test]
async fn a_silent_socket_has_nothing_but_bytes() {
    let bench = Bench::new().await;
    let [_a, (_b, to)] = bench.pair().await;
    let (mut acceptor, mut caller) = (bench.program().await, bench.program().await);
    acceptor.tell("STREAM ACCEPT ID=b SILENT=true").await;
    caller.tell(&format!("STREAM CONNECT ID=a SILENT=true DESTINATION={to}")).await;
    caller.tell("question").await;
    acceptor.expect(b"question\n").await;
    acceptor.tell("answer").await;
    caller.expect(b"answer\n").await;
    let mut refused = bench.program().await;
    assert_eq!(refused.ask("STREAM CONNECT ID=nobody SILENT=true DESTINATION=x").await, "");
}

#[tokio::test]
async fn a_stream_that_comes_before_its_acceptor_waits_for_it() {
    let bench = Bench::new().await;
    let [_a, (_b, to)] = bench.pair().await;
    let mut caller = bench.program().await;
    caller.ask(&format!("STREAM CONNECT ID=a DESTINATION={to}")).await;
    caller.tell("early").await;
    let mut acceptor = bench.program().await;
    assert_eq!(acceptor.ask("STREAM ACCEPT ID=b").await, "STREAM STATUS RESULT=OK");
    acceptor.line().await;
    assert_eq!(acceptor.line().await, "early");
}

#[tokio::test]
async fn streams_are_forwarded_to_a_server_while_its_socket_is_open() {
    let bench = Bench::new().await;
    let [_a, (_b, to)] = bench.pair().await;
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = server.local_addr().unwrap().port();
    let mut forward = bench.program().await;
    assert_eq!(forward.ask(&format!("STREAM FORWARD ID=b PORT={port}")).await, "STREAM STATUS RESULT=OK");
    let mut acceptor = bench.program().await;
    assert!(acceptor.ask("STREAM ACCEPT ID=b").await.starts_with("STREAM STATUS RESULT=I2P_ERROR"));
    let mut caller = bench.program().await;
    caller.ask(&format!("STREAM CONNECT ID=a DESTINATION={to}")).await;
    caller.tell("question").await;
    let mut served = Program(BufReader::new(server.accept().await.unwrap().0));
    assert!(served.line().await.ends_with(" FROM_PORT=0 TO_PORT=0"));
    assert_eq!(served.line().await, "question");
    assert_eq!(forward.ask("PING still there").await, "PONG still there");
    drop(forward);
    // The server hears of the end when its task next runs.
    let again = loop {
        let mut acceptor = bench.program().await;
        let reply = acceptor.ask("STREAM ACCEPT ID=b").await;
        if reply == "STREAM STATUS RESULT=OK" {
            break reply;
        }
    };
    assert_eq!(again, "STREAM STATUS RESULT=OK");
}

#[tokio::test]
async fn a_session_ends_with_its_socket_and_leaves_nothing_behind() {
    let bench = Bench::new().await;
    let [(a, _), (_b, to)] = bench.pair().await;
    let mut acceptor = bench.program().await;
    acceptor.ask("STREAM ACCEPT ID=b").await;
    let mut caller = bench.program().await;
    caller.ask(&format!("STREAM CONNECT ID=a DESTINATION={to}")).await;
    let mut waiting = bench.program().await;
    waiting.ask("STREAM ACCEPT ID=a").await;
    drop(a);
    assert_eq!(caller.line().await, "", "its streams break");
    assert!(waiting.line().await.starts_with("STREAM STATUS RESULT=I2P_ERROR"), "who waits hears of it");
    assert_eq!(waiting.line().await, "");
    assert_eq!((bench.server.sessions.len(), bench.server.opener.0.lock().len()), (1, 1));
    bench.session("a", "").await;
}

#[tokio::test]
async fn keys_come_back_and_no_id_or_destination_is_had_twice() {
    let bench = Bench::new().await;
    let mut first = bench.program().await;
    let made = first.ask("DEST GENERATE SIGNATURE_TYPE=EdDSA_SHA512_Ed25519").await;
    let (public, private) = made.strip_prefix("DEST REPLY PUB=").unwrap().split_once(" PRIV=").unwrap();
    let bare = private.trim_end_matches('=');
    let create = |id| format!("SESSION CREATE STYLE=STREAM ID={id} DESTINATION={bare}");
    assert_eq!(first.ask(&create("a")).await, format!("SESSION STATUS RESULT=OK DESTINATION={private}"));
    assert_eq!(first.ask("NAMING LOOKUP NAME=ME").await, format!("NAMING REPLY RESULT=OK NAME=ME VALUE={public}"));
    assert!(first.ask(&create("c")).await.starts_with("SESSION STATUS RESULT=I2P_ERROR"), "one session a socket");
    let mut second = bench.program().await;
    assert!(second.ask(&create("b")).await.starts_with("SESSION STATUS RESULT=DUPLICATED_DEST"));
    let same_id = "SESSION CREATE STYLE=STREAM ID=a DESTINATION=TRANSIENT";
    assert!(second.ask(same_id).await.starts_with("SESSION STATUS RESULT=DUPLICATED_ID"));
    assert_eq!(second.ask("QUIT").await, "");
}

#[tokio::test]
async fn names_are_those_of_the_book_of_the_network_and_of_themselves() {
    let bench = Bench::new().await;
    let (mut own, other) = bench.session("a", "").await;
    let b32 = bench.server.sessions.get("a").unwrap().home.keys.destination.hash().to_b32();
    let mut plain = bench.program().await;
    let site = base64::encode(bench.book.destination.as_bytes());
    for (name, value) in [("site.i2p", &site), ("SITE.i2p", &site), (&b32, &other), (&other, &other)] {
        let expected = format!("NAMING REPLY RESULT=OK NAME={name} VALUE={value}");
        assert_eq!(plain.ask(&format!("NAMING LOOKUP NAME={name}")).await, expected);
        assert_eq!(own.ask(&format!("NAMING LOOKUP NAME={name}")).await, expected);
    }
    let nobody = format!("{}.b32.i2p", "a".repeat(52));
    for (name, outcome) in [
        ("ME", "INVALID_KEY"),
        ("x.i2p", "KEY_NOT_FOUND"),
        (&nobody, "KEY_NOT_FOUND"),
        ("x", "INVALID_KEY"),
        ("", "INVALID_KEY"),
    ] {
        let reply = plain.ask(&format!("NAMING LOOKUP NAME={name}")).await;
        assert!(reply.starts_with(&format!("NAMING REPLY RESULT={outcome} ")), "{name}: {reply}");
    }
}

#[tokio::test]
async fn wrong_commands_are_answered_with_the_word_for_their_mistake() {
    let bench = Bench::new().await;
    let (mut own, to) = bench.session("a", "").await;
    for (line, answer) in [
        ("STREAM CONNECT ID=none DESTINATION=x", "STREAM STATUS RESULT=INVALID_ID"),
        ("STREAM CONNECT ID=a DESTINATION=x", "STREAM STATUS RESULT=INVALID_KEY"),
        ("STREAM CONNECT ID=a", "STREAM STATUS RESULT=INVALID_KEY"),
        (&format!("STREAM CONNECT ID=a DESTINATION={to}"), "STREAM STATUS RESULT=CANT_REACH_PEER"),
        (
            &format!("STREAM CONNECT ID=a DESTINATION={}.b32.i2p", "a".repeat(52)),
            "STREAM STATUS RESULT=CANT_REACH_PEER",
        ),
        (&format!("STREAM CONNECT ID=a DESTINATION={to} TO_PORT=x"), "STREAM STATUS RESULT=I2P_ERROR"),
        ("STREAM ACCEPT ID=none", "STREAM STATUS RESULT=INVALID_ID"),
        ("STREAM ACCEPT", "STREAM STATUS RESULT=INVALID_ID"),
        ("STREAM FORWARD ID=none PORT=1", "STREAM STATUS RESULT=INVALID_ID"),
        ("STREAM FORWARD ID=a", "STREAM STATUS RESULT=I2P_ERROR"),
        ("STREAM FORWARD ID=a PORT=1 HOST=example.com", "STREAM STATUS RESULT=I2P_ERROR"),
        ("SESSION CREATE STYLE=STREAM ID=b", "SESSION STATUS RESULT=INVALID_KEY"),
        ("SESSION CREATE STYLE=X ID=b DESTINATION=TRANSIENT", "SESSION STATUS RESULT=I2P_ERROR"),
        ("DEST GENERATE SIGNATURE_TYPE=0", "DEST REPLY RESULT=I2P_ERROR"),
        ("HELLO VERSION", "HELLO REPLY RESULT=I2P_ERROR"),
        ("NONSENSE", ""),
        ("STREAM NONSENSE ID=a", ""),
    ] {
        let mut program = bench.program().await;
        let reply = program.ask(line).await;
        assert!(reply.split(" MESSAGE=").next() == Some(answer), "{line}: {reply}");
    }
    // What is refused on the socket of a session does not end it.
    assert!(own.ask("STREAM ACCEPT ID=a").await.starts_with("STREAM STATUS RESULT=I2P_ERROR"));
    assert_eq!(own.ask("PING").await, "PONG");
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_is_told_so_and_closed_unless_he_has_a_session() {
    let bench = Bench::new().await;
    let mut mute = bench.raw().await;
    assert!(mute.line().await.starts_with("HELLO REPLY RESULT=I2P_ERROR"));
    assert_eq!(mute.line().await, "");
    let mut idle = bench.program().await;
    assert!(idle.line().await.starts_with("SESSION STATUS RESULT=I2P_ERROR"));
    let (mut own, _) = bench.session("a", "").await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(own.ask("PING").await, "PONG");
}

#[tokio::test]
async fn datagrams_of_each_kind_come_with_their_sender_on_the_socket_of_their_session() {
    let bench = Bench::new().await;
    for style in ["DATAGRAM", "DATAGRAM2", "DATAGRAM3"] {
        let (mut a, from) = bench.styled(style, "a", "FROM_PORT=7").await;
        let (mut b, to) = bench.styled(style, "b", "").await;
        a.tell(&format!("DATAGRAM SEND DESTINATION={to} SIZE=5 TO_PORT=8\nhello")).await;
        let hash = base64::encode(&bench.server.sessions.get("a").unwrap().home.keys.destination.hash().0);
        let from = if style == "DATAGRAM3" { hash } else { from };
        let head = format!("DATAGRAM RECEIVED DESTINATION={from} SIZE=5 FROM_PORT=7 TO_PORT=8");
        assert_eq!(b.line().await, head, "{style}");
        b.expect(b"hello").await;
        // What stands behind the datagram is a line again.
        assert_eq!(a.ask("PING").await, "PONG");
        drop((a, b));
        while bench.server.sessions.len() > 0 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn raw_datagrams_come_without_a_sender_and_with_their_protocol() {
    let bench = Bench::new().await;
    let (mut a, _) = bench.styled("RAW", "a", "PROTOCOL=99").await;
    let (mut b, to) = bench.styled("RAW", "b", "LISTEN_PROTOCOL=0").await;
    let (mut old, _) = bench.styled("RAW", "c", "").await;
    a.tell(&format!("RAW SEND DESTINATION={to} SIZE=2\nxyRAW SEND DESTINATION={to} SIZE=1 PROTOCOL=6\nz")).await;
    assert_eq!(b.line().await, "RAW RECEIVED SIZE=2 FROM_PORT=0 TO_PORT=0 PROTOCOL=99");
    b.expect(b"xy").await;
    assert_eq!(b.ask("PING").await, "PONG", "a protocol of others is not sent");
    assert_eq!(old.ask("RAW SEND DESTINATION=x SIZE=40000").await, "", "what is too long ends the socket");
}

#[tokio::test]
async fn datagrams_go_by_udp_both_ways() {
    let bench = Bench::new().await;
    let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = server.local_addr().unwrap().port();
    let (_a, from) = bench.styled("DATAGRAM", "a", "").await;
    let (_b, to) = bench.styled("DATAGRAM", "b", &format!("PORT={port}")).await;
    let (_c, raw) = bench.styled("RAW", "c", &format!("PORT={port} HOST=127.0.0.1 HEADER=true")).await;
    let (_d, _) = bench.styled("RAW", "d", "").await;
    let mut buffer = [0; 2000];
    for (line, answer) in [
        (format!("3.0 a {to} FROM_PORT=7 TO_PORT=8\nhello"), format!("{from} FROM_PORT=7 TO_PORT=8\nhello")),
        (format!("3.3 d {raw}\nraw"), "FROM_PORT=0 TO_PORT=0 PROTOCOL=18\nraw".to_owned()),
    ] {
        let program = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        program.send_to(b"nonsense", bench.udp).await.unwrap();
        program.send_to(line.as_bytes(), bench.udp).await.unwrap();
        let (len, from) = server.recv_from(&mut buffer).await.unwrap();
        assert_eq!((std::str::from_utf8(&buffer[..len]).unwrap(), from), (answer.as_str(), bench.udp));
    }
}

#[tokio::test]
async fn a_datagram_with_another_sender_than_it_says_is_lost() {
    let bench = Bench::new().await;
    let (mut b, to) = bench.styled("DATAGRAM", "b", "").await;
    let (mut c, third) = bench.styled("DATAGRAM3", "c", "").await;
    let end = bench.server.opener.open(Wish {
        keys: PrivateKeys::generate([1; 32], &[1; 32]),
        inbound: Wanted::new(1, 1),
        outbound: Wanted::new(1, 1),
        published: false,
        datagrams: true,
        options: Options::default(),
    });
    let forger = end.await.unwrap();
    let hash = |text: &str| Destination::from_bytes(base64::decode(text).unwrap().into()).unwrap().hash();
    let victim = bench.book.clone();
    let mut forged = Signed { from: victim.destination.clone(), payload: "x".into() }.to_bytes1(&victim.key);
    *forged.last_mut().unwrap() ^= 1;
    let claimed = Claimed { from: victim.destination.hash(), payload: "x".into() }.to_bytes();
    let signed = Signed { from: victim.destination.clone(), payload: "x".into() }.to_bytes1(&victim.key);
    for (to, protocol, content) in [(&to, 17, forged), (&to, 17, signed), (&third, 20, claimed)] {
        let datagram = Datagram { peer: Some(hash(to)), ports: Ports::default(), protocol, content: content.into() };
        assert!(forger.send(datagram));
    }
    tokio::task::yield_now().await;
    assert_eq!((b.ask("PING").await, c.ask("PING").await), ("PONG".to_owned(), "PONG".to_owned()));
}

#[tokio::test]
async fn parts_of_a_primary_session_share_a_destination_and_each_has_what_comes_for_its_port() {
    let bench = Bench::new().await;
    let (mut own, to) = bench.styled("PRIMARY", "p", "").await;
    let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = server.local_addr().unwrap().port();
    for (line, outcome) in [
        ("STYLE=STREAM ID=web FROM_PORT=80".to_owned(), "OK"),
        ("STYLE=STREAM ID=all".to_owned(), "OK"),
        (format!("STYLE=DATAGRAM ID=d PORT={port}"), "OK"),
        (format!("STYLE=RAW ID=r PORT={port} HEADER=true LISTEN_PROTOCOL=0"), "OK"),
        ("STYLE=STREAM ID=again FROM_PORT=80".to_owned(), "I2P_ERROR"),
        ("STYLE=STREAM ID=web FROM_PORT=81".to_owned(), "DUPLICATED_ID"),
        ("STYLE=PRIMARY ID=x".to_owned(), "I2P_ERROR"),
        ("STYLE=DATAGRAM ID=x LISTEN_PORT=9".to_owned(), "I2P_ERROR"),
        ("STYLE=STREAM ID=x LISTEN_PORT=0 FROM_PORT=1 DESTINATION=TRANSIENT".to_owned(), "I2P_ERROR"),
    ] {
        let reply = own.ask(&format!("SESSION ADD {line}")).await;
        assert!(reply.starts_with(&format!("SESSION STATUS RESULT={outcome} ")), "{line}: {reply}");
    }
    let (_b, _) = bench.session("b", "").await;
    for (port, id) in [(80, "web"), (7, "all")] {
        let mut acceptor = bench.program().await;
        assert_eq!(acceptor.ask(&format!("STREAM ACCEPT ID={id}")).await, "STREAM STATUS RESULT=OK");
        bench.program().await.ask(&format!("STREAM CONNECT ID=b DESTINATION={to} TO_PORT={port}")).await;
        assert!(acceptor.line().await.ends_with(&format!("TO_PORT={port}")));
    }
    let (mut sender, from) = bench.styled("DATAGRAM", "s", "").await;
    let (mut raw, _) = bench.styled("RAW", "t", "PROTOCOL=77").await;
    sender.tell(&format!("DATAGRAM SEND DESTINATION={to} SIZE=1\nx")).await;
    let mut buffer = [0; 2000];
    let len = server.recv(&mut buffer).await.unwrap();
    assert_eq!(buffer[..len], format!("{from} FROM_PORT=0 TO_PORT=0\nx").into_bytes());
    raw.tell(&format!("RAW SEND DESTINATION={to} SIZE=1\ny")).await;
    let len = server.recv(&mut buffer).await.unwrap();
    assert_eq!(buffer[..len], *b"FROM_PORT=0 TO_PORT=0 PROTOCOL=77\ny");
    assert!(own.ask("SESSION REMOVE ID=web").await.starts_with("SESSION STATUS RESULT=OK"));
    assert!(own.ask("SESSION REMOVE ID=p").await.starts_with("SESSION STATUS RESULT=INVALID_ID"));
    assert!(bench.program().await.ask("STREAM ACCEPT ID=web").await.starts_with("STREAM STATUS RESULT=INVALID_ID"));
    drop((own, sender, raw, _b));
    while bench.server.sessions.len() > 0 {
        tokio::task::yield_now().await;
    }
}
