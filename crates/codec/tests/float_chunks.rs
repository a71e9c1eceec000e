//! Chunks of f32 come back bit for bit, and no bytes make a decoder panic.

use drift_codec::float::{CHUNK, Compression, FloatCodec, decode_chunk, encode_chunk};
use half::{bf16, f16};
use proptest::prelude::*;

const ALL: [Compression; 3] = [Compression::Auto, Compression::Raw, Compression::Smallest];

fn encode(values: &[f32], compression: Compression) -> (FloatCodec, Vec<u8>) {
    // Bytes already there are none of the encoder's business.
    let mut bytes = vec![0xaa; 3];
    let codec = encode_chunk(values, compression, &mut bytes);
    assert_eq!(bytes[..3], [0xaa; 3]);
    (codec, bytes.split_off(3))
}

fn decode(codec: FloatCodec, bytes: &[u8], len: usize) -> Vec<f32> {
    let mut back = vec![7.0; len];
    decode_chunk(codec, bytes, &mut back).expect("bytes of the encoder");
    back
}

/// Returns the codec chosen among all.
fn check(values: &[f32]) -> FloatCodec {
    let chosen = ALL.map(|compression| {
        let (codec, bytes) = encode(values, compression);
        let raw = size_of_val(values);
        assert!(bytes.len() == raw || bytes.len() * 10 <= raw * 9, "{codec:?}: {} of {raw}", bytes.len());
        assert_eq!(codec == FloatCodec::Raw, bytes.len() == raw);
        let back = decode(codec, &bytes, values.len());
        for (i, (a, b)) in values.iter().zip(&back).enumerate() {
            assert_eq!(a.to_bits(), b.to_bits(), "{codec:?}, value {i} of {}: {a} became {b}", values.len());
        }
        codec
    });
    assert_eq!(chosen[1], FloatCodec::Raw);
    assert_ne!(chosen[0], FloatCodec::AlpRd);
    chosen[2]
}

fn special() -> impl Strategy<Value = f32> {
    let values = [0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY, f32::MIN_POSITIVE, f32::MAX, f32::MIN, 1.0, -1.0];
    prop_oneof![
        prop::sample::select(values.to_vec()),
        // NaNs of all payloads, quiet and signalling, and subnormals, of both signs.
        (any::<bool>(), 1u32..1 << 23)
            .prop_map(|(sign, low)| f32::from_bits(u32::from(sign) << 31 | 0x7f80_0000 | low)),
        (any::<bool>(), 1u32..1 << 23).prop_map(|(sign, low)| f32::from_bits(u32::from(sign) << 31 | low)),
    ]
}

/// Like the component of an embedding: about normal, small.
fn component() -> impl Strategy<Value = f32> {
    prop::array::uniform4(-1.0f32..1.0).prop_map(|x| 0.05 * (x[0] + x[1] + x[2] + x[3]))
}

fn decimal() -> impl Strategy<Value = f32> {
    (-99_999i32..99_999).prop_map(|digits| digits as f32)
}

