//! TunnelGateway: a message to be sent down a tunnel that begins at the receiver.
//!
//! spec: i2np §TunnelGateway
//!
//! ```text
//! tunnel 4 | length 2 | I2NP message with a standard header
//! ```

use super::header::Message;
use crate::id::TunnelId;
use crate::wire::{Error, Reader, Result, Writer};
use bytes::Bytes;

/// A TunnelGateway message. The gateway fragments the inner message without looking into it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TunnelGateway {
    /// The tunnel at the receiver. Not zero.
    pub tunnel: TunnelId,
    /// A message with its standard header.
    pub message: Bytes,
}

impl TunnelGateway {
    /// Splits a body into the tunnel at the receiver and the message, which has a standard header.
    ///
    /// # Errors
    /// `Truncated`, `Trailing`; `Invalid` for tunnel zero.
    pub fn split(body: &[u8]) -> Result<(TunnelId, &[u8])> {
        let mut r = Reader::new(body);
        let tunnel = TunnelId(r.u32()?);
        let len = r.u16()?;
        let message = r.take(usize::from(len))?;
        r.finish()?;
        if tunnel == TunnelId(0) { Err(Error::Invalid("tunnel")) } else { Ok((tunnel, message)) }
    }

    /// Reads a body, sharing its bytes.
    ///
    /// # Errors
    /// As [`TunnelGateway::split`].
    pub fn parse(body: &Bytes) -> Result<Self> {
        let (tunnel, message) = Self::split(body)?;
        Ok(Self { tunnel, message: body.slice_ref(message) })
    }

    /// The body around `message`.
    ///
    /// # Errors
    /// `TooLarge`.
    pub fn wrap(tunnel: TunnelId, message: &Message) -> Result<Bytes> {
        let mut out = Vec::with_capacity(6 + super::header::STANDARD_LEN + message.body.len());
        out.put_u32(tunnel.0);
        let len = super::header::STANDARD_LEN + message.body.len();
        out.put_u16(u16::try_from(len).map_err(|_| Error::TooLarge("I2NP message"))?);
        message.write_std(&mut out)?;
        Ok(out.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::i2np::MessageType;
    use crate::id::MessageId;
    use crate::time::Wall;

    #[test]
    fn a_wrapped_message_is_read_back_and_every_prefix_is_truncated() {
        let inner = Message {
            kind: MessageType::Garlic,
            id: MessageId(5),
            expiration: Wall(7000),
            body: Bytes::from_static(b"12345678"),
        };
        let body = TunnelGateway::wrap(TunnelId(9), &inner).unwrap();
        let gateway = TunnelGateway::parse(&body).unwrap();
        assert_eq!(gateway.tunnel, TunnelId(9));
        assert_eq!(Message::from_std(&gateway.message), Ok(inner));
        for n in 0..body.len() {
            assert!(matches!(TunnelGateway::parse(&body.slice(..n)), Err(Error::Truncated { .. })));
        }
    }
}
