//! As much of HTTP as I2PControl needs: one request with a body on a connection, one answer. INTEROP: i2pd also takes the bare JSON,
//! and answers so.

use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The longest request, its head included.
const MAX_REQUEST: usize = 64 * 1024;

/// Reads a request and returns its body, and whether it stood in HTTP. `None` if it is none.
///
/// # Errors
/// If the socket breaks.
pub(super) async fn read(socket: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<(Vec<u8>, bool)>> {
    let mut bytes = Vec::new();
    loop {
        match body(&bytes) {
            Found::Whole(body, http) => return Ok(Some((body, http))),
            Found::Part if bytes.len() < MAX_REQUEST => {}
            Found::Part | Found::Nothing => return Ok(None),
        }
        if socket.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    }
}

/// Writes an answer.
///
/// # Errors
/// If the socket breaks.
pub(super) async fn write(socket: &mut (impl AsyncWrite + Unpin), body: &str, http: bool) -> io::Result<()> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let head = if http { head.as_str() } else { "" };
    socket.write_all([head, body].concat().as_bytes()).await?;
    socket.shutdown().await
}

/// What there is of a request.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    /// The body, and whether it stood in HTTP.
    Whole(Vec<u8>, bool),
    Part,
    Nothing,
}

fn body(bytes: &[u8]) -> Found {
    match bytes.first() {
        None => return Found::Part,
        Some(b'{' | b'[') => {
            let mut values = serde_json::Deserializer::from_slice(bytes).into_iter::<serde_json::Value>();
            return match values.next() {
                Some(Err(error)) if error.is_eof() => Found::Part,
                // What is no JSON is told so.
                _ => Found::Whole(bytes.to_vec(), false),
            };
        }
        Some(_) if !b"POST ".starts_with(&bytes[..bytes.len().min(5)]) => return Found::Nothing,
        Some(_) => {}
    }
    let Some(end) = bytes.windows(4).position(|end| end == b"\r\n\r\n") else { return Found::Part };
    let Ok(head) = std::str::from_utf8(&bytes[..end]) else { return Found::Nothing };
    let field = |wanted: &str| {
        let mut fields = head.lines().filter_map(|line| line.split_once(':'));
        fields.find(|(name, _)| name.trim().eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim())
    };
    // A web page can have a browser post to any port, and a name of its own lead here: browsers say so, monitors are none.
    if field("origin").is_some() {
        return Found::Nothing;
    }
    let length: Option<usize> = field("content-length").and_then(|value| value.parse().ok());
    // Without a length nobody knows where it ends; a body in chunks no program sends.
    let Some(length) = length.filter(|length| *length <= MAX_REQUEST) else { return Found::Nothing };
    match bytes.get(end + 4..end + 4 + length) {
        Some(body) => Found::Whole(body.to_vec(), true),
        None => Found::Part,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_body_is_found_in_http_and_bare() {
        let post = b"POST /jsonrpc HTTP/1.1\r\nHost: x\r\ncontent-length: 2\r\n\r\n{}";
        assert_eq!(body(post), Found::Whole(b"{}".to_vec(), true));
        for n in 0..post.len() {
            assert_eq!(body(&post[..n]), Found::Part, "cut at {n}");
        }
        assert_eq!(body(b"{\"id\":1}\n"), Found::Whole(b"{\"id\":1}\n".to_vec(), false));
        assert_eq!((body(b"{\"id\":"), body(b"{x}")), (Found::Part, Found::Whole(b"{x}".to_vec(), false)));
        for wrong in [
            "GET / HTTP/1.1\r\n\r\n",
            "POST / HTTP/1.1\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n",
            "POST / HTTP/1.1\r\nORIGIN: null\r\nContent-Length: 2\r\n\r\n{}",
        ] {
            assert_eq!(body(wrong.as_bytes()), Found::Nothing, "{wrong}");
        }
    }

    #[tokio::test]
    async fn a_request_without_an_end_is_left_alone() {
        let endless = [b"POST / HTTP/1.1\r\n".to_vec(), vec![b'x'; 2 * MAX_REQUEST]].concat();
        assert!(read(&mut &endless[..]).await.unwrap().is_none());
        let (mut ours, theirs) = tokio::io::duplex(1000);
        write(&mut ours, "{}", true).await.unwrap();
        drop(ours);
        let mut heard = String::new();
        let mut theirs = theirs;
        theirs.read_to_string(&mut heard).await.unwrap();
        assert!(
            heard.starts_with("HTTP/1.1 200 OK\r\n")
                && heard.ends_with("Content-Length: 2\r\nConnection: close\r\n\r\n{}")
        );
    }

    proptest! {
        #[test]
        fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..100), head: bool) {
            let head: &[u8] = if head { b"POST / HTTP/1.1\r\nContent-Length: " } else { b"" };
            let _ = body(&[head, &bytes].concat());
        }
    }
}
