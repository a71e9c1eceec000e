//! The codecs that need no parameters: RAW, CONST, F16 and BF16.

use half::f16;

use crate::CodecError;

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
    let exact = |value: &f32| f16::from_f32(*value).to_f32().to_bits() == value.to_bits();
    let fits = 2 * values.len() <= limit && values.iter().all(exact);
    if fits {
        out.extend(values.iter().flat_map(|&value| f16::from_f32(value).to_le_bytes()));
    }
    fits
}

pub(super) fn decode_f16(bytes: &[u8], out: &mut [f32]) -> Result<(), CodecError> {
    let units = units(bytes, out.len())?;
    for (value, &bytes) in out.iter_mut().zip(units) {
        *value = f16::from_le_bytes(bytes).to_f32();
    }
    Ok(())
}

/// `bytes` as `len` units of `N` bytes.
fn units<const N: usize>(bytes: &[u8], len: usize) -> Result<&[[u8; N]], CodecError> {
    match bytes.as_chunks() {
        (units, []) if units.len() == len => Ok(units),
        _ => Err(LENGTH),
    }
}
