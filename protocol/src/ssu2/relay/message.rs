//! The data of RelayRequest, RelayIntro and RelayResponse blocks.
//!
//! ```text
//! request:  flag u8 | signed | signature
//! intro:    flag u8 | Alice's hash 32 | signed | signature
//!   signed: nonce u32 | tag u32 | seconds u32 | version u8 | size u8 (6, 18) | port u16 | ip 4, 16       (Alice's)
//! response: flag u8 | code u8 | signed | signature | token u64 if accepted
//!   signed: nonce u32 | seconds u32 | version u8 | size u8 (0, 6, 18) | [port u16 | ip 4, 16]            (Charlie's)
//! ```
//! A refusal may end after the nonce.
//!
//! spec: ssu2 §RelayRequest, §RelayResponse, §RelayIntro

use crate::id::RouterHash;
use crate::ssu2::block::{parse_address, write_address};
use crate::wire::{Error, Reader, Result, Writer};
use std::net::SocketAddr;

/// The only version there is.
pub const VERSION: u8 = 2;
/// Bytes of the token at the end of a response that accepts.
const TOKEN_LEN: usize = 8;

/// Whether an introduction is made, or who refuses it and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Code(pub u8);

impl Code {
    /// The introduction is accepted.
    pub const ACCEPT: Self = Self(0);
    /// Bob is asked too much.
    pub const BOB_LIMIT: Self = Self(3);
    /// Alice's signature does not verify at Bob.
    pub const BOB_SIGNATURE: Self = Self(4);
    /// Bob has given nobody such a tag.
    pub const BOB_NO_TAG: Self = Self(5);
    /// Bob does not know Alice.
    pub const BOB_UNKNOWN: Self = Self(6);
    /// Charlie gives no reason.
    pub const CHARLIE: Self = Self(64);
    /// Charlie cannot reach such an address.
    pub const CHARLIE_ADDRESS: Self = Self(65);
    /// Charlie is asked too much.
    pub const CHARLIE_LIMIT: Self = Self(66);
    /// Alice's signature does not verify at Charlie.
    pub const CHARLIE_SIGNATURE: Self = Self(67);
    /// Charlie has a session with Alice.
    pub const CHARLIE_CONNECTED: Self = Self(68);
    /// Charlie does not know Alice.
    pub const CHARLIE_UNKNOWN: Self = Self(70);

    /// True if Bob refuses: then he signs, if anybody does.
    pub fn is_bobs(self) -> bool {
        (1..64).contains(&self.0)
    }

    /// A name for metrics.
    pub fn label(self) -> &'static str {
        match self.0 {
            0 => "accept",
            1 => "bob",
            2 => "bob_banned",
            3 => "bob_limit",
            4 => "bob_signature",
            5 => "bob_no_tag",
            6 => "bob_unknown",
            7..=63 => "bob_other",
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

/// What Alice asks for and signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Chosen by Alice: what an introduction is known by.
    pub nonce: u32,
    /// `itag` of Charlie's RouterInfo.
    pub tag: u32,
    /// Seconds since 1970.
    pub seconds: u32,
    /// [`VERSION`].
    pub version: u8,
    /// Where Charlie is to send its HolePunch.
    pub address: SocketAddr,
}

impl Ask {
    fn parse(r: &mut Reader<'_>) -> Result<Self> {
        let (nonce, tag, seconds, version, size) = (r.u32()?, r.u32()?, r.u32()?, r.u8()?, r.u8()?);
        Ok(Self { nonce, tag, seconds, version, address: parse_address(r.take(usize::from(size))?)? })
    }

    /// The bytes of the signed part.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(32);
        out.put_u32(self.nonce);
        out.put_u32(self.tag);
        out.put_u32(self.seconds);
        out.put_u8(self.version);
        sized_address(Some(self.address), &mut out);
        out
    }

    /// What is signed.
    pub fn to_sign(bob: &RouterHash, charlie: &RouterHash, signed: &[u8]) -> Vec<u8> {
        [&b"RelayRequestData"[..], &bob.0, &charlie.0, signed].concat()
    }
}

fn sized_address(address: Option<SocketAddr>, out: &mut Vec<u8>) {
    let mut bytes = Vec::with_capacity(18);
    if let Some(address) = address {
        write_address(address, &mut bytes);
    }
    out.put_u8(bytes.len() as u8);
    out.put(&bytes);
}

/// A RelayRequest, or with a router a RelayIntro.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// RelayIntro: Alice.
    pub alice: Option<RouterHash>,
    /// The signed part, read.
    pub ask: Ask,
    /// The signed part, as it was signed.
    pub signed: &'a [u8],
    /// Alice's signature.
    pub signature: &'a [u8],
}

impl<'a> Request<'a> {
    /// Reads the data of a RelayRequest.
    ///
    /// # Errors
    /// `Truncated`; `Invalid` for an address that cannot be.
    pub fn parse(data: &'a [u8]) -> Result<Self> {
        Self::read(data, false)
    }

    /// Reads the data of a RelayIntro.
    ///
    /// # Errors
    /// As [`Request::parse`].
    pub fn parse_intro(data: &'a [u8]) -> Result<Self> {
        Self::read(data, true)
    }

    fn read(data: &'a [u8], intro: bool) -> Result<Self> {
        let mut r = Reader::new(data);
        r.u8()?;
        let alice = if intro { Some(RouterHash(r.array()?)) } else { None };
        let start = r.position();
        let ask = Ask::parse(&mut r)?;
        Ok(Self { alice, ask, signed: r.since(start), signature: r.rest() })
    }

