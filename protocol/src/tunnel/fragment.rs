//! The gateway side: I2NP messages into cells.
//!
//! Messages (with the 16-byte standard header) are pushed one after another; small ones share a cell, large ones are
//! cut. Nothing is kept back between turns: after the turn's last message the owner flushes. Cells are written into
//! buffers that the owner hands out through [`Sink`], so that they can lie in the next hop's staging buffer at once.
//!
//! spec: tunnel-message §Message Preprocessing, §I2NP Message Maximum Size; tunnel-implementation §Gateway Processing

use super::cell::{self, Body, PAYLOAD_MAX};
use super::delivery::{self, Delivery, FOLLOW_ON_LEN, FRAGMENT_MAX};
use crate::i2np::Message;
use crate::i2np::header::{STANDARD_LEN, standard};
use crate::wire::Writer;
use rand::Rng;
use rand_chacha::ChaCha20Rng;

/// The most bytes of a message that one follow-on cell carries.
pub const FOLLOW_ON_MAX: usize = PAYLOAD_MAX - FOLLOW_ON_LEN;

/// A message that has to be cut anyway begins in a started cell if at least so many bytes of it fit there. Below that
/// the instructions cost more than the room is worth.
const WORTH_STARTING: usize = 100;
const _: () = assert!(STANDARD_LEN < WORTH_STARTING);

/// Where finished cells go.
pub trait Sink {
    /// The buffer of the next cell, or `None` if there is no room: the cell is dropped.
    fn next(&mut self) -> Option<&mut Body>;
}

impl Sink for Vec<Body> {
    fn next(&mut self) -> Option<&mut Body> {
        self.push([0; cell::BODY_LEN]);
        self.last_mut()
    }
}

/// Why a message did not go into the tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PackError {
    /// It would need more than 64 fragments.
    #[error("message too long for a tunnel")]
    TooLong,
    /// It has no byte.
    #[error("empty message")]
    Empty,
    /// The sink had no room for a cell, which is lost with all that was in it.
    #[error("no room for a cell")]
    Full,
}

/// Packs messages into the cells of one tunnel.
pub struct Packer {
    payload: [u8; PAYLOAD_MAX],
    used: usize,
}

impl Packer {
    /// A packer with nothing in it.
    pub fn new() -> Self {
        Self { payload: [0; PAYLOAD_MAX], used: 0 }
    }

    /// True if there is nothing to flush.
    pub fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// Adds one message. Cells that are full go to `sink`; what is left waits for the next message or for
    /// [`Packer::flush`].
    ///
    /// # Errors
    /// See [`PackError`]. Messages pushed before an `Empty` or `TooLong` one are not affected.
    pub fn push(
        &mut self,
        to: &Delivery,
        message: &[u8],
        rng: &mut ChaCha20Rng,
        sink: &mut impl Sink,
    ) -> Result<(), PackError> {
        self.push_parts(to, &[], message, rng, sink)
    }

    /// The same with a message whose standard header does not lie before its body.
    ///
    /// # Errors
    /// See [`Packer::push`]; `TooLong` also if it is too long for an I2NP message.
    pub fn push_message(
        &mut self,
        to: &Delivery,
        message: &Message,
        rng: &mut ChaCha20Rng,
        sink: &mut impl Sink,
    ) -> Result<(), PackError> {
        let header = standard(message.header(), &message.body).map_err(|_| PackError::TooLong)?;
        self.push_parts(to, &header, &message.body, rng, sink)
    }

    /// A message in two parts, of which the first is empty or a header.
    fn push_parts(
        &mut self,
        to: &Delivery,
        header: &[u8],
        body: &[u8],
        rng: &mut ChaCha20Rng,
        sink: &mut impl Sink,
    ) -> Result<(), PackError> {
        let len = header.len() + body.len();
        if len == 0 {
            return Err(PackError::Empty);
        }
        let whole = to.encoded_len(false) + len;
        if whole > PAYLOAD_MAX {
            return self.push_fragmented(to, header, body, rng, sink);
        }
        if whole > self.room() {
            self.flush(rng, sink)?;
        }
        to.write(None, len as u16, self);
        self.put(header);
        self.put(body);
        Ok(())
    }

    /// Writes what is left, if anything, as one padded cell. To be called after the last message of a turn.
    ///
    /// # Errors
    /// [`PackError::Full`] if the sink has no room; the packer is empty afterwards in any case.
    pub fn flush(&mut self, rng: &mut ChaCha20Rng, sink: &mut impl Sink) -> Result<(), PackError> {
        let used = std::mem::take(&mut self.used);
        if used == 0 {
            return Ok(());
        }
        let body = sink.next().ok_or(PackError::Full)?;
        cell::write(&self.payload[..used], rng, body).map_err(|_| PackError::TooLong)
    }

