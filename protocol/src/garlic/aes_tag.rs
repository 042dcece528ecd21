//! The old garlic: AES under a session key, named by a 32-byte session tag. Old requesters ask for answers in this "existing session" form;
//! destinations of that age speak so with each other ([`crate::elgamal`]).
//!
//! ```text
//! session tag (32) | AES-256-CBC of:
//!     tag count (2) | tags (32 each) | payload size (4) | SHA-256 of payload (32) | flag (1) | new key (32, if flag 1)
//!     | payload | padding to 16
//! ```
//!
//! The IV is the first half of SHA-256(session tag), or of what stands for the tag where a session begins.
//!
//! spec: elgamal-aes §Existing Session Message Specification, §AES Block

use super::clove::{Clove, CloveDelivery};
use crate::i2np::header::write_std;
use crate::i2np::{Message, MessageType, ShortHeader};
use crate::id::MessageId;
use crate::time::Wall;
use crate::wire::{Error, Reader, Result, Writer};
use ramson_crypto::cbc::Cbc;
use ramson_crypto::hash::sha256;
use rand::Rng;
use rand_chacha::ChaCha20Rng;

/// Bytes of a session tag.
pub const TAG_LEN: usize = 32;
const TAGS_MAX: u16 = 200;
/// spec: i2np §Garlic — the AES block is padded to at least 128 bytes.
const BLOCK_MIN: usize = 128;

/// A clove set of one clove, as garlic of this age carries it. `id` names both the clove and the set.
///
/// # Errors
/// If the message is too large.
pub fn clove_set(delivery: &CloveDelivery, message: &Message, id: MessageId) -> Result<Vec<u8>> {
    let clove = Clove { delivery: *delivery, header: message.header(), body: &message.body };
    let mut out = Vec::with_capacity(message.body.len() + 96);
    write_clove_set(&[clove], id, &mut out)?;
    Ok(out)
}

/// A clove set. `id` names the set and its cloves, and the first clove's expiration is that of the set.
///
/// # Errors
/// If a message is too large, or there are too many.
pub fn write_clove_set(cloves: &[Clove<'_>], id: MessageId, out: &mut Vec<u8>) -> Result<()> {
    out.put_u8(u8::try_from(cloves.len()).map_err(|_| Error::TooLarge("clove set"))?);
    for Clove { delivery, header, body } in cloves {
        delivery.write(out);
        write_std(*header, body, out)?;
        // The clove's id, expiration and null certificate.
        out.put_u32(id.0);
        out.put_u64(header.expiration.0);
        out.put(&[0; 3]);
    }
    // The set's null certificate, id and expiration.
    out.put(&[0; 3]);
    out.put_u32(id.0);
    out.put_u64(cloves.first().map_or(0, |clove| clove.header.expiration.0));
    Ok(())
}

/// Encrypts `payload` (a clove set) under `key`; returns the body of a Garlic message.
pub fn seal(key: &[u8; 32], tag: &[u8; TAG_LEN], payload: &[u8], rng: &mut ChaCha20Rng) -> Vec<u8> {
    let mut body = Vec::with_capacity(payload.len() + 4 + TAG_LEN + BLOCK_MIN);
    body.put_u32(0);
    body.put(tag);
    seal_block(key, tag, &[], payload, &mut body, rng);
    let len = (body.len() - 4) as u32;
    body[..4].copy_from_slice(&len.to_be_bytes());
    body
}

/// Appends the encrypted block: `tags` for messages to come, and `payload`. `pre_iv` is the tag, or what stands for it.
pub fn seal_block(
    key: &[u8; 32],
    pre_iv: &[u8; TAG_LEN],
    tags: &[[u8; TAG_LEN]],
    payload: &[u8],
    out: &mut Vec<u8>,
    rng: &mut ChaCha20Rng,
) {
    let from = out.len();
    out.put_u16(u16::try_from(tags.len()).unwrap_or(u16::MAX));
    out.put(tags.as_flattened());
    out.put_u32(payload.len() as u32);
    out.put(&sha256(&[payload]));
    out.put_u8(0);
    out.put(payload);
    let padded = (out.len() - from).next_multiple_of(16).max(BLOCK_MIN);
    let end = out.len();
    out.resize(from + padded, 0);
    rng.fill_bytes(&mut out[end..]);
    Cbc::new(key).encrypt(&iv(pre_iv), &mut out[from..]);
}

/// Opens the encrypted bytes of a Garlic message whose tag is `tag`; the payload is the returned part.
///
/// # Errors
/// If it is not of this form, or its payload does not match its hash.
pub fn open<'a>(key: &[u8; 32], data: &'a mut [u8]) -> Result<&'a [u8]> {
    let have = data.len();
    let (tag, block) = data.split_first_chunk_mut::<TAG_LEN>().ok_or(Error::Truncated { need: TAG_LEN, have })?;
    open_block(key, tag, block).map(|(_, payload)| payload)
}

