//! What stands before a datagram between a program and a SOCKS proxy.
//!
//! ```text
//! 0 0 | fragment 1, which is 0 | kind of address 1 | address | port 2 | bytes
//! ```
//! What comes names its sender in base 32. Pieces of datagrams are not put together: no program is known to send them.
//!
//! spec: RFC 1928 §7

use super::{IPV4, IPV6, NAME, Refusal, Request, request};

/// Reads whom a program's datagram goes to, and its bytes.
///
/// # Errors
/// `Malformed`; `Command` for a piece; `Address` if it names none by name.
pub fn parse(bytes: &[u8]) -> Result<(Request, &[u8]), Refusal> {
    let (head, rest) = bytes.split_at_checked(4).ok_or(Refusal::Malformed)?;
    let &[0, 0, fragment, kind] = head else { return Err(Refusal::Malformed) };
    if fragment != 0 {
        return Err(Refusal::Command);
    }
    match kind {
        NAME => {}
        IPV4 | IPV6 => return Err(Refusal::Address),
        _ => return Err(Refusal::Malformed),
    }
    let (len, rest) = rest.split_first().ok_or(Refusal::Malformed)?;
    let (name, rest) = rest.split_at_checked(usize::from(*len)).ok_or(Refusal::Malformed)?;
    let (port, payload) = rest.split_first_chunk::<2>().ok_or(Refusal::Malformed)?;
    Ok((request(name, *port)?, payload))
}

/// A datagram for a program, from a port of somebody with this name.
pub fn write(from: &str, port: u16, payload: &[u8]) -> Vec<u8> {
    let name = from.as_bytes().get(..255).unwrap_or(from.as_bytes());
    let len = u8::try_from(name.len()).unwrap_or(u8::MAX);
    [&[0, 0, 0, NAME, len][..], name, &port.to_be_bytes(), payload].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_datagram_to_a_name_comes_back_and_what_is_cut_does_not() {
        let bytes = write("a.i2p", 80, b"");
        let to = Request { host: "a.i2p".to_owned(), port: 80 };
        assert_eq!(parse(&bytes), Ok((to, &b""[..])));
        for cut in 0..bytes.len() {
            assert!(parse(&bytes[..cut]).is_err(), "{cut}");
        }
    }

    #[test]
    fn pieces_and_numbers_are_refused() {
        for (bytes, refusal) in [
            (&[0, 0, 1, NAME, 1, b'a', 0, 80][..], Refusal::Command),
            (&[0, 0, 0, IPV4, 1, 2, 3, 4, 0, 80], Refusal::Address),
            (&[0, 0, 0, 9, 1, 2, 3, 4, 0, 80], Refusal::Malformed),
            (&[0, 0, 0, NAME, 7, b'1', b'.', b'2', b'.', b'3', b'.', b'4', 0, 80], Refusal::Address),
            (&[0, 0, 0, NAME, 0, 0, 80], Refusal::Malformed),
        ] {
            assert_eq!(parse(bytes), Err(refusal), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_was_written(
            name in "[a-z]{1,40}\\.i2p",
            port in any::<u16>(),
            payload in prop::collection::vec(any::<u8>(), 0..50),
        ) {
            let bytes = write(&name, port, &payload);
            let (to, read) = parse(&bytes).unwrap();
            prop_assert_eq!((to.host, to.port, read), (name, port, &payload[..]));
        }
    }
}
