//! Random numbers of distributions that generated sets are made of.

use rand::Rng;

/// Standard normal, by Box and Muller.
pub fn normal(rng: &mut impl Rng) -> f32 {
    let (u, v) = (1.0 - rng.random::<f32>(), rng.random::<f32>());
    (-2.0 * u.ln()).sqrt() * (std::f32::consts::TAU * v).cos()
}

/// Exponential with mean 1.
pub fn exponential(rng: &mut impl Rng) -> f32 {
    -(1.0 - rng.random::<f32>()).ln()
}
