//! What f32 arithmetic may add or take away.

use drift_kernels::norm_sq;

/// Relative error of one f32 operation, 2^-24.
pub(crate) const ULP: f32 = f32::EPSILON / 2.0;

/// Absolute slack for products that underflow f32.
pub(crate) const UNDERFLOW: f32 = 1e-37;

/// Relative error of a sum of `dim` products in at least 4 partial sums, and then some.
pub(crate) fn summation(dim: usize) -> f32 {
    (dim as f32 / 4.0 + 16.0) * ULP
}

/// |x|, rounded up. In f64 where squares leave the comfortable range of f32.
pub(crate) fn norm_above(x: &[f32]) -> f32 {
    let quick = norm_sq(x);
    if (1e-20..1e38).contains(&quick) {
        quick.sqrt() * 1.001
    } else {
        (x.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt() * 1.001) as f32
    }
}
