//! Base 64 and base 32 in I2P's alphabets.
//!
//! spec: common-structures — base 64 with `-` and `~` for `+` and `/`; base 32 lower case without padding.

use data_encoding::{BASE32_NOPAD_NOCASE, Encoding, Specification};
use std::sync::LazyLock;

static I2P: LazyLock<Encoding> = LazyLock::new(|| {
    let mut spec = Specification::new();
    spec.symbols.push_str("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-~");
    spec.padding = Some('=');
    #[expect(clippy::expect_used, reason = "a constant alphabet")]
    spec.encoding().expect("64 distinct symbols")
});

/// Encodes with padding.
pub fn encode(bytes: &[u8]) -> String {
    I2P.encode(bytes)
}

/// Decodes padded text; `None` if it is not in the alphabet or badly padded.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    I2P.decode(text.as_bytes()).ok()
}

/// Encodes in lower-case base 32 without padding, as `.b32.i2p` names do.
pub fn encode32(bytes: &[u8]) -> String {
    BASE32_NOPAD_NOCASE.encode(bytes).to_ascii_lowercase()
}

/// Decodes base 32 without padding, in letters of either case.
pub fn decode32(text: &str) -> Option<Vec<u8>> {
    BASE32_NOPAD_NOCASE.decode(text.as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alphabet_is_i2ps() {
        assert_eq!(encode(&[0xfb, 0xff, 0xfe]), "-~~-");
        assert_eq!(decode("-~~-").unwrap(), [0xfb, 0xff, 0xfe]);
        assert_eq!(decode("+//+"), None);
        assert_eq!(encode32(&[0xff, 0]), "74aa");
    }
}
