//! The two factors of a row of 1-bit codes, in f64 and as half-precision numbers.

use half::f16;

use crate::Bit1Scales;

/// What the largest factor of a run is rounded to: far from the 65,504 that f16 ends at, and a power
/// of two, so that scaling rounds nothing.
const LARGEST: f64 = 32768.0;

/// Larger numbers leave f32 no room to add them up.
const KNOWN: f64 = 1e37;

/// Additions that do not wait for each other.
const LANES: usize = 8;

/// What codes and factors follow from, of one row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Factors {
    /// |r|^2.
    norm_sq: f64,
    /// 2 |r|^2 / <s, r>; zero for a zero residual.
    b: f64,
    /// <s, P(c - o)>.
    centre: f64,
    /// sqrt(dim) sin t / sqrt(max(dim - 1, 1)).
    error: f64,
}

/// The factors of a run as its tiles hold them.
pub(crate) struct Rounded {
    /// (a, b) of each row.
    pub halves: Vec<(f16, f16)>,
    pub scales: Bit1Scales,
}

impl Factors {
    /// Of the row `x`, r = `rotated` being P(x - centre) and `centre_rotated` P(centre - origin).
    pub fn of(x: &[f32], centre: &[f32], rotated: &[f32], centre_rotated: &[f32]) -> Self {
        let norm_sq = sum(x, centre, |x, c| (x - c) * (x - c));
        // <s, r>: each sign is that of its value.
        let along = sum(rotated, rotated, |r, _| r.abs());
        let centre = sum(rotated, centre_rotated, |r, c| if r >= 0.0 { c } else { -c });
        if along == 0.0 {
            return Self { norm_sq, b: 0.0, centre, error: 0.0 };
        }
        if !along.is_finite() {
            return Self { norm_sq: f64::INFINITY, b: 0.0, centre, error: 0.0 };
        }
        let dim = x.len() as f64;
        let sin_sq = (1.0 - along * along / (dim * norm_sq)).clamp(0.0, 1.0);
        Self { norm_sq, b: 2.0 * norm_sq / along, centre, error: (dim * sin_sq / (dim - 1.0).max(1.0)).sqrt() }
    }

    /// Whether f32 can hold them all. NaN is not known.
    fn is_known(&self) -> bool {
        self.norm_sq <= KNOWN && self.b <= KNOWN && (self.b * self.centre).abs() <= KNOWN && self.error <= KNOWN
    }

    /// The factor a for a factor b, rounded or not. Taken with the rounded one, what rounding b changes
    /// is in proportion to <s, P(q - c)>, not to the larger parts which that is the difference of.
    fn a(&self, b: f64) -> f64 {
        self.norm_sq + b * self.centre
    }
}

impl From<&[Factors]> for Rounded {
    /// Rounds a to the number below, b to the nearest; a row that is not known has a = -inf, b = 0.
    fn from(rows: &[Factors]) -> Self {
        let known = || rows.iter().filter(|row| row.is_known());
        let error = known().map(|row| row.error).fold(0.0, f64::max);
        let scale_b = scale(known().map(|row| row.b));
        let nearest = |row: &Factors| f16::from_f64(row.b / f64::from(scale_b));
        let a = |row: &Factors| row.a(f64::from(nearest(row)) * f64::from(scale_b));
        let scale_a = scale(known().map(|row| a(row).abs()));
        let halves = rows.iter().map(|row| {
            let unknown = (f16::NEG_INFINITY, f16::ZERO);
            if row.is_known() { (below(a(row) / f64::from(scale_a)), nearest(row)) } else { unknown }
        });
        let halves = halves.collect();
        let used = |scale: f32| if rows.is_empty() { 0.0 } else { scale };
        let scales = Bit1Scales { a: used(scale_a), b: used(scale_b), error: (error * (1.0 + 1e-6)) as f32 };
        Self { halves, scales }
    }
}

/// The sum of a term for each pair of values: in lanes, so that no addition waits for the one before, and
/// in the same order on every machine.
fn sum(left: &[f32], right: &[f32], term: impl Fn(f64, f64) -> f64) -> f64 {
    let mut lanes = [0.0; LANES];
    let ((left, left_rest), (right, right_rest)) = (left.as_chunks::<LANES>(), right.as_chunks::<LANES>());
    for (left, right) in left.iter().zip(right) {
        for (lane, (&left, &right)) in lanes.iter_mut().zip(left.iter().zip(right)) {
            *lane += term(left.into(), right.into());
        }
    }
    for (lane, (&left, &right)) in lanes.iter_mut().zip(left_rest.iter().zip(right_rest)) {
        *lane += term(left.into(), right.into());
    }
    lanes.iter().sum()
}

/// The unit in which the largest of `values` is about [`LARGEST`]; positive also if that is zero.
fn scale(values: impl Iterator<Item = f64>) -> f32 {
    ((values.fold(0.0, f64::max) / LARGEST) as f32).max(f32::MIN_POSITIVE)
}

/// The largest f16 that is not above `x`.
fn below(x: f64) -> f16 {
    let nearest = f16::from_f64(x);
    if f64::from(nearest) <= x { nearest } else { next_below(nearest) }
}

fn next_below(x: f16) -> f16 {
    match x.to_bits() {
        0 | 0x8000 => f16::from_bits(0x8001),
        bits if bits >> 15 == 0 => f16::from_bits(bits - 1),
        bits => f16::from_bits(bits + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_below_are_the_nearest_below() {
        for x in [0.0, 1.0, -1.0, 1.0001, -1.0001, 1e-9, -1e-9, 32768.0, -32767.9, 3e-5, 6e-8] {
            let half = below(x);
            assert!(f64::from(half) <= x, "{half} above {x}");
            let above = -f64::from(next_below(-half));
            assert!(above > x, "{above} is nearer to {x} than {half}");
        }
    }

    #[test]
    fn factors_of_every_magnitude_come_back() {
        for scale in [1e-30, 1e-10, 1.0, 1e10, 1e18] {
            let row = |norm: f64, centre: f64| {
                let b = 2.0 * norm / 8.0;
                Factors { norm_sq: norm * norm, b, centre, error: 0.6 }
            };
            let rows = [row(scale, 3.0 * scale), row(0.01 * scale, -scale), row(0.0, scale)];
            let Rounded { halves, scales } = Rounded::from(&rows[..]);
            for (row, (a, b)) in rows.iter().zip(halves) {
                let (a, b) = (f64::from(a) * f64::from(scales.a), f64::from(b) * f64::from(scales.b));
                assert!((b - row.b).abs() <= 2f64.powi(-11) * row.b, "{b} for {}", row.b);
                let slack = 2f64.powi(-10) * row.a(b).abs() + 1e-37;
                assert!((row.a(b) - slack..=row.a(b)).contains(&a), "{a} for {}", row.a(b));
            }
        }
    }

    #[test]
    fn what_f32_cannot_hold_is_unknown_and_spoils_no_other_row() {
        let good = Factors { norm_sq: 4.0, b: 0.5, centre: 1.0, error: 0.6 };
        let bad = [f64::NAN, f64::INFINITY, 2e38];
        for bad in bad.into_iter().flat_map(|x| [Factors { norm_sq: x, ..good }, Factors { b: x, ..good }]) {
            let Rounded { halves, scales } = Rounded::from(&[good, bad][..]);
            assert_eq!(halves[1], (f16::NEG_INFINITY, f16::ZERO));
            let alone = Rounded::from(&[good][..]);
            assert_eq!((halves[0], scales), (alone.halves[0], alone.scales));
        }
    }
}
