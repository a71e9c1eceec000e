use drift_codec::Bit1Scanner;
use drift_kernels::MAX_ROTATED_DIM;
use drift_types::Metric;

use crate::{BucketHeader, Centroids, Ranking, centroid_codes::CentroidCodes, density::Density};

/// Fewer buckets are ranked by their exact distances, of whatever dimension.
const CODED_BUCKETS_MIN: usize = 96;
/// And so are those of fewer buckets times dimensions squared: what codes save grows with both, and the
/// exact distances that are needed beside become fewer with dimensions. Break-even was measured at 256
/// buckets of 128 dimensions, and at more than 512 of 64.
const CODED_SIZE_MIN: usize = 1 << 22;

/// Buckets whose typical row serves as a pseudo-query when the scale of the index is measured.
const PSEUDO_QUERIES: usize = 64;
/// The gap is taken between the nearest bucket and the one this many places behind it.
const GAP_PLACES: usize = 20;
/// Centroids compared with all pseudo-queries at a time.
const BLOCK: usize = 32;

/// Where rows go and where queries look: an immutable view of all buckets of an index.
///
/// # Inner product
/// It becomes a distance by one more dimension (Bachrach et al., RecSys 2014): with M^2 the largest
/// squared norm, the row (x, sqrt(M^2 - |x|^2)) and the query (q, 0) have the squared distance
/// M^2 + |q|^2 - 2 <q, x>. A bucket's centroid there is (c, a) with a^2 = M^2 - s^2 - |c|^2, all
/// known from its header, so rows are never rewritten when M grows. The one approximation is
/// that rows of a bucket are taken to have about one norm.
#[derive(Clone, Debug)]
pub struct Router {
    pub(crate) centroids: Centroids,
    pub(crate) metric: Metric,
    /// a^2 - M^2 per bucket, zero unless the metric is the inner product. Kept apart from M^2 so
    /// that one row of a huge norm does not drown the differences between buckets.
    pub(crate) lift: Vec<f32>,
    /// M^2, zero unless the metric is the inner product.
    pub(crate) max_norm_sq: f32,
    /// Typical D_21 - D_1: by how much distances to the buckets around a query differ.
    pub(crate) gap: f32,
    pub(crate) density: Density,
    /// None where all distances are computed.
    pub(crate) codes: Option<CentroidCodes>,
}

