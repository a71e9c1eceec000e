//! The next state of L1, worked out beside the present one.

use std::{collections::BTreeMap, ops::Range, sync::Arc, time::Instant};

use drift_ivf::{BUCKET_ROWS, BucketHeader, Router, cluster};
use drift_segment::{RunInput, SegmentInput, SegmentMeta, SegmentReader};
use drift_types::{BucketId, SegmentId, Vectors};
use ulid::Ulid;

use super::row_set::RowSet;
use crate::{
    CollectionSchema, Result,
    collection::Shared,
    compute::Class,
    id_map::PlaceId,
    snapshot::{SegmentView, Snapshot},
    write::MovedRows,
};

/// A bucket lies in at most this many runs.
const RUNS_MAX: usize = 4;

/// A bucket, and the runs it lies in by their segments' places.
pub(crate) struct DraftBucket {
    pub id: BucketId,
    pub generation: u32,
    pub header: BucketHeader,
    pub runs: Vec<(PlaceId, u32)>,
}

/// L1 as it will be.
pub(super) struct Draft {
    shared: Arc<Shared>,
    class: Class,
    pub schema: CollectionSchema,
    pub segments: Vec<SegmentView>,
    pub buckets: Vec<DraftBucket>,
    pub next_bucket: u32,
    pub moved: Vec<MovedRows>,
    pub bytes_read: u64,
    pub bytes_written: u64,
}

/// The runs that a job takes out of each bucket, by the bucket's position in [`Draft::buckets`].
pub(super) type TakenRuns = BTreeMap<usize, Vec<(PlaceId, u32)>>;

/// Rows that go into one run, by their positions in the set.
struct PlannedRun {
    /// Position in [`Draft::buckets`].
    bucket: usize,
    rows: Vec<u32>,
    header: BucketHeader,
}

impl Draft {
    /// The state of `snapshot`, unchanged so far.
    pub fn new(shared: Arc<Shared>, snapshot: &Snapshot, next_bucket: u32, class: Class) -> Self {
        let place = |r: &crate::snapshot::RunRef| (r.place, r.run);
        let buckets = snapshot.level1.buckets.iter().map(|b| DraftBucket {
            id: b.id,
            generation: b.generation,
            header: b.header.as_ref().clone(),
            runs: b.runs.iter().map(place).collect(),
        });
        Self {
            shared,
            class,
            schema: snapshot.schema.as_ref().clone(),
            segments: snapshot.segments.clone(),
            buckets: buckets.collect(),
            next_bucket,
            moved: Vec::new(),
            bytes_read: 0,
            bytes_written: 0,
        }
    }

    /// Puts rows into buckets, splits the buckets that outgrow their size, and writes all of it as
    /// one new segment.
    pub async fn absorb(&mut self, rows: RowSet) -> Result<()> {
        if rows.len() == 0 {
            return Ok(());
        }
        let (mut rows, homes) = self.route(rows).await?;
        let mut members: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
        for (row, &bucket) in homes.iter().enumerate() {
            members.entry(bucket as usize).or_default().push(row as u32);
        }
        let mut crowded = TakenRuns::new();
        for (&bucket, members) in &members {
            if self.is_crowded(bucket, members.len()) {
                crowded.insert(bucket, self.buckets[bucket].runs.clone());
            }
        }
        if let Some((stored, homes)) = self.take(&crowded).await? {
            let first = rows.len();
            for (row, bucket) in homes.into_iter().enumerate() {
                members.get_mut(&bucket).expect("it is one of them").push((first + row) as u32);
            }
            rows = RowSet::concat(vec![rows, stored])?;
        }
        let plan = self.plan(&rows, members, &crowded);
        self.write(rows, plan).await
    }

    /// Writes the live rows of these runs as one new segment. A bucket all of whose runs are taken is
    /// made anew, and split if it has outgrown its size; of the others the rows only move.
    pub async fn rewrite(&mut self, taken: &TakenRuns) -> Result<()> {
        // Rows that leave here no longer tell whether they died before or after the last commit.
        self.settle_deaths().await?;
        let is_whole = |(bucket, runs): &(&usize, &Vec<_>)| runs.len() == self.buckets[**bucket].runs.len();
        let whole: Vec<usize> = taken.iter().filter(is_whole).map(|(bucket, _)| *bucket).collect();
        let Some((rows, homes)) = self.take(taken).await? else { return Ok(()) };
        let mut members: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
        for (row, bucket) in homes.into_iter().enumerate() {
            members.entry(bucket).or_default().push(row as u32);
        }
        let mut plan = Vec::new();
        for (bucket, members) in members {
            if whole.contains(&bucket) {
                self.renew(rows.index_rows(), bucket, members, &mut plan);
            } else {
                let header = header_of(rows.index_rows(), &members);
                plan.push(PlannedRun { bucket, rows: members, header });
            }
        }
        self.write(rows, plan).await
    }

