//! AVX2: two tiles, 32 rows, at a time. vpshufb looks up one group of 32 rows, so the bytes of rows
//! are first sorted by group. Loads and stores are the only unsafe operations; each takes its bounds
//! from a reference to exactly what it touches.

use std::arch::x86_64::*;

use crate::bit1::{BIT1_ROWS, Bit1Scan, Bit1Survivors, Bit1Table, Tiles, table_lines};

/// The rows of two tiles: eight to a register.
type Sums = [__m256i; 4];

#[target_feature(enable = "avx2")]
pub(super) fn fill(table: &mut Bit1Table, v: &[f32]) {
    table.fill(v);
}

#[target_feature(enable = "avx2,f16c")]
pub(super) fn bounds(scan: &Bit1Scan<'_>, tiles: Tiles<'_>, out: &mut [f32]) {
    for (pair, out) in out.chunks_mut(2 * BIT1_ROWS).enumerate() {
        let [[lowers], [others]] = lowers_of_two([scan], tiles, 2 * pair);
        let all = [floats(lowers), floats(others)];
        out.copy_from_slice(&all.as_flattened()[..out.len()]);
    }
}

#[target_feature(enable = "avx2,f16c")]
pub(super) fn survivors(scan: &Bit1Scan<'_>, tiles: Tiles<'_>, out: &mut Bit1Survivors) {
    survivors_of([scan], tiles, [out]);
}

