use crate::{arch::kernels, fours::in_fours};

/// Codes are padded to whole 64-byte lines: one AVX-512 register.
const LINE: usize = 64;

/// The code of a value that equals the centre.
const ZERO: i32 = 128;

/// The largest value of a rounded query: 127 * 128, so that its high plane fits an i8.
const QUERY_MAX: f32 = 16256.0;

/// The most dimensions an [`Sq8Query`] takes: 255 * 127 * 65,536 still fits the i32 sums of VNNI.
pub const MAX_DIM: usize = 65_536;

/// Bytes of one row of SQ8 codes: `dim` rounded up to 64, the rest zero.
pub fn sq8_stride(dim: usize) -> usize {
    dim.next_multiple_of(LINE)
}

/// Codes one row: u = clamp(round((x - centre) / step) + 128, 0, 255), ties to even. Writes the
/// first `row.len()` bytes of `out` and leaves the padding alone.
///
/// # Panics
/// When `centre` has another length than `row`, or `out` is shorter.
pub fn sq8_encode(row: &[f32], centre: &[f32], step: f32, out: &mut [u8]) {
    assert_eq!(row.len(), centre.len(), "row and centre of different length");
    for ((&x, &c), u) in row.iter().zip(centre).zip(&mut out[..row.len()]) {
        *u = round_small(((x - c) / step + ZERO as f32).clamp(0.0, 255.0)) as u8;
    }
}

/// The reconstruction of one row: centre + step * (u - 128).
///
/// # Panics
/// When `centre` has another length than `out`, or `codes` is shorter.
pub fn sq8_decode(codes: &[u8], centre: &[f32], step: f32, out: &mut [f32]) {
    assert_eq!(out.len(), centre.len(), "row and centre of different length");
    for ((&u, &c), x) in codes[..out.len()].iter().zip(centre).zip(out) {
        *x = c + step * (i32::from(u) - ZERO) as f32;
    }
}

/// |u - 128|^2 of one row of codes without its padding; times step^2 it is the squared distance of
/// the reconstruction from the centre.
pub fn sq8_norm_sq(codes: &[u8]) -> i64 {
    let square = |&u: &u8| (i32::from(u) - ZERO).pow(2);
    codes.chunks(LINE).map(|line| i64::from(line.iter().map(square).sum::<i32>())).sum()
}

/// <u - 128, q> of each row of SQ8 codes against the rounded query: exact integers until the last
/// conversion, hence the same on every instruction set. `codes` is `out.len()` rows of
/// [`sq8_stride`] bytes.
///
/// # Panics
/// When `codes` does not hold `out.len()` rows of the query's stride.
pub fn sq8_centred_dot_rows(query: &Sq8Query, codes: &[u8], out: &mut [f32]) {
    let kernels = kernels();
    in_fours(codes, query.stride(), out, |four| kernels.sq8_dot_run(query, four));
}

/// [`sq8_centred_dot_rows`] of some rows: of row `rows[i]` in `out[i]`.
///
/// # Panics
/// When `codes` has no such row, or `out` has not one place for each.
pub fn sq8_centred_dot_at(query: &Sq8Query, codes: &[u8], rows: &[u32], out: &mut [f32]) {
    assert_eq!(rows.len(), out.len(), "one result per row");
    let (kernels, stride) = (kernels(), query.stride());
    let row = |i: u32| &codes[i as usize * stride..][..stride];
    for (rows, out) in rows.chunks(4).zip(out.chunks_mut(4)) {
        // Where fewer than four are left the last is repeated.
        let four = std::array::from_fn(|j| row(rows[j.min(rows.len() - 1)]));
        out.copy_from_slice(&kernels.sq8_dot_four(query, four)[..rows.len()]);
    }
}

