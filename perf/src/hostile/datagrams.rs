//! Datagrams of strangers.
//!
//! spec: ssu2 §Inbound Packet Handling, §Tokens

use super::crowd::{Account, Crowd};
use super::{Context, require};
use crate::peer::{Outcome, now};
use crate::process;
use ramson_crypto::x25519::SecretKey;
use ramson_protocol::link::reason::Reason;
use ramson_protocol::link::skew::nearest_second;
use ramson_protocol::ssu2::block::Block;
use ramson_protocol::ssu2::header::{self, KEYED_LEN, Kind, Long, VERSION};
use ramson_protocol::ssu2::message::seal;
use rand::{Rng, RngExt};
use std::net::{IpAddr, UdpSocket};
use std::time::{Duration, Instant};

/// Addresses of a flood, and datagrams of each.
const ADDRESSES: u16 = 2000;
const EACH: usize = 40;
/// Datagrams after which a flood looks at what came back, and pauses: the router's socket shall not overflow, or what is
/// measured is the kernel.
const BURST: usize = 100;
const PAUSE: Duration = Duration::from_micros(500);
/// Bursts after which a good peer connects.
const GOOD_PEER: usize = 80;
/// Datagrams in the name of one address alone.
const OF_ONE: usize = 6000;
/// After so long the router knows nothing of a session that has ended.
const FORGOTTEN: Duration = Duration::from_secs(7);

impl Context {
    fn header(&mut self, kind: Kind) -> Long {
        let [destination, source] = [self.rng.next_u64(), self.rng.next_u64()];
        let (number, net_id) = (self.rng.next_u32(), self.target.net_id);
        Long { destination, number, kind, version: VERSION, net_id, flag: 0, source, token: 0 }
    }

    /// A message under the introduction key that is as it should be, but for what `spoil` does to its header.
    fn opening(&mut self, kind: Kind, spoil: impl FnOnce(&mut Long)) -> Outcome<Vec<u8>> {
        let mut header = self.header(kind);
        spoil(&mut header);
        let mut payload = Vec::new();
        Block::DateTime { seconds: nearest_second(now().wall) }.write(&mut payload)?;
        Ok(seal(&header, &payload, &self.target.ssu2()?.intro))
    }

    /// A SessionRequest with a token that nobody gave; what follows is noise.
    fn request(&mut self) -> Outcome<Vec<u8>> {
        let mut header = self.header(Kind::SESSION_REQUEST);
        header.token = self.rng.next_u64().max(1);
        let mut out = Vec::new();
        header.write(&mut out);
        out.resize(KEYED_LEN + 40, 0);
        self.rng.fill_bytes(&mut out[32..]);
        let intro = &self.target.ssu2()?.intro;
        let masked = header::mask(&mut out, intro, intro).and_then(|()| header::mask_rest(&mut out, KEYED_LEN, intro));
        masked.ok_or("a request without a header")?;
        Ok(out)
    }
}

/// Sends what `make` makes from all addresses in turn, while good peers connect.
fn flood(cx: &mut Context, mut make: impl FnMut(&mut Context) -> Outcome<Vec<u8>>) -> Outcome<Account> {
    let mut crowd = Crowd::new(cx)?;
    // A few hundred of each are as good as all different ones, and the tool is not what is measured.
    let datagrams: Vec<_> = (0..512).map(|_| make(cx)).collect::<Outcome<_>>()?;
    let before = cx.pid.map(process::usage).transpose()?;
    let (began, mut slowest) = (Instant::now(), Duration::ZERO);
    let total = usize::from(ADDRESSES) * EACH;
    let mut good = 0;
    for n in 0..total {
        crowd.send((n % usize::from(ADDRESSES)) as u16, &datagrams[n % datagrams.len()])?;
        if n % BURST == 0 {
            crowd.listen()?;
            std::thread::sleep(PAUSE);
        }
        if n % (BURST * GOOD_PEER) == 0 {
            let asked = Instant::now();
            cx.udp_peer()?;
            slowest = slowest.max(asked.elapsed());
            good += 1;
        }
    }
    let took = began.elapsed();
    let whole = crowd.settle()?;
    cx.saw(format!(
        "{total} datagrams from {ADDRESSES} addresses in {took:.1?}, {} answered: {} bytes for {}",
        whole.answers, whole.received, whole.sent
    ));
    cx.saw(format!("{good} good handshakes meanwhile, the slowest took {slowest:.1?}"));
    if let (Some(pid), Some(before)) = (cx.pid, before) {
        let after = process::usage(pid)?;
        let each = after.cpu.saturating_sub(before.cpu) / total as u32;
        let grown = after.resident.saturating_sub(before.resident) / 1000;
        let exchange = exchange(cx);
        cx.saw(format!("{each:.1?} of the router's processor time each; a Diffie-Hellman takes {exchange:.1?}"));
        cx.saw(format!("its memory grew by {grown} kB"));
    }
    Ok(whole)
}

