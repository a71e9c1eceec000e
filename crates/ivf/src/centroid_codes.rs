use drift_codec::{Bit1, Bit1Codes, Bit1Scanner};
use drift_types::{Metric, Vectors};

use crate::Centroids;

/// Standard deviations that a bucket's estimated distance is lowered by: how sure the order of a
/// ranking is. On 42,759 commit messages (384-d, 342 buckets), of the first 42 buckets .15 come later
/// than by exact distances, and searches for 10 asked for .95 reach .9470 in place of .9474. With 1.0
/// it is .48 and .9456, with .5 it is 1.16 and .9452, and handing out 42 is faster by less than a tenth.
const EPS: f32 = 1.5;

/// 1-bit codes of all centroids, to find the nearest of many without computing each distance.
#[derive(Clone, Debug)]
pub(crate) struct CentroidCodes {
    origin: Vec<f32>,
    codes: Bit1Codes,
    /// Inner product: |c|^2 and the lift of each centroid; empty otherwise.
    offsets: Vec<f32>,
}

impl CentroidCodes {
    /// Codes around `origin`, or around the mean of the centroids.
    ///
    /// # Panics
    /// When the origin has another dimension than the centroids, or that is beyond what is coded.
    pub fn new(centroids: &Centroids, metric: Metric, lift: &[f32], origin: Option<&[f32]>) -> Self {
        let vectors = centroids.vectors();
        let origin = origin.map_or_else(|| mean(vectors), <[f32]>::to_vec);
        assert_eq!(origin.len(), centroids.dim(), "origin of another dimension");
        let codes = Bit1::new(&origin).encode(vectors.data(), &origin);
        let offset = |(norm_sq, lift): (&f32, &f32)| {
            let offset = norm_sq + lift;
            // Its bucket is then looked at exactly, before any other.
            if offset.is_finite() { offset } else { f32::NEG_INFINITY }
        };
        let augmented = metric == Metric::InnerProduct;
        let offsets = if augmented { centroids.norms_sq().iter().zip(lift).map(offset).collect() } else { Vec::new() };
        Self { origin, codes, offsets }
    }

    /// For each centroid what |q - c|^2 + lift is hardly below, q being the query of the scanner:
    /// with |q - c|^2 = |q|^2 + |c|^2 - 2 <q, c> for the inner product. -inf where f32 overflows.
    pub fn distances_above(&self, scanner: &mut Bit1Scanner, query_norm_sq: f32) -> Vec<f32> {
        let mut lowers = vec![0.0; self.codes.rows];
        scanner.set_origin(&self.origin);
        let centre = scanner.centre_score(&self.origin);
        scanner.lower_bounds(&self.codes.block(), centre, EPS, &mut lowers);
        for (lower, offset) in lowers.iter_mut().zip(&self.offsets) {
            *lower = (2.0 * *lower + offset) + query_norm_sq;
        }
        lowers
    }
}

fn mean(vectors: Vectors<'_>) -> Vec<f32> {
    let mut sum = vec![0f64; vectors.dim()];
    for row in vectors.iter() {
        sum.iter_mut().zip(row).for_each(|(sum, &x)| *sum += f64::from(x));
    }
    let count = vectors.len().max(1) as f64;
    sum.into_iter().map(|sum| (sum / count) as f32).collect()
}
