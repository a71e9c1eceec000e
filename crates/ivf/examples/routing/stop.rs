//! The stop rule alone, after buckets have been ranked.

use std::{hint::black_box, time::Instant};

use drift_ivf::{BUCKET_ROWS, Ranked, StopRule, StopState};

use crate::set::Set;

const ROUNDS: usize = 50;

/// Of noting a bucket and predicting what is missing, over a walk in which every third bucket changes
/// the k-th result: the best round.
pub fn ns_per_bucket(set: &Set) -> f64 {
    let rule = StopRule::default();
    let rounds = (0..ROUNDS).map(|round| {
        let ranking = set.router.rank(&set.queries[round], None, &set.counts);
        let mut state = StopState::new(10, &ranking);
        let buckets: Vec<Ranked> = ranking.collect();
        let begun = Instant::now();
        for (i, next) in buckets.iter().enumerate() {
            state.observe(Some(100.0 - (i / 3) as f32 * 0.1), BUCKET_ROWS);
            black_box(state.features(next).map(|features| rule.log_odds(&features)));
        }
        begun.elapsed().as_secs_f64() * 1e9 / buckets.len() as f64
    });
    rounds.fold(f64::INFINITY, f64::min)
}