/// A query, or its residual to a centre, as 14-bit integers: q ~ scale * v, |v| <= 16256. Refilled
/// without allocation. Also kept as two i8 planes, v = 128 * high + low, for VNNI.
#[derive(Clone, Debug, PartialEq)]
pub struct Sq8Query {
    dim: usize,
    values: Vec<i16>,
    high: Vec<i8>,
    low: Vec<i8>,
    /// 128 * sum of v: what <u, v> has too much.
    bias: i64,
    scale: f32,
    norm_sq: f32,
    error: f32,
}

impl Sq8Query {
    /// The zero query of `dim` dimensions.
    ///
    /// # Panics
    /// When `dim` exceeds [`MAX_DIM`].
    pub fn new(dim: usize) -> Self {
        assert!(dim <= MAX_DIM, "{dim} dimensions, at most {MAX_DIM} are supported");
        let stride = sq8_stride(dim);
        Self {
            dim,
            values: vec![0; stride],
            high: vec![0; stride],
            low: vec![0; stride],
            bias: 0,
            scale: 0.0,
            norm_sq: 0.0,
            error: 0.0,
        }
    }

    /// Takes the query `q`.
    ///
    /// # Panics
    /// When `q` has not the dimension of `new`.
    pub fn set(&mut self, q: &[f32]) {
        assert_eq!(q.len(), self.dim, "query of another dimension");
        self.fill(q.iter().copied()); // once a search: the portable way will do
    }

    /// Takes the residual `q - centre`.
    ///
    /// # Panics
    /// When `q` or `centre` has not the dimension of `new`.
    pub fn set_residual(&mut self, q: &[f32], centre: &[f32]) {
        assert_eq!(q.len(), self.dim, "query of another dimension");
        assert_eq!(centre.len(), self.dim, "centre of another dimension");
        kernels().sq8_set_residual(self, q, centre);
    }

    /// Squared length of the rounded values.
    pub fn norm_sq(&self) -> f32 {
        self.norm_sq
    }

    /// An upper bound on the distance between the values set (for a residual: the real difference)
    /// and the rounded ones; infinite when a value is not finite.
    pub fn error(&self) -> f32 {
        self.error
    }

    pub(crate) fn stride(&self) -> usize {
        self.values.len()
    }

    pub(crate) fn values(&self) -> &[i16] {
        &self.values
    }

    pub(crate) fn planes(&self) -> (&[i8], &[i8]) {
        (&self.high, &self.low)
    }

    /// <u - 128, q> from the integer <u, v>.
    #[inline]
    pub(crate) fn finish(&self, dot: i64) -> f32 {
        (dot - self.bias) as f32 * self.scale
    }

    /// `set_residual`, inlined into each instruction set for the compiler to vectorise.
    #[inline(always)]
    pub(crate) fn fill_residual(&mut self, q: &[f32], centre: &[f32]) {
        self.fill(q.iter().zip(centre).map(|(q, c)| q - c));
    }

    #[inline(always)]
    fn fill(&mut self, q: impl Iterator<Item = f32> + Clone) {
        /// Below, 16256 / max overflows: such values are rounded to zero.
        const SMALLEST: f32 = 1e-30;
        /// Half a unit, and what f32 loses in subtracting, dividing and multiplying back.
        const ROUNDING: f32 = 0.51;

        // The bits of non-negative floats order as integers do, NaN last; and an integer maximum,
        // unlike a float one, may be taken in lanes.
        let max = q.clone().map(|x| x.abs().to_bits() as i32).max().unwrap_or(0);
        let max = f32::from_bits(max as u32);
        let root_dim = (self.dim as f32).sqrt();
        if (SMALLEST..=f32::MAX).contains(&max) {
            let to_int = QUERY_MAX / max;
            self.scale = max / QUERY_MAX;
            self.error = ROUNDING * self.scale * root_dim;
            self.round(q.map(|x| x * to_int));
        } else {
            self.scale = 0.0;
            self.error = if max < SMALLEST { max * root_dim } else { f32::INFINITY };
            self.round(q.map(|_| 0.0));
        }
        self.sum_up();
    }

