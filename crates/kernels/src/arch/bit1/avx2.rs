//! AVX2: two tiles, 32 rows, at a time. vpshufb looks up one group of 32 rows, so the bytes of rows
//! are first sorted by group. Loads and stores are the only unsafe operations; each takes its bounds
//! from a reference to exactly what it touches.

use std::arch::x86_64::*;

use crate::bit1::{BIT1_ROWS, Bit1Scan, Bit1Survivors, Bit1Table, Tiles};

/// The rows of two tiles: eight to a register.
type Sums = [__m256i; 4];

#[target_feature(enable = "avx2")]
pub(super) fn fill(table: &mut Bit1Table, v: &[f32]) {
    table.fill(v);
}

#[target_feature(enable = "avx2,f16c")]
pub(super) fn bounds(scan: &Bit1Scan<'_>, tiles: Tiles<'_>, out: &mut [f32]) {
    let mut each = |i: usize, [lowers]: [[__m256; 2]; 1]| {
        let out = &mut out[BIT1_ROWS * i..];
        let n = out.len().min(BIT1_ROWS);
        out[..n].copy_from_slice(&floats(lowers)[..n]);
    };
    scan_tiles([scan], tiles, &mut each);
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
    let mut each = |i: usize, lowers: [[__m256; 2]; Q]| {
        for q in 0..Q {
            let threshold = _mm256_set1_ps(scans[q].threshold);
            let [low, high] = lowers[q].map(|x| _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_LE_OQ>(x, threshold)));
            let mask = (low | high << 8) as u16 & tiles.mask(i);
            if mask != 0 {
                outs[q].push(i, mask, &floats(lowers[q]));
            }
        }
    };
    scan_tiles(scans, tiles, &mut each);
}

/// Computes the bounds of all tiles that have rows to be returned, for each of the scans: `each` gets
/// the number of a tile. A last tile without a neighbour is its own.
#[inline]
#[target_feature(enable = "avx2,f16c")]
fn scan_tiles<const Q: usize>(
    scans: [&Bit1Scan<'_>; Q],
    tiles: Tiles<'_>,
    each: &mut impl FnMut(usize, [[__m256; 2]; Q]),
) {
    for i in (0..tiles.len()).step_by(2) {
        let other = (i + 1).min(tiles.len() - 1);
        if tiles.mask(i) | tiles.mask(other) == 0 {
            continue;
        }
        let (first, second) = (tiles.tile(i), tiles.tile(other));
        let sums = sums(scans, first.0, second.0);
        each(i, lowers(scans, sums.map(|sums| [sums[0], sums[1]]), first.1));
        if other > i {
            each(other, lowers(scans, sums.map(|sums| [sums[2], sums[3]]), second.1));
        }
    }
}

/// The entries of each row of two tiles, added up, by each of the scans' tables.
#[inline]
#[target_feature(enable = "avx2")]
fn sums<const Q: usize>(scans: [&Bit1Scan<'_>; Q], first: &[[u8; 64]], second: &[[u8; 64]]) -> [Sums; Q] {
    let second = &second[..first.len()];
    let tables = scans.map(|scan| &scan.table.lines()[..first.len()]);
    let low = _mm256_set1_epi8(15);
    let mut acc = [[[_mm256_setzero_si256(); 2]; 2]; Q];
    for i in 0..first.len() {
        let ([a, b], [c, d]) = (load(&first[i]), load(&second[i]));
        for (j, codes) in by_group([a, b, c, d]).into_iter().enumerate() {
            let indices = [codes, _mm256_srli_epi16::<4>(codes)].map(|codes| _mm256_and_si256(codes, low));
            for q in 0..Q {
                for half in 0..2 {
                    let table = group(&tables[q][i][half], j);
                    add_bytes(&mut acc[q][half], _mm256_shuffle_epi8(table, indices[half]));
                }
            }
        }
    }
    acc.map(|[low, high]| by_row(low, high))
}

/// Takes lines of rows with four groups each, returns for each group the bytes of 32 rows: byte 4 d + k
/// is row 8 k + d. Shifts and blends, of which there are more units than of shuffles.
#[inline]
#[target_feature(enable = "avx2")]
fn by_group([a, b, c, d]: [__m256i; 4]) -> [__m256i; 4] {
    let even = _mm256_set1_epi16(0x00ff);
    let evens = |x, y| _mm256_or_si256(_mm256_and_si256(x, even), _mm256_slli_epi16::<8>(y));
    let odds = |x, y| _mm256_or_si256(_mm256_srli_epi16::<8>(x), _mm256_andnot_si256(even, y));
    let (even_ab, even_cd, odd_ab, odd_cd) = (evens(a, b), evens(c, d), odds(a, b), odds(c, d));
    let lower = |x, y| _mm256_blend_epi16::<0b1010_1010>(x, _mm256_slli_epi32::<16>(y));
    let upper = |x, y| _mm256_blend_epi16::<0b1010_1010>(_mm256_srli_epi32::<16>(x), y);
    [lower(even_ab, even_cd), lower(odd_ab, odd_cd), upper(even_ab, even_cd), upper(odd_ab, odd_cd)]
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
fn by_row(low: [__m256i; 2], high: [__m256i; 2]) -> Sums {
    let [low, high] = [low, high].map(|[pairs, odd]| [_mm256_sub_epi16(pairs, _mm256_slli_epi16::<8>(odd)), odd]);
    let lower = |x| _mm256_and_si256(x, _mm256_set1_epi32(0xffff));
    let upper = |x| _mm256_srli_epi32::<16>(x);
    [
        _mm256_add_epi32(lower(low[0]), lower(high[0])),
        _mm256_add_epi32(lower(low[1]), lower(high[1])),
        _mm256_add_epi32(upper(low[0]), upper(high[0])),
        _mm256_add_epi32(upper(low[1]), upper(high[1])),
    ]
}

/// The lower bounds of a tile; never NaN.
#[inline]
#[target_feature(enable = "avx2,f16c")]
fn lowers<const Q: usize>(scans: [&Bit1Scan<'_>; Q], sums: [[__m256i; 2]; Q], factors: &[u8; 64]) -> [[__m256; 2]; Q] {
    let [all_a, all_b] = load(factors).map(|halves| {
        let halves = [_mm256_castsi256_si128(halves), _mm256_extracti128_si256::<1>(halves)];
        halves.map(|eight| _mm256_cvtph_ps(eight))
    });
    let mut out = [all_a; Q];
    for q in 0..Q {
        for half in 0..2 {
            out[q][half] = lower(scans[q], sums[q][half], all_a[half], all_b[half]);
        }
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
