//! Where the rows of a job go: small buckets are joined to others, large ones split, centroids follow
//! their rows, and rows follow the centroids.

use std::{collections::BTreeSet, sync::Arc};

use drift_types::Vectors;

use crate::{
    BUCKET_ROWS_MIN, BucketHeader, Centroids, Split,
    members::{gather, mean_of},
    reassign::{reassign, scatter_rows},
    split::{should_split, split},
};

/// A centroid that its rows' mean has left by more than this many radii follows it.
pub const DRIFT_MAX: f32 = 0.1;

/// Passes in which centroids and rows follow each other.
const PASSES: usize = 2;

/// A bucket during a job.
#[derive(Clone, Debug)]
pub struct ArrangedBucket {
    /// Of the rows that stay where they are stored; the centroid is the bucket's.
    pub staying: Arc<BucketHeader>,
    /// None of its rows stays: all are in the job's hands, and it is made anew.
    pub is_whole: bool,
    /// Whether it may be joined to others, and split.
    pub may_join: bool,
    /// See there.
    pub may_split: bool,
    /// Live rows when they could not be told apart; 0: they can be.
    pub dense_rows: usize,
    /// Whether its centroid is another than before.
    pub is_changed: bool,
    /// It has been joined to others: no row goes there.
    pub is_closed: bool,
}

/// What was done to a bucket.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// Its rows went to the `receivers`.
    Joined {
        /// The bucket.
        bucket: u32,
        /// Its live rows.
        rows: u32,
        /// Buckets that took them in.
        receivers: Vec<u32>,
    },
    /// It keeps one part; the others are new buckets.
    Split {
        /// The bucket.
        bucket: u32,
        /// Its live rows before.
        rows: u32,
        /// The new buckets.
        children: Vec<u32>,
    },
    /// Its rows cannot be told apart.
    Dense {
        /// The bucket.
        bucket: u32,
        /// Its live rows.
        rows: u32,
    },
    /// Its centroid follows its rows.
    Recentred {
        /// The bucket.
        bucket: u32,
        /// How far the rows had left it, in radii.
        drift: f32,
    },
    /// Rows of other buckets are clearly nearer to its centroid.
    Took {
        /// The bucket.
        bucket: u32,
        /// How many.
        rows: u32,
    },
}

/// The buckets of an index while a job has rows of some of them in its hands.
#[derive(Clone, Debug)]
pub struct Arrangement {
    /// All buckets; new ones are added at the end.
    pub buckets: Vec<ArrangedBucket>,
    /// The bucket of each row in hand.
    pub homes: Vec<u32>,
    /// What was done.
    pub acts: Vec<Act>,
    seed: u64,
}

impl Arrangement {
    /// Rows in hand with their `homes` among `buckets`.
    pub fn new(buckets: Vec<ArrangedBucket>, homes: Vec<u32>, seed: u64) -> Self {
        Self { buckets, homes, acts: Vec::new(), seed }
    }

    /// Arranges `rows`, one for each home, in index space.
    ///
    /// # Panics
    /// When lengths or dimensions differ, or a home is none of the buckets.
    pub fn settle(&mut self, rows: Vectors<'_>) {
        self.join_small(rows);
        self.split_large(rows);
        self.recentre(rows);
        let may_follow = self.buckets.iter().any(|bucket| bucket.is_changed);
        for _ in 0..PASSES {
            if !may_follow || !self.follow(rows) {
                break;
            }
        }
    }

    /// Buckets whose centroid is another than before: rows that stay near them may belong there.
    pub fn changed(&self) -> Vec<u32> {
        let changed = |bucket: &ArrangedBucket| bucket.is_changed && !bucket.is_closed;
        (0..).zip(&self.buckets).filter(|(_, bucket)| changed(bucket)).map(|(b, _)| b).collect()
    }

    /// Live rows of each bucket, in hand and staying.
    pub fn counts(&self) -> Vec<u32> {
        let mut counts: Vec<u32> = self.buckets.iter().map(|bucket| bucket.staying.n_live).collect();
        self.homes.iter().for_each(|&home| counts[home as usize] += 1);
        counts
    }

    /// The centroids of the open buckets, and the bucket of each.
    pub fn open(&self) -> (Centroids, Vec<u32>) {
        let open = (0..).zip(&self.buckets).filter(|(_, bucket)| !bucket.is_closed);
        let (mut data, mut numbers) = (Vec::new(), Vec::new());
        for (number, bucket) in open {
            data.extend_from_slice(&bucket.staying.centroid);
            numbers.push(number);
        }
        let dim = self.buckets.first().map_or(1, |bucket| bucket.staying.centroid.len());
        (Centroids::new(data, dim), numbers)
    }

    fn members(&self) -> Vec<Vec<u32>> {
        let mut members = vec![Vec::new(); self.buckets.len()];
        for (row, &home) in (0..).zip(&self.homes) {
            members[home as usize].push(row);
        }
        members
    }