    #[inline(always)]
    fn round(&mut self, q: impl Iterator<Item = f32>) {
        for (x, v) in q.zip(&mut self.values) {
            *v = round_small(x) as i16;
        }
        for ((&v, high), low) in self.values.iter().zip(&mut self.high).zip(&mut self.low) {
            *high = ((v + 64) >> 7) as i8;
            *low = (v - (((v + 64) >> 7) << 7)) as i8;
        }
    }

    #[inline(always)]
    fn sum_up(&mut self) {
        let sum: i32 = self.values.iter().map(|&v| i32::from(v)).sum();
        self.bias = i64::from(ZERO) * i64::from(sum);
        let square = |&v: &i16| i64::from(i32::from(v) * i32::from(v));
        let squares: i64 = self.values.iter().map(square).sum();
        let norm = (squares as f64).sqrt() * f64::from(self.scale);
        self.norm_sq = (norm * norm) as f32;
    }
}

/// Rounds |x| < 2^22 to the nearest integer, ties to even. Adding 1.5 * 2^23 leaves the integer in
/// the low mantissa bits: the same on every machine, and unlike `f32::round` never a library call.
#[inline(always)]
pub(crate) fn round_small(x: f32) -> i32 {
    const MAGIC: f32 = 12_582_912.0;
    (x + MAGIC).to_bits() as i32 - MAGIC.to_bits() as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_follow_the_formula_and_round_trip() {
        let mut rng = fastrand::Rng::with_seed(3);
        for scale in [1e-20, 1.0, 1e18] {
            let row: Vec<f32> = (0..300).map(|_| (rng.f32() - 0.5) * scale).collect();
            let centre: Vec<f32> = (0..300).map(|_| (rng.f32() - 0.5) * scale).collect();
            let step = scale / 200.0; // so that some values clamp
            let (mut codes, mut back) = (vec![0; 300], vec![0.0; 300]);
            sq8_encode(&row, &centre, step, &mut codes);
            sq8_decode(&codes, &centre, step, &mut back);
            for d in 0..300 {
                let exact = ((row[d] - centre[d]) / step).round_ties_even() + 128.0;
                assert!((f32::from(codes[d]) - exact.clamp(0.0, 255.0)).abs() <= 1.0);
                let clamped = !(0.0..=255.0).contains(&exact);
                assert!(clamped || (back[d] - row[d]).abs() <= 0.501 * step);
            }
        }
    }

    #[test]
    fn the_rounded_query_is_within_its_error() {
        let mut rng = fastrand::Rng::with_seed(4);
        for scale in [0.0, 1e-38, 1e-29, 1.0, 1e18, 1e38] {
            for dim in [1, 5, 64, 130] {
                let q: Vec<f32> = (0..dim).map(|_| (rng.f32() - 0.5) * scale).collect();
                let c: Vec<f32> = (0..dim).map(|_| (rng.f32() - 0.5) * scale).collect();
                let mut query = Sq8Query::new(dim);
                query.set_residual(&q, &c);
                let exact = q.iter().zip(&c).map(|(&q, &c)| f64::from(q) - f64::from(c));
                let rounded = query.values.iter().map(|&v| f64::from(v) * f64::from(query.scale));
                let error = exact.zip(rounded).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
                assert!(error <= f64::from(query.error()), "{error} > {} at {scale}", query.error);
                for d in 0..query.stride() {
                    let planes = 128 * i32::from(query.high[d]) + i32::from(query.low[d]);
                    assert_eq!(planes, i32::from(query.values[d]));
                }
            }
        }
    }

    #[test]
    fn a_query_that_overflows_has_no_error_bound() {
        let mut query = Sq8Query::new(2);
        query.set_residual(&[f32::MAX, 0.0], &[f32::MIN, 0.0]);
        assert_eq!(query.error(), f32::INFINITY);
        query.set(&[1.0, 0.5]);
        assert!(query.error() < 1e-4 && (query.norm_sq() - 1.25).abs() < 1e-3);
    }
}
