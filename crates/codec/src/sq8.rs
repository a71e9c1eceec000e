use drift_kernels::{sq8_encode, sq8_norm_sq, sq8_stride};

/// The 8-bit scalar quantizer of one run: u = round((x - centre) / step) + 128, one step for all
/// dimensions, so that a search needs integer products alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Sq8 {
    /// What code 128 stands for; `dim` values.
    pub centre: Vec<f32>,
    /// Width of one code; positive.
    pub step: f32,
}

/// Coded rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Sq8Codes {
    /// Row-major, [`sq8_stride`] bytes a row.
    pub codes: Vec<u8>,
    /// |x^ - centre|^2 of each row, x^ being its reconstruction.
    pub norms_sq: Vec<f32>,
    /// At least the largest |x - x^| of the rows; infinite when f32 could not hold it.
    pub error: f32,
}

/// A block of coded rows as a search sees it. Borrowed, so that it can point into file pages.
#[derive(Clone, Copy, Debug)]
pub struct Sq8Block<'a> {
    /// [`Sq8::centre`].
    pub centre: &'a [f32],
    /// [`Sq8::step`].
    pub step: f32,
    /// [`Sq8Codes::error`].
    pub error: f32,
    /// [`Sq8Codes::codes`].
    pub codes: &'a [u8],
    /// [`Sq8Codes::norms_sq`].
    pub norms_sq: &'a [f32],
}

impl Sq8 {
    /// Fits row-major `rows` of `dim` values: the centre is their mean, the step a 127th of the
    /// largest deviation, so that none of them is clamped.
    ///
    /// # Panics
    /// When `dim` is zero or does not divide `rows.len()`.
    pub fn train(rows: &[f32], dim: usize) -> Self {
        Self::around(&mean(rows, dim), rows)
    }

    /// As [`Sq8::train`], with another centre.
    ///
    /// # Panics
    /// When the length of the centre is zero or does not divide `rows.len()`.
    pub fn around(centre: &[f32], rows: &[f32]) -> Self {
        assert!(rows.len().is_multiple_of(centre.len()), "{} values are no rows of {}", rows.len(), centre.len());
        let deviation = |row: &[f32]| row.iter().zip(centre).fold(0.0, |max: f32, (x, c)| max.max((x - c).abs()));
        let largest = rows.chunks_exact(centre.len()).map(deviation).fold(0.0, f32::max);
        // Rows that are all equal to it still need a step to divide by.
        Self { step: (largest / 127.0).max(f32::MIN_POSITIVE), centre: centre.to_vec() }
    }

    /// Codes row-major `rows`.
    ///
    /// # Panics
    /// When the length of the centre does not divide `rows.len()`.
    pub fn encode(&self, rows: &[f32]) -> Sq8Codes {
        let dim = self.centre.len();
        let stride = sq8_stride(dim);
        assert!(rows.len().is_multiple_of(dim), "{} values are no rows of {dim}", rows.len());
        let mut codes = vec![0; rows.len() / dim * stride];
        let mut norms_sq = Vec::with_capacity(rows.len() / dim);
        let mut error_sq: f64 = 0.0;
        for (row, codes) in rows.chunks_exact(dim).zip(codes.chunks_exact_mut(stride)) {
            let codes = &mut codes[..dim];
            sq8_encode(row, &self.centre, self.step, codes);
            let step_sq = f64::from(self.step) * f64::from(self.step);
            norms_sq.push((sq8_norm_sq(codes) as f64 * step_sq) as f32);
            // Not f64::max, which would lose a NaN.
            let this = self.error_sq(row, codes);
            error_sq = if this <= error_sq { error_sq } else { this };
        }
        Sq8Codes { codes, norms_sq, error: round_up(error_sq.sqrt()) }
    }

    /// |x - x^|^2 of one row. In f64, where centre + step * (u - 128) loses next to nothing.
    fn error_sq(&self, row: &[f32], codes: &[u8]) -> f64 {
        let step = f64::from(self.step);
        let values = row.iter().zip(&self.centre).zip(codes);
        values
            .map(|((&x, &c), &u)| f64::from(x) - f64::from(c) - step * (f64::from(u) - 128.0))
            .map(|difference| difference * difference)
            .sum()
    }
}

