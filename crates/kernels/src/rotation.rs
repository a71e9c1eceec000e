use crate::arch::kernels;

/// The most dimensions [`rotate`] takes.
pub const MAX_ROTATED_DIM: usize = 2048;

const ROUNDS: usize = 4;

/// Signs of each round, a bit a dimension, set for a change of sign. Codes on disk depend on them.
const SIGNS: [[u32; MAX_ROTATED_DIM / 32]; ROUNDS] = signs(0x6472_6966_7462_6974);

/// Turns `x` by a random rotation that depends on its dimension alone, for ever the same: bit by bit
/// on every machine, since it consists of IEEE additions and multiplications in a fixed order.
///
/// Each of 4 rounds changes signs at random, applies a Hadamard transform to the largest power of two
/// of dimensions (in turn the first and the last ones, which overlap), and then Kac's step between
/// the lower and the upper half: (a, b) -> (a + b, a - b) / sqrt 2. All three are orthonormal, so
/// inner products stay; nothing is padded. (The "FhtKac" rotator of the RaBitQ library; the fast
/// Johnson-Lindenstrauss transform of Ailon and Chazelle, 2006, is where signs and Hadamard come
/// from.) Relative to |x| the result is exact to 4e-6.
///
/// # Panics
/// When `x` has no or more than [`MAX_ROTATED_DIM`] values.
pub fn rotate(x: &mut [f32]) {
    assert!((1..=MAX_ROTATED_DIM).contains(&x.len()), "{} dimensions cannot be rotated", x.len());
    kernels().rotate(x);
}

/// [`rotate`] by a given Hadamard transform; inlined into each instruction set for the compiler to
/// vectorise.
#[inline(always)]
pub(crate) fn rotate_by(x: &mut [f32], hadamard: impl Fn(&mut [f32])) {
    let width = 1 << x.len().ilog2();
    let scale = 1.0 / (width as f32).sqrt();
    for (round, signs) in SIGNS.iter().enumerate() {
        change_signs(x, signs);
        let first = if round % 2 == 0 { 0 } else { x.len() - width };
        let window = &mut x[first..first + width];
        hadamard(window);
        for value in window {
            *value *= scale;
        }
        mix_halves(x);
    }
}

#[inline(always)]
fn change_signs(x: &mut [f32], signs: &[u32]) {
    for (x, &word) in x.chunks_mut(32).zip(signs) {
        for (i, x) in x.iter_mut().enumerate() {
            *x = f32::from_bits(x.to_bits() ^ (word >> i << 31));
        }
    }
}

#[inline(always)]
fn mix_halves(x: &mut [f32]) {
    let (lower, upper) = x.split_at_mut(x.len() / 2);
    for (a, b) in lower.iter_mut().zip(upper) {
        (*a, *b) = ((*a + *b) * std::f32::consts::FRAC_1_SQRT_2, (*a - *b) * std::f32::consts::FRAC_1_SQRT_2);
    }
}

/// Hadamard butterflies between registers of `N` values: those whose distance is `N` or more. Those
/// within a register come first. `x` is a power of two of values.
#[inline(always)]
pub(crate) fn wide_butterflies<const N: usize>(x: &mut [f32]) {
    let mut distance = N;
    while distance < x.len() {
        for pair in x.chunks_exact_mut(2 * distance) {
            let (lower, upper) = pair.split_at_mut(distance);
            for (a, b) in lower.iter_mut().zip(upper) {
                (*a, *b) = (*a + *b, *a - *b);
            }
        }
        distance *= 2;
    }
}

/// Random bits by SplitMix64 (Steele, Lea, Flood, 2014).
const fn signs(seed: u64) -> [[u32; MAX_ROTATED_DIM / 32]; ROUNDS] {
    let mut out = [[0; MAX_ROTATED_DIM / 32]; ROUNDS];
    let mut state = seed;
    let mut i = 0;
    while i < ROUNDS * MAX_ROTATED_DIM / 32 {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        out[i / (MAX_ROTATED_DIM / 32)][i % (MAX_ROTATED_DIM / 32)] = (z >> 32) as u32;
        i += 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::available;

    const DIMENSIONS: [usize; 20] =
        [1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 33, 64, 100, 384, 511, 768, 784, 1536, MAX_ROTATED_DIM];

    fn random(rng: &mut fastrand::Rng, dim: usize) -> Vec<f32> {
        (0..dim).map(|_| rng.f32() - 0.5).collect()
    }

    fn dot(a: &[f32], b: &[f32]) -> f64 {
        a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
    }

    #[test]
    fn inner_products_stay() {
        let mut rng = fastrand::Rng::with_seed(1);
        for dim in (1..=70).chain(DIMENSIONS) {
            let (a, b) = (random(&mut rng, dim), random(&mut rng, dim));
            let (mut pa, mut pb) = (a.clone(), b.clone());
            rotate(&mut pa);
            rotate(&mut pb);
            let slack = 8e-6 * (dot(&a, &a) * dot(&b, &b)).sqrt();
            assert!((dot(&pa, &pb) - dot(&a, &b)).abs() <= slack, "dimension {dim}");
            assert!((dot(&pa, &pa) - dot(&a, &a)).abs() <= 8e-6 * dot(&a, &a), "dimension {dim}");
        }
    }

    #[test]
    fn every_instruction_set_returns_the_same_bits() {
        let mut rng = fastrand::Rng::with_seed(2);
        for dim in (1..=300).chain(DIMENSIONS) {
            let x = random(&mut rng, dim);
            let results: Vec<Vec<u32>> = available()
                .iter()
                .map(|k| {
                    let mut x = x.clone();
                    k.rotate(&mut x);
                    x.iter().map(|x| x.to_bits()).collect()
                })
                .collect();
            assert!(results.windows(2).all(|pair| pair[0] == pair[1]), "dimension {dim}");
        }
    }

    #[test]
    fn one_coordinate_is_spread_over_all() {
        for dim in [100, 384, 784, 2048] {
            let mut x = vec![0.0; dim];
            x[dim / 3] = 1.0;
            rotate(&mut x);
            let largest = x.iter().fold(0.0, |max: f32, x| max.max(x.abs()));
            assert!(largest < 6.0 / (dim as f32).sqrt(), "{largest} at dimension {dim}");
        }
    }

    /// Codes on disk are made of these bits: if this fails, the rotation is a new one and needs a number
    /// of its own in the format.
    #[test]
    fn the_rotation_is_the_same_for_ever() {
        let rotated = |dim: usize| {
            let mut x: Vec<f32> = (0..dim).map(|d| (d * 37 % 101) as f32 - 50.0).collect();
            rotate(&mut x);
            x
        };
        let fnv = |hash: u64, x: &f32| (hash ^ u64::from(x.to_bits())).wrapping_mul(0x0100_0000_01b3);
        let hash = |dim: usize| rotated(dim).iter().fold(0xcbf2_9ce4_8422_2325, fnv);
        assert_eq!(rotated(3), [27.042892, 30.735281, -39.61091]);
        assert_eq!(rotated(384)[..4], [61.7276, -3.5822117, -33.657166, 8.645323]);
        let want = [
            0xf763_bdbd_2659_b7df,
            0x74c3_88d6_2adc_8e60,
            0x2ce6_186f_b2e6_b549,
            0x6c58_18a7_068f_2210,
            0xb800_ba0f_b561_98cf,
            0x7b0e_44aa_9690_e3a7,
        ];
        assert_eq!([1, 2, 100, 384, 784, 2048].map(hash), want);
    }
}
