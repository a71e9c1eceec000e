use drift_kernels::{Sq8Query, dot, sq8_centred_dot_rows};

use crate::{
    Sq8Block,
    rounding::{ULP, UNDERFLOW, l2_bounds, largest, norm_above, summation},
};

/// One search over SQ8 codes: its query and the scratch that is reused over blocks.
///
/// With w = u - 128, centre c and step s, a row is x^ = c + s w, and its estimated score is
/// - squared L2: |x^ - q|^2 = |x^ - c|^2 + |r|^2 - 2 s <w, r>, with the residual r = q - c;
/// - inner product: -<q, x^> = -(<q, c> + s <w, q>).
///
/// r and q are rounded to 14 bits, which moves the query by at most [`Sq8Query::error`].
#[derive(Clone, Debug)]
pub struct Sq8Scanner {
    vector: Vec<f32>,
    /// |q|, rounded up.
    norm: f32,
    inner_product: bool,
    query: Sq8Query,
    scores: Vec<f32>,
    /// L2: how far rounding has moved the query, at most, over the blocks scanned so far.
    moved: f32,
    /// What arithmetic may have added to or taken from a score, at most, over the blocks so far.
    slack: f32,
}

impl Sq8Scanner {
    /// Prepares a search for `query`, given in index space.
    pub fn new(query: &[f32], metric_is_inner_product: bool) -> Self {
        let mut rounded = Sq8Query::new(query.len());
        if metric_is_inner_product {
            rounded.set(query);
        }
        Self {
            vector: query.to_vec(),
            norm: norm_above(query),
            inner_product: metric_is_inner_product,
            query: rounded,
            scores: Vec::new(),
            moved: 0.0,
            slack: UNDERFLOW,
        }
    }

    /// The estimated score of each row of the block, valid until the next scan. It may fall a
    /// little below zero even for L2, and is not finite where f32 overflows.
    ///
    /// # Panics
    /// When the block's lengths do not agree with each other or with the query's dimension.
    pub fn scan(&mut self, block: &Sq8Block<'_>) -> &[f32] {
        assert_eq!(block.centre.len(), self.vector.len(), "block of another dimension");
        self.scores.resize(block.norms_sq.len(), 0.0);
        if self.inner_product {
            self.scan_inner_product(block)
        } else {
            self.scan_l2(block)
        }
        &self.scores
    }

    /// Bounds on the true score, real or as f32 kernels compute it, of a row that some block
    /// scanned so far estimated at `estimate`, `error` being that block's. (-inf, inf) where
    /// overflow leaves nothing to say.
    pub fn bounds(&self, estimate: f32, error: f32) -> (f32, f32) {
        let (lower, upper) = if self.inner_product {
            let half = (self.norm * error + self.slack) * (1.0 + 8.0 * ULP);
            (estimate - half, estimate + half)
        } else {
            l2_bounds(estimate, self.slack, error + self.moved, self.summation())
        };
        // Subtracting catches an infinity or NaN in any of the three.
        if (upper - lower - estimate).is_finite() { (lower, upper) } else { (f32::NEG_INFINITY, f32::INFINITY) }
    }

    /// The bounds on the score of each row of the block scanned last, `error` being its.
    pub fn all_bounds(&self, error: f32) -> impl Iterator<Item = (f32, f32)> {
        self.scores.iter().map(move |&estimate| self.bounds(estimate, error))
    }

    fn scan_l2(&mut self, block: &Sq8Block<'_>) {
        self.query.set_residual(&self.vector, block.centre);
        sq8_centred_dot_rows(&self.query, block.codes, &mut self.scores);
        let residual_sq = self.query.norm_sq();
        let factor = -2.0 * block.step;
        for (score, &norm_sq) in self.scores.iter_mut().zip(block.norms_sq) {
            *score = norm_sq + (residual_sq + factor * *score);
        }
        self.moved = self.moved.max(self.query.error());
        // Each of the terms carries at most 4 roundings, and |2 s <w, r>| <= |x^ - c|^2 + |r|^2.
        self.allow(16.0 * ULP * (largest(block.norms_sq) + residual_sq));
    }

    fn scan_inner_product(&mut self, block: &Sq8Block<'_>) {
        sq8_centred_dot_rows(&self.query, block.codes, &mut self.scores);
        let base = dot(&self.vector, block.centre);
        for score in &mut self.scores {
            *score = -(base + block.step * *score);
        }
        let radius = (largest(block.norms_sq) + UNDERFLOW).sqrt() * (1.0 + 8.0 * ULP);
        let reach = norm_above(block.centre) + radius + block.error;
        // <q, c> here and <q, x> at the rerank are sums of `dim` terms each.
        self.allow(radius * self.query.error() + 2.0 * self.summation() * self.norm * reach);
    }

    fn summation(&self) -> f32 {
        summation(self.vector.len())
    }

    /// Raises the slack; NaN (infinity times zero) counts as infinite.
    fn allow(&mut self, slack: f32) {
        let slack = slack + UNDERFLOW;
        self.slack = if slack.is_nan() { f32::INFINITY } else { self.slack.max(slack) };
    }
}
