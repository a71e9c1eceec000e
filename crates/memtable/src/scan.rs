//! The flat scan: int8 estimates with error bounds, then exact scores of the rows the bounds
//! cannot rule out. Its answer is exact.

use std::cmp::Ordering;

use drift_codec::Sq8Scanner;
use drift_types::{Metric, TopK, VectorId};

use crate::chunk::TailChunk;

/// A row found in a memtable. Ordered by score, ties by key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct L0Hit {
    /// The engine's score, computed from the exact row; smaller is nearer.
    pub score: f32,
    /// The row's key.
    pub id: VectorId,
    /// The row's place in its memtable.
    pub ordinal: u32,
}

impl Eq for L0Hit {}

impl Ord for L0Hit {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score).then(self.id.cmp(&other.id)).then(self.ordinal.cmp(&other.ordinal))
    }
}

impl PartialOrd for L0Hit {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The engine's score of one exact row.
pub(crate) fn score(metric: Metric, query: &[f32], row: &[f32]) -> f32 {
    match metric {
        Metric::L2 | Metric::Cosine => drift_kernels::l2_sq(query, row),
        Metric::InnerProduct => -drift_kernels::dot(query, row),
    }
}

/// Keeps `hit` if it is among the best and live. Returns false if it was not even near enough.
///
/// `live` may be dear (it looks rows up by key), so it is asked last.
pub(crate) fn offer(hit: L0Hit, live: &dyn Fn(u32) -> bool, out: &mut TopK<L0Hit>) -> bool {
    let near_enough = out.kth().is_none_or(|worst| hit < *worst);
    if near_enough && live(hit.ordinal) {
        out.push(hit);
    }
    near_enough
}

/// Offers every row of `chunk` by its exact score, codes unseen.
pub(crate) fn scan_exact(
    query: &[f32],
    metric: Metric,
    chunk: &TailChunk,
    live: &dyn Fn(u32) -> bool,
    out: &mut TopK<L0Hit>,
) {
    for i in 0..chunk.len() {
        offer(exact_hit(query, metric, chunk, i), live, out);
    }
}

fn exact_hit(query: &[f32], metric: Metric, chunk: &TailChunk, i: usize) -> L0Hit {
    L0Hit { score: score(metric, query, chunk.row(i)), id: chunk.id(i), ordinal: chunk.first + i as u32 }
}

/// One query's scan over any number of chunks.
pub(crate) struct FlatScan<'a> {
    query: &'a [f32],
    metric: Metric,
    scanner: Sq8Scanner,
}

impl<'a> FlatScan<'a> {
    pub(crate) fn new(query: &'a [f32], metric: Metric) -> Self {
        Self { query, metric, scanner: Sq8Scanner::new(query, metric == Metric::InnerProduct) }
    }

    /// Offers the rows of `chunk` whose bound beats the k-th best found so far.
    pub(crate) fn scan(&mut self, chunk: &TailChunk, live: &dyn Fn(u32) -> bool, out: &mut TopK<L0Hit>) {
        let block = chunk.block();
        let estimates = self.scanner.scan(&block).to_vec(); // `bounds` borrows the scanner as well
        // Bounds grow with the estimate and the k-th best only improves: what ruled one row out
        // rules out every larger estimate of the chunk, and most rows cost one comparison.
        let mut ruled_out = f32::INFINITY;
        for (i, estimate) in estimates.into_iter().enumerate() {
            if (ruled_out..f32::INFINITY).contains(&estimate) {
                continue;
            }
            if let Some(worst) = out.kth()
                && self.scanner.bounds(estimate, block.error).0 > worst.score
            {
                ruled_out = estimate;
                continue;
            }
            offer(exact_hit(self.query, self.metric, chunk, i), live, out);
        }
    }
}
