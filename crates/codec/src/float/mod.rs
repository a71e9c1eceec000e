//! Chunks of up to 1,024 f32, bit for bit: for each chunk the codec that makes it smallest.
//!
//! `docs/format/codecs.md` draws the bytes.

mod alp;
mod alp_rd;
mod exact;
mod lanes;
mod patches;

pub use drift_types::Compression;

use crate::CodecError;

/// Values of a chunk, at most.
pub const CHUNK: usize = 1024;

/// How a chunk is coded. The numbers are on disk and never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FloatCodec {
    /// The values as they are.
    Raw = 0,
    /// One value, that all the others equal.
    Const = 1,
    /// Values that are half-precision numbers, as such.
    F16 = 2,
    /// Values whose lower 16 bits are zero, without them.
    Bf16 = 3,
    /// Decimal fractions of few digits, as integers.
    Alp = 4,
    /// Reals: the leading bits by a dictionary, the others as they are.
    AlpRd = 5,
}

/// Appends a chunk to `out` where that takes no more than so many bytes, else leaves `out` alone
/// and returns false.
type Trial = fn(&[f32], usize, &mut Vec<u8>) -> bool;

/// In an order that spares work: where CONST or ALP wins, the next two see at once that they cannot.
const TRIALS: [(FloatCodec, Trial); 5] = [
    (FloatCodec::Const, exact::encode_const),
    (FloatCodec::Alp, alp::encode),
    (FloatCodec::Bf16, exact::encode_bf16),
    (FloatCodec::F16, exact::encode_f16),
    (FloatCodec::AlpRd, alp_rd::encode),
];

/// Appends `values`, coded, to `out`. A codec other than RAW is chosen only if it saves at least a
/// tenth of RAW's bytes.
///
/// # Panics
/// When there are no values, or more than [`CHUNK`].
pub fn encode_chunk(values: &[f32], compression: Compression, out: &mut Vec<u8>) -> FloatCodec {
    assert!((1..=CHUNK).contains(&values.len()), "a chunk of {} values", values.len());
    let start = out.len();
    let mut limit = size_of_val(values) * 9 / 10;
    let mut chosen = FloatCodec::Raw;
    for (codec, encode) in TRIALS.iter().filter(|(codec, _)| allows(compression, *codec)) {
        let loser = start..out.len();
        if encode(values, limit, out) {
            out.drain(loser);
            limit = out.len() - start - 1;
            chosen = *codec;
        }
    }
    if chosen == FloatCodec::Raw {
        exact::encode_raw(values, out);
    }
    chosen
}

/// Decodes the chunk of `out.len()` values that `bytes`, all of them, hold. What `out` holds after
/// an error is unspecified.
///
/// # Errors
/// When no chunk of so many values is coded like that. Forged bytes may decode to some values: a
/// checksum has to tell.
pub fn decode_chunk(codec: FloatCodec, bytes: &[u8], out: &mut [f32]) -> Result<(), CodecError> {
    if !(1..=CHUNK).contains(&out.len()) {
        return Err(CodecError::Corrupt("a chunk has 1 to 1,024 values"));
    }
    match codec {
        FloatCodec::Raw => exact::decode_raw(bytes, out),
        FloatCodec::Const => exact::decode_const(bytes, out),
        FloatCodec::F16 => exact::decode_f16(bytes, out),
        FloatCodec::Bf16 => exact::decode_bf16(bytes, out),
        FloatCodec::Alp => alp::decode(bytes, out),
        FloatCodec::AlpRd => alp_rd::decode(bytes, out),
    }
}

impl TryFrom<u8> for FloatCodec {
    type Error = CodecError;

    fn try_from(number: u8) -> Result<Self, CodecError> {
        let all = [Self::Raw, Self::Const, Self::F16, Self::Bf16, Self::Alp, Self::AlpRd];
        all.into_iter().find(|&codec| codec as u8 == number).ok_or(CodecError::UnknownCodec(number))
    }
}

/// Whether `codec` may be tried.
fn allows(compression: Compression, codec: FloatCodec) -> bool {
    match compression {
        Compression::Raw => codec == FloatCodec::Raw,
        Compression::Auto => codec != FloatCodec::AlpRd,
        Compression::Smallest => true,
    }
}
