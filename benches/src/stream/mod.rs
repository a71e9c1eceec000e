//! Streams: which rows come, which go, and what is asked, step by step.
//!
//! A stream is settled before it is run, so that every engine gets the same one. Its rows are numbered
//! in the order they come; the number is the row's id.

mod churn;
mod ordered;

pub use churn::{Churn, churn};
pub use ordered::{by_cluster, by_label, hold_out, in_order};

use std::ops::Range;

use rand::{SeedableRng, seq::index};
use rand_chacha::ChaCha8Rng;

use crate::data::Rows;

/// Rows per insert, and per delete of a phase of deletes.
pub const BATCH_ROWS: usize = 1_000;
/// Of all that is random in a stream.
const SEED: u64 = 20_261_126;

/// What happens to a collection.
#[derive(Debug)]
pub struct Stream {
    /// Rows in the order they come.
    pub rows: Rows,
    /// Vectors to ask for. None of them is a row.
    pub queries: Rows,
    /// Step by step.
    pub steps: Vec<Step>,
}

/// A share of the stream, after which is measured.
#[derive(Debug, Default)]
pub struct Step {
    /// What distinguishes it.
    pub name: String,
    /// In this order.
    pub batches: Vec<Batch>,
    /// What is asked after it, as positions in [`Stream::queries`].
    pub queries: Vec<u32>,
}

/// One insert and one delete.
#[derive(Debug, Default)]
pub struct Batch {
    /// Rows that come.
    pub insert: Range<u32>,
    /// Rows that go afterwards.
    pub delete: Vec<u32>,
}

impl Step {
    /// Whether rows go and none come.
    pub fn only_deletes(&self) -> bool {
        self.batches.iter().all(|batch| batch.insert.is_empty())
    }

    /// Rows that come.
    pub fn inserts(&self) -> usize {
        self.batches.iter().map(|batch| batch.insert.len()).sum()
    }

    /// Rows that go.
    pub fn deletes(&self) -> usize {
        self.batches.iter().map(|batch| batch.delete.len()).sum()
    }

    /// Brings one flag per row up to date: whether it is live.
    pub fn apply(&self, live: &mut [bool]) {
        for batch in &self.batches {
            live[batch.insert.start as usize..batch.insert.end as usize].fill(true);
            batch.delete.iter().for_each(|&row| live[row as usize] = false);
        }
    }
}

/// Rows `start..end` as inserts.
fn inserts(rows: Range<usize>) -> Vec<Batch> {
    let starts = rows.clone().step_by(BATCH_ROWS);
    starts
        .map(|start| Batch { insert: start as u32..(start + BATCH_ROWS).min(rows.end) as u32, delete: Vec::new() })
        .collect()
}

/// A step that deletes a random half of these rows.
fn half_deleted(mut rows: Vec<u32>, queries: Vec<u32>) -> Step {
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let half = rows.len() / 2;
    let (chosen, _) = rand::seq::SliceRandom::partial_shuffle(rows.as_mut_slice(), &mut rng, half);
    let batches = chosen.chunks(BATCH_ROWS).map(|rows| Batch { insert: 0..0, delete: rows.to_vec() });
    Step { name: "half deleted".into(), batches: batches.collect(), queries }
}

/// Part `i` of `parts` about equal ones of `0..n`.
fn part(n: usize, i: usize, parts: usize) -> Range<usize> {
    n * i / parts..n * (i + 1) / parts
}

/// At most `most` of these, evenly spread.
fn thinned(all: &[u32], most: usize) -> Vec<u32> {
    let take = most.min(all.len());
    (0..take).map(|i| all[i * all.len() / take]).collect()
}

/// At most `most` of these, at random.
fn sample(all: &[u32], most: usize, rng: &mut ChaCha8Rng) -> Vec<u32> {
    index::sample(rng, all.len(), most.min(all.len())).iter().map(|i| all[i]).collect()
}
