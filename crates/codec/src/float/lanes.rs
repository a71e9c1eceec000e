//! Bit-packing of a chunk's u32: in the FastLanes layout (Afroozeh, Boncz, VLDB'23) where the chunk
//! is full, so that lanes unpack side by side, else one value behind the other.

use crate::{CodecError, bits, cursor::Cursor, lanes};

/// Appends the differences of `values` to `base`, each below 2^`width`.
pub(super) fn pack(values: &[u32], base: u32, width: u32, out: &mut Vec<u8>) {
    match values.try_into() {
        Ok(full) => lanes::pack_u32(full, base, width, out),
        Err(_) => bits::pack(values.iter().map(|value| u64::from(value.wrapping_sub(base))), width, out),
    }
}

/// Reads `out.len()` differences of `width` bits, and adds `base` to each.
///
/// # Errors
/// When the width is beyond 32, or there are too few bytes.
pub(super) fn unpack(from: &mut Cursor<'_>, base: u32, width: u32, out: &mut [u32]) -> Result<(), CodecError> {
    if width > u32::BITS {
        return Err(CodecError::Corrupt("integers of more than 32 bits"));
    }
    let bytes = from.take(bits::packed_len(out.len(), width))?;
    match out.try_into() {
        Ok(full) => lanes::unpack_u32(bytes, base, width, full),
        Err(_) => {
            for (i, value) in out.iter_mut().enumerate() {
                *value = base.wrapping_add(bits::get(bytes, width, i) as u32);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::float::CHUNK;

    #[test]
    fn every_width_comes_back_from_full_and_short_chunks() {
        let mut rng = fastrand::Rng::with_seed(2);
        for width in 0..=32 {
            for len in [1, 100, CHUNK - 1, CHUNK] {
                let base = rng.u32(..);
                let widest = u32::MAX.checked_shr(32 - width).unwrap_or(0);
                let values: Vec<u32> = (0..len).map(|_| base.wrapping_add(rng.u32(..) & widest)).collect();
                let mut bytes = Vec::new();
                pack(&values, base, width, &mut bytes);
                let (mut from, mut back) = (Cursor::new(&bytes), vec![0; len]);
                unpack(&mut from, base, width, &mut back).expect("packed above");
                from.finish().expect("all are read");
                assert_eq!(back, values, "{len} values of {width} bits");
            }
        }
    }

    /// The layout is on disk: it must stay what `docs/format/codecs.md` says, whatever the crate does.
    #[test]
    fn full_chunks_are_laid_out_as_documented() {
        let mut rng = fastrand::Rng::with_seed(3);
        for width in [1, 3, 16, 27, 32] {
            let values: Vec<u32> = (0..CHUNK).map(|_| rng.u32(..) >> (32 - width)).collect();
            let mut bytes = Vec::new();
            pack(&values, 0, width, &mut bytes);
            let bit = |lane: usize, at: usize| bytes[4 * (at / 32 * 32 + lane) + at % 32 / 8] >> (at % 8) & 1;
            for (row, lane) in (0..32).flat_map(|row| (0..32).map(move |lane| (row, lane))) {
                let index = [0, 4, 2, 6, 1, 5, 3, 7][row / 8] * 16 + row % 8 * 128 + lane;
                let bits = (0..width as usize).map(|i| u32::from(bit(lane, row * width as usize + i)) << i);
                assert_eq!(bits.sum::<u32>(), values[index], "value {index} of {width} bits");
            }
        }
    }
}
