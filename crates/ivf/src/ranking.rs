use std::cmp::Ordering;

use drift_codec::Bit1Scanner;
use drift_types::Metric;

use crate::{
    Router,
    selection::{CHUNK, Selection},
};

/// What a search that stops after a few dozen buckets has computed.
const CHUNKS_AT_FIRST: usize = 4;

/// The buckets of an index in the order a query should look into them, worked out as far as asked for.
///
/// The two nearest come first, the others by falling ln n_b - D_b^2 / (2 s^2): the logarithm of the
/// density that n_b rows spread around a centroid at distance D_b have at the query.
///
/// Of many buckets ([`Router::rank`]) only those are computed whose lower bound by 1-bit codes comes up,
/// a chunk at a time; a bucket is handed out once no bound left is below its key. So all that is said
/// of it is exact, and it comes before one of a smaller key only where that one's bound does not hold:
/// for 7 of 100 at most, which are late by as much as their bound is wrong. Nearest are then the two
/// nearest of those computed by the time the first is certain.
#[derive(Clone, Debug)]
pub struct Ranking<'a> {
    router: &'a Router,
    query: &'a [f32],
    counts: &'a [u32],
    /// Lower bounds on the keys of the buckets not computed yet.
    selection: Selection,
    /// No key left in the selection is less.
    limit: f32,
    /// Buckets computed whose keys are greater: others may come before them.
    waiting: Vec<Entry>,
    /// Buckets that nothing can come between, the first to be handed out last.
    certain: Vec<Ranked>,
    /// Whether these have changed since they were asked for.
    is_fresh: bool,
    nearest: Option<Nearest>,
    remaining: usize,
    /// What squared augmented distances have on top of `Entry::dist_sq`.
    shift: f32,
    query_norm_sq: f32,
    scratch: Scratch,
}

#[derive(Clone, Debug, Default)]
struct Scratch {
    buckets: Vec<u32>,
    distances_sq: Vec<f32>,
    entries: Vec<Entry>,
}

/// A bucket to look into.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ranked {
    /// Its number in the router.
    pub bucket: u32,
    /// D: distance of the query to its centroid.
    pub dist: f32,
    /// D^2 as it was computed; for an inner product without M^2 ([`Router`]).
    pub dist_sq: f32,
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

/// The bucket whose centroid is nearest, as what the others are compared with.
#[derive(Clone, Copy, Debug)]
struct Nearest {
    bucket: u32,
    dist_sq: f32,
    dist: f32,
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
    /// Whether nothing can come before it of what is not computed, where no key is less than `limit`. No number
    /// is greater than NaN.
    fn is_certain(&self, limit: f32) -> bool {
        !matches!(self.key.partial_cmp(&limit), Some(Ordering::Greater))
    }

    fn by_distance(a: &Self, b: &Self) -> Ordering {
        a.dist_sq.total_cmp(&b.dist_sq).then(a.bucket.cmp(&b.bucket))
    }

    fn by_key(a: &Self, b: &Self) -> Ordering {
        a.key.total_cmp(&b.key).then_with(|| Self::by_distance(a, b))
    }
}

impl<'a> Ranking<'a> {
    pub(crate) fn new(
        router: &'a Router,
        query: &'a [f32],
        scanner: Option<&mut Bit1Scanner>,
        counts: &'a [u32],
    ) -> Self {
        assert_eq!(counts.len(), router.len(), "counts of another number of buckets");
        let query_norm_sq = drift_kernels::norm_sq(query);
        let mut keys = match router.codes.as_ref().zip(scanner) {
            Some((codes, scanner)) => codes.distances_above(scanner, query_norm_sq),
            None => router.distances_sq(query),
        };
        let remaining = router.density.turn_to_keys(&mut keys, counts);
        let mut ranking = Self {
            router,
            query,
            counts,
            selection: Selection::new(keys),
            limit: f32::NEG_INFINITY,
            waiting: Vec::with_capacity(CHUNKS_AT_FIRST * CHUNK),
            certain: Vec::with_capacity(2 * CHUNK),
            is_fresh: false,
            nearest: None,
            remaining,
            shift: if router.metric == Metric::InnerProduct { router.max_norm_sq } else { 0.0 },
            query_norm_sq,
            scratch: Scratch::default(),
        };
        ranking.nearest_two_first();
        ranking
    }

    /// The bucket that [`Iterator::next`] would return.
    #[inline]
    pub fn peek(&mut self) -> Option<Ranked> {
        if self.certain.is_empty() {
            self.work_out_some();
        }
        self.certain.last().copied()
    }

