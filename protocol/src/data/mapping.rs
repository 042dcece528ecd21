//! Mapping: sorted key=value; pairs of short strings.
//!
//! spec: common-structures §Mapping
//!
//! ```text
//! size 2 | ( length 1 | key | '=' | length 1 | value | ';' )*
//! ```

use crate::wire::{Error, Reader, Result, Writer};

/// A checked mapping, borrowed from the structure that it stands in.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Mapping<'a>(&'a [u8]);

impl<'a> Mapping<'a> {
    /// Reads a mapping and checks every pair of it.
    ///
    /// # Errors
    /// `Truncated`; `Invalid` if a separator is missing.
    pub fn parse(r: &mut Reader<'a>) -> Result<Self> {
        let len = r.u16()?;
        let body = r.take(usize::from(len))?;
        let mut inner = Reader::new(body);
        while !inner.is_empty() {
            pair(&mut inner)?;
        }
        Ok(Self(body))
    }

    /// All pairs, as the bytes they are, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let mut inner = Reader::new(self.0);
        std::iter::from_fn(move || pair(&mut inner).ok())
    }

    /// The first value of `key`, if it is there and is UTF-8.
    pub fn get(&self, key: &str) -> Option<&'a str> {
        self.iter().find(|(k, _)| *k == key.as_bytes()).and_then(|(_, v)| std::str::from_utf8(v).ok())
    }

    /// True if there is no pair.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::fmt::Debug for Mapping<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mapping({} pairs)", self.iter().count())
    }
}

fn pair<'a>(r: &mut Reader<'a>) -> Result<(&'a [u8], &'a [u8])> {
    let key = string(r)?;
    if r.u8()? != b'=' {
        return Err(Error::Invalid("mapping separator"));
    }
    let value = string(r)?;
    if r.u8()? != b';' {
        return Err(Error::Invalid("mapping separator"));
    }
    Ok((key, value))
}

/// A String: one byte of length, then the bytes.
pub(crate) fn string<'a>(r: &mut Reader<'a>) -> Result<&'a [u8]> {
    let len = r.u8()?;
    r.take(usize::from(len))
}

/// A mapping to be written: sorted as signatures need it, without duplicates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MappingBuf(Vec<(String, String)>);

impl MappingBuf {
    /// An empty mapping.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets `key` to `value`. Both are cut at 255 bytes.
    ///
    /// spec: common-structures §Mapping — sorted as Java's `String.compareTo` does: by UTF-16 code units.
    pub fn set(&mut self, key: &str, value: impl Into<String>) -> &mut Self {
        let (key, value) = (cut(key.to_owned()), cut(value.into()));
        match self.0.binary_search_by(|(k, _)| k.encode_utf16().cmp(key.encode_utf16())) {
            Ok(at) => self.0[at].1 = value,
            Err(at) => self.0.insert(at, (key, value)),
        }
        self
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    /// Removes `key`.
    pub fn remove(&mut self, key: &str) {
        self.0.retain(|(k, _)| k != key);
    }

    /// Appends the mapping.
    ///
    /// # Errors
    /// `TooLarge` above 65,535 bytes; then nothing was appended.
    pub fn write(&self, w: &mut impl Writer) -> Result<()> {
        let len: usize = self.0.iter().map(|(k, v)| k.len() + v.len() + 4).sum();
        w.put_u16(u16::try_from(len).map_err(|_| Error::TooLarge("mapping"))?);
        for (key, value) in &self.0 {
            write_string(w, key);
            w.put_u8(b'=');
            write_string(w, value);
            w.put_u8(b';');
        }
        Ok(())
    }
}

impl<'a> From<Mapping<'a>> for MappingBuf {
    /// Sorted anew; what is not UTF-8 is replaced.
    fn from(m: Mapping<'a>) -> Self {
        let mut out = Self::new();
        for (k, v) in m.iter() {
            out.set(&String::from_utf8_lossy(k), String::from_utf8_lossy(v));
        }
        out
    }
}

/// Appends a String of at most 255 bytes.
pub(crate) fn write_string(w: &mut impl Writer, s: &str) {
    let len = u8::try_from(s.len()).unwrap_or(u8::MAX);
    w.put_u8(len);
    w.put(&s.as_bytes()[..usize::from(len)]);
}

fn cut(mut s: String) -> String {
    let end = (0..=s.len().min(255)).rev().find(|&at| s.is_char_boundary(at)).unwrap_or(0);
    s.truncate(end);
    s
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_mapping_is_written_sorted_and_read_back() {
        let mut m = MappingBuf::new();
        m.set("b", "2").set("a", "1").set("b", "3");
        let mut out = Vec::new();
        m.write(&mut out).unwrap();
        assert_eq!(out, b"\x00\x0c\x01a=\x011;\x01b=\x013;");
        let mut r = Reader::new(&out);
        let back = Mapping::parse(&mut r).unwrap();
        assert_eq!((back.get("a"), back.get("b"), back.get("c")), (Some("1"), Some("3"), None));
        for n in 0..out.len() {
            assert!(Mapping::parse(&mut Reader::new(&out[..n])).is_err());
        }
    }

    #[test]
    fn a_missing_separator_is_refused() {
        assert_eq!(Mapping::parse(&mut Reader::new(b"\x00\x06\x01a-\x011;")), Err(Error::Invalid("mapping separator")));
        assert_eq!(Mapping::parse(&mut Reader::new(b"\x00\x06\x01a=\x011:")), Err(Error::Invalid("mapping separator")));
    }

    proptest! {
        #[test]
        fn encoding_and_decoding_is_the_identity(pairs in prop::collection::vec((".{0,20}", ".{0,20}"), 0..20)) {
            let mut m = MappingBuf::new();
            for (k, v) in &pairs {
                m.set(k, v.as_str());
            }
            let mut out = Vec::new();
            m.write(&mut out).unwrap();
            let back = MappingBuf::from(Mapping::parse(&mut Reader::new(&out)).unwrap());
            prop_assert_eq!(&back, &m);
        }
    }
}
