//! The codecs that need no parameters: RAW, CONST, F16 and BF16.

use half::{f16, slice::HalfFloatSliceExt};

use super::CHUNK;
use crate::CodecError;

/// Values converted to half precision at once: enough for SIMD, few where the first do not fit.
const HALVES: usize = 64;

const LENGTH: CodecError = CodecError::Corrupt("their number is not that of the values");

pub(super) fn encode_raw(values: &[f32], out: &mut Vec<u8>) {
    out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}

pub(super) fn decode_raw(bytes: &[u8], out: &mut [f32]) -> Result<(), CodecError> {
    let units = units(bytes, out.len())?;
    for (value, &bytes) in out.iter_mut().zip(units) {
        *value = f32::from_le_bytes(bytes);
    }
    Ok(())
}

pub(super) fn encode_const(values: &[f32], limit: usize, out: &mut Vec<u8>) -> bool {
    let first = values[0].to_bits();
    let fits = size_of::<f32>() <= limit && values.iter().all(|value| value.to_bits() == first);
    if fits {
        out.extend_from_slice(&first.to_le_bytes());
    }
    fits
}

pub(super) fn decode_const(bytes: &[u8], out: &mut [f32]) -> Result<(), CodecError> {
    out.fill(f32::from_le_bytes(bytes.try_into().map_err(|_| LENGTH)?));
    Ok(())
}

pub(super) fn encode_bf16(values: &[f32], limit: usize, out: &mut Vec<u8>) -> bool {
    let fits = 2 * values.len() <= limit && values.iter().all(|value| value.to_bits() & 0xffff == 0);
    if fits {
        out.extend(values.iter().flat_map(|value| ((value.to_bits() >> 16) as u16).to_le_bytes()));
    }
    fits
}

pub(super) fn decode_bf16(bytes: &[u8], out: &mut [f32]) -> Result<(), CodecError> {
    let units = units(bytes, out.len())?;
    for (value, &bytes) in out.iter_mut().zip(units) {
        *value = f32::from_bits(u32::from(u16::from_le_bytes(bytes)) << 16);
    }
    Ok(())
}

pub(super) fn encode_f16(values: &[f32], limit: usize, out: &mut Vec<u8>) -> bool {
    let mut halves = [f16::ZERO; CHUNK];
    let halves = &mut halves[..values.len()];
    let fits = 2 * values.len() <= limit && halves.chunks_mut(HALVES).zip(values.chunks(HALVES)).all(narrow);
    if fits {
        out.extend(halves.iter().flat_map(|half| half.to_le_bytes()));
    }
    fits
}

/// Converts values to half precision, and back to see whether it holds them.
fn narrow((halves, values): (&mut [f16], &[f32])) -> bool {
    let mut back = [0.0; HALVES];
    let back = &mut back[..values.len()];
    halves.convert_from_f32_slice(values);
    halves.convert_to_f32_slice(back);
    back.iter().zip(values).all(|(back, value)| back.to_bits() == value.to_bits())
}

pub(super) fn decode_f16(bytes: &[u8], out: &mut [f32]) -> Result<(), CodecError> {
    let units = units(bytes, out.len())?;
    let mut halves = [f16::ZERO; CHUNK];
    let halves = &mut halves[..units.len()];
    for (half, &bytes) in halves.iter_mut().zip(units) {
        *half = f16::from_le_bytes(bytes);
    }
    halves.convert_to_f32_slice(out);
    Ok(())
}

/// `bytes` as `len` units of `N` bytes.
fn units<const N: usize>(bytes: &[u8], len: usize) -> Result<&[[u8; N]], CodecError> {
    match bytes.as_chunks() {
        (units, []) if units.len() == len => Ok(units),
        _ => Err(LENGTH),
    }
}
