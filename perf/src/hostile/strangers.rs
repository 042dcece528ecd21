//! What fails in message 1. Until it is good the router must take us for a prober, who learns nothing: no byte comes
//! back, and the connection ends neither at once nor in a way that depends on what was sent.
//!
//! spec: ntcp2 §1) SessionRequest, §AEAD Error Handling

use super::request::{message_1, plausible_noise, usual};
use super::{Context, require};
use crate::peer::{Link, Outcome, is_timeout};
use ramson_protocol::ntcp2::FIXED_LEN;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// A connection that ends sooner tells that it has failed.
const NOT_BEFORE: Duration = Duration::from_secs(5);
/// A connection that stands longer is a hold on the router's memory.
const NOT_AFTER: Duration = Duration::from_secs(45);

/// Connections of a stranger at once.
const SLOW: usize = 1000;
/// How long they go on.
const SLOW_SECONDS: usize = 15;

/// How a connection ended.
#[derive(Clone, Copy, Debug)]
struct Ending {
    bytes: usize,
    after: Duration,
    reset: bool,
}

/// Waits for the end of a connection on which nothing more is sent.
fn ending(mut stream: TcpStream, since: Instant) -> Outcome<Ending> {
    let mut bytes = 0;
    let mut buffer = [0; 2048];
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    loop {
        let read = stream.read(&mut buffer);
        let after = since.elapsed();
        match read {
            Ok(0) => return Ok(Ending { bytes, after, reset: false }),
            Ok(n) => bytes += n,
            Err(e) if is_timeout(&e) => require(after < NOT_AFTER, "the connection does not end")?,
            Err(_) => return Ok(Ending { bytes, after, reset: true }),
        }
    }
}

/// Sends each of `all` on a connection of its own, at once, and requires that all end as a prober's must.
fn probe(cx: &mut Context, all: Vec<Vec<u8>>) -> Outcome<Vec<Ending>> {
    let threads: Vec<_> = all
        .into_iter()
        .map(|bytes| -> Outcome<_> {
            let mut stream = cx.target.connect()?;
            let since = Instant::now();
            stream.write_all(&bytes)?;
            Ok(std::thread::spawn(move || ending(stream, since)))
        })
        .collect::<Outcome<_>>()?;
    let mut endings = Vec::new();
    for thread in threads {
        let ending = thread.join().map_err(|_| "a thread of the tool has failed")??;
        require(ending.bytes == 0, format!("{} bytes came back", ending.bytes))?;
        require(ending.after >= NOT_BEFORE, format!("the connection ended after {:?} already", ending.after))?;
        endings.push(ending);
    }
    let first = endings.iter().map(|e| e.after).min().unwrap_or_default();
    let last = endings.iter().map(|e| e.after).max().unwrap_or_default();
    let resets = endings.iter().filter(|e| e.reset).count();
    let n = endings.len();
    cx.saw(format!("{n} connections end without a byte after {first:.1?} to {last:.1?}, {resets} of them reset"));
    require(resets == 0 || resets == n, "how a connection ends depends on what was sent")?;
    Ok(endings)
}

/// Nonsense of many lengths.
pub(super) fn random_bytes(cx: &mut Context) -> Outcome<()> {
    let lengths = [0, 1, 16, 63, FIXED_LEN, FIXED_LEN + 1, 100, 287, 500];
    let all = lengths.iter().cycle().take(5 * lengths.len());
    let all = all.map(|len| plausible_noise(&cx.target, *len, &mut cx.rng)).collect::<Outcome<_>>()?;
    let endings = probe(cx, all)?;
    // With five of each length the means lie near each other: a prober could tell lengths apart only by a difference.
    let mean =
        |n: usize| endings.iter().skip(n).step_by(lengths.len()).map(|e| e.after.as_secs_f64()).sum::<f64>() / 5.0;
    for (n, len) in lengths.iter().enumerate() {
        cx.saw(format!("mean end {:.1} s of {len} bytes", mean(n)));
    }
    cx.expect_handshake("message_1_tag");
    cx.expect_handshake("timeout");
    cx.still_serves()
}

/// A thousand connections that send a byte a second each.
pub(super) fn slow_handshakes(cx: &mut Context) -> Outcome<()> {
    let mut slow = Vec::with_capacity(SLOW);
    for n in 0..SLOW {
        match cx.target.connect() {
            Ok(stream) => slow.push(stream),
            Err(e) if n < 64 => return Err(e),
            Err(e) => {
                cx.saw(format!("only {n} connections: {e} (the tool needs `ulimit -n 2048`)"));
                break;
            }
        }
    }
    let mut slowest = Duration::ZERO;
    for second in 0..SLOW_SECONDS {
        let began = Instant::now();
        slow.retain_mut(|stream| stream.write(&[second as u8]).is_ok());
        if second % 3 == 1 {
            let asked = Instant::now();
            let who = cx.identity()?;
            let mut link = Link::open(&cx.target, &who, &mut cx.rng)?;
            link.wait_until_up(super::PATIENCE)?;
            slowest = slowest.max(asked.elapsed());
        }
        std::thread::sleep(Duration::from_secs(1).saturating_sub(began.elapsed()));
    }
    cx.saw(format!("{} of {SLOW} slow connections stand at the end", slow.len()));
    cx.saw(format!("good handshakes meanwhile, the slowest took {slowest:.1?}"));
    require(slow.len() < SLOW, "all slow connections still stand: what strangers may hold has no limit")?;
    cx.expect_handshake("displaced");
    drop(slow);
    cx.still_serves()
}

/// A recorded message 1, sent again.
pub(super) fn replayed_message_1(cx: &mut Context) -> Outcome<()> {
    let message = message_1(&cx.target, usual(&cx.target), &mut cx.rng)?;
    let mut stream = cx.target.connect()?;
    stream.set_read_timeout(Some(super::PATIENCE))?;
    stream.write_all(&message)?;
    let mut answer = [0; FIXED_LEN];
    stream.read_exact(&mut answer).map_err(|e| format!("the first message 1 got no answer: {e}"))?;
    cx.saw("message 2 after the first message 1");
    drop(stream);
    probe(cx, vec![message.clone(), message.clone(), message])?;
    cx.expect_handshake("replay");
    cx.still_serves()
}

/// A network that is not the router's.
pub(super) fn wrong_network(cx: &mut Context) -> Outcome<()> {
    let mut options = usual(&cx.target);
    options.net_id ^= 1;
    let messages = (0..2).map(|_| message_1(&cx.target, options, &mut cx.rng)).collect::<Outcome<_>>()?;
    probe(cx, messages)?;
    cx.expect_handshake("network_id");
    cx.still_serves()
}

/// A version of the protocol that there is not.
pub(super) fn wrong_version(cx: &mut Context) -> Outcome<()> {
    let mut options = usual(&cx.target);
    options.version = 9;
    let message = message_1(&cx.target, options, &mut cx.rng)?;
    probe(cx, vec![message])?;
    cx.expect_handshake("version");
    cx.still_serves()
}

/// Messages 1 that announce a message 3 which is far too large, or cannot hold a RouterInfo.
pub(super) fn oversize_message_3(cx: &mut Context) -> Outcome<()> {
    let lengths = [u16::MAX, 40_000, 16];
    let messages = lengths.map(|part_2| {
        message_1(
            &cx.target,
            ramson_protocol::ntcp2::options::RequestOptions { part_2, ..usual(&cx.target) },
            &mut cx.rng,
        )
    });
    let messages = messages.into_iter().collect::<Outcome<_>>()?;
    probe(cx, messages)?;
    cx.expect_handshake("part_2_length");
    cx.still_serves()
}
