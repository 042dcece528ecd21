//! The blocks inside a packet.
//!
//! ```text
//! type u8 | size u16 | data
//!
//! 0 DateTime       seconds u32                             12 ACK                 through u32 | acks u8 | (nacks, acks) u8 ..
//! 1 Options        as in NTCP2                             13 Address             port u16 | ip 4 or 16
//! 2 RouterInfo     flags u8 | fragment u8 | bytes          15 RelayTagRequest     nothing
//! 3 I2NP           kind u8 | id u32 | expiration u32 | body  16 RelayTag          tag u32
//! 4 FirstFragment  as I2NP                                 17 NewToken            expires u32 | token u64
//! 5 FollowOn       number and last u8 | id u32 | body      18 PathChallenge, 19 PathResponse   data
//! 6 Termination    packets u64 | reason u8 | more          20 FirstPacketNumber   number u32
//! 7 RelayRequest, 8 RelayResponse, 9 RelayIntro            21 Congestion          flags u8 | more
//! 10 PeerTest, 11 NextNonce                                254 Padding
//! ```
//!
//! spec: ssu2 §Block Specifications, §Block Ordering Rules

use crate::id::MessageId;
use crate::link::block::{HEADER_LEN, I2np};
use crate::link::padding::PaddingOptions;
use crate::link::reason::Reason;
use crate::wire::{Error, Reader, Result, Writer};
use std::net::{IpAddr, SocketAddr};

mod ack;

pub use ack::{Ack, Ranges};

/// The most bytes of blocks that a packet holds: at an MTU of 1500, over IPv4.
///
/// spec: ssu2 §Max I2NP Message Size
pub const MAX_PAYLOAD: usize = 1440;
/// The longest data of one block.
pub const MAX_DATA: usize = MAX_PAYLOAD - HEADER_LEN;
/// Bytes of number and message id before the body in a follow-on fragment.
pub const FOLLOW_ON_HEADER_LEN: usize = 5;

/// Type of a DateTime block.
pub const DATE_TIME: u8 = 0;
/// Type of an Options block.
pub const OPTIONS: u8 = 1;
/// Type of a RouterInfo block.
pub const ROUTER_INFO: u8 = 2;
/// Type of an I2NP block.
pub const I2NP: u8 = 3;
/// Type of the first fragment of an I2NP message.
pub const FIRST_FRAGMENT: u8 = 4;
/// Type of a later fragment of an I2NP message.
pub const FOLLOW_ON_FRAGMENT: u8 = 5;
/// Type of a Termination block.
pub const TERMINATION: u8 = 6;
/// Type of a RelayRequest block.
pub const RELAY_REQUEST: u8 = 7;
/// Type of a RelayResponse block.
pub const RELAY_RESPONSE: u8 = 8;
/// Type of a RelayIntro block.
pub const RELAY_INTRO: u8 = 9;
/// Type of a PeerTest block.
pub const PEER_TEST: u8 = 10;
/// Type of a NextNonce block.
pub const NEXT_NONCE: u8 = 11;
/// Type of an ACK block.
pub const ACK: u8 = 12;
/// Type of an Address block.
pub const ADDRESS: u8 = 13;
/// Type of a RelayTagRequest block.
pub const RELAY_TAG_REQUEST: u8 = 15;
/// Type of a RelayTag block.
pub const RELAY_TAG: u8 = 16;
/// Type of a NewToken block.
pub const NEW_TOKEN: u8 = 17;
/// Type of a PathChallenge block.
pub const PATH_CHALLENGE: u8 = 18;
/// Type of a PathResponse block.
pub const PATH_RESPONSE: u8 = 19;
/// Type of a FirstPacketNumber block.
pub const FIRST_PACKET_NUMBER: u8 = 20;
/// Type of a Congestion block.
pub const CONGESTION: u8 = 21;
/// Type of a Padding block.
pub const PADDING: u8 = 254;

