//! Fuzz targets of what comes from reseed hosts: whatever they send, nothing panics, nothing grows, nothing forged is taken.
//!
//! They run on stable for a bounded number of inputs, and under a fuzzing engine with `cargo bolero test`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use ramson_crypto::rsa::PrivateKey;
use ramson_protocol::id::RouterHash;
use ramson_protocol::netdb::rules::Rules;
use ramson_protocol::reseed::bundle::{self, MAX_ENTRIES};
use ramson_protocol::reseed::certificate::{Certificate, Signers};
use ramson_protocol::su3::{self, Header, Su3};
use ramson_protocol::time::Wall;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

const RULES: Rules = Rules { net_id: 2, own: RouterHash([1; 32]), floodfill: false };
const PEM: &[u8] = include_bytes!("../src/reseed/test_signer.crt");
const NOW: Wall = Wall(1_800_000_000_000);

fn signers() -> Signers {
    let mut signers = Signers::default();
    Certificate::parse_all(PEM).unwrap().into_iter().for_each(|certificate| signers.add(certificate));
    signers
}

fn header() -> Header<'static> {
    Header {
        signature_type: su3::RSA_SHA512_4096,
        signature_len: 512,
        file_type: su3::ZIP,
        content_type: su3::RESEED,
        version: "1800000000",
        signer: "test@mail.i2p",
    }
}

#[test]
fn files() {
    let whole = [header().write(b"content").unwrap(), vec![0; 512]].concat();
    bolero::check!().with_iterations(10_000).for_each(|bytes: &[u8]| {
        let _ = Su3::parse(bytes);
        // And near to a good one.
        let mut near = whole.clone();
        near.iter_mut().zip(bytes).for_each(|(byte, change)| *byte ^= change);
        if let Ok(su3) = Su3::parse(&near) {
            assert_eq!(su3.signed.len() + su3.signature.len(), near.len());
        }
    });
}

#[test]
fn archives() {
    let key = PrivateKey::from_pem(include_str!("../../crypto/src/rsa/test_key.pem")).unwrap();
    let signers = signers();
    bolero::check!().with_iterations(300).for_each(|bytes: &[u8]| {
        // A signer who lies: what is rightly signed may still be anything.
        let mut archive = bytes.to_vec();
        if !bytes.is_empty() {
            archive.extend_from_slice(b"PK\x05\x06\0\0\0\0");
            archive.extend(bytes.iter().cycle().take(14));
        }
        let mut file = header().write(&archive).unwrap();
        file.extend(key.sign(&file, &mut ChaCha20Rng::seed_from_u64(1)).unwrap());
        if let Ok(bundle) = bundle::open(&file, &signers, &RULES, NOW) {
            assert!(bundle.routers.len() <= MAX_ENTRIES);
        }
    });
}

#[test]
fn certificates() {
    bolero::check!().with_iterations(5_000).for_each(|bytes: &[u8]| {
        let _ = Certificate::parse_all(bytes);
        let mut near = PEM.to_vec();
        for (at, change) in bytes.chunks_exact(2).map(|pair| (usize::from(pair[0]) * 7 % PEM.len(), pair[1])) {
            near[at] ^= change;
        }
        let _ = Certificate::parse_all(&near);
    });
}
