//! Message 1 with whatever in it.
//!
//! spec: ntcp2 §1) SessionRequest

use crate::peer::{Outcome, Target, now};
use ramson_crypto::cbc::Cbc;
use ramson_crypto::x25519::SecretKey;
use ramson_protocol::link::skew::nearest_second;
use ramson_protocol::noise::{INITIAL_NTCP2, Symmetric};
use ramson_protocol::ntcp2::VERSION;
use ramson_protocol::ntcp2::options::RequestOptions;
use rand::Rng;
use rand_chacha::ChaCha20Rng;

/// Options that a router with a RouterInfo of ordinary size would send.
pub(super) fn usual(target: &Target) -> RequestOptions {
    let timestamp = nearest_second(now().wall);
    RequestOptions { net_id: target.net_id, version: VERSION, padding: 32, part_2: 700, timestamp }
}

/// Message 1 with these options, and its padding.
pub(super) fn message_1(target: &Target, options: RequestOptions, rng: &mut ChaCha20Rng) -> Outcome<Vec<u8>> {
    let ntcp2 = target.ntcp2()?;
    let mut secret = [0; 32];
    rng.fill_bytes(&mut secret);
    let ephemeral = SecretKey::from_bytes(secret);
    let mut x = ephemeral.public().0;
    let mut noise = Symmetric::new(&INITIAL_NTCP2);
    noise.mix_hash(&ntcp2.static_key.0);
    noise.mix_hash(&x);
    noise.mix_key(&ephemeral.dh(&ntcp2.static_key).map_err(|_| "the router's static key is none")?);
    Cbc::new(&target.hash.0).encrypt(&ntcp2.iv, &mut x);
    let mut out = x.to_vec();
    options.write(&mut out);
    noise.encrypt_and_hash_vec(&mut out, 32);
    let end = out.len();
    out.resize(end + usize::from(options.padding), 0);
    rng.fill_bytes(&mut out[end..]);
    Ok(out)
}

/// Random bytes that hide a key which could be one: they fail by their tag, not by the key's top bit.
pub(super) fn plausible_noise(target: &Target, len: usize, rng: &mut ChaCha20Rng) -> Outcome<Vec<u8>> {
    let mut out = vec![0; len];
    rng.fill_bytes(&mut out);
    if let Some(x) = out.first_chunk_mut::<32>() {
        x[31] &= 0x7f;
        Cbc::new(&target.hash.0).encrypt(&target.ntcp2()?.iv, x);
    }
    Ok(out)
}
