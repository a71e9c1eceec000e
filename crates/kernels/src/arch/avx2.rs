//! AVX2 and FMA: 8 floats or 16 codes at a time. Loads and stores are the only unsafe operations;
//! each takes its bounds from a reference to exactly what it touches.

use std::arch::x86_64::*;

use crate::{
    Sq8Query,
    keys::{KEY_LANES, keys_of_counts_by, least_of_lanes_by, places_within_by},
    rotation::{rotate_by, wide_butterflies},
};

#[target_feature(enable = "avx2,fma")]
pub(super) fn l2_sq(a: &[f32], b: &[f32]) -> f32 {
    pair::<true>(a, b)
}

#[target_feature(enable = "avx2,fma")]
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    pair::<false>(a, b)
}

#[target_feature(enable = "avx2,fma")]
pub(super) fn l2_sq_four(query: &[f32], rows: [&[f32]; 4]) -> [f32; 4] {
    four::<true>(query, rows)
}

#[target_feature(enable = "avx2,fma")]
pub(super) fn dot_four(query: &[f32], rows: [&[f32]; 4]) -> [f32; 4] {
    four::<false>(query, rows)
}

/// Two rows at a time: 16 accumulators at once would not fit the 16 registers.
#[target_feature(enable = "avx2,fma")]
pub(super) fn dot_tile(a: [&[f32]; 4], b: [&[f32]; 4]) -> [[f32; 4]; 4] {
    let [first, second] = dot_two(a[0], a[1], b);
    let [third, fourth] = dot_two(a[2], a[3], b);
    [first, second, third, fourth]
}

pub(super) use sq8_dot_four as sq8_dot_run;

/// Codes widened to i16 against the i16 query (vpmaddubsw would saturate).
#[target_feature(enable = "avx2,fma")]
pub(super) fn sq8_dot_four(query: &Sq8Query, rows: [&[u8]; 4]) -> [f32; 4] {
    /// A lane takes 2 products of at most 255 * 16256 a step; 256 steps stay below 2^31.
    const STEPS: usize = 256;
    let (values, _) = query.values().as_chunks::<16>();
    let rows = rows.map(|row| &row.as_chunks::<16>().0[..values.len()]);
    let mut totals = [0; 4];
    for (b, values) in values.chunks(STEPS).enumerate() {
        let rows = rows.map(|row| &row[b * STEPS..][..values.len()]);
        let mut acc = [_mm256_setzero_si256(); 4];
        for (i, v) in values.iter().enumerate() {
            let v = load_ints(v);
            for j in 0..4 {
                let codes = _mm256_cvtepu8_epi16(load_codes(&rows[j][i]));
                acc[j] = _mm256_add_epi32(acc[j], _mm256_madd_epi16(codes, v));
            }
        }
        for j in 0..4 {
            totals[j] += int_sum(acc[j]);
        }
    }
    totals.map(|total| query.finish(total))
}

#[target_feature(enable = "avx2,fma")]
pub(super) fn sq8_set_residual(query: &mut Sq8Query, q: &[f32], centre: &[f32]) {
    query.fill_residual(q, centre);
}

#[target_feature(enable = "avx2,fma")]
pub(super) fn rotate(x: &mut [f32]) {
    rotate_by(x, |window| hadamard(window));
}

#[target_feature(enable = "avx2,fma")]
pub(super) fn keys_of_counts(distances: &mut [f32], counts: &[u32], per_doubling: f32) -> usize {
    keys_of_counts_by(distances, counts, per_doubling)
}

#[target_feature(enable = "avx2,fma")]
pub(super) fn least_of_lanes(keys: &[f32], above: f32) -> [f32; KEY_LANES] {
    least_of_lanes_by(keys, above)
}

#[target_feature(enable = "avx2,fma")]
pub(super) fn places_within(keys: &[f32], above: f32, upto: f32, out: &mut Vec<u32>) {
    places_within_by(keys, above, upto, out)
}

#[inline]
#[target_feature(enable = "avx2")]
fn hadamard(x: &mut [f32]) {
    if x.len() < 8 {
        return wide_butterflies::<1>(x);
    }
    for register in x.as_chunks_mut::<8>().0 {
        let v = butterfly::<0b1010_1010>(load(register), |v| _mm256_permute_ps::<0b10_11_00_01>(v));
        let v = butterfly::<0b1100_1100>(v, |v| _mm256_permute_ps::<0b01_00_11_10>(v));
        let v = butterfly::<0b1111_0000>(v, |v| _mm256_permute2f128_ps::<0b0000_0001>(v, v));
        store(register, v);
    }
    wide_butterflies::<8>(x);
}

/// `swap` brings each lane its partner; the lanes of `UPPER` take partner - v, the others v + partner.
#[inline]
#[target_feature(enable = "avx2")]
fn butterfly<const UPPER: i32>(v: __m256, swap: impl Fn(__m256) -> __m256) -> __m256 {
    let partner = swap(v);
    _mm256_blend_ps::<UPPER>(_mm256_add_ps(v, partner), _mm256_sub_ps(partner, v))
}