/// How long one Diffie-Hellman operation takes here.
fn exchange(cx: &mut Context) -> Duration {
    const TIMES: u32 = 200;
    let [ours, theirs] = [cx.rng.random(), cx.rng.random()].map(SecretKey::from_bytes);
    let (theirs, began) = (theirs.public(), Instant::now());
    for _ in 0..TIMES {
        // Random keys are of no small order.
        let _ = std::hint::black_box(ours.dh(&theirs));
    }
    began.elapsed() / TIMES
}

/// TokenRequests from addresses that never come back with the token; and many in the name of an address from which a good
/// peer calls, too.
pub(super) fn token_flood(cx: &mut Context) -> Outcome<()> {
    let whole = flood(cx, |cx| cx.opening(Kind::TOKEN_REQUEST, |_| {}))?;
    require(whole.answers > 0, "no TokenRequest was answered")?;
    cx.expect("ramson_ssu2_retries_total{direction=\"in\"}");
    let (to, request) = (cx.target.ssu2()?.addr, cx.opening(Kind::TOKEN_REQUEST, |_| {})?);
    // Whoever forges our address does not see the answers; this socket does not look at them.
    let forger = UdpSocket::bind((cx.target.source.unwrap_or(IpAddr::from([0; 4])), 0))?;
    for n in 0..OF_ONE {
        forger.send_to(&request, to)?;
        if n % BURST == 0 {
            std::thread::sleep(PAUSE);
        }
    }
    let asked = Instant::now();
    cx.udp_peer()?;
    cx.saw(format!("{OF_ONE} datagrams in the name of an address, and its handshake took {:.1?}", asked.elapsed()));
    cx.still_serves_udp()
}

/// SessionRequests with tokens of the sender's own making.
pub(super) fn request_flood(cx: &mut Context) -> Outcome<()> {
    flood(cx, Context::request)?;
    cx.expect_dropped("token");
    cx.still_serves_udp()
}

/// Noise of all lengths, and messages of which one thing is wrong. Nothing of it is answered.
pub(super) fn garbage(cx: &mut Context) -> Outcome<()> {
    let mut crowd = Crowd::new(cx)?;
    for len in 0..=1472 {
        let mut noise = vec![0; len];
        cx.rng.fill_bytes(&mut noise);
        crowd.send((len % 250) as u16, &noise)?;
    }
    for (n, kind) in [Kind::TOKEN_REQUEST, Kind::PEER_TEST, Kind::HOLE_PUNCH].into_iter().enumerate() {
        let good = cx.opening(kind, |_| {})?;
        for at in 16..good.len() {
            let mut flipped = good.clone();
            flipped[at] ^= 1;
            crowd.send(300 + n as u16, &flipped)?;
            crowd.send(300 + n as u16, &good[..at])?;
        }
        crowd.send(300, &cx.opening(kind, |header| header.net_id ^= 1)?)?;
        crowd.send(301, &cx.opening(kind, |header| header.version = 1)?)?;
        crowd.send(302, &cx.opening(kind, |header| header.source = header.destination)?)?;
        std::thread::sleep(PAUSE);
    }
    let whole = crowd.settle()?;
    cx.saw(format!("{} bytes of garbage, {} answers", whole.sent, whole.answers));
    require(whole.answers == 0, "garbage was answered")?;
    for cause in ["unknown", "token_request_tag", "outside_tag", "network_id", "version", "same_ids"] {
        cx.expect_dropped(cause);
    }
    cx.expect("ramson_drops_total{cause=\"bad_datagram\"}");
    cx.still_serves_udp()
}

/// Everything that a peer has sent is sent again, from where it came from and from elsewhere.
pub(super) fn replay(cx: &mut Context) -> Outcome<()> {
    let (_, mut link) = cx.udp_peer()?;
    let to = cx.target.ssu2()?.addr;
    let packet = link.seal_by_hand(&[]);
    link.socket.send_to(&packet, to)?;
    let mut all = link.recorded.clone();
    all.push(packet);
    let mut crowd = Crowd::new(cx)?;
    // While the session stands all of it is taken for the session's; when it has been forgotten, for a stranger's.
    for forgotten in [false, true] {
        if forgotten {
            let mut end = Vec::new();
            Block::Termination { packets: 0, reason: Reason::NORMAL, additional: &[] }.write(&mut end)?;
            let end = link.seal_by_hand(&end);
            link.socket.send_to(&end, to)?;
            std::thread::sleep(FORGOTTEN);
        }
        for (n, datagram) in all.iter().enumerate() {
            link.socket.send_to(datagram, to)?;
            crowd.send(n as u16, datagram)?;
        }
    }
    let whole = crowd.settle()?;
    cx.saw(format!("{} datagrams sent four times more, {} answers elsewhere", all.len(), whole.answers));
    cx.expect_dropped("token");
    for event in ["repeated", "wrong_kind"] {
        cx.expect_event(event);
    }
    cx.still_serves_udp()
}
