//! The data of a PeerTest block.
//!
//! ```text
//! number u8 | code u8 | flag u8 | [router hash 32: messages 2 and 4] | signed | signature
//! signed: version u8 | nonce u32 | seconds u32 | size u8 (6 or 18) | port u16 | ip 4 or 16
//! ```
//! The signed part of messages 1 and 2 is Alice's request, that of 3 and 4 (and mostly 5 to 7) what Charlie agreed to.
//! Nothing in the block but the signed part is signed, so a relay can change code and number.
//!
//! spec: ssu2 §PeerTest

use crate::id::RouterHash;
use crate::ssu2::block::{parse_address, write_address};
use crate::wire::{Error, Reader, Result, Writer};
use std::net::SocketAddr;

/// What is signed, before the hashes.
const PROLOGUE: &[u8] = b"PeerTestValidate";
/// The only version there is.
pub const VERSION: u8 = 2;

/// Whether a test is taken part in, or who refuses it and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Code(pub u8);

impl Code {
    /// The test is accepted.
    pub const ACCEPT: Self = Self(0);
    /// Bob gives no reason.
    pub const BOB: Self = Self(1);
    /// Bob knows no Charlie.
    pub const BOB_NO_CHARLIE: Self = Self(2);
    /// Bob is asked too much.
    pub const BOB_LIMIT: Self = Self(3);
    /// Alice's signature does not verify at Bob.
    pub const BOB_SIGNATURE: Self = Self(4);
    /// Bob will not have that address tested.
    pub const BOB_ADDRESS: Self = Self(5);
    /// Charlie gives no reason.
    pub const CHARLIE: Self = Self(64);
    /// Charlie cannot reach such an address.
    pub const CHARLIE_ADDRESS: Self = Self(65);
    /// Charlie is asked too much.
    pub const CHARLIE_LIMIT: Self = Self(66);
    /// Alice's signature does not verify at Charlie.
    pub const CHARLIE_SIGNATURE: Self = Self(67);
    /// Charlie has a session with Alice, so the test would show nothing.
    pub const CHARLIE_CONNECTED: Self = Self(68);
    /// Charlie does not know Alice.
    pub const CHARLIE_UNKNOWN: Self = Self(70);

    /// A name for metrics.
    pub fn label(self) -> &'static str {
        match self.0 {
            0 => "accept",
            1 => "bob",
            2 => "bob_no_charlie",
            3 => "bob_limit",
            4 => "bob_signature",
            5 => "bob_address",
            6..=63 => "bob_other",
            64 => "charlie",
            65 => "charlie_address",
            66 => "charlie_limit",
            67 => "charlie_signature",
            68 => "charlie_connected",
            69 => "charlie_banned",
            70 => "charlie_unknown",
            71..=127 => "charlie_other",
            128.. => "unknown",
        }
    }
}

/// A message of a peer test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// 1 to 7.
    pub number: u8,
    /// Other than [`Code::ACCEPT`] in 3 and 4 only.
    pub code: Code,
    /// Alice in message 2, Charlie in message 4 (zeros if Bob refuses); none in others.
    pub router: Option<RouterHash>,
    /// The signed part, read.
    pub test: Test,
    /// The signed part, as it was signed.
    pub signed: &'a [u8],
    /// Everything after it; may be missing in 5 to 7 and in refusals.
    pub signature: &'a [u8],
}

/// What is tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Test {
    /// [`VERSION`].
    pub version: u8,
    /// Chosen by Alice: what a test is known by.
    pub nonce: u32,
    /// Seconds since 1970.
    pub seconds: u32,
    /// The address that Alice wants tested.
    pub address: SocketAddr,
}

impl Test {
    fn parse(r: &mut Reader<'_>) -> Result<Self> {
        let (version, nonce, seconds, size) = (r.u8()?, r.u32()?, r.u32()?, r.u8()?);
        Ok(Self { version, nonce, seconds, address: parse_address(r.take(usize::from(size))?)? })
    }

    /// The bytes of the signed part.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(28);
        out.put_u8(self.version);
        out.put_u32(self.nonce);
        out.put_u32(self.seconds);
        let mut address = Vec::with_capacity(18);
        write_address(self.address, &mut address);
        out.put_u8(address.len() as u8);
        out.put(&address);
        out
    }
}

fn has_router(number: u8) -> bool {
    matches!(number, 2 | 4)
}

impl<'a> Message<'a> {
    /// Reads the data of the block.
    ///
    /// # Errors
    /// `Truncated`; `Invalid` for a number or an address that cannot be.
    pub fn parse(data: &'a [u8]) -> Result<Self> {
        let mut r = Reader::new(data);
        let (number, code, _flag) = (r.u8()?, Code(r.u8()?), r.u8()?);
        if !(1..=7).contains(&number) {
            return Err(Error::Invalid("peer test number"));
        }
        let router = if has_router(number) { Some(RouterHash(r.array()?)) } else { None };
        let start = r.position();
        let test = Test::parse(&mut r)?;
        Ok(Self { number, code, router, test, signed: r.since(start), signature: r.rest() })
    }

    /// The data of the block.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(160);
        out.put(&[self.number, self.code.0, 0]);
        if has_router(self.number) {
            out.put(&self.router.unwrap_or_default().0);
        }
        out.put(self.signed);
        out.put(self.signature);
        out
    }
}

/// The bytes that Alice signs: with `alice`, those that Charlie signs.
pub fn to_sign(bob: &RouterHash, alice: Option<&RouterHash>, signed: &[u8]) -> Vec<u8> {
    let alice = alice.map_or(&[][..], |hash| &hash.0);
    [PROLOGUE, &bob.0, alice, signed].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn address() -> impl Strategy<Value = SocketAddr> {
        let v4 = any::<([u8; 4], u16)>().prop_map(SocketAddr::from);
        // An IPv4 address in IPv6 clothes is written as IPv4.
        let v6 = any::<([u8; 16], u16)>().prop_map(|(mut ip, port)| {
            ip[0] = 0x20;
            SocketAddr::from((ip, port))
        });
        prop_oneof![v4, v6]
    }

    proptest! {
        #[test]
        fn writing_and_reading_is_the_identity(
            number in 1..=7u8, code: u8, hash: [u8; 32], nonce: u32, seconds: u32, address in address(), signature: Vec<u8>,
        ) {
            let test = Test { version: VERSION, nonce, seconds, address };
            let signed = test.to_bytes();
            let router = has_router(number).then_some(RouterHash(hash));
            let message = Message { number, code: Code(code), router, test, signed: &signed, signature: &signature };
            let bytes = message.to_bytes();
            prop_assert_eq!(Message::parse(&bytes), Ok(message));
            for n in 0..bytes.len() - signature.len() {
                prop_assert!(Message::parse(&bytes[..n]).is_err());
            }
        }
    }

    #[test]
    fn alice_and_charlie_never_sign_the_same() {
        let (bob, alice) = (RouterHash([1; 32]), RouterHash([2; 32]));
        assert_ne!(to_sign(&bob, None, b"x"), to_sign(&bob, Some(&alice), b"x"));
        assert_eq!(to_sign(&bob, None, b"x")[..16], *b"PeerTestValidate");
    }

    #[test]
    fn other_numbers_are_refused() {
        for number in [0, 8, 255] {
            let mut bytes = vec![number, 0, 0, 2];
            bytes.resize(60, 6);
            assert_eq!(Message::parse(&bytes), Err(Error::Invalid("peer test number")));
        }
    }
}
