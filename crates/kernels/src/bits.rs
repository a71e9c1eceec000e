//! Bit sets over `u64` words: bit `i` is bit `i % 64` of word `i / 64`.

/// Whether bit `i` is set.
///
/// # Panics
/// When `i` lies beyond the words, as [`set`] and [`clear`] do.
pub fn get(words: &[u64], i: usize) -> bool {
    words[i / 64] >> (i % 64) & 1 == 1
}

/// Sets bit `i`.
pub fn set(words: &mut [u64], i: usize) {
    words[i / 64] |= 1 << (i % 64);
}

/// Clears bit `i`.
pub fn clear(words: &mut [u64], i: usize) {
    words[i / 64] &= !(1 << (i % 64));
}

/// Number of bits set.
pub fn count(words: &[u64]) -> usize {
    words.iter().map(|word| word.count_ones() as usize).sum()
}

/// The 64 bits from bit `first` on; zeros where the words end. So a range of a long bit set becomes
/// words of its own, whatever it starts with.
pub fn window(words: &[u64], first: usize) -> u64 {
    let word = |i: usize| words.get(i).copied().unwrap_or(0);
    let (at, shift) = (first / 64, first % 64);
    word(at) >> shift | word(at + 1) << 1 << (63 - shift)
}

/// The positions of the bits set, in ascending order.
pub fn iter_ones(words: &[u64]) -> impl Iterator<Item = usize> {
    words.iter().enumerate().flat_map(|(i, &word)| {
        let drop_lowest = |w: &u64| Some(w & (w - 1)).filter(|&w| w != 0);
        std::iter::successors(Some(word).filter(|&w| w != 0), drop_lowest)
            .map(move |w| 64 * i + w.trailing_zeros() as usize)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_a_vector_of_bools() {
        let mut rng = fastrand::Rng::with_seed(1);
        for n in [0_usize, 1, 63, 64, 65, 200] {
            let (mut words, mut naive) = (vec![0; n.div_ceil(64)], vec![false; n]);
            for _ in 0..3 * n {
                let i = rng.usize(0..n);
                naive[i] = rng.bool();
                if naive[i] { set(&mut words, i) } else { clear(&mut words, i) }
            }
            let ones: Vec<usize> = (0..n).filter(|&i| naive[i]).collect();
            assert!((0..n).all(|i| get(&words, i) == naive[i]));
            assert_eq!(count(&words), ones.len());
            assert_eq!(iter_ones(&words).collect::<Vec<_>>(), ones);
        }
        assert_eq!(iter_ones(&[u64::MAX, 0, 1 << 63]).count(), 65);
    }

    #[test]
    fn a_window_starts_at_any_bit_and_may_reach_beyond_the_end() {
        let words = [0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210, 1 << 63 | 1];
        for first in 0..300 {
            let bit = |i: usize| first + i < 192 && get(&words, first + i);
            assert!((0..64).all(|i| get(&[window(&words, first)], i) == bit(i)), "from bit {first} on");
        }
    }
}