    /// Scatters the rows of whole buckets below [`BUCKET_ROWS_MIN`].
    fn join_small(&mut self, rows: Vectors<'_>) {
        let members = self.members();
        let is_small = |b: &usize| {
            let bucket = &self.buckets[*b];
            bucket.is_whole && bucket.may_join && !members[*b].is_empty() && members[*b].len() < BUCKET_ROWS_MIN
        };
        let mut small: Vec<usize> = (0..members.len()).filter(is_small).collect();
        let others = self.buckets.len() - small.len();
        if others == 0 {
            small.pop(); // one of them takes the others in
        }
        for &b in &small {
            self.buckets[b].is_closed = true;
        }
        let (centroids, numbers) = self.open();
        let counts = self.counts();
        let mut counts: Vec<u32> = numbers.iter().map(|&number| counts[number as usize]).collect();
        for b in small {
            let data = gather(rows, &members[b]);
            let homes = scatter_rows(Vectors::new(&data, rows.dim()), &centroids, &mut counts);
            let mut receivers = BTreeSet::new();
            for (&row, home) in members[b].iter().zip(homes) {
                self.homes[row as usize] = numbers[home as usize];
                receivers.insert(numbers[home as usize]);
            }
            let receivers = receivers.into_iter().collect();
            self.acts.push(Act::Joined { bucket: b as u32, rows: members[b].len() as u32, receivers });
        }
    }

    /// Splits whole buckets that have outgrown their size.
    fn split_large(&mut self, rows: Vectors<'_>) {
        for (b, members) in self.members().into_iter().enumerate() {
            let bucket = &self.buckets[b];
            if !bucket.is_whole || !bucket.may_split || !should_split(members.len(), bucket.dense_rows) {
                continue;
            }
            let data = gather(rows, &members);
            let (bucket, count) = (b as u32, members.len() as u32);
            match split(Vectors::new(&data, rows.dim()), self.seed) {
                Split::Dense => self.acts.push(Act::Dense { bucket, rows: count }),
                Split::Parts(parts) => {
                    let children = parts[1..].iter().map(|part| self.add_child(part, &members)).collect();
                    self.acts.push(Act::Split { bucket, rows: count, children });
                }
            }
        }
    }

    fn add_child(&mut self, part: &[u32], members: &[u32]) -> u32 {
        let child = self.buckets.len() as u32;
        for &row in part {
            self.homes[members[row as usize] as usize] = child;
        }
        let dim = self.buckets[0].staying.centroid.len();
        self.buckets.push(ArrangedBucket {
            staying: Arc::new(BucketHeader::empty(vec![0.0; dim])), // its centroid follows
            is_whole: true,
            may_join: false,
            may_split: false,
            dense_rows: 0,
            is_changed: true,
            is_closed: false,
        });
        child
    }

    /// Centroids follow their rows: of whole buckets always, of others when they have drifted.
    fn recentre(&mut self, rows: Vectors<'_>) {
        for (b, members) in self.members().into_iter().enumerate() {
            let bucket = &mut self.buckets[b];
            if bucket.is_closed || (bucket.is_whole && members.is_empty()) {
                continue;
            }
            let mut header = bucket.staying.as_ref().clone();
            if !members.is_empty() {
                header.merge(&BucketHeader::from_rows(rows.dim(), members.iter().map(|&m| rows.row(m as usize))));
            }
            let drift = header.drift();
            let has_drifted = drift > DRIFT_MAX;
            if has_drifted || bucket.is_whole {
                Arc::make_mut(&mut bucket.staying).centroid = header.mean();
            }
            // A child had no centroid yet: it is changed already, and that is no drift.
            if has_drifted && !bucket.is_changed {
                bucket.is_changed = true;
                self.acts.push(Act::Recentred { bucket: b as u32, drift });
            }
        }
    }

