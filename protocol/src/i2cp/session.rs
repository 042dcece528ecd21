//! What a program says of a session: who it is, and its options, signed.
//!
//! ```text
//! Destination | options: mapping | date 8, ms | signature
//! ```
//! The key that signs is the destination's own, or a transient one that the options name.
//!
//! spec: i2cp §Session Config, §Options

use crate::base64;
use crate::blinding::ClientKey;
use crate::data::key_type::SigType;
use crate::data::keys_and_cert::Destination;
use crate::data::mapping::{Mapping, MappingBuf};
use crate::data::private_keys::PrivateKeys;
use crate::pool::Wanted;
use crate::time::Wall;
use crate::wire::{Error, Reader, Result, Writer};
use bytes::Bytes;
use ramson_crypto::sign;
use std::collections::BTreeMap;
use std::time::Duration;

/// How far the date of a program may be off. INTEROP: three minutes in Java.
const SKEW: Duration = Duration::from_secs(3 * 60);

/// The options that name a transient key.
const OFFLINE_EXPIRES: &str = "i2cp.leaseSetOfflineExpiration";
const OFFLINE_KEY: &str = "i2cp.leaseSetTransientPublicKey";
const OFFLINE_SIGNATURE: &str = "i2cp.leaseSetOfflineSignature";

/// What a program says of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionConfig {
    raw: Bytes,
    destination: Destination,
    options: BTreeMap<String, String>,
    created: Wall,
    signature_at: usize,
}

/// Why there is no such session. The words are Java's, where it has some.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The signature does not hold.
    #[error("Invalid signature on CreateSessionMessage")]
    Signature,
    /// Nobody here knows such keys.
    #[error("Unsupported signature type {0}")]
    SignatureType(u16),
    /// The program's clock is another than ours.
    #[error("Create session message client clock skew? {0} s: set the clock of this machine")]
    Skew(i64),
    /// The transient key has ended, or is not the destination's.
    #[error("Invalid offline signature, or it has expired: make a new transient key")]
    Offline,
    /// The key field of the destination is of another type than all routers take.
    #[error("Non-ElGamal encryption type in key certificate unsupported")]
    EncryptionType,
}

impl SessionConfig {
    /// Reads one that fills `raw`.
    ///
    /// # Errors
    /// `Truncated`, `Trailing`; `Invalid` for a signature of unknown length.
    pub fn parse(raw: &Bytes) -> Result<Self> {
        let mut r = Reader::new(raw);
        let destination = Destination::parse(&mut r)?;
        let options: BTreeMap<_, _> = Mapping::parse(&mut r)?
            .iter()
            .map(|(key, value)| {
                (String::from_utf8_lossy(key).into_owned(), String::from_utf8_lossy(value).into_owned())
            })
            .collect();
        let (created, signature_at) = (Wall(r.u64()?), r.position());
        let config = Self { raw: raw.clone(), destination, options, created, signature_at };
        // One whose type nobody knows is refused when it is looked at: its program is to hear why.
        if let Some(len) = config.signing_type().signature_len() {
            r.take(len)?;
            r.finish()?;
        }
        Ok(config)
    }

    /// Signs one for a destination of ours.
    ///
    /// # Errors
    /// `TooLarge` if there are too many options.
    pub fn sign(keys: &PrivateKeys, options: &[(String, String)], now: Wall) -> Result<Self> {
        let mut all = MappingBuf::new();
        for (key, value) in options {
            all.set(key, value.as_str());
        }
        if let Some(offline) = &keys.offline {
            let parsed = crate::data::offline::OfflineSignature::parse(
                &mut Reader::new(offline),
                keys.destination.signing_type(),
            )?;
            all.set(OFFLINE_EXPIRES, parsed.expires.secs().to_string());
            all.set(OFFLINE_KEY, format!("{}:{}", parsed.kind.code(), base64::encode(parsed.key)));
            all.set(OFFLINE_SIGNATURE, base64::encode(parsed.signature));
        }
        let mut raw = keys.destination.as_bytes().to_vec();
        all.write(&mut raw)?;
        raw.put_u64(now.0);
        let signature = keys.key.sign(&raw);
        raw.put(&signature);
        Self::parse(&raw.into())
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &Bytes {
        &self.raw
    }

    /// Who the session is to be.
    pub fn destination(&self) -> &Destination {
        &self.destination
    }

    /// An option.
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.get(name).map(String::as_str)
    }

    fn number(&self, name: &str) -> Option<i64> {
        self.option(name)?.trim().parse().ok()
    }

