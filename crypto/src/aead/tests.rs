use super::*;
use proptest::prelude::*;

#[test]
fn what_is_sealed_opens_and_a_flipped_bit_does_not() {
    let key = AeadKey::new(&[7; 32]);
    for len in [16, 400, 20_000] {
        let text = vec![0x5a; len];
        let mut data = text.clone();
        key.seal_vec(9, b"ad", &mut data, 0);
        for at in [3, len - 1, len, len + 15] {
            let mut bad = data.clone();
            bad[at] ^= 1;
            assert_eq!(key.open(9, b"ad", &mut bad), Err(BadTag));
        }
        assert_eq!(key.open(9, b"AD", &mut data.clone()), Err(BadTag));
        assert_eq!(key.open(8, b"ad", &mut data.clone()), Err(BadTag));
        assert_eq!(key.open(9, b"ad", &mut data).unwrap(), &text[..]);
    }
}

/// Lengths about which the kernels change their ways, and any others.
fn lengths() -> impl Strategy<Value = usize> {
    prop_oneof![0..40_usize, 250..330_usize, 940..1110_usize, 0..3000_usize, 15_000..16_500_usize, Just(65_519)]
}

#[derive(Clone, Debug)]
struct Case {
    key: [u8; 32],
    nonce: u64,
    ad: Vec<u8>,
    text: Vec<u8>,
}

fn case() -> impl Strategy<Value = Case> {
    let bytes = prop_oneof![Just(0_u8), Just(0xff), any::<u8>()];
    let text = (lengths(), bytes, any::<bool>()).prop_map(|(len, byte, mixed)| {
        (0..len).map(|n| if mixed { (n as u8).wrapping_mul(31) ^ byte } else { byte }).collect()
    });
    (any::<[u8; 32]>(), any::<u64>(), prop::collection::vec(any::<u8>(), 0..100), text)
        .prop_map(|(key, nonce, ad, text)| Case { key, nonce, ad, text })
}

/// Seals all by `kernel`, with the tags behind the texts.
fn seal_all(kernel: Kernel, cases: &[Case]) -> Vec<Vec<u8>> {
    let keys: Vec<AeadKey> = cases.iter().map(|case| AeadKey::new(&case.key)).collect();
    let mut out: Vec<Vec<u8>> = cases.iter().map(|case| [&case.text[..], &[0; TAG_LEN]].concat()).collect();
    let mut batch: Vec<Message<'_>> = (cases.iter().zip(&keys).zip(&mut out))
        .map(|((case, key), data)| Message::new(key, case.nonce, &case.ad, data))
        .collect();
    seal_batch_with(kernel, &mut batch);
    assert!(batch.iter().all(|message| message.ok));
    out
}

fn kernels() -> impl Iterator<Item = Kernel> {
    Kernel::ALL.into_iter().filter(|kernel| kernel.is_supported())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_kernel_makes_the_bytes_of_ring(cases in prop::collection::vec(case(), 1..20)) {
        let expected: Vec<Vec<u8>> = cases.iter().map(|case| {
            let mut data = case.text.clone();
            let tag = AeadKey::new(&case.key).seal_by_ring(case.nonce, &case.ad, &mut data);
            data.extend_from_slice(&tag);
            data
        }).collect();
        for kernel in kernels() {
            prop_assert_eq!(&seal_all(kernel, &cases), &expected, "{}", kernel.name());
        }
        for (case, expected) in cases.iter().zip(&expected) {
            let mut data = case.text.clone();
            AeadKey::new(&case.key).seal_vec(case.nonce, &case.ad, &mut data, 0);
            prop_assert_eq!(&data, expected);
        }
    }

    #[test]
    fn every_kernel_opens_what_is_authentic_and_nothing_else(
        cases in prop::collection::vec(case(), 1..20), spoilt: usize, at: usize, bit in 0..8_u32
    ) {
        for kernel in kernels() {
            let mut sealed = seal_all(Kernel::Ring, &cases);
            let spoilt = spoilt % cases.len();
            let at = at % sealed[spoilt].len();
            sealed[spoilt][at] ^= 1_u8 << bit;
            let keys: Vec<AeadKey> = cases.iter().map(|case| AeadKey::new(&case.key)).collect();
            let mut batch: Vec<Message<'_>> = (cases.iter().zip(&keys).zip(&mut sealed))
                .map(|((case, key), data)| Message::new(key, case.nonce, &case.ad, data))
                .collect();
            open_batch_with(kernel, &mut batch);
            for (n, (message, case)) in batch.iter().zip(&cases).enumerate() {
                prop_assert_eq!(message.ok, n != spoilt, "{}", kernel.name());
                if n != spoilt {
                    prop_assert_eq!(&message.data[..case.text.len()], &case.text[..], "{}", kernel.name());
                }
            }
        }
    }
}

#[test]
fn what_is_shorter_than_a_tag_is_refused_among_others_that_are_not() {
    let key = AeadKey::new(&[1; 32]);
    for kernel in kernels() {
        let mut data = [vec![0; 15], vec![0; 16], vec![0; 1000], vec![0; 500]];
        let mut batch: Vec<Message<'_>> = data.iter_mut().map(|data| Message::new(&key, 1, &[], data)).collect();
        seal_batch_with(kernel, &mut batch);
        assert_eq!(batch.iter().map(|message| message.ok).collect::<Vec<_>>(), [false, true, true, true]);
        open_batch_with(kernel, &mut batch);
        assert_eq!(batch.iter().map(|message| message.ok).collect::<Vec<_>>(), [false, true, true, true]);
    }
}

#[test]
fn the_largest_numbers_carry_as_they_must() {
    for kernel in kernels() {
        let cases: Vec<Case> = [0, 1, 15, 16, 17, 255, 256, 257, 960, 1024, 1088, 1089, 4096]
            .map(|len| Case { key: [0xff; 32], nonce: u64::MAX, ad: vec![0xff; 32], text: vec![0xff; len] })
            .to_vec();
        assert_eq!(seal_all(kernel, &cases), seal_all(Kernel::Ring, &cases));
    }
}
