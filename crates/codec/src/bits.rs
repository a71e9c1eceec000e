//! Values of `width` bits one behind the other, the lowest bit first: value i is bits i * width to
//! (i + 1) * width of the bytes read as one little-endian number. The end is filled up to a byte.

/// Bytes that `len` values of `width` bits take.
pub(crate) fn packed_len(len: usize, width: u32) -> usize {
    (len * width as usize).div_ceil(8)
}

/// How many bits it takes to tell 0 to `max` apart.
pub(crate) fn width_of(max: u64) -> u32 {
    u64::BITS - max.leading_zeros()
}

/// Appends `values`, each below 2^`width`.
pub(crate) fn pack(values: impl Iterator<Item = u64>, width: u32, out: &mut Vec<u8>) {
    let (mut pending, mut bits) = (0u128, 0);
    for value in values {
        pending |= u128::from(value) << bits;
        bits += width;
        if bits >= u64::BITS {
            out.extend_from_slice(&(pending as u64).to_le_bytes());
            pending >>= u64::BITS;
            bits -= u64::BITS;
        }
    }
    out.extend_from_slice(&pending.to_le_bytes()[..bits.div_ceil(8) as usize]);
}

/// Value `index` of those packed from the start of `bytes`, whatever follows them.
///
/// # Panics
/// When its first bit lies beyond `bytes`.
pub(crate) fn get(bytes: &[u8], width: u32, index: usize) -> u64 {
    let bit = index * width as usize;
    let from = &bytes[bit / 8..];
    // 64 bits at any bit of a byte lie within 9 bytes; 16 are one load.
    let word = from.first_chunk().copied().unwrap_or_else(|| {
        let mut word = [0; 16];
        word[..from.len()].copy_from_slice(from);
        word
    });
    (u128::from_le_bytes(word) >> (bit % 8)) as u64 & mask(width)
}

/// `width` ones, `width` being at most 64.
pub(crate) fn mask(width: u32) -> u64 {
    u64::MAX.checked_shr(u64::BITS - width).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_width_and_length_comes_back() {
        let mut rng = fastrand::Rng::with_seed(1);
        for width in 0..=64 {
            for len in [0, 1, 2, 7, 8, 9, 63, 64, 65, 200] {
                let values: Vec<u64> = (0..len).map(|_| rng.u64(..) & mask(width)).collect();
                let mut bytes = Vec::new();
                pack(values.iter().copied(), width, &mut bytes);
                assert_eq!(bytes.len(), packed_len(len, width), "{len} values of {width} bits");
                let back: Vec<u64> = (0..len).map(|i| get(&bytes, width, i)).collect();
                assert_eq!(back, values, "{len} values of {width} bits");
                assert!(values.iter().all(|&v| width_of(v) <= width));
            }
        }
    }
}
