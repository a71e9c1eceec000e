//! AVX-512 with VBMI and VNNI: a line, 16 rows with 4 groups each, at a time. vpermb looks up, vpdpbusd
//! adds the four bytes of a row. Loads and stores are the only unsafe operations; each takes its
//! bounds from a reference to exactly what it touches.

use std::arch::x86_64::*;

use crate::bit1::{BIT1_ROWS, Bit1Scan, Bit1Survivors, Bit1Table, Tiles};

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
pub(super) fn fill(table: &mut Bit1Table, v: &[f32]) {
    table.fill(v);
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vbmi")]
pub(super) fn bounds(scan: &Bit1Scan<'_>, tiles: Tiles<'_>, out: &mut [f32]) {
    let mut each = |i: usize, lowers: [__m512; 1]| {
        let mut all = [0.0; BIT1_ROWS];
        store(&mut all, lowers[0]);
        let out = &mut out[BIT1_ROWS * i..];
        let n = out.len().min(BIT1_ROWS);
        out[..n].copy_from_slice(&all[..n]);
    };
    scan_tiles([scan], tiles, &mut each);
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vbmi")]
pub(super) fn survivors(scan: &Bit1Scan<'_>, tiles: Tiles<'_>, out: &mut Bit1Survivors) {
    survivors_of([scan], tiles, [out]);
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vbmi")]
pub(super) fn survivors_of_four(scans: [&Bit1Scan<'_>; 4], tiles: Tiles<'_>, outs: [&mut Bit1Survivors; 4]) {
    survivors_of(scans, tiles, outs);
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vbmi")]
fn survivors_of<const Q: usize>(scans: [&Bit1Scan<'_>; Q], tiles: Tiles<'_>, mut outs: [&mut Bit1Survivors; Q]) {
    let mut each = |i: usize, lowers: [__m512; Q]| {
        for q in 0..Q {
            let threshold = _mm512_set1_ps(scans[q].threshold);
            let mask = _mm512_cmp_ps_mask::<_CMP_LE_OQ>(lowers[q], threshold) & tiles.mask(i);
            if mask != 0 {
                keep(outs[q], i, mask, lowers[q]);
            }
        }
    };
    scan_tiles(scans, tiles, &mut each);
}

/// Computes the bounds of all tiles that have rows to be returned, two at a time, for each of the
/// scans: `each` gets the number of a tile.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vbmi")]
fn scan_tiles<const Q: usize>(scans: [&Bit1Scan<'_>; Q], tiles: Tiles<'_>, each: &mut impl FnMut(usize, [__m512; Q])) {
    for i in (0..tiles.len()).step_by(2) {
        let (first, last) = (tiles.mask(i) != 0, i + 1 < tiles.len() && tiles.mask(i + 1) != 0);
        if first && last {
            let (one, other) = (tiles.tile(i), tiles.tile(i + 1));
            let [sums, others] = sums(scans, [one.0, other.0]);
            each(i, lowers(scans, sums, one.1));
            each(i + 1, lowers(scans, others, other.1));
        } else if first || last {
            let i = if first { i } else { i + 1 };
            let (codes, factors) = tiles.tile(i);
            let [sums] = sums(scans, [codes]);
            each(i, lowers(scans, sums, factors));
        }
    }
}

/// The entries of each row of `T` tiles, added up, by each of the scans' tables.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vbmi")]
fn sums<const T: usize, const Q: usize>(scans: [&Bit1Scan<'_>; Q], tiles: [&[[u8; 64]]; T]) -> [[__m512i; Q]; T] {
    /// (codes & 15) | group, as a truth table.
    const AND_OR: i32 = 0xea;
    let lines = tiles[0].len();
    let tiles = tiles.map(|codes| &codes[..lines]);
    let tables = scans.map(|scan| &scan.table.lines()[..lines]);
    let low = _mm512_set1_epi8(15);
    let group = _mm512_set1_epi32(0x3020_1000);
    let one = _mm512_set1_epi8(1);
    let mut acc = [[[_mm512_setzero_si512(); 2]; Q]; T];
    for i in 0..lines {
        for t in 0..T {
            let codes = load(&tiles[t][i]);
            let indices = [codes, _mm512_srli_epi16::<4>(codes)]
                .map(|codes| _mm512_ternarylogic_epi32::<AND_OR>(codes, low, group));
            for q in 0..Q {
                for half in 0..2 {
                    let entries = _mm512_permutexvar_epi8(indices[half], load(&tables[q][i][half]));
                    acc[t][q][half] = _mm512_dpbusd_epi32(acc[t][q][half], entries, one);
                }
            }
        }
    }
    acc.map(|scans| scans.map(|[low, high]| _mm512_add_epi32(low, high)))
}

/// The lower bounds of a tile; never NaN.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn lowers<const Q: usize>(scans: [&Bit1Scan<'_>; Q], sums: [__m512i; Q], factors: &[u8; 64]) -> [__m512; Q] {
    let factors = load(factors);
    let a = _mm512_cvtph_ps(_mm512_castsi512_si256(factors));
    let b = _mm512_cvtph_ps(_mm512_extracti64x4_epi64::<1>(factors));
    let mut out = [a; Q];
    for q in 0..Q {
        let scan = scans[q];
        let units = _mm512_sub_epi32(sums[q], _mm512_set1_epi32(scan.table.bias()));
        let s = _mm512_mul_ps(_mm512_cvtepi32_ps(units), _mm512_set1_ps(scan.table.step()));
        let a = _mm512_mul_ps(a, _mm512_set1_ps(scan.a_scale));
        let b = _mm512_mul_ps(b, _mm512_set1_ps(scan.b_scale));
        let reach = _mm512_mul_ps(b, _mm512_add_ps(s, _mm512_set1_ps(scan.width)));
        let lower = _mm512_sub_ps(_mm512_add_ps(_mm512_set1_ps(scan.base), a), reach);
        // vmaxps returns its second operand when the first is NaN.
        out[q] = _mm512_max_ps(lower, _mm512_set1_ps(f32::NEG_INFINITY));
    }
    out
}

/// Compressed in registers and stored whole: compressing stores are slow on some machines.
#[inline]
#[target_feature(enable = "avx512f")]
fn keep(out: &mut Bit1Survivors, tile: usize, mask: u16, lowers: __m512) {
    let lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    let rows = _mm512_add_epi32(lanes, _mm512_set1_epi32((BIT1_ROWS * tile) as i32));
    let (next_rows, next_lowers) = out.next(mask.count_ones());
    store_rows(next_rows, _mm512_maskz_compress_epi32(mask, rows));
    store(next_lowers, _mm512_maskz_compress_ps(mask, lowers));
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(x: &[u8; 64]) -> __m512i {
    // SAFETY: reads exactly the 64 bytes of `x`; the load has no alignment.
    unsafe { _mm512_loadu_si512(x.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store(x: &mut [f32; 16], v: __m512) {
    // SAFETY: writes exactly the 16 floats of `x`; the store has no alignment.
    unsafe { _mm512_storeu_ps(x.as_mut_ptr(), v) };
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store_rows(x: &mut [u32; 16], v: __m512i) {
    // SAFETY: writes exactly the 16 integers of `x`; the store has no alignment.
    unsafe { _mm512_storeu_si512(x.as_mut_ptr().cast(), v) };
}
