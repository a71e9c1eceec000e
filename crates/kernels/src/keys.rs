//! Passes over one key per bucket, which every query makes. Each is a loop without branches or tables that
//! the compiler turns into SIMD; the instruction sets only differ in how they compile it.

use crate::arch::kernels;

/// Lanes that keys are dealt to in turn.
pub const KEY_LANES: usize = 32;
/// Keys that are passed over at once where none is wanted.
const BLOCK: usize = 16;

/// Turns distances into keys by taking off `per_doubling * log2(count)` ([`log2`]): infinite where the count
/// is 0, finite elsewhere, and the greatest of all where a distance is no number. Returns how many are finite.
///
/// # Panics
/// When there are not as many counts as distances.
pub fn keys_of_counts(distances: &mut [f32], counts: &[u32], per_doubling: f32) -> usize {
    kernels().keys_of_counts(distances, counts, per_doubling)
}

/// Of the keys i with i mod [`KEY_LANES`] the same, the least that is above `above`; infinity where there is
/// none.
pub fn least_of_lanes(keys: &[f32], above: f32) -> [f32; KEY_LANES] {
    kernels().least_of_lanes(keys, above)
}

/// Puts the places of the keys above `above`, up to `upto`, into `out`, ascending.
pub fn places_within(keys: &[f32], above: f32, upto: f32, out: &mut Vec<u32>) {
    kernels().places_within(keys, above, upto, out)
}

/// The logarithm of Mitchell (IRE Trans. Electronic Computers, 1962), of 1 at least: exact for powers of two,
/// linear between, nowhere off by more than .09. Counts from 2^31 on are taken for 2^31.
#[inline(always)]
pub fn log2(count: u32) -> f32 {
    const ONE: i32 = 1f32.to_bits() as i32;
    // The exponent of a float is the integer part of the logarithm, its mantissa, read as a fraction, nearly
    // the rest. Only signed integers become floats in one step.
    let count = count.clamp(1, i32::MAX as u32) as i32 as f32;
    (count.to_bits() as i32 - ONE) as f32 / (1 << 23) as f32
}

#[inline(always)]
pub(crate) fn keys_of_counts_by(distances: &mut [f32], counts: &[u32], per_doubling: f32) -> usize {
    let mut finite: u32 = 0;
    for (distance, &count) in distances.iter_mut().zip(counts) {
        let key = *distance - per_doubling * log2(count);
        // What is no number comes last.
        let key = if key < f32::MAX { key.max(f32::MIN) } else { f32::MAX };
        *distance = if count == 0 { f32::INFINITY } else { key };
        finite += u32::from(count > 0);
    }
    finite as usize
}

#[inline(always)]
pub(crate) fn least_of_lanes_by(keys: &[f32], above: f32) -> [f32; KEY_LANES] {
    let mut least = [f32::INFINITY; KEY_LANES];
    let mut lower = |keys: &[f32]| {
        for (least, &key) in least.iter_mut().zip(keys) {
            *least = if (key > above) & (key < *least) { key } else { *least };
        }
    };
    let (whole, rest) = keys.as_chunks::<KEY_LANES>();
    whole.iter().for_each(|keys| lower(keys));
    lower(rest);
    least
}

#[inline(always)]
pub(crate) fn places_within_by(keys: &[f32], above: f32, upto: f32, out: &mut Vec<u32>) {
    out.clear();
    let is_wanted = |key: f32| (key > above) & (key <= upto);
    let mut look_through = |first: usize, keys: &[f32]| {
        // Each is written, and the next over it if it was not wanted.
        let (mut places, mut n, len) = ([0; BLOCK + 1], 0, out.len());
        for (place, &key) in (first as u32..).zip(keys) {
            places[n] = place;
            n += usize::from(is_wanted(key));
        }
        // Copying all is one store.
        out.extend_from_slice(&places[..BLOCK]);
        out.truncate(len + n);
    };
    let (blocks, rest) = keys.as_chunks::<BLOCK>();
    for (i, block) in blocks.iter().enumerate() {
        if block.iter().fold(false, |any, &key| any | is_wanted(key)) {
            look_through(BLOCK * i, block);
        }
    }
    look_through(BLOCK * blocks.len(), rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithms_are_exact_for_powers_of_two_and_never_fall() {
        for power in 0..31 {
            assert_eq!(log2(1 << power), power as f32);
        }
        let mut before = 0.0;
        for count in (0..5_000).chain([1_000_000, (1 << 30) + 12_345, u32::MAX]) {
            let (found, exact) = (log2(count), f64::from(count.clamp(1, 1 << 31)).log2());
            assert!(found >= before && (f64::from(found) - exact).abs() < 0.09, "{count}: {found} {exact}");
            before = found;
        }
    }
}
