//! As much of HTTP as whoever scrapes needs: one request on a connection, one answer, and the connection is closed.
//!
//! Whatever a client does, it has one of [`CLIENTS`] places for [`PATIENCE`] at most; when all are taken, the one who has had
//! his for longest gives way. So nobody keeps an honest scraper out, and nobody makes us hold more than a few answers.

use actix::clock::timeout;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Clients that are served at once.
const CLIENTS: usize = 16;

/// How long a client may take to ask and to read its answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest head of a request.
const MAX_HEAD: usize = 8 * 1024;

/// After accepting failed: descriptors do not come back at once.
const PAUSE: Duration = Duration::from_millis(200);

/// An answer.
pub(super) struct Answer {
    /// The line with its status.
    pub(super) status: &'static str,
    /// What the body is.
    pub(super) kind: &'static str,
    /// The body.
    pub(super) body: String,
}

impl Answer {
    /// A line of text.
    pub(super) fn text(status: &'static str, body: impl Into<String>) -> Self {
        Self { status, kind: "text/plain; charset=utf-8", body: body.into() }
    }
}

/// Serves until the system ends, on a socket that listens. Its address is returned.
///
/// # Errors
/// If the socket cannot be served.
pub(super) fn serve(
    listener: std::net::TcpListener,
    answer: impl Fn(&str) -> Answer + Clone + 'static,
) -> io::Result<SocketAddr> {
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let addr = listener.local_addr()?;
    actix::spawn(async move {
        let mut served: VecDeque<JoinHandle<()>> = VecDeque::new();
        loop {
            let Ok((client, _)) = listener.accept().await else {
                actix::clock::sleep(PAUSE).await;
                continue;
            };
            served.retain(|client| !client.is_finished());
            if served.len() >= CLIENTS
                && let Some(oldest) = served.pop_front()
            {
                oldest.abort();
            }
            let answer = answer.clone();
            served.push_back(actix::spawn(async move {
                // Whatever fails is the client's to notice.
                let _ = timeout(PATIENCE, talk(client, answer)).await;
            }));
        }
    });
    Ok(addr)
}

async fn talk(mut client: TcpStream, answer: impl Fn(&str) -> Answer) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if head.len() >= MAX_HEAD || client.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let (Answer { status, kind, body }, head_only) = match request(&head) {
        Some((method, path)) => (answer(path), method == "HEAD"),
        None => (Answer::text("405 Method Not Allowed", "only GET and HEAD\n"), false),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    client.write_all(head.as_bytes()).await?;
    if !head_only {
        client.write_all(body.as_bytes()).await?;
    }
    client.shutdown().await
}

/// The method and the path of a request that can be answered, without what stands behind a question mark. Programs that
/// watch whether something is up ask with HEAD.
fn request(head: &[u8]) -> Option<(&str, &str)> {
    let line = std::str::from_utf8(head.split(|byte| *byte == b'\r').next()?).ok()?;
    let (method, rest) = line.split_once(' ').filter(|(method, _)| matches!(*method, "GET" | "HEAD"))?;
    Some((method, rest.split([' ', '?']).next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener() -> std::net::TcpListener {
        std::net::TcpListener::bind("127.0.0.1:0").unwrap()
    }

    async fn get(addr: SocketAddr, request: &str) -> String {
        let mut client = TcpStream::connect(addr).await.unwrap();
        client.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        // What was not read of the request resets the connection behind the answer.
        let _ = client.read_to_string(&mut answer).await;
        answer
    }

    #[actix::test]
    async fn one_request_is_answered_and_what_is_piped_behind_it_is_not() {
        let addr = serve(listener(), |path| Answer::text("200 OK", path.to_owned())).unwrap();
        let answer = get(addr, "GET /metrics?x=1 HTTP/1.1\r\nHost: x\r\n\r\nGET /again HTTP/1.1\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\n/metrics"), "{answer}");
        assert!(get(addr, "HEAD /metrics HTTP/1.1\r\n\r\n").await.ends_with("\r\n\r\n"), "no body");
        assert!(get(addr, "POST / HTTP/1.1\r\n\r\n").await.starts_with("HTTP/1.1 405"));
        assert_eq!(get(addr, &"x".repeat(2 * MAX_HEAD)).await, "");
    }

    /// Three thousand connections that read nothing took a scrape ten seconds and a hundred and fifty megabytes.
    #[actix::test]
    async fn clients_that_read_nothing_keep_nobody_out() {
        let large = "x".repeat(4 << 20);
        let answer =
            move |path: &str| Answer::text("200 OK", if path == "/large" { large.clone() } else { "small".into() });
        let addr = serve(listener(), answer).unwrap();
        let mut deaf = Vec::new();
        for _ in 0..3 * CLIENTS {
            let mut client = TcpStream::connect(addr).await.unwrap();
            client.write_all(b"GET /large HTTP/1.1\r\n\r\n").await.unwrap();
            deaf.push(client);
        }
        assert!(get(addr, "GET / HTTP/1.1\r\n\r\n").await.ends_with("small"));
    }
}