    fn push_fragmented(
        &mut self,
        to: &Delivery,
        header: &[u8],
        body: &[u8],
        rng: &mut ChaCha20Rng,
        sink: &mut impl Sink,
    ) -> Result<(), PackError> {
        let head = to.encoded_len(true);
        let start_here = self.room() >= head + WORTH_STARTING;
        let first_len = if start_here { self.room() - head } else { PAYLOAD_MAX - head };
        // The header is shorter than what is worth starting, and all is longer than what is left of a cell.
        let cut = first_len.checked_sub(header.len()).and_then(|len| body.split_at_checked(len));
        let (first, rest) = cut.ok_or(PackError::TooLong)?;
        let follow_ons = rest.len().div_ceil(FOLLOW_ON_MAX);
        // spec: tunnel-message §I2NP Message Maximum Size
        if follow_ons > usize::from(FRAGMENT_MAX) {
            return Err(PackError::TooLong);
        }
        if !start_here {
            self.flush(rng, sink)?;
        }
        // A random name, not the message's own id: an inbound gateway packs messages of strangers, whose ids may clash.
        let id = rng.next_u32();
        to.write(Some(id), first_len as u16, self);
        self.put(header);
        self.put(first);
        for (number, part) in (1..).zip(rest.chunks(FOLLOW_ON_MAX)) {
            self.flush(rng, sink)?;
            delivery::write_follow_on(id, number, usize::from(number) == follow_ons, part.len() as u16, self);
            self.put(part);
        }
        Ok(())
    }

    fn room(&self) -> usize {
        PAYLOAD_MAX - self.used
    }
}

impl Default for Packer {
    fn default() -> Self {
        Self::new()
    }
}

impl Writer for Packer {
    /// Bytes beyond the room would be cut; `push` has computed that there are none.
    fn put(&mut self, bytes: &[u8]) {
        let bytes = &bytes[..bytes.len().min(self.room())];
        self.payload[self.used..self.used + bytes.len()].copy_from_slice(bytes);
        self.used += bytes.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{RouterHash, TunnelId};
    use rand::SeedableRng;

    fn pack(messages: &[(Delivery, Vec<u8>)]) -> Vec<Body> {
        let (mut rng, mut cells, mut packer) = (ChaCha20Rng::from_seed([1; 32]), Vec::new(), Packer::new());
        for (to, message) in messages {
            packer.push(to, message, &mut rng, &mut cells).unwrap();
        }
        packer.flush(&mut rng, &mut cells).unwrap();
        cells
    }

    #[test]
    fn small_messages_share_a_cell_and_exact_ones_fill_it() {
        let to = Delivery::Tunnel(RouterHash([1; 32]), TunnelId(5));
        assert_eq!(pack(&vec![(to, vec![1; 100]); 7]).len(), 1);
        assert_eq!(pack(&vec![(to, vec![1; 100]); 8]).len(), 2);
        assert_eq!(pack(&[(to, vec![1; PAYLOAD_MAX - 39])]).len(), 1);
        assert_eq!(pack(&[(to, vec![1; PAYLOAD_MAX - 38])]).len(), 2);
        assert_eq!(pack(&[]).len(), 0);
    }

    #[test]
    fn the_largest_message_takes_64_cells_and_one_byte_more_is_refused() {
        let to = Delivery::Local;
        let max = PAYLOAD_MAX - 7 + 63 * FOLLOW_ON_MAX;
        assert_eq!(pack(&[(to, vec![1; max])]).len(), 64);
        let (mut rng, mut cells, mut packer) = (ChaCha20Rng::from_seed([1; 32]), Vec::new(), Packer::new());
        let push = packer.push(&to, &vec![1; max + 1], &mut rng, &mut cells);
        assert_eq!((push, cells.len(), packer.is_empty()), (Err(PackError::TooLong), 0, true));
        assert_eq!(packer.push(&to, &[], &mut rng, &mut cells), Err(PackError::Empty));
    }

    #[test]
    fn a_full_sink_drops_and_says_so() {
        struct Full;
        impl Sink for Full {
            fn next(&mut self) -> Option<&mut Body> {
                None
            }
        }
        let (mut rng, mut packer) = (ChaCha20Rng::from_seed([1; 32]), Packer::new());
        assert_eq!(packer.push(&Delivery::Local, &[1; 5000], &mut rng, &mut Full), Err(PackError::Full));
        assert!(packer.is_empty());
    }
}