impl Router {
    /// A router over these buckets (of `dim` values), numbered in their order.
    ///
    /// Many centroids get 1-bit codes around `origin`, or around their mean: best the origin that the
    /// codes of their rows share, since one table of a query then serves both.
    ///
    /// # Panics
    /// When a centroid or the origin has not `dim` values.
    pub fn new<'a>(
        dim: usize,
        headers: impl IntoIterator<Item = &'a BucketHeader, IntoIter: Clone>,
        metric: Metric,
        origin: Option<&[f32]>,
    ) -> Self {
        let headers = headers.into_iter();
        let mut data = Vec::new();
        for header in headers.clone() {
            assert_eq!(header.centroid.len(), dim, "a bucket's centroid has another dimension");
            data.extend_from_slice(&header.centroid);
        }
        assert!(origin.is_none_or(|origin| origin.len() == dim), "origin of another dimension");
        let centroids = Centroids::new(data, dim);
        let augmented = metric == Metric::InnerProduct;
        let max_norm_sq = if augmented { headers.clone().map(|h| h.max_norm_sq).fold(0.0, f32::max) } else { 0.0 };
        let norms_sq = centroids.norms_sq().iter();
        let lift = headers.clone().zip(norms_sq).map(|(header, norm_sq)| {
            // A centroid that lags behind its rows may be longer than any of them.
            if augmented { -(header.mean_sq_radius + norm_sq).min(max_norm_sq) } else { 0.0 }
        });
        let lift: Vec<f32> = lift.collect();
        let codes = pays_coding(centroids.len(), dim).then(|| CentroidCodes::new(&centroids, metric, &lift, origin));
        let mut router = Self { centroids, metric, lift, max_norm_sq, gap: 0.0, density: Density::new(0.0), codes };
        router.gap = router.measure_gap(headers.map(|header| header.mean_sq_radius).collect());
        router.density = Density::new(router.gap);
        router
    }

    /// Number of buckets.
    pub fn len(&self) -> usize {
        self.centroids.len()
    }

    /// Whether there is no bucket.
    pub fn is_empty(&self) -> bool {
        self.centroids.is_empty()
    }

    /// The `n` buckets whose centroids are nearest to a vector, whatever the metric; nearest first.
    ///
    /// # Panics
    /// When the dimensions differ.
    pub fn nearest_to(&self, vector: &[f32], n: usize) -> Vec<u32> {
        self.centroids.nearest_to(vector, n)
    }

    /// Orders the buckets for a query. `counts` says how many rows of each bucket may be an answer: live
    /// and matching the filter. Buckets without any are left out.
    ///
    /// With a `scanner` of this query and metric, many buckets are ranked by 1-bit codes at first; their
    /// order is then nearly exact, as [`Ranking`] says. Without one, all distances are computed. For
    /// squared L2 the scanner's origin is the router's afterwards.
    ///
    /// # Panics
    /// When query or scanner have another dimension, or there are not as many counts as buckets.
    pub fn rank<'a>(&'a self, query: &'a [f32], scanner: Option<&mut Bit1Scanner>, counts: &'a [u32]) -> Ranking<'a> {
        Ranking::new(self, query, scanner, counts)
    }

    /// |q - c|^2 + lift of each bucket.
    pub(crate) fn distances_sq(&self, query: &[f32]) -> Vec<f32> {
        let mut distances = self.centroids.distances_sq(query);
        distances.iter_mut().zip(&self.lift).for_each(|(distance, lift)| *distance += lift);
        distances
    }

    /// |q - c|^2 + lift of these buckets.
    pub(crate) fn distances_sq_of(&self, query: &[f32], buckets: &[u32], out: &mut [f32]) {
        self.centroids.distances_sq_of(query, buckets, out);
        out.iter_mut().zip(buckets).for_each(|(distance, &bucket)| *distance += self.lift[bucket as usize]);
    }

    /// D_21 - D_1 as a row of a bucket sees it: the mean squared distance of its rows to another
    /// centroid is s^2 + |c - c'|^2. The median over some buckets, which one outlier does not move.
    fn measure_gap(&self, mean_sq_radii: Vec<f32>) -> f32 {
        let step = self.len().div_ceil(PSEUDO_QUERIES).max(1);
        let mut gaps: Vec<f32> = Vec::new();
        for (b, mut dist) in self.distances_of_every(step) {
            for (other, d) in dist.iter_mut().enumerate() {
                *d = (*d + self.height_difference_sq(b, other) + mean_sq_radii[b]).sqrt();
            }
            let nearest = dist[b];
            let place = GAP_PLACES.min(dist.len() - 1);
            let (_, far, _) = dist.select_nth_unstable_by(place, f32::total_cmp);
            gaps.push(*far - nearest);
        }
        gaps.sort_by(f32::total_cmp);
        gaps.get(gaps.len() / 2).copied().unwrap_or(0.0)
    }

    /// Of every `step`-th bucket its number, and the squared distances of its centroid to all.
    fn distances_of_every(&self, step: usize) -> Vec<(usize, Vec<f32>)> {
        let mut all: Vec<_> = (0..self.len()).step_by(step).map(|b| (b, vec![0.0; self.len()])).collect();
        // By blocks, so that centroids are in a near cache for all but the first.
        for first in (0..self.len()).step_by(BLOCK) {
            let block = first..self.len().min(first + BLOCK);
            let rows = self.centroids.rows(block.clone());
            for (b, distances) in &mut all {
                drift_kernels::l2_sq_rows(self.centroids.row(*b), rows, &mut distances[block.clone()]);
            }
        }
        all
    }

    /// Squared distances of a centroid to others, with the dimension an inner product adds.
    pub(crate) fn separations_sq(&self, bucket: u32, others: &[u32], out: &mut [f32]) {
        self.centroids.distances_sq_of(self.centroids.row(bucket as usize), others, out);
        if self.metric == Metric::InnerProduct {
            for (distance, &other) in out.iter_mut().zip(others) {
                *distance += self.height_difference_sq(bucket as usize, other as usize);
            }
        }
    }

    fn height_difference_sq(&self, a: usize, b: usize) -> f32 {
        let height = |b: usize| (self.lift[b] + self.max_norm_sq).max(0.0).sqrt();
        (height(a) - height(b)).powi(2)
    }
}

