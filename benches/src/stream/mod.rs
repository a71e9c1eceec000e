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

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(n: usize) -> Rows {
        Rows { data: (0..n).map(|x| x as f32).collect(), dim: 1 }
    }

    /// Plays a stream, and panics where a row comes twice or goes without being there.
    fn play(stream: &Stream, mut after_batch: impl FnMut(&[bool])) -> Vec<bool> {
        let mut live = vec![false; stream.rows.len()];
        let mut next = 0;
        for batch in stream.steps.iter().flat_map(|step| &step.batches) {
            if !batch.insert.is_empty() {
                assert_eq!(batch.insert.start, next);
                next = batch.insert.end;
            }
            for row in batch.insert.clone() {
                live[row as usize] = true;
            }
            for &row in &batch.delete {
                assert!(std::mem::take(&mut live[row as usize]), "{row} is not there");
            }
            after_batch(&live);
        }
        assert_eq!(next as usize, stream.rows.len());
        live
    }

    #[test]
    fn a_window_holds_the_newest_rows() {
        let stream = in_order(numbered(9_500), numbered(100), 4, 10, Some(2_500));
        let live = play(&stream, |live| assert!(live.iter().filter(|l| **l).count() <= 2_500));
        assert!(live[..7_000].iter().all(|l| !l) && live[7_000..].iter().all(|l| *l));
        assert_eq!(stream.steps[2].queries, [50, 52, 55, 57, 60, 62, 65, 67, 70, 72]);
        assert!(stream.steps.iter().all(|step| !step.only_deletes()));
    }

    #[test]
    fn labels_come_one_after_the_other_and_half_goes() {
        let labels: Vec<i64> = (0..3_000).map(|row| row % 3).collect();
        let stream = by_label((numbered(3_000), &labels), (numbered(300), &labels[..300]), 3, 50, true);
        for (newest, step) in stream.steps[..3].iter().enumerate() {
            assert!(step.queries.len() == 50 && step.queries.iter().all(|q| *q as usize % 3 <= newest));
            let came = step.batches[0].insert.clone();
            assert!(came.clone().all(|row| stream.rows.view().row(row as usize)[0] as usize % 3 == newest));
            assert_eq!(came.len(), 1_000);
        }
        assert!(stream.steps[3].only_deletes());
        assert_eq!(play(&stream, |_| ()).iter().filter(|l| **l).count(), 1_500);
    }

    #[test]
    fn churn_deletes_half_of_what_comes_and_half_of_what_stays() {
        let make = || churn(Churn { rows: 8_000, steps: 4, asked: 40 });
        let stream = make();
        assert_eq!(stream.rows.data, make().rows.data);
        assert_eq!((stream.rows.len(), stream.queries.len()), (8_000, 799));
        assert!(stream.steps.iter().all(|step| step.queries.len() == 40));
        assert_eq!(stream.steps[..4].iter().map(Step::deletes).sum::<usize>(), 4_000);
        assert_eq!(play(&stream, |_| ()).iter().filter(|l| **l).count(), 2_000);
    }

    #[test]
    fn no_row_is_held_out_and_kept() {
        let (kept, held) = hold_out(&numbered(1_000));
        assert_eq!((kept.len(), held.len()), (900, 100));
        let mut all = [kept.data, held.data].concat();
        all.sort_unstable_by(f32::total_cmp);
        assert_eq!(all, numbered(1_000).data);
    }
}
