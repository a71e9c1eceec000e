//! Buckets and queries.

use drift_ivf::{BUCKET_ROWS, BucketHeader, Router};
use drift_types::Metric;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Dimensions in which most of the data varies, as embeddings do.
const INTRINSIC: usize = 16;
/// What it varies by in each of the others.
const NOISE: f32 = 0.2;
const QUERIES: usize = 400;

/// Centroids around the origin, and queries like them.
pub struct Set {
    pub dim: usize,
    pub origin: Vec<f32>,
    pub router: Router,
    pub counts: Vec<u32>,
    pub queries: Vec<Vec<f32>>,
    headers: Vec<BucketHeader>,
}

impl Set {
    pub fn new(buckets: usize, dim: usize) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let basis: Vec<Vec<f32>> = (0..INTRINSIC).map(|_| noise(dim, &mut rng)).collect();
        let mut vector = || {
            let mut vector = noise(dim, &mut rng);
            vector.iter_mut().for_each(|x| *x *= NOISE);
            for direction in &basis {
                let along = rng.random_range(-1.0..1.0);
                vector.iter_mut().zip(direction).for_each(|(x, d)| *x += along * d);
            }
            vector
        };
        let headers: Vec<_> = (0..buckets).map(|_| BucketHeader::from_rows(dim, [&vector()[..]])).collect();
        let queries = (0..QUERIES).map(|_| vector()).collect();
        let origin = vec![0.0; dim];
        let router = Router::new(dim, &headers, Metric::L2, Some(&origin));
        Self { dim, origin, router, counts: vec![BUCKET_ROWS as u32; buckets], queries, headers }
    }

    /// The router made anew.
    pub fn router(&self) -> Router {
        Router::new(self.dim, &self.headers, Metric::L2, Some(&self.origin))
    }
}

fn noise(dim: usize, rng: &mut ChaCha8Rng) -> Vec<f32> {
    (0..dim).map(|_| rng.random_range(-1.0..1.0)).collect()
}
