//! AVX-512: 16 floats or 64 codes at a time. Loads and stores are the only unsafe operations; each
//! takes its bounds from a reference to exactly what it touches.

use std::arch::x86_64::*;

use crate::{
    Sq8Query,
    keys::{KEY_LANES, keys_of_counts_by, least_of_lanes_by, places_within_by},
    rotation::{rotate_by, wide_butterflies},
};

#[target_feature(enable = "avx512f,avx512dq")]
pub(super) fn l2_sq(a: &[f32], b: &[f32]) -> f32 {
    pair::<true>(a, b)
}

#[target_feature(enable = "avx512f,avx512dq")]
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    pair::<false>(a, b)
}

#[target_feature(enable = "avx512f,avx512dq")]
pub(super) fn l2_sq_four(query: &[f32], rows: [&[f32]; 4]) -> [f32; 4] {
    four::<true>(query, rows)
}

#[target_feature(enable = "avx512f,avx512dq")]
pub(super) fn dot_four(query: &[f32], rows: [&[f32]; 4]) -> [f32; 4] {
    four::<false>(query, rows)
}

/// Sixteen accumulators, four rows and a centroid at a time: 21 of the 32 registers.
#[target_feature(enable = "avx512f,avx512dq")]
pub(super) fn dot_tile(a: [&[f32]; 4], b: [&[f32]; 4]) -> [[f32; 4]; 4] {
    let whole = a[0].len() / 16;
    let ([a0, a1, a2, a3], a_tails) = split(a, whole);
    let ([b0, b1, b2, b3], b_tails) = split(b, whole);
    let mut acc = [[_mm512_setzero_ps(); 4]; 4];
    for i in 0..whole {
        let rows = [load(&a0[i]), load(&a1[i]), load(&a2[i]), load(&a3[i])];
        let others = [&b0[i], &b1[i], &b2[i], &b3[i]];
        outer_product(&mut acc, rows, others.map(|other| load(other)));
    }
    if !a_tails[0].is_empty() {
        let tails = a_tails.map(|tail| load_tail(tail));
        outer_product(&mut acc, tails, b_tails.map(|tail| load_tail(tail)));
    }
    [sums(acc[0]), sums(acc[1]), sums(acc[2]), sums(acc[3])]
}

#[inline]
#[target_feature(enable = "avx512f")]
fn outer_product(acc: &mut [[__m512; 4]; 4], a: [__m512; 4], b: [__m512; 4]) {
    for i in 0..4 {
        for j in 0..4 {
            acc[i][j] = _mm512_fmadd_ps(a[i], b[j], acc[i][j]);
        }
    }
}

/// vpdpbusd multiplies bytes: u8 codes by the query's high and low i8 plane. Sums stay below
/// 255 * 127 * `MAX_DIM` < 2^31.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(super) fn sq8_dot_four(query: &Sq8Query, rows: [&[u8]; 4]) -> [f32; 4] {
    let (high, low) = query.planes();
    let (high, low) = (high.as_chunks::<64>().0, low.as_chunks::<64>().0);
    let low = &low[..high.len()];
    let [r0, r1, r2, r3] = rows.map(|row| &row.as_chunks::<64>().0[..high.len()]);
    let mut acc_high = [_mm512_setzero_si512(); 4];
    let mut acc_low = acc_high;
    for i in 0..high.len() {
        let (high, low) = (load_bytes(&high[i]), load_bytes(&low[i]));
        for (j, codes) in [&r0[i], &r1[i], &r2[i], &r3[i]].into_iter().enumerate() {
            let codes = load_codes(codes);
            acc_high[j] = _mm512_dpbusd_epi32(acc_high[j], codes, high);
            acc_low[j] = _mm512_dpbusd_epi32(acc_low[j], codes, low);
        }
    }
    let (high, low) = (int_sums(acc_high), int_sums(acc_low));
    std::array::from_fn(|j| query.finish(128 * i64::from(high[j]) + i64::from(low[j])))
}