    /// Buckets that come next, as far as they are worked out: the first of them last.
    #[inline]
    pub fn upcoming(&self) -> &[Ranked] {
        &self.certain
    }

    /// [`Ranking::upcoming`] if some have been worked out since this was asked, or else none: what memory may
    /// be brought near for.
    #[inline]
    pub fn fresh(&mut self) -> &[Ranked] {
        if std::mem::take(&mut self.is_fresh) { &self.certain } else { &[] }
    }

    /// Number of buckets not yet returned.
    pub fn remaining(&self) -> usize {
        self.remaining
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

    /// A bucket whose centroid is so far, squared, from that of the nearest one.
    fn describe(&self, entry: &Entry, nearest: &Nearest, separation_sq: f32) -> Ranked {
        let dist = self.dist(entry.dist_sq);
        // Differences of squares: the shift, which may be large, cancels before anything is rounded.
        let difference = entry.dist_sq - nearest.dist_sq;
        let (mut excess, mut bisector) = (0.0, 0.0);
        if difference > 0.0 {
            excess = difference / (dist + nearest.dist);
            bisector = difference / (2.0 * separation_sq.sqrt());
        }
        Ranked { bucket: entry.bucket, dist, dist_sq: entry.dist_sq, excess, bisector }
    }

    fn dist(&self, dist_sq: f32) -> f32 {
        (dist_sq + self.shift).max(0.0).sqrt()
    }

    /// Of the buckets computed first, brings the two of smallest distance to the front.
    fn nearest_two_first(&mut self) {
        self.compute_until_some_are_certain();
        if let Some(last) = self.waiting.len().min(2).checked_sub(1) {
            self.waiting.select_nth_unstable_by(last, Entry::by_distance);
            let Entry { bucket, dist_sq, .. } = self.waiting[0];
            self.nearest = Some(Nearest { bucket, dist_sq, dist: self.dist(dist_sq) });
            self.waiting[..=last].iter_mut().for_each(|entry| entry.key = f32::NEG_INFINITY);
        }
    }

    /// Works out what comes next, all that is certain: one at least, if any bucket is left.
    fn work_out_some(&mut self) {
        self.compute_until_some_are_certain();
        let Some(nearest) = self.nearest else { return };
        let Scratch { mut buckets, mut distances_sq, mut entries } = std::mem::take(&mut self.scratch);
        entries.clear();
        entries.extend(self.waiting.extract_if(.., |entry| entry.is_certain(self.limit)));
        entries.sort_unstable_by(|a, b| Entry::by_key(b, a));
        buckets.clear();
        buckets.extend(entries.iter().map(|entry| entry.bucket));
        distances_sq.resize(buckets.len(), 0.0);
        self.router.separations_sq(nearest.bucket, &buckets, &mut distances_sq);
        let mut certain = std::mem::take(&mut self.certain);
        certain.extend(entries.iter().zip(&distances_sq).map(|(entry, &sq)| self.describe(entry, &nearest, sq)));
        self.is_fresh = true;
        self.certain = certain;
        self.scratch = Scratch { buckets, distances_sq, entries };
    }

    /// Computes chunks of buckets until none that is left can come before the first that is not.
    fn compute_until_some_are_certain(&mut self) {
        while self.limit < f32::INFINITY && !self.waiting.iter().any(|entry| entry.is_certain(self.limit)) {
            self.compute_chunk();
        }
    }

    fn compute_chunk(&mut self) {
        let Scratch { buckets, distances_sq, .. } = &mut self.scratch;
        buckets.clear();
        self.limit = self.selection.take(buckets);
        distances_sq.resize(buckets.len(), 0.0);
        self.router.distances_sq_of(self.query, buckets, distances_sq);
        for (&bucket, &dist_sq) in buckets.iter().zip(&*distances_sq) {
            let key = self.router.density.key(dist_sq, self.counts[bucket as usize]);
            self.waiting.push(Entry { key, bucket, dist_sq });
        }
    }
}

impl Iterator for Ranking<'_> {
    type Item = Ranked;

