//! What no honest program sends: it is answered or the socket is closed, and others hear nothing of it.

use super::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use tokio::time::timeout;

/// Whatever happens, an answer or the end comes within this time.
const LONGEST: Duration = Duration::from_secs(20);

/// True if the server does for an honest program what it should, and nothing of others is left.
async fn is_well(bench: &Bench) -> bool {
    while bench.server.sessions.len() > 0 {
        tokio::task::yield_now().await;
    }
    let [_a, (_b, to)] = bench.pair().await;
    let mut acceptor = bench.program().await;
    acceptor.ask("STREAM ACCEPT ID=b").await;
    let mut caller = bench.program().await;
    caller.ask(&format!("STREAM CONNECT ID=a DESTINATION={to}")).await == "STREAM STATUS RESULT=OK"
}

/// What a socket says until it is closed, in answer to all of this.
async fn said(mut program: Program, bytes: &[u8]) -> Vec<u8> {
    let mut said = Vec::new();
    // The server may have closed before it has read all.
    let _ = program.0.write_all(bytes).await;
    let _ = program.0.get_mut().shutdown().await;
    let _ = timeout(LONGEST, program.0.read_to_end(&mut said)).await.expect("it is answered or closed");
    said
}

#[tokio::test]
async fn garbage_is_closed_and_others_are_served() {
    let bench = Bench::new().await;
    let mut rng = ChaCha20Rng::from_seed([1; 32]);
    for _ in 0..50 {
        let mut garbage = vec![0; 3000];
        rng.fill_bytes(&mut garbage);
        let before = said(bench.raw().await, &garbage).await;
        assert!(before.is_empty(), "who does not begin with HELLO is told nothing: {before:?}");
        said(bench.program().await, &garbage).await;
    }
    assert!(is_well(&bench).await);
}

#[tokio::test]
async fn options_of_a_megabyte_are_refused_by_the_length_of_their_line() {
    let bench = Bench::new().await;
    let long = format!("SESSION CREATE STYLE=STREAM ID=a DESTINATION=TRANSIENT x={}\n", "y".repeat(1 << 20));
    assert_eq!(said(bench.program().await, long.as_bytes()).await, b"");
    let many = format!("SESSION CREATE STYLE=STREAM ID=a DESTINATION=TRANSIENT {}\n", "x=y ".repeat(1 << 18));
    assert_eq!(said(bench.program().await, many.as_bytes()).await, b"");
    assert!(is_well(&bench).await);
}

#[tokio::test]
async fn commands_in_any_order_are_answered_or_end_the_socket() {
    let bench = Bench::new().await;
    let key = base64::encode(bench.book.destination.as_bytes());
    let commands = [
        "HELLO VERSION MIN=3.0 MAX=3.3".to_owned(),
        "SESSION CREATE STYLE=STREAM ID=x DESTINATION=TRANSIENT".to_owned(),
        "SESSION CREATE STYLE=PRIMARY ID=x DESTINATION=TRANSIENT".to_owned(),
        "SESSION CREATE STYLE=RAW ID=y DESTINATION=TRANSIENT".to_owned(),
        "SESSION ADD STYLE=STREAM ID=z".to_owned(),
        "SESSION ADD STYLE=DATAGRAM ID=x PORT=9".to_owned(),
        "SESSION REMOVE ID=z".to_owned(),
        "SESSION REMOVE ID=x".to_owned(),
        "STREAM ACCEPT ID=z".to_owned(),
        format!("STREAM CONNECT ID=x DESTINATION={key}"),
        "STREAM CONNECT ID=x DESTINATION=site.i2p".to_owned(),
        "STREAM FORWARD ID=x PORT=9".to_owned(),
        format!("DATAGRAM SEND DESTINATION={key} SIZE=3\nabc"),
        "RAW SEND DESTINATION=site.i2p SIZE=3\nabc".to_owned(),
        "STREAM SEND ID=1 SIZE=2\nab".to_owned(),
        "STREAM CLOSE ID=1".to_owned(),
        "NAMING LOOKUP NAME=ME".to_owned(),
        "NAMING LOOKUP".to_owned(),
        "DEST GENERATE".to_owned(),
        "AUTH ADD".to_owned(),
        "PING".to_owned(),
        "PONG".to_owned(),
        "QUIT".to_owned(),
    ];
    let mut rng = ChaCha20Rng::from_seed([2; 32]);
    for _ in 0..100 {
        let count = rng.next_u32() % 8;
        let chosen: Vec<&str> =
            (0..count).map(|_| commands[rng.next_u32() as usize % commands.len()].as_str()).collect();
        let said = said(bench.program().await, (chosen.join("\n") + "\n").as_bytes()).await;
        let text = String::from_utf8(said).unwrap();
        for line in text.lines().filter(|line| !line.starts_with("PONG")) {
            assert!(line.contains(" RESULT=") || line.starts_with("DEST REPLY PUB="), "{chosen:?}: {line}");
        }
    }
    // Its users were not changed: there are none, and so there is nobody to add.
    assert!(is_well(&bench).await);
}

