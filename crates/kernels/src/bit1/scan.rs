use super::{Bit1Survivors, Bit1Table, Tiles};
use crate::{
    Isa,
    arch::bit1::{Bit1Kernels, available, kernels},
};

/// What a scan of one run compares: the lower bound of a row with factors a and b and signs s is
///
/// (base + a `a_scale`) - b `b_scale` (S + `width`), S = <s, v> by the table,
///
/// -inf where that is NaN. All instruction sets round each operation alike, so they agree to the bit.
#[derive(Clone, Copy, Debug)]
pub struct Bit1Scan<'a> {
    /// <s, v>.
    pub table: &'a Bit1Table,
    /// What all bounds start from.
    pub base: f32,
    /// The unit of a.
    pub a_scale: f32,
    /// The unit of b.
    pub b_scale: f32,
    /// What S may be short of.
    pub width: f32,
    /// Rows whose lower bound is greater are ruled out.
    pub threshold: f32,
}

/// The first `n` lines of each scan's table.
#[inline(always)]
pub(crate) fn table_lines<'a, const Q: usize>(scans: [&Bit1Scan<'a>; Q], n: usize) -> [&'a [[[u8; 64]; 2]]; Q] {
    scans.map(|scan| &scan.table.lines()[..n])
}

/// The lower bound of each row, whatever the threshold: of row r in `out[r]`.
///
/// # Panics
/// When `tiles` are not those of `out.len()` rows of the table's dimension.
pub fn bit1_bounds(scan: &Bit1Scan<'_>, tiles: &[u8], out: &mut [f32]) {
    let tiles = Tiles::new(tiles, scan.table.dim(), out.len(), None);
    kernels().bounds(scan, tiles, out);
}

/// The rows that the threshold does not rule out, of `rows` rows, or of those that `allowed` names:
/// bit i of its words stands for row i.
///
/// # Panics
/// When `tiles` are not those of `rows` rows of the table's dimension, or `allowed` has fewer bits.
#[inline]
pub fn bit1_survivors(
    scan: &Bit1Scan<'_>,
    tiles: &[u8],
    rows: usize,
    allowed: Option<&[u64]>,
    out: &mut Bit1Survivors,
) {
    survivors_by(kernels(), scan, tiles, rows, allowed, out);
}

/// [`bit1_survivors`] of four scans that read the tiles once.
///
/// # Panics
/// When `tiles` are not those of `rows` rows of the tables' one dimension, or `allowed` has fewer bits.
pub fn bit1_survivors_of_four(
    scans: [&Bit1Scan<'_>; 4],
    tiles: &[u8],
    rows: usize,
    allowed: Option<&[u64]>,
    outs: [&mut Bit1Survivors; 4],
) {
    let tiles = Tiles::new(tiles, scans[0].table.dim(), rows, allowed);
    kernels().survivors_of_four(scans, tiles, outs);
}

/// The instruction sets that scans of 1-bit codes may run on, on this machine; the first is used.
pub fn bit1_isas() -> Vec<Isa> {
    available().iter().map(|k| k.isa).collect()
}

/// [`bit1_survivors`] on one of [`bit1_isas`], to compare them.
///
/// # Panics
/// As that, and when `isa` is not among them.
pub fn bit1_survivors_on(
    isa: Isa,
    scan: &Bit1Scan<'_>,
    tiles: &[u8],
    rows: usize,
    allowed: Option<&[u64]>,
    out: &mut Bit1Survivors,
) {
    let kernels = available().into_iter().find(|k| k.isa == isa).expect("an instruction set of this machine");
    survivors_by(kernels, scan, tiles, rows, allowed, out);
}

fn survivors_by(
    kernels: &Bit1Kernels,
    scan: &Bit1Scan<'_>,
    tiles: &[u8],
    rows: usize,
    allowed: Option<&[u64]>,
    out: &mut Bit1Survivors,
) {
    let tiles = Tiles::new(tiles, scan.table.dim(), rows, allowed);
    kernels.survivors(scan, tiles, out);
}
