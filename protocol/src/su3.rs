//! SU3: a signed file that is passed around outside of the network.
//!
//! spec: updates §SU3 File Specification
//!
//! ```text
//! "I2Psu3" | 0 | format 1 | signature type 2 | signature length 2 | 0 | version length 1 | 0 | signer length 1 |
//! content length 8 | 0 | file type 1 | 0 | content type 1 | 0 * 12 | version, padded with zeros | signer | content | signature
//! ```
//! The signature is over all that stands before it. Who may sign what is for the reader to know: see [`crate::reseed`].

use crate::wire::{Error, Reader, Result, Writer};

const MAGIC: &[u8; 6] = b"I2Psu3";

/// The only version of the format.
const FORMAT: u8 = 0;

/// A version is padded to this.
const MIN_VERSION_LEN: usize = 16;

/// RSA with 4096 bits over SHA-512. spec: updates §Specification, bytes 8-9
pub const RSA_SHA512_4096: u16 = 6;

/// The content is a zip archive.
pub const ZIP: u8 = 0;

/// The content is RouterInfos to begin with.
pub const RESEED: u8 = 3;

/// A file, read but not verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Su3<'a> {
    /// The code of the signature's type.
    pub signature_type: u16,
    /// What the content is packed as, such as [`ZIP`].
    pub file_type: u8,
    /// What the content is, such as [`RESEED`].
    pub content_type: u8,
    /// The version, without its padding; of reseed data the seconds since 1970.
    pub version: &'a str,
    /// Who has signed it, as his certificate names him.
    pub signer: &'a str,
    /// The content.
    pub content: &'a [u8],
    /// What the signature is over.
    pub signed: &'a [u8],
    /// The signature.
    pub signature: &'a [u8],
}

impl<'a> Su3<'a> {
    /// Reads a whole file. Bytes that are unused are not looked at: a later version may use them.
    ///
    /// # Errors
    /// `Invalid` if it is no SU3 or its names are no UTF-8, `Truncated`, `Trailing`.
    pub fn parse(bytes: &'a [u8]) -> Result<Self> {
        let mut r = Reader::new(bytes);
        if r.array()? != *MAGIC {
            return Err(Error::Invalid("magic number"));
        }
        r.u8()?;
        if r.u8()? != FORMAT {
            return Err(Error::Invalid("format version"));
        }
        let signature_type = r.u16()?;
        let signature_len = usize::from(r.u16()?);
        r.u8()?;
        let version_len = usize::from(r.u8()?);
        r.u8()?;
        let signer_len = usize::from(r.u8()?);
        let content_len = usize::try_from(r.u64()?).map_err(|_| Error::TooLarge("content"))?;
        r.u8()?;
        let file_type = r.u8()?;
        r.u8()?;
        let content_type = r.u8()?;
        r.take(12)?;
        let version = text(r.take(version_len)?, "version")?.trim_end_matches('\0');
        let signer = text(r.take(signer_len)?, "signer")?;
        let content = r.take(content_len)?;
        let signed = r.since(0);
        let signature = r.take(signature_len)?;
        r.finish()?;
        Ok(Self { signature_type, file_type, content_type, version, signer, content, signed, signature })
    }
}

/// What a file says of itself, to be written.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a> {
    /// The code of the signature's type.
    pub signature_type: u16,
    /// The signature's length in bytes.
    pub signature_len: u16,
    /// What the content is packed as.
    pub file_type: u8,
    /// What the content is.
    pub content_type: u8,
    /// The version.
    pub version: &'a str,
    /// Who signs it.
    pub signer: &'a str,
}

impl Header<'_> {
    /// The file as far as it is signed: the signature is to be appended.
    ///
    /// # Errors
    /// `TooLarge` if version or signer are longer than 255 bytes.
    pub fn write(&self, content: &[u8]) -> Result<Vec<u8>> {
        let version_len = self.version.len().max(MIN_VERSION_LEN);
        let length = |n: usize, what| u8::try_from(n).map_err(|_| Error::TooLarge(what));
        let mut w = Vec::with_capacity(40 + version_len + self.signer.len() + content.len());
        w.put(MAGIC);
        w.put(&[0, FORMAT]);
        w.put_u16(self.signature_type);
        w.put_u16(self.signature_len);
        w.put(&[0, length(version_len, "version")?]);
        w.put(&[0, length(self.signer.len(), "signer")?]);
        w.put_u64(content.len() as u64);
        w.put(&[0, self.file_type, 0, self.content_type]);
        w.put(&[0; 12]);
        w.put(self.version.as_bytes());
        w.resize(40 + version_len, 0);
        w.put(self.signer.as_bytes());
        w.put(content);
        Ok(w)
    }
}

fn text<'a>(bytes: &'a [u8], what: &'static str) -> Result<&'a str> {
    std::str::from_utf8(bytes).map_err(|_| Error::Invalid(what))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header<'static> {
        Header {
            signature_type: RSA_SHA512_4096,
            signature_len: 4,
            file_type: ZIP,
            content_type: RESEED,
            version: "1790000000",
            signer: "someone@mail.i2p",
        }
    }

    #[test]
    fn the_fields_stand_where_the_specification_has_them() {
        let file = header().write(b"content").unwrap();
        assert_eq!(&file[..12], b"I2Psu3\0\0\0\x06\0\x04");
        assert_eq!((file[13], file[15], file[23], file[25], file[27]), (16, 16, 7, ZIP, RESEED));
        assert_eq!(&file[40..56], b"1790000000\0\0\0\0\0\0");
        assert_eq!(&file[56..], b"someone@mail.i2pcontent");
    }

    #[test]
    fn what_is_written_is_read_back_and_every_truncation_is_noticed() {
        let mut file = header().write(b"content").unwrap();
        file.put(b"sign");
        let su3 = Su3::parse(&file).unwrap();
        assert_eq!((su3.version, su3.signer, su3.content), ("1790000000", "someone@mail.i2p", &b"content"[..]));
        assert_eq!((su3.signature_type, su3.file_type, su3.content_type), (RSA_SHA512_4096, ZIP, RESEED));
        assert_eq!((su3.signed, su3.signature), (&file[..file.len() - 4], &b"sign"[..]));
        for n in 0..file.len() {
            assert!(Su3::parse(&file[..n]).is_err(), "{n}");
        }
        file.push(0);
        assert_eq!(Su3::parse(&file), Err(Error::Trailing(1)));
    }

    #[test]
    fn a_content_length_beyond_all_memory_is_refused() {
        let mut file = header().write(b"content").unwrap();
        file[16..24].copy_from_slice(&u64::MAX.to_be_bytes());
        assert!(matches!(Su3::parse(&file), Err(Error::Truncated { .. } | Error::TooLarge(_))));
        file[0] = b'X';
        assert_eq!(Su3::parse(&file), Err(Error::Invalid("magic number")));
    }
}