    fn is_true(&self, name: &str) -> bool {
        self.option(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// The type of the key that signs.
    fn signing_type(&self) -> SigType {
        self.transient().map_or_else(|| self.destination.signing_type(), |(kind, _)| kind)
    }

    /// The transient key, if there is one: its type, or DSA's without, and its bytes.
    fn transient(&self) -> Option<(SigType, Vec<u8>)> {
        let text = self.option(OFFLINE_KEY)?;
        let (kind, key) = text.rsplit_once(':').unwrap_or(("0", text));
        let kind = kind.parse().ok().or_else(|| (kind == "EdDSA_SHA512_Ed25519").then_some(7))?;
        Some((SigType::from_code(kind), base64::decode(key)?))
    }

    /// Whether such a session may be.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, now: Wall) -> std::result::Result<(), Refusal> {
        let kind = self.signing_type();
        if kind.signature_len().is_none() {
            return Err(Refusal::SignatureType(kind.code()));
        }
        if self.destination.encryption_type().code() != 0 {
            return Err(Refusal::EncryptionType);
        }
        let ahead = i64::try_from(self.created.0).unwrap_or(i64::MAX).saturating_sub_unsigned(now.0);
        if ahead.unsigned_abs() > u64::try_from(SKEW.as_millis()).unwrap_or(u64::MAX) {
            return Err(Refusal::Skew(ahead / 1000));
        }
        let (signed, signature) = self.raw.split_at(self.signature_at);
        let holds = match self.transient() {
            None => self.destination.verify(signed, signature).is_ok(),
            Some((kind, key)) => {
                self.check_offline(kind, &key, now)?;
                sign::verify(kind, &key, signed, signature).is_ok()
            }
        };
        if holds { Ok(()) } else { Err(Refusal::Signature) }
    }

    fn check_offline(&self, kind: SigType, key: &[u8], now: Wall) -> std::result::Result<(), Refusal> {
        let expires = self.number(OFFLINE_EXPIRES).and_then(|expires| u32::try_from(expires).ok());
        let expires = expires.filter(|expires| Wall::from_secs(*expires) > now).ok_or(Refusal::Offline)?;
        let signature = self.option(OFFLINE_SIGNATURE).and_then(base64::decode).ok_or(Refusal::Offline)?;
        let mut signed = Vec::with_capacity(key.len() + 6);
        signed.put_u32(expires);
        signed.put_u16(kind.code());
        signed.put(key);
        self.destination.verify(&signed, &signature).map_err(|_: Error| Refusal::Offline)
    }

    /// What it asks for. What it does not say of tunnels is as in `tunnels`.
    pub fn request(&self, tunnels: Wanted) -> Request {
        Request {
            destination: self.destination.clone(),
            inbound: Wanted::asked("inbound", tunnels, |name| self.number(name)),
            outbound: Wanted::asked("outbound", tunnels, |name| self.number(name)),
            published: !self.is_true("i2cp.dontPublishLeaseSet"),
            fast_receive: self.is_true("i2cp.fastReceive"),
            accepts: self.option("i2cp.messageReliability") != Some("none"),
            secret: self.secret().unwrap_or_default(),
            client_key: self.client_key(),
        }
    }

    /// What must be known to find an encrypted lease set of ours. INTEROP: Java has it in base 64.
    fn secret(&self) -> Option<String> {
        String::from_utf8(base64::decode(self.option("i2cp.leaseSetSecret")?)?).ok()
    }

    /// The key with which encrypted lease sets are read, our own among them.
    fn client_key(&self) -> Option<ClientKey> {
        base64::decode(self.option("i2cp.leaseSetPrivKey")?)?.try_into().ok().map(ClientKey)
    }

    /// The user name and password among the options. INTEROP: programs before API 0.9.11 have them here.
    pub fn credentials(&self) -> Option<(&str, &str)> {
        Some((self.option("i2cp.username")?, self.option("i2cp.password")?))
    }
}

/// What a session is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Who.
    pub destination: Destination,
    /// Tunnels to it.
    pub inbound: Wanted,
    /// Tunnels away from it.
    pub outbound: Wanted,
    /// Others find it.
    pub published: bool,
    /// Payloads are handed over at once, without asking.
    pub fast_receive: bool,
    /// It is told that a payload was taken, before what became of it.
    pub accepts: bool,
    /// What must be known to find its lease set, if that is encrypted.
    pub secret: String,
    /// The key with which it reads encrypted lease sets.
    pub client_key: Option<ClientKey>,
}
