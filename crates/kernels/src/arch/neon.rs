//! Advanced SIMD: 4 floats or 8 codes at a time, in the form of the AVX2 path.
//!
//! Not compiled here: written without an AArch64 machine, so neither built nor tested until one
//! joins the project's checks.

use std::arch::aarch64::*;

use crate::{
    Sq8Query,
    keys::{KEY_LANES, keys_of_counts_by, least_of_lanes_by, places_within_by},
    rotation::{rotate_by, wide_butterflies},
};

#[target_feature(enable = "neon")]
pub(super) fn l2_sq(a: &[f32], b: &[f32]) -> f32 {
    pair::<true>(a, b)
}

#[target_feature(enable = "neon")]
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    pair::<false>(a, b)
}

#[target_feature(enable = "neon")]
pub(super) fn l2_sq_four(query: &[f32], rows: [&[f32]; 4]) -> [f32; 4] {
    four::<true>(query, rows)
}

#[target_feature(enable = "neon")]
pub(super) fn dot_four(query: &[f32], rows: [&[f32]; 4]) -> [f32; 4] {
    four::<false>(query, rows)
}

/// Sixteen accumulators, four rows and a centroid at a time: 21 of the 32 registers.
#[target_feature(enable = "neon")]
pub(super) fn dot_tile(a: [&[f32]; 4], b: [&[f32]; 4]) -> [[f32; 4]; 4] {
    let whole = a[0].len() / 4;
    let ([a0, a1, a2, a3], a_tails) = split(a, whole);
    let ([b0, b1, b2, b3], b_tails) = split(b, whole);
    let mut acc = [[vdupq_n_f32(0.0); 4]; 4];
    for i in 0..whole {
        let rows = [load(&a0[i]), load(&a1[i]), load(&a2[i]), load(&a3[i])];
        let others = [&b0[i], &b1[i], &b2[i], &b3[i]];
        outer_product(&mut acc, rows, others.map(|other| load(other)));
    }
    let tails = a_tails.map(|tail| load_tail(tail));
    outer_product(&mut acc, tails, b_tails.map(|tail| load_tail(tail)));
    [sums(acc[0]), sums(acc[1]), sums(acc[2]), sums(acc[3])]
}

#[inline]
#[target_feature(enable = "neon")]
fn outer_product(acc: &mut [[float32x4_t; 4]; 4], a: [float32x4_t; 4], b: [float32x4_t; 4]) {
    for i in 0..4 {
        for j in 0..4 {
            acc[i][j] = vfmaq_f32(acc[i][j], a[i], b[j]);
        }
    }
}

pub(super) use sq8_dot_four as sq8_dot_run;

/// Codes widened to i16 against the i16 query.
#[target_feature(enable = "neon")]
pub(super) fn sq8_dot_four(query: &Sq8Query, rows: [&[u8]; 4]) -> [f32; 4] {
    /// A lane takes 2 products of at most 255 * 16256 a step; 256 steps stay below 2^31.
    const STEPS: usize = 256;
    let (values, _) = query.values().as_chunks::<8>();
    let rows = rows.map(|row| &row.as_chunks::<8>().0[..values.len()]);
    let mut totals = [0; 4];
    for (b, values) in values.chunks(STEPS).enumerate() {
        let rows = rows.map(|row| &row[b * STEPS..][..values.len()]);
        let mut acc = [vdupq_n_s32(0); 4];
        for (i, v) in values.iter().enumerate() {
            let v = load_ints(v);
            for j in 0..4 {
                let codes = vreinterpretq_s16_u16(vmovl_u8(load_codes(&rows[j][i])));
                acc[j] = vmlal_s16(acc[j], vget_low_s16(codes), vget_low_s16(v));
                acc[j] = vmlal_high_s16(acc[j], codes, v);
            }
        }
        for j in 0..4 {
            totals[j] += vaddlvq_s32(acc[j]);
        }
    }
    totals.map(|total| query.finish(total))
}

