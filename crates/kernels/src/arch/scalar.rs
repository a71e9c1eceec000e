//! The portable twin of every kernel: what the SIMD paths are tested against, and what runs where
//! there is none. Sixteen partial sums, so that the compiler can vectorise them.

use crate::{
    Sq8Query,
    keys::{KEY_LANES, keys_of_counts_by, least_of_lanes_by, places_within_by},
    rotation::{rotate_by, wide_butterflies},
};

/// Squared Euclidean distance of two vectors of equal length.
pub fn l2_sq(a: &[f32], b: &[f32]) -> f32 {
    sum::<true>(a, b)
}

/// Inner product of two vectors of equal length.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    sum::<false>(a, b)
}

/// Squared Euclidean distance of `query` to each of four rows of its length.
pub fn l2_sq_four(query: &[f32], rows: [&[f32]; 4]) -> [f32; 4] {
    rows.map(|row| l2_sq(query, row))
}

/// Inner product of `query` with each of four rows of its length.
pub fn dot_four(query: &[f32], rows: [&[f32]; 4]) -> [f32; 4] {
    rows.map(|row| dot(query, row))
}

/// `[i][j]` is the inner product of `a[i]` and `b[j]`; all have one length.
pub fn dot_tile(a: [&[f32]; 4], b: [&[f32]; 4]) -> [[f32; 4]; 4] {
    a.map(|row| dot_four(row, b))
}

pub use sq8_dot_four as sq8_dot_run;

/// <u - 128, q> of four rows of SQ8 codes, each as long as the query's stride.
pub fn sq8_dot_four(query: &Sq8Query, rows: [&[u8]; 4]) -> [f32; 4] {
    let (values, _) = query.values().as_chunks::<64>();
    rows.map(|row| {
        let (row, _) = row.as_chunks::<64>();
        // 64 products of at most 255 * 16256 fit an i32.
        let block =
            |(u, v): (&[u8; 64], &[i16; 64])| u.iter().zip(v).map(|(&u, &v)| i32::from(u) * i32::from(v)).sum::<i32>();
        query.finish(row.iter().zip(values).map(|pair| i64::from(block(pair))).sum())
    })
}

/// Rounds `q - centre` into `query`; all have one dimension.
pub fn sq8_set_residual(query: &mut Sq8Query, q: &[f32], centre: &[f32]) {
    query.fill_residual(q, centre);
}

/// Rotates a vector of 1 to 2,048 values.
pub fn rotate(x: &mut [f32]) {
    rotate_by(x, wide_butterflies::<1>);
}

/// See [`crate::keys_of_counts`]; as many counts as distances.
pub fn keys_of_counts(distances: &mut [f32], counts: &[u32], per_doubling: f32) -> usize {
    keys_of_counts_by(distances, counts, per_doubling)
}

/// See [`crate::least_of_lanes`].
pub fn least_of_lanes(keys: &[f32], above: f32) -> [f32; KEY_LANES] {
    least_of_lanes_by(keys, above)
}

/// See [`crate::places_within`].
pub fn places_within(keys: &[f32], above: f32, upto: f32, out: &mut Vec<u32>) {
    places_within_by(keys, above, upto, out)
}

fn sum<const L2: bool>(a: &[f32], b: &[f32]) -> f32 {
    let term = |x: f32, y: f32| if L2 { (x - y) * (x - y) } else { x * y };
    let (a, a_tail) = a.as_chunks::<16>();
    let (b, b_tail) = b.as_chunks::<16>();
    let mut sums = [0.0; 16];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..16 {
            sums[lane] += term(a[lane], b[lane]);
        }
    }
    for (sum, (&x, &y)) in sums.iter_mut().zip(a_tail.iter().zip(b_tail)) {
        *sum += term(x, y);
    }
    sums.iter().sum()
}