    /// The bucket of each row; the first rows of all cluster themselves.
    async fn route(&mut self, rows: RowSet) -> Result<(RowSet, Vec<u32>)> {
        let (dim, metric) = (rows.index_rows().dim(), self.schema.metric);
        if self.buckets.is_empty() {
            let seed = self.shared.settings.seed;
            let work = move || {
                let found = cluster(rows.index_rows(), BUCKET_ROWS, seed);
                (rows, found)
            };
            let (rows, found) = self.run(work).await?;
            for centroid in found.centroids.vectors().iter() {
                let empty = BucketHeader { centroid: centroid.to_vec(), ..BucketHeader::from_rows(dim, []) };
                self.add_bucket(empty);
            }
            return Ok((rows, found.assignment));
        }
        let router = Router::new(dim, self.buckets.iter().map(|b| &b.header), metric);
        let work = move || {
            let homes = router.assign(rows.index_rows());
            (rows, homes)
        };
        self.run(work).await
    }

    /// Runs work on the pool of the job's class, and counts the time it takes.
    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let shared = self.shared.clone();
        let timed = move || {
            let start = Instant::now();
            let done = work();
            shared.totals.maintained(start.elapsed());
            done
        };
        self.shared.compute.run(self.class, timed).await
    }

    fn add_bucket(&mut self, header: BucketHeader) -> usize {
        let id = BucketId(self.next_bucket);
        self.next_bucket += 1;
        self.buckets.push(DraftBucket { id, generation: 0, header, runs: Vec::new() });
        self.buckets.len() - 1
    }

    fn live_in(&self, (place, run): (PlaceId, u32)) -> u32 {
        let view = self.view(place);
        let entry = &view.reader.runs()[run as usize];
        entry.rows - view.dead.count_in(entry.first_row, entry.rows)
    }

    fn view(&self, place: PlaceId) -> &SegmentView {
        self.segments.iter().find(|s| s.place == place).expect("buckets name live segments")
    }

    /// Whether a bucket must be rewritten when `added` rows come: it lies in too many runs, or has
    /// outgrown its size. Rows that could not be told apart the last time are left together until
    /// a quarter more have come.
    fn is_crowded(&self, bucket: usize, added: usize) -> bool {
        let runs = &self.buckets[bucket].runs;
        if !self.shared.settings.maintenance {
            return false;
        }
        if !runs.iter().all(|&(place, _)| self.view(place).reader.can_rewrite()) {
            return false; // it would lose what this program does not understand
        }
        let stored: usize = runs.iter().map(|&run| self.live_in(run) as usize).sum();
        let settled = runs.first().map_or(0, |&run| self.live_in(run) as usize);
        let grown = settled <= 2 * BUCKET_ROWS || 4 * (stored + added) > 5 * settled;
        runs.len() >= RUNS_MAX || (drift_ivf::should_split(stored + added) && grown)
    }

    /// Takes the live rows of these runs out of their segments. Tells each row's bucket as well.
    async fn take(&mut self, taken: &TakenRuns) -> Result<Option<(RowSet, Vec<usize>)>> {
        let mut by_segment: BTreeMap<PlaceId, BTreeMap<u32, usize>> = BTreeMap::new();
        for (&bucket, runs) in taken {
            self.buckets[bucket].runs.retain(|run| !runs.contains(run));
            for &(place, run) in runs {
                by_segment.entry(place).or_default().insert(run, bucket);
            }
        }
        let (mut sets, mut homes) = (Vec::new(), Vec::new());
        for (place, bucket_of_run) in by_segment {
            let position = self.segments.iter().position(|s| s.place == place).expect("buckets name live segments");
            let view = &mut self.segments[position];
            let runs: Vec<u32> = bucket_of_run.keys().copied().collect();
            let rows = RowSet::from_runs(&self.schema, view, &runs).await?;
            for from in rows.from.iter().flatten() {
                homes.push(bucket_of_run[&view.run_of(from.ordinal)]);
                view.dead.insert(from.ordinal);
            }
            if rows.len() > 0 {
                sets.push(rows);
            }
        }
        if sets.is_empty() {
            return Ok(None);
        }
        let rows = RowSet::concat(sets)?;
        self.bytes_read += rows.len() as u64 * self.row_bytes();
        Ok(Some((rows, homes)))
    }

    /// Bytes of a row's vector.
    fn row_bytes(&self) -> u64 {
        self.schema.dim.map_or(0, |dim| 4 * dim as u64)
    }

    /// Decides the new segment's runs.
    fn plan(&mut self, rows: &RowSet, members: BTreeMap<usize, Vec<u32>>, crowded: &TakenRuns) -> Vec<PlannedRun> {
        let all = rows.index_rows();
        let mut plan = Vec::new();
        for (bucket, members) in members {
            if crowded.contains_key(&bucket) {
                self.renew(all, bucket, members, &mut plan);
            } else {
                let header = header_of(all, &members);
                let known = &mut self.buckets[bucket].header;
                if known.n_live == 0 && known.n_dead == 0 {
                    *known = header.clone();
                } else {
                    known.merge(&header);
                }
                plan.push(PlannedRun { bucket, rows: members, header });
            }
        }
        plan
    }

    /// A bucket written anew: in one piece, or split if it has outgrown its size.
    fn renew(&mut self, all: Vectors<'_>, bucket: usize, members: Vec<u32>, plan: &mut Vec<PlannedRun>) {
        let parts = if drift_ivf::should_split(members.len()) {
            split(all, &members, self.shared.settings.seed)
        } else {
            vec![members]
        };
        for (i, rows) in parts.into_iter().enumerate() {
            let header = header_of(all, &rows);
            let target = if i == 0 {
                self.buckets[bucket].header = header.clone();
                self.buckets[bucket].generation += 1;
                bucket
            } else {
                self.add_bucket(header.clone())
            };
            plan.push(PlannedRun { bucket: target, rows, header });
        }
    }

    /// Writes and publishes the segment of a plan.
    async fn write(&mut self, rows: RowSet, plan: Vec<PlannedRun>) -> Result<()> {
        let id = SegmentId(Ulid::new());
        let place = self.shared.next_place();
        let order: Vec<u32> = plan.iter().flat_map(|run| run.rows.iter().copied()).collect();
        let mut first = 0;
        let mut runs = Vec::with_capacity(plan.len());
        for (number, planned) in plan.into_iter().enumerate() {
            let bucket = &mut self.buckets[planned.bucket];
            bucket.runs.push((place, number as u32));
            let range = first..first + planned.rows.len();
            first = range.end;
            runs.push(run_input(bucket.id, bucket.generation, range, planned.header));
        }
        let (collection, meta, compression) = (self.shared.id, segment_meta(&self.schema), self.schema.compression);
        let work = move || {
            let RowSet { vectors, unit, ids, seqs, from, payload, .. } = rows.reorder(&order)?;
            let inv_norms = unit.map(|(_, inv)| inv);
            let input =
                SegmentInput { id, collection, meta, runs, vectors, inv_norms, ids, seqs, compression, payload };
            let encoded = drift_segment::write(&input)?;
            // What gets a name can be read.
            drift_segment::verify(&encoded)?;
            Ok::<_, crate::Error>((encoded, MovedRows { place, ids: input.ids, seqs: input.seqs, from }))
        };
        let (encoded, moved) = self.run(work).await??;
        self.bytes_written += encoded.bytes.len() as u64;
        let path = drift_manifest::paths::segment_path(self.shared.id, id);
        self.shared.store.publish(&path, encoded.bytes).await?;
        let reader =
            SegmentReader::open(self.shared.store.clone(), path, Some(encoded.footer), self.shared.cache.clone())
                .await?;
        self.segments.push(SegmentView {
            place,
            reader: Arc::new(reader),
            dead: Default::default(),
            counted: Default::default(),
            bucket_of_run: Default::default(),
        });
        self.moved.push(moved);
        Ok(())
    }

    /// Takes the rows that have died since the last commit out of their buckets' headers.
    pub async fn settle_deaths(&mut self) -> Result<()> {
        for bucket in &mut self.buckets {
            for &(place, run) in &bucket.runs {
                let view = self.segments.iter().find(|s| s.place == place).expect("buckets name live segments");
                let entry = &view.reader.runs()[run as usize];
                let fresh = |&o: &u32| view.dead.contains(o) && !view.counted.contains(o);
                let died: Vec<u32> = entry.ordinals().filter(fresh).collect();
                if died.is_empty() {
                    continue;
                }
                let exact = view.reader.exact(run).await?;
                for row in died.iter().map(|o| (o - entry.first_row) as usize) {
                    let mut vector = exact.row(row).to_vec();
                    drift_kernels::scale(&mut vector, exact.inv_norm(row));
                    bucket.header.remove(&vector);
                }
            }
        }
        for view in &mut self.segments {
            view.counted = view.dead.clone();
        }
        Ok(())
    }

    /// Lets go of what holds no live row any more: runs, then buckets, then segments.
    pub fn prune(&mut self) {
        let mut buckets = std::mem::take(&mut self.buckets);
        for bucket in &mut buckets {
            bucket.runs.retain(|&run| self.live_in(run) > 0);
        }
        buckets.retain(|bucket| !bucket.runs.is_empty());
        self.buckets = buckets;
        self.segments.retain(|view| view.live_rows() > 0);
        self.moved.retain(|moved| self.segments.iter().any(|view| view.place == moved.place));
    }
}

/// Splits members into buckets of about the right size; one part if they cannot be told apart.
fn split(all: Vectors<'_>, members: &[u32], seed: u64) -> Vec<Vec<u32>> {
    let rows: Vec<f32> = members.iter().flat_map(|&m| all.row(m as usize)).copied().collect();
    let found = cluster(Vectors::new(&rows, all.dim()), BUCKET_ROWS, seed);
    let mut parts = vec![Vec::new(); found.centroids.len()];
    for (&member, &part) in members.iter().zip(&found.assignment) {
        parts[part as usize].push(member);
    }
    parts.retain(|part| !part.is_empty());
    parts
}

fn header_of(all: Vectors<'_>, members: &[u32]) -> BucketHeader {
    BucketHeader::from_rows(all.dim(), members.iter().map(|&m| all.row(m as usize)))
}

fn run_input(bucket: BucketId, generation: u32, rows: Range<usize>, header: BucketHeader) -> RunInput {
    RunInput {
        bucket,
        generation,
        rows,
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
