//! The keys that SSU2 derives from its Noise state beside Noise's own.
//!
//! spec: ssu2 §KDF for Session Created and Session Confirmed part 1, §KDF for data phase

use super::header::MaskKey;
use crate::link::role::Role;
use crate::noise::Symmetric;
use ramson_crypto::hash::{hkdf1, hkdf2};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// The keys of one direction of the data phase. Wiped on drop.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct DataKeys {
    /// Seals the payload; the nonce is the packet number, the associated data the header.
    pub k_data: [u8; 32],
    /// Protects bytes 8..16 of the header. Bytes 0..8 are under the receiver's introduction key.
    pub k_header_2: MaskKey,
}

impl DataKeys {
    fn new(direction: &[u8; 32]) -> Self {
        let (k_data, k_header_2) = hkdf2(direction, &[], b"HKDFSSU2DataKeys");
        Self { k_data, k_header_2: MaskKey::new(k_header_2) }
    }

    /// What we receive with and what we send with, from a handshake whose last message is mixed in.
    pub fn split(noise: &Symmetric, role: Role) -> (Self, Self) {
        let (mut ab, mut ba) = noise.split();
        let (to_responder, to_initiator) = (Self::new(&ab), Self::new(&ba));
        ab.zeroize();
        ba.zeroize();
        match role {
            Role::Initiator => (to_initiator, to_responder),
            Role::Responder => (to_responder, to_initiator),
        }
    }
}

impl std::fmt::Debug for DataKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DataKeys(..)")
    }
}

/// `k_header_2` of the SessionCreated, once the SessionRequest's key is mixed in.
pub fn created_header(noise: &Symmetric) -> MaskKey {
    MaskKey::new(hkdf1(noise.chaining_key(), &[], b"SessCreateHeader"))
}

/// `k_header_2` of the SessionConfirmed, once the SessionCreated's key is mixed in.
pub fn confirmed_header(noise: &Symmetric) -> MaskKey {
    MaskKey::new(hkdf1(noise.chaining_key(), &[], b"SessionConfirmed"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::{Initial, SSU2_XK};

    #[test]
    fn what_one_side_sends_with_the_other_receives_with() {
        let mut noise = Symmetric::new(&Initial::of(SSU2_XK));
        noise.mix_key(&[7; 32]);
        let (alice_receives, alice_sends) = DataKeys::split(&noise, Role::Initiator);
        let (bob_receives, bob_sends) = DataKeys::split(&noise, Role::Responder);
        assert_eq!(alice_receives.k_data, bob_sends.k_data);
        assert_eq!(alice_sends.k_data, bob_receives.k_data);
        assert_eq!(alice_sends.k_header_2, bob_receives.k_header_2);
        assert_ne!(alice_sends.k_data, alice_receives.k_data);
        let mut different = vec![alice_sends.k_header_2.clone(), alice_receives.k_header_2.clone()];
        different.extend([created_header(&noise), confirmed_header(&noise)]);
        assert!((1..4).all(|i| !different[..i].contains(&different[i])));
    }
}
