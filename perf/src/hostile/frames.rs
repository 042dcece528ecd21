//! What fails in the data phase.
//!
//! spec: ntcp2 §4) Data Phase, §AEAD Error Handling

use super::{Context, require};
use crate::peer::{Link, Outcome};
use ramson_protocol::dialing::Transport;
use ramson_protocol::link::reason::Reason;
use ramson_protocol::ntcp2::block::Block;
use std::io::Write;
use std::time::{Duration, Instant};

/// The router may take its time, so that forging does not tell when it failed.
const END: Duration = Duration::from_secs(30);

/// Opens a session, spoils the first frame with `spoil`, and requires that the session ends with `reason`.
fn spoilt(cx: &mut Context, spoil: impl Fn(&mut [u8]), reason: Reason, counted: &str) -> Outcome<()> {
    let (_, mut link) = cx.peer()?;
    let mut frame = link.seal(&Block::Padding(100))?;
    spoil(&mut frame);
    let began = Instant::now();
    link.stream.write_all(&frame)?;
    end(cx, &mut link, began, reason)?;
    cx.expect(&format!("ramson_sessions_closed_total{{transport=\"ntcp2\",reason=\"{counted}\"}}"));
    cx.still_serves()
}

fn end(cx: &mut Context, link: &mut Link, began: Instant, reason: Reason) -> Outcome<()> {
    let said = link.wait_for_end(END)?.ok_or("the router closed without a reason")?;
    cx.saw(format!("termination {} {} after {:.1?}", said.0, said.label(Transport::Ntcp2), began.elapsed()));
    require(said == reason, format!("the reason should have been {} {}", reason.0, reason.label(Transport::Ntcp2)))
}

/// A frame that is shorter than its tag.
pub(super) fn bad_length(cx: &mut Context) -> Outcome<()> {
    // The mask is unknown to us, but it goes away if the true length is XORed out.
    let spoil = |frame: &mut [u8]| {
        let truth = (frame.len() - 2) as u16;
        for (byte, change) in frame.iter_mut().zip((truth ^ 3).to_be_bytes()) {
            *byte ^= change;
        }
    };
    // spec: ntcp2 §AEAD Error Handling — "Take the same error action for an invalid length field".
    spoilt(cx, spoil, Reason::AEAD_FAILURE, "framing_error")
}

/// A frame with a wrong tag.
pub(super) fn bad_mac(cx: &mut Context) -> Outcome<()> {
    let spoil = |frame: &mut [u8]| {
        if let Some(last) = frame.last_mut() {
            *last ^= 1;
        }
    };
    spoilt(cx, spoil, Reason::AEAD_FAILURE, "aead_failure")
}

/// A good frame with blocks that cannot be read.
pub(super) fn bad_blocks(cx: &mut Context) -> Outcome<()> {
    let (_, mut link) = cx.peer()?;
    // A block of padding that says it is longer than its frame.
    let mut frame = vec![0, 0, 254, 0xff, 0xff, 0, 0];
    link.sealer.seal_in_place(&mut frame, 0)?;
    let began = Instant::now();
    link.stream.write_all(&frame)?;
    end(cx, &mut link, began, Reason::PAYLOAD_FORMAT)?;
    cx.expect("ramson_sessions_closed_total{transport=\"ntcp2\",reason=\"payload_format\"}");
    cx.still_serves()
}
