//! Packets of a peer that has shaken hands and means ill all the same.
//!
//! spec: ssu2 §Data Message, §Blocks, §Connection Migration, §Relay Process, §Peer Test Process

use super::crowd::Crowd;
use super::{Context, require};
use crate::peer::{Outcome, UdpLink, now};
use ramson_protocol::gzip::gzip;
use ramson_protocol::ssu2::block::{Ack, Block, FollowOn, I2NP, PEER_TEST, RouterInfo, write_address};
use ramson_protocol::ssu2::session::Event;
use rand::Rng;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Messages begun and never ended.
const HALVES: u32 = 5000;
/// Requests of each kind, more than a router may make in a minute.
const REQUESTS: u32 = 100;
/// Requests for a tag.
const TAG_REQUESTS: u32 = 99_000;
/// How often a block that is not acknowledged in time comes again: a flooder that sends does not listen.
const RESENDS: u32 = 8;
/// Addresses from which an outsider forwards what he has seen.
const OUTSIDERS: u16 = 50;
/// Between bursts, so that the router's socket does not overflow.
const PAUSE: Duration = Duration::from_millis(1);

/// Seals blocks and sends them.
fn throw(link: &mut UdpLink, to: SocketAddr, blocks: &[u8]) -> Outcome<()> {
    let packet = link.seal_by_hand(blocks);
    link.socket.send_to(&packet, to)?;
    Ok(())
}

fn written(block: &Block<'_>) -> Outcome<Vec<u8>> {
    let mut out = Vec::new();
    block.write(&mut out)?;
    Ok(out)
}

/// Blocks that are cut off, longer than their packet, or too small for what they say; bombs; halves of messages.
pub(super) fn bad_blocks(cx: &mut Context) -> Outcome<()> {
    let (to, (_, mut link)) = (cx.target.ssu2()?.addr, cx.udp_peer()?);
    for kind in 0..=255 {
        throw(&mut link, to, &[kind])?;
        throw(&mut link, to, &[kind, 0xff, 0xff, 0, 0, 0, 0, 0])?;
        throw(&mut link, to, &[kind, 0, 0, kind, 0, 1, 7])?;
        std::thread::sleep(PAUSE);
    }
    throw(&mut link, to, &[I2NP, 0, 9, 1, 0, 0, 0, 7, 0, 0, 0, 1])?;
    // Padding ends a packet.
    throw(&mut link, to, &[written(&Block::Padding(3))?, written(&Block::DateTime { seconds: 1 })?].concat())?;
    let (bomb, mut body) = (gzip(&vec![0; 600_000]), [0; 1000]);
    let info = RouterInfo { flood: true, gzip: true, fragment: RouterInfo::WHOLE, bytes: &bomb };
    throw(&mut link, to, &written(&Block::RouterInfo(info))?)?;
    cx.rng.fill_bytes(&mut body);
    for n in 0..HALVES {
        let (number, id) = (1 + (n % 60) as u8, n.into());
        throw(&mut link, to, &written(&Block::FollowOn(FollowOn { number, last: false, id, body: &body }))?)?;
        if n % 16 == 0 {
            std::thread::sleep(PAUSE);
        }
    }
    for event in ["bad_blocks", "bad_router_infos", "incomplete_messages"] {
        cx.expect_event(event);
    }
    cx.still_serves_udp()
}

/// ACKs of packets that the router never sent.
pub(super) fn acks_of_unsent(cx: &mut Context) -> Outcome<()> {
    let (to, (_, mut link)) = (cx.target.ssu2()?.addr, cx.udp_peer()?);
    for n in 0..1000 {
        let (through, pairs) = (cx.rng.next_u32() | 0x10_0000, [[n as u8, !(n as u8)]; 64]);
        throw(&mut link, to, &written(&Block::Ack(Ack { through, acks: 255, pairs: &pairs }))?)?;
    }
    cx.expect_event("acks_of_unsent");
    cx.still_serves_udp()
}

