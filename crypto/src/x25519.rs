//! X25519 with static and ephemeral keys.

use zeroize::{Zeroize, ZeroizeOnDrop};

/// An X25519 private key. Wiped on drop, never printed.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SecretKey([u8; 32]);

/// An X25519 public key, little-endian as on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey(pub [u8; 32]);

/// The other side's public key is a point of small order, so the shared secret would be known to all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SmallOrder;

impl SecretKey {
    /// A key from 32 random bytes; they are clamped when used.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, to be stored.
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0
    }

    /// The public half. One scalar multiplication, about 20 us.
    pub fn public(&self) -> PublicKey {
        let secret = x25519_dalek::StaticSecret::from(self.0);
        PublicKey(x25519_dalek::PublicKey::from(&secret).to_bytes())
    }

    /// The shared secret with `peer`, about 50 us.
    ///
    /// # Errors
    /// [`SmallOrder`] if the peer's key contributes nothing.
    pub fn dh(&self, peer: &PublicKey) -> Result<[u8; 32], SmallOrder> {
        let secret = x25519_dalek::StaticSecret::from(self.0);
        let shared = secret.diffie_hellman(&x25519_dalek::PublicKey::from(peer.0));
        if shared.was_contributory() { Ok(shared.to_bytes()) } else { Err(SmallOrder) }
    }
}

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PublicKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_get_the_same_secret_and_small_order_keys_are_refused() {
        let (a, b) = (SecretKey::from_bytes([1; 32]), SecretKey::from_bytes([2; 32]));
        assert_eq!(a.dh(&b.public()), b.dh(&a.public()));
        assert!(a.dh(&b.public()).is_ok());
        assert_eq!(a.dh(&PublicKey([0; 32])), Err(SmallOrder));
    }
}
