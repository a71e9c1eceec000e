use std::{
    any::Any,
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::Range,
    sync::{Arc, Weak},
};

use arrow_array::{ArrayRef, FixedSizeListArray, Float32Array, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow_buffer::BooleanBuffer;
use arrow_schema::DataType;
use arrow_select::take::take;
use drift_storage::{Store, cache::CacheKey};
use drift_types::{CollectionId, SegmentId};
use futures::{FutureExt, StreamExt, TryStreamExt, stream};

use crate::{
    ChunkTable, Description, Encoded, Error, ExactRun, FooterRef, HotRun, IdBlock, Matching, PartCache, Result,
    RunEntry, RunStatistics, SegmentMeta, file::File, found::Found, open::Opened, parts::Cached, pins::Pins, version,
};

/// How many runs are read at once where many are needed.
const CONCURRENT_RUNS: usize = 8;

/// A column is kept for the sake of single rows if it takes up no more than this part of the cache.
const COLUMN_SHARE: u64 = 64;

/// An open segment. Cheap to clone; clones share what was decoded.
///
/// Every byte is verified before it is decoded. Methods that read fail with [`Error::Corrupt`] or
/// [`Error::Storage`] if the file is damaged or gone, and with [`Error::Invalid`] if asked for a
/// run, row or column that the segment does not have.
#[derive(Clone)]
pub struct SegmentReader {
    pub(crate) opened: Arc<Opened>,
    cache: Arc<PartCache>,
    pins: Arc<Pins>,
    found: Arc<Found<ExactRun>>,
}

impl SegmentReader {
    /// Opens the segment at `path`: one range read if its footer is known, else two.
    ///
    /// # Errors
    /// [`Error::Newer`] if the file is of a later format.
    pub async fn open(store: Store, path: String, footer: Option<FooterRef>, cache: Arc<PartCache>) -> Result<Self> {
        let opened = Opened::open(File::new(store, path), footer).await?;
        let pins = Arc::new(Pins::new(cache.clone(), &opened.runs));
        let found = Arc::new(Found::new(opened.runs.len()));
        Ok(Self { opened: Arc::new(opened), cache, pins, found })
    }

    /// The segment's id.
    pub fn id(&self) -> SegmentId {
        self.opened.footer.identity.id
    }

    /// The collection it belongs to.
    pub fn collection(&self) -> CollectionId {
        self.opened.footer.identity.collection
    }

    /// Number of rows, deleted ones included.
    pub fn rows(&self) -> u32 {
        self.opened.footer.identity.rows
    }

    /// Schema, metric and names.
    pub fn meta(&self) -> &SegmentMeta {
        &self.opened.meta
    }

    /// The runs, by ordinal.
    pub fn runs(&self) -> &[RunEntry] {
        &self.opened.runs
    }

    /// What else is known of the runs, by ordinal, read anew.
    pub async fn statistics(&self) -> Result<Vec<RunStatistics>> {
        self.opened.read_statistics().await
    }

    /// Where the footer is: with it the segment opens in one read.
    pub fn footer(&self) -> FooterRef {
        self.opened.place
    }

    /// What the 1-bit codes are relative to, in index space; none, if there are none.
    pub fn origin(&self) -> Option<&Arc<[f32]>> {
        self.opened.origin.as_ref()
    }

    /// Whether the rows may be moved into a new segment. Not those of a file with features that
    /// this program does not know and that only readers may ignore: they would be lost.
    pub fn can_rewrite(&self) -> bool {
        version::can_rewrite(self.opened.ro_compat)
    }

    /// Range reads made of the store since the segment was opened, opening included.
    pub fn reads(&self) -> u64 {
        self.opened.file.reads()
    }

    /// What a person wants to know of the file.
    pub fn describe(&self) -> Description {
        Description::new(&self.opened)
    }

    /// Reads the whole file, one part at a time, past the cache, and returns what is wrong with it.
    pub async fn verify(&self) -> Vec<Error> {
        self.opened.verify().await
    }

    /// Key and sequence number of every row.
    pub async fn ids(&self) -> Result<Arc<IdBlock>> {
        self.part(0, self.opened.read_ids()).await
    }

    /// The codes of a run.
    pub async fn hot(&self, run: u32) -> Result<Arc<HotRun>> {
        if let Some(hot) = self.hot_cached(run) {
            return Ok(hot);
        }
        let hot = self.part(run, self.opened.read_hot(run)).await?;
        self.pins.keep(run, &hot, self.key::<Arc<HotRun>>(run));
        Ok(hot)
    }

    /// The codes of a run, if they stay in memory.
    #[inline]
    pub fn hot_pinned(&self, run: u32) -> Option<&HotRun> {
        self.pins.get(run).map(|hot| &**hot)
    }

    /// The codes of a run, if they are in memory.
    pub fn hot_cached(&self, run: u32) -> Option<Arc<HotRun>> {
        self.pins.get(run).cloned().or_else(|| self.cached(run))
    }

    /// Keeps codes and vectors of the file just written, as far as there is room: they are likely to be
    /// asked for next, and searches that read them back would wait for the store, run by run.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if `encoded` is not what this reader was opened on.
    pub fn warm(&self, encoded: &Encoded) -> Result<()> {
        let warming = async {
            // Codes and vectors are decoded into memory of their own: nothing keeps the file's bytes.
            let written = Opened::open(File::in_memory(encoded.bytes.clone()), Some(encoded.footer)).await?;
            for (run, entry) in (0..).zip(self.runs()) {
                let bytes = entry.hot.length + u64::from(entry.rows) * 4 * self.meta().dim as u64;
                if self.cache.bytes_used() + bytes > self.cache.capacity() {
                    break;
                }
                let hot = self.part(run, written.read_hot(run)).await?;
                self.pins.keep(run, &hot, self.key::<Arc<HotRun>>(run));
                self.part(run, written.read_exact(run)).await?;
            }
            Ok(())
        };
        // It would only wait for somebody who loads the same run, who then sees to it.
        warming.now_or_never().unwrap_or(Ok(()))
    }

    /// The vectors of a run.
    pub async fn exact(&self, run: u32) -> Result<Arc<ExactRun>> {
        if let Some(exact) = self.exact_cached(run) {
            return Ok(exact);
        }
        self.part(run, self.opened.read_exact(run)).await
    }

    /// Can be upgraded as long as this reader or one made of it is held: the file must stay.
    pub fn held(&self) -> Weak<dyn Any + Send + Sync> {
        let opened: Arc<dyn Any + Send + Sync> = self.opened.clone();
        Arc::downgrade(&opened)
    }

    /// A reader that does not keep the codes of runs whose rows have all moved elsewhere; this one does until
    /// it is dropped.
    pub fn without_codes(&self, gone: impl Fn(u32) -> bool) -> Self {
        Self { pins: Arc::new(self.pins.without(gone)), ..self.clone() }
    }

    /// Lets go of a run whose rows have all moved elsewhere, but for codes that stay.
    pub fn let_go(&self, run: u32) {
        self.cache.remove(self.key::<Arc<HotRun>>(run));
        self.cache.remove(self.key::<Arc<ExactRun>>(run));
        self.cache.remove(self.key::<Arc<ChunkTable>>(run));
    }

    /// The vectors of a run, if they are in the cache.
    pub fn exact_cached(&self, run: u32) -> Option<Arc<ExactRun>> {
        self.found.get(run).or_else(|| {
            let exact = self.cached(run)?;
            self.found.put(run, &exact);
            Some(exact)
        })
    }

    /// The rows that a filter matches, dead ones included: as remembered, or as `find` says. `fingerprint`
    /// tells the filter from all others.
    pub async fn matching<E>(
        &self,
        fingerprint: u128,
        find: impl Future<Output = Result<BooleanBuffer, E>>,
    ) -> Result<Arc<Matching>, E> {
        // The key has room for a part of it: of two filters that share that part one is remembered.
        let key = self.key::<Arc<Matching>>(fingerprint as u32);
        let known = |part| Arc::<Matching>::from_part(part).filter(|known| known.fingerprint == fingerprint);
        if let Some(known) = self.cache.get(key).and_then(known) {
            return Ok(known);
        }
        let rows = find.await?;
        let count = |run: &RunEntry| rows.slice(run.first_row as usize, run.rows as usize).count_set_bits() as u32;
        let rows_of_runs = self.runs().iter().map(count).collect();
        let found = Arc::new(Matching { fingerprint, rows, rows_of_runs });
        let (part, weight) = (found.clone().into_part(), found.weight());
        self.cache.get_or_load(key, async { Ok((part, weight)) }).await?;
        Ok(found)
    }

    /// Some columns (positions in the schema, in any order) of some rows (ordinals in any order,
    /// repeats allowed): row `i` of the result is `rows[i]`. Reads only the pages these rows are
    /// on, and vectors as by [`SegmentReader::exact_rows`]. A small column that is asked for again and
    /// again is kept as by [`SegmentReader::columns`].
    pub async fn payload(&self, rows: &[u32], columns: &[usize]) -> Result<RecordBatch> {
        self.rows_of(rows, columns, true).await
    }

    /// [`SegmentReader::payload`] of rows that will not be asked for again: nothing is kept for their sake.
    pub async fn payload_once(&self, rows: &[u32], columns: &[usize]) -> Result<RecordBatch> {
        self.rows_of(rows, columns, false).await
    }

    async fn rows_of(&self, rows: &[u32], columns: &[usize], may_keep: bool) -> Result<RecordBatch> {
        if let Some(row) = rows.iter().find(|row| **row >= self.rows()) {
            return Err(Error::Invalid(format!("row {row} of a segment of {} rows", self.rows())));
        }
        let mut distinct = rows.to_vec();
        distinct.sort_unstable();
        distinct.dedup();

        let by_column = self.distinct_rows(&distinct, columns, may_keep).await?;
        let position = |row| distinct.partition_point(|other| other < row) as u32;
        let positions = UInt32Array::from_iter_values(rows.iter().map(position));
        let mut taken = Vec::with_capacity(columns.len());
        for column in columns {
            taken.push(take(&by_column[column], &positions, None)?);
        }
        self.batch(columns, taken, rows.len())
    }

    /// Some columns (positions in the schema, in any order) of all rows, in ordinal order. Each is
    /// decoded once and then kept in the cache; vectors are kept as runs.
    pub async fn columns(&self, columns: &[usize]) -> Result<RecordBatch> {
        self.check_columns(columns)?;
        let mut arrays = Vec::with_capacity(columns.len());
        for &column in columns {
            arrays.push(match self.opened.payload_index(column) {
                Some(stored) => self.part(column as u32, self.read_column(stored)).await?,
                None => {
                    let rows: Vec<u32> = (0..self.rows()).collect();
                    self.vectors(&rows).await?
                }
            });
        }
        self.batch(columns, arrays, self.rows() as usize)
    }
}

impl SegmentReader {
    /// The columns asked for, of ascending rows.
    async fn distinct_rows(
        &self,
        rows: &[u32],
        columns: &[usize],
        may_keep: bool,
    ) -> Result<BTreeMap<usize, ArrayRef>> {
        self.check_columns(columns)?;
        let mut arrays = BTreeMap::new();
        let mut stored = Vec::new();
        for &column in &BTreeSet::from_iter(columns) {
            let Some(place) = self.opened.payload_index(*column) else { continue };
            if let Some(whole) = self.kept_column(*column, place, rows.len(), may_keep).await {
                arrays.insert(*column, take(&whole, &UInt32Array::from(rows.to_vec()), None)?);
            } else {
                stored.push((place, *column));
            }
        }
        if !stored.is_empty() {
            let positions: Vec<_> = stored.iter().map(|(stored, _)| *stored).collect();
            let batch = Box::pin(self.opened.payload.read(&positions, Some(rows))).await?;
            arrays.extend(stored.iter().map(|(_, column)| *column).zip(batch.columns().iter().cloned()));
        }
        let vector = self.meta().vector_index();
        if columns.contains(&vector) {
            arrays.insert(vector, self.vectors(rows).await?);
        }
        Ok(arrays)
    }

    /// A payload column of all rows, if it is in memory, or single rows have been read so often that it should
    /// be and it takes up little of it.
    async fn kept_column(&self, column: usize, stored: usize, rows: usize, may_keep: bool) -> Option<ArrayRef> {
        if let Some(whole) = self.cached(column as u32) {
            return Some(whole);
        }
        let payload = &self.opened.payload;
        let is_small = payload.column_bytes(stored).is_some_and(|bytes| bytes <= self.cache.capacity() / COLUMN_SHARE);
        if !may_keep || !is_small || !payload.is_all_worth_reading(stored, rows) {
            return None;
        }
        // What is wrong with pages of other rows is not theirs to tell.
        self.part(column as u32, self.read_column(stored)).await.ok()
    }

    async fn read_column(&self, stored: usize) -> Result<ArrayRef> {
        let batch = self.opened.payload.read(&[stored], None).await?;
        Ok(batch.column(0).clone())
    }

    /// The vector column of ascending rows.
    async fn vectors(&self, rows: &[u32]) -> Result<ArrayRef> {
        let dim = self.meta().dim;
        let run_of = |row: u32| self.runs().partition_point(|run| run.ordinals().end <= row);
        let mut by_run: Vec<(usize, Range<usize>)> = Vec::new();
        for (at, &row) in rows.iter().enumerate() {
            match by_run.last_mut() {
                Some((run, range)) if *run == run_of(row) => range.end = at + 1,
                _ => by_run.push((run_of(row), at..at + 1)),
            }
        }
        let mut values = Vec::with_capacity(rows.len() * dim);
        let mut runs = stream::iter(by_run)
            .map(|(run, range)| async move {
                let first = self.runs()[run].first_row;
                let of_run: Vec<u32> = rows[range].iter().map(|row| row - first).collect();
                let exact = self.exact_rows(run as u32, &of_run).await?;
                Ok::<_, Error>((of_run, exact))
            })
            .buffered(CONCURRENT_RUNS);
        while let Some((of_run, exact)) = runs.try_next().await? {
            of_run.into_iter().filter_map(|row| exact.row(row)).for_each(|(row, _)| values.extend_from_slice(row));
        }
        let DataType::FixedSizeList(item, width) = self.meta().schema.field(self.meta().vector_index()).data_type()
        else {
            unreachable!("checked when the segment was opened");
        };
        let values = Arc::new(Float32Array::from(values));
        Ok(Arc::new(FixedSizeListArray::try_new(item.clone(), *width, values, None)?))
    }

    fn check_columns(&self, columns: &[usize]) -> Result<()> {
        let count = self.meta().schema.fields().len();
        match columns.iter().find(|column| **column >= count) {
            Some(column) => Err(Error::Invalid(format!("column {column} of a schema of {count}"))),
            None => Ok(()),
        }
    }

    fn batch(&self, columns: &[usize], arrays: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
        let schema = Arc::new(self.meta().schema.project(columns)?);
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(schema, arrays, &options)?)
    }

    pub(crate) fn part_cache(&self) -> &PartCache {
        &self.cache
    }

    fn key<T: Cached>(&self, index: u32) -> CacheKey {
        CacheKey { segment: self.id(), part: T::KIND, index }
    }

    pub(crate) fn cached<T: Cached>(&self, index: u32) -> Option<T> {
        self.cache.get(self.key::<T>(index)).and_then(T::from_part)
    }

    /// A part from the cache, or else as `load` reads it.
    pub(crate) async fn part<T: Cached>(&self, index: u32, load: impl Future<Output = Result<T>>) -> Result<T> {
        // Boxed: reading is rare and its state large, and whoever may have to read would carry it along.
        let load = Box::pin(async {
            let value = load.await?;
            let weight = value.weight();
            Ok::<_, Error>((value.into_part(), weight))
        });
        let part = self.cache.get_or_load(self.key::<T>(index), load).await?;
        Ok(T::from_part(part).expect("the key's kind decides the variant"))
    }
}

impl fmt::Debug for SegmentReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SegmentReader").field("path", &self.opened.file.path()).finish_non_exhaustive()
    }
}
