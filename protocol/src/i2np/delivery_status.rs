//! DeliveryStatus: a message has arrived.
//!
//! spec: i2np §DeliveryStatus
//!
//! ```text
//! message id 4 | time 8, ms
//! ```

use crate::id::MessageId;
use crate::time::Wall;
use crate::wire::{Reader, Result, Writer};

/// A DeliveryStatus message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeliveryStatus {
    /// The message that arrived, or the reply token of a DatabaseStore.
    pub id: MessageId,
    /// When it arrived, by the clock of the receiver.
    pub time: Wall,
}

impl DeliveryStatus {
    /// Length of a body.
    pub const LEN: usize = 12;

    /// Reads a body.
    ///
    /// # Errors
    /// `Truncated`.
    pub fn parse(body: &[u8]) -> Result<Self> {
        let mut r = Reader::new(body);
        Ok(Self { id: MessageId(r.u32()?), time: Wall(r.u64()?) })
    }

    /// The body.
    pub fn to_body(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(Self::LEN);
        out.put_u32(self.id.0);
        out.put_u64(self.time.0);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_read_back_and_every_prefix_is_truncated(id: u32, time: u64) {
            let status = DeliveryStatus { id: MessageId(id), time: Wall(time) };
            let body = status.to_body();
            prop_assert_eq!(DeliveryStatus::parse(&body), Ok(status));
            for n in 0..body.len() {
                prop_assert!(DeliveryStatus::parse(&body[..n]).is_err());
            }
        }
    }
}