/// Requests for introductions and peer tests that cannot be right, again and again, and answers that nobody asked for.
pub(super) fn services(cx: &mut Context) -> Outcome<()> {
    let (to, (_, mut link)) = (cx.target.ssu2()?.addr, cx.udp_peer()?);
    let mut address = Vec::new();
    write_address(SocketAddr::from(([192, 0, 2, 1], 9)), &mut address);
    for n in 0..REQUESTS {
        let seconds = now().wall.secs().to_be_bytes();
        let about = [&n.to_be_bytes()[..], &seconds, &[address.len() as u8], &address, &[0; 64]].concat();
        let tagged = [&n.to_be_bytes()[..], &[0, 0, 0, 9], &seconds, &[2, address.len() as u8], &address, &[0; 64]];
        // For a tag that the router has given to nobody.
        throw(&mut link, to, &written(&Block::RelayRequest(&[&[0][..], &tagged.concat()].concat()))?)?;
        throw(&mut link, to, &written(&Block::RelayRequest(&[0; 5]))?)?;
        throw(&mut link, to, &written(&Block::RelayIntro(&[7; 9]))?)?;
        throw(&mut link, to, &written(&Block::RelayResponse(&[0; 3]))?)?;
        // Message 1 for an address that is not ours, and messages that do not belong into a session.
        for number in 1..=7 {
            let router: &[u8] = if matches!(number, 2 | 4) { &[9; 32] } else { &[] };
            let test = [&[number, 0, 0][..], router, &[2], &about].concat();
            let len = u16::try_from(test.len())?.to_be_bytes();
            throw(&mut link, to, &[&[PEER_TEST, len[0], len[1]][..], &test].concat())?;
        }
        std::thread::sleep(PAUSE);
    }
    let mut count = |service: &str, role: &str, event: &str| {
        let labels = format!("service=\"{service}\",role=\"{role}\",event=\"{event}\"");
        cx.expect(&format!("ramson_ssu2_services_total{{{labels}}}"));
    };
    for (role, event) in [("bob", "bob_no_tag"), ("bob", "malformed"), ("charlie", "malformed")] {
        count("introduction", role, event);
    }
    for (role, event) in [("bob", "bob_address"), ("any", "in_session")] {
        count("peer_test", role, event);
    }
    cx.expect("ramson_drops_total{cause=\"service_share\"}");
    cx.still_serves_udp()
}

/// A hundred thousand requests for a tag in one session, of which the first alone is answered.
pub(super) fn tag_flood(cx: &mut Context) -> Outcome<()> {
    let (to, (_, mut link)) = (cx.target.ssu2()?.addr, cx.udp_peer()?);
    let many = written(&Block::RelayTagRequest)?.repeat(300);
    for n in 0..TAG_REQUESTS / 300 {
        throw(&mut link, to, &many)?;
        if n % 16 == 0 {
            std::thread::sleep(PAUSE);
        }
    }
    let mut tags = 0;
    let end = Instant::now() + Duration::from_secs(1);
    while Instant::now() < end {
        link.exchange(Duration::from_millis(50), |event, _| tags += u32::from(matches!(event, Event::RelayTag(_))))?;
    }
    cx.saw(format!("{TAG_REQUESTS} requests for a tag, {tags} answers"));
    require(tags <= RESENDS, format!("{tags} tags came for one session"))?;
    cx.still_serves_udp()
}

/// An outsider forwards a peer's packets from addresses of his own, without what a challenge asks for.
pub(super) fn migration(cx: &mut Context) -> Outcome<()> {
    let (to, (_, mut link)) = (cx.target.ssu2()?.addr, cx.udp_peer()?);
    let mut crowd = Crowd::new(cx)?;
    for n in 0..OUTSIDERS {
        let packet = link.seal_by_hand(&written(&Block::DateTime { seconds: now().wall.secs() })?);
        crowd.send(n, &packet)?;
        std::thread::sleep(PAUSE);
        crowd.listen()?;
        // What came to the outsider is for the peer: without the keys it is nothing.
        for answer in crowd.answers.clone() {
            crowd.send(n, &answer)?;
        }
        throw(&mut link, to, &written(&Block::DateTime { seconds: now().wall.secs() })?)?;
    }
    let whole = crowd.settle()?;
    cx.saw(format!("{OUTSIDERS} outsiders sent {} bytes and got {}", whole.sent, whole.received));
    let heard = link.core.stats().packets_in;
    throw(&mut link, to, &written(&Block::PathChallenge(&[7; 8]))?)?;
    for _ in 0..20 {
        link.exchange(Duration::from_millis(20), |_, _| {})?;
    }
    require(link.core.stats().packets_in > heard, "the peer hears nothing any more where it is")?;
    for event in ["challenged", "cancelled"] {
        cx.expect_event(event);
    }
    cx.still_serves_udp()
}
