use drift_kernels::{BIT1_ROWS, Lines, bit1_put_factors, bit1_put_signs, bit1_tile_len, rotate};

use crate::bit1_factors::{Factors, Rounded};

/// The 1-bit quantizer of the runs of one segment: RaBitQ (Gao, Long, SIGMOD'24, arXiv 2405.12497).
///
/// With P a random rotation ([`rotate`]), a row x of a run with centre c has the residual
/// r = P(x - c), and its code is the signs s of r. For any vector p then <r, p> ~ |r|^2 <s, p> / <s, r>,
/// without bias over rotations, and off by more than
///
/// eps |r| |p| sin t / (cos t sqrt(dim - 1)), cos t = <s, r> / (|s| |r|)
///
/// only with a probability that falls like exp(-eps^2 / 2). With b = 2 |r|^2 / <s, r> and p = P(q - c):
/// |x - q|^2 = |r|^2 + |q - c|^2 - 2 <r, p> ~ |q - c|^2 + |r|^2 - b <s, P(q - c)>.
///
/// So that one table serves a query in all runs, <s, P(q - c)> is taken as <s, P(q - o)> -
/// <s, P(c - o)> with an origin o that runs share, and the latter goes into the factor
/// a = |r|^2 + b <s, P(c - o)>. Any o will do; the nearer the data, the finer the table.
#[derive(Clone, Debug)]
pub struct Bit1 {
    origin: Vec<f32>,
    residual: Vec<f32>,
}

/// The coded rows of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Bit1Codes {
    /// [`bit1_tile_len`] bytes for every 16 rows, in the layout described there.
    pub tiles: Lines,
    /// Number of rows.
    pub rows: usize,
    /// The unit of the rows' factors.
    pub scales: Bit1Scales,
}

/// What all rows of a run have in common.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bit1Scales {
    /// The unit of factors a; finite, not negative.
    pub a: f32,
    /// The unit of factors b; finite, not negative.
    pub b: f32,
    /// The largest sqrt(dim) sin t / sqrt(max(dim - 1, 1)) of the run's rows: what eps is multiplied by
    /// for |q - c| = 1 in the error of <s, p>.
    pub error: f32,
}

/// The coded rows of a run as a search sees them. Borrowed, so that it can point into file pages.
#[derive(Clone, Copy, Debug)]
pub struct Bit1Block<'a> {
    /// [`Bit1Codes::tiles`]; scans are fastest where these bytes are aligned to 64.
    pub tiles: &'a [u8],
    /// [`Bit1Codes::rows`].
    pub rows: usize,
    /// [`Bit1Codes::scales`].
    pub scales: Bit1Scales,
}

impl Bit1 {
    /// A quantizer whose runs share `origin`, for instance the mean of a collection.
    ///
    /// # Panics
    /// When `origin` has no or more than 2,048 values.
    pub fn new(origin: &[f32]) -> Self {
        assert!((1..=drift_kernels::MAX_ROTATED_DIM).contains(&origin.len()), "no 1-bit codes of this dimension");
        Self { origin: origin.to_vec(), residual: Vec::new() }
    }

    /// Codes a run of row-major `rows` around `centre`: best their mean, but any vector will do.
    ///
    /// A row whose factors are beyond 1e37 is coded as unknown: its lower bound is -inf. So it is never
    /// lost, and costs an exact comparison.
    ///
    /// # Panics
    /// When `centre` has not the dimension of the origin, or that does not divide `rows.len()`.
    pub fn encode(&mut self, rows: &[f32], centre: &[f32]) -> Bit1Codes {
        let dim = self.origin.len();
        assert_eq!(centre.len(), dim, "centre of another dimension");
        assert!(rows.len().is_multiple_of(dim), "{} values are no rows of {dim}", rows.len());
        let n = rows.len() / dim;
        let tile_len = bit1_tile_len(dim);
        let mut tiles = Lines::zeroed(n.div_ceil(BIT1_ROWS) * tile_len / 64);
        let centre_rotated = self.rotated_difference(centre, None).to_vec();
        let mut factors = Vec::with_capacity(n);
        for (i, row) in rows.chunks_exact(dim).enumerate() {
            let rotated = self.rotated_difference(row, Some(centre));
            factors.push(Factors::of(row, centre, rotated, &centre_rotated));
            bit1_put_signs(tile_of(&mut tiles, i, tile_len), i % BIT1_ROWS, rotated);
        }
        let Rounded { halves, scales } = Rounded::from(&factors[..]);
        for (i, (a, b)) in halves.into_iter().enumerate() {
            bit1_put_factors(tile_of(&mut tiles, i, tile_len), i % BIT1_ROWS, a.to_bits(), b.to_bits());
        }
        Bit1Codes { tiles, rows: n, scales }
    }

    /// P(x - from), from the origin if not said.
    fn rotated_difference(&mut self, x: &[f32], from: Option<&[f32]>) -> &[f32] {
        let from = from.unwrap_or(&self.origin);
        self.residual.clear();
        self.residual.extend(x.iter().zip(from).map(|(x, from)| x - from));
        rotate(&mut self.residual);
        &self.residual
    }
}

impl Bit1Codes {
    /// The block a search scans.
    pub fn block(&self) -> Bit1Block<'_> {
        Bit1Block { tiles: self.tiles.as_bytes(), rows: self.rows, scales: self.scales }
    }
}

fn tile_of(tiles: &mut Lines, row: usize, tile_len: usize) -> &mut [u8] {
    &mut tiles.as_bytes_mut()[row / BIT1_ROWS * tile_len..][..tile_len]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_beyond_the_last_are_zero() {
        let mut rng = fastrand::Rng::with_seed(1);
        let (dim, n) = (40, 19);
        let rows: Vec<f32> = (0..n * dim).map(|_| rng.f32()).collect();
        let codes = Bit1::new(&vec![0.5; dim]).encode(&rows, &vec![0.4; dim]);
        assert_eq!((codes.rows, codes.tiles.as_bytes().len()), (n, 2 * bit1_tile_len(dim)));
        let last = &codes.tiles.as_bytes()[bit1_tile_len(dim)..];
        let (codes, factors) = last.split_at(last.len() - 64);
        assert!(codes.chunks(64).all(|line| line[4 * 3..].iter().all(|&byte| byte == 0)));
        assert!(factors[6..32].iter().chain(&factors[38..]).all(|&byte| byte == 0));
    }

    #[test]
    fn no_rows_make_no_codes() {
        let codes = Bit1::new(&[1.0; 5]).encode(&[], &[1.0; 5]);
        assert_eq!((codes.tiles, codes.rows, codes.scales), (Lines::default(), 0, Bit1Scales::default()));
    }
}
