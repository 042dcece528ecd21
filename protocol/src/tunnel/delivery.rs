//! Delivery instructions inside cells: where a message goes and which fragment of it follows. (Those inside garlic
//! cloves look different: see [`crate::garlic::clove`].)
//!
//! ```text
//! first fragment    flag (1) | tunnel id (4, TUNNEL) | hash (32, TUNNEL and ROUTER) | delay (1, if flagged)
//!                   | message id (4, if fragmented) | options (1 + n, if flagged) | size (2) | fragment
//! follow-on         1nnnnnnd (1) | message id (4) | size (2) | fragment
//! ```
//!
//! spec: tunnel-message §Tunnel Message Delivery Instructions

use crate::id::{RouterHash, TunnelId};
use crate::wire::{Error, Reader, Result, Writer};

/// The highest fragment number: six bits.
pub const FRAGMENT_MAX: u8 = 63;
/// Bytes of the instructions of a follow-on fragment.
pub const FOLLOW_ON_LEN: usize = 7;

const FOLLOW_ON: u8 = 0x80;
const TYPE_MASK: u8 = 0x60;
const TYPE_LOCAL: u8 = 0x00;
const TYPE_TUNNEL: u8 = 0x20;
const TYPE_ROUTER: u8 = 0x40;
const DELAY: u8 = 0x10;
const FRAGMENTED: u8 = 0x08;
const OPTIONS: u8 = 0x04;

/// Where a message goes when it leaves the tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Delivery {
    /// To the endpoint itself. Used in inbound tunnels only.
    Local,
    /// To a router.
    Router(RouterHash),
    /// To the inbound gateway of another tunnel, as a TunnelGateway message.
    Tunnel(RouterHash, TunnelId),
}

impl Delivery {
    /// Bytes of the instructions of a whole message, or of a first fragment.
    pub fn encoded_len(&self, fragmented: bool) -> usize {
        let address = match self {
            Self::Local => 0,
            Self::Router(_) => 32,
            Self::Tunnel(..) => 36,
        };
        1 + address + if fragmented { 4 } else { 0 } + 2
    }

    /// Writes the instructions of a whole message (`message` is `None`), or of the first fragment of `message`.
    pub fn write(&self, message: Option<u32>, size: u16, out: &mut impl Writer) {
        let fragmented = if message.is_some() { FRAGMENTED } else { 0 };
        match self {
            Self::Local => out.put_u8(TYPE_LOCAL | fragmented),
            Self::Router(hash) => {
                out.put_u8(TYPE_ROUTER | fragmented);
                out.put(&hash.0);
            }
            Self::Tunnel(hash, tunnel) => {
                out.put_u8(TYPE_TUNNEL | fragmented);
                out.put_u32(tunnel.0);
                out.put(&hash.0);
            }
        }
        if let Some(message) = message {
            out.put_u32(message);
        }
        out.put_u16(size);
    }
}

/// One fragment with its instructions, borrowed from a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fragment<'a> {
    /// A message that is not fragmented.
    Whole {
        /// Where it goes.
        delivery: Delivery,
        /// The message.
        data: &'a [u8],
    },
    /// The first fragment of a message.
    First {
        /// Where the message goes.
        delivery: Delivery,
        /// Names the message among those of this tunnel.
        message: u32,
        /// The fragment.
        data: &'a [u8],
    },
    /// A later fragment.
    FollowOn {
        /// The message it belongs to.
        message: u32,
        /// 1 to 63.
        number: u8,
        /// No fragment follows.
        last: bool,
        /// The fragment.
        data: &'a [u8],
    },
}

/// Writes the instructions of a follow-on fragment.
pub fn write_follow_on(message: u32, number: u8, last: bool, size: u16, out: &mut impl Writer) {
    out.put_u8(FOLLOW_ON | (number & FRAGMENT_MAX) << 1 | u8::from(last));
    out.put_u32(message);
    out.put_u16(size);
}

