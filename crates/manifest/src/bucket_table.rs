use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, FixedSizeBinaryArray, FixedSizeListArray, Float32Array, ListArray, RecordBatch, StringArray,
    StructArray, UInt32Array, UInt64Array,
};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{ArrowError, DataType, Field, Fields, Schema};
use bytes::Bytes;
use drift_ipc::{read_stream, write_stream};
use drift_types::{BucketId, SegmentId};
use ulid::Ulid;

use crate::{
    Action, Error, Result,
    column::{column, downcast, missing},
    frame::{self, HEADER},
};

const MAGIC: [u8; 8] = *b"DRIFTBKT";

const ONE_DIM: &str = "the vectors of a bucket table must all have the same number of values, at least one";

/// The buckets of a collection.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BucketTable {
    /// One row per bucket; their vectors are all of the same length.
    pub rows: Vec<BucketRow>,
}

/// A bucket: what routes to it and where its rows are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BucketRow {
    /// The bucket.
    pub id: BucketId,
    /// Counts how often it was rewritten.
    pub generation: u32,
    /// Live rows.
    pub n_live: u32,
    /// Rows still stored, but deleted or superseded.
    pub n_dead: u32,
    /// What rows and queries are routed by, in index space.
    pub centroid: Vec<f32>,
    /// Sum of the live rows, in index space.
    pub sum: Vec<f32>,
    /// s^2: mean squared distance of the live rows to their mean.
    pub mean_sq_radius: f32,
    /// Largest squared norm of a row.
    pub max_norm_sq: f32,
    /// Where its rows are: a segment, and the number of a run in it.
    pub runs: Vec<(SegmentId, u32)>,
    /// The last split, merge or rewrite, and when, in milliseconds since 1970.
    pub changed: Option<(Action, u64)>,
    /// The manifest of that change.
    pub changed_manifest: u64,
    /// Rows that have come or died since.
    pub rows_changed: u32,
    /// Live rows when they could not be told apart; 0: they can be.
    pub dense_rows: u32,
    /// Probes per second.
    pub temperature: f32,
}

impl BucketTable {
    /// The object that holds this table: an Arrow IPC stream of one batch in a frame.
    ///
    /// # Errors
    /// [`Error::Invalid`] unless all vectors have the same length of at least one value.
    pub fn encode(&self) -> Result<Bytes> {
        let dim = self.dim().ok_or_else(|| Error::Invalid(ONE_DIM.to_owned()))?;
        let batch = self.to_batch(dim).expect("columns are built by the schema");
        Ok(frame::seal(MAGIC, &write_stream(&batch).expect("a Vec takes all writes")))
    }

    /// The table held by the object `bytes` found at `path`.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if any byte differs from what was written. The checksum is verified
    /// before Arrow sees the bytes.
    pub fn decode(path: &str, bytes: &[u8]) -> Result<Self> {
        let body = frame::open(path, MAGIC, bytes)?;
        Self::from_stream(body).map_err(|e| Error::corrupt(path, HEADER, format!("it holds no bucket table: {e}")))
    }

    fn from_stream(body: &[u8]) -> Result<Self, ArrowError> {
        let mut rows = Vec::new();
        for batch in read_stream(body)?.1 {
            append_rows(&batch, &mut rows)?;
        }
        let table = Self { rows };
        table.dim().ok_or_else(|| ArrowError::SchemaError(ONE_DIM.to_owned()))?;
        Ok(table)
    }

    /// The length of all vectors; 1 if there are none, and `None` if they differ or are empty.
    fn dim(&self) -> Option<usize> {
        let dim = self.rows.first().map_or(1, |row| row.centroid.len());
        let alike = self.rows.iter().all(|row| row.centroid.len() == dim && row.sum.len() == dim);
        (dim > 0 && alike).then_some(dim)
    }

    fn to_batch(&self, dim: usize) -> Result<RecordBatch, ArrowError> {
        let numbers = |of: fn(&BucketRow) -> u32| -> ArrayRef {
            Arc::new(UInt32Array::from_iter_values(self.rows.iter().map(of)))
        };
        let longs = |of: fn(&BucketRow) -> u64| -> ArrayRef {
            Arc::new(UInt64Array::from_iter_values(self.rows.iter().map(of)))
        };
        let scalars = |of: fn(&BucketRow) -> f32| -> ArrayRef {
            Arc::new(Float32Array::from_iter_values(self.rows.iter().map(of)))
        };
        let vectors = |of: fn(&BucketRow) -> &[f32]| -> Result<ArrayRef, ArrowError> {
            let values = Float32Array::from_iter_values(self.rows.iter().flat_map(of).copied());
            Ok(Arc::new(FixedSizeListArray::try_new(vector_item(), dim as i32, Arc::new(values), None)?))
        };
        let columns = vec![
            numbers(|row| row.id.0),
            numbers(|row| row.generation),
            numbers(|row| row.n_live),
            numbers(|row| row.n_dead),
            vectors(|row| &row.centroid)?,
            vectors(|row| &row.sum)?,
            scalars(|row| row.mean_sq_radius),
            scalars(|row| row.max_norm_sq),
            self.runs()?,
            Arc::new(StringArray::from_iter(self.rows.iter().map(|row| row.changed.map(|(action, _)| action.name())))),
            longs(|row| row.changed.map_or(0, |(_, at_ms)| at_ms)),
            longs(|row| row.changed_manifest),
            numbers(|row| row.rows_changed),
            numbers(|row| row.dense_rows),
            scalars(|row| row.temperature),
        ];
        RecordBatch::try_new(Arc::new(schema(dim)), columns)
    }