/// Row by row, as they lie in memory, which beyond the caches is a third faster; of scattered rows four at a time
/// are on their way sooner.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(super) fn sq8_dot_run(query: &Sq8Query, rows: [&[u8]; 4]) -> [f32; 4] {
    let (high, low) = query.planes();
    let (high, low) = (high.as_chunks::<64>().0, low.as_chunks::<64>().0);
    let mut acc_high = [_mm512_setzero_si512(); 4];
    let mut acc_low = acc_high;
    for (j, row) in rows.into_iter().enumerate() {
        for ((codes, high), low) in row.as_chunks::<64>().0.iter().zip(high).zip(low) {
            let codes = load_codes(codes);
            acc_high[j] = _mm512_dpbusd_epi32(acc_high[j], codes, load_bytes(high));
            acc_low[j] = _mm512_dpbusd_epi32(acc_low[j], codes, load_bytes(low));
        }
    }
    let (high, low) = (int_sums(acc_high), int_sums(acc_low));
    std::array::from_fn(|j| query.finish(128 * i64::from(high[j]) + i64::from(low[j])))
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(super) fn sq8_set_residual(query: &mut Sq8Query, q: &[f32], centre: &[f32]) {
    query.fill_residual(q, centre);
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
pub(super) fn rotate(x: &mut [f32]) {
    rotate_by(x, |window| hadamard(window));
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
pub(super) fn keys_of_counts(distances: &mut [f32], counts: &[u32], per_doubling: f32) -> usize {
    keys_of_counts_by(distances, counts, per_doubling)
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
pub(super) fn least_of_lanes(keys: &[f32], above: f32) -> [f32; KEY_LANES] {
    least_of_lanes_by(keys, above)
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
pub(super) fn places_within(keys: &[f32], above: f32, upto: f32, out: &mut Vec<u32>) {
    places_within_by(keys, above, upto, out)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn hadamard(x: &mut [f32]) {
    if x.len() < 16 {
        return wide_butterflies::<1>(x);
    }
    for register in x.as_chunks_mut::<16>().0 {
        let v = butterfly(load(register), 0xaaaa, |v| _mm512_permute_ps::<0b10_11_00_01>(v));
        let v = butterfly(v, 0xcccc, |v| _mm512_permute_ps::<0b01_00_11_10>(v));
        let v = butterfly(v, 0xf0f0, |v| _mm512_shuffle_f32x4::<0b10_11_00_01>(v, v));
        let v = butterfly(v, 0xff00, |v| _mm512_shuffle_f32x4::<0b01_00_11_10>(v, v));
        store(register, v);
    }
    wide_butterflies::<16>(x);
}

/// `swap` brings each lane its partner; the lanes of `upper` take partner - v, the others v + partner.
#[inline]
#[target_feature(enable = "avx512f")]
fn butterfly(v: __m512, upper: u16, swap: impl Fn(__m512) -> __m512) -> __m512 {
    let partner = swap(v);
    _mm512_mask_sub_ps(_mm512_add_ps(v, partner), upper, partner, v)
}

/// Four accumulators hide the latency of the fused multiply-add.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn pair<const L2: bool>(a: &[f32], b: &[f32]) -> f32 {
    let (a, a_tail) = a.as_chunks::<16>();
    let (b, b_tail) = b.as_chunks::<16>();
    let (a_quads, a_rest) = a.as_chunks::<4>();
    let (b_quads, b_rest) = b.as_chunks::<4>();
    let mut acc = [_mm512_setzero_ps(); 4];
    for (a, b) in a_quads.iter().zip(b_quads) {
        for j in 0..4 {
            acc[j] = step::<L2>(acc[j], load(&a[j]), load(&b[j]));
        }
    }
    for (j, (a, b)) in a_rest.iter().zip(b_rest).enumerate() {
        acc[j] = step::<L2>(acc[j], load(a), load(b));
    }
    acc[3] = step::<L2>(acc[3], load_tail(a_tail), load_tail(b_tail));
    let [a, b, c, d] = acc;
    _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(a, b), _mm512_add_ps(c, d)))
}

/// Four rows share each load of the query.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn four<const L2: bool>(query: &[f32], rows: [&[f32]; 4]) -> [f32; 4] {
    let (query, query_tail) = query.as_chunks::<16>();
    let (rows, tails) = split(rows, query.len());
    let mut acc = [_mm512_setzero_ps(); 4];
    let [r0, r1, r2, r3] = rows;
    for (i, q) in query.iter().enumerate() {
        let q = load(q);
        for (j, row) in [&r0[i], &r1[i], &r2[i], &r3[i]].into_iter().enumerate() {
            acc[j] = step::<L2>(acc[j], q, load(row));
        }
    }
    let q = load_tail(query_tail);
    for j in 0..4 {
        acc[j] = step::<L2>(acc[j], q, load_tail(tails[j]));
    }
    sums(acc)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn step<const L2: bool>(acc: __m512, a: __m512, b: __m512) -> __m512 {
    if L2 {
        let d = _mm512_sub_ps(a, b);
        _mm512_fmadd_ps(d, d, acc)
    } else {
        _mm512_fmadd_ps(a, b, acc)
    }
}

/// The sum of the lanes of each of four registers. Transposes as it adds, by unpacking: vhaddps
/// would confine the accumulators to the lower 16 registers.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn sums(acc: [__m512; 4]) -> [f32; 4] {
    let [a, b, c, d] = acc;
    let ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
    let cd = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
    let (ab, cd) = (_mm512_castps_pd(ab), _mm512_castps_pd(cd));
    let low = _mm512_castpd_ps(_mm512_unpacklo_pd(ab, cd));
    let x = _mm512_add_ps(low, _mm512_castpd_ps(_mm512_unpackhi_pd(ab, cd)));
    let x = _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps::<1>(x));
    let x = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
    let mut out = [0.0; 4];
    // SAFETY: `out` holds four floats; the store has no alignment.
    unsafe { _mm_storeu_ps(out.as_mut_ptr(), x) };
    out
}