    #[inline]
    fn next(&mut self) -> Option<Ranked> {
        self.peek()?;
        self.remaining -= 1;
        self.certain.pop()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BucketHeader;
    use proptest::prelude::{ProptestConfig, prop_assert, proptest};
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    const METRICS: [Metric; 3] = [Metric::L2, Metric::Cosine, Metric::InnerProduct];

    /// Buckets of a few rows each, somewhat clustered.
    fn random_router(k: usize, dim: usize, metric: Metric, scale: f32, rng: &mut ChaCha8Rng) -> Router {
        let headers: Vec<_> = (0..k)
            .map(|i| {
                let mut row = || (0..dim).map(|j| scale * (((i + j) % 7) as f32 / 5.0 + rng.random::<f32>())).collect();
                let rows: [Vec<f32>; 2] = [row(), row()];
                BucketHeader::from_rows(dim, rows.iter().map(|row| &row[..]))
            })
            .collect();
        Router::new(dim, &headers, metric, None)
    }

    fn key_of(router: &Router, dist_sq: f32, count: u32) -> f32 {
        router.density.key(dist_sq, count)
    }

    #[test]
    fn without_codes_the_order_is_the_sorted_one() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for k in [1, 2, 3, 31, 32, 33, 34, 35, 200] {
            let router = random_router(k, 5, Metric::L2, 1.0, &mut rng);
            let query: Vec<f32> = (0..5).map(|_| rng.random()).collect();
            let counts: Vec<u32> = (0..k).map(|_| rng.random_range(0..4) * 50).collect();
            let dist_sq = router.distances_sq(&query);
            let key = |b: u32| key_of(&router, dist_sq[b as usize], counts[b as usize]);
            let mut expected: Vec<u32> = (0..k as u32).filter(|&b| counts[b as usize] > 0).collect();
            expected.sort_by(|&a, &b| dist_sq[a as usize].total_cmp(&dist_sq[b as usize]));
            let others = expected.len().min(2);
            expected[others..].sort_by(|&a, &b| key(a).total_cmp(&key(b)));
            let mut ranking = router.rank(&query, None, &counts);
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
    fn what_is_upcoming_comes_next_and_is_fresh_once() {
        let mut rng = ChaCha8Rng::seed_from_u64(8);
        let router = random_router(400, 128, Metric::L2, 1.0, &mut rng);
        let query: Vec<f32> = (0..128).map(|_| rng.random()).collect();
        let mut scanner = Bit1Scanner::new(&query, Metric::L2, 1.9);
        let mut ranking = router.rank(&query, Some(&mut scanner), &[100; 400]);
        let (mut told, mut handed_out) = (Vec::new(), Vec::new());
        while let Some(next) = ranking.peek() {
            told.extend(ranking.fresh().iter().rev().copied());
            assert!(ranking.fresh().is_empty());
            assert_eq!(ranking.upcoming().last(), Some(&next));
            handed_out.extend(ranking.next());
        }
        assert_eq!(told, handed_out);
    }

    /// Checks a ranking by codes to its end and returns how many buckets came late. Each bucket with rows
    /// comes once, with its exact distance; one comes after a greater key only if its bound does not hold.
    fn check_by_codes(router: &Router, query: &[f32], counts: &[u32]) -> usize {
        let mut scanner = Bit1Scanner::new(query, router.metric, 1.9);
        let codes = router.codes.as_ref().expect("enough buckets to be coded");
        let mut lowers = codes.distances_above(&mut scanner, drift_kernels::norm_sq(query));
        router.density.turn_to_keys(&mut lowers, counts);
        let dist_sq = router.distances_sq(query);
        let ranking = router.rank(query, Some(&mut scanner), counts);
        let (remaining, shift) = (ranking.remaining(), ranking.shift);
        let ranked: Vec<Ranked> = ranking.collect();
        assert_eq!(ranked.len(), remaining);
        let mut buckets: Vec<u32> = ranked.iter().map(|r| r.bucket).collect();
        let (mut late, mut greatest) = (0, f32::NEG_INFINITY);
        for (place, ranked) in ranked.iter().enumerate() {
            let bucket = ranked.bucket as usize;
            assert_eq!(ranked.dist, (dist_sq[bucket] + shift).max(0.0).sqrt());
            let key = key_of(router, dist_sq[bucket], counts[bucket]);
            if place >= 2 && key < greatest {
                assert!(lowers[bucket] > key, "place {place}: {key} after {greatest}, above {}", lowers[bucket]);
                late += 1;
            }
            if place >= 2 {
                greatest = greatest.max(key);
            }
        }
        buckets.sort_unstable();
        assert_eq!(buckets, (0..counts.len() as u32).filter(|&b| counts[b as usize] > 0).collect::<Vec<_>>());
        late
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn by_codes_few_buckets_come_late_and_only_by_their_bounds(
            k in 260usize..900, dim in 128usize..200, seed: u64, metric in 0..3usize, exponent in -9i32..9,
        ) {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let scale = 10f32.powi(exponent);
            let router = random_router(k, dim, METRICS[metric], scale, &mut rng);
            let counts: Vec<u32> = (0..k).map(|_| rng.random_range(0..3) * rng.random_range(1..1500)).collect();
            let query: Vec<f32> = (0..dim).map(|j| scale * ((j % 7) as f32 / 5.0 + rng.random::<f32>())).collect();
            let late = check_by_codes(&router, &query, &counts);
            prop_assert!(late <= k / 8, "{} of {}", late, k);
        }
    }

    #[test]
    fn by_codes_the_nearest_of_equally_full_buckets_is_first_unless_its_bound_does_not_hold() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        for metric in METRICS {
            let router = random_router(400, 128, metric, 1.0, &mut rng);
            let nearest_first = (0..100).filter(|_| {
                let query: Vec<f32> = (0..128).map(|j| (j % 7) as f32 / 5.0 + rng.random::<f32>()).collect();
                let mut scanner = Bit1Scanner::new(&query, metric, 1.9);
                let by_codes = router.rank(&query, Some(&mut scanner), &[100; 400]).next();
                by_codes == router.rank(&query, None, &[100; 400]).next()
            });
            let n = nearest_first.count();
            assert!(n >= 95, "{metric}: {n}");
        }
    }

    #[test]
    fn degenerate_buckets_are_all_handed_out() {
        let dim = 128;
        let at = |value: f32| BucketHeader::from_rows(dim, [&vec![value; dim][..]]);
        let sets = [
            vec![at(0.0); 300],
            vec![at(1e-30); 300],
            vec![at(3.0e18); 300],
            (0..300).map(|i| at(1e17 * i as f32)).collect::<Vec<_>>(),
            (0..300).map(|i| at(1e36 * i as f32)).collect(),
            (0..300).map(|i| at(if i == 7 { 1e18 } else { 0.01 * i as f32 })).collect(),
        ];
        for headers in &sets {
            for metric in METRICS {
                let router = Router::new(dim, headers, metric, None);
                for value in [0.0, 1.0, 1e18, -3e38] {
                    let (query, counts) = (vec![value; dim], vec![1; headers.len()]);
                    let mut scanner = Bit1Scanner::new(&query, metric, 1.9);
                    let ranking = router.rank(&query, Some(&mut scanner), &counts);
                    let mut buckets: Vec<u32> = ranking.map(|ranked| ranked.bucket).collect();
                    buckets.sort_unstable();
                    assert!(buckets.into_iter().eq(0..300), "{metric} {value}");
                    assert_eq!(router.rank(&query, Some(&mut scanner), &[0; 300]).next(), None);
                }
            }
        }
    }

    #[test]
    fn where_codes_say_nothing_the_order_is_exact() {
        // |q - c|^2 is about f32::MAX / 4 and more: too large for bounds, not for distances.
        let mut rng = ChaCha8Rng::seed_from_u64(6);
        let router = random_router(300, 128, Metric::L2, 1e18, &mut rng);
        let (query, counts) = (vec![-0.1e18; 128], vec![9; 300]);
        let mut scanner = Bit1Scanner::new(&query, Metric::L2, 1.9);
        let codes = router.codes.as_ref().unwrap();
        assert!(codes.distances_above(&mut scanner, 0.0).iter().all(|&lower| lower == f32::NEG_INFINITY));
        let by_codes: Vec<Ranked> = router.rank(&query, Some(&mut scanner), &counts).collect();
        assert_eq!(by_codes, router.rank(&query, None, &counts).collect::<Vec<_>>());
    }

    #[test]
    fn an_origin_that_is_given_serves_as_well() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let headers: Vec<_> = (0..300)
            .map(|_| BucketHeader::from_rows(128, [&(0..128).map(|_| rng.random()).collect::<Vec<f32>>()[..]]))
            .collect();
        for metric in METRICS {
            let router = Router::new(128, &headers, metric, Some(&[0.3; 128]));
            check_by_codes(&router, &[0.6; 128], &[5; 300]);
        }
    }

    #[test]
    fn distances_of_a_bucket_are_those_of_the_geometry() {
        let at = |x: f32| BucketHeader::from_rows(2, [&[x, 0.0][..]]);
        let router = Router::new(2, &[at(0.0), at(10.0)], Metric::L2, None);
        let ranked: Vec<Ranked> = router.rank(&[4.0, 3.0], None, &[1, 1]).collect();
        let (first, second) = (ranked[0], ranked[1]);
        assert_eq!((first.bucket, first.dist, first.excess, first.bisector), (0, 5.0, 0.0, 0.0));
        // The halfway line is x = 5.
        assert_eq!((second.bucket, second.bisector), (1, 1.0));
        assert!((second.excess - (45f32.sqrt() - 5.0)).abs() < 1e-5);
    }
}
