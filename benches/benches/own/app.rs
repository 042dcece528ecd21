//! A local application's bytes, echoed: its sockets on the client thread's poll, or on tokio with byte rings between.
//!
//! The echo stands where a stream will: bytes come to it on the client thread and leave it there.

use crate::{Seat, time};
use mio::net::TcpStream;
use mio::{Interest, Token};
use parking_lot::Mutex;
use ramson_transports::inbox::Inbox;
use rustix::time::ClockId;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// What applications write at once, and streams take from their sockets at once.
pub(crate) const CHUNK: usize = 64 * 1024;

/// Bytes that may lie in a ring.
const RING: usize = 256 * 1024;

/// How an application's sockets are driven: given connections, starts threads that end with them.
pub(crate) type Way = fn(Vec<std::net::TcpStream>) -> Vec<JoinHandle<()>>;

pub(crate) const WAYS: [(&str, Way); 2] =
    [("mio on the client thread", on_client_thread), ("tokio and byte rings", on_tokio)];

/// A connection of the client thread.
struct Socket {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// What of the buffer still waits to be echoed.
    left: std::ops::Range<usize>,
}

impl Socket {
    /// Echoes until the socket has or takes no more; false at its end.
    fn serve(&mut self) -> bool {
        loop {
            while !self.left.is_empty() {
                match self.stream.write(&self.buffer[self.left.clone()]) {
                    Ok(n) => self.left.start += n,
                    Err(e) if e.kind() == ErrorKind::WouldBlock => return true,
                    Err(_) => return false,
                }
            }
            match self.stream.read(&mut self.buffer) {
                Ok(0) => return false,
                Ok(n) => self.left = 0..n,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return true,
                Err(_) => return false,
            }
        }
    }
}

fn on_client_thread(streams: Vec<std::net::TcpStream>) -> Vec<JoinHandle<()>> {
    let serve = move || {
        let mut seat = Seat::<()>::new(16);
        let mut sockets = Vec::new();
        for (index, stream) in streams.into_iter().enumerate() {
            let mut stream = TcpStream::from_std(stream);
            let both = Interest::READABLE | Interest::WRITABLE;
            seat.poll.registry().register(&mut stream, Token(index), both).unwrap();
            sockets.push(Some(Socket { stream, buffer: vec![0; CHUNK], left: 0..0 }));
        }
        while sockets.iter().any(Option::is_some) {
            seat.wait();
            for event in &seat.events {
                if let Some(slot) = sockets.get_mut(event.token().0)
                    && slot.as_mut().is_some_and(|socket| !socket.serve())
                {
                    *slot = None;
                }
            }
        }
    };
    vec![std::thread::spawn(serve)]
}

/// Bytes from one thread to another, bounded.
#[derive(Default)]
struct Ring(Mutex<(Vec<u8>, usize)>);

impl Ring {
    /// Takes what there is room for.
    fn put(&self, bytes: &[u8]) -> usize {
        let (buffer, start) = &mut *self.0.lock();
        let n = bytes.len().min(RING - (buffer.len() - *start));
        buffer.extend_from_slice(&bytes[..n]);
        n
    }

    fn take(&self, into: &mut [u8]) -> usize {
        let (buffer, start) = &mut *self.0.lock();
        let n = into.len().min(buffer.len() - *start);
        into[..n].copy_from_slice(&buffer[*start..*start + n]);
        *start += n;
        if *start == buffer.len() {
            buffer.clear();
            *start = 0;
        } else if *start >= RING {
            buffer.drain(..std::mem::take(start));
        }
        n
    }
}

/// What a task and the client thread have in common for one connection.
#[derive(Default)]
struct Pipe {
    up: Ring,
    down: Ring,
    /// The client thread has been told of it and has not looked yet.
    told: AtomicBool,
    ended: AtomicBool,
    notify: Notify,
}

fn on_tokio(streams: Vec<std::net::TcpStream>) -> Vec<JoinHandle<()>> {
    let pipes: Vec<Arc<Pipe>> = streams.iter().map(|_| Arc::default()).collect();
    let mut seat = Seat::<usize>::new(4096);
    let (inbox, theirs) = (seat.inbox.clone(), pipes.clone());
    let tokio = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        let local = tokio::task::LocalSet::new();
        for (index, (stream, pipe)) in streams.into_iter().zip(theirs).enumerate() {
            let inbox = inbox.clone();
            local.spawn_local(async move {
                let stream = tokio::net::TcpStream::from_std(stream).unwrap();
                serve(index, &stream, &pipe, &inbox).await;
                pipe.ended.store(true, SeqCst);
                inbox.push(index).unwrap();
            });
        }
        runtime.block_on(local);
    });
    let client = std::thread::spawn(move || {
        let mut scratch = vec![0; CHUNK];
        // What a ring had no room for.
        let mut left: Vec<std::ops::Range<usize>> = vec![0..0; pipes.len()];
        let mut buffers: Vec<Vec<u8>> = pipes.iter().map(|_| vec![0; CHUNK]).collect();
        let mut open = pipes.len();
        while open > 0 {
            seat.wait();
            while let Some(index) = seat.inbox.pop() {
                let pipe = &pipes[index];
                pipe.told.store(false, SeqCst);
                open -= usize::from(pipe.ended.swap(false, SeqCst));
                std::mem::swap(&mut scratch, &mut buffers[index]);
                if echo(pipe, &mut scratch, &mut left[index]) {
                    pipe.notify.notify_one();
                }
                std::mem::swap(&mut scratch, &mut buffers[index]);
            }
        }
    });
    vec![tokio, client]
}

