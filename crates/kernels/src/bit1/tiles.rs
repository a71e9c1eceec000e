use crate::MAX_ROTATED_DIM;

/// Rows of one tile: the 32-bit lanes of an AVX-512 register.
pub const BIT1_ROWS: usize = 16;

/// Dimensions whose signs, of 16 rows, fill a line of 64 bytes.
const DIMS_PER_LINE: usize = 32;

/// Bytes of one tile of 1-bit codes, a multiple of 64.
///
/// A tile holds 16 rows of a run. Of `dim` dimensions it has ceil(dim / 32) lines of signs and then a
/// line of factors, each of 64 bytes:
///
/// | line | byte | bits | |
/// |---|---|---|---|
/// | g | 4 r + j | 0 to 3 | signs of row r in dimensions 32 g + 4 j to 32 g + 4 j + 3, the first in bit 0 |
/// | g | 4 r + j | 4 to 7 | signs of row r in dimensions 32 g + 16 + 4 j to 32 g + 16 + 4 j + 3 |
/// | last | 2 r | | factor a of row r, an IEEE half-precision number, little-endian |
/// | last | 32 + 2 r | | factor b of row r, likewise |
///
/// with r from 0 to 15 and j from 0 to 3. A set bit stands for +1, a clear one for -1. Bits of
/// dimensions from `dim` on, and all bits of rows the run does not have, are zero. The tiles of a run
/// follow each other; only its last one may have fewer rows.
///
/// So the four bytes of a row are one 32-bit lane: with AVX-512, one vpermb looks up 64 groups of four
/// signs, 16 rows with 4 groups each, and one vpdpbusd adds them up by row.
pub fn bit1_tile_len(dim: usize) -> usize {
    64 * (code_lines(dim) + 1)
}

pub(crate) fn code_lines(dim: usize) -> usize {
    dim.div_ceil(DIMS_PER_LINE)
}

/// Sets the bits of the values of `rotated` that are not negative, in row `row` of a zeroed tile.
///
/// # Panics
/// When `row` is not below 16, or the tile has not [`bit1_tile_len`] bytes of as many dimensions.
pub fn bit1_put_signs(tile: &mut [u8], row: usize, rotated: &[f32]) {
    assert!(row < BIT1_ROWS && tile.len() == bit1_tile_len(rotated.len()), "a tile of another dimension");
    for (line, values) in tile.chunks_exact_mut(64).zip(rotated.chunks(DIMS_PER_LINE)) {
        for (half, values) in values.chunks(16).enumerate() {
            for (byte, values) in line[4 * row..4 * row + 4].iter_mut().zip(values.chunks(4)) {
                let bits = values.iter().enumerate().map(|(bit, &x)| u8::from(x >= 0.0) << bit);
                *byte |= bits.sum::<u8>() << (4 * half);
            }
        }
    }
}

/// Sets the factors of row `row` of a tile: the bits of two half-precision numbers.
///
/// # Panics
/// When `row` is not below 16, or the tile is shorter than a line.
pub fn bit1_put_factors(tile: &mut [u8], row: usize, a: u16, b: u16) {
    assert!(row < BIT1_ROWS, "a tile has 16 rows");
    let first = tile.len() - 64;
    let (all_a, all_b) = tile[first..].split_at_mut(32);
    all_a[2 * row..][..2].copy_from_slice(&a.to_le_bytes());
    all_b[2 * row..][..2].copy_from_slice(&b.to_le_bytes());
}

/// The tiles of a run, and which of its rows a scan may return.
#[derive(Clone, Copy)]
pub(crate) struct Tiles<'a> {
    lines: &'a [[u8; 64]],
    lines_per_tile: usize,
    rows: usize,
    allowed: Option<&'a [u64]>,
}

