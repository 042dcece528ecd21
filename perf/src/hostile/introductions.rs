//! What fails in message 3: the router knows that we know it, and says why it refuses us.
//!
//! spec: ntcp2 §3) SessionConfirmed, §Clock Skew Guidelines, §Termination

use super::{Context, require};
use crate::peer::{Identity, Link, Outcome, now};
use ramson_protocol::dialing::Transport;
use ramson_protocol::link::reason::Reason;
use ramson_protocol::time::Wall;
use std::time::Duration;

/// Until a refused session has ended.
const END: Duration = Duration::from_secs(10);

const HOUR: Duration = Duration::from_secs(3600);

/// Shows `info` in a handshake as `who` and requires that the session ends with `reason`.
fn refused(cx: &mut Context, who: &Identity, info: &[u8], reason: Reason, outcome: &str) -> Outcome<()> {
    let local = who.local(cx.target.net_id, info);
    let mut link = Link::open_as(&cx.target, local, Duration::ZERO, false, &mut cx.rng)?;
    told(cx, &mut link, reason)?;
    cx.expect_handshake(outcome);
    cx.still_serves()
}

fn told(cx: &mut Context, link: &mut Link, reason: Reason) -> Outcome<()> {
    let said = link.wait_for_end(END)?.ok_or("the router closed without a reason")?;
    cx.saw(format!("termination {} {}", said.0, said.label(Transport::Ntcp2)));
    require(said == reason, format!("the reason should have been {} {}", reason.0, reason.label(Transport::Ntcp2)))
}

fn clock(cx: &mut Context, lie: Duration) -> Outcome<()> {
    for past in [false, true] {
        let who = cx.identity()?;
        let local = who.local(cx.target.net_id, &who.info);
        let mut link = Link::open_as(&cx.target, local, lie, past, &mut cx.rng)?;
        told(cx, &mut link, Reason::CLOCK_SKEW)?;
    }
    cx.expect_handshake("clock_skew");
    cx.still_serves()
}

/// A clock that is just too far off.
pub(super) fn clock_61s(cx: &mut Context) -> Outcome<()> {
    clock(cx, Duration::from_secs(61))
}

/// A clock that is far off.
pub(super) fn clock_10min(cx: &mut Context) -> Outcome<()> {
    clock(cx, Duration::from_secs(600))
}

/// A RouterInfo whose signature does not hold.
pub(super) fn bad_signature(cx: &mut Context) -> Outcome<()> {
    let who = cx.identity()?;
    let mut info = who.info.to_vec();
    if let Some(last) = info.last_mut() {
        *last ^= 1;
    }
    refused(cx, &who, &info, Reason::ROUTER_INFO_SIGNATURE, "router_info_signature")
}

fn dated(cx: &mut Context, published: Wall, outcome: &str) -> Outcome<()> {
    let who = Identity::new(cx.target.net_id, published, &mut cx.rng)?;
    refused(cx, &who, &who.info, Reason::CLOCK_SKEW, outcome)
}

/// A RouterInfo that is older than any router keeps them.
pub(super) fn too_old(cx: &mut Context) -> Outcome<()> {
    dated(cx, now().wall.minus(28 * HOUR), "router_info_too_old")
}

/// A RouterInfo from the future.
pub(super) fn from_the_future(cx: &mut Context) -> Outcome<()> {
    dated(cx, now().wall.plus(Duration::from_secs(600)), "router_info_from_the_future")
}

/// A RouterInfo that no router could keep.
pub(super) fn oversize(cx: &mut Context) -> Outcome<()> {
    let who = Identity::with_filling(cx.target.net_id, now().wall, 10_000, &mut cx.rng)?;
    cx.saw(format!("our RouterInfo has {} bytes", who.info.len()));
    refused(cx, &who, &who.info, Reason::SESSION_CONFIRMED, "router_info_too_large")
}

/// A RouterInfo of another network.
pub(super) fn other_network(cx: &mut Context) -> Outcome<()> {
    let who = Identity::new(cx.target.net_id ^ 1, now().wall, &mut cx.rng)?;
    refused(cx, &who, &who.info, Reason::INCOMPATIBLE_OPTIONS, "router_info_network")
}

/// The RouterInfo of somebody else.
pub(super) fn other_static_key(cx: &mut Context) -> Outcome<()> {
    let (who, other) = (cx.identity()?, cx.identity()?);
    refused(cx, &who, &other.info, Reason::STATIC_KEY, "static_key")
}
