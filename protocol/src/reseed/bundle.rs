//! A bundle: RouterInfos in a zip archive in a signed file.
//!
//! spec: updates §SU3 Reseed File Specification — the version is the time in seconds; the files stand at the top level and
//! are named `routerInfo-(44 characters of base 64).dat`.
//!
//! Whatever comes out of one has been looked at: the signature of the file and the dates of its certificate, its age, the
//! bounds of the archive, and of each RouterInfo what the rules of the netDb say, its own signature included.

use super::certificate::Signers;
use crate::data::entry::Entry;
use crate::data::router_info::RouterInfo;
use crate::id::RouterHash;
use crate::netdb::rules::{MAX_ROUTER_INFO, MIN_VERSION, Rules, Source};
use crate::su3::{self, Su3};
use crate::time::Wall;
use crate::{base64, wire};
use bytes::Bytes;
use ramson_crypto::rsa::{PrivateKey, SIGNATURE_LEN};
use rand::CryptoRng;
use std::collections::BTreeMap;
use std::io::{Cursor, Read, Write};
use std::time::Duration;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

/// The largest file. INTEROP: Java takes 1 MiB; a hundred RouterInfos have some 100 kB.
pub const MAX_FILE: usize = 1 << 20;

/// Files in an archive that are looked at.
pub const MAX_ENTRIES: usize = 500;

/// A bundle may be as old as this. INTEROP: Java's limit.
pub const MAX_AGE: Duration = Duration::from_secs(30 * 24 * 3600);

/// A bundle from further ahead says that a clock is wrong.
pub const MAX_AHEAD: Duration = Duration::from_secs(2 * 3600);

/// RouterInfos in a bundle that we make. spec: reseed §Network Diversity Requirements, 75 to 100
pub const USUAL: usize = 77;

/// A RouterInfo that we give away is not older. spec: reseed §Network Diversity Requirements
pub const FRESH: Duration = Duration::from_secs(24 * 3600);

/// RouterInfos from a bundle that have passed all checks.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// Who has signed it.
    pub signer: String,
    /// When it was made, as it says.
    pub made: Wall,
    /// What is good of it.
    pub routers: Vec<RouterInfo>,
    /// How many files were refused, by cause.
    pub refused: BTreeMap<&'static str, usize>,
}

/// Why a bundle is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// Larger than [`MAX_FILE`].
    #[error("it has more than {MAX_FILE} bytes")]
    TooLarge,
    /// It is no SU3 file, or was cut off.
    #[error("it is no whole SU3 file: {0}")]
    NotSu3(#[from] wire::Error),
    /// It holds something else.
    #[error("it is an SU3 file that holds no RouterInfos to begin with, but content {content} as file type {file}")]
    OtherContent {
        /// The type of the content.
        content: u8,
        /// The type of the file.
        file: u8,
    },
    /// Signed otherwise than bundles are.
    #[error("its signature is of type {0}, not RSA with 4096 bits")]
    SignatureType(u16),
    /// Nobody whose certificate we have.
    #[error("{0:?} has signed it, whose certificate is not here")]
    UnknownSigner(String),
    /// His certificates are not good now.
    #[error("the certificate of {0:?} has ended, or has not begun: if that cannot be, this machine's clock is wrong")]
    CertificateDates(String),
    /// Somebody else has made it, or it was changed.
    #[error("its signature does not hold: {0:?} has not made it")]
    BadSignature(String),
    /// The version is no time.
    #[error("it does not say when it was made")]
    NoTime,
    /// Older than [`MAX_AGE`].
    #[error("it was made {} days ago", .0.as_secs() / 86_400)]
    Expired(Duration),
    /// From more than [`MAX_AHEAD`] ahead.
    #[error("it was made {} hours from now: this machine's clock is wrong, or its maker's", .0.as_secs() / 3600)]
    FromTheFuture(Duration),
    /// The archive cannot be read.
    #[error("its archive is damaged: {0}")]
    BadArchive(String),
    /// More than [`MAX_ENTRIES`].
    #[error("its archive has {0} files, where {MAX_ENTRIES} are the most")]
    TooMany(usize),
    /// No file of it was good.
    #[error("nothing in it is good; refused: {}", counted(.0))]
    NothingGood(BTreeMap<&'static str, usize>),
}

impl BundleError {
    /// Its name in metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::NotSu3(_) => "not_su3",
            Self::OtherContent { .. } => "other_content",
            Self::SignatureType(_) => "signature_type",
            Self::UnknownSigner(_) => "unknown_signer",
            Self::CertificateDates(_) => "certificate_dates",
            Self::BadSignature(_) => "bad_signature",
            Self::NoTime => "no_time",
            Self::Expired(_) => "expired",
            Self::FromTheFuture(_) => "from_the_future",
            Self::BadArchive(_) => "bad_archive",
            Self::TooMany(_) => "too_many",
            Self::NothingGood(_) => "nothing_good",
        }
    }
}