/// Chunks as data make them: of one kind, with or without some exceptions.
fn chunk() -> impl Strategy<Value = Vec<f32>> {
    let len = || prop_oneof![1..=CHUNK, Just(CHUNK), Just(CHUNK - 1), 1..20usize];
    let of = |value: BoxedStrategy<f32>| len().prop_flat_map(move |len| prop::collection::vec(value.clone(), len));
    let decimals = (2i32..=6, len()).prop_flat_map(|(places, len)| {
        let value = decimal().prop_map(move |digits| (f64::from(digits) / 10f64.powi(places)) as f32);
        prop::collection::vec(value, len)
    });
    let plain = prop_oneof![
        of(any::<u32>().prop_map(f32::from_bits).boxed()),
        of(special().boxed()),
        of(decimal().boxed()),
        of((0..256u32).prop_map(|pixel| pixel as f32).boxed()),
        of(any::<u16>().prop_map(|bits| f16::from_bits(bits).to_f32()).boxed()),
        of(any::<u16>().prop_map(|bits| bf16::from_bits(bits).to_f32()).boxed()),
        of(component().boxed()),
        (any::<u32>(), len()).prop_map(|(bits, len)| vec![f32::from_bits(bits); len]),
        decimals,
    ];
    let exceptions = prop::collection::vec((any::<prop::sample::Index>(), special()), 0..40);
    (plain, prop_oneof![Just(Vec::new()), exceptions]).prop_map(|(mut values, exceptions)| {
        for (at, value) in exceptions {
            let at = at.index(values.len());
            values[at] = value;
        }
        values
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn chunks_come_back_bit_for_bit(values in chunk()) {
        check(&values);
    }

    #[test]
    fn random_bytes_are_an_error_or_values(codec in 0u8..6, bytes in prop::collection::vec(any::<u8>(), 0..5000), len in 0..=CHUNK) {
        let codec = FloatCodec::try_from(codec).expect("one of the six");
        let _ = decode_chunk(codec, &bytes, &mut vec![0.0; len]);
    }

    #[test]
    fn changed_bytes_are_an_error_or_values(values in chunk(), at: prop::sample::Index, change in 1u8..) {
        let (codec, mut bytes) = encode(&values, Compression::Smallest);
        let at = at.index(bytes.len());
        bytes[at] ^= change;
        let _ = decode_chunk(codec, &bytes, &mut vec![0.0; values.len()]);
    }
}

/// One chunk for each codec, full and short.
fn one_of_each() -> Vec<Vec<f32>> {
    let mut rng = fastrand::Rng::with_seed(3);
    let mut chunks = Vec::new();
    for len in [CHUNK, 700] {
        let mut fill = |value: &mut dyn FnMut(&mut fastrand::Rng) -> f32| -> Vec<f32> {
            (0..len).map(|_| value(&mut rng)).collect()
        };
        let mut decimals = fill(&mut |rng| rng.i32(-20_000..20_000) as f32 / 1e4);
        let mut reals = fill(&mut |rng| rng.f32() + 1e-3);
        (decimals[5], reals[5]) = (f32::NAN, -0.0);
        chunks.push(fill(&mut |rng| f32::from_bits(rng.u32(..))));
        chunks.push(vec![f32::NAN; len]);
        chunks.push(fill(&mut |rng| f16::from_f32(rng.f32()).to_f32()));
        chunks.push(fill(&mut |rng| bf16::from_f32(1e9 * rng.f32()).to_f32()));
        chunks.push(decimals);
        chunks.push(reals);
    }
    chunks
}

#[test]
fn each_codec_is_chosen_for_what_it_is_made_for() {
    for (i, values) in one_of_each().iter().enumerate() {
        assert_eq!(check(values) as usize, i % 6);
    }
}

#[test]
fn every_truncation_and_every_changed_byte_is_an_error_or_values() {
    for values in one_of_each() {
        let (codec, mut bytes) = encode(&values, Compression::Smallest);
        let mut out = vec![0.0; values.len()];
        for len in 0..bytes.len() {
            assert!(decode_chunk(codec, &bytes[..len], &mut out).is_err(), "{codec:?} cut to {len}");
        }
        bytes.push(0);
        assert!(decode_chunk(codec, &bytes, &mut out).is_err(), "{codec:?} with a byte too many");
        bytes.pop();
        for at in 0..bytes.len().min(64) {
            for change in 1..=255 {
                bytes[at] ^= change;
                let _ = decode_chunk(codec, &bytes, &mut out);
                bytes[at] ^= change;
            }
        }
    }
}

#[test]
fn chunks_of_no_or_too_many_values_are_an_error() {
    for codec in (0..6).map(|number| FloatCodec::try_from(number).expect("one of the six")) {
        assert!(decode_chunk(codec, &[], &mut []).is_err());
        assert!(decode_chunk(codec, &[0; 4], &mut vec![0.0; CHUNK + 1]).is_err());
    }
    assert!(FloatCodec::try_from(6).is_err());
}

/// What the codecs are there for; a change that loses this shows here.
#[test]
fn sizes_are_what_they_should_be() {
    let mut rng = fastrand::Rng::with_seed(4);
    let mut bits = |compression, value: &mut dyn FnMut(&mut fastrand::Rng) -> f32| {
        let values: Vec<f32> = (0..CHUNK).map(|_| value(&mut rng)).collect();
        encode(&values, compression).1.len() * 8 / CHUNK
    };
    assert_eq!(bits(Compression::Auto, &mut |rng| f32::from(rng.u8(..))), 8);
    assert_eq!(bits(Compression::Auto, &mut |rng| rng.i32(-5_000..5_000) as f32 / 1e3), 14);
    assert_eq!(bits(Compression::Auto, &mut |rng| f16::from_f32(rng.f32() - 0.5).to_f32()), 16);
    let mut normal = |rng: &mut fastrand::Rng| 0.05 * ((0..12).map(|_| rng.f32()).sum::<f32>() - 6.0);
    assert_eq!(bits(Compression::Auto, &mut normal), 32);
    assert_eq!(bits(Compression::Smallest, &mut normal), 27);
}
