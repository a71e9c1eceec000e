//! Bit-packing of a chunk's u32: in the FastLanes layout (Afroozeh, Boncz, VLDB'23) where the chunk
//! is full, so that lanes unpack side by side, else one value behind the other.

use fastlanes::FoR;

use super::CHUNK;
use crate::{CodecError, bits, cursor::Cursor};

/// Words of a full chunk per bit of width.
const WORDS: usize = CHUNK / 32;

/// Appends the differences of `values` to `base`, each below 2^`width`.
pub(super) fn pack(values: &[u32], base: u32, width: u32, out: &mut Vec<u8>) {
    let Ok(values) = values.try_into() else {
        let differences = values.iter().map(|value| u64::from(value.wrapping_sub(base)));
        return bits::pack(differences, width, out);
    };
    let mut words = [0; CHUNK];
    let words = &mut words[..WORDS * width as usize];
    pack_full(values, base, width, words);
    out.extend(words.iter().flat_map(|word| word.to_le_bytes()));
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
    if let Ok(out) = <&mut [u32; CHUNK]>::try_from(&mut *out) {
        let mut words = [0; CHUNK];
        let words = &mut words[..WORDS * width as usize];
        for (word, &bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
            *word = u32::from_le_bytes(bytes);
        }
        unpack_full(words, base, width, out);
    } else {
        for (i, value) in out.iter_mut().enumerate() {
            *value = base.wrapping_add(bits::get(bytes, width, i) as u32);
        }
    }
    Ok(())
}

/// Makes functions over a full chunk, whose width is known at run time, of those of the crate
/// `fastlanes`, compiled once for each width.
macro_rules! for_each_width {
    ($($width:literal)*) => {
        fn pack_full(values: &[u32; CHUNK], base: u32, width: u32, words: &mut [u32]) {
            match width {
                $($width => u32::for_pack::<$width, { WORDS * $width }>(values, base, sized(words)),)*
                _ => unreachable!("u32 of {width} bits"),
            }
        }

        fn unpack_full(words: &[u32], base: u32, width: u32, out: &mut [u32; CHUNK]) {
            match width {
                $($width => u32::unfor_pack::<$width, { WORDS * $width }>(sized(words), base, out),)*
                _ => unreachable!("u32 of {width} bits"),
            }
        }
    };
}

for_each_width!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32);

/// Words cut to the length of their width, as the array they are.
fn sized<Words, Array: TryFrom<Words>>(words: Words) -> Array {
    Array::try_from(words).unwrap_or_else(|_| unreachable!("the caller cuts the words by the width"))
}

#[cfg(test)]
mod tests {
    use super::*;

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
