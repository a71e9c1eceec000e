//! Rows on their way in, and keys on their way out.

use arrow_array::{Array, RecordBatch, UInt32Array, cast::AsArray};
use arrow_schema::DataType;
use arrow_select::{concat::concat_batches, take::take_record_batch};
use drift_types::{Metric, SeqNo, VectorId};
use hashbrown::HashMap;

use crate::{
    CanonicalBatch, CollectionSchema, Error, Result, canonicalise, log_record,
    search::{RowSets, unit_rows},
    snapshot::Snapshot,
    vectors,
    write::{InsertRows, RECORD_ROWS_MAX},
};

/// Makes a batch ready for the writer.
pub(crate) fn prepare(schema: &CollectionSchema, batch: &RecordBatch) -> Result<InsertRows> {
    let (schema, canonical) = canonicalise(schema, batch)?;
    ready(schema, canonical)
}

fn ready(schema: CollectionSchema, canonical: CanonicalBatch) -> Result<InsertRows> {
    let encoded = log_record::encode_batch(&canonical.batch)?;
    Ok(with_unit_vectors(schema, canonical, encoded))
}

/// The rows of an insert record.
pub(crate) fn replayed(schema: &CollectionSchema, payload: &bytes::Bytes) -> Result<InsertRows> {
    let (schema, canonical) = canonicalise(schema, &log_record::decode_batch(payload)?)?;
    Ok(with_unit_vectors(schema, canonical, bytes::Bytes::new()))
}

fn with_unit_vectors(schema: CollectionSchema, canonical: CanonicalBatch, encoded: bytes::Bytes) -> InsertRows {
    let unit_vectors = match (schema.metric, schema.dim) {
        (Metric::Cosine, Some(dim)) => Some(unit_rows(vectors(&schema, &canonical.batch), dim).0),
        _ => None,
    };
    InsertRows { schema, batch: canonical.batch, ids: canonical.ids, unit_vectors, encoded }
}

/// Gathers the batches of one statement.
pub(crate) struct BatchCollector {
    schema: CollectionSchema,
    batches: Vec<CanonicalBatch>,
    rows: usize,
    bytes: usize,
}

impl BatchCollector {
    pub fn new(schema: CollectionSchema) -> Self {
        Self { schema, batches: Vec::new(), rows: 0, bytes: 0 }
    }

    pub fn push(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        if self.rows + batch.num_rows() >= RECORD_ROWS_MAX {
            let most = RECORD_ROWS_MAX / 2;
            return Err(Error::invalid(format!(
                "a batch of {} rows is too large: send at most {most} at a time",
                batch.num_rows()
            )));
        }
        let (schema, canonical) = canonicalise(&self.schema, batch)?;
        self.schema = schema;
        self.rows += canonical.batch.num_rows();
        self.bytes += bytes_of(&canonical.batch);
        self.batches.push(canonical);
        Ok(())
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn schema(&self) -> &CollectionSchema {
        &self.schema
    }

    /// Whether this is enough for one part of a bulk load.
    pub fn is_full(&self, bytes_max: usize) -> bool {
        self.rows >= RECORD_ROWS_MAX / 2 || self.bytes >= bytes_max
    }

    /// The rows gathered so far as one batch, where the last row of a key stays; the collector is
    /// empty afterwards.
    pub fn take(&mut self) -> Result<Option<CanonicalBatch>> {
        let batches = std::mem::take(&mut self.batches);
        (self.rows, self.bytes) = (0, 0);
        if batches.is_empty() {
            return Ok(None);
        }
        let ids: Option<Vec<VectorId>> =
            batches.iter().map(|b| b.ids.as_deref()).collect::<Option<Vec<_>>>().map(|ids| ids.concat());
        let batch = concat_batches(&self.schema.arrow, batches.iter().map(|b| &b.batch))?;
        drop(batches);
        Ok(Some(match ids {
            Some(ids) => last_of_each_key(CanonicalBatch { batch, ids: None }, ids)?,
            None => CanonicalBatch { batch, ids: None },
        }))
    }

    /// All of it as one insert; `None` when there was no row.
    pub fn into_statement(mut self) -> Result<Option<InsertRows>> {
        let canonical = self.take()?;
        canonical.map(|canonical| ready(self.schema, canonical)).transpose()
    }
}

/// What the values of a batch take up, though they may be part of larger buffers.
pub(crate) fn bytes_of(batch: &RecordBatch) -> usize {
    batch.columns().iter().map(|column| column_bytes(column)).sum()
}

fn column_bytes(column: &dyn Array) -> usize {
    // A size that cannot be told is no reason to refuse rows; of views it is that of the views alone.
    let slice = column.to_data().get_slice_memory_size().unwrap_or_default();
    let viewed: usize = match column.data_type() {
        DataType::Utf8View => column.as_string_view().lengths().map(|length| length as usize).sum(),
        DataType::BinaryView => column.as_binary_view().lengths().map(|length| length as usize).sum(),
        _ => 0,
    };
    slice + viewed
}

fn last_of_each_key(rows: CanonicalBatch, ids: Vec<VectorId>) -> Result<CanonicalBatch> {
    let mut last: HashMap<VectorId, u32> = HashMap::with_capacity(ids.len());
    for (row, &id) in ids.iter().enumerate() {
        last.insert(id, row as u32);
    }
    if last.len() == ids.len() {
        return Ok(CanonicalBatch { ids: Some(ids), ..rows });
    }
    let kept: UInt32Array = (0..ids.len() as u32).filter(|&row| last[&ids[row as usize]] == row).collect();
    let ids = kept.values().iter().map(|&row| ids[row as usize]).collect();
    Ok(CanonicalBatch { batch: take_record_batch(&rows.batch, &kept)?, ids: Some(ids) })
}

/// The keys of the rows in `sets`, with the numbers they were written under.
pub(crate) async fn keys_of(snapshot: &Snapshot, sets: &RowSets) -> Result<(Vec<VectorId>, Vec<SeqNo>)> {
    let (mut ids, mut seqs) = (Vec::new(), Vec::new());
    for (table, set) in snapshot.l0.iter().zip(&sets.l0) {
        for row in set.set_indices_u32() {
            ids.push(table.memtable.id(row));
            seqs.push(table.memtable.seq(row));
        }
    }
    for (view, set) in snapshot.segments.iter().zip(&sets.segments) {
        if set.count_set_bits() == 0 {
            continue;
        }
        let block = view.reader.ids().await?;
        for row in set.set_indices_u32() {
            ids.push(block.id(row));
            seqs.push(block.seq(row));
        }
    }
    Ok((ids, seqs))
}