    /// The data of the block.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![0];
        if let Some(alice) = &self.alice {
            out.put(&alice.0);
        }
        out.put(self.signed);
        out.put(self.signature);
        out
    }
}

/// What Charlie agrees to and signs, or what is left of it in a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreement {
    /// The nonce that Alice chose for this introduction.
    pub nonce: u32,
    /// Seconds since 1970.
    pub seconds: u32,
    /// [`VERSION`].
    pub version: u8,
    /// Where Charlie is, as it believes.
    pub address: Option<SocketAddr>,
}

impl Agreement {
    fn parse(r: &mut Reader<'_>) -> Result<Self> {
        let nonce = r.u32()?;
        if r.is_empty() {
            return Ok(Self { nonce, seconds: 0, version: 0, address: None });
        }
        let (seconds, version, size) = (r.u32()?, r.u8()?, r.u8()?);
        let address = if size == 0 { None } else { Some(parse_address(r.take(usize::from(size))?)?) };
        Ok(Self { nonce, seconds, version, address })
    }

    /// The bytes of the signed part.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(28);
        out.put_u32(self.nonce);
        out.put_u32(self.seconds);
        out.put_u8(self.version);
        sized_address(self.address, &mut out);
        out
    }

    /// What is signed.
    pub fn to_sign(bob: &RouterHash, signed: &[u8]) -> Vec<u8> {
        [&b"RelayAgreementOK"[..], &bob.0, signed].concat()
    }
}

/// A RelayResponse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Response<'a> {
    /// Yes or why not.
    pub code: Code,
    /// The signed part, read.
    pub agreement: Agreement,
    /// The signed part, as it was signed.
    pub signed: &'a [u8],
    /// Charlie's signature, or Bob's if he refuses; it may be missing in refusals.
    pub signature: &'a [u8],
    /// For Alice's SessionRequest, if accepted; not signed.
    pub token: Option<u64>,
}

impl<'a> Response<'a> {
    /// Reads the data of the block.
    ///
    /// # Errors
    /// `Truncated`; `Invalid` for an address that cannot be, or if there is none though Charlie accepts.
    pub fn parse(data: &'a [u8]) -> Result<Self> {
        let mut r = Reader::new(data);
        r.u8()?;
        let code = Code(r.u8()?);
        let start = r.position();
        let agreement = Agreement::parse(&mut r)?;
        let signed = r.since(start);
        if code != Code::ACCEPT {
            return Ok(Self { code, agreement, signed, signature: r.rest(), token: None });
        }
        if agreement.address.is_none() {
            return Err(Error::Invalid("no address"));
        }
        let signature = r.take(r.remaining().saturating_sub(TOKEN_LEN))?;
        Ok(Self { code, agreement, signed, signature, token: Some(r.u64()?) })
    }

    /// The data of the block.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![0, self.code.0];
        out.put(self.signed);
        out.put(self.signature);
        if let Some(token) = self.token {
            out.put_u64(token);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn address() -> impl Strategy<Value = SocketAddr> {
        let v4 = any::<([u8; 4], u16)>().prop_map(SocketAddr::from);
        let v6 = any::<([u8; 16], u16)>().prop_map(|(mut ip, port)| {
            ip[0] = 0x20;
            SocketAddr::from((ip, port))
        });
        prop_oneof![v4, v6]
    }

    proptest! {
        #[test]
        fn requests_and_intros_are_read_back(
            nonce: u32, tag: u32, seconds: u32, address in address(), hash: Option<[u8; 32]>, signature: Vec<u8>,
        ) {
            let ask = Ask { nonce, tag, seconds, version: VERSION, address };
            let signed = ask.to_bytes();
            let request = Request { alice: hash.map(RouterHash), ask, signed: &signed, signature: &signature };
            let bytes = request.to_bytes();
            let read = |bytes| if hash.is_some() { Request::parse_intro(bytes) } else { Request::parse(bytes) };
            prop_assert_eq!(read(&bytes), Ok(request));
            for n in 0..bytes.len() - signature.len() {
                prop_assert!(read(&bytes[..n]).is_err());
            }
        }

        #[test]
        fn responses_are_read_back(
            code: u8, nonce: u32, seconds: u32, at in address(), signature: [u8; 64], token: u64,
        ) {
            let accepted = code == 0;
            let agreement = Agreement { nonce, seconds, version: VERSION, address: accepted.then_some(at) };
            let signed = agreement.to_bytes();
            let token = accepted.then_some(token);
            let response = Response { code: Code(code), agreement, signed: &signed, signature: &signature, token };
            let bytes = response.to_bytes();
            prop_assert_eq!(Response::parse(&bytes), Ok(response));
            for n in 0..6 {
                prop_assert!(Response::parse(&bytes[..n]).is_err());
            }
        }
    }

    #[test]
    fn a_refusal_may_end_after_the_nonce_and_an_acceptance_may_not() {
        let refusal = Response::parse(&[0, 5, 0, 0, 0, 9]).unwrap();
        assert_eq!((refusal.code, refusal.agreement.nonce, refusal.token), (Code::BOB_NO_TAG, 9, None));
        assert!(refusal.code.is_bobs());
        assert!(Response::parse(&[0, 0, 0, 0, 0, 9]).is_err());
        assert!(!Code::CHARLIE.is_bobs() && !Code::ACCEPT.is_bobs());
    }
}
