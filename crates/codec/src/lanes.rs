//! 1,024 integers bit-packed in the FastLanes layout (Afroozeh, Boncz, VLDB'23), as differences to a
//! base: words of the integers' own type, one per lane in turn, so that lanes unpack side by side.

use fastlanes::FoR;

/// Integers of one block.
pub(crate) const BLOCK: usize = 1024;

/// Lanes of u64: word j of lane l is word `LANES_64` j + l.
const LANES_64: usize = BLOCK / 64;

/// Makes `pack` and `unpack` for blocks of `T`, whose width is known at run time, of the functions of
/// the crate `fastlanes`, compiled once for each width.
macro_rules! of_each_width {
    ($T:ident, $pack:ident, $unpack:ident, $($width:literal)*) => {
        /// Appends the differences of `values` to `base`, each below 2^`width`.
        pub(crate) fn $pack(values: &[$T; BLOCK], base: $T, width: u32, out: &mut Vec<u8>) {
            let mut words = [0; BLOCK];
            let words = &mut words[..BLOCK / $T::BITS as usize * width as usize];
            match width {
                $($width => $T::for_pack::<$width, { BLOCK / $T::BITS as usize * $width }>(values, base, sized(&mut *words)),)*
                _ => unreachable!("integers of {width} bits"),
            }
            out.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        }

        /// Reads the differences to `base` from the start of `bytes`, whatever follows them, and adds
        /// `base` to each, wrapping.
        pub(crate) fn $unpack(bytes: &[u8], base: $T, width: u32, out: &mut [$T; BLOCK]) {
            let mut words = [0; BLOCK];
            let words = &mut words[..BLOCK / $T::BITS as usize * width as usize];
            for (word, &bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
                *word = $T::from_le_bytes(bytes);
            }
            match width {
                $($width => $T::unfor_pack::<$width, { BLOCK / $T::BITS as usize * $width }>(sized(&*words), base, out),)*
                _ => unreachable!("integers of {width} bits"),
            }
        }
    };
}

of_each_width!(u32, pack_u32, unpack_u32,
    0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32);
of_each_width!(u64, pack_u64, unpack_u64,
    0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32
    33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63 64);

/// Words cut to the length of their width, as the array they are.
fn sized<Words, Array: TryFrom<Words>>(words: Words) -> Array {
    Array::try_from(words).unwrap_or_else(|_| unreachable!("the caller cuts the words by the width"))
}

/// Difference `index` of those that [`pack_u64`] has written to the start of `bytes`.
///
/// # Panics
/// When `index` is not below 1,024, or the bytes are fewer than those.
#[inline]
pub(crate) fn get_u64(bytes: &[u8], width: u32, index: usize) -> u64 {
    assert!(index < BLOCK);
    // Value 16 O[o] + 128 s + l stands in row 8 o + s of lane l; O is its own inverse.
    const O: [u8; 8] = [0, 4, 2, 6, 1, 5, 3, 7];
    let row = 8 * usize::from(O[index / LANES_64 % 8]) + index / 128;
    let bit = row * width as usize;
    let words = bytes.as_chunks().0;
    let at = bit / 64 * LANES_64 + index % LANES_64;
    let low = u64::from_le_bytes(words[at]) >> (bit % 64);
    // Its other bits, if it has some, are in the lane's next word.
    let high = words.get(at + LANES_64).map_or(0, |&word| u64::from_le_bytes(word)) << 1 << (63 - bit % 64);
    (low | high) & crate::bits::mask(width)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bits::{mask, packed_len};

    fn random(rng: &mut fastrand::Rng, width: u32) -> [u64; BLOCK] {
        std::array::from_fn(|_| rng.u64(..) & mask(width))
    }

    #[test]
    fn u64_of_every_width_come_back_together_and_alone() {
        let mut rng = fastrand::Rng::with_seed(4);
        for width in 0..=64 {
            let base = rng.u64(..);
            let values = random(&mut rng, width).map(|value| base.wrapping_add(value));
            let mut bytes = Vec::new();
            pack_u64(&values, base, width, &mut bytes);
            assert_eq!(bytes.len(), packed_len(BLOCK, width));
            let alone = |at: usize, bytes: &[u8]| match width {
                0 => values[at] == base,
                _ => values[at] == base.wrapping_add(get_u64(bytes, width, at)),
            };
            assert!((0..BLOCK).all(|at| alone(at, &bytes)), "{width} bits");
            bytes.extend([0xff; 200]);
            assert!((0..BLOCK).all(|at| alone(at, &bytes)), "{width} bits, and more bytes behind them");
            let mut together = [0; BLOCK];
            unpack_u64(&bytes, base, width, &mut together);
            assert_eq!(together, values, "{width} bits");
        }
    }

    /// The layout is on disk: it must stay what `docs/format/codecs.md` says, whatever the crate does.
    #[test]
    fn blocks_of_u64_are_laid_out_as_documented() {
        let mut rng = fastrand::Rng::with_seed(5);
        for width in [1, 3, 16, 33, 63, 64] {
            let values = random(&mut rng, width);
            let mut bytes = Vec::new();
            pack_u64(&values, 0, width, &mut bytes);
            let bit = |lane: usize, at: usize| bytes[8 * (at / 64 * 16 + lane) + at % 64 / 8] >> (at % 8) & 1;
            for (row, lane) in (0..64).flat_map(|row| (0..16).map(move |lane| (row, lane))) {
                let index = [0, 4, 2, 6, 1, 5, 3, 7][row / 8] * 16 + row % 8 * 128 + lane;
                let bits = (0..width as usize).map(|i| u64::from(bit(lane, row * width as usize + i)) << i);
                assert_eq!(bits.sum::<u64>(), values[index], "value {index} of {width} bits");
            }
        }
    }
}