    /// Rows in hand follow the centroids, and those of whole buckets their rows; answers whether any
    /// row has moved.
    fn follow(&mut self, rows: Vectors<'_>) -> bool {
        let (centroids, numbers) = self.open();
        let mut position = vec![u32::MAX; self.buckets.len()];
        (0..).zip(&numbers).for_each(|(p, &number)| position[number as usize] = p);
        let homes: Vec<u32> = self.homes.iter().map(|&home| position[home as usize]).collect();
        let counts = self.counts();
        let mut counts: Vec<u32> = numbers.iter().map(|&number| counts[number as usize]).collect();
        let moves = reassign(rows, &homes, &centroids, &mut counts);
        let mut taken = vec![0u32; self.buckets.len()];
        for moved in &moves {
            let to = numbers[moved.to as usize];
            self.homes[moved.row as usize] = to;
            taken[to as usize] += 1;
        }
        for (bucket, rows) in (0..).zip(taken).filter(|(_, rows)| *rows > 0) {
            self.acts.push(Act::Took { bucket, rows });
        }
        for (b, members) in self.members().into_iter().enumerate() {
            if self.buckets[b].is_whole && !members.is_empty() {
                Arc::make_mut(&mut self.buckets[b].staying).centroid = mean_of(rows, &members);
            }
        }
        !moves.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn whole(centroid: [f32; 2]) -> ArrangedBucket {
        ArrangedBucket {
            staying: Arc::new(BucketHeader::empty(centroid.to_vec())),
            is_whole: true,
            may_join: true,
            may_split: true,
            dense_rows: 0,
            is_changed: false,
            is_closed: false,
        }
    }

    fn staying(rows: &[[f32; 2]]) -> ArrangedBucket {
        let header = BucketHeader::from_rows(2, rows.iter().map(|row| &row[..]));
        ArrangedBucket { is_whole: false, ..whole([0.0; 2]) }.with(header)
    }

    impl ArrangedBucket {
        fn with(self, staying: BucketHeader) -> Self {
            Self { staying: Arc::new(staying), ..self }
        }
    }

    fn around(at: [f32; 2], n: usize, rng: &mut ChaCha8Rng) -> Vec<f32> {
        (0..n).flat_map(|_| [at[0] + rng.random::<f32>(), at[1] + rng.random::<f32>()]).collect()
    }

    #[test]
    fn a_small_bucket_is_scattered_and_a_large_one_split() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut data = around([0.0, 0.0], 20, &mut rng);
        data.extend(around([0.0, 50.0], 150, &mut rng));
        data.extend(around([50.0, 50.0], 150, &mut rng));
        let homes = [vec![0; 20], vec![1; 300]].concat();
        let buckets = vec![whole([0.5, 0.5]), whole([25.0, 50.0]), staying(&[[1.0, 0.0], [0.0, 1.0], [9.0, 9.0]])];
        let mut arrangement = Arrangement::new(buckets, homes, 1);
        arrangement.settle(Vectors::new(&data, 2));
        assert!(arrangement.buckets[0].is_closed);
        assert!(arrangement.homes[..20].iter().all(|&home| home == 2));
        let (one, other) = (arrangement.homes[20], arrangement.homes[170]);
        assert_eq!([one.min(other), one.max(other)], [1, 3]);
        assert!(arrangement.homes[20..170].iter().all(|&home| home == one));
        assert!(arrangement.homes[170..].iter().all(|&home| home == other));
        assert!(arrangement.acts.contains(&Act::Joined { bucket: 0, rows: 20, receivers: vec![2] }));
        assert!(arrangement.acts.contains(&Act::Split { bucket: 1, rows: 300, children: vec![3] }));
        assert_eq!(arrangement.counts(), [0, 150, 23, 150]);
        assert!(arrangement.changed().contains(&3));
    }

    #[test]
    fn a_drifted_centroid_follows_and_its_neighbours_rows_with_it() {
        // Bucket 0 was routed by (0, 0); its rows have gone to (10, 0). Bucket 1 lies beyond.
        let mut drifted = staying(&[[9.0, 0.0], [11.0, 0.0], [10.0, 1.0]]);
        Arc::make_mut(&mut drifted.staying).centroid = vec![0.0, 0.0];
        let data = [12.0, 0.0, 21.0, 0.0];
        let buckets = vec![drifted, staying(&[[20.0, -90.0], [22.0, 90.0]])];
        let mut arrangement = Arrangement::new(buckets, vec![1, 1], 1);
        arrangement.settle(Vectors::new(&data, 2));
        assert_eq!(arrangement.homes, [0, 1]);
        assert_eq!(arrangement.changed(), [0]);
        assert!(matches!(arrangement.acts[..], [Act::Recentred { bucket: 0, .. }, Act::Took { bucket: 0, rows: 1 }]));
    }

    #[test]
    fn what_cools_down_or_is_dense_stays() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let mut data = around([0.0, 0.0], 10, &mut rng);
        data.extend([7.0, 7.0].repeat(400));
        let homes = [vec![0; 10], vec![1; 400]].concat();
        let buckets = vec![ArrangedBucket { may_join: false, ..whole([0.5, 0.5]) }, whole([7.0, 7.0])];
        let mut arrangement = Arrangement::new(buckets.clone(), homes.clone(), 1);
        arrangement.settle(Vectors::new(&data, 2));
        assert_eq!(arrangement.homes, homes);
        assert_eq!(arrangement.acts[0], Act::Dense { bucket: 1, rows: 400 });
        let is_small_change = |act: &Act| matches!(act, Act::Recentred { bucket: 0, .. });
        assert!(arrangement.acts[1..].iter().all(is_small_change));
        let known = ArrangedBucket { dense_rows: 400, ..buckets[1].clone() };
        let mut again = Arrangement::new(vec![buckets[0].clone(), known], homes, 1);
        again.settle(Vectors::new(&data, 2));
        assert!(again.acts.iter().all(is_small_change));
    }

    #[test]
    fn the_last_bucket_is_not_joined_to_itself() {
        let data = [1.0, 1.0, 2.0, 2.0];
        let mut arrangement = Arrangement::new(vec![whole([0.0; 2]), whole([9.0; 2])], vec![0, 1], 1);
        arrangement.settle(Vectors::new(&data, 2));
        assert_eq!(arrangement.homes, [1, 1]);
        assert!(arrangement.buckets[0].is_closed && !arrangement.buckets[1].is_closed);
    }
}
