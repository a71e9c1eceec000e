use drift_types::Metric;

use crate::Router;

/// Buckets sorted at first; each further batch doubles what is sorted.
const FIRST_SORTED: usize = 32;
/// What one e-fold of rows is worth, in squared gaps of the index: the 2 s^2 of
/// score_b = ln n_b - D_b^2 / (2 s^2). Measured on text embeddings and on images: 0.03 to 0.4 are
/// alike, a few percent of rows better than distance alone where filters thin buckets unevenly;
/// from 2 on, big buckets push aside near ones.
const COUNT_WEIGHT: f32 = 0.1;

/// The buckets of an index in the order a query should look into them, sorted as far as asked for.
///
/// The two nearest come first, the others by falling ln n_b - D_b^2 / (2 s^2): the logarithm of the
/// density that n_b rows spread around a centroid at distance D_b have at the query.
#[derive(Clone, Debug)]
pub struct Ranking<'r> {
    router: &'r Router,
    entries: Vec<Entry>,
    sorted: usize,
    position: usize,
    peeked: Option<Ranked>,
    /// What squared augmented distances have on top of `Entry::dist_sq`.
    shift: f32,
    query_norm_sq: f32,
}

/// A bucket to look into.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ranked {
    /// Its number in the router.
    pub bucket: u32,
    /// D: distance of the query to its centroid.
    pub dist: f32,
    /// D - D_1: how much farther than the nearest bucket's centroid.
    pub excess: f32,
    /// Distance of the query to the hyperplane halfway between this and the nearest bucket's
    /// centroid: rows nearer than that cannot lie beyond it.
    pub bisector: f32,
}

/// Squared distance = shift + scale * score.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScoreFrame {
    shift: f32,
    scale: f32,
}

impl ScoreFrame {
    pub(crate) fn dist(self, score: f32) -> f32 {
        (self.shift + self.scale * score).max(0.0).sqrt()
    }
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Smaller is earlier.
    key: f32,
    bucket: u32,
    /// |q - c|^2 + lift.
    dist_sq: f32,
}

impl Entry {
    fn by_key(a: &Self, b: &Self) -> std::cmp::Ordering {
        a.key.total_cmp(&b.key).then(a.bucket.cmp(&b.bucket))
    }
}

impl<'r> Ranking<'r> {
    pub(crate) fn new(router: &'r Router, query: &[f32], counts: &dyn Fn(u32) -> u32) -> Self {
        let query_norm_sq = drift_kernels::norm_sq(query);
        let augmented = router.metric == Metric::InnerProduct;
        let shift = if augmented { router.max_norm_sq } else { 0.0 };
        let per_e_fold = COUNT_WEIGHT * router.gap * router.gap;
        let distances = router.centroids.distances_sq(query).into_iter().zip(&router.lift);
        let mut entries = Vec::with_capacity(router.len());
        for (bucket, (plain, lift)) in (0..).zip(distances) {
            let count = counts(bucket);
            if count > 0 {
                let dist_sq = plain + lift;
                entries.push(Entry { key: dist_sq - per_e_fold * (count as f32).ln(), bucket, dist_sq });
            }
        }
        nearest_two_first(&mut entries);
        let sorted = entries.len().min(2);
        Self { router, entries, sorted, position: 0, peeked: None, shift, query_norm_sq }
    }

    /// The bucket that [`Iterator::next`] would return.
    pub fn peek(&mut self) -> Option<Ranked> {
        if self.position == self.sorted {
            self.sort_more();
        }
        if self.peeked.is_none() {
            self.peeked = self.entries.get(self.position).map(|&entry| self.describe(entry));
        }
        self.peeked
    }

    fn describe(&self, entry: Entry) -> Ranked {
        let first = self.entries[0];
        let dist = self.dist(entry);
        // Differences of squares: the shift, which may be large, cancels before anything is rounded.
        let difference = (entry.dist_sq - first.dist_sq).max(0.0);
        let per = |length: f32| if difference > 0.0 { difference / length } else { 0.0 };
        Ranked {
            bucket: entry.bucket,
            dist,
            excess: per(dist + self.dist(first)),
            bisector: per(2.0 * self.router.separation(first.bucket, entry.bucket)),
        }
    }

    /// Number of buckets not yet returned.
    pub fn remaining(&self) -> usize {
        self.entries.len() - self.position
    }

