//! Reading and writing big-endian wire formats.
//!
//! A [`Reader`] walks a borrowed slice and never panics; what it hands out borrows from the input, so the exact bytes
//! of whatever is signed can be kept. Lengths are checked before anything is allocated from them.

/// Why bytes from outside could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The input ended too early.
    #[error("truncated: need {need} bytes, have {have}")]
    Truncated {
        /// Bytes that the next field takes.
        need: usize,
        /// Bytes that were left.
        have: usize,
    },
    /// Bytes were left over where the structure must fill its container.
    #[error("{0} bytes left over")]
    Trailing(usize),
    /// A field holds a value that its specification forbids.
    #[error("bad {0}")]
    Invalid(&'static str),
    /// A count or length is above the limit that we or the specification set.
    #[error("too many or too large: {0}")]
    TooLarge(&'static str),
    /// A signature does not match, or its kind cannot be verified.
    #[error("bad signature")]
    Signature,
}

/// The result of reading.
pub type Result<T> = std::result::Result<T, Error>;

/// A cursor over untrusted bytes.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    whole: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader at the start of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, whole: bytes }
    }

    /// The next `n` bytes.
    pub fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        match self.rest.split_at_checked(n) {
            Some((head, tail)) => {
                self.rest = tail;
                Ok(head)
            }
            None => Err(Error::Truncated { need: n, have: self.rest.len() }),
        }
    }

    /// The next `N` bytes as an array.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        match self.rest.split_first_chunk::<N>() {
            Some((head, tail)) => {
                self.rest = tail;
                Ok(*head)
            }
            None => Err(Error::Truncated { need: N, have: self.rest.len() }),
        }
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8> {
        self.array::<1>().map(|b| b[0])
    }

    /// Two bytes, big-endian.
    pub fn u16(&mut self) -> Result<u16> {
        self.array().map(u16::from_be_bytes)
    }

    /// Four bytes, big-endian.
    pub fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_be_bytes)
    }

    /// Eight bytes, big-endian.
    pub fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// Everything that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// Bytes that are left.
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// True at the end.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Bytes read so far.
    pub fn position(&self) -> usize {
        self.whole.len() - self.rest.len()
    }

    /// The bytes read since `from`, a former [`Reader::position`]: for signed ranges.
    pub fn since(&self, from: usize) -> &'a [u8] {
        self.whole.get(from..self.position()).unwrap_or_default()
    }

    /// Fails unless everything was read.
    pub fn finish(self) -> Result<()> {
        if self.rest.is_empty() { Ok(()) } else { Err(Error::Trailing(self.rest.len())) }
    }
}

/// Appending big-endian fields to a buffer.
pub trait Writer {
    /// Appends bytes as they are.
    fn put(&mut self, bytes: &[u8]);
    /// Appends one byte.
    fn put_u8(&mut self, v: u8) {
        self.put(&[v]);
    }
    /// Appends two bytes, big-endian.
    fn put_u16(&mut self, v: u16) {
        self.put(&v.to_be_bytes());
    }
    /// Appends four bytes, big-endian.
    fn put_u32(&mut self, v: u32) {
        self.put(&v.to_be_bytes());
    }
    /// Appends eight bytes, big-endian.
    fn put_u64(&mut self, v: u64) {
        self.put(&v.to_be_bytes());
    }
}

impl Writer for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_says_what_it_needed_and_what_was_there() {
        let mut r = Reader::new(&[1, 2, 3]);
        assert_eq!(r.u16(), Ok(0x0102));
        assert_eq!(r.u32(), Err(Error::Truncated { need: 4, have: 1 }));
        assert_eq!(r.since(0), [1, 2]);
        assert_eq!(r.finish(), Err(Error::Trailing(1)));
    }
}