/// Counts by cause, as words: `3 too_old, 1 wrong_network`, or `none`.
pub fn counted(causes: &BTreeMap<&'static str, usize>) -> String {
    let parts: Vec<_> = causes.iter().map(|(cause, n)| format!("{n} {cause}")).collect();
    if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
}

/// Opens a file that came from wherever.
///
/// # Errors
/// The first thing that is wrong with the whole; single files that are not good are counted in [`Bundle::refused`].
pub fn open(bytes: &[u8], signers: &Signers, rules: &Rules, now: Wall) -> Result<Bundle, BundleError> {
    if bytes.len() > MAX_FILE {
        return Err(BundleError::TooLarge);
    }
    let su3 = Su3::parse(bytes)?;
    if (su3.content_type, su3.file_type) != (su3::RESEED, su3::ZIP) {
        return Err(BundleError::OtherContent { content: su3.content_type, file: su3.file_type });
    }
    verify(&su3, signers, now)?;
    let made = su3.version.parse().ok().and_then(|secs: u64| secs.checked_mul(1000));
    let made = made.map(Wall).ok_or(BundleError::NoTime)?;
    if now.since(made) > MAX_AGE {
        return Err(BundleError::Expired(now.since(made)));
    }
    if made.since(now) > MAX_AHEAD {
        return Err(BundleError::FromTheFuture(made.since(now)));
    }
    let mut bundle = Bundle { signer: su3.signer.to_owned(), made, routers: Vec::new(), refused: BTreeMap::new() };
    unpack(su3.content, |file| match file.and_then(|(hash, bytes)| judge(hash, bytes, rules, now)) {
        Ok(info) => bundle.routers.push(info),
        Err(cause) => *bundle.refused.entry(cause).or_default() += 1,
    })?;
    if bundle.routers.is_empty() {
        return Err(BundleError::NothingGood(bundle.refused));
    }
    Ok(bundle)
}

fn verify(su3: &Su3<'_>, signers: &Signers, now: Wall) -> Result<(), BundleError> {
    let signer = || su3.signer.to_owned();
    if su3.signature_type != su3::RSA_SHA512_4096 {
        return Err(BundleError::SignatureType(su3.signature_type));
    }
    let certificates = signers.of(su3.signer);
    if certificates.is_empty() {
        return Err(BundleError::UnknownSigner(signer()));
    }
    let mut good = certificates.iter().filter(|certificate| certificate.is_valid(now)).peekable();
    if good.peek().is_none() {
        return Err(BundleError::CertificateDates(signer()));
    }
    if good.any(|certificate| certificate.key.verify(su3.signed, su3.signature).is_ok()) {
        Ok(())
    } else {
        Err(BundleError::BadSignature(signer()))
    }
}