/// [`sums`] of integers.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn int_sums(acc: [__m512i; 4]) -> [i32; 4] {
    let [a, b, c, d] = acc;
    let ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    let cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    let x = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
    let x = _mm256_add_epi32(_mm512_castsi512_si256(x), _mm512_extracti32x8_epi32::<1>(x));
    let x = _mm_add_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256::<1>(x));
    let mut out = [0; 4];
    // SAFETY: `out` holds four integers; the store has no alignment.
    unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), x) };
    out
}

/// The first `whole` registers of each slice, and what is left.
#[inline(always)]
fn split(rows: [&[f32]; 4], whole: usize) -> ([&[[f32; 16]]; 4], [&[f32]; 4]) {
    let [a, b, c, d] = rows.map(|row| row.split_at(16 * whole));
    let registers = [a.0, b.0, c.0, d.0].map(|row| &row.as_chunks::<16>().0[..whole]);
    (registers, [a.1, b.1, c.1, d.1])
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(x: &[f32; 16]) -> __m512 {
    // SAFETY: reads exactly the 16 floats of `x`; the load has no alignment.
    unsafe { _mm512_loadu_ps(x.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store(x: &mut [f32; 16], v: __m512) {
    // SAFETY: writes exactly the 16 floats of `x`; the store has no alignment.
    unsafe { _mm512_storeu_ps(x.as_mut_ptr(), v) };
}

/// Fewer than 16 floats, followed by zeros.
#[inline]
#[target_feature(enable = "avx512f")]
fn load_tail(x: &[f32]) -> __m512 {
    debug_assert!(x.len() < 16);
    let mask = ((1u32 << (x.len() & 15)) - 1) as u16;
    // SAFETY: the mask selects at most the floats of `x`; masked-out lanes are not read.
    unsafe { _mm512_maskz_loadu_ps(mask, x.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_bytes(x: &[i8; 64]) -> __m512i {
    // SAFETY: reads exactly the 64 bytes of `x`; the load has no alignment.
    unsafe { _mm512_loadu_si512(x.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_codes(x: &[u8; 64]) -> __m512i {
    // SAFETY: reads exactly the 64 bytes of `x`; the load has no alignment.
    unsafe { _mm512_loadu_si512(x.as_ptr().cast()) }
}
