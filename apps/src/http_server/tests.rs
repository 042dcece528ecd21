//! Visitors, a site, and a program that says what it heard.

use super::*;
use crate::names::entry::tests::key;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::net::TcpListener;

/// A program that answers with the request that it heard, one connection after another.
async fn program(answer_headers: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut heard = Vec::new();
                loop {
                    let mut chunk = [0; 4096];
                    match socket.read(&mut chunk).await {
                        Ok(0) | Err(_) => return,
                        Ok(len) => heard.extend_from_slice(&chunk[..len]),
                    }
                    if heard.windows(4).any(|end| end == b"\r\n\r\n") {
                        let head =
                            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n{answer_headers}\r\n", heard.len());
                        socket.write_all(&[head.as_bytes(), &heard].concat()).await.unwrap();
                        heard.clear();
                    }
                }
            });
        }
    });
    at
}

async fn visit(site: &Arc<Site>, n: u8, request: &str) -> String {
    let (mut visitor, end) = duplex(256 * 1024);
    let (site, who) = (Arc::clone(site), key(n).1);
    tokio::spawn(async move { site.serve(end, &who).await });
    visitor.write_all(request.as_bytes()).await.unwrap();
    visitor.shutdown().await.unwrap();
    let mut all = Vec::new();
    visitor.read_to_end(&mut all).await.unwrap();
    String::from_utf8_lossy(&all).into_owned()
}

fn get(more: &str) -> String {
    format!("GET /a?b HTTP/1.1\r\nHost: me.i2p\r\n{more}\r\n")
}

#[tokio::test]
async fn the_program_is_told_who_visits_and_nobody_can_say_that_he_is_somebody_else() {
    let target = program("Server: x/1.0\r\nDate: now\r\nX-Powered-By: y\r\nX-Kept: 1\r\n").await;
    let site = Site::new(Config { target: Some(target), ..Config::default() }).unwrap();
    let forged = "X-I2P-DestHash: forged\r\nx-i2p-destb32: forged\r\nX-I2P-Other: forged\r\nProxy-Authorization: z\r\n";
    let answer = visit(&site, 1, &get(forged)).await;
    let who = key(1).1;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("X-Kept: 1"), "{answer}");
    let (head, heard) = answer.split_once("\r\n\r\n").unwrap();
    assert!(heard.starts_with("GET /a?b HTTP/1.1\r\n"), "{heard}");
    let heard = heard.to_ascii_lowercase();
    for line in [
        format!("x-i2p-destb32: {}", who.hash().to_b32()),
        format!("x-i2p-desthash: {}", base64::encode(&who.hash().0).to_ascii_lowercase()),
        format!("x-i2p-destb64: {}", base64::encode(who.as_bytes()).to_ascii_lowercase()),
        "host: me.i2p".to_owned(),
    ] {
        assert_eq!(heard.matches(&line).count(), 1, "{line} in {heard}");
    }
    assert!(!heard.contains("forged") && !heard.contains("proxy-"), "{heard}");
    let head = head.to_ascii_lowercase();
    assert!(!head.contains("server:") && !head.contains("date:") && !head.contains("x-powered-by"), "{head}");
}

#[tokio::test]
async fn the_host_is_the_one_that_is_configured_and_visitors_by_inproxy_are_sent_away() {
    let target = Some(program("").await);
    let config = Config { target, host: Some("mine.example".to_owned()), reject_inproxy: true, ..Config::default() };
    let site = Site::new(config).unwrap();
    let answer = visit(&site, 1, &get("")).await.to_ascii_lowercase();
    assert!(answer.contains("host: mine.example") && !answer.contains("me.i2p"), "{answer}");
    for header in ["X-Forwarded-For: 192.0.2.1\r\n", "Forwarded: for=x\r\n"] {
        assert!(visit(&site, 1, &get(header)).await.starts_with("HTTP/1.1 403"), "{header}");
    }
}

#[tokio::test]
async fn who_asks_too_often_hears_so_and_others_are_served() {
    let target = Some(program("").await);
    let site =
        Site::new(Config { target, requests_per_minute: 3, changes_per_minute: 1, ..Config::default() }).unwrap();
    let post = "POST / HTTP/1.1\r\nHost: me.i2p\r\nContent-Length: 0\r\n\r\n";
    let status = async |n, request: &str| visit(&site, n, request).await.split(' ').nth(1).map(str::to_owned).unwrap();
    assert_eq!([status(1, post).await, status(1, post).await], ["200", "429"]);
    assert_eq!([status(1, &get("")).await, status(1, &get("")).await], ["200", "429"]);
    assert_eq!(status(2, post).await, "200");
    let later = Duration::from_secs(10_000);
    assert!(site.may_ask(key(1).1.hash(), &Method::POST, later), "it comes back with time");
}

#[tokio::test]
async fn a_request_that_can_be_read_in_two_ways_reaches_no_program() {
    let target = Some(program("").await);
    let site = Site::new(Config { target, ..Config::default() }).unwrap();
    for wrong in [
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n123456".to_owned(),
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n".to_owned(),
        get(&"X: y\r\n".repeat(HEADERS + 1)),
        get(&format!("X: {}\r\n", "y".repeat(2 * HEADER_BYTES))),
    ] {
        let answer = visit(&site, 1, &wrong).await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{}: {answer}", &wrong[..60.min(wrong.len())]);
    }
}

#[tokio::test]
async fn a_program_that_does_not_run_is_no_reason_to_break_off() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let site = Site::new(Config { target: Some(gone), ..Config::default() }).unwrap();
    let answer = visit(&site, 1, &get("")).await;
    assert!(answer.starts_with("HTTP/1.1 503") && !answer.to_ascii_lowercase().contains("ramson"), "{answer}");
}
