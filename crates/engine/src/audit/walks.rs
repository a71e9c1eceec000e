use std::collections::VecDeque;

use drift_ivf::{N_FEATURES, StopRule, Walk, refit};

/// Steps of walks kept: 200,000 floats or so.
const STEPS_MAX: usize = 200_000 / (N_FEATURES + 1);
/// The rule is fitted anew after this many audits,
const REFIT_MIN: usize = 16;
/// and then when so large a part of all are new.
const REFIT_SHARE: usize = 6;

/// What the audits of a collection have shown, as far as it is kept.
#[derive(Debug)]
pub(crate) struct Walks {
    /// The rule the collection was opened with.
    prior: StopRule,
    /// Oldest first.
    walks: VecDeque<Walk>,
    steps: usize,
    /// Walks since the last fit.
    new: usize,
}

/// A fit that is due.
pub(super) struct Refit {
    prior: StopRule,
    walks: Vec<Walk>,
}

impl Walks {
    pub fn new(prior: StopRule) -> Self {
        Self { prior, walks: VecDeque::new(), steps: 0, new: 0 }
    }

    /// Adds a walk, for which the oldest ones make room.
    pub(super) fn add(&mut self, walk: Walk) {
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

    /// A fit, if enough audits have come since the last one.
    pub(super) fn due(&mut self) -> Option<Refit> {
        if self.new < REFIT_MIN.max(self.walks.len() / REFIT_SHARE) {
            return None;
        }
        self.new = 0;
        Some(Refit { prior: self.prior.clone(), walks: self.walks.iter().cloned().collect() })
    }
}

impl Refit {
    /// The rule that the walks suggest.
    pub fn run(self) -> StopRule {
        refit(&self.prior, &self.walks)
    }
}
