//! What is known of a name: its destination, others that stand for the same, and where they come from.
//!
//! ```text
//! number of destinations 1 | ( properties, a Mapping | destination )*
//! ```
//! The layout is that of Java's host database, so its files are read by the same code.
//!
//! spec: blockfile §hosts.txt, userhosts.txt, and privatehosts.txt Skiplists

use bytes::Bytes;
use ramson_protocol::data::keys_and_cert::Destination;
use ramson_protocol::data::mapping::{Mapping, MappingBuf};
use ramson_protocol::wire::{Error, Reader, Result};

/// Destinations of one name, at most.
pub const MAX_DESTINATIONS: usize = 8;

/// Properties that the others use, too.
pub mod property {
    /// When the entry was added, in milliseconds.
    pub const ADDED: &str = "a";
    /// When it was last changed, in milliseconds.
    pub const MODIFIED: &str = "m";
    /// Words of the user.
    pub const NOTES: &str = "notes";
    /// A file, a subscription, or who else it came from.
    pub const SOURCE: &str = "s";
    /// `true` if its line was signed with the destination's key.
    pub const VERIFIED: &str = "v";
}

/// The destinations of a name, the one to be used first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Never empty.
    all: Vec<(MappingBuf, Destination)>,
}

impl Entry {
    /// An entry of one destination.
    pub fn new(destination: Destination, properties: MappingBuf) -> Self {
        Self { all: vec![(properties, destination)] }
    }

    /// The destination to be used.
    pub fn destination(&self) -> &Destination {
        &self.all[0].1
    }

    /// What is known of it.
    pub fn properties(&self) -> &MappingBuf {
        &self.all[0].0
    }

    /// The same, to be changed.
    pub fn properties_mut(&mut self) -> &mut MappingBuf {
        &mut self.all[0].0
    }

    /// All destinations that stand for the name.
    pub fn destinations(&self) -> impl Iterator<Item = &Destination> {
        self.all.iter().map(|(_, destination)| destination)
    }

    /// True if the destination is one of the name's.
    pub fn has(&self, destination: &Destination) -> bool {
        self.destinations().any(|ours| ours == destination)
    }

    /// Puts another destination first, of the same holder. The oldest gives way when there are too many.
    pub fn prefer(&mut self, destination: Destination, properties: MappingBuf) {
        self.all.retain(|(_, ours)| *ours != destination);
        self.all.insert(0, (properties, destination));
        self.all.truncate(MAX_DESTINATIONS);
    }

    /// Reads an entry.
    ///
    /// # Errors
    /// Those of its parts; `Invalid` if it has no destination or too many.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let mut r = Reader::new(bytes);
        let count = usize::from(r.u8()?);
        if !(1..=MAX_DESTINATIONS).contains(&count) {
            return Err(Error::Invalid("number of destinations"));
        }
        let mut all = Vec::with_capacity(count);
        for _ in 0..count {
            all.push((Mapping::parse(&mut r)?.into(), Destination::parse(&mut r)?));
        }
        r.finish()?;
        Ok(Self { all })
    }

    /// The entry as [`Entry::parse`] reads it.
    ///
    /// # Errors
    /// `TooLarge` if its properties are.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        // There are never more than eight.
        let mut out = vec![self.all.len() as u8];
        for (properties, destination) in &self.all {
            properties.write(&mut out)?;
            out.extend_from_slice(destination.as_bytes());
        }
        Ok(out)
    }
}

/// Reads a destination in I2P's base 64, with or without its padding.
///
/// # Errors
/// `Invalid` if it is no base 64, or those of [`Destination::from_bytes`].
pub fn destination(text: &str) -> Result<Destination> {
    let unpadded = text.trim_end_matches('=');
    let padded = format!("{unpadded}{}", "=".repeat((4 - unpadded.len() % 4) % 4));
    // spec: naming §Naming Rules — a certificate has at most a hundred bytes; post-quantum keys are not in destinations.
    if !(516..=616).contains(&padded.len()) {
        return Err(Error::Invalid("length of a destination"));
    }
    let bytes = ramson_protocol::base64::decode(&padded).ok_or(Error::Invalid("base 64"))?;
    Destination::from_bytes(Bytes::from(bytes))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use ramson_crypto::sign::SigningKey;
    use ramson_protocol::base64::encode;

    /// A destination whose key the test has.
    pub(crate) fn key(n: u8) -> (SigningKey, Destination) {
        let key = SigningKey::from_seed([n; 32]);
        let destination = Destination::compose(&key.public(), &[n ^ 0xff; 32]);
        (key, destination)
    }

    #[test]
    fn an_entry_is_read_back_and_every_prefix_is_truncated() {
        let mut properties = MappingBuf::new();
        properties.set(property::SOURCE, "here");
        let mut entry = Entry::new(key(1).1, properties);
        entry.prefer(key(2).1, MappingBuf::new());
        let bytes = entry.to_bytes().unwrap();
        assert_eq!(Entry::parse(&bytes), Ok(entry.clone()));
        assert!((0..bytes.len()).all(|len| Entry::parse(&bytes[..len]).is_err()));
        assert_eq!((entry.destination(), entry.has(&key(1).1)), (&key(2).1, true));
        (3..20).for_each(|n| entry.prefer(key(n).1, MappingBuf::new()));
        assert_eq!(entry.destinations().count(), MAX_DESTINATIONS);
    }

    #[test]
    fn a_destination_is_read_with_and_without_padding_and_nothing_else_is() {
        let text = encode(key(1).1.as_bytes());
        assert_eq!(destination(&text), Ok(key(1).1));
        assert_eq!(destination(text.trim_end_matches('=')), Ok(key(1).1));
        for wrong in ["", "AAAA", &text[..400], &"=".repeat(520), &text.replace('A', "+"), &format!("{text}AAAA")] {
            assert!(destination(wrong).is_err(), "{wrong}");
        }
    }
}
