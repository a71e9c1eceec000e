//! Advanced SIMD: a tile at a time. ld4 sorts the bytes of rows by group as it loads, tbl looks up one
//! group of 16 rows.
//!
//! Not run here: written without an AArch64 machine, so type-checked alone (`cargo check --target
//! aarch64-unknown-linux-gnu`) until one joins the project's checks.

use std::arch::aarch64::*;

use super::scalar;
use crate::bit1::{BIT1_ROWS, Bit1Scan, Bit1Survivors, Bit1Table, Tiles, table_lines};

#[target_feature(enable = "neon")]
pub(super) fn fill(table: &mut Bit1Table, v: &[f32]) {
    table.fill(v);
}

#[target_feature(enable = "neon")]
pub(super) fn bounds(scan: &Bit1Scan<'_>, tiles: Tiles<'_>, out: &mut [f32]) {
    for (i, out) in out.chunks_mut(BIT1_ROWS).enumerate() {
        let (codes, factors) = tiles.tile(i);
        let [sums] = sums([scan], codes);
        out.copy_from_slice(&scalar::lowers(scan, sums, factors)[..out.len()]);
    }
}

#[target_feature(enable = "neon")]
pub(super) fn survivors(scan: &Bit1Scan<'_>, tiles: Tiles<'_>, out: &mut Bit1Survivors) {
    survivors_of([scan], tiles, [out]);
}

#[target_feature(enable = "neon")]
pub(super) fn survivors_of_four(scans: [&Bit1Scan<'_>; 4], tiles: Tiles<'_>, outs: [&mut Bit1Survivors; 4]) {
    survivors_of(scans, tiles, outs);
}

/// The bounds are left to the compiler: there are 16 of them to each tile.
#[inline]
#[target_feature(enable = "neon")]
fn survivors_of<const Q: usize>(scans: [&Bit1Scan<'_>; Q], tiles: Tiles<'_>, outs: [&mut Bit1Survivors; Q]) {
    for i in (0..tiles.len()).filter(|&i| tiles.mask(i) != 0) {
        let (codes, factors) = tiles.tile(i);
        let sums = sums(scans, codes);
        for q in 0..Q {
            let lowers = scalar::lowers(scans[q], sums[q], factors);
            let mask = (0..BIT1_ROWS).map(|row| u16::from(lowers[row] <= scans[q].threshold) << row).sum::<u16>();
            outs[q].push(i, mask & tiles.mask(i), &lowers);
        }
    }
}

/// The entries of each row of a tile, added up, by each of the scans' tables. Low and high groups have
/// sums of 16 bits of their own, each of at most 256 entries of at most 254. Without closures over
/// registers: those would not be inlined.
#[inline]
#[target_feature(enable = "neon")]
fn sums<const Q: usize>(scans: [&Bit1Scan<'_>; Q], codes: &[[u8; 64]]) -> [[i32; BIT1_ROWS]; Q] {
    let tables = table_lines(scans, codes.len());
    let mask = vdupq_n_u8(15);
    let mut low = [[vdupq_n_u16(0); 2]; Q];
    let mut high = low;
    for (i, line) in codes.iter().enumerate() {
        let groups = by_group(line);
        for (j, codes) in groups.into_iter().enumerate() {
            let (l, h) = (vandq_u8(codes, mask), vshrq_n_u8::<4>(codes));
            for q in 0..Q {
                let [low_table, high_table] = &tables[q][i];
                add_bytes(&mut low[q], vqtbl1q_u8(group(low_table, j), l));
                add_bytes(&mut high[q], vqtbl1q_u8(group(high_table, j), h));
            }
        }
    }
    let mut out = [[0; BIT1_ROWS]; Q];
    for q in 0..Q {
        out[q][..8].copy_from_slice(&widened(low[q][0], high[q][0]));
        out[q][8..].copy_from_slice(&widened(low[q][1], high[q][1]));
    }
    out
}

#[inline]
#[target_feature(enable = "neon")]
fn add_bytes([first, last]: &mut [uint16x8_t; 2], bytes: uint8x16_t) {
    *first = vaddw_u8(*first, vget_low_u8(bytes));
    *last = vaddw_high_u8(*last, bytes);
}

#[inline]
#[target_feature(enable = "neon")]
fn widened(low: uint16x8_t, high: uint16x8_t) -> [i32; 8] {
    let mut out = [[0; 8]; 2];
    for (out, x) in out.iter_mut().zip([low, high]) {
        // SAFETY: writes exactly the 8 integers of `out`.
        unsafe { vst1q_u16(out.as_mut_ptr(), x) };
    }
    std::array::from_fn(|row| i32::from(out[0][row]) + i32::from(out[1][row]))
}

#[inline]
#[target_feature(enable = "neon")]
fn by_group(line: &[u8; 64]) -> [uint8x16_t; 4] {
    // SAFETY: reads exactly the 64 bytes of `line`.
    let groups = unsafe { vld4q_u8(line.as_ptr()) };
    [groups.0, groups.1, groups.2, groups.3]
}

/// The 16 entries of one of four groups.
#[inline]
#[target_feature(enable = "neon")]
fn group(entries: &[u8; 64], j: usize) -> uint8x16_t {
    let group = &entries.as_chunks::<16>().0[j];
    // SAFETY: reads exactly the 16 bytes of `group`.
    unsafe { vld1q_u8(group.as_ptr()) }
}