/// The client thread's part; true if anything moved.
fn echo(pipe: &Pipe, buffer: &mut [u8], left: &mut std::ops::Range<usize>) -> bool {
    let mut moved = false;
    loop {
        if left.start == left.end {
            *left = 0..pipe.up.take(buffer);
        }
        let n = pipe.down.put(&buffer[left.clone()]);
        left.start += n;
        if n == 0 {
            return moved;
        }
        moved = true;
    }
}

/// The task's part: both directions of one socket.
async fn serve(index: usize, stream: &tokio::net::TcpStream, pipe: &Pipe, inbox: &Inbox<usize>) {
    let (mut incoming, mut outgoing) = (vec![0; CHUNK], vec![0; CHUNK]);
    let (mut up, mut down) = (0..0, 0..0);
    loop {
        let mut moved = false;
        if up.is_empty() {
            match stream.try_read(&mut incoming) {
                Ok(0) => return,
                Ok(n) => up = 0..n,
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
        let n = pipe.up.put(&incoming[up.clone()]);
        up.start += n;
        if down.is_empty() {
            down = 0..pipe.down.take(&mut outgoing);
            moved |= !down.is_empty();
        }
        // The client thread is told of new bytes, and of new room.
        if (n > 0 || moved) && !pipe.told.swap(true, SeqCst) {
            inbox.push(index).unwrap();
        }
        moved |= n > 0;
        if !down.is_empty() {
            match stream.try_write(&outgoing[down.clone()]) {
                Ok(n) => {
                    down.start += n;
                    moved = true;
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
        if !moved {
            tokio::select! {
                biased;
                _ = stream.readable(), if up.is_empty() => {}
                _ = stream.writable(), if !down.is_empty() => {}
                () = pipe.notify.notified() => {}
            }
        }
    }
}

/// So many connections: the application's ends, and the other ones, which do not block.
fn connect(connections: usize) -> (Vec<std::net::TcpStream>, Vec<std::net::TcpStream>) {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let pair = |_| {
        let app = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (node, _) = listener.accept().unwrap();
        app.set_nodelay(true).unwrap();
        node.set_nodelay(true).unwrap();
        node.set_nonblocking(true).unwrap();
        (app, node)
    };
    (0..connections).map(pair).unzip()
}

/// `n` chunks in all over so many connections and back; the processor time of all threads but the application's.
pub(crate) fn carry(way: Way, connections: usize, n: u64) -> Duration {
    let (apps, nodes) = connect(connections);
    let start = time(ClockId::ProcessCPUTime);
    let threads = way(nodes);
    let mut workers = Vec::new();
    for (index, app) in apps.into_iter().enumerate() {
        let chunks = (n + connections as u64 - 1 - index as u64) / connections as u64;
        let mut reader = app.try_clone().unwrap();
        workers.push(std::thread::spawn(move || {
            let (mut app, chunk) = (app, vec![7; CHUNK]);
            (0..chunks).for_each(|_| app.write_all(&chunk).unwrap());
            time(ClockId::ThreadCPUTime)
        }));
        workers.push(std::thread::spawn(move || {
            let (mut left, mut chunk) = (chunks * CHUNK as u64, vec![0; CHUNK]);
            while left > 0 {
                left -= reader.read(&mut chunk).unwrap() as u64;
            }
            reader.shutdown(std::net::Shutdown::Both).unwrap();
            time(ClockId::ThreadCPUTime)
        }));
    }
    let own: Duration = workers.into_iter().map(|worker| worker.join().unwrap()).sum();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    time(ClockId::ProcessCPUTime) - start - own
}

/// The median and the hundredth of the times that 1 KiB takes there and back.
pub(crate) fn ping(way: Way, rounds: usize) -> (Duration, Duration) {
    let (mut apps, nodes) = connect(1);
    let threads = way(nodes);
    let (mut app, mut buffer) = (apps.remove(0), [5; 1024]);
    let mut times: Vec<Duration> = (0..rounds)
        .map(|_| {
            let start = Instant::now();
            app.write_all(&buffer).unwrap();
            app.read_exact(&mut buffer).unwrap();
            start.elapsed()
        })
        .collect();
    drop(app);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    times.sort();
    (times[rounds / 2], times[rounds * 99 / 100])
}
