use crate::{
    logarithms::ln_1p,
    ranking::{Ranked, Ranking, ScoreFrame},
};

/// Number of features of a search's state.
pub const N_FEATURES: usize = 10;

/// What a [`StopRule`] sees of a search, free of the data's scale. With j buckets read, D_i the
/// distance to the i-th centroid, r the distance of the k-th result so far, b the distance to the
/// bisector between the first and the next bucket, rows those of the buckets read that are live and match
/// the filter:
///
/// 1, ln(1 + j), ln(1 + buckets since the k-th result last changed), min(b / r, 3),
/// min(D_next / r, 3), min((D_next - D_1) / gap, 5), ln(1 + rows / k) / 10, and the three ratios
/// times ln(1 + j).
pub type Features = [f32; N_FEATURES];

/// Buckets that are always worth reading.
const MIN_BUCKETS: u32 = 2;

/// Logistic prediction of the share of the true top-k still missing.
#[derive(Clone, Debug, PartialEq)]
pub struct StopRule {
    /// Weights of [`Features`].
    pub weights: Features,
}

impl StopRule {
    /// The predicted share of the true top-k not found yet, strictly between 0 and 1.
    pub fn missing(&self, features: &Features) -> f32 {
        // Bounded, so that a prediction never rounds to "nothing missing".
        1.0 / (1.0 + (-self.log_odds(features).clamp(-30.0, 30.0)).exp())
    }

    /// ln(missing / found): a search is done when it is less than [`log_odds_of`] the recall asked.
    #[inline]
    pub fn log_odds(&self, features: &Features) -> f32 {
        // Two sums, as each addition would wait for the one before.
        let sum_from = |i: usize| (i..N_FEATURES).step_by(2).map(|i| self.weights[i] * features[i]).sum::<f32>();
        sum_from(0) + sum_from(1)
    }
}

/// ln(missing / found) at this recall; -inf of recall 1, so that it is never reached.
pub fn log_odds_of(recall: f32) -> f32 {
    ((1.0 - recall) / recall).ln()
}

impl Default for StopRule {
    /// Fitted by `examples/calibrate.rs` on 42,759 commit messages (384-d text embeddings) and
    /// Fashion-MNIST (60,000 x 784) in equal parts, 1,000 queries each, k from 1 to 1,000, buckets
    /// of then 128 rows. Asked for recall@10 of .95 / .99, other queries got .951 / .987 from 14 / 32 % of
    /// the rows of the former, and .965 / .993 from 1.6 / 2.8 % of the latter.
    ///
    /// Unit vectors under the inner product get the same. Rows of unequal norms do not: the images
    /// got .93 and .99 at five to seven times the rows, and .87 where .95 was asked for k = 100.
    /// [`refit`](crate::refit) halves what is read there.
    fn default() -> Self {
        let weights = [3.804, 2.199, -0.128, -4.552, -5.022, 0.348, 4.190, 1.323, -2.882, -0.226];
        Self { weights }
    }
}

/// How far a search has come.
#[derive(Clone, Debug)]
pub struct StopState {
    k: usize,
    gap: f32,
    frame: ScoreFrame,
    buckets: u32,
    unchanged: u32,
    rows: usize,
    kth_score: Option<f32>,
    /// Of the k-th result; none while there are fewer.
    radius: Option<f32>,
}

impl StopState {
    /// Before the first bucket of a search for `k` rows.
    pub fn new(k: usize, ranking: &Ranking<'_>) -> Self {
        let (gap, frame) = (ranking.gap(), ranking.score_frame());
        Self { k: k.max(1), gap, frame, buckets: 0, unchanged: 0, rows: 0, kth_score: None, radius: None }
    }

    /// Takes note of a bucket that was read: the score of the `k`-th result afterwards (none while
    /// there are fewer) and how many of its rows may be an answer, as the ranking was told.
    #[inline]
    pub fn observe(&mut self, kth_score: Option<f32>, rows: usize) {
        let changed = kth_score.is_none() || kth_score != self.kth_score;
        self.unchanged = if changed { 0 } else { self.unchanged + 1 };
        if changed {
            self.kth_score = kth_score;
            self.radius = kth_score.map(|score| self.frame.dist(score));
        }
        self.buckets += 1;
        self.rows += rows;
    }

