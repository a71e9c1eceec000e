use crate::{N_FEATURES, StopRule, Walk, refit};

/// Number of classes that numbers of neighbours fall into.
pub const K_CLASSES: usize = 4;

/// A [`StopRule`] for each class of k: about 1, 10, 100, and 1,000 or more. What searches for 10 teach
/// holds for others but little: on images, 360 of them took the recall at k = 1,000 from .943 to .929 where
/// .95 was asked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StopRules([StopRule; K_CLASSES]);

impl StopRules {
    /// The class of searches for `k` rows: the nearest power of ten on a logarithmic scale, up to 1,000.
    pub fn class_of(k: usize) -> usize {
        let nearest = (k.max(1) as f32).log10().round() as usize;
        nearest.min(K_CLASSES - 1)
    }

    fn of_class(&self, class: usize) -> &StopRule {
        &self.0[class]
    }

    /// The rule for searches for `k` rows.
    pub fn of(&self, k: usize) -> &StopRule {
        self.of_class(Self::class_of(k))
    }

    /// Fits the rule of a class anew to walks of its searches, as [`refit`] does from the rule that `prior`
    /// has for it.
    ///
    /// # Panics
    /// When there is no such class.
    pub fn refit(&mut self, class: usize, prior: &Self, walks: &[Walk]) {
        self.0[class] = refit(prior.of_class(class), walks);
    }

    /// The weights of all rules, one after the other.
    pub fn weights(&self) -> Vec<f32> {
        self.0.iter().flat_map(|rule| rule.weights).collect()
    }

    /// The rules of these weights, or one rule for all classes; none where they are of another number or
    /// not finite.
    pub fn from_weights(weights: &[f32]) -> Option<Self> {
        let all = if weights.len() == N_FEATURES { weights.repeat(K_CLASSES) } else { weights.to_vec() };
        if all.len() != N_FEATURES * K_CLASSES || !all.iter().all(|w| w.is_finite()) {
            return None;
        }
        let rule = |class: usize| StopRule { weights: std::array::from_fn(|i| all[class * N_FEATURES + i]) };
        Some(Self(std::array::from_fn(rule)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_neighbours_fall_into_the_nearest_decade() {
        let classes = [0, 1, 3, 4, 31, 32, 316, 317, 1_000, 100_000].map(StopRules::class_of);
        assert_eq!(classes, [0, 0, 0, 1, 1, 2, 2, 3, 3, 3]);
    }

    #[test]
    fn what_one_class_learns_leaves_the_others_as_they_are() {
        // Whatever is read, everything is still missing: the rule becomes as careful as it can.
        let walk = Walk::new((1..50).map(|j| (Some([j as f32 / 50.0; N_FEATURES]), 1.0)));
        let prior = StopRules::default();
        let mut rules = prior.clone();
        rules.refit(3, &prior, &vec![walk; 40]);
        assert_ne!(rules.of(1_000), prior.of(1_000));
        assert!([1, 10, 100].iter().all(|&k| rules.of(k) == prior.of(k)));
    }

    #[test]
    fn weights_are_read_back_and_those_of_one_rule_serve_all() {
        let mut rules = StopRules::default();
        rules.0[2].weights[4] = 7.0;
        assert_eq!(StopRules::from_weights(&rules.weights()), Some(rules.clone()));
        let one = StopRules::from_weights(&rules.0[2].weights).unwrap();
        assert!((0..K_CLASSES).all(|class| one.of_class(class) == &rules.0[2]));
        for bad in [&[1.0; 9][..], &[1.0; 39], &[f32::NAN; 40], &[]] {
            assert_eq!(StopRules::from_weights(bad), None);
        }
    }
}
