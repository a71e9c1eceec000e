//! The next state of L1, worked out beside the present one.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use drift_ivf::{BUCKET_ROWS, BucketHeader, Centroids, RUNS_MAX, cluster};
use drift_manifest::paths;
use drift_segment::{Encoded, RunInput, SegmentInput, SegmentMeta, SegmentReader};
use drift_types::{BucketId, SegmentId, Vectors};
use ulid::Ulid;

use super::{notes::JobNotes, row_set::RowSet};
use crate::{
    CollectionSchema, Result,
    collection::Shared,
    compute::Class,
    dead_set::DeadSet,
    id_map::PlaceId,
    observed::Observed,
    origins::Origins,
    snapshot::{BucketPast, SegmentView, Snapshot},
    write::MovedRows,
};

/// A bucket, and the runs it lies in by their segments' places.
pub(crate) struct DraftBucket {
    pub id: BucketId,
    pub generation: u32,
    /// The snapshot's own, until it is changed.
    pub header: Arc<BucketHeader>,
    pub runs: Vec<(PlaceId, u32)>,
    pub past: BucketPast,
    pub observed: Arc<Observed>,
}

/// L1 as it will be.
pub(super) struct Draft {
    pub shared: Arc<Shared>,
    class: Class,
    /// Whether what is written stays in memory, as far as there is room. Not after a bulk load: it may be
    /// larger than the cache, and searches show what of it is asked for.
    pub is_warm: bool,
    pub schema: CollectionSchema,
    pub segments: Vec<SegmentView>,
    pub buckets: Vec<DraftBucket>,
    pub next_bucket: u32,
    pub moved: Vec<MovedRows>,
    /// The manifest that will hold it.
    pub manifest: u64,
    /// What is done on the way.
    pub notes: JobNotes,
}

/// The runs that a job takes out of each bucket, by the bucket's position in [`Draft::buckets`].
pub(super) type TakenRuns = BTreeMap<usize, Vec<(PlaceId, u32)>>;

/// Rows that a job has in its hands.
pub(super) struct Hand {
    pub rows: RowSet,
    /// The bucket of each row, by its position in [`Draft::buckets`].
    pub homes: Vec<u32>,
}

impl Hand {
    /// The rows of each bucket.
    pub fn members(&self) -> BTreeMap<usize, Vec<u32>> {
        let mut members: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
        for (row, &home) in (0..).zip(&self.homes) {
            members.entry(home as usize).or_default().push(row);
        }
        members
    }

    /// With more rows behind those it has.
    pub fn with(mut self, rows: RowSet, homes: impl IntoIterator<Item = u32>) -> Result<Self> {
        self.homes.extend(homes);
        Ok(Self { rows: RowSet::concat(vec![self.rows, rows])?, homes: self.homes })
    }
}

impl Draft {
    /// The state of `snapshot`, unchanged so far; `manifest` will follow it.
    pub fn new(shared: Arc<Shared>, snapshot: &Snapshot, manifest: &drift_manifest::Manifest, class: Class) -> Self {
        let place = |r: &crate::snapshot::RunRef| (r.place, r.run);
        let buckets = snapshot.level1.buckets.iter().map(|b| DraftBucket {
            id: b.id,
            generation: b.generation,
            header: b.header.clone(),
            runs: b.runs.iter().map(place).collect(),
            past: b.past.clone(),
            observed: b.observed.clone(),
        });
        Self {
            shared,
            class,
            is_warm: true,
            schema: snapshot.schema.as_ref().clone(),
            segments: snapshot.segments.clone(),
            buckets: buckets.collect(),
            next_bucket: manifest.next_bucket,
            moved: Vec::new(),
            manifest: manifest.stamp.id + 1,
            notes: JobNotes::default(),
        }
    }

    /// Puts rows into buckets, splits the buckets that outgrow their size, and writes all of it as
    /// one new segment.
    pub async fn absorb(&mut self, rows: RowSet) -> Result<()> {
        if rows.len() == 0 {
            return Ok(());
        }
        self.settle_deaths().await?;
        let is_first = self.buckets.is_empty();
        let mut hand = self.route(rows).await?;
        if is_first {
            // They have just been clustered.
            return self.write(hand).await;
        }
        let mut crowded = TakenRuns::new();
        for (bucket, members) in hand.members() {
            if self.is_crowded(bucket, members.len()) {
                crowded.insert(bucket, self.buckets[bucket].runs.clone());
            }
        }
        if let Some((stored, homes)) = self.take(&crowded).await? {
            hand = hand.with(stored, homes)?;
        }
        let hand = self.arrange(hand).await?;
        self.write(hand).await
    }

    /// Writes the live rows of these runs as one new segment. A bucket all of whose runs are taken is
    /// made anew; of the others the rows only move.
    pub async fn rewrite(&mut self, taken: &TakenRuns) -> Result<()> {
        // Rows that leave here no longer tell whether they died before or after the last commit.
        self.settle_deaths().await?;
        let Some((rows, homes)) = self.take(taken).await? else { return Ok(()) };
        let hand = self.arrange(Hand { rows, homes }).await?;
        self.write(hand).await
    }

