//! A thousand routers of one network that mean ill and look well: each calls from where its RouterInfo says that it is, and takes
//! whatever it is sent to nowhere. So it was in the network in February 2026.

use super::{Context, require};
use crate::peer::{Identity, Link, Outcome, Target, now};
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use std::io::{ErrorKind, Read};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Routers of the crowd, and how many call at the same time.
const SYBILS: usize = 1000;
const CALLERS: usize = 16;

/// They begin to call within this time, and stay so long.
const CALLING: Duration = Duration::from_secs(20);
const STAY: Duration = Duration::from_secs(25);

/// Where all of them listen.
const PORT: u16 = 20_000;

/// A thousand of them for a short while: whoever means well is served meanwhile and afterwards.
pub(super) fn crowd(cx: &mut Context) -> Outcome<()> {
    cx.besiege(STAY)?;
    cx.still_serves()
}

/// The same for minutes, for whoever watches the router from outside.
pub(super) fn long_crowd(cx: &mut Context) -> Outcome<()> {
    cx.besiege(STAY * 10)
}

impl Context {
    fn besiege(&mut self, stay: Duration) -> Outcome<()> {
        let Some(IpAddr::V4(source)) = self.target.source else {
            return Err("a crowd has addresses of IPv4: name one with --source".into());
        };
        let [a, b, ..] = source.octets();
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT))?;
        listener.set_nonblocking(true)?;
        let (next, sessions, refused) = (AtomicUsize::new(0), Mutex::new(Vec::new()), AtomicUsize::new(0));
        let seeds: Vec<ChaCha20Rng> = (0..CALLERS).map(|_| ChaCha20Rng::from_rng(&mut self.rng)).collect();
        let (target, began) = (&self.target, Instant::now());
        std::thread::scope(|scope| {
            for mut rng in seeds {
                let (next, sessions, refused) = (&next, &sessions, &refused);
                scope.spawn(move || {
                    loop {
                        let n = next.fetch_add(1, Relaxed);
                        if n >= SYBILS || began.elapsed() > CALLING {
                            return;
                        }
                        let ip = Ipv4Addr::new(a, b, 1 + (n / 250) as u8, 1 + (n % 250) as u8);
                        match call(target, ip, n, &mut rng) {
                            Ok(session) => sessions.lock().unwrap_or_else(|e| e.into_inner()).push(session),
                            Err(_) => _ = refused.fetch_add(1, Relaxed),
                        }
                    }
                });
            }
        });
        let mut held = sessions.into_inner()?;
        self.saw(format!("{} sessions of a crowd, {} refused", held.len(), refused.into_inner()));
        require(!held.is_empty(), "nobody of the crowd was let in: this proves nothing")?;
        let swallowed = swallow(&mut held, &listener, stay);
        self.saw(format!("{} of their sessions stood to the end; {swallowed} bytes swallowed", held.len()));
        Ok(())
    }
}

/// One of them calls: half of them say that they are floodfills.
fn call(target: &Target, ip: Ipv4Addr, n: usize, rng: &mut ChaCha20Rng) -> Outcome<TcpStream> {
    let who = Identity::new(target.net_id, now().wall, rng)?;
    let (at, caps) = (SocketAddr::new(ip.into(), PORT), if n.is_multiple_of(2) { "XfR" } else { "XR" });
    let info = who.published_at(target.net_id, at, caps)?;
    let who = Identity { info: info.as_bytes().clone(), ..who };
    let (stream, ..) = Link::open(&target.clone().called_from(Some(ip.into())), &who, rng)?.into_parts();
    stream.set_nonblocking(true)?;
    Ok(stream)
}

/// Takes what comes and answers nothing; how many bytes that were. Sessions that end are let go.
fn swallow(sessions: &mut Vec<TcpStream>, listener: &TcpListener, stay: Duration) -> usize {
    let (until, mut bytes, mut buffer) = (Instant::now() + stay, 0, vec![0; 1 << 16]);
    while Instant::now() < until {
        // Who calls them is let in, and waits.
        while let Ok((stream, _)) = listener.accept() {
            if stream.set_nonblocking(true).is_ok() {
                sessions.push(stream);
            }
        }
        sessions.retain_mut(|stream| {
            loop {
                match stream.read(&mut buffer) {
                    Ok(0) => return false,
                    Ok(len) => bytes += len,
                    Err(e) => return e.kind() == ErrorKind::WouldBlock,
                }
            }
        });
        std::thread::sleep(Duration::from_millis(50));
    }
    bytes
}
