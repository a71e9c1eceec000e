use std::{collections::HashMap, sync::Arc, time::Instant};

use drift_memtable::Graph;
use drift_types::{CollectionId, SeqNo, VectorId, Vectors};

use super::{InsertRows, ReadAt};
use crate::{
    CollectionSchema, Error, ErrorKind, Result,
    canonical::vectors,
    collection::Shared,
    id_map::{IdEntry, IdMap, PlaceId, RowAddress},
    snapshot::{L0Table, Level1, SegmentView, Snapshot},
};

/// The low bits of a generated key number the rows of one log record.
const GENERATED_BITS: u32 = 22;

/// A log record and a part of a bulk load have fewer rows than this.
pub(crate) const RECORD_ROWS_MAX: usize = 1 << GENERATED_BITS;

/// The keys of `rows` rows that came without any: unique, rising, and the same at every replay.
pub(crate) fn generated_ids(seq: SeqNo, rows: usize) -> impl Iterator<Item = VectorId> {
    (0..rows as u64).map(move |row| VectorId((seq.0 << GENERATED_BITS) + row))
}

/// A collection as the writer holds it: the snapshot being made, and where every key's row is.
pub(crate) struct CollectionState {
    shared: Arc<Shared>,
    next: Snapshot,
    ids: IdMap,
    /// Every record up to here is in segments and persisted tombstones.
    flushed: SeqNo,
    /// The last record that is not.
    unflushed: SeqNo,
    bulk_loads: usize,
    /// Keys deleted while a bulk load runs, with the number up to which their rows are gone: the load's may be older.
    deleted_meanwhile: HashMap<VectorId, SeqNo>,
}

/// Rows that a job has put into a new segment, in the segment's order.
pub(crate) struct MovedRows {
    pub place: PlaceId,
    pub ids: Vec<VectorId>,
    pub seqs: Vec<SeqNo>,
    /// Where the job found each row; `None` for rows that are new.
    pub from: Vec<Option<RowAddress>>,
}

struct MovedRow {
    /// Where it is now.
    address: RowAddress,
    id: VectorId,
    seq: SeqNo,
    from: Option<RowAddress>,
}

impl MovedRows {
    fn rows(&self) -> impl Iterator<Item = MovedRow> + '_ {
        let rows = (0..).zip(&self.ids).zip(&self.seqs).zip(&self.from);
        rows.map(|(((ordinal, &id), &seq), &from)| {
            let address = RowAddress { place: self.place, ordinal };
            MovedRow { address, id, seq, from }
        })
    }
}

/// What a job has written and committed to the manifest.
pub(crate) struct Commit {
    pub collection: CollectionId,
    pub schema: CollectionSchema,
    pub segments: Vec<SegmentView>,
    pub level1: Level1,
    /// L0 tables that are in segments now.
    pub flushed_tables: Vec<PlaceId>,
    pub moved: Vec<MovedRows>,
    /// Every record up to here is in the manifest's segments and tombstones.
    pub applied: SeqNo,
    /// Whether rows of a load become visible.
    pub is_load: bool,
}

impl CollectionState {
    pub fn new(shared: Arc<Shared>, snapshot: Snapshot, ids: IdMap, flushed: SeqNo) -> Self {
        Self {
            shared,
            next: snapshot,
            ids,
            flushed,
            unflushed: SeqNo(0),
            bulk_loads: 0,
            deleted_meanwhile: HashMap::new(),
        }
    }

    pub fn id(&self) -> CollectionId {
        self.shared.id
    }

    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub fn schema(&self) -> Arc<CollectionSchema> {
        self.next.schema.clone()
    }

    /// Every record up to here is in segments and tombstones.
    pub fn applied(&self) -> SeqNo {
        self.flushed
    }

    /// The highest number this collection has seen.
    pub fn newest(&self) -> SeqNo {
        self.next.seq
    }

    /// Everything applied since the last call becomes visible, by one swap.
    pub fn publish(&mut self) {
        self.shared.snapshot.store(Arc::new(self.next.clone()));
    }

