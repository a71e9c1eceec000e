//! What audits teach a rule.

use crate::{StopRule, Walk, fit::fit_near, log_odds_of, walk::Trial};

/// Recalls a rule is held to, and how much each of them counts.
const ASKED: [(f32, f64); 3] = [(0.90, 1.0), (0.95, 2.0), (0.99, 1.0)];
/// A rule's own word counts as much as so many walks. On text and image vectors a rule calibrated from
/// 16 walks was never more than .006 below the .95 asked, one from 320 not more than .006 off it.
const WORD_WORTH: f64 = 60.0;
/// The recall of walks is taken to be so many standard errors lower than it was.
const CAUTION: f64 = 1.5;
/// Log odds by which walks may call a rule too hopeful, and by which too careful. Under a stream the
/// searches that were audited saw other rows than those that come: a rule that had learned from them to
/// stop much earlier got .914 in a window where .95 was asked.
const TOO_HOPEFUL_MAX: f32 = 2.0;
const TOO_CAREFUL_MAX: f32 = 0.25;
/// A rule that got so many standard errors less on the walks than it promised has no word. On normally
/// distributed vectors, which lie in no clusters, the default rule gets .66 to .82 where .95 is asked,
/// and .94 to .96 after 16 audits; keeping half its word it got .72 to .87.
const REFUTED: f64 = 3.0;
/// How much steeper, or flatter, a rule may become.
const SLOPE: std::ops::Range<f64> = 0.7..1.5;
/// Weights fitted anew are drawn to the old ones as if these had been seen on so many walks.
const WEIGHTS_WORTH: f32 = 100.0;
/// They are taken if they read this share of the buckets at most, on walks they were not fitted to. On
/// vectors like those of the default weights they read as many and are worse for a `k` that was
/// not audited; under the inner product of images they read half.
const WORTHWHILE: f32 = 0.7;
/// Fewer walks cannot tell.
const WALKS_MIN: usize = 8;
/// Halvings of the range in which log odds are looked for.
const HALVINGS: usize = 20;
const LOG_ODDS: std::ops::Range<f32> = -14.0..4.0;

/// The rule that `walks` suggest to a collection served by `prior` so far: its promise of recall is
/// brought in line with what the walks would have got, and its weights are fitted anew where that
/// saves much. Few walks change little.
pub fn refit(prior: &StopRule, walks: &[Walk]) -> StopRule {
    if walks.len() < WALKS_MIN {
        return prior.clone();
    }
    let refitted = fit_near(prior, WEIGHTS_WORTH, walks.iter());
    let base = if saves(prior, walks) <= WORTHWHILE { &refitted } else { prior };
    calibrated(base, walks)
}

/// The buckets that weights fitted anew read, over those that `prior` reads: each half of the walks is
/// judged by a fit to the other.
fn saves(prior: &StopRule, walks: &[Walk]) -> f32 {
    let half = |first: usize| walks.iter().skip(first).step_by(2);
    let (mut old, mut new) = (0.0, 0.0);
    for fold in [0, 1] {
        let fitted = fit_near(prior, WEIGHTS_WORTH, half(fold));
        old += cost(&half(1 - fold).map(|walk| walk.by(prior)).collect::<Vec<_>>());
        new += cost(&half(1 - fold).map(|walk| walk.by(&fitted)).collect::<Vec<_>>());
    }
    new / old
}

