//! Chunks of f32 and packed integers.
//!
//! ```text
//! input  u8 codec of the chunk (6: packed integers, 7: values to be coded), u16 values, bytes
//! ```

use bytes::Bytes;
use drift_codec::{
    float::{CHUNK, FloatCodec, decode_chunk, encode_chunk},
    packed::{Packed, pack},
};
use drift_types::Compression;

pub const PACKED: u8 = 6;
pub const VALUES: u8 = 7;

pub fn run(input: &[u8]) {
    let Some(([kind, low, high], bytes)) = input.split_first_chunk() else { return };
    let len = usize::from(u16::from_le_bytes([*low, *high]));
    match *kind {
        PACKED => packed(bytes, len),
        VALUES => {
            come_back(&bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect::<Vec<_>>());
            packs(&bytes.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect::<Vec<_>>());
        }
        codec => {
            let mut values = vec![0.0; len];
            let decoded = FloatCodec::try_from(codec).and_then(|codec| decode_chunk(codec, bytes, &mut values));
            if decoded.is_ok() {
                come_back(&values);
            }
        }
    }
}

/// Every bit of every value comes back, whatever may be tried.
fn come_back(values: &[f32]) {
    let values = &values[..values.len().min(CHUNK)];
    if values.is_empty() {
        return;
    }
    for compression in [Compression::Raw, Compression::Auto, Compression::Smallest] {
        let (mut bytes, mut back) = (Vec::new(), vec![0.0; values.len()]);
        let codec = encode_chunk(values, compression, &mut bytes);
        assert!(bytes.len() <= size_of_val(values), "{codec:?} takes more than the values");
        decode_chunk(codec, &bytes, &mut back).expect("encoded above");
        assert!(back.iter().zip(values).all(|(back, value)| back.to_bits() == value.to_bits()), "{codec:?}");
    }
}

fn packed(bytes: &[u8], len: usize) {
    let Ok(packed) = Packed::parse(Bytes::copy_from_slice(bytes), len) else { return };
    let values: Vec<u64> = packed.iter().collect();
    assert_eq!(values.len(), len);
    assert!((0..len).map(|i| packed.get(i)).eq(values.iter().copied()), "one by one as all at once");
    packs(&values);
}

fn packs(values: &[u64]) {
    let mut bytes = Vec::new();
    pack(values, &mut bytes);
    let packed = Packed::parse(bytes.into(), values.len()).expect("packed above");
    assert!(packed.iter().eq(values.iter().copied()));
}
