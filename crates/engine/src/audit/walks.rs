use std::collections::VecDeque;

use drift_ivf::{K_CLASSES, N_FEATURES, StopRules, Walk};

/// Steps of walks kept for each class of k: 200,000 floats or so.
const STEPS_MAX: usize = 200_000 / (N_FEATURES + 1);
/// A rule is fitted anew after this many audits,
const REFIT_MIN: usize = 16;
/// and then when so large a part of all are new.
const REFIT_SHARE: usize = 6;

/// What the audits of a collection have shown, as far as it is kept.
#[derive(Debug)]
pub(crate) struct Walks {
    /// The rules the collection was opened with.
    prior: StopRules,
    by_class: [OfClass; K_CLASSES],
}

/// The walks of one class of k.
#[derive(Debug, Default)]
struct OfClass {
    /// Oldest first.
    walks: VecDeque<Walk>,
    steps: usize,
    /// Walks since the last fit.
    new: usize,
}

/// A fit that is due.
pub(super) struct Refit {
    prior: StopRules,
    class: usize,
    walks: Vec<Walk>,
}

impl Walks {
    pub fn new(prior: StopRules) -> Self {
        Self { prior, by_class: Default::default() }
    }

    /// Adds the walk of a search for `k` rows, for which the oldest of its class make room. Answers with a
    /// fit, if enough audits of the class have come since the last one.
    pub(super) fn add(&mut self, k: usize, walk: Walk) -> Option<Refit> {
        let class = StopRules::class_of(k);
        let of_class = &mut self.by_class[class];
        of_class.add(walk);
        of_class.due().then(|| Refit {
            prior: self.prior.clone(),
            class,
            walks: of_class.walks.iter().cloned().collect(),
        })
    }
}

impl OfClass {
    fn add(&mut self, walk: Walk) {
        if walk.is_empty() || walk.len() > STEPS_MAX {
            return;
        }
        self.steps += walk.len();
        self.walks.push_back(walk);
        self.new += 1;
        while self.steps > STEPS_MAX {
            let gone = self.walks.pop_front().expect("there are steps");
            self.steps -= gone.len();
        }
    }

    fn due(&mut self) -> bool {
        let due = self.new >= REFIT_MIN.max(self.walks.len() / REFIT_SHARE);
        if due {
            self.new = 0;
        }
        due
    }
}

impl Refit {
    /// `rules` with the one that the walks suggest for their class.
    pub fn run(self, rules: &StopRules) -> StopRules {
        let mut rules = rules.clone();
        rules.refit(self.class, &self.prior, &self.walks);
        rules
    }
}
