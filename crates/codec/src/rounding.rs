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

/// The largest of squared norms, in an order-free way the compiler can vectorise: the bits of
/// non-negative floats order as integers do, NaN last.
pub(crate) fn largest(norms_sq: &[f32]) -> f32 {
    f32::from_bits(norms_sq.iter().map(|x| x.to_bits() as i32).max().unwrap_or(0) as u32)
}

/// Bounds on |x - q|^2, real or as f32 kernels compute it, from an estimate of |y - p|^2 that is off by
/// `slack` at most, where y and p are together at most `moved` away from x and q: by the triangle
/// inequality. `rounding` is what [`summation`] says.
pub(crate) fn l2_bounds(estimate: f32, slack: f32, moved: f32, rounding: f32) -> (f32, f32) {
    let half = moved * (1.0 + 4.0 * ULP);
    let nearest = (estimate - slack).max(0.0).sqrt() * (1.0 - 4.0 * ULP) - half;
    let farthest = (estimate + slack).max(0.0).sqrt() * (1.0 + 4.0 * ULP) + half;
    let nearest = nearest.max(0.0);
    (nearest * nearest * (1.0 - rounding) - UNDERFLOW, farthest * farthest * (1.0 + rounding) + UNDERFLOW)
}