/// One block, borrowed from the plaintext of its packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block<'a> {
    /// The sender's clock.
    DateTime {
        /// Seconds since 1970.
        seconds: u32,
    },
    /// The padding that the sender asks for.
    Options(PaddingOptions),
    /// A RouterInfo.
    RouterInfo(RouterInfo<'a>),
    /// A whole I2NP message.
    I2np(I2np<'a>),
    /// The beginning of an I2NP message; its body is not empty.
    FirstFragment(I2np<'a>),
    /// Another part of an I2NP message.
    FollowOn(FollowOn<'a>),
    /// The sender ends the session.
    Termination {
        /// Valid packets that the sender received.
        packets: u64,
        /// The reason of the end.
        reason: Reason,
        /// Data whose meaning no specification gives; ignored.
        additional: &'a [u8],
    },
    /// Alice asks Bob for an introduction. The data is not looked at here.
    RelayRequest(&'a [u8]),
    /// The answer to a request for an introduction. The data is not looked at here.
    RelayResponse(&'a [u8]),
    /// Bob introduces Alice to Charlie. The data is not looked at here.
    RelayIntro(&'a [u8]),
    /// One of the messages of a peer test. The data is not looked at here.
    PeerTest(&'a [u8]),
    /// Reserved for a change of keys.
    NextNonce(&'a [u8]),
    /// Packets that the sender has received.
    Ack(Ack<'a>),
    /// Where the sender sees the receiver.
    Address(SocketAddr),
    /// The sender wants to be introduced by the receiver.
    RelayTagRequest,
    /// The tag under which the sender will introduce the receiver.
    RelayTag(u32),
    /// A token for the receiver's next session with the sender.
    NewToken {
        /// Seconds since 1970 after which it is worth nothing.
        expires: u32,
        /// The token.
        token: u64,
    },
    /// Data to be returned at once.
    PathChallenge(&'a [u8]),
    /// Data returned.
    PathResponse(&'a [u8]),
    /// The number of the first packet of the data phase.
    FirstPacketNumber(u32),
    /// What the sender sees of congestion.
    Congestion {
        /// It wants an acknowledgement at once.
        immediate_ack: bool,
        /// Packets arrived marked (ECN).
        marked: bool,
    },
    /// Filling; only its length is kept.
    Padding(usize),
    /// A type that we do not know: to be ignored.
    Unknown {
        /// Its type.
        kind: u8,
        /// Its data.
        data: &'a [u8],
    },
}

/// A RouterInfo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouterInfo<'a> {
    /// The sender asks a floodfill to flood it.
    pub flood: bool,
    /// The bytes are compressed.
    pub gzip: bool,
    /// The fragment field: number in the upper half, total in the lower; [`RouterInfo::WHOLE`] in all that is sent
    /// today.
    pub fragment: u8,
    /// The RouterInfo, or this part of it.
    pub bytes: &'a [u8],
}

impl RouterInfo<'_> {
    /// Fragment 0 of 1.
    ///
    /// spec: ssu2 §RouterInfo — "The frag byte must be set to fragment 0, total fragments 1."
    pub const WHOLE: u8 = 0x01;

    /// Appends the block, which in a SessionConfirmed may be larger than [`MAX_DATA`], for that goes into fragments.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if its length does not fit the field; `out` is as before.
    pub fn write_whole(&self, out: &mut Vec<u8>) -> Result<()> {
        let size = u16::try_from(self.bytes.len() + 2).map_err(|_| Error::TooLarge("RouterInfo"))?;
        out.put_u8(ROUTER_INFO);
        out.put_u16(size);
        self.write(out);
        Ok(())
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.put(&[u8::from(self.flood) | u8::from(self.gzip) << 1, self.fragment]);
        out.put(self.bytes);
    }
}

/// A later fragment of an I2NP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FollowOn<'a> {
    /// Its place in the message, 1 to 127.
    pub number: u8,
    /// It is the last one.
    pub last: bool,
    /// Of which message.
    pub id: MessageId,
    /// Its part of the body, not empty.
    pub body: &'a [u8],
}

impl<'a> FollowOn<'a> {
    /// Reads the data of the block.
    pub fn parse(data: &'a [u8]) -> Result<Self> {
        let mut r = Reader::new(data);
        let info = r.u8()?;
        let fragment = Self { number: info >> 1, last: info & 1 != 0, id: MessageId(r.u32()?), body: r.rest() };
        match fragment.number {
            0 => Err(Error::Invalid("fragment number")),
            _ if fragment.body.is_empty() => Err(Error::Invalid("empty fragment")),
            _ => Ok(fragment),
        }
    }
}

impl<'a> Block<'a> {
    /// Reads the data of a block of type `kind`. Bytes beyond the fields that we know are ignored where the
    /// specification leaves room for them.
    ///
    /// # Errors
    /// `Truncated`, or `Invalid` for a field that no sender may send.
    pub fn parse(kind: u8, data: &'a [u8]) -> Result<Self> {
        let mut r = Reader::new(data);
        let block = match kind {
            DATE_TIME => Self::DateTime { seconds: r.u32()? },
            OPTIONS => Self::Options(PaddingOptions::parse(data)?),
            ROUTER_INFO => {
                let (flags, fragment) = (r.u8()?, r.u8()?);
                Self::RouterInfo(RouterInfo { flood: flags & 1 != 0, gzip: flags & 2 != 0, fragment, bytes: r.rest() })
            }
            I2NP => Self::I2np(I2np::parse(data)?),
            FIRST_FRAGMENT => match I2np::parse(data)? {
                I2np { body: [], .. } => return Err(Error::Invalid("empty fragment")),
                fragment => Self::FirstFragment(fragment),
            },
            FOLLOW_ON_FRAGMENT => Self::FollowOn(FollowOn::parse(data)?),
            TERMINATION => Self::Termination { packets: r.u64()?, reason: Reason(r.u8()?), additional: r.rest() },
            RELAY_REQUEST => Self::RelayRequest(data),
            RELAY_RESPONSE => Self::RelayResponse(data),
            RELAY_INTRO => Self::RelayIntro(data),
            PEER_TEST => Self::PeerTest(data),
            NEXT_NONCE => Self::NextNonce(data),
            ACK => Self::Ack(Ack::parse(data)?),
            ADDRESS => Self::Address(parse_address(data)?),
            RELAY_TAG_REQUEST => Self::RelayTagRequest,
            RELAY_TAG => Self::RelayTag(r.u32()?),
            NEW_TOKEN => Self::NewToken { expires: r.u32()?, token: r.u64()? },
            PATH_CHALLENGE => Self::PathChallenge(data),
            PATH_RESPONSE => Self::PathResponse(data),
            FIRST_PACKET_NUMBER => Self::FirstPacketNumber(r.u32()?),
            CONGESTION => {
                let flags = r.u8()?;
                Self::Congestion { immediate_ack: flags & 1 != 0, marked: flags & 2 != 0 }
            }
            PADDING => Self::Padding(data.len()),
            kind => Self::Unknown { kind, data },
        };
        Ok(block)
    }

    /// Appends the block. `Padding` is filled with zeros: inside a sealed packet nobody can tell.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if the data exceeds [`MAX_DATA`]; `out` is as before.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<()> {
        let start = out.len();
        out.put(&[self.kind(), 0, 0]);
        self.write_data(out);
        let len = out.len() - start - HEADER_LEN;
        match u16::try_from(len) {
            Ok(size) if len <= MAX_DATA => {
                out[start + 1..start + HEADER_LEN].copy_from_slice(&size.to_be_bytes());
                Ok(())
            }
            _ => {
                out.truncate(start);
                Err(Error::TooLarge("block"))
            }
        }
    }

    fn write_data(&self, out: &mut Vec<u8>) {
        match self {
            Self::DateTime { seconds } => out.put_u32(*seconds),
            Self::Options(options) => options.write(out),
            Self::RouterInfo(info) => info.write(out),
            Self::I2np(message) | Self::FirstFragment(message) => message.write(out),
            Self::FollowOn(fragment) => {
                out.put_u8(fragment.number << 1 | u8::from(fragment.last));
                out.put_u32(fragment.id.0);
                out.put(fragment.body);
            }
            Self::Termination { packets, reason, additional } => {
                out.put_u64(*packets);
                out.put_u8(reason.0);
                out.put(additional);
            }
            Self::Ack(ack) => ack.write(out),
            Self::Address(address) => write_address(*address, out),
            Self::RelayTagRequest => {}
            Self::RelayTag(tag) => out.put_u32(*tag),
            Self::NewToken { expires, token } => {
                out.put_u32(*expires);
                out.put_u64(*token);
            }
            Self::FirstPacketNumber(number) => out.put_u32(*number),
            Self::Congestion { immediate_ack, marked } => {
                out.put_u8(u8::from(*immediate_ack) | u8::from(*marked) << 1);
            }
            Self::Padding(len) => out.resize(out.len() + (*len).min(MAX_DATA + 1), 0),
            Self::RelayRequest(data)
            | Self::RelayResponse(data)
            | Self::RelayIntro(data)
            | Self::PeerTest(data)
            | Self::NextNonce(data)
            | Self::PathChallenge(data)
            | Self::PathResponse(data)
            | Self::Unknown { data, .. } => out.put(data),
        }
    }

    /// The block's type on the wire.
    pub fn kind(&self) -> u8 {
        match self {
            Self::DateTime { .. } => DATE_TIME,
            Self::Options(_) => OPTIONS,
            Self::RouterInfo(_) => ROUTER_INFO,
            Self::I2np(_) => I2NP,
            Self::FirstFragment(_) => FIRST_FRAGMENT,
            Self::FollowOn(_) => FOLLOW_ON_FRAGMENT,
            Self::Termination { .. } => TERMINATION,
            Self::RelayRequest(_) => RELAY_REQUEST,
            Self::RelayResponse(_) => RELAY_RESPONSE,
            Self::RelayIntro(_) => RELAY_INTRO,
            Self::PeerTest(_) => PEER_TEST,
            Self::NextNonce(_) => NEXT_NONCE,
            Self::Ack(_) => ACK,
            Self::Address(_) => ADDRESS,
            Self::RelayTagRequest => RELAY_TAG_REQUEST,
            Self::RelayTag(_) => RELAY_TAG,
            Self::NewToken { .. } => NEW_TOKEN,
            Self::PathChallenge(_) => PATH_CHALLENGE,
            Self::PathResponse(_) => PATH_RESPONSE,
            Self::FirstPacketNumber(_) => FIRST_PACKET_NUMBER,
            Self::Congestion { .. } => CONGESTION,
            Self::Padding(_) => PADDING,
            Self::Unknown { kind, .. } => *kind,
        }
    }

    /// A packet that holds such a block is to be acknowledged in time.
    ///
    /// spec: ssu2 §Generating ACKs
    pub fn is_ack_eliciting(&self) -> bool {
        !matches!(self.kind(), ACK | ADDRESS | DATE_TIME | PADDING | TERMINATION)
    }
}

/// Reads an endpoint as blocks carry it: the port, then an address of four or sixteen bytes that fills `data`.
///
/// # Errors
/// `Invalid` for any other length.
pub fn parse_address(data: &[u8]) -> Result<SocketAddr> {
    let mut r = Reader::new(data);
    let port = r.u16()?;
    let ip = match r.remaining() {
        4 => IpAddr::from(r.array::<4>()?),
        16 => IpAddr::from(r.array::<16>()?),
        _ => return Err(Error::Invalid("address length")),
    };
    Ok(SocketAddr::new(ip, port))
}

/// Appends an endpoint as [`parse_address`] reads it. An IPv4 address mapped into IPv6 is written as IPv4.
pub fn write_address(address: SocketAddr, out: &mut Vec<u8>) {
    out.put_u16(address.port());
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => out.put(&ip.octets()),
        IpAddr::V6(ip) => out.put(&ip.octets()),
    }
}

/// Iterates over the blocks of a packet. After an error there is no more.
#[derive(Clone, Debug)]
pub struct Blocks<'a> {
    rest: Reader<'a>,
    last: Option<u8>,
}

impl<'a> Blocks<'a> {
    /// Over the plaintext of a packet.
    pub fn new(plaintext: &'a [u8]) -> Self {
        Self { rest: Reader::new(plaintext), last: None }
    }

    /// Where in the plaintext the last block ended.
    pub fn position(&self) -> usize {
        self.rest.position()
    }

    // spec: ssu2 §Block Ordering Rules — padding is last; termination is last except for padding.
    fn admit(&mut self, kind: u8) -> Result<()> {
        match (self.last, kind) {
            (Some(PADDING), _) => return Err(Error::Invalid("block after padding")),
            (Some(TERMINATION), k) if k != PADDING => return Err(Error::Invalid("block after termination")),
            _ => {}
        }
        self.last = Some(kind);
        Ok(())
    }

    fn read(&mut self) -> Result<Block<'a>> {
        let kind = self.rest.u8()?;
        let size = self.rest.u16()?;
        let data = self.rest.take(usize::from(size))?;
        self.admit(kind)?;
        Block::parse(kind, data)
    }
}

impl<'a> Iterator for Blocks<'a> {
    type Item = Result<Block<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let block = self.read();
        if block.is_err() {
            self.rest.rest();
        }
        Some(block)
    }
}

#[cfg(test)]
mod tests;