/// Buckets read per walk for a recall of .95.
fn cost(trials: &[Trial<'_>]) -> f32 {
    let enough = log_odds_for(trials, 0.95, 0.0);
    trials.iter().map(|trial| trial.stopped_at(enough).1).sum::<f32>() / trials.len() as f32
}

/// `rule` with its log odds stretched and shifted so that stopping at what it calls enough gets what is
/// asked.
fn calibrated(rule: &StopRule, walks: &[Walk]) -> StopRule {
    let trials: Vec<_> = walks.iter().map(|walk| walk.by(rule)).collect();
    let n = walks.len() as f64;
    // Where the rule ought to say "enough", and what it is to say there.
    let points = ASKED.map(|(asked, weight)| {
        let said = log_odds_of(asked);
        let found = log_odds_for(&trials, asked, CAUTION);
        if is_refuted(&trials, asked) {
            return (f64::from(found), f64::from(said), weight);
        }
        let found = found.clamp(said - TOO_HOPEFUL_MAX, said + TOO_CAREFUL_MAX);
        let at = (n * f64::from(found) + WORD_WORTH * f64::from(said)) / (n + WORD_WORTH);
        (at, f64::from(said), weight)
    });
    let (slope, shift) = line(&points);
    let mut calibrated = StopRule { weights: rule.weights.map(|w| w * slope) };
    calibrated.weights[0] += shift;
    calibrated
}

/// Whether these trials' rule cannot be believed when it says that so much is found.
fn is_refuted(trials: &[Trial<'_>], asked: f32) -> bool {
    let (mean, error) = recall(trials, log_odds_of(asked));
    mean + REFUTED * error < f64::from(asked)
}

/// The line through weighted points, as slope and height at 0.
fn line(points: &[(f64, f64, f64)]) -> (f32, f32) {
    let total: f64 = points.iter().map(|p| p.2).sum();
    let mean = |of: fn(&(f64, f64, f64)) -> f64| points.iter().map(|p| p.2 * of(p)).sum::<f64>() / total;
    let (x, y) = (mean(|p| p.0), mean(|p| p.1));
    let rise: f64 = points.iter().map(|p| p.2 * (p.0 - x) * (p.1 - y)).sum();
    let run: f64 = points.iter().map(|p| p.2 * (p.0 - x).powi(2)).sum();
    let slope = if run > 0.0 { (rise / run).clamp(SLOPE.start, SLOPE.end) } else { 1.0 };
    (slope as f32, (y - slope * x) as f32)
}

/// The highest log odds at which walks can stop and still reach `asked` on average, less `caution`
/// standard errors.
fn log_odds_for(trials: &[Trial<'_>], asked: f32, caution: f64) -> f32 {
    let (mut low, mut high) = (LOG_ODDS.start, LOG_ODDS.end);
    for _ in 0..HALVINGS {
        let middle = (low + high) / 2.0;
        let (mean, error) = recall(trials, middle);
        *(if mean - caution * error >= f64::from(asked) { &mut low } else { &mut high }) = middle;
    }
    low
}

/// Mean recall of walks that stop at `enough`, and its standard error.
fn recall(trials: &[Trial<'_>], enough: f32) -> (f64, f64) {
    let n = trials.len() as f64;
    let recalls = trials.iter().map(|trial| 1.0 - f64::from(trial.stopped_at(enough).0));
    let (sum, squares) = recalls.fold((0.0, 0.0), |(sum, squares), r| (sum + r, squares + r * r));
    let mean = sum / n;
    (mean, ((squares / n - mean * mean).max(0.0) / (n - 1.0).max(1.0)).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Features, N_FEATURES};
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// What is in truth missing, as a rule: it falls with the buckets read, the sooner the easier a
    /// query is, and how easy it is shows in one feature.
    const TRUTH: [f32; 3] = [1.5, -1.8, -1.0];

    fn rule(weights: [f32; 3]) -> StopRule {
        let mut rule = StopRule { weights: [0.0; N_FEATURES] };
        rule.weights[..3].copy_from_slice(&weights);
        rule
    }

    fn walks(n: usize, rng: &mut ChaCha8Rng) -> Vec<Walk> {
        let truth = rule(TRUTH);
        (0..n)
            .map(|_| {
                let easy: f32 = rng.random_range(-1.0..1.0);
                let found_when: Vec<f32> = (0..10).map(|_| rng.random()).collect();
                Walk::new((1..300).map(|j| {
                    let mut x: Features = [0.0; N_FEATURES];
                    x[..3].copy_from_slice(&[1.0, (j as f32).ln_1p(), easy]);
                    let missing = found_when.iter().filter(|&&when| when < truth.missing(&x)).count();
                    (Some(x), missing as f32 / 10.0)
                }))
            })
            .collect()
    }

    fn off_by(rule: &StopRule, walks: &[Walk], asked: f32) -> f64 {
        recall_of(rule, walks, asked) - f64::from(asked)
    }

    fn recall_of(rule: &StopRule, walks: &[Walk], asked: f32) -> f64 {
        let trials: Vec<_> = walks.iter().map(|walk| walk.by(rule)).collect();
        recall(&trials, log_odds_of(asked)).0
    }

    #[test]
    fn many_audits_mend_a_rule_that_no_longer_fits() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let (seen, others) = (walks(300, &mut rng), walks(2_000, &mut rng));
        // Too hopeful, and wrong about what makes a query easy.
        for wrong in [[0.5, -1.8, -1.0], [1.5, -2.1, 0.5]] {
            let mended = refit(&rule(wrong), &seen);
            for (asked, _) in ASKED {
                let (before, after) = (off_by(&rule(wrong), &others, asked), off_by(&mended, &others, asked));
                assert!(
                    (-0.01..0.03).contains(&after) && after.abs() < before.abs(),
                    "{wrong:?}, {asked}: {before} {after}"
                );
            }
        }
    }

    #[test]
    fn a_few_audits_mend_a_rule_that_they_refute() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let (seen, others) = (walks(16, &mut rng), walks(2_000, &mut rng));
        let hopeful = rule([-2.0, -1.8, -1.0]);
        assert!(off_by(&hopeful, &others, 0.95) < -0.3);
        for (asked, _) in ASKED {
            let after = off_by(&refit(&hopeful, &seen), &others, asked);
            assert!((-0.02..0.05).contains(&after), "{asked}: {after}");
        }
    }

    #[test]
    fn a_rule_that_is_too_careful_becomes_a_little_less_so() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let (seen, others) = (walks(300, &mut rng), walks(2_000, &mut rng));
        let careful = rule([2.5, -1.8, -1.0]);
        let mended = refit(&careful, &seen);
        for (asked, _) in ASKED {
            let (before, after) = (off_by(&careful, &others, asked), off_by(&mended, &others, asked));
            assert!(0.0 < after && after < before, "{asked}: {before} {after}");
        }
    }

    #[test]
    fn weights_are_fitted_anew_where_that_saves_much() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let seen = walks(300, &mut rng);
        assert!(saves(&rule([1.5, -1.8, 1.0]), &seen) < 0.8, "hard and easy queries are mistaken for each other");
        assert!(saves(&rule(TRUTH), &seen) > 0.97);
    }

    #[test]
    fn few_audits_change_little_and_none_nothing() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let (prior, others) = (rule(TRUTH), walks(2_000, &mut rng));
        let before = recall_of(&prior, &others, 0.95);
        for _ in 0..20 {
            let after = recall_of(&refit(&prior, &walks(16, &mut rng)), &others, 0.95);
            assert!((after - before).abs() < 0.02, "{before} {after}");
        }
        assert_eq!(refit(&prior, &walks(WALKS_MIN - 1, &mut rng)), prior);
        assert_eq!(refit(&prior, &[]), prior);
    }

    #[test]
    fn walks_that_find_all_or_nothing_leave_finite_weights() {
        for missing in [0.0, 1.0] {
            let walk = Walk::new((1..50).map(|j| (Some([j as f32; N_FEATURES]), missing)));
            let rule = refit(&StopRule::default(), &vec![walk; 20]);
            assert!(rule.weights.iter().all(|w| w.is_finite()), "{rule:?}");
        }
        let nothing_to_decide = vec![Walk::new([(None, 0.0)]); 20];
        assert!(refit(&StopRule::default(), &nothing_to_decide).weights.iter().all(|w| w.is_finite()));
    }
}
