//! Addresses: hashes of destinations.

use ramson_protocol::b32::B32;
use ramson_protocol::data::keys_and_cert::Destination;
use ramson_protocol::id::DestinationHash;
use ramson_protocol::sam::session::decode;
use std::fmt;
use std::str::FromStr;

/// Who a destination is: the hash of its keys, written as `….b32.i2p`.
///
/// It is also read from a whole destination in base 64, as other routers and programs show it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address(pub(crate) DestinationHash);

/// A text that is no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// It is neither `….b32.i2p` nor a destination in base 64.
    #[error("this is neither a .b32.i2p address nor a destination in base 64; names are looked up by Node::lookup")]
    Malformed,
    /// It is the address of a destination whose lease set is encrypted: who that is says the lease set alone.
    #[error("this is the address of an encrypted lease set, which Destination::find looks up")]
    Encrypted,
}

impl Address {
    /// The hash itself.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0.0
    }

    /// The address with this hash.
    pub fn from_bytes(hash: [u8; 32]) -> Self {
        Self(DestinationHash(hash))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_b32())
    }
}

/// Without the hash: what is debugged ends up in logs.
impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Address(..)")
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        match B32::parse(&text.to_ascii_lowercase()) {
            Ok(B32::Hash(hash)) => return Ok(Self(hash)),
            Ok(B32::Blinded(_)) => return Err(AddressError::Encrypted),
            Err(_) => {}
        }
        let destination = decode(text).and_then(|bytes| Destination::from_bytes(bytes.into()).ok());
        destination.map(|destination| Self(destination.hash())).ok_or(AddressError::Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ramson_protocol::base64;
    use ramson_protocol::data::private_keys::PrivateKeys;

    #[test]
    fn an_address_is_read_as_it_is_written_and_from_a_whole_destination() {
        let keys = PrivateKeys::generate([1; 32], &[2; 32]);
        let address = Address(keys.destination.hash());
        assert_eq!(address.to_string().parse(), Ok(address));
        assert_eq!(address.to_string().to_uppercase().parse(), Ok(address));
        assert_eq!(base64::encode(keys.destination.as_bytes()).parse(), Ok(address));
        assert_eq!("example.i2p".parse::<Address>(), Err(AddressError::Malformed));
        assert!(!format!("{address:?}").contains(&address.to_string()[..8]));
    }
}