    /// How scores turn into the distances in which buckets are ranked.
    pub(crate) fn score_frame(&self) -> ScoreFrame {
        match self.router.metric {
            Metric::L2 | Metric::Cosine => ScoreFrame { shift: 0.0, scale: 1.0 },
            Metric::InnerProduct => ScoreFrame { shift: self.shift + self.query_norm_sq, scale: 2.0 },
        }
    }

    /// The index's typical D_21 - D_1.
    pub(crate) fn gap(&self) -> f32 {
        self.router.gap
    }

    fn dist(&self, entry: Entry) -> f32 {
        (entry.dist_sq + self.shift).max(0.0).sqrt()
    }

    fn sort_more(&mut self) {
        let rest = &mut self.entries[self.sorted..];
        let batch = self.sorted.max(FIRST_SORTED).min(rest.len());
        if batch < rest.len() {
            rest.select_nth_unstable_by(batch, Entry::by_key);
        }
        rest[..batch].sort_unstable_by(Entry::by_key);
        self.sorted += batch;
    }
}

impl Iterator for Ranking<'_> {
    type Item = Ranked;

    fn next(&mut self) -> Option<Ranked> {
        let next = self.peek()?;
        self.peeked = None;
        self.position += 1;
        Some(next)
    }
}

/// Brings the two entries of smallest distance to the front, the nearest first.
fn nearest_two_first(entries: &mut [Entry]) {
    for place in 0..entries.len().min(2) {
        let nearest = (place..entries.len())
            .min_by(|&a, &b| {
                entries[a].dist_sq.total_cmp(&entries[b].dist_sq).then(entries[a].bucket.cmp(&entries[b].bucket))
            })
            .expect("the range is not empty");
        entries.swap(place, nearest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BucketHeader;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn random_router(k: usize, dim: usize, rng: &mut ChaCha8Rng) -> Router {
        let headers: Vec<_> = (0..k)
            .map(|_| {
                let row: Vec<f32> = (0..dim).map(|_| rng.random()).collect();
                BucketHeader::from_rows(dim, [&row[..]])
            })
            .collect();
        Router::new(dim, &headers, Metric::L2)
    }

    #[test]
    fn the_lazy_order_is_the_sorted_one() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for k in [1, 2, 3, 31, 32, 33, 34, 35, 200] {
            let router = random_router(k, 5, &mut rng);
            let query: Vec<f32> = (0..5).map(|_| rng.random()).collect();
            let counts: Vec<u32> = (0..k).map(|_| rng.random_range(0..4) * 50).collect();
            let dist_sq = router.centroids.distances_sq(&query);
            let key = |b: u32| {
                let (d, n) = (dist_sq[b as usize], counts[b as usize] as f32);
                d - COUNT_WEIGHT * router.gap * router.gap * n.ln()
            };
            let mut expected: Vec<u32> = (0..k as u32).filter(|&b| counts[b as usize] > 0).collect();
            expected.sort_by(|&a, &b| dist_sq[a as usize].total_cmp(&dist_sq[b as usize]));
            let others = expected.len().min(2);
            expected[others..].sort_by(|&a, &b| key(a).total_cmp(&key(b)));
            let mut ranking = router.rank(&query, &|b| counts[b as usize]);
            assert_eq!(ranking.remaining(), expected.len());
            for &bucket in &expected {
                assert_eq!(ranking.peek().map(|r| r.bucket), Some(bucket));
                let ranked = ranking.next().unwrap();
                assert_eq!(ranked.bucket, bucket);
                assert_eq!(ranked.dist, dist_sq[bucket as usize].sqrt());
            }
            assert_eq!((ranking.next(), ranking.peek()), (None, None));
        }
    }

    #[test]
    fn distances_of_a_bucket_are_those_of_the_geometry() {
        let at = |x: f32| BucketHeader::from_rows(2, [&[x, 0.0][..]]);
        let router = Router::new(2, &[at(0.0), at(10.0)], Metric::L2);
        let ranked: Vec<Ranked> = router.rank(&[4.0, 3.0], &|_| 1).collect();
        let (first, second) = (ranked[0], ranked[1]);
        assert_eq!((first.bucket, first.dist, first.excess, first.bisector), (0, 5.0, 0.0, 0.0));
        // The halfway line is x = 5.
        assert_eq!((second.bucket, second.bisector), (1, 1.0));
        assert!((second.excess - (45f32.sqrt() - 5.0)).abs() < 1e-5);
    }
}
