use std::{
    sync::{
        Arc, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use arrow_array::RecordBatch;
use arrow_buffer::BooleanBuffer;
use arrow_schema::SchemaRef;
use drift_ivf::StopRules;
use drift_manifest::{History, Manifest};
use drift_types::{CollectionId, VectorId};
use futures::{StreamExt, stream::BoxStream};
use tokio::sync::{Mutex, Notify, OwnedMutexGuard};

use crate::{
    Ack, CollectionSchema, CollectionStatus, Error, ErrorKind, Result, RowPredicate, ScanRequest, SearchRequest,
    SearchResult,
    audit::Walks,
    common::Common,
    compute::Class,
    maintain::{self, Garbage},
    recover,
    rows::{self, BatchCollector},
    search,
    snapshot::{L0Table, Snapshot},
    totals::Totals,
    write::{Command, ReadAt, ReadMark, WriterHandle},
};

/// Rows of one statement, in order.
pub type BatchStream = BoxStream<'static, Result<RecordBatch>>;

/// A table is frozen when its rows take up so much with all columns, and a statement of as much goes past L0: a
/// flush puts tables together, and 2 GiB are the most that Arrow holds of a text column.
const PAYLOAD_BYTES_MAX: usize = 256 << 20;

/// How often a predicate delete looks again for rows that changed while it ran.
const DELETE_ROUNDS: usize = 10;

/// So often who waits for room looks whether there is hope.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// So long a flush may fail before those who wait for it are told.
const FLUSH_PATIENCE: Duration = Duration::from_secs(3);

/// How often a compaction looks whether old segments can go.
const SWEEPS: usize = 50;

/// What a collection's readers, its writer and its janitor share.
pub(crate) struct Shared {
    pub id: CollectionId,
    pub name: String,
    pub common: Arc<Common>,
    pub snapshot: drift_epoch::Cell<Snapshot>,
    /// The newest manifest. Whoever changes segments holds it: one job at a time.
    pub manifest: Arc<Mutex<Manifest>>,
    /// No job begins any more.
    pub is_dropped: AtomicBool,
    /// Tells waiting writers that L0 has room again.
    pub drained: Notify,
    /// Why the last flush failed, unless one has succeeded since.
    pub flush_error: std::sync::Mutex<Option<Error>>,
    pub garbage: Garbage,
    history: std::sync::Mutex<History>,
    pub totals: Totals,
    /// When a search has seen enough; each loads it once.
    pub rules: drift_epoch::Cell<StopRules>,
    /// What the audits have shown.
    pub walks: std::sync::Mutex<Walks>,
}

impl Shared {
    pub fn new(common: Arc<Common>, name: &str, manifest: Manifest, snapshot: Snapshot, history: History) -> Self {
        let rules = recover::stored_rules(&history);
        Self {
            id: manifest.collection,
            name: name.to_owned(),
            common,
            snapshot: drift_epoch::Cell::new(Arc::new(snapshot)),
            manifest: Arc::new(Mutex::new(manifest)),
            is_dropped: AtomicBool::new(false),
            drained: Notify::new(),
            flush_error: std::sync::Mutex::default(),
            garbage: Garbage::default(),
            history: std::sync::Mutex::new(history),
            totals: Totals::default(),
            rules: drift_epoch::Cell::new(Arc::new(rules.clone())),
            walks: std::sync::Mutex::new(Walks::new(rules)),
        }
    }

    /// What maintenance did and how good searches were.
    pub fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a table is to be frozen.
    pub fn is_full(&self, table: &L0Table) -> bool {
        table.memtable.len() >= self.common.settings.memtable_rows_max
            || table.memtable.bytes() >= self.common.settings.memtable_bytes_max
            || table.payload.bytes() >= PAYLOAD_BYTES_MAX
    }

    /// How long ago the newest manifest was made; zero while a job is at it.
    pub fn manifest_age(&self) -> Duration {
        let made_ms = self.manifest.try_lock().map_or(u64::MAX, |manifest| manifest.stamp.created_ms);
        Duration::from_millis(ulid::Ulid::new().timestamp_ms().saturating_sub(made_ms))
    }

    /// The newest manifest, for one job at a time. What runs in the background comes back later rather than wait,
    /// behind a load whose client sends slowly for instance. None, too, once the collection is dropped.
    pub async fn lock_manifest(&self, class: Class) -> Option<OwnedMutexGuard<Manifest>> {
        let manifest = match class {
            Class::Foreground => Some(self.manifest.clone().lock_owned().await),
            Class::Background => self.manifest.clone().try_lock_owned().ok(),
        };
        manifest.filter(|_| !self.is_dropped.load(Relaxed))
    }

    /// Notes how a flush ended.
    pub fn flushed(&self, ended: &Result<()>) {
        *self.flush_error.lock().unwrap_or_else(PoisonError::into_inner) = ended.as_ref().err().cloned();
    }

    /// Fails for those who wait since `begun` for flushes that fail.
    fn flush_failed(&self, begun: Instant) -> Result<()> {
        match &*self.flush_error.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(e) if begun.elapsed() >= FLUSH_PATIENCE => {
                let full = format!("L0 is full and cannot be flushed ({e}): mend that, then insert again");
                Err(Error::new(ErrorKind::Unavailable, full))
            }
            _ => Ok(()),
        }
    }

    pub fn wake_janitor(&self) {
        self.common.janitor.notify_one();
    }
}

/// A named set of rows with a vector each. Cheap to clone.
#[derive(Clone)]
pub struct Collection {
    pub(crate) shared: Arc<Shared>,
    pub(crate) writer: WriterHandle,
}

impl Collection {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Its columns.
    pub fn schema(&self) -> CollectionSchema {
        self.shared.snapshot.load().schema.as_ref().clone()
    }

    /// Its columns as Arrow knows them.
    pub fn arrow_schema(&self) -> SchemaRef {
        self.shared.snapshot.load().schema.arrow.clone()
    }

    /// Inserts a batch, replacing rows with the same keys. When it returns, the batch is durable
    /// and every search sees it, whole.
    ///
    /// # Errors
    /// `Invalid` says which column and row to mend; `Closed` when the log cannot be written, `Unavailable`
    /// when L0 is full and cannot be flushed. Nothing is written then.
    pub async fn insert(&self, batch: RecordBatch) -> Result<Ack> {
        if self.is_large(batch.num_rows(), rows::bytes_of(&batch)) {
            return self.insert_stream(futures::stream::iter([Ok(batch)]).boxed()).await;
        }
        self.wait_for_room().await?;
        let rows = rows::prepare(&self.schema(), &batch)?;
        self.log_insert(rows).await
    }

    /// Whether a statement is too large for L0.
    fn is_large(&self, rows: usize, bytes: usize) -> bool {
        rows >= self.shared.common.settings.bulk_rows_min || bytes >= PAYLOAD_BYTES_MAX
    }

    async fn log_insert(&self, rows: crate::write::InsertRows) -> Result<Ack> {
        let (collection, rows) = (self.shared.id, Box::new(rows));
        self.writer.ask(|reply| Command::Insert { collection, rows, reply }).await
    }

    /// Inserts all batches of a stream as one statement: all of them become visible at once, or
    /// none does. Of rows with the same key in different batches the last one stays.
    ///
    /// A large statement is written to segments directly, past L0.
    ///
    /// # Errors
    /// As [`Collection::insert`], and any error of the stream. Nothing is written then.
    pub async fn insert_stream(&self, mut batches: BatchStream) -> Result<Ack> {
        let mut collector = BatchCollector::new(self.schema());
        while !self.is_large(collector.rows(), collector.bytes()) {
            match batches.next().await {
                Some(batch) => collector.push(&batch?)?,
                None => {
                    self.wait_for_room().await?;
                    return match collector.into_statement()? {
                        Some(rows) => self.log_insert(rows).await,
                        None => Ok(Ack { seq: self.shared.snapshot.load().seq, rows: 0 }),
                    };
                }
            }
        }
        maintain::bulk_load(self, collector, batches).await
    }

    /// Deletes rows by key.
    ///
    /// # Errors
    /// `Closed` when the log cannot be written.
    pub async fn delete(&self, ids: &[VectorId]) -> Result<Ack> {
        let (collection, ids) = (self.shared.id, ids.to_vec());
        self.writer.ask(|reply| Command::Delete { collection, ids, read_at: None, reply }).await
    }

    /// The state now, for [`Collection::delete_found`].
    pub fn read_mark(&self) -> ReadMark {
        let snapshot = self.shared.snapshot.load();
        ReadMark { seq: snapshot.seq, loads: snapshot.loads }
    }

    /// Deletes rows that were found by key in the state of `mark` or a later one. What was written to a key after it
    /// stays.
    ///
    /// # Errors
    /// As [`Collection::delete`], and `Unavailable` when a bulk load has ended since.
    pub async fn delete_found(&self, ids: Vec<VectorId>, mark: ReadMark) -> Result<Ack> {
        let (collection, read_at) = (self.shared.id, Some(ReadAt::Upto(mark)));
        self.writer.ask(|reply| Command::Delete { collection, ids, read_at, reply }).await
    }

    /// Deletes the rows that match. A row that is replaced while this runs is looked at again.
    ///
    /// # Errors
    /// Those of the predicate; `Unavailable` when rows keep changing faster than they can be checked.
    pub async fn delete_where(&self, predicate: Arc<dyn RowPredicate>) -> Result<Ack> {
        let mut total = Ack { seq: self.shared.snapshot.load().seq, rows: 0 };
        for _ in 0..DELETE_ROUNDS {
            let snapshot = self.shared.snapshot.load();
            let sets = search::matching_rows(&snapshot, &predicate, &self.shared.common.compute).await?;
            let (ids, seqs) = rows::keys_of(&snapshot, &sets).await?;
            if ids.is_empty() {
                return Ok(total);
            }
            let (collection, asked) = (self.shared.id, ids.len() as u64);
            let read_at = Some(ReadAt::Each(seqs));
            let ack: Ack = self.writer.ask(|reply| Command::Delete { collection, ids, read_at, reply }).await?;
            total = Ack { seq: ack.seq, rows: total.rows + ack.rows };
            if ack.rows == asked {
                return Ok(total);
            }
        }
        Err(Error::new(
            ErrorKind::Unavailable,
            format!("{} rows were deleted, but others that match kept changing: repeat the DELETE", total.rows),
        ))
    }

    /// Deletes all rows.
    ///
    /// # Errors
    /// As [`Collection::delete_where`].
    pub async fn delete_all(&self) -> Result<Ack> {
        self.delete_where(Arc::new(Everything)).await
    }

    /// The nearest neighbours of a vector.
    ///
    /// # Errors
    /// `Invalid` for a query of another dimension, or with values that are not finite, and for
    /// parameters out of range; `Corrupt` when a segment is damaged.
    pub async fn search(&self, request: SearchRequest) -> Result<SearchResult> {
        search::search(&self.shared, &request).await
    }

    /// Reads rows in no order, all from one snapshot.
    pub fn scan(&self, request: ScanRequest) -> BatchStream {
        search::scan(self.shared.snapshot.load(), request, self.shared.common.compute.clone())
    }

    /// Moves everything in L0 into segments and commits it.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn flush(&self) -> Result<()> {
        let collection = self.shared.id;
        self.writer.ask(|reply| Command::Freeze { collection, reply }).await?;
        maintain::flush(self, Class::Foreground).await?;
        self.writer.tell(Command::Truncate).await
    }

    /// Writes anew all that is dead or scattered, now and whatever it costs; the janitor does the same
    /// little by little, and once nothing is being written. Searches and writes go on.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn compact(&self) -> Result<()> {
        while maintain::compact(self, Class::Foreground, true).await? {}
        // The room is given back when the last search over the old segments ends. Long ones are not
        // waited for: the janitor looks again.
        for _ in 0..SWEEPS {
            if !self.shared.garbage.sweep(&self.shared).await {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Figures.
    pub fn status(&self) -> CollectionStatus {
        let snapshot = self.shared.snapshot.load();
        CollectionStatus {
            rows: snapshot.rows(),
            l0_rows: snapshot.l0_rows() as u64,
            dead_rows: snapshot.segments.iter().map(|s| u64::from(s.dead.count())).sum(),
            segments: snapshot.segments.len(),
            buckets: snapshot.level1.buckets.len(),
            segment_bytes: snapshot.segments.iter().map(|s| s.reader.footer().file_length()).sum(),
            seq: snapshot.seq,
        }
    }

    /// Whether L0 takes rows at present.
    pub(crate) fn has_room(&self) -> bool {
        self.shared.snapshot.load().frozen().len() < self.shared.common.settings.frozen_tables_max
    }

    /// Waits while too many frozen tables are still to be flushed: memory is bounded, and L0
    /// stays quick to search.
    async fn wait_for_room(&self) -> Result<()> {
        let begun = Instant::now();
        loop {
            let drained = self.shared.drained.notified();
            if self.has_room() {
                return Ok(());
            }
            if tokio::time::timeout(LOOK_AGAIN, drained).await.is_err() {
                // Nothing drains what was dropped, closed or fenced.
                self.writer.ask(|reply| Command::Ready { collection: self.shared.id, reply }).await?;
                self.shared.flush_failed(begun)?;
            }
        }
    }
}

/// Matches every row.
#[derive(Debug)]
struct Everything;

impl RowPredicate for Everything {
    fn columns(&self) -> &[usize] {
        &[]
    }

    fn eval(&self, batch: &RecordBatch) -> Result<BooleanBuffer> {
        Ok(BooleanBuffer::new_set(batch.num_rows()))
    }
}
