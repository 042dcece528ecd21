//! Who may sign bundles: self-signed certificates, each with a name and a key.
//!
//! spec: updates §Notes — the certificate is looked up by the id of the signer; its dates are to be enforced. That it signs
//! itself says nothing, and is not verified: whoever hands us a certificate vouches for it.

use crate::time::Wall;
use crate::wire::{Error, Result};
use ramson_crypto::rsa::PublicKey;
use std::collections::BTreeMap;
use x509_parser::pem::Pem;
use x509_parser::public_key::PublicKey as CertifiedKey;

/// Certificates that are kept at most.
const MAX_SIGNERS: usize = 1000;

/// A certificate, as far as it matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Its common name: the id of the signer.
    pub signer: String,
    /// Verifies what he has signed.
    pub key: PublicKey,
    /// It is good from then on.
    pub from: Wall,
    /// It is good until then.
    pub until: Wall,
}

impl Certificate {
    /// Reads all certificates of a PEM file.
    ///
    /// # Errors
    /// `Invalid` if there is none, or one has no name, or its key is not RSA with 4096 bits.
    pub fn parse_all(pem: &[u8]) -> Result<Vec<Self>> {
        let blocks = Pem::iter_from_buffer(pem).collect::<std::result::Result<Vec<_>, _>>();
        let blocks = blocks.map_err(|_| Error::Invalid("PEM"))?;
        if blocks.is_empty() {
            return Err(Error::Invalid("PEM: no certificate in it"));
        }
        blocks.iter().map(Self::parse).collect()
    }

    fn parse(pem: &Pem) -> Result<Self> {
        let certificate = pem.parse_x509().map_err(|_| Error::Invalid("certificate"))?;
        let name = certificate.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
        let signer = name.filter(|name| !name.is_empty()).ok_or(Error::Invalid("certificate: no common name"))?;
        let key = match certificate.public_key().parsed() {
            Ok(CertifiedKey::RSA(key)) => PublicKey::new(key.modulus, key.exponent).ok(),
            _ => None,
        };
        let key = key.ok_or(Error::Invalid("certificate: its key is not RSA with 4096 bits"))?;
        let validity = certificate.validity();
        let wall = |seconds: i64| Wall(u64::try_from(seconds).unwrap_or(0).saturating_mul(1000));
        Ok(Self {
            signer: signer.to_owned(),
            key,
            from: wall(validity.not_before.timestamp()),
            until: wall(validity.not_after.timestamp()),
        })
    }

    /// Whether it is good at this time.
    pub fn is_valid(&self, now: Wall) -> bool {
        (self.from..=self.until).contains(&now)
    }
}

/// All who may sign.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signers(BTreeMap<String, Vec<Certificate>>);

impl Signers {
    /// Adds a certificate. Of one signer there may be several, of which one follows the other.
    pub fn add(&mut self, certificate: Certificate) {
        if self.len() < MAX_SIGNERS {
            self.0.entry(certificate.signer.clone()).or_default().push(certificate);
        }
    }

    /// The certificates of a signer.
    pub fn of(&self, signer: &str) -> &[Certificate] {
        self.0.get(signer).map_or(&[], Vec::as_slice)
    }

    /// Certificates, in all.
    pub fn len(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    /// True if nobody may sign.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEM: &str = include_str!("test_signer.crt");

    #[test]
    fn a_certificate_gives_its_name_its_key_and_its_dates() {
        let all = Certificate::parse_all(PEM.as_bytes()).unwrap();
        let [one] = all.as_slice() else { panic!("{all:?}") };
        assert_eq!(one.signer, "test@mail.i2p");
        assert_eq!(one.key.modulus().len(), 512);
        assert!(one.is_valid(Wall::from_secs(1_800_000_000)));
        assert!(!one.is_valid(Wall::from_secs(1_700_000_000)) && !one.is_valid(Wall::from_secs(4_000_000_000)));
        let mut signers = Signers::default();
        signers.add(one.clone());
        assert_eq!((signers.of("test@mail.i2p").len(), signers.of("other@mail.i2p").len()), (1, 0));
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        for text in ["", "no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            assert!(Certificate::parse_all(text.as_bytes()).is_err(), "{text}");
        }
        assert!(Certificate::parse_all(&PEM.as_bytes()[..PEM.len() / 2]).is_err());
    }
}
