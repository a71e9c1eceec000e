//! AVX-512 with VBMI and VNNI: a line, 16 rows with 4 groups each, at a time. vpermb looks up, vpdpbusd
//! adds the four bytes of a row. Loads and stores are the only unsafe operations; each takes its
//! bounds from a reference to exactly what it touches.

use std::arch::x86_64::*;

use crate::bit1::{BIT1_ROWS, Bit1Scan, Bit1Survivors, Bit1Table, Tiles, table_lines};

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
pub(super) fn fill(table: &mut Bit1Table, v: &[f32]) {
    table.fill(v);
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vbmi,popcnt")]
pub(super) fn bounds(scan: &Bit1Scan<'_>, tiles: Tiles<'_>, out: &mut [f32]) {
    for (pair, out) in out.chunks_mut(2 * BIT1_ROWS).enumerate() {
        let mut all = [[0.0; BIT1_ROWS]; 2];
        if out.len() > BIT1_ROWS {
            let [[first], [second]] = lowers_of_two([scan], tiles, 2 * pair);
            store(&mut all[0], first);
            store(&mut all[1], second);
        } else {
            let [lowers] = lowers_of_one([scan], tiles, 2 * pair);
            store(&mut all[0], lowers);
        }
        out.copy_from_slice(&all.as_flattened()[..out.len()]);
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vbmi,popcnt")]
pub(super) fn survivors(scan: &Bit1Scan<'_>, tiles: Tiles<'_>, out: &mut Bit1Survivors) {
    survivors_of([scan], tiles, [out]);
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vbmi,popcnt")]
pub(super) fn survivors_of_four(scans: [&Bit1Scan<'_>; 4], tiles: Tiles<'_>, outs: [&mut Bit1Survivors; 4]) {
    survivors_of(scans, tiles, outs);
}

/// Two tiles share each load of a table.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vbmi,popcnt")]
fn survivors_of<const Q: usize>(scans: [&Bit1Scan<'_>; Q], tiles: Tiles<'_>, outs: [&mut Bit1Survivors; Q]) {
    for i in (0..tiles.len()).step_by(2) {
        let first = tiles.mask(i);
        let second = if i + 1 < tiles.len() { tiles.mask(i + 1) } else { 0 };
        if first != 0 && second != 0 {
            let [lowers, others] = lowers_of_two(scans, tiles, i);
            for q in 0..Q {
                keep(scans[q].threshold, outs[q], i, first, lowers[q]);
                keep(scans[q].threshold, outs[q], i + 1, second, others[q]);
            }
        } else if first | second != 0 {
            let (i, mask) = if first != 0 { (i, first) } else { (i + 1, second) };
            let lowers = lowers_of_one(scans, tiles, i);
            for q in 0..Q {
                keep(scans[q].threshold, outs[q], i, mask, lowers[q]);
            }
        }
    }
}

/// The lower bounds of tile `i`, by each of the scans.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vbmi,popcnt")]
fn lowers_of_one<const Q: usize>(scans: [&Bit1Scan<'_>; Q], tiles: Tiles<'_>, i: usize) -> [__m512; Q] {
    let (codes, factors) = tiles.tile(i);
    let [sums] = sums(scans, [codes]);
    lowers(scans, sums, factors)
}

/// The lower bounds of tiles `i` and `i + 1`, by each of the scans.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vbmi,popcnt")]
fn lowers_of_two<const Q: usize>(scans: [&Bit1Scan<'_>; Q], tiles: Tiles<'_>, i: usize) -> [[__m512; Q]; 2] {
    let ((codes, factors), (other_codes, other_factors)) = (tiles.tile(i), tiles.tile(i + 1));
    let [sums, other_sums] = sums(scans, [codes, other_codes]);
    [lowers(scans, sums, factors), lowers(scans, other_sums, other_factors)]
}

/// The entries of each row of `T` tiles, added up, by each of the scans' tables. Without closures over
/// registers: those would not be inlined.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vbmi,popcnt")]
fn sums<const T: usize, const Q: usize>(scans: [&Bit1Scan<'_>; Q], tiles: [&[[u8; 64]]; T]) -> [[__m512i; Q]; T] {
    let lines = tiles[0].len();
    let (tiles, tables) = (cut(tiles, lines), table_lines(scans, lines));
    let one = _mm512_set1_epi8(1);
    let mut low = [[_mm512_setzero_si512(); Q]; T];
    let mut high = low;
    for i in 0..lines {
        for t in 0..T {
            let codes = load(&tiles[t][i]);
            let (l, h) = (indices(codes), indices(_mm512_srli_epi16::<4>(codes)));
            for q in 0..Q {
                let [low_table, high_table] = &tables[q][i];
                low[t][q] = _mm512_dpbusd_epi32(low[t][q], _mm512_permutexvar_epi8(l, load(low_table)), one);
                high[t][q] = _mm512_dpbusd_epi32(high[t][q], _mm512_permutexvar_epi8(h, load(high_table)), one);
            }
        }
    }
    for t in 0..T {
        for q in 0..Q {
            low[t][q] = _mm512_add_epi32(low[t][q], high[t][q]);
        }
    }
    low
}

#[inline(always)]
fn cut<const T: usize>(tiles: [&[[u8; 64]]; T], lines: usize) -> [&[[u8; 64]]; T] {
    tiles.map(|codes| &codes[..lines])
}

/// The low four bits of each byte, and 16 times the byte's group.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn indices(codes: __m512i) -> __m512i {
    /// (a & b) | c, as a truth table.
    const AND_OR: i32 = 0xea;
    _mm512_ternarylogic_epi32::<AND_OR>(codes, _mm512_set1_epi8(15), _mm512_set1_epi32(0x3020_1000))
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

/// Keeps the rows of a tile that the threshold does not rule out, of those in `mask`. Without a branch,
/// which would be mispredicted at most survivors. Compressed in registers and stored whole:
/// compressing stores are slow on some machines.
#[inline]
#[target_feature(enable = "avx512f,popcnt")]
fn keep(threshold: f32, out: &mut Bit1Survivors, tile: usize, mask: u16, lowers: __m512) {
    let lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    let rows = _mm512_add_epi32(lanes, _mm512_set1_epi32((BIT1_ROWS * tile) as i32));
    let mask = _mm512_cmp_ps_mask::<_CMP_LE_OQ>(lowers, _mm512_set1_ps(threshold)) & mask;
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