    /// The features, with `next` the bucket that would be read next. None before two buckets were
    /// read and `k` rows found: a search never ends short of rows it could still find.
    #[inline]
    pub fn features(&self, next: &Ranked) -> Option<Features> {
        if self.buckets < MIN_BUCKETS {
            return None;
        }
        let radius = self.radius?;
        let log_buckets = ln_1p(self.buckets);
        let bisector = capped_ratio(next.bisector, radius, 3.0);
        let dist = capped_ratio(next.dist, radius, 3.0);
        let excess = capped_ratio(next.excess, self.gap, 5.0);
        Some([
            1.0,
            log_buckets,
            ln_1p(self.unchanged),
            bisector,
            dist,
            excess,
            (1.0 + self.rows as f32 / self.k as f32).ln() / 10.0,
            bisector * log_buckets,
            dist * log_buckets,
            excess * log_buckets,
        ])
    }
}

/// `a / b`, at most `cap`; 0 / 0 is 0, and what is not a number counts as large.
fn capped_ratio(a: f32, b: f32, cap: f32) -> f32 {
    if a == 0.0 {
        return 0.0;
    }
    let ratio = a / b;
    if ratio < cap { ratio } else { cap }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BucketHeader, Router};
    use drift_types::Metric;

    fn walk(points: &[[f32; 2]], query: [f32; 2], metric: Metric, score: Option<f32>) -> Vec<Features> {
        let headers: Vec<_> = points.iter().map(|p| BucketHeader::from_rows(2, [&p[..]])).collect();
        let router = Router::new(2, &headers, metric, None);
        let counts = vec![1; router.len()];
        let mut ranking = router.rank(&query, None, &counts);
        let mut state = StopState::new(10, &ranking);
        let mut seen = Vec::new();
        while ranking.next().is_some() {
            state.observe(score, 100);
            seen.extend(ranking.peek().and_then(|next| state.features(&next)));
        }
        seen
    }

    #[test]
    fn features_are_finite_whatever_the_input() {
        let sets: [&[[f32; 2]]; 4] = [
            &[[0.0, 0.0]; 30],
            &[[1e18, -1e18], [1e19, 0.0], [-3e19, 2e19], [0.0, 0.0]],
            &[[1e-30, 0.0], [0.0, 1e-30], [1e-38, 1e-38]],
            &[[1.0, 2.0], [1e18, 0.0], [-1.0, 0.5]],
        ];
        for points in sets {
            for metric in [Metric::L2, Metric::Cosine, Metric::InnerProduct] {
                for query in [[0.0, 0.0], [1e18, 1e18], [1.0, 2.0]] {
                    for score in [0.0, 1e-30, 1e37, -1e37, f32::INFINITY] {
                        let seen = walk(points, query, metric, Some(score));
                        assert_eq!(seen.len(), points.len() - 2);
                        assert!(
                            seen.iter().flatten().all(|x| x.is_finite()),
                            "{points:?} {metric} {score:?}: {seen:?}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn features_follow_their_definition() {
        let points = [[0.0, 0.0], [0.0, 30.0], [10.0, 40.0], [40.0, 30.0]];
        let seen = walk(&points, [4.0, 3.0], Metric::L2, Some(64.0));
        // Two buckets were read; the third, at (10, 40), is next.
        let expected = [
            (0, 1.0),
            (1, 3f32.ln()),
            (2, 2f32.ln()),
            (3, (1405.0 - 25.0) / (2.0 * 1700f32.sqrt()) / 8.0),
            (4, 3.0),
            (6, 21f32.ln() / 10.0),
        ];
        for (i, expected) in expected {
            assert!((seen[0][i] - expected).abs() < 1e-5, "{i}: {} {expected}", seen[0][i]);
        }
        assert!(seen[0][5] > 0.0 && seen[0][5] < seen[1][5]);
        for product in 7..10 {
            assert_eq!(seen[0][product], seen[0][product - 4] * seen[0][1]);
        }
        assert_eq!(seen[1][2], 3f32.ln(), "the k-th result stayed for two buckets");
        assert!(walk(&points, [4.0, 3.0], Metric::L2, None).is_empty());
    }

    /// The formulas of [`Features`], in f64 and without tables.
    fn naive(state: &StopState, next: &Ranked, radius: f32) -> [f64; N_FEATURES] {
        let ratio = |a: f32, b: f32, cap: f64| if a == 0.0 { 0.0 } else { (f64::from(a) / f64::from(b)).min(cap) };
        let buckets = f64::from(state.buckets).ln_1p();
        let rows = (state.rows as f64 / state.k as f64).ln_1p() / 10.0;
        let (b, d, e) =
            (ratio(next.bisector, radius, 3.0), ratio(next.dist, radius, 3.0), ratio(next.excess, state.gap, 5.0));
        [1.0, buckets, f64::from(state.unchanged).ln_1p(), b, d, e, rows, b * buckets, d * buckets, e * buckets]
    }

    #[test]
    fn features_are_the_formulas_to_rounding() {
        let headers: Vec<_> = (0..3_000)
            .map(|i| BucketHeader::from_rows(2, [&[(i as f32).sin() * (i % 91) as f32, (i % 83) as f32][..]]))
            .collect();
        let router = Router::new(2, &headers, Metric::L2, None);
        let counts = vec![100; headers.len()];
        for k in [1, 10, 1000] {
            let mut ranking = router.rank(&[3.0, 4.0], None, &counts);
            let mut state = StopState::new(k, &ranking);
            for (j, rows) in (0..).zip([7, 0, 133].into_iter().cycle()) {
                // The k-th result comes nearer ever more seldom, and stays from the 1,000th bucket on.
                let score = 400.0 / ((j as f32).min(1_000.0) / 20.0).ceil().max(1.0);
                if ranking.next().is_none() {
                    break;
                }
                state.observe(Some(score), rows);
                let Some(next) = ranking.peek() else { break };
                let Some(features) = state.features(&next) else { continue };
                for (seen, naive) in features.into_iter().zip(naive(&state, &next, score.sqrt())) {
                    assert!((f64::from(seen) - naive).abs() <= 3e-7 * naive.max(1.0), "{j}: {seen} {naive}");
                }
            }
            assert_eq!(state.buckets, 3_000);
        }
    }

    #[test]
    fn unit_vectors_have_the_same_features_by_inner_product_and_by_distance() {
        let points: Vec<[f32; 2]> = (0..20).map(|i| [(i as f32).cos(), (i as f32).sin()]).collect();
        let query = [0.6, 0.8];
        let l2 = walk(&points, query, Metric::L2, Some(0.2));
        // |x - q|^2 = 2 - 2 <q, x>
        let inner = walk(&points, query, Metric::InnerProduct, Some((0.2 - 2.0) / 2.0));
        for (a, b) in l2.iter().flatten().zip(inner.iter().flatten()) {
            assert!((a - b).abs() < 1e-3, "{l2:?}\n{inner:?}");
        }
    }

    #[test]
    fn recall_one_is_never_thought_to_be_reached() {
        let rule = StopRule { weights: [-1e6; N_FEATURES] };
        assert!(rule.missing(&[1.0; N_FEATURES]) > 0.0);
        for weight in [-1e6, f32::MIN] {
            assert!(StopRule { weights: [weight; N_FEATURES] }.log_odds(&[3.0; N_FEATURES]) >= log_odds_of(1.0));
        }
    }

    #[test]
    fn two_buckets_are_read_and_k_rows_found_first() {
        let headers: Vec<_> = (0..5).map(|i| BucketHeader::from_rows(1, [&[i as f32 * 1e6][..]])).collect();
        let router = Router::new(1, &headers, Metric::L2, None);
        let mut ranking = router.rank(&[0.0], None, &[1; 5]);
        let mut state = StopState::new(1, &ranking);
        let mut has_features = |kth| {
            ranking.next();
            state.observe(kth, 1);
            let next = ranking.peek().unwrap();
            state.features(&next).is_some()
        };
        assert!(!has_features(Some(0.0)));
        assert!(!has_features(None));
        assert!(has_features(Some(0.0)));
    }
}
