//! One tunnel through the router under test: its cells made, and checked when they come back.
//!
//! ```text
//! text       number (8) | sent at, ns (8) | pattern
//! participant         the body of a cell: IV (16) | text
//! outbound endpoint   a Data message with the text, in a cell from which the router's layer is taken off beforehand
//! inbound gateway     a Data message with the text, in a TunnelGateway message
//! ```
//!
//! spec: tunnel-message; tunnel-implementation

use crate::peer::{Outcome, Sealed};
use ramson_crypto::tunnel::{BODY_LEN, IV_LEN, LayerCipher, decrypt_batch};
use ramson_protocol::i2np::MessageType;
use ramson_protocol::i2np::header::STANDARD_LEN;
use ramson_protocol::id::{MessageId, RouterHash};
use ramson_protocol::link::block::I2np;
use ramson_protocol::ntcp2::block::write_i2np_header;
use ramson_protocol::time::Wall;
use ramson_protocol::tunnel::cell::{self, PAYLOAD_MAX};
use ramson_protocol::tunnel::delivery::{self, Fragment};
use ramson_protocol::tunnel::{Delivery, Role};
use ramson_protocol::wire::{Reader, Writer};
use rand::Rng;
use rand_chacha::ChaCha20Rng;
use std::time::Duration;

/// Number and time at the front of a text.
const HEAD: usize = 16;

/// How long a message may be on its way, in seconds. Whole seconds are cut off, hence one more.
const LIFETIME_SECS: u32 = 9;

/// The text in the body of a cell, the longest.
const TEXT_MAX: usize = BODY_LEN - IV_LEN;

/// A tunnel.
pub(super) struct Tunnel {
    /// Who sends into it.
    pub(super) from: usize,
    /// Who gets what comes out.
    pub(super) to: usize,
    /// The hash of that peer.
    pub(super) to_hash: RouterHash,
    pub(super) build: Sealed,
    /// It sends less than others.
    pub(super) small: bool,
    cipher: LayerCipher,
    iv: u128,
    pub(super) sent: u64,
    sent_before: u64,
    pub(super) received: u64,
    /// The number of the next text if none is lost.
    expected: u64,
}

/// What came back.
pub(super) struct Arrival {
    /// How long it was on its way.
    pub(super) latency: Duration,
    /// Numbers between the one before and this one.
    pub(super) skipped: u64,
    /// It came after a later one.
    pub(super) late: bool,
}

/// What all tunnels of a thread use.
pub(super) struct Making<'a> {
    pub(super) rng: &'a mut ChaCha20Rng,
    pub(super) pattern: &'a [u8; TEXT_MAX],
    /// Now, since the start.
    pub(super) mono: Duration,
    pub(super) wall: Wall,
}

/// The pattern of a thread's texts.
pub(super) fn pattern(rng: &mut ChaCha20Rng) -> Box<[u8; TEXT_MAX]> {
    let mut pattern = Box::new([0; TEXT_MAX]);
    rng.fill_bytes(&mut pattern[..]);
    pattern
}

impl Tunnel {
    pub(super) fn new(from: usize, to: usize, to_hash: RouterHash, build: Sealed, rng: &mut ChaCha20Rng) -> Self {
        let iv = u128::from(rng.next_u64()) << 64 | u128::from(rng.next_u64());
        Self {
            from,
            to,
            to_hash,
            cipher: build.cipher(),
            build,
            small: false,
            iv,
            sent: 0,
            sent_before: 0,
            received: 0,
            expected: 0,
        }
    }

    /// Texts sent since the last restart.
    pub(super) fn counted(&self) -> u64 {
        self.sent - self.sent_before
    }

    /// Counts anew from here.
    pub(super) fn restart(&mut self) {
        self.received = 0;
        // What is sent is also the number of the next text, so that goes on.
        self.sent_before = self.sent;
    }

