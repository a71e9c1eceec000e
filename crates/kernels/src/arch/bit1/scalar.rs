//! The portable twin: sixteen rows at a time, one look-up after the other.

use crate::bit1::{BIT1_ROWS, Bit1Scan, Bit1Survivors, Bit1Table, Tiles};

pub(super) fn fill(table: &mut Bit1Table, v: &[f32]) {
    table.fill(v);
}

pub(super) fn bounds(scan: &Bit1Scan<'_>, tiles: Tiles<'_>, out: &mut [f32]) {
    for (i, out) in out.chunks_mut(BIT1_ROWS).enumerate() {
        let (codes, factors) = tiles.tile(i);
        out.copy_from_slice(&lowers(scan, sums(scan.table, codes), factors)[..out.len()]);
    }
}

pub(super) fn survivors(scan: &Bit1Scan<'_>, tiles: Tiles<'_>, out: &mut Bit1Survivors) {
    for i in (0..tiles.len()).filter(|&i| tiles.mask(i) != 0) {
        let (codes, factors) = tiles.tile(i);
        let lowers = lowers(scan, sums(scan.table, codes), factors);
        let mask = (0..BIT1_ROWS).map(|row| u16::from(lowers[row] <= scan.threshold) << row).sum::<u16>();
        out.push(i, mask & tiles.mask(i), &lowers);
    }
}

pub(super) fn survivors_of_four(scans: [&Bit1Scan<'_>; 4], tiles: Tiles<'_>, outs: [&mut Bit1Survivors; 4]) {
    for (scan, out) in scans.into_iter().zip(outs) {
        survivors(scan, tiles, out);
    }
}

/// The entries of each row of a tile, added up.
pub(super) fn sums(table: &Bit1Table, codes: &[[u8; 64]]) -> [i32; BIT1_ROWS] {
    let mut sums = [0; BIT1_ROWS];
    for (line, [low, high]) in codes.iter().zip(table.lines()) {
        for (sum, bytes) in sums.iter_mut().zip(line.as_chunks::<4>().0) {
            for (j, &byte) in bytes.iter().enumerate() {
                let (l, h) = (usize::from(byte & 15), usize::from(byte >> 4));
                *sum += i32::from(low[16 * j + l]) + i32::from(high[16 * j + h]);
            }
        }
    }
    sums
}

/// The lower bounds of a tile; never NaN.
pub(super) fn lowers(scan: &Bit1Scan<'_>, sums: [i32; BIT1_ROWS], factors: &[u8; 64]) -> [f32; BIT1_ROWS] {
    let (halves, _) = factors.as_chunks::<2>();
    let factor = |i: usize| f16_to_f32(u16::from_le_bytes(halves[i]));
    std::array::from_fn(|row| {
        let (a, b) = (factor(row) * scan.a_scale, factor(BIT1_ROWS + row) * scan.b_scale);
        let s = (sums[row] - scan.table.bias()) as f32 * scan.table.step();
        let lower = (scan.base + a) - b * (s + scan.width);
        if lower.is_nan() { f32::NEG_INFINITY } else { lower }
    })
}

/// The value of half-precision bits, exactly.
pub(super) fn f16_to_f32(bits: u16) -> f32 {
    /// 2^112: the exponents' biases differ by so much. Also right for subnormal numbers.
    const REBIAS: f32 = f32::from_bits((127 + 112) << 23);
    let magnitude = match u32::from(bits & 0x7fff) << 13 {
        special if special >= 0x7c00 << 13 => f32::from_bits(special | 0x7f80_0000),
        finite => f32::from_bits(finite) * REBIAS,
    };
    if bits & 0x8000 == 0 { magnitude } else { -magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_follow_the_formula() {
        for bits in 0..=u16::MAX {
            let (exponent, fraction) = (i32::from(bits >> 10 & 31), f32::from(bits & 0x3ff));
            let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
            let want = match exponent {
                0 => fraction * 2f32.powi(-24),
                31 if fraction == 0.0 => f32::INFINITY,
                31 => f32::NAN,
                _ => (1024.0 + fraction) * 2f32.powi(exponent - 25),
            };
            let got = f16_to_f32(bits);
            assert!(got == sign * want || got.is_nan() && want.is_nan(), "{bits:#x}: {got} is not {want}");
        }
    }
}
