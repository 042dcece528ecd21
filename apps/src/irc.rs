//! IRC over tunnels: line by line through the filters of [`ramson_protocol::irc`].

use ramson_protocol::irc::{self, MAX_LINE, Passed};
use std::borrow::Cow;
use std::io;
use tokio::io::{
    AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, ReadHalf, WriteHalf, split,
};

/// What one line becomes: what goes on, and what goes back to whoever said it.
type Filtered = (Option<String>, Option<String>);

/// Carries the lines of a client to a server of others and back.
///
/// # Errors
/// If either breaks, or says a line that is too long.
pub(crate) async fn client<A, B>(program: A, stream: B) -> io::Result<()>
where
    A: AsyncRead + AsyncWrite,
    B: AsyncRead + AsyncWrite,
{
    let up = |line: &str| match irc::from_client(line) {
        Passed::On(line) => (Some(line.into_owned()), None),
        Passed::Back(line) => (None, Some(line)),
        Passed::Dropped => (None, None),
    };
    let down = |line: &str| (irc::from_server(line).then(|| line.to_owned()), None);
    both(program, stream, up, down).await
}

/// Carries the lines of somebody to our server and back. `host` is what the server is to see as his; `first` is said before all.
///
/// # Errors
/// If either breaks, or says a line that is too long.
pub(crate) async fn server<A, B>(stream: A, mut program: B, host: Option<&str>, first: Option<&str>) -> io::Result<()>
where
    A: AsyncRead + AsyncWrite,
    B: AsyncRead + AsyncWrite + Unpin,
{
    if let Some(first) = first {
        program.write_all(format!("{first}\r\n").as_bytes()).await?;
    }
    let up = |line: &str| (irc::to_own_server(line, host).map(Cow::into_owned), None);
    both(stream, program, up, |line: &str| (Some(line.to_owned()), None)).await
}

async fn both<A, B>(near: A, far: B, up: impl Fn(&str) -> Filtered, down: impl Fn(&str) -> Filtered) -> io::Result<()>
where
    A: AsyncRead + AsyncWrite,
    B: AsyncRead + AsyncWrite,
{
    let ((from_near, to_near), (from_far, to_far)) = (split(near), split(far));
    let (to_near, to_far) = (tokio::sync::Mutex::new(to_near), tokio::sync::Mutex::new(to_far));
    // Where one has nothing more to say, nobody listens to the other either: that is how IRC ends.
    tokio::select! {
        done = lines(from_near, &to_far, &to_near, up) => done,
        done = lines(from_far, &to_near, &to_far, down) => done,
    }
}

/// Reads lines until there are no more; writes what becomes of them.
async fn lines<A: AsyncRead, B: AsyncWrite, C: AsyncWrite>(
    from: ReadHalf<A>,
    to: &tokio::sync::Mutex<WriteHalf<B>>,
    back: &tokio::sync::Mutex<WriteHalf<C>>,
    filter: impl Fn(&str) -> Filtered,
) -> io::Result<()> {
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    loop {
        line.clear();
        let most = MAX_LINE as u64 + 2;
        if (&mut from).take(most).read_until(b'\n', &mut line).await? == 0 {
            let _ = to.lock().await.shutdown().await;
            return Ok(());
        }
        if !line.ends_with(b"\n") && line.len() as u64 == most {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a line of IRC is too long"));
        }
        // A byte is a character here and back, so that every alphabet passes as it was: the filter looks at ASCII alone.
        let text: String = line.iter().map(|byte| char::from(*byte)).collect();
        let (on, answer) = filter(text.trim_end_matches(['\r', '\n']));
        if let Some(on) = on {
            to.lock().await.write_all(&bytes(&on)).await?;
        }
        if let Some(answer) = answer {
            back.lock().await.write_all(&bytes(&answer)).await?;
        }
    }
}

/// A line with its end, of characters that each are a byte.
fn bytes(line: &str) -> Vec<u8> {
    line.chars().chain("\r\n".chars()).map(|c| u8::try_from(c).unwrap_or(b'?')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::duplex;

    /// What each end hears when both have said their words and closed.
    async fn talk(client_says: &str, server_says: &str) -> (String, String) {
        let ((mut client_end, near), (mut server_end, far)) = (duplex(65536), duplex(65536));
        let task = tokio::spawn(client(near, far));
        client_end.write_all(client_says.as_bytes()).await.unwrap();
        let mut at_server = vec![0; 65536];
        let n = server_end.read(&mut at_server).await.unwrap();
        server_end.write_all(server_says.as_bytes()).await.unwrap();
        drop(server_end);
        let mut at_client = Vec::new();
        client_end.read_to_end(&mut at_client).await.unwrap();
        task.await.unwrap().unwrap();
        (String::from_utf8(at_server[..n].to_vec()).unwrap(), String::from_utf8(at_client).unwrap())
    }

    #[tokio::test]
    async fn lines_go_through_the_filters_both_ways_and_a_ping_comes_back() {
        let (server, client) = talk(
            "PING 17\r\nPRIVMSG a :\u{1}DCC SEND f 1 2 3\u{1}\r\nUSER me box irc :Me\n",
            ":a!b@c PRIVMSG me :\u{1}VERSION\u{1}\r\n:a!b@c PRIVMSG me :grün\n",
        )
        .await;
        assert_eq!(server, "USER me hostname localhost :Me\r\n");
        assert_eq!(client, "PONG 17\r\n:a!b@c PRIVMSG me :grün\r\n");
    }

    #[tokio::test]
    async fn a_line_without_end_breaks_the_connection() {
        let ((mut client_end, near), (_server_end, far)) = (duplex(65536), duplex(65536));
        let task = tokio::spawn(client(near, far));
        client_end.write_all(&[b'x'; MAX_LINE + 10]).await.unwrap();
        assert_eq!(task.await.unwrap().unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[tokio::test]
    async fn our_server_hears_first_who_calls() {
        let ((mut caller, near), (mut server_end, far)) = (duplex(65536), duplex(65536));
        tokio::spawn(async move { server(near, far, Some("x.b32.i2p"), Some("WEBIRC p g h i")).await });
        caller.write_all(b"WEBIRC p g other i\r\nUSER me 0 * :Me\r\n").await.unwrap();
        let mut lines = BufReader::new(&mut server_end).lines();
        assert_eq!(lines.next_line().await.unwrap().unwrap(), "WEBIRC p g h i");
        assert_eq!(lines.next_line().await.unwrap().unwrap(), "USER me x.b32.i2p * :Me");
    }
}