    /// Appends the next message into the tunnel to the blocks of a frame.
    pub(super) fn make(&mut self, making: &mut Making<'_>, out: &mut Vec<u8>) -> Outcome<()> {
        let mut head = [0; HEAD];
        head[..8].copy_from_slice(&self.sent.to_be_bytes());
        head[8..].copy_from_slice(&u64::try_from(making.mono.as_nanos())?.to_be_bytes());
        self.sent += 1;
        let (id, expiration) = (MessageId(making.rng.next_u32()), making.wall.secs() + LIFETIME_SECS);
        match self.build.request.role {
            Role::Participant => {
                self.iv = self.iv.wrapping_add(1);
                write_i2np_header(out, MessageType::TunnelData.code(), id, expiration, 4 + BODY_LEN)?;
                out.put_u32(self.build.request.receive.0);
                out.put(&self.iv.to_be_bytes());
                out.put(&head);
                out.put(&making.pattern[HEAD..]);
            }
            Role::OutboundEndpoint => {
                let to = Delivery::Tunnel(self.to_hash, self.build.request.next_tunnel);
                let len = PAYLOAD_MAX - to.encoded_len(false);
                let mut payload = Vec::with_capacity(PAYLOAD_MAX);
                to.write(None, u16::try_from(len)?, &mut payload);
                data_message(making, &head, len, &mut payload);
                let mut body = [0; BODY_LEN];
                cell::write(&payload, making.rng, &mut body)?;
                decrypt_batch(&mut [(&self.cipher, &mut body)]);
                write_i2np_header(out, MessageType::TunnelData.code(), id, expiration, 4 + BODY_LEN)?;
                out.put_u32(self.build.request.receive.0);
                out.put(&body);
            }
            Role::InboundGateway => {
                let len = PAYLOAD_MAX - Delivery::Local.encoded_len(false);
                write_i2np_header(out, MessageType::TunnelGateway.code(), id, expiration, 6 + len)?;
                out.put_u32(self.build.request.receive.0);
                out.put_u16(u16::try_from(len)?);
                data_message(making, &head, len, out);
            }
        }
        Ok(())
    }

    /// Checks a message that came back under our number; `None` if it is not what we sent.
    pub(super) fn check(&mut self, message: &I2np<'_>, pattern: &[u8; TEXT_MAX], mono: Duration) -> Option<Arrival> {
        let mut body = [0; BODY_LEN];
        let text = match self.build.request.role {
            Role::OutboundEndpoint => message.body.get(6 + STANDARD_LEN..)?,
            role => {
                body.copy_from_slice(message.body.get(4..4 + BODY_LEN)?);
                decrypt_batch(&mut [(&self.cipher, &mut body)]);
                if role == Role::Participant {
                    &body[IV_LEN..]
                } else {
                    match delivery::parse(&mut Reader::new(cell::payload(&body).ok()?)).ok()? {
                        Fragment::Whole { delivery: Delivery::Local, data } => data.get(STANDARD_LEN..)?,
                        _ => return None,
                    }
                }
            }
        };
        let (head, rest) = text.split_first_chunk::<HEAD>()?;
        if rest != pattern.get(HEAD..HEAD + rest.len())? || rest.len() < TEXT_MAX / 2 {
            return None;
        }
        let word = |from: usize| u64::from_be_bytes(std::array::from_fn(|i| head[from + i]));
        let (number, sent) = (word(0), Duration::from_nanos(word(8)));
        if number >= self.sent {
            return None;
        }
        self.received += 1;
        let late = number < self.expected;
        let skipped = number.saturating_sub(self.expected);
        self.expected = self.expected.max(number + 1);
        Some(Arrival { latency: mono.saturating_sub(sent), skipped, late })
    }
}

/// A Data message with a standard header, `len` bytes in all. Its checksum is nobody's business: links authenticate.
fn data_message(making: &mut Making<'_>, head: &[u8; HEAD], len: usize, out: &mut Vec<u8>) {
    let body = len - STANDARD_LEN;
    out.put_u8(MessageType::Data.code());
    out.put_u32(making.rng.next_u32());
    out.put_u64(making.wall.0 + 1000 * u64::from(LIFETIME_SECS));
    out.put_u16(body as u16);
    out.put_u8(0);
    out.put(head);
    out.put(&making.pattern[HEAD..body]);
}