    /// The bucket of each row; the first rows of all cluster themselves.
    async fn route(&mut self, rows: RowSet) -> Result<Hand> {
        if self.buckets.is_empty() {
            let seed = self.shared.common.settings.seed;
            let work = move || {
                let found = cluster(rows.index_rows(), BUCKET_ROWS, seed);
                (rows, found)
            };
            let (rows, found) = self.run(work).await?;
            for centroid in found.centroids.vectors().iter() {
                self.add_bucket(centroid.to_vec(), BucketPast::default(), 0.0);
            }
            return Ok(Hand { rows, homes: found.assignment });
        }
        let centroids: Vec<f32> = self.buckets.iter().flat_map(|b| b.header.centroid.iter().copied()).collect();
        let centroids = Centroids::new(centroids, rows.index_rows().dim());
        let work = move || {
            let homes = centroids.assign(rows.index_rows()).index;
            Hand { rows, homes }
        };
        self.run(work).await
    }

    /// Runs work on the pool of the job's class, and counts the time it takes.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let (done, taken) = self.shared.common.compute.timed(self.class, work).await?;
        self.shared.totals.maintained(taken);
        Ok(done)
    }

    pub fn add_bucket(&mut self, centroid: Vec<f32>, past: BucketPast, temperature: f32) -> usize {
        let id = BucketId(self.next_bucket);
        self.next_bucket += 1;
        let (header, observed) = (Arc::new(BucketHeader::empty(centroid)), Arc::new(Observed::new(temperature)));
        self.buckets.push(DraftBucket { id, generation: 0, header, runs: Vec::new(), past, observed });
        self.buckets.len() - 1
    }

    pub fn live_in(&self, (place, run): (PlaceId, u32)) -> u32 {
        self.view(place).live_in(run)
    }

    pub fn view(&self, place: PlaceId) -> &SegmentView {
        self.segments.iter().find(|s| s.place == place).expect("buckets name live segments")
    }

    pub fn view_mut(&mut self, place: PlaceId) -> &mut SegmentView {
        self.segments.iter_mut().find(|s| s.place == place).expect("buckets name live segments")
    }

    /// Whether a bucket must be made anew when `added` rows come: it lies in too many runs, or has
    /// outgrown its size.
    fn is_crowded(&self, bucket: usize, added: usize) -> bool {
        let DraftBucket { header, runs, past, .. } = &self.buckets[bucket];
        if !self.shared.common.settings.maintenance || !self.can_rewrite(bucket) {
            return false;
        }
        let rows = header.n_live as usize + added;
        runs.len() >= RUNS_MAX || drift_ivf::should_split(rows, past.dense_rows as usize)
    }

    /// Whether its runs may be written anew: not if they hold what this program does not understand,
    /// for it would be lost.
    pub fn can_rewrite(&self, bucket: usize) -> bool {
        self.buckets[bucket].runs.iter().all(|&(place, _)| self.view(place).reader.can_rewrite())
    }

    /// Takes the live rows of these runs out of their segments. Tells each row's bucket as well. A
    /// bucket all of whose runs are taken is left without any, and its header without rows.
    async fn take(&mut self, taken: &TakenRuns) -> Result<Option<(RowSet, Vec<u32>)>> {
        let mut by_segment: BTreeMap<PlaceId, BTreeMap<u32, u32>> = BTreeMap::new();
        for (&bucket, runs) in taken {
            for &(place, run) in runs {
                by_segment.entry(place).or_default().insert(run, bucket as u32);
            }
        }
        let (mut sets, mut homes) = (Vec::new(), Vec::new());
        for (place, bucket_of_run) in by_segment {
            let view = self.view(place);
            let ordinals: Vec<u32> = bucket_of_run.keys().flat_map(|&run| view.live_ordinals(run)).collect();
            homes.extend(ordinals.iter().map(|&ordinal| bucket_of_run[&view.run_of(ordinal)]));
            sets.extend(self.take_rows(place, &ordinals).await?);
        }
        for (&bucket, runs) in taken {
            let stored: u32 = runs.iter().map(|&(place, run)| self.view(place).reader.runs()[run as usize].rows).sum();
            let bucket = &mut self.buckets[bucket];
            bucket.runs.retain(|run| !runs.contains(run));
            if bucket.runs.is_empty() {
                self.notes.made_anew(bucket, stored, runs.len());
                bucket.header = Arc::new(BucketHeader::empty(bucket.header.centroid.clone()));
            }
        }
        if sets.is_empty() {
            return Ok(None);
        }
        let rows = RowSet::concat(sets)?;
        for (row, &home) in rows.index_rows().iter().zip(&homes) {
            let bucket = &mut self.buckets[home as usize];
            if !bucket.runs.is_empty() {
                Arc::make_mut(&mut bucket.header).remove(row);
            }
        }
        Ok(Some((rows, homes)))
    }

    /// Takes live rows out of a segment.
    pub async fn take_rows(&mut self, place: PlaceId, ordinals: &[u32]) -> Result<Option<RowSet>> {
        if ordinals.is_empty() {
            return Ok(None);
        }
        let rows = RowSet::from_segment(&self.schema, self.view(place), ordinals).await?;
        self.notes.bytes_read += rows.len() as u64 * 4 * self.schema.dim.unwrap_or_default() as u64;
        let view = self.view_mut(place);
        for &ordinal in ordinals {
            view.dead.insert(ordinal);
            // Whoever takes a row sees to the header of its bucket.
            view.counted.insert(ordinal);
        }
        Ok(Some(rows))
    }

    /// Writes and publishes the rows in hand as one segment: a run for each of their buckets.
    async fn write(&mut self, hand: Hand) -> Result<()> {
        let (id, place) = (SegmentId(Ulid::new()), self.shared.common.next_place());
        let (runs, order) = self.lay_out(place, &hand);
        let (collection, meta, compression) = (self.shared.id, segment_meta(&self.schema), self.schema.compression);
        let origin = Origins::of(&self.segments).main().map(<[f32]>::to_vec);
        let work = move || {
            let origin = origin.or_else(|| mean(hand.rows.index_rows()));
            let RowSet { vectors, unit, ids, seqs, from, payload, .. } = hand.rows.reorder(&order)?;
            let inv_norms = unit.map(|(_, inv)| inv);
            let input = SegmentInput {
                id,
                collection,
                meta,
                runs,
                vectors,
                inv_norms,
                ids,
                seqs,
                origin,
                compression,
                payload,
            };
            let encoded = drift_segment::write(&input)?;
            // What gets a name can be read.
            drift_segment::verify(&encoded)?;
            Ok::<_, crate::Error>((encoded, MovedRows { place, ids: input.ids, seqs: input.seqs, from }))
        };
        let (encoded, moved) = self.run(work).await??;
        let reader = self.publish(id, encoded).await?;
        self.segments.push(SegmentView::new(place, reader, DeadSet::default()));
        self.moved.push(moved);
        Ok(())
    }

    /// The runs of a segment that takes the rows in hand, and the order of its rows. Their buckets take note.
    fn lay_out(&mut self, place: PlaceId, hand: &Hand) -> (Vec<RunInput>, Vec<u32>) {
        let (mut runs, mut order) = (Vec::new(), Vec::with_capacity(hand.rows.len()));
        for (number, (bucket, members)) in (0..).zip(hand.members()) {
            let header = header_of(hand.rows.index_rows(), &members);
            let bucket = &mut self.buckets[bucket];
            bucket.receive(&header);
            bucket.runs.push((place, number));
            let first = order.len();
            order.extend(members);
            runs.push(run_input(bucket, first..order.len(), header));
        }
        (runs, order)
    }

    /// Gives a segment its name; what searches read first stays in memory.
    async fn publish(&mut self, id: SegmentId, encoded: Encoded) -> Result<SegmentReader> {
        self.notes.bytes_written += encoded.bytes.len() as u64;
        let (common, path) = (&self.shared.common, paths::segment_path(self.shared.id, id));
        common.store.publish(&path, encoded.bytes.clone()).await?;
        let (store, cache) = (common.store.clone(), common.cache.clone());
        let reader = SegmentReader::open(store, path, Some(encoded.footer), cache).await?;
        if !self.is_warm {
            return Ok(reader);
        }
        Ok(self.run(move || reader.warm(&encoded).map(|()| reader)).await??)
    }
}