fn pays_coding(buckets: usize, dim: usize) -> bool {
    dim <= MAX_ROTATED_DIM && buckets >= CODED_BUCKETS_MIN && buckets * dim * dim >= CODED_SIZE_MIN
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(rows: &[[f32; 2]]) -> BucketHeader {
        BucketHeader::from_rows(2, rows.iter().map(|r| &r[..]))
    }

    fn order(router: &Router, query: &[f32]) -> Vec<u32> {
        router.rank(query, None, &vec![10; router.len()]).map(|r| r.bucket).collect()
    }

    #[test]
    fn inner_product_prefers_long_rows_to_near_ones() {
        // The query lies in bucket 0; bucket 1 has the same direction and is longer; 2 points away.
        let headers = [header(&[[1.0, 0.0], [1.0, 0.1]]), header(&[[9.0, 1.0], [9.0, -1.0]]), header(&[[-9.0, 0.0]])];
        let router = Router::new(2, &headers, Metric::InnerProduct, None);
        assert_eq!(order(&router, &[1.0, 0.0]), [1, 0, 2]);
        assert_eq!(order(&router, &[-1.0, 0.0]), [2, 0, 1]);
        assert_eq!(order(&Router::new(2, &headers, Metric::L2, None), &[1.0, 0.0]), [0, 1, 2]);
    }

    #[test]
    fn one_huge_row_does_not_blur_the_order_of_the_others() {
        let mut headers: Vec<_> = (0..30).map(|i| header(&[[1.0 + i as f32 * 1e-3, 0.0]])).collect();
        headers.push(header(&[[0.0, 1e6]]));
        let router = Router::new(2, &headers, Metric::InnerProduct, None);
        let descending: Vec<u32> = (0..30).rev().collect();
        assert_eq!(order(&router, &[1.0, -1.0])[..30], descending);
    }

    #[test]
    fn unit_vectors_rank_alike_by_all_metrics() {
        let angles: Vec<f32> = (0..40).map(|i| (i * i) as f32).collect();
        let headers: Vec<_> =
            angles.iter().map(|a| header(&[[a.cos(), a.sin()], [(a + 0.1).cos(), (a + 0.1).sin()]])).collect();
        let query = [0.6, 0.8];
        let by_l2 = order(&Router::new(2, &headers, Metric::L2, None), &query);
        for metric in [Metric::Cosine, Metric::InnerProduct] {
            assert_eq!(order(&Router::new(2, &headers, metric, None), &query), by_l2);
        }
    }

    #[test]
    fn few_buckets_and_wide_vectors_have_no_codes() {
        let coded = |buckets: usize, dim: usize| {
            let headers = vec![BucketHeader::empty(vec![1.0; dim]); buckets];
            Router::new(dim, &headers, Metric::L2, None).codes.is_some()
        };
        assert!(coded(96, 384) && coded(256, 128) && coded(96, 2_048));
        assert!(!coded(95, 384) && !coded(255, 128) && !coded(300, 64) && !coded(96, 2_049));
    }

    #[test]
    fn no_bucket_and_one_bucket() {
        let none = Router::new(2, [], Metric::L2, None);
        assert!(none.is_empty() && none.rank(&[0.0, 0.0], None, &[]).next().is_none());
        let one = Router::new(2, [&header(&[[1.0, 1.0]])], Metric::InnerProduct, None);
        assert_eq!(order(&one, &[5.0, 5.0]), [0]);
    }
}