impl Sq8Codes {
    /// The block a search scans, with the quantizer that made these codes.
    pub fn block<'a>(&'a self, sq8: &'a Sq8) -> Sq8Block<'a> {
        Sq8Block {
            centre: &sq8.centre,
            step: sq8.step,
            error: self.error,
            codes: &self.codes,
            norms_sq: &self.norms_sq,
        }
    }
}

/// The mean of row-major `rows`; zeros when there are none. Summed in f64, so that neither large
/// values nor many rows spoil it, and equal rows have exactly their own value as the mean.
fn mean(rows: &[f32], dim: usize) -> Vec<f32> {
    assert!(dim > 0 && rows.len().is_multiple_of(dim), "{} values are no rows of {dim}", rows.len());
    let mut sums = vec![0.0f64; dim];
    for row in rows.chunks_exact(dim) {
        for (sum, &x) in sums.iter_mut().zip(row) {
            *sum += f64::from(x);
        }
    }
    let n = (rows.len() / dim).max(1) as f64;
    sums.into_iter().map(|sum| (sum / n) as f32).collect()
}

/// The f32 next above what f64 arithmetic may have lost; infinite for NaN.
fn round_up(x: f64) -> f32 {
    let above = (x * (1.0 + 1e-6)) as f32;
    if above.is_nan() { f32::INFINITY } else { above }
}

#[cfg(test)]
mod tests {
    use super::*;
    use drift_kernels::sq8_decode;

    #[test]
    fn nothing_is_clamped_and_every_row_lies_within_the_error() {
        let mut rng = fastrand::Rng::with_seed(1);
        for (dim, n, scale, offset) in [(3, 1, 1.0, 0.0), (70, 50, 1e-3, 1e3), (64, 9, 1e18, 0.0)] {
            let rows: Vec<f32> = (0..n * dim).map(|_| offset + scale * (rng.f32() - 0.5)).collect();
            let sq8 = Sq8::train(&rows, dim);
            let coded = sq8.encode(&rows);
            assert_eq!((coded.codes.len(), coded.norms_sq.len()), (n * sq8_stride(dim), n));
            let half_cell = 0.5 * sq8.step * (dim as f32).sqrt();
            assert!(coded.error <= half_cell * 1.01, "{} > {half_cell}", coded.error);
            let mut back = vec![0.0; dim];
            for (i, row) in rows.chunks(dim).enumerate() {
                let codes = &coded.codes[i * sq8_stride(dim)..][..sq8_stride(dim)];
                assert!(codes[dim..].iter().all(|&u| u == 0), "padding is zero");
                sq8_decode(codes, &sq8.centre, sq8.step, &mut back);
                let rounding = 1e-6 * (offset.abs() + scale) * (dim as f32).sqrt();
                assert!(drift_kernels::l2_sq(row, &back).sqrt() <= coded.error + rounding);
                let norm_sq = drift_kernels::l2_sq(&back, &sq8.centre);
                let slack = 1e-3 * norm_sq + rounding * rounding;
                assert!((norm_sq - coded.norms_sq[i]).abs() <= slack.max(rounding * norm_sq.sqrt()));
            }
        }
    }

    #[test]
    fn equal_rows_have_a_step_and_no_error() {
        for value in [0.0, 3.7, -1e18] {
            let sq8 = Sq8::train(&[value; 12], 4);
            let coded = sq8.encode(&[value; 12]);
            assert!(sq8.step > 0.0 && coded.error == 0.0 && coded.norms_sq == [0.0; 3]);
        }
    }

    #[test]
    fn no_rows_make_no_codes() {
        let coded = Sq8::train(&[], 5).encode(&[]);
        assert!(coded.codes.is_empty() && coded.error == 0.0);
    }

    #[test]
    fn deviations_beyond_f32_give_an_infinite_error() {
        let rows = [f32::MAX, f32::MIN, f32::MAX, f32::MAX];
        assert_eq!(Sq8::train(&rows, 1).encode(&rows).error, f32::INFINITY);
    }
}
