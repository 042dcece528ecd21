//! RouterInfo: what a router tells the network about itself.
//!
//! spec: common-structures §RouterInfo
//!
//! ```text
//! RouterIdentity | published 8, ms | count 1 | RouterAddress * count | peers 1, zero | options: mapping | signature
//! ```
//!
//! A router keeps tens of thousands of these, so a [`RouterInfo`] is its exact bytes and the few fields that are asked
//! for often; addresses and options are read from the bytes on demand, which [`RouterInfo::parse`] has checked.

mod build;
mod caps;

pub use build::RouterInfoBuilder;
pub use caps::{Bandwidth, Caps, Congestion, Version};

use super::key_type::SigType;
use super::keys_and_cert::{self, KeysAndCert, RouterIdentity};
use super::mapping::Mapping;
use super::router_address::{Ntcp2Address, RouterAddress, Ssu2Address};
use crate::id::RouterHash;
use crate::time::Wall;
use crate::wire::{Error, Reader, Result};
use bytes::Bytes;
use ramson_crypto::{hash::sha256, x25519};

/// A larger one is not even parsed. The netDb's own limit is lower.
pub const MAX_LEN: usize = 16 * 1024;

/// A checked RouterInfo; whether its signature holds is for [`RouterInfo::verify`] to say.
#[derive(Clone)]
pub struct RouterInfo {
    raw: Bytes,
    hash: RouterHash,
    published: Wall,
    version: Version,
    caps: Caps,
    net_id: Option<u8>,
    signing: SigType,
    // Offsets into `raw`.
    identity_end: u16,
    options_at: u16,
    signature_at: u16,
}

/// A RouterInfo whose signature has been verified: there is no other way to make one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedRouterInfo(RouterInfo);

impl std::ops::Deref for VerifiedRouterInfo {
    type Target = RouterInfo;

    fn deref(&self) -> &RouterInfo {
        &self.0
    }
}

impl From<VerifiedRouterInfo> for RouterInfo {
    fn from(verified: VerifiedRouterInfo) -> Self {
        verified.0
    }
}

impl RouterInfo {
    /// Takes the bytes of one RouterInfo, checks their structure and keeps them: copy them first if they are a slice of
    /// something larger.
    ///
    /// # Errors
    /// `Truncated`, `Trailing`, `Invalid`; `TooLarge` above [`MAX_LEN`].
    pub fn parse(raw: Bytes) -> Result<Self> {
        if raw.len() > MAX_LEN {
            return Err(Error::TooLarge("RouterInfo"));
        }
        let mut r = Reader::new(&raw);
        let (signing, _) = KeysAndCert::walk(&mut r)?;
        let identity = r.since(0);
        let identity_end = identity.len();
        let hash = RouterHash(sha256(&[identity]));
        let published = Wall(r.u64()?);
        for _ in 0..r.u8()? {
            RouterAddress::parse(&mut r)?;
        }
        let peers = r.u8()?;
        r.take(32 * usize::from(peers))?;
        let options_at = r.position();
        let options = Mapping::parse(&mut r)?;
        let signature_at = r.position();
        r.take(signing.signature_len().ok_or(Error::Invalid("signature type"))?)?;
        r.finish()?;
        let offset = |n: usize| u16::try_from(n).map_err(|_| Error::TooLarge("RouterInfo"));
        Ok(Self {
            version: options.get("router.version").map(Version::parse).unwrap_or_default(),
            caps: options.get("caps").map(Caps::parse).unwrap_or_default(),
            net_id: options.get("netId").and_then(|n| n.parse().ok()),
            identity_end: offset(identity_end)?,
            options_at: offset(options_at)?,
            signature_at: offset(signature_at)?,
            hash,
            published,
            signing,
            raw,
        })
    }

    /// Verifies the signature.
    ///
    /// # Errors
    /// `Signature`.
    pub fn verify(&self) -> Result<()> {
        let (message, signature) = self.raw.split_at(usize::from(self.signature_at));
        keys_and_cert::verify(&self.raw, self.signing, message, signature)
    }

    /// The same with the proof that its signature is good, so that nobody verifies it again.
    ///
    /// # Errors
    /// As [`RouterInfo::verify`].
    pub fn verified(self) -> Result<VerifiedRouterInfo> {
        self.verify()?;
        Ok(VerifiedRouterInfo(self))
    }

    /// The exact bytes, signature included.
    pub fn as_bytes(&self) -> &Bytes {
        &self.raw
    }

    /// SHA-256 of the RouterIdentity.
    pub fn hash(&self) -> RouterHash {
        self.hash
    }

    /// When the router signed this.
    pub fn published(&self) -> Wall {
        self.published
    }

    /// `router.version`: the API version; zero if there is none.
    pub fn version(&self) -> Version {
        self.version
    }

    /// `caps`.
    pub fn caps(&self) -> Caps {
        self.caps
    }

    /// `netId`; `None` if it is missing or not a number from 0 to 255.
    pub fn net_id(&self) -> Option<u8> {
        self.net_id
    }

    /// The type of the signing key.
    pub fn signing_type(&self) -> SigType {
        self.signing
    }

    /// The X25519 encryption key; `None` for routers with ElGamal keys.
    pub fn encryption_key(&self) -> Option<x25519::PublicKey> {
        self.identity().ok()?.x25519_key()
    }

    /// The identity, sharing our bytes.
    ///
    /// # Errors
    /// None: it was checked.
    pub fn identity(&self) -> Result<RouterIdentity> {
        RouterIdentity::from_bytes(self.raw.slice(..usize::from(self.identity_end)))
    }

    /// The family that the router claims; its signature is not checked here.
    pub fn family(&self) -> Option<&str> {
        self.options().get("family")
    }

    /// All options.
    pub fn options(&self) -> Mapping<'_> {
        let range = usize::from(self.options_at)..usize::from(self.signature_at);
        let mut r = Reader::new(self.raw.get(range).unwrap_or_default());
        Mapping::parse(&mut r).unwrap_or_default()
    }

    /// All addresses, in the router's order.
    pub fn addresses(&self) -> impl Iterator<Item = RouterAddress<'_>> + use<'_> {
        let mut r = Reader::new(self.raw.get(usize::from(self.identity_end) + 8..).unwrap_or_default());
        let count = r.u8().unwrap_or(0);
        (0..count).map_while(move |_| RouterAddress::parse(&mut r).ok())
    }

    /// The NTCP2 addresses.
    pub fn ntcp2(&self) -> impl Iterator<Item = Ntcp2Address> + use<'_> {
        self.addresses().filter_map(|a| a.ntcp2())
    }

    /// The SSU2 addresses.
    pub fn ssu2(&self) -> impl Iterator<Item = Ssu2Address> + use<'_> {
        self.addresses().filter_map(|a| a.ssu2())
    }
}

impl PartialEq for RouterInfo {
    fn eq(&self, other: &Self) -> bool {
        self.raw == other.raw
    }
}

impl Eq for RouterInfo {}

impl std::fmt::Debug for RouterInfo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RouterInfo")
            .field("published", &self.published)
            .field("version", &self.version)
            .field("caps", &self.caps)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