/// Four accumulators hide the latency of the fused multiply-add.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn pair<const L2: bool>(a: &[f32], b: &[f32]) -> f32 {
    let (a, a_tail) = a.as_chunks::<8>();
    let (b, b_tail) = b.as_chunks::<8>();
    let (a_quads, a_rest) = a.as_chunks::<4>();
    let (b_quads, b_rest) = b.as_chunks::<4>();
    let mut acc = [_mm256_setzero_ps(); 4];
    for (a, b) in a_quads.iter().zip(b_quads) {
        for j in 0..4 {
            acc[j] = step::<L2>(acc[j], load(&a[j]), load(&b[j]));
        }
    }
    for (j, (a, b)) in a_rest.iter().zip(b_rest).enumerate() {
        acc[j] = step::<L2>(acc[j], load(a), load(b));
    }
    acc[3] = step::<L2>(acc[3], load_tail(a_tail), load_tail(b_tail));
    sums(acc).iter().sum()
}

/// Four rows share each load of the query.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn four<const L2: bool>(query: &[f32], rows: [&[f32]; 4]) -> [f32; 4] {
    let (query, query_tail) = query.as_chunks::<8>();
    let (rows, tails) = split(rows, query.len());
    let mut acc = [_mm256_setzero_ps(); 4];
    for (i, q) in query.iter().enumerate() {
        let q = load(q);
        for j in 0..4 {
            acc[j] = step::<L2>(acc[j], q, load(&rows[j][i]));
        }
    }
    let q = load_tail(query_tail);
    for j in 0..4 {
        acc[j] = step::<L2>(acc[j], q, load_tail(tails[j]));
    }
    sums(acc)
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn dot_two(first: &[f32], second: &[f32], others: [&[f32]; 4]) -> [[f32; 4]; 2] {
    let (first, first_tail) = first.as_chunks::<8>();
    let (second, second_tail) = second.as_chunks::<8>();
    let ([b0, b1, b2, b3], tails) = split(others, first.len());
    let second = &second[..first.len()];
    let mut acc = [[_mm256_setzero_ps(); 4]; 2];
    for i in 0..first.len() {
        let (first, second) = (load(&first[i]), load(&second[i]));
        let others = [load(&b0[i]), load(&b1[i]), load(&b2[i]), load(&b3[i])];
        for (j, other) in others.into_iter().enumerate() {
            acc[0][j] = _mm256_fmadd_ps(first, other, acc[0][j]);
            acc[1][j] = _mm256_fmadd_ps(second, other, acc[1][j]);
        }
    }
    let (first, second) = (load_tail(first_tail), load_tail(second_tail));
    for j in 0..4 {
        let other = load_tail(tails[j]);
        acc[0][j] = _mm256_fmadd_ps(first, other, acc[0][j]);
        acc[1][j] = _mm256_fmadd_ps(second, other, acc[1][j]);
    }
    [sums(acc[0]), sums(acc[1])]
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn step<const L2: bool>(acc: __m256, a: __m256, b: __m256) -> __m256 {
    if L2 {
        let d = _mm256_sub_ps(a, b);
        _mm256_fmadd_ps(d, d, acc)
    } else {
        _mm256_fmadd_ps(a, b, acc)
    }
}

/// The sum of the lanes of each of four registers.
#[inline]
#[target_feature(enable = "avx2")]
fn sums(acc: [__m256; 4]) -> [f32; 4] {
    let [a, b, c, d] = acc;
    let x = _mm256_hadd_ps(_mm256_hadd_ps(a, b), _mm256_hadd_ps(c, d));
    let x = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
    let mut out = [0.0; 4];
    // SAFETY: `out` holds four floats; the store has no alignment.
    unsafe { _mm_storeu_ps(out.as_mut_ptr(), x) };
    out
}

/// The sum of the lanes, in 64 bits.
#[inline]
#[target_feature(enable = "avx2")]
fn int_sum(acc: __m256i) -> i64 {
    let mut lanes = [0i32; 8];
    // SAFETY: `lanes` holds eight integers; the store has no alignment.
    unsafe { _mm256_storeu_si256(lanes.as_mut_ptr().cast(), acc) };
    lanes.iter().map(|&lane| i64::from(lane)).sum()
}

/// The first `whole` registers of each slice, and what is left.
#[inline(always)]
fn split(rows: [&[f32]; 4], whole: usize) -> ([&[[f32; 8]]; 4], [&[f32]; 4]) {
    let [a, b, c, d] = rows.map(|row| row.split_at(8 * whole));
    let registers = [a.0, b.0, c.0, d.0].map(|row| &row.as_chunks::<8>().0[..whole]);
    (registers, [a.1, b.1, c.1, d.1])
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(x: &[f32; 8]) -> __m256 {
    // SAFETY: reads exactly the 8 floats of `x`; the load has no alignment.
    unsafe { _mm256_loadu_ps(x.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store(x: &mut [f32; 8], v: __m256) {
    // SAFETY: writes exactly the 8 floats of `x`; the store has no alignment.
    unsafe { _mm256_storeu_ps(x.as_mut_ptr(), v) };
}

/// Fewer than 8 floats, followed by zeros.
#[inline]
#[target_feature(enable = "avx2")]
fn load_tail(x: &[f32]) -> __m256 {
    debug_assert!(x.len() < 8);
    let lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    let mask = _mm256_cmpgt_epi32(_mm256_set1_epi32(x.len() as i32), lane);
    // SAFETY: the mask selects the lanes below `x.len()` alone; the others are not read.
    unsafe { _mm256_maskload_ps(x.as_ptr(), mask) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_ints(x: &[i16; 16]) -> __m256i {
    // SAFETY: reads exactly the 16 integers of `x`; the load has no alignment.
    unsafe { _mm256_loadu_si256(x.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_codes(x: &[u8; 16]) -> __m128i {
    // SAFETY: reads exactly the 16 bytes of `x`; the load has no alignment.
    unsafe { _mm_loadu_si128(x.as_ptr().cast()) }
}
