//! Carries out what `ivf` decides about the rows in a job's hands and those near them.

use std::sync::Arc;

use drift_ivf::{Act, ArrangedBucket, Arrangement};
use drift_manifest::Action;

use super::draft::{Draft, Hand};
use crate::{Result, snapshot::BucketPast};

impl Draft {
    /// Joins, splits, re-centres, and lets rows go to the centroids they are nearest to: those in hand,
    /// and those that lie around centroids that have moved.
    pub async fn arrange(&mut self, hand: Hand) -> Result<Hand> {
        if !self.shared.common.settings.maintenance {
            return Ok(hand);
        }
        let Hand { rows, homes } = hand;
        let buckets = (0..self.buckets.len()).map(|bucket| self.arranged(bucket)).collect();
        let mut arrangement = Arrangement::new(buckets, homes, self.shared.common.settings.seed);
        let work = move || {
            arrangement.settle(rows.index_rows());
            (rows, arrangement)
        };
        let (rows, arrangement) = self.run(work).await?;
        self.adopt(&arrangement);
        let changed = arrangement.changed();
        let counts = arrangement.counts();
        let hand = Hand { rows, homes: arrangement.homes };
        self.steal(hand, &changed, counts).await
    }

    fn arranged(&self, bucket: usize) -> ArrangedBucket {
        let is_whole = self.buckets[bucket].runs.is_empty();
        let bucket = &self.buckets[bucket];
        let rows = if is_whole { self.notes.rows_before(bucket.id) } else { bucket.header.n_live as usize };
        let cools = |from| bucket.past.is_cooling(from, self.manifest, rows);
        ArrangedBucket {
            staying: bucket.header.clone(),
            is_whole,
            may_join: !cools(Action::Split),
            may_split: !cools(Action::Merge),
            dense_rows: bucket.past.dense_rows as usize,
            is_changed: false,
            is_closed: false,
        }
    }

    /// Makes what was decided the state of the draft.
    fn adopt(&mut self, arrangement: &Arrangement) {
        let known = self.buckets.len();
        for child in &arrangement.buckets[known..] {
            self.add_bucket(child.staying.centroid.clone(), BucketPast::default(), 0.0);
        }
        for (bucket, arranged) in self.buckets.iter_mut().zip(&arrangement.buckets) {
            if bucket.header.centroid != arranged.staying.centroid {
                Arc::make_mut(&mut bucket.header).centroid.clone_from(&arranged.staying.centroid);
            }
            if arranged.is_whole {
                bucket.generation += 1;
                bucket.observed.looked(self.manifest, 0.0);
            }
        }
        for act in &arrangement.acts {
            match act {
                Act::Joined { receivers, .. } => {
                    receivers.iter().for_each(|&receiver| self.mark(receiver, Action::Merge));
                }
                Act::Split { bucket, children, .. } => self.adopt_children(*bucket, children),
                Act::Dense { bucket, rows } => self.buckets[*bucket as usize].past.dense_rows = *rows,
                Act::Recentred { .. } | Act::Took { .. } => {}
            }
        }
        self.note_acts(&arrangement.acts);
    }

    fn adopt_children(&mut self, parent: u32, children: &[u32]) {
        // Searches will find each part about as often, in its share.
        let share = self.buckets[parent as usize].observed.temperature() / (1 + children.len()) as f32;
        for &bucket in children.iter().chain([&parent]) {
            self.buckets[bucket as usize].observed = Arc::new(crate::observed::Observed::new(share));
            self.mark(bucket, Action::Split);
        }
    }

    fn mark(&mut self, bucket: u32, action: Action) {
        let changed = Some((action, ulid::Ulid::new().timestamp_ms()));
        self.buckets[bucket as usize].past =
            BucketPast { changed, manifest: self.manifest, rows_changed: 0, dense_rows: 0 };
    }
}