impl<'a> Tiles<'a> {
    /// # Panics
    /// When `bytes` are not the tiles of `rows` rows, or `allowed` has fewer bits than those.
    pub fn new(bytes: &'a [u8], dim: usize, rows: usize, allowed: Option<&'a [u64]>) -> Self {
        assert!((1..=MAX_ROTATED_DIM).contains(&dim), "{dim} dimensions have no 1-bit codes");
        let tiles = rows.div_ceil(BIT1_ROWS);
        assert_eq!(bytes.len(), tiles * bit1_tile_len(dim), "{rows} rows of {dim} dimensions expected");
        assert!(allowed.is_none_or(|words| 64 * words.len() >= rows), "fewer bits than {rows} rows");
        Self { lines: bytes.as_chunks().0, lines_per_tile: code_lines(dim) + 1, rows, allowed }
    }

    /// Number of tiles.
    pub fn len(&self) -> usize {
        self.rows.div_ceil(BIT1_ROWS)
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The lines of signs of tile `i`, and its line of factors.
    #[inline(always)]
    pub fn tile(&self, i: usize) -> (&'a [[u8; 64]], &'a [u8; 64]) {
        let lines = &self.lines[i * self.lines_per_tile..][..self.lines_per_tile];
        (&lines[..lines.len() - 1], &lines[lines.len() - 1])
    }

    /// Which rows of tile `i` there are and may be returned: row r by bit r.
    #[inline(always)]
    pub fn mask(&self, i: usize) -> u16 {
        let exist = 0xffff_u16 >> (BIT1_ROWS - (self.rows - BIT1_ROWS * i).min(BIT1_ROWS));
        match self.allowed {
            Some(words) => (words[i / 4] >> (i % 4 * BIT1_ROWS)) as u16 & exist,
            None => exist,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The layout is on disk: a row's bits are found where the documentation says.
    #[test]
    fn signs_and_factors_stand_where_documented() {
        let mut rng = fastrand::Rng::with_seed(1);
        for dim in [1, 5, 31, 32, 33, 100, 384, 2048] {
            let mut tile = vec![0; bit1_tile_len(dim)];
            let rows: Vec<Vec<f32>> = (0..11).map(|_| (0..dim).map(|_| rng.f32() - 0.5).collect()).collect();
            for (r, row) in rows.iter().enumerate() {
                bit1_put_signs(&mut tile, r, row);
                bit1_put_factors(&mut tile, r, 0x1234 + r as u16, 0x4321 + r as u16);
            }
            let mut ones = 0;
            for (r, row) in rows.iter().enumerate() {
                for (d, x) in row.iter().enumerate() {
                    let (line, half, j, bit) = (d / 32, d / 16 % 2, d / 4 % 4, d % 4);
                    let set = tile[64 * line + 4 * r + j] >> (4 * half + bit) & 1 == 1;
                    assert_eq!(set, *x >= 0.0, "row {r}, dimension {d} of {dim}");
                    ones += u32::from(set);
                }
                let factors = &tile[tile.len() - 64..];
                assert_eq!(factors[2 * r..][..2], (0x1234 + r as u16).to_le_bytes());
                assert_eq!(factors[32 + 2 * r..][..2], (0x4321 + r as u16).to_le_bytes());
            }
            let codes = &tile[..tile.len() - 64];
            assert_eq!(codes.iter().map(|byte| byte.count_ones()).sum::<u32>(), ones, "the rest is zero");
        }
    }

    #[test]
    fn masks_follow_rows_and_bits() {
        let bytes = vec![0; 5 * bit1_tile_len(8)];
        let all = Tiles::new(&bytes, 8, 67, None);
        assert_eq!((0..5).map(|i| all.mask(i)).collect::<Vec<_>>(), [0xffff, 0xffff, 0xffff, 0xffff, 0b111]);
        let words = [0x8000_1234_0000_0001, u64::MAX << 1];
        let some = Tiles::new(&bytes, 8, 67, Some(&words));
        assert_eq!((0..5).map(|i| some.mask(i)).collect::<Vec<_>>(), [1, 0, 0x1234, 0x8000, 0b110]);
    }

    #[test]
    #[should_panic(expected = "17 rows of 8 dimensions expected")]
    fn tiles_of_another_length_are_refused() {
        Tiles::new(&vec![0; bit1_tile_len(8)], 8, 17, None);
    }
}
