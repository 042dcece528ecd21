//! The tunnel data message: 1028 bytes, whatever is in it.
//!
//! ```text
//! message, encrypted    tunnel id (4) | IV (16) | data (1008)
//! data, decrypted       checksum (4) | nonzero padding | 0x00 | payload (at most 1003)
//! ```
//!
//! The checksum is the first four bytes of SHA-256(payload ‖ IV). "Body" below is IV and data: what the tunnel layer
//! works on.
//!
//! spec: tunnel-message §Tunnel Message (Encrypted), §Tunnel Message (Decrypted)

use crate::id::TunnelId;
use crate::wire::{Error, Result};
use ramson_crypto::hash::sha256;
pub use ramson_crypto::tunnel::{BODY_LEN, DATA_LEN, IV_LEN};
use rand::Rng;
use rand_chacha::ChaCha20Rng;

/// Bytes of a tunnel data message.
pub const MESSAGE_LEN: usize = 4 + BODY_LEN;
/// Bytes of the checksum.
pub const CHECKSUM_LEN: usize = 4;
/// The largest payload: what is left after checksum and zero byte.
pub const PAYLOAD_MAX: usize = DATA_LEN - CHECKSUM_LEN - 1;

/// IV and data of a cell.
pub type Body = [u8; BODY_LEN];

/// Splits a tunnel data message into its tunnel id and body.
///
/// # Errors
/// If it is not 1028 bytes long, or its tunnel id is zero.
pub fn parse(message: &[u8]) -> Result<(TunnelId, &Body)> {
    let (id, rest) = message.split_first_chunk::<4>().ok_or(Error::Truncated { need: 4, have: message.len() })?;
    let id = u32::from_be_bytes(*id);
    let body = rest.try_into().map_err(|_| match rest.len() {
        have @ 0..BODY_LEN => Error::Truncated { need: BODY_LEN, have },
        more => Error::Trailing(more - BODY_LEN),
    })?;
    if id == 0 { Err(Error::Invalid("tunnel id")) } else { Ok((TunnelId(id), body)) }
}

/// Writes a plaintext cell: a random IV, the checksum, random nonzero padding, and `payload` at the end.
///
/// # Errors
/// If the payload is longer than [`PAYLOAD_MAX`]; `body` is then unchanged.
pub fn write(payload: &[u8], rng: &mut ChaCha20Rng, body: &mut Body) -> Result<()> {
    let padding = PAYLOAD_MAX.checked_sub(payload.len()).ok_or(Error::TooLarge("cell payload"))?;
    let (iv, data) = body.split_at_mut(IV_LEN);
    rng.fill_bytes(iv);
    data[..CHECKSUM_LEN].copy_from_slice(&sha256(&[payload, iv])[..CHECKSUM_LEN]);
    let (pad, rest) = data[CHECKSUM_LEN..].split_at_mut(padding);
    rng.fill_bytes(pad);
    for byte in pad.iter_mut().filter(|byte| **byte == 0) {
        *byte = rng.next_u32() as u8 | 1;
    }
    rest[0] = 0;
    rest[1..].copy_from_slice(payload);
    Ok(())
}

/// The payload of a plaintext cell, its checksum verified.
///
/// # Errors
/// If there is no zero byte or the checksum does not match: the cell was damaged, or decrypted under other keys.
pub fn payload(body: &Body) -> Result<&[u8]> {
    let (iv, data) = body.split_at(IV_LEN);
    let (checksum, padded) = data.split_at(CHECKSUM_LEN);
    let zero = padded.iter().position(|byte| *byte == 0).ok_or(Error::Invalid("cell padding"))?;
    let payload = &padded[zero + 1..];
    if sha256(&[payload, iv])[..CHECKSUM_LEN] == *checksum { Ok(payload) } else { Err(Error::Invalid("cell checksum")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn every_payload_length_comes_back() {
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        for len in [0, 1, 2, 500, PAYLOAD_MAX - 1, PAYLOAD_MAX] {
            let payload: Vec<u8> = (0..len).map(|i| i as u8).collect();
            let mut body = [0; BODY_LEN];
            write(&payload, &mut rng, &mut body).unwrap();
            assert_eq!(super::payload(&body).unwrap(), payload);
        }
        assert_eq!(write(&[0; PAYLOAD_MAX + 1], &mut rng, &mut [0; BODY_LEN]), Err(Error::TooLarge("cell payload")));
    }

    #[test]
    fn a_cell_laid_out_by_hand_is_read() {
        let mut body = [0xee; BODY_LEN];
        body[BODY_LEN - 4..].copy_from_slice(b"\0abc");
        let sum = sha256(&[b"abc", &[0xee; 16]]);
        body[16..20].copy_from_slice(&sum[..4]);
        assert_eq!(payload(&body).unwrap(), b"abc");
    }

    #[test]
    fn a_flipped_bit_in_iv_checksum_or_payload_is_noticed() {
        let mut rng = ChaCha20Rng::from_seed([2; 32]);
        let mut body = [0; BODY_LEN];
        write(&[7; 900], &mut rng, &mut body).unwrap();
        for at in [0, 15, 16, 19, BODY_LEN - 900, BODY_LEN - 1] {
            let mut bad = body;
            bad[at] ^= 0x10;
            assert!(payload(&bad).is_err(), "byte {at}");
        }
        assert_eq!(payload(&[1; BODY_LEN]), Err(Error::Invalid("cell padding")));
    }

    #[test]
    fn only_1028_bytes_with_a_nonzero_id_are_a_message() {
        let mut message = vec![0; MESSAGE_LEN];
        assert_eq!(parse(&message), Err(Error::Invalid("tunnel id")));
        message[3] = 9;
        assert_eq!(parse(&message).unwrap().0, TunnelId(9));
        assert_eq!(parse(&message[..3]), Err(Error::Truncated { need: 4, have: 3 }));
        assert_eq!(parse(&message[..1027]), Err(Error::Truncated { need: 1024, have: 1023 }));
        message.push(0);
        assert_eq!(parse(&message), Err(Error::Trailing(1)));
    }
}
