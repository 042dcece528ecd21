//! Bundles that are good, and every way of not being it.

use super::*;
use crate::data::router_info::Caps;
use crate::reseed::test_bundles::{an_hour_ago, key, now, router, router_of, router_with, rules, signers};

const SIGNER: &str = "test@mail.i2p";

fn rng() -> impl CryptoRng {
    use rand::SeedableRng;
    rand_chacha::ChaCha20Rng::seed_from_u64(1)
}

fn made(routers: &[RouterInfo]) -> Vec<u8> {
    make(routers, SIGNER, &key(), now(), &mut rng()).unwrap()
}

/// A file with this content, rightly signed.
fn signed(content: &[u8], change: impl FnOnce(&mut su3::Header<'_>)) -> Vec<u8> {
    let mut header = su3::Header {
        signature_type: su3::RSA_SHA512_4096,
        signature_len: 512,
        file_type: su3::ZIP,
        content_type: su3::RESEED,
        version: "1800000000",
        signer: SIGNER,
    };
    change(&mut header);
    let mut file = header.write(content).unwrap();
    let signature = key().sign(&file, &mut rng()).unwrap();
    file.extend_from_slice(&signature);
    file
}

fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        archive
            .start_file(*name, SimpleFileOptions::default().compression_method(CompressionMethod::Deflated))
            .unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

fn opened(file: &[u8]) -> Result<Bundle, BundleError> {
    open(file, &signers(), &rules(), now())
}

#[test]
fn what_is_made_is_opened_again() {
    let routers: Vec<_> = (0..5).map(router).collect();
    let bundle = opened(&made(&routers)).unwrap();
    assert_eq!(bundle.routers, routers);
    assert_eq!((bundle.signer.as_str(), bundle.made), (SIGNER, now()));
    assert!(bundle.refused.is_empty());
}

#[test]
fn a_forged_byte_anywhere_is_noticed() {
    let file = made(&[router(1)]);
    for at in [0, 9, 30, 41, 57, 80, file.len() / 2, file.len() - 513, file.len() - 512, file.len() - 1] {
        let mut forged = file.clone();
        forged[at] ^= 1;
        assert!(opened(&forged).is_err(), "byte {at}");
    }
    for end in (0..file.len()).step_by(97) {
        assert!(matches!(opened(&file[..end]), Err(BundleError::NotSu3(_))), "cut off at {end}");
    }
}

#[test]
fn only_a_signer_whose_certificate_is_here_and_good_now_is_believed() {
    let file = made(&[router(1)]);
    assert_eq!(
        open(&file, &Signers::default(), &rules(), now()).unwrap_err(),
        BundleError::UnknownSigner(SIGNER.to_owned())
    );
    for at in [1_700_000_000, 4_000_000_000] {
        let error = open(&file, &signers(), &rules(), Wall::from_secs(at)).unwrap_err();
        assert_eq!(error, BundleError::CertificateDates(SIGNER.to_owned()));
    }
    let file = signed(&pack(&[router(1)]).unwrap(), |header| header.signature_type = 7);
    assert_eq!(opened(&file).unwrap_err(), BundleError::SignatureType(7));
}

#[test]
fn other_contents_and_other_times_are_refused_in_words() {
    let good = pack(&[router(1)]).unwrap();
    let news = signed(&good, |header| header.content_type = 4);
    assert_eq!(opened(&news).unwrap_err(), BundleError::OtherContent { content: 4, file: 0 });
    let update = signed(&good, |header| header.file_type = 6);
    assert_eq!(opened(&update).unwrap_err(), BundleError::OtherContent { content: 3, file: 6 });
    let version = |version: &'static str| opened(&signed(&good, |header| header.version = version)).unwrap_err();
    assert_eq!(version("0.9.69"), BundleError::NoTime);
    assert_eq!(version("18446744073709551615"), BundleError::NoTime);
    assert!(version("1790000000").to_string().contains("115 days ago"));
    assert!(version("1800090000").to_string().contains("25 hours from now"));
}

#[test]
fn a_bomb_is_not_unpacked() {
    let zeros = vec![0; 50_000_000];
    let bomb = archive(&[(&format!("routerInfo-{}.dat", router(1).hash().to_base64()), &zeros)]);
    assert!(bomb.len() < 100_000);
    let error = opened(&signed(&bomb, |_| {})).unwrap_err();
    assert_eq!(error, BundleError::NothingGood(BTreeMap::from([("too_large", 1)])));
    assert_eq!(opened(&vec![0; MAX_FILE + 1]).unwrap_err(), BundleError::TooLarge);
    let names: Vec<_> = (0..=MAX_ENTRIES).map(|n| format!("f{n}")).collect();
    let files: Vec<_> = names.iter().map(|name| (name.as_str(), &b""[..])).collect();
    assert_eq!(opened(&signed(&archive(&files), |_| {})).unwrap_err(), BundleError::TooMany(MAX_ENTRIES + 1));
}

#[test]
fn an_archive_that_is_none_is_refused() {
    for content in [&b""[..], b"PK", b"no archive at all", &[0x50, 0x4b, 5, 6, 0, 0]] {
        assert!(matches!(opened(&signed(content, |_| {})), Err(BundleError::BadArchive(_))), "{content:?}");
    }
    let error = opened(&signed(&archive(&[]), |_| {})).unwrap_err();
    assert_eq!(error.to_string(), "nothing in it is good; refused: none");
}

#[test]
fn each_file_is_judged_by_itself_and_counted() {
    let (good, moved) = (router(1), router(2));
    let forged = {
        let mut bytes = router(3).as_bytes().to_vec();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        bytes
    };
    let caps = Caps { reachable: true, ..Caps::default() };
    let other_network = router_with(4, 99, caps, now());
    let old = router_of(5, Wall::from_secs(1_790_000_000));
    let ahead = router_of(6, now().plus(Duration::from_secs(3600)));
    let name = |info: &RouterInfo| format!("routerInfo-{}.dat", info.hash().to_base64());
    let names = [&good, &router(3), &other_network, &old, &ahead].map(name);
    let file = archive(&[
        (&names[0], good.as_bytes()),
        (&names[1], &forged),
        (&names[2], other_network.as_bytes()),
        (&names[3], old.as_bytes()),
        (&names[4], ahead.as_bytes()),
        (&name(&router(7)), moved.as_bytes()),
        ("../routerInfo-AAAA.dat", moved.as_bytes()),
        (&name(&router(8)), b"no RouterInfo"),
    ]);
    let bundle = opened(&signed(&file, |_| {})).unwrap();
    assert_eq!(bundle.routers, [good]);
    let refused = [
        ("bad_signature", 1),
        ("from_the_future", 1),
        ("malformed", 1),
        ("other_name", 2),
        ("too_old", 1),
        ("wrong_network", 1),
    ];
    assert_eq!(bundle.refused, BTreeMap::from(refused));
    assert!(counted(&bundle.refused).contains("2 other_name"));
}

#[test]
fn only_routers_that_are_fresh_and_can_be_called_are_given_away() {
    let reachable = Caps { reachable: true, ..Caps::default() };
    let fits = |info: &RouterInfo| is_fit(info, 2, true, now());
    assert!(fits(&router_with(1, 2, reachable, an_hour_ago())));
    assert!(!fits(&router_with(1, 99, reachable, an_hour_ago())), "of another network");
    assert!(!fits(&router_with(1, 2, Caps::default(), an_hour_ago())), "not reachable");
    assert!(!fits(&router_with(1, 2, Caps { hidden: true, ..reachable }, an_hour_ago())), "hidden");
    assert!(!fits(&router_with(1, 2, reachable, Wall::from_secs(1_799_900_000))), "older than a day");
    assert!(!is_fit(&router(1), 2, false, now()), "at an address for documentation");
}
