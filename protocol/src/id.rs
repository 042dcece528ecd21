//! Newtypes for identifiers, and the rule that none of them reaches a log in the clear.

use std::fmt;

/// Prints as `..`: for whatever identifies a peer, a destination or a key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Redacted<T>(pub T);

impl<T> fmt::Debug for Redacted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("..")
    }
}

macro_rules! hash_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub [u8; 32]);

        impl $name {
            /// In the I2P base 64 alphabet: for files and for what the operator asked to see, never for logs.
            pub fn to_base64(self) -> String {
                crate::base64::encode(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }

        impl From<[u8; 32]> for $name {
            fn from(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }
        }

        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }
    };
}

hash_id! {
    /// SHA-256 of a RouterIdentity.
    RouterHash
}
hash_id! {
    /// SHA-256 of a Destination.
    DestinationHash
}
hash_id! {
    /// What the netDb is asked for: the SHA-256 of a RouterIdentity or of a Destination (or of a blinded one).
    NetDbKey
}
hash_id! {
    /// Where in the key space an entry is stored today: SHA-256(key ‖ yyyyMMdd).
    RoutingKey
}

impl From<RouterHash> for NetDbKey {
    fn from(h: RouterHash) -> Self {
        Self(h.0)
    }
}

impl From<DestinationHash> for NetDbKey {
    fn from(h: DestinationHash) -> Self {
        Self(h.0)
    }
}

impl DestinationHash {
    /// The host name that everyone can compute: `….b32.i2p`.
    pub fn to_b32(self) -> String {
        crate::base64::encode32(&self.0) + ".b32.i2p"
    }
}

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub u32);

        impl From<u32> for $name {
            fn from(v: u32) -> Self {
                Self(v)
            }
        }
    };
}

number_id! {
    /// A tunnel's number at one hop. Zero means "no tunnel" in several messages.
    TunnelId
}
number_id! {
    /// The number of an I2NP message, random.
    MessageId
}
number_id! {
    /// One of this router's own destinations, as the running process numbers them; never on the wire. Short, because
    /// it goes along with every message and hop.
    DestinationId
}