/// Opens the encrypted block: tags for messages to come, and the payload.
///
/// # Errors
/// If it is not of this form, or its payload does not match its hash.
pub fn open_block<'a>(
    key: &[u8; 32],
    pre_iv: &[u8; TAG_LEN],
    block: &'a mut [u8],
) -> Result<(&'a [[u8; TAG_LEN]], &'a [u8])> {
    if !block.len().is_multiple_of(16) {
        return Err(Error::Invalid("AES block length"));
    }
    Cbc::new(key).decrypt(&iv(pre_iv), block);
    let mut r = Reader::new(block);
    let count = r.u16()?;
    if count > TAGS_MAX {
        return Err(Error::TooLarge("session tags"));
    }
    let tags = r.take(usize::from(count) * TAG_LEN)?;
    let size = usize::try_from(r.u32()?).unwrap_or(usize::MAX);
    let hash = r.array::<32>()?;
    match r.u8()? {
        0 => {}
        1 => _ = r.take(32)?,
        _ => return Err(Error::Invalid("AES block flag")),
    }
    let payload = r.take(size)?;
    if sha256(&[payload]) == hash { Ok((tags.as_chunks().0, payload)) } else { Err(Error::Invalid("AES block hash")) }
}

/// The cloves of a clove set, as [`Clove`]s whose body is what follows the I2NP header.
///
/// # Errors
/// If anything in it is malformed; cloves read before that are lost.
pub fn parse_clove_set(payload: &[u8]) -> Result<Vec<Clove<'_>>> {
    let mut r = Reader::new(payload);
    let count = r.u8()?;
    let mut cloves = Vec::new();
    for _ in 0..count {
        let delivery = CloveDelivery::parse(&mut r)?;
        let (kind, id, expiration) = (MessageType::from_code(r.u8()?), MessageId(r.u32()?), Wall(r.u64()?));
        let (size, _checksum) = (r.u16()?, r.u8()?);
        let body = r.take(size.into())?;
        r.take(4 + 8 + 3)?;
        cloves.push(Clove { delivery, header: ShortHeader { kind, id, expiration }, body });
    }
    Ok(cloves)
}

fn iv(tag: &[u8; TAG_LEN]) -> [u8; 16] {
    let hash = sha256(&[tag]);
    std::array::from_fn(|i| hash[i])
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn a_reply_in_the_old_form_comes_back_and_a_damaged_one_does_not() {
        let message = Message {
            kind: MessageType::DatabaseSearchReply,
            id: MessageId(7),
            expiration: Wall(99_000),
            body: b"body"[..].into(),
        };
        let set = clove_set(&CloveDelivery::Local, &message, MessageId(5)).unwrap();
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        let body = seal(&[1; 32], &[2; 32], &set, &mut rng);
        assert_eq!((body.len() - 4 - 32) % 16, 0);
        let mut data = crate::i2np::garlic::parse(&body.into()).unwrap().to_vec();
        let mut bad = data.clone();
        bad[60] ^= 1;
        assert!(open(&[1; 32], &mut bad).is_err());
        let payload = open(&[1; 32], &mut data).unwrap();
        let cloves = parse_clove_set(payload).unwrap();
        assert_eq!(cloves.len(), 1);
        assert_eq!((cloves[0].header, cloves[0].body), (message.header(), &b"body"[..]));
        for cut in 0..payload.len() {
            let _ = parse_clove_set(&payload[..cut]);
        }
    }

    #[test]
    fn garbage_is_refused() {
        for len in [0, 31, 32, 33, 48, 160] {
            assert!(open(&[1; 32], &mut vec![0x5a; len]).is_err());
        }
    }
}