impl DraftBucket {
    /// Takes note of rows that are written to it. What holds only them is centred on them.
    fn receive(&mut self, rows: &BucketHeader) {
        if self.runs.is_empty() {
            self.header = Arc::new(rows.clone());
        } else {
            Arc::make_mut(&mut self.header).merge(rows);
        }
        self.past.rows_changed += rows.n_live;
    }
}

/// The origin of the first 1-bit codes of a collection: the mean of these rows. None where there can be
/// no such codes.
fn mean(rows: Vectors<'_>) -> Option<Vec<f32>> {
    let members: Vec<u32> = (0..rows.len() as u32).collect();
    (rows.dim() <= drift_kernels::MAX_ROTATED_DIM).then(|| header_of(rows, &members).centroid)
}

fn header_of(all: Vectors<'_>, members: &[u32]) -> BucketHeader {
    BucketHeader::from_rows(all.dim(), members.iter().map(|&m| all.row(m as usize)))
}

fn run_input(bucket: &DraftBucket, rows: Range<usize>, header: BucketHeader) -> RunInput {
    RunInput {
        bucket: bucket.id,
        generation: bucket.generation,
        rows,
        centre: bucket.header.centroid.clone(),
        centroid: header.centroid,
        sum: header.sum,
        mean_sq_radius: header.mean_sq_radius,
        max_norm_sq: header.max_norm_sq,
    }
}

fn segment_meta(schema: &CollectionSchema) -> SegmentMeta {
    SegmentMeta {
        schema: schema.arrow.clone(),
        key_column: schema.key_name().map(str::to_owned),
        vector_column: schema.vector_name().to_owned(),
        dim: schema.dim.expect("a collection with rows has a dimension"),
        metric: schema.metric,
        created_ms: Ulid::new().timestamp_ms(),
    }
}