    /// Settles the dimension by the first batch; refuses a batch of another.
    pub fn accept_schema(&mut self, schema: &CollectionSchema) -> Result<()> {
        match (self.next.schema.dim, schema.dim) {
            (Some(have), Some(given)) if have != given => Err(Error::invalid(format!(
                "vectors of {given} values where another batch has just settled on {have}; use one model"
            ))),
            _ => {
                self.settle_schema(schema);
                Ok(())
            }
        }
    }

    /// From the first rows on their dimension is known.
    fn settle_schema(&mut self, schema: &CollectionSchema) {
        if self.next.schema.dim.is_none() && schema.dim.is_some() {
            self.next.schema = Arc::new(schema.clone());
            *self.next.active() = L0Table::new(self.next.active().place, schema);
        }
    }

    /// Applies an insert; returns its rows. What is in the log can be applied, so it does not fail.
    pub fn insert(&mut self, seq: SeqNo, rows: InsertRows) -> u64 {
        let n = rows.batch.num_rows();
        self.touch(seq);
        if n == 0 {
            return 0;
        }
        self.shared.totals.ingested(n as u64 * self.row_bytes());
        self.shared.common.budget.ingested(rows.encoded.len() as u64);
        let ids = rows.ids.unwrap_or_else(|| generated_ids(seq, n).collect());
        let place = self.next.active().place;
        let first = self.next.active().memtable.len() as u32;
        {
            let schema = self.next.schema.clone();
            let table = self.next.active();
            let data = rows.unit_vectors.as_deref().unwrap_or_else(|| vectors(&schema, &rows.batch));
            table.memtable = table.memtable.append(Vectors::new(data, data.len() / n), &ids, seq);
            table.payload = table.payload.append(rows.batch.clone(), rows.encoded.len());
            table.born.get_or_insert_with(Instant::now);
        }
        for (i, &id) in ids.iter().enumerate() {
            let address = RowAddress { place, ordinal: first + i as u32 };
            if let Some(loser) = self.ids.offer(id, IdEntry { address, seq }) {
                self.next.kill(loser);
            }
        }
        if self.shared.is_full(self.next.active()) {
            self.freeze();
        }
        n as u64
    }

    /// Applies a delete of keys; returns how many rows it met.
    pub fn delete(&mut self, seq: SeqNo, ids: &[VectorId]) -> u64 {
        self.delete_upto(seq, ids.iter().map(|&id| (id, seq)))
    }

    /// Applies a delete of rows that were read, with their numbers; returns how many it met. Newer rows of their
    /// keys stay.
    pub fn delete_rows(&mut self, seq: SeqNo, rows: &[(VectorId, SeqNo)]) -> u64 {
        self.delete_upto(seq, rows.iter().copied())
    }

    fn delete_upto(&mut self, seq: SeqNo, upto: impl Iterator<Item = (VectorId, SeqNo)>) -> u64 {
        self.touch(seq);
        let mut rows = 0;
        for (id, upto) in upto {
            if self.bulk_loads > 0 {
                self.deleted_meanwhile.insert(id, upto);
            }
            if let Some(address) = self.ids.remove(id, upto) {
                self.next.kill(address);
                rows += 1;
            }
        }
        self.shared.common.budget.ingested(rows * self.row_bytes());
        rows
    }

    /// Bytes of a row's vector.
    fn row_bytes(&self) -> u64 {
        4 * self.next.schema.dim.unwrap_or_default() as u64
    }

    fn touch(&mut self, seq: SeqNo) {
        // At replay, rows of a later load are in segments already.
        self.next.seq = self.next.seq.max(seq);
        self.unflushed = seq;
    }

    /// Those of the rows of `ids` that still are what was read, with their numbers.
    ///
    /// # Errors
    /// `Unavailable` when that cannot be told: a load's rows have older numbers than when they became visible.
    pub fn unchanged(&self, ids: &[VectorId], read_at: &ReadAt) -> Result<Vec<(VectorId, SeqNo)>> {
        let now = ids.iter().map(|&id| self.ids.get(id).map(|entry| (id, entry.seq)));
        match read_at {
            ReadAt::Each(seqs) => {
                Ok(now.zip(seqs).filter_map(|(row, read)| row.filter(|(_, seq)| seq == read)).collect())
            }
            ReadAt::Upto(mark) if mark.loads != self.next.loads => {
                let ended =
                    "a bulk load has ended since the rows to delete were looked for, and may have replaced them";
                Err(Error::new(ErrorKind::Unavailable, format!("{ended}: nothing was deleted, repeat the DELETE")))
            }
            ReadAt::Upto(mark) => Ok(now.flatten().filter(|(_, seq)| *seq <= mark.seq).collect()),
        }
    }