#[target_feature(enable = "avx2,f16c")]
pub(super) fn survivors_of_four(scans: [&Bit1Scan<'_>; 4], tiles: Tiles<'_>, outs: [&mut Bit1Survivors; 4]) {
    survivors_of(scans, tiles, outs);
}

#[inline]
#[target_feature(enable = "avx2,f16c")]
fn survivors_of<const Q: usize>(scans: [&Bit1Scan<'_>; Q], tiles: Tiles<'_>, mut outs: [&mut Bit1Survivors; Q]) {
    for i in (0..tiles.len()).step_by(2) {
        let first = tiles.mask(i);
        let second = if i + 1 < tiles.len() { tiles.mask(i + 1) } else { 0 };
        if first | second != 0 {
            let [lowers, others] = lowers_of_two(scans, tiles, i);
            keep(scans, &mut outs, i, first, lowers);
            keep(scans, &mut outs, i + 1, second, others);
        }
    }
}

/// The lower bounds of tiles `i` and `i + 1`, by each of the scans. Where there is no tile `i + 1`,
/// tile `i` stands in for it.
#[inline]
#[target_feature(enable = "avx2,f16c")]
fn lowers_of_two<const Q: usize>(scans: [&Bit1Scan<'_>; Q], tiles: Tiles<'_>, i: usize) -> [[[__m256; 2]; Q]; 2] {
    let (codes, factors) = tiles.tile(i);
    let (other_codes, other_factors) = tiles.tile((i + 1).min(tiles.len() - 1));
    let sums = sums(scans, codes, other_codes);
    [lowers::<Q, 0>(scans, &sums, factors), lowers::<Q, 2>(scans, &sums, other_factors)]
}

/// Keeps the rows of a tile that each scan's threshold does not rule out, of those in `mask`.
#[inline]
#[target_feature(enable = "avx2,f16c")]
fn keep<const Q: usize>(
    scans: [&Bit1Scan<'_>; Q],
    outs: &mut [&mut Bit1Survivors; Q],
    tile: usize,
    mask: u16,
    lowers: [[__m256; 2]; Q],
) {
    for q in 0..Q {
        let threshold = _mm256_set1_ps(scans[q].threshold);
        let low = _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_LE_OQ>(lowers[q][0], threshold));
        let high = _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_LE_OQ>(lowers[q][1], threshold));
        let mask = (low | high << 8) as u16 & mask;
        if mask != 0 {
            outs[q].push(tile, mask, &floats(lowers[q]));
        }
    }
}

/// The entries of each row of two tiles, added up, by each of the scans' tables. Without closures over
/// registers: those would not be inlined.
#[inline]
#[target_feature(enable = "avx2")]
fn sums<const Q: usize>(scans: [&Bit1Scan<'_>; Q], first: &[[u8; 64]], second: &[[u8; 64]]) -> [Sums; Q] {
    let second = &second[..first.len()];
    let tables = table_lines(scans, first.len());
    let mask = _mm256_set1_epi8(15);
    let mut low = [[_mm256_setzero_si256(); 2]; Q];
    let mut high = low;
    for i in 0..first.len() {
        let groups = by_group(load(&first[i]), load(&second[i]));
        for (j, codes) in groups.into_iter().enumerate() {
            let l = _mm256_and_si256(codes, mask);
            let h = _mm256_and_si256(_mm256_srli_epi16::<4>(codes), mask);
            for q in 0..Q {
                let [low_table, high_table] = &tables[q][i];
                add_bytes(&mut low[q], _mm256_shuffle_epi8(group(low_table, j), l));
                add_bytes(&mut high[q], _mm256_shuffle_epi8(group(high_table, j), h));
            }
        }
    }
    let mut out = [[_mm256_setzero_si256(); 4]; Q];
    for q in 0..Q {
        out[q] = by_row(low[q], high[q]);
    }
    out
}

/// Takes a line of each of two tiles, returns for each of its four groups the bytes of 32 rows: byte
/// 4 d + k is row 8 k + d. Shifts and blends, of which there are more units than of shuffles.
#[inline]
#[target_feature(enable = "avx2")]
fn by_group([a, b]: [__m256i; 2], [c, d]: [__m256i; 2]) -> [__m256i; 4] {
    let ([even_ab, odd_ab], [even_cd, odd_cd]) = (by_parity(a, b), by_parity(c, d));
    let even_cd_up = _mm256_slli_epi32::<16>(even_cd);
    let odd_cd_up = _mm256_slli_epi32::<16>(odd_cd);
    let even_ab_down = _mm256_srli_epi32::<16>(even_ab);
    let odd_ab_down = _mm256_srli_epi32::<16>(odd_ab);
    [
        _mm256_blend_epi16::<0b1010_1010>(even_ab, even_cd_up),
        _mm256_blend_epi16::<0b1010_1010>(odd_ab, odd_cd_up),
        _mm256_blend_epi16::<0b1010_1010>(even_ab_down, even_cd),
        _mm256_blend_epi16::<0b1010_1010>(odd_ab_down, odd_cd),
    ]
}

/// The even bytes of both, in turn, and the odd ones.
#[inline]
#[target_feature(enable = "avx2")]
fn by_parity(a: __m256i, b: __m256i) -> [__m256i; 2] {
    let even = _mm256_set1_epi16(0x00ff);
    let evens = _mm256_or_si256(_mm256_and_si256(a, even), _mm256_slli_epi16::<8>(b));
    let odds = _mm256_or_si256(_mm256_srli_epi16::<8>(a), _mm256_andnot_si256(even, b));
    [evens, odds]
}

/// Adds bytes to two sums of 16 bits: of all bytes as pairs, modulo 2^16, and of the odd ones. Each
/// takes at most 256 entries of at most 254, so the odd ones fit, and the even ones can be told.
#[inline]
#[target_feature(enable = "avx2")]
fn add_bytes([pairs, odd]: &mut [__m256i; 2], bytes: __m256i) {
    *pairs = _mm256_add_epi16(*pairs, bytes);
    *odd = _mm256_add_epi16(*odd, _mm256_srli_epi16::<8>(bytes));
}

/// What `add_bytes` has added up of the low and the high groups, in the order of [`by_group`], by row.
#[inline]
#[target_feature(enable = "avx2")]
fn by_row([low, low_odd]: [__m256i; 2], [high, high_odd]: [__m256i; 2]) -> Sums {
    let low_even = _mm256_sub_epi16(low, _mm256_slli_epi16::<8>(low_odd));
    let high_even = _mm256_sub_epi16(high, _mm256_slli_epi16::<8>(high_odd));
    let mask = _mm256_set1_epi32(0xffff);
    [
        _mm256_add_epi32(_mm256_and_si256(low_even, mask), _mm256_and_si256(high_even, mask)),
        _mm256_add_epi32(_mm256_and_si256(low_odd, mask), _mm256_and_si256(high_odd, mask)),
        _mm256_add_epi32(_mm256_srli_epi32::<16>(low_even), _mm256_srli_epi32::<16>(high_even)),
        _mm256_add_epi32(_mm256_srli_epi32::<16>(low_odd), _mm256_srli_epi32::<16>(high_odd)),
    ]
}

/// The lower bounds of a tile whose sums begin at register `FIRST`; never NaN.
#[inline]
#[target_feature(enable = "avx2,f16c")]
fn lowers<const Q: usize, const FIRST: usize>(
    scans: [&Bit1Scan<'_>; Q],
    sums: &[Sums; Q],
    factors: &[u8; 64],
) -> [[__m256; 2]; Q] {
    let [a, b] = load(factors);
    let (a, a_high) = (_mm256_castsi256_si128(a), _mm256_extracti128_si256::<1>(a));
    let (b, b_high) = (_mm256_castsi256_si128(b), _mm256_extracti128_si256::<1>(b));
    let (a, a_high) = (_mm256_cvtph_ps(a), _mm256_cvtph_ps(a_high));
    let (b, b_high) = (_mm256_cvtph_ps(b), _mm256_cvtph_ps(b_high));
    let mut out = [[a; 2]; Q];
    for q in 0..Q {
        out[q] = [lower(scans[q], sums[q][FIRST], a, b), lower(scans[q], sums[q][FIRST + 1], a_high, b_high)];
    }
    out
}

#[inline]
#[target_feature(enable = "avx2")]
fn lower(scan: &Bit1Scan<'_>, sums: __m256i, a: __m256, b: __m256) -> __m256 {
    let units = _mm256_sub_epi32(sums, _mm256_set1_epi32(scan.table.bias()));
    let s = _mm256_mul_ps(_mm256_cvtepi32_ps(units), _mm256_set1_ps(scan.table.step()));
    let a = _mm256_mul_ps(a, _mm256_set1_ps(scan.a_scale));
    let b = _mm256_mul_ps(b, _mm256_set1_ps(scan.b_scale));
    let reach = _mm256_mul_ps(b, _mm256_add_ps(s, _mm256_set1_ps(scan.width)));
    let lower = _mm256_sub_ps(_mm256_add_ps(_mm256_set1_ps(scan.base), a), reach);
    // vmaxps returns its second operand when the first is NaN.
    _mm256_max_ps(lower, _mm256_set1_ps(f32::NEG_INFINITY))
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(line: &[u8; 64]) -> [__m256i; 2] {
    // SAFETY: reads exactly the 64 bytes of `line`; the loads have no alignment.
    unsafe { [_mm256_loadu_si256(line.as_ptr().cast()), _mm256_loadu_si256(line.as_ptr().add(32).cast())] }
}

/// The 16 entries of one of four groups, twice.
#[inline]
#[target_feature(enable = "avx2")]
fn group(entries: &[u8; 64], j: usize) -> __m256i {
    let group = &entries.as_chunks::<16>().0[j];
    // SAFETY: reads exactly the 16 bytes of `group`; the load has no alignment.
    _mm256_broadcastsi128_si256(unsafe { _mm_loadu_si128(group.as_ptr().cast()) })
}

#[inline]
#[target_feature(enable = "avx2")]
fn floats([low, high]: [__m256; 2]) -> [f32; 16] {
    let mut out = [0.0; 16];
    // SAFETY: writes exactly the 16 floats of `out`; the stores have no alignment.
    unsafe {
        _mm256_storeu_ps(out.as_mut_ptr(), low);
        _mm256_storeu_ps(out.as_mut_ptr().add(8), high);
    }
    out
}
