use crate::{Features, StopRule};

/// Buckets between two steps that are kept: one in so many of those read before.
const SPACING: u32 = 10;

/// A search that read every bucket: what a [`StopRule`] would have seen on the way, and what was in
/// truth missing. Late steps are alike, so they are kept ever farther apart.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Walk {
    steps: Vec<Step>,
    /// Buckets in all.
    buckets: u32,
}

#[derive(Clone, Debug, PartialEq)]
struct Step {
    /// Buckets read.
    buckets: u32,
    features: Features,
    /// Share of the true top-k in buckets not read yet.
    missing: f32,
}

impl Walk {
    /// The walk of these moments, one after each bucket: the features, where there were any, and the
    /// share (0 to 1) of the true top-k that was still missing.
    pub fn new(moments: impl IntoIterator<Item = (Option<Features>, f32)>) -> Self {
        let mut steps = Vec::new();
        let (mut due, mut all) = (0, 0);
        for (buckets, (features, missing)) in (1..).zip(moments) {
            all = buckets;
            let Some(features) = features.filter(|_| buckets >= due) else { continue };
            steps.push(Step { buckets, features, missing });
            due = buckets + 1 + buckets / SPACING;
        }
        Self { steps, buckets: all }
    }

    /// Number of steps kept.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Whether there was nothing to decide.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Features with the share that was missing.
    pub fn samples(&self) -> impl Iterator<Item = (Features, f32)> {
        self.steps.iter().map(|step| (step.features, step.missing))
    }

    /// How the search would have gone by `rule`.
    pub(crate) fn by<'w>(&'w self, rule: &StopRule) -> Trial<'w> {
        let mut lowest = f32::INFINITY;
        let falling = self.steps.iter().map(|step| {
            lowest = lowest.min(rule.log_odds(&step.features));
            lowest
        });
        Trial { log_odds: falling.collect(), walk: self }
    }
}

/// A walk as a rule sees it.
pub(crate) struct Trial<'w> {
    /// The lowest log odds of missing rows up to each step.
    log_odds: Vec<f32>,
    walk: &'w Walk,
}

impl Trial<'_> {
    /// Where the search ends that stops at the first log odds of at most `enough`: the share missing
    /// and the buckets read. Between two steps that are far apart it stops halfway.
    pub fn stopped_at(&self, enough: f32) -> (f32, f32) {
        let steps = &self.walk.steps;
        let step = self.log_odds.partition_point(|&z| z > enough);
        let Some(at) = steps.get(step) else { return (0.0, self.walk.buckets as f32) };
        let Some(before) = step.checked_sub(1).map(|s| &steps[s]) else { return (at.missing, at.buckets as f32) };
        let apart = (at.buckets - before.buckets) as f32;
        let after = (apart + 1.0) / 2.0;
        (before.missing + (at.missing - before.missing) * after / apart, before.buckets as f32 + after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::N_FEATURES;

    fn walk(buckets: usize) -> Walk {
        Walk::new((1..=buckets).map(|j| ((j > 1).then_some([j as f32; N_FEATURES]), 1.0 - j as f32 / buckets as f32)))
    }

    #[test]
    fn early_steps_are_all_kept_and_late_ones_a_tenth_apart() {
        let kept: Vec<u32> = walk(5_000).steps.iter().map(|s| s.buckets).collect();
        assert_eq!(kept[..9], [2, 3, 4, 5, 6, 7, 8, 9, 10]);
        assert!(kept.windows(2).all(|w| w[1] - w[0] <= 1 + w[0] / 10), "{kept:?}");
        assert!(kept.len() < 85 && *kept.last().unwrap() > 4_500, "{kept:?}");
    }

    #[test]
    fn between_distant_steps_a_search_stops_halfway() {
        // The log odds are minus the buckets read.
        let walk = walk(1_000);
        let mut rule = StopRule { weights: [0.0; N_FEATURES] };
        rule.weights[3] = -1.0;
        let trial = walk.by(&rule);
        assert_eq!(trial.stopped_at(0.0), (0.998, 2.0));
        assert_eq!(trial.stopped_at(-3.0), (0.997, 3.0));
        let far = walk.steps.iter().position(|s| s.buckets > 100).unwrap();
        let (a, b) = (walk.steps[far - 1].buckets, walk.steps[far].buckets);
        // Any of a+1 ..= b is as likely.
        let halfway = (a + 1 + b) as f32 / 2.0;
        let (missing, buckets) = trial.stopped_at(-(b as f32));
        assert!(buckets == halfway && (missing - (1.0 - halfway / 1_000.0)).abs() < 1e-5);
        assert_eq!(trial.stopped_at(-2_000.0), (0.0, 1_000.0));
    }
}