    /// Puts a new active table in front, if the present one has rows.
    pub fn freeze(&mut self) {
        if !self.next.active().memtable.is_empty() {
            let table = L0Table::new(self.shared.common.next_place(), &self.next.schema);
            self.next.l0.push(table);
            self.publish();
            self.shared.wake_janitor();
        }
    }

    pub fn begin_bulk(&mut self) {
        self.bulk_loads += 1;
    }

    pub fn end_bulk(&mut self) {
        self.bulk_loads -= 1;
        if self.bulk_loads == 0 {
            self.deleted_meanwhile = HashMap::new();
        }
    }

    pub fn publish_graph(&mut self, place: PlaceId, graph: Arc<Graph>) {
        if let Some(table) = self.next.l0.iter_mut().find(|t| t.place == place) {
            table.memtable = table.memtable.with_graph(graph);
            self.publish();
        }
    }

    /// Swaps in a job's result. The job read an older state: a row deleted or replaced since stays
    /// dead, because it no longer is where the job found it.
    pub fn commit(&mut self, commit: Commit) {
        let mut segments = commit.segments;
        for view in &mut segments {
            if let Some(now) = self.next.segments.iter().find(|s| s.place == view.place) {
                view.dead = now.dead.clone();
            }
        }
        let replaced = self.move_rows(&commit.moved, &mut segments);
        let newest = commit.moved.iter().flat_map(|m| &m.seqs).max();
        self.next.seq = self.next.seq.max(newest.copied().unwrap_or_default());
        self.next.l0.retain(|table| !commit.flushed_tables.contains(&table.place));
        self.next.live = Arc::new(Snapshot::count_live(&commit.level1, &segments));
        self.next.segments = segments;
        self.next.level1 = Arc::new(commit.level1);
        self.settle_schema(&commit.schema);
        for address in replaced {
            self.next.kill(address);
        }
        self.flushed = self.flushed.max(commit.applied);
        self.next.loads += u64::from(commit.is_load);
        self.publish();
    }

    /// Takes note of where rows are now. Those that have died meanwhile are dead there too. Returns what rows of
    /// a load have replaced.
    fn move_rows(&mut self, moved: &[MovedRows], segments: &mut [SegmentView]) -> Vec<RowAddress> {
        let positions: HashMap<PlaceId, usize> = segments.iter().enumerate().map(|(i, s)| (s.place, i)).collect();
        let mut replaced = Vec::new();
        for MovedRow { address, id, seq, from } in moved.iter().flat_map(MovedRows::rows) {
            let lives = match from {
                Some(from) => {
                    if let Some(&old) = positions.get(&from.place) {
                        segments[old].dead.insert(from.ordinal);
                    }
                    self.ids.relocate(id, from, address)
                }
                None => self.admit(id, seq, address, &mut replaced),
            };
            // A segment that the job wrote and emptied again is none of the result's.
            if !lives && let Some(&home) = positions.get(&address.place) {
                segments[home].dead.insert(address.ordinal);
            }
        }
        replaced
    }

    /// Takes a bulk row in, unless a later write to its key has come meanwhile.
    fn admit(&mut self, id: VectorId, seq: SeqNo, address: RowAddress, replaced: &mut Vec<RowAddress>) -> bool {
        if self.deleted_meanwhile.get(&id).is_some_and(|&deleted| deleted > seq) {
            return false;
        }
        match self.ids.offer(id, IdEntry { address, seq }) {
            Some(loser) if loser == address => false,
            Some(loser) => {
                replaced.push(loser);
                true
            }
            None => true,
        }
    }

    /// The last record this collection does not need any more, `now` being the newest.
    pub fn log_floor(&self, now: SeqNo) -> SeqNo {
        if self.bulk_loads == 0 && self.unflushed <= self.flushed { now } else { self.flushed }
    }
}