/// Reads the next fragment of a cell's payload.
///
/// # Errors
/// If the instructions are malformed; the rest of the cell cannot be read then.
pub fn parse<'a>(r: &mut Reader<'a>) -> Result<Fragment<'a>> {
    let flag = r.u8()?;
    if flag & FOLLOW_ON != 0 {
        let (number, last) = (flag >> 1 & FRAGMENT_MAX, flag & 1 != 0);
        let message = r.u32()?;
        let data = sized(r)?;
        if number == 0 {
            return Err(Error::Invalid("fragment number"));
        }
        return Ok(Fragment::FollowOn { message, number, last, data });
    }
    let delivery = match flag & TYPE_MASK {
        TYPE_LOCAL => Delivery::Local,
        TYPE_ROUTER => Delivery::Router(r.array()?.into()),
        TYPE_TUNNEL => {
            let tunnel = TunnelId(r.u32()?);
            if tunnel.0 == 0 {
                return Err(Error::Invalid("delivery tunnel id"));
            }
            Delivery::Tunnel(r.array()?.into(), tunnel)
        }
        _ => return Err(Error::Invalid("delivery type")),
    };
    if flag & DELAY != 0 {
        r.u8()?;
    }
    let message = if flag & FRAGMENTED == 0 { None } else { Some(r.u32()?) };
    if flag & OPTIONS != 0 {
        let len = r.u8()?;
        r.take(len.into())?;
    }
    let data = sized(r)?;
    Ok(match message {
        None => Fragment::Whole { delivery, data },
        Some(message) => Fragment::First { delivery, message, data },
    })
}

fn sized<'a>(r: &mut Reader<'a>) -> Result<&'a [u8]> {
    let size = r.u16()?;
    let data = r.take(size.into())?;
    // spec: tunnel-message §First Fragment Delivery Instructions — valid sizes begin at 1.
    if data.is_empty() { Err(Error::Invalid("fragment size")) } else { Ok(data) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TO: [Delivery; 3] =
        [Delivery::Local, Delivery::Router(RouterHash([5; 32])), Delivery::Tunnel(RouterHash([6; 32]), TunnelId(77))];

    #[test]
    fn whole_and_first_fragments_have_the_lengths_of_the_specification_and_come_back() {
        for (delivery, lengths) in TO.into_iter().zip([(3, 7), (35, 39), (39, 43)]) {
            let mut whole = Vec::new();
            delivery.write(None, 2, &mut whole);
            assert_eq!((whole.len(), delivery.encoded_len(false)), (lengths.0, lengths.0));
            whole.extend(b"ab");
            assert_eq!(parse(&mut Reader::new(&whole)), Ok(Fragment::Whole { delivery, data: b"ab" }));

            let mut first = Vec::new();
            delivery.write(Some(9), 1, &mut first);
            assert_eq!((first.len(), delivery.encoded_len(true)), (lengths.1, lengths.1));
            first.push(b'a');
            assert_eq!(parse(&mut Reader::new(&first)), Ok(Fragment::First { delivery, message: 9, data: b"a" }));
            for cut in 0..first.len() {
                assert!(parse(&mut Reader::new(&first[..cut])).is_err(), "cut at {cut}");
            }
        }
    }

    #[test]
    fn a_follow_on_fragment_comes_back() {
        let mut out = Vec::new();
        write_follow_on(0x0102_0304, 63, true, 1, &mut out);
        assert_eq!(out, [0xff, 1, 2, 3, 4, 0, 1]);
        out.push(8);
        let want = Fragment::FollowOn { message: 0x0102_0304, number: 63, last: true, data: &[8] };
        assert_eq!(parse(&mut Reader::new(&out)), Ok(want));
    }

    #[test]
    fn delay_and_extended_options_are_skipped() {
        let bytes = [DELAY | OPTIONS, 0x55, 2, 1, 1, 0, 1, 42];
        let want = Fragment::Whole { delivery: Delivery::Local, data: &[42] };
        assert_eq!(parse(&mut Reader::new(&bytes)), Ok(want));
    }

    #[test]
    fn what_the_specification_forbids_is_refused() {
        let zero_tunnel = [&[TYPE_TUNNEL][..], &[0; 36], &[0, 1, 1]].concat();
        assert_eq!(parse(&mut Reader::new(&zero_tunnel)), Err(Error::Invalid("delivery tunnel id")));
        assert_eq!(parse(&mut Reader::new(&[0x60, 0, 1, 1])), Err(Error::Invalid("delivery type")));
        assert_eq!(parse(&mut Reader::new(&[0x80, 0, 0, 0, 1, 0, 1, 1])), Err(Error::Invalid("fragment number")));
        assert_eq!(parse(&mut Reader::new(&[0, 0, 0])), Err(Error::Invalid("fragment size")));
    }
}