#[target_feature(enable = "neon")]
pub(super) fn sq8_set_residual(query: &mut Sq8Query, q: &[f32], centre: &[f32]) {
    query.fill_residual(q, centre);
}

/// Butterflies within a register are left to the compiler: there are two of them.
#[target_feature(enable = "neon")]
pub(super) fn rotate(x: &mut [f32]) {
    rotate_by(x, wide_butterflies::<1>);
}

#[target_feature(enable = "neon")]
pub(super) fn keys_of_counts(distances: &mut [f32], counts: &[u32], per_doubling: f32) -> usize {
    keys_of_counts_by(distances, counts, per_doubling)
}

#[target_feature(enable = "neon")]
pub(super) fn least_of_lanes(keys: &[f32], above: f32) -> [f32; KEY_LANES] {
    least_of_lanes_by(keys, above)
}

#[target_feature(enable = "neon")]
pub(super) fn places_within(keys: &[f32], above: f32, upto: f32, out: &mut Vec<u32>) {
    places_within_by(keys, above, upto, out)
}

/// Four accumulators hide the latency of the fused multiply-add.
#[inline]
#[target_feature(enable = "neon")]
fn pair<const L2: bool>(a: &[f32], b: &[f32]) -> f32 {
    let (a, a_tail) = a.as_chunks::<4>();
    let (b, b_tail) = b.as_chunks::<4>();
    let (a_quads, a_rest) = a.as_chunks::<4>();
    let (b_quads, b_rest) = b.as_chunks::<4>();
    let mut acc = [vdupq_n_f32(0.0); 4];
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
#[target_feature(enable = "neon")]
fn four<const L2: bool>(query: &[f32], rows: [&[f32]; 4]) -> [f32; 4] {
    let (query, query_tail) = query.as_chunks::<4>();
    let (rows, tails) = split(rows, query.len());
    let mut acc = [vdupq_n_f32(0.0); 4];
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
#[target_feature(enable = "neon")]
fn step<const L2: bool>(acc: float32x4_t, a: float32x4_t, b: float32x4_t) -> float32x4_t {
    if L2 {
        let d = vsubq_f32(a, b);
        vfmaq_f32(acc, d, d)
    } else {
        vfmaq_f32(acc, a, b)
    }
}

/// The sum of the lanes of each of four registers.
#[inline]
#[target_feature(enable = "neon")]
fn sums(acc: [float32x4_t; 4]) -> [f32; 4] {
    let [a, b, c, d] = acc;
    [vaddvq_f32(a), vaddvq_f32(b), vaddvq_f32(c), vaddvq_f32(d)]
}

/// The first `whole` registers of each slice, and what is left.
#[inline(always)]
fn split(rows: [&[f32]; 4], whole: usize) -> ([&[[f32; 4]]; 4], [&[f32]; 4]) {
    let [a, b, c, d] = rows.map(|row| row.split_at(4 * whole));
    let registers = [a.0, b.0, c.0, d.0].map(|row| &row.as_chunks::<4>().0[..whole]);
    (registers, [a.1, b.1, c.1, d.1])
}

#[inline]
#[target_feature(enable = "neon")]
fn load(x: &[f32; 4]) -> float32x4_t {
    // SAFETY: reads exactly the 4 floats of `x`.
    unsafe { vld1q_f32(x.as_ptr()) }
}

/// Fewer than 4 floats, followed by zeros.
#[inline]
#[target_feature(enable = "neon")]
fn load_tail(x: &[f32]) -> float32x4_t {
    let mut padded = [0.0; 4];
    padded[..x.len()].copy_from_slice(x);
    load(&padded)
}

#[inline]
#[target_feature(enable = "neon")]
fn load_ints(x: &[i16; 8]) -> int16x8_t {
    // SAFETY: reads exactly the 8 integers of `x`.
    unsafe { vld1q_s16(x.as_ptr()) }
}

#[inline]
#[target_feature(enable = "neon")]
fn load_codes(x: &[u8; 8]) -> uint8x8_t {
    // SAFETY: reads exactly the 8 bytes of `x`.
    unsafe { vld1_u8(x.as_ptr()) }
}