/// Hands out each file with the hash that its name bears, or the cause why it is left out.
fn unpack(
    archive: &[u8],
    mut take: impl FnMut(Result<(RouterHash, Vec<u8>), &'static str>),
) -> Result<(), BundleError> {
    let mut archive = ZipArchive::new(Cursor::new(archive)).map_err(|e| BundleError::BadArchive(e.to_string()))?;
    if archive.len() > MAX_ENTRIES {
        return Err(BundleError::TooMany(archive.len()));
    }
    for index in 0..archive.len() {
        let Ok(file) = archive.by_index(index) else {
            take(Err("damaged"));
            continue;
        };
        let Some(hash) = file.name().ok().as_deref().and_then(hash_of) else {
            take(Err("other_name"));
            continue;
        };
        let mut bytes = Vec::with_capacity(1024);
        take(match file.take(MAX_ROUTER_INFO as u64 + 1).read_to_end(&mut bytes) {
            // One that is larger than it may be is judged by the rules, cut off as it is here.
            Ok(_) if bytes.len() > MAX_ROUTER_INFO => Err("too_large"),
            Ok(_) => Ok((hash, bytes)),
            Err(_) => Err("damaged"),
        });
    }
    Ok(())
}

/// The hash in a file's name.
fn hash_of(name: &str) -> Option<RouterHash> {
    let hash = name.strip_prefix("routerInfo-")?.strip_suffix(".dat")?;
    base64::decode(hash)?.try_into().ok().map(RouterHash)
}

fn judge(hash: RouterHash, bytes: Vec<u8>, rules: &Rules, now: Wall) -> Result<RouterInfo, &'static str> {
    let info = RouterInfo::parse(Bytes::from(bytes)).map_err(|_| "malformed")?;
    if info.hash() != hash {
        return Err("other_name");
    }
    let entry = Entry::from(info.clone());
    rules.judge(&entry, Source::Bundle, None, 0, now).map_err(|refusal| refusal.name())?;
    Ok(info)
}

/// Whether a router is worth being known by a newcomer: fresh, and to be called by anyone. `private` lets addresses of
/// private networks pass.
pub fn is_fit(info: &RouterInfo, net_id: u8, private: bool, now: Wall) -> bool {
    let public = |at: std::net::SocketAddr| private || crate::data::router_address::is_public(at.ip());
    let callable =
        info.ntcp2().filter_map(|a| a.dialable().map(|(at, ..)| at)).chain(info.ssu2().filter_map(|a| a.socket));
    let caps = info.caps();
    info.net_id() == Some(net_id)
        && info.version() >= MIN_VERSION
        && now.since(info.published()) <= FRESH
        && caps.reachable
        && !caps.hidden
        && callable.into_iter().any(public)
}

/// Makes a bundle of routers.
///
/// # Errors
/// If the signer's name is too long or his key inconsistent.
pub fn make(
    routers: &[RouterInfo],
    signer: &str,
    key: &PrivateKey,
    now: Wall,
    rng: &mut impl CryptoRng,
) -> Result<Vec<u8>, wire::Error> {
    let content = pack(routers).map_err(|_| wire::Error::Invalid("archive"))?;
    let header = su3::Header {
        signature_type: su3::RSA_SHA512_4096,
        signature_len: SIGNATURE_LEN as u16,
        file_type: su3::ZIP,
        content_type: su3::RESEED,
        version: &now.secs().to_string(),
        signer,
    };
    let mut file = header.write(&content)?;
    let signature = key.sign(&file, rng).map_err(|_| wire::Error::Signature)?;
    file.extend_from_slice(&signature);
    Ok(file)
}

/// Sizes stand before each file, as i2pd wants them, which reads from the front.
fn pack(routers: &[RouterInfo]) -> zip::result::ZipResult<Vec<u8>> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    for info in routers {
        archive.start_file(format!("routerInfo-{}.dat", info.hash().to_base64()), options)?;
        archive.write_all(info.as_bytes())?;
    }
    Ok(archive.finish()?.into_inner())
}

#[cfg(test)]
mod tests;