    fn runs(&self) -> Result<ArrayRef, ArrowError> {
        let runs = || self.rows.iter().flat_map(|row| &row.runs);
        let ids: Vec<u8> = runs().flat_map(|(segment, _)| segment.0.to_bytes()).collect();
        let segments = FixedSizeBinaryArray::try_new(ULID_BYTES, ids.into(), None)?;
        let numbers = UInt32Array::from_iter_values(runs().map(|(_, run)| *run));
        let items = StructArray::try_new(run_fields(), vec![Arc::new(segments), Arc::new(numbers)], None)?;
        let offsets = OffsetBuffer::from_lengths(self.rows.iter().map(|row| row.runs.len()));
        Ok(Arc::new(ListArray::try_new(run_item(), offsets, Arc::new(items), None)?))
    }
}

const ULID_BYTES: i32 = 16;

fn schema(dim: usize) -> Schema {
    let vector = DataType::FixedSizeList(vector_item(), dim as i32);
    let required = |name: &str, data_type| Field::new(name, data_type, false);
    Schema::new(vec![
        required("id", DataType::UInt32),
        required("generation", DataType::UInt32),
        required("n_live", DataType::UInt32),
        required("n_dead", DataType::UInt32),
        required("centroid", vector.clone()),
        required("sum", vector),
        required("mean_sq_radius", DataType::Float32),
        required("max_norm_sq", DataType::Float32),
        required("runs", DataType::List(run_item())),
        Field::new("changed", DataType::Utf8, true),
        required("changed_ms", DataType::UInt64),
        required("changed_manifest", DataType::UInt64),
        required("rows_changed", DataType::UInt32),
        required("dense_rows", DataType::UInt32),
        required("temperature", DataType::Float32),
    ])
}

fn vector_item() -> Arc<Field> {
    Arc::new(Field::new("item", DataType::Float32, false))
}

fn run_item() -> Arc<Field> {
    Arc::new(Field::new("item", DataType::Struct(run_fields()), false))
}

fn run_fields() -> Fields {
    Fields::from(vec![
        Field::new("segment", DataType::FixedSizeBinary(ULID_BYTES), false),
        Field::new("run", DataType::UInt32, false),
    ])
}

fn append_rows(batch: &RecordBatch, rows: &mut Vec<BucketRow>) -> Result<(), ArrowError> {
    let (ids, generations) = (column::<UInt32Array>(batch, "id")?, column::<UInt32Array>(batch, "generation")?);
    let (live, dead) = (column::<UInt32Array>(batch, "n_live")?, column::<UInt32Array>(batch, "n_dead")?);
    let (centroids, sums) = (column(batch, "centroid")?, column(batch, "sum")?);
    let radii = column::<Float32Array>(batch, "mean_sq_radius")?;
    let norms = column::<Float32Array>(batch, "max_norm_sq")?;
    let runs = column(batch, "runs")?;
    let changed = column::<StringArray>(batch, "changed")?;
    let (changed_ms, manifests) =
        (column::<UInt64Array>(batch, "changed_ms")?, column::<UInt64Array>(batch, "changed_manifest")?);
    let (rows_changed, dense) =
        (column::<UInt32Array>(batch, "rows_changed")?, column::<UInt32Array>(batch, "dense_rows")?);
    let temperatures = column::<Float32Array>(batch, "temperature")?;
    for i in 0..batch.num_rows() {
        rows.push(BucketRow {
            id: BucketId(ids.value(i)),
            generation: generations.value(i),
            n_live: live.value(i),
            n_dead: dead.value(i),
            centroid: vector(centroids, i)?,
            sum: vector(sums, i)?,
            mean_sq_radius: radii.value(i),
            max_norm_sq: norms.value(i),
            runs: run_list(runs, i)?,
            changed: change(changed, i)?.map(|action| (action, changed_ms.value(i))),
            changed_manifest: manifests.value(i),
            rows_changed: rows_changed.value(i),
            dense_rows: dense.value(i),
            temperature: temperatures.value(i),
        });
    }
    Ok(())
}

fn change(changed: &StringArray, i: usize) -> Result<Option<Action>, ArrowError> {
    if changed.is_null(i) {
        return Ok(None);
    }
    let named = Action::ALL.into_iter().find(|action| action.name() == changed.value(i));
    named.map(Some).ok_or_else(|| missing("changed"))
}

fn vector(vectors: &FixedSizeListArray, i: usize) -> Result<Vec<f32>, ArrowError> {
    Ok(downcast::<Float32Array>(&vectors.value(i), "item")?.values().to_vec())
}

fn run_list(runs: &ListArray, i: usize) -> Result<Vec<(SegmentId, u32)>, ArrowError> {
    let items = runs.value(i);
    let items = downcast::<StructArray>(&items, "runs")?;
    let field = |name: &str| items.column_by_name(name).ok_or_else(|| missing(name));
    let segments = downcast::<FixedSizeBinaryArray>(field("segment")?, "segment")?;
    let numbers = downcast::<UInt32Array>(field("run")?, "run")?;
    (0..items.len())
        .map(|i| {
            let id = segments.value(i).try_into().map_err(|_| missing("segment"))?;
            Ok((SegmentId(Ulid::from_bytes(id)), numbers.value(i)))
        })
        .collect()
}
