//! Bytes between a socket and a stream, both ways, until both sides have closed or either breaks.
//!
//! A task that waits holds no buffer: thousands of idle streams are kept for the price of their sockets.

use ramson_clients::Stream;
use std::cell::RefCell;
use std::io;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::time::timeout;

/// Bytes that are moved at once.
const CHUNK: usize = 64 * 1024;

/// Buffers that are kept for the next task that needs one.
const KEPT: usize = 16;

/// When the other side has closed, the local program may go on to write for so long: most destinations that have closed do not listen any
/// more. INTEROP: i2pd closes both directions at once.
const HALF_CLOSED: Duration = Duration::from_secs(60);

thread_local! {
    static BUFFERS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// A buffer of [`CHUNK`] bytes, lent.
struct Buffer(Vec<u8>);

impl Buffer {
    fn take() -> Self {
        Self(BUFFERS.with_borrow_mut(Vec::pop).unwrap_or_else(|| vec![0; CHUNK]))
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        BUFFERS.with_borrow_mut(|buffers| {
            if buffers.len() < KEPT {
                buffers.push(std::mem::take(&mut self.0));
            }
        });
    }
}

/// Carries bytes until both sides have closed.
///
/// # Errors
/// If either breaks; the other is broken off, too, when its owner drops it.
pub(crate) async fn carry(mut socket: TcpStream, stream: Stream) -> io::Result<()> {
    // Small packets of interactive programs are not to wait.
    // Those of a UNIX socket never do.
    let _ = socket.set_nodelay(true);
    let (from, to) = socket.split();
    let up = up(from, &stream);
    let down = down(to, &stream);
    tokio::pin!(up, down);
    tokio::select! {
        done = &mut up => {
            done?;
            down.await
        }
        done = &mut down => {
            done?;
            // Who is not done by then has nobody to speak to.
            timeout(HALF_CLOSED, up).await.unwrap_or_else(|_| {
                stream.close();
                Ok(())
            })
        }
    }
}

async fn up(socket: ReadHalf<'_>, stream: &Stream) -> io::Result<()> {
    loop {
        socket.readable().await?;
        let mut buffer = Buffer::take();
        match socket.try_read(&mut buffer.0) {
            Ok(0) => {
                stream.close();
                return Ok(());
            }
            Ok(len) => stream.write_all(&buffer.0[..len]).await?,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) => return Err(e),
        }
    }
}

async fn down(mut socket: WriteHalf<'_>, stream: &Stream) -> io::Result<()> {
    loop {
        stream.readable().await;
        let mut buffer = Buffer::take();
        match stream.read(&mut buffer.0).await? {
            0 => {
                // The program may have gone already.
                let _ = socket.shutdown().await;
                return Ok(());
            }
            len => socket.write_all(&buffer.0[..len]).await?,
        }
    }
}