#[tokio::test]
async fn a_stream_that_is_forwarded_to_a_port_that_refuses_is_closed_and_the_next_is_tried() {
    let bench = Bench::new().await;
    let [_a, (_b, to)] = bench.pair().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    drop(listener);
    let mut forward = bench.program().await;
    let line = format!("STREAM FORWARD ID=b PORT={} SILENT=true", addr.port());
    assert_eq!(forward.ask(&line).await, "STREAM STATUS RESULT=OK");
    let call = async || {
        let mut caller = bench.program().await;
        caller.ask(&format!("STREAM CONNECT ID=a DESTINATION={to}")).await;
        caller
    };
    assert_eq!(call().await.line().await, "", "nobody is there");
    let server = TcpListener::bind(addr).await.unwrap();
    call().await.tell("now").await;
    assert_eq!(Program(BufReader::new(server.accept().await.unwrap().0)).line().await, "now");
}

#[tokio::test]
async fn lookups_in_a_flood_are_answered_in_turn_and_hold_up_nobody() {
    let bench = Bench::new().await;
    let mut flood = bench.program().await;
    flood.write("NAMING LOOKUP NAME=site.i2p\n".repeat(500).as_bytes()).await;
    assert!(is_well(&bench).await);
    for _ in 0..500 {
        assert!(flood.line().await.starts_with("NAMING REPLY RESULT=OK NAME=site.i2p"));
    }
}

#[tokio::test]
async fn datagrams_of_sessions_that_are_none_or_others_go_nowhere() {
    let bench = Bench::new().await;
    let (mut streams, to) = bench.session("streams", "").await;
    let (mut taker, _) = bench.styled("DATAGRAM", "taker", "").await;
    let program = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let long = "x".repeat(60_000);
    for wrong in [
        "3.0 nobody {}\nx",
        "3.0 streams {}\nx",
        "3.0 taker nonsense\nx",
        "3.0 taker {}\n",
        "3.0",
        "",
        "\n",
        &long,
        "\0\u{1}\n\n",
    ] {
        program.send_to(wrong.replace("{}", &to).as_bytes(), bench.udp).await.unwrap();
    }
    // On the socket of a session that has none it ends the line's sense, not the server's.
    streams.tell(&format!("DATAGRAM SEND DESTINATION={to} SIZE=1\nx")).await;
    assert_eq!(streams.ask("PING").await, "PONG");
    assert_eq!(taker.ask("PING").await, "PONG", "nothing came for it");
}

#[tokio::test]
async fn those_who_say_nothing_keep_nobody_out() {
    let bench = Bench::new().await;
    // So many descriptors every machine has; that many more do not fit is what `MAX_SOCKETS` says.
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(bench.raw().await);
    }
    assert!(is_well(&bench).await);
    drop(silent);
}
