//! A history as an object: an Arrow IPC stream of one batch in a frame. Its one row holds two lists
//! of structs, events and samples, and the list of weights.

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, Float32Array, ListArray, RecordBatch, StringArray, StructArray, UInt32Array, UInt64Array,
};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{ArrowError, Field, Fields, Schema};
use bytes::Bytes;
use drift_ipc::{read_stream, write_stream};
use drift_types::BucketId;

use crate::{
    Action, Error, Event, History, RecallSample, Result,
    column::{downcast, missing},
    frame::{self, HEADER},
};

const MAGIC: [u8; 8] = *b"DRIFTHIS";

impl History {
    /// The object that holds this history.
    pub fn encode(&self) -> Bytes {
        let batch = self.to_batch().expect("columns are built by the schema");
        frame::seal(MAGIC, &write_stream(&batch).expect("a Vec takes all writes"))
    }

    /// The history held by the object `bytes` found at `path`. Of more events and samples than are
    /// kept, and of actions of a newer program, it goes without.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if any byte differs from what was written. The checksum is verified
    /// before Arrow sees the bytes.
    pub fn decode(path: &str, bytes: &[u8]) -> Result<Self> {
        let body = frame::open(path, MAGIC, bytes)?;
        Self::from_stream(body).map_err(|e| Error::corrupt(path, HEADER, format!("it holds no history: {e}")))
    }

    fn from_stream(body: &[u8]) -> Result<Self, ArrowError> {
        let mut history = Self::default();
        for batch in read_stream(body)?.1 {
            for row in 0..batch.num_rows() {
                let events = list(&batch, "events", row)?;
                read_events(downcast(&events, "events")?, &mut history)?;
                let samples = list(&batch, "samples", row)?;
                read_samples(downcast(&samples, "samples")?, &mut history)?;
                if batch.column_by_name("weights").is_some_and(|weights| weights.is_valid(row)) {
                    let weights = list(&batch, "weights", row)?;
                    history.weights = Some(downcast::<Float32Array>(&weights, "weights")?.values().to_vec());
                }
            }
        }
        Ok(history)
    }

    fn to_batch(&self) -> Result<RecordBatch, ArrowError> {
        let weights: &[f32] = self.weights.as_deref().unwrap_or_default();
        let present = NullBuffer::from(vec![self.weights.is_some()]);
        let columns = vec![
            one_list(self.events()?, None)?,
            one_list(self.samples()?, None)?,
            one_list(Arc::new(Float32Array::from(weights.to_vec())), Some(present))?,
        ];
        let names = [("events", false), ("samples", false), ("weights", true)];
        let fields = names.iter().zip(&columns).map(|((n, null), c)| Field::new(*n, c.data_type().clone(), *null));
        RecordBatch::try_new(Arc::new(Schema::new(fields.collect::<Vec<_>>())), columns)
    }

    fn events(&self) -> Result<ArrayRef, ArrowError> {
        let u64s =
            |of: fn(&Event) -> u64| -> ArrayRef { Arc::new(UInt64Array::from_iter_values(self.events.iter().map(of))) };
        let u32s =
            |of: fn(&Event) -> u32| -> ArrayRef { Arc::new(UInt32Array::from_iter_values(self.events.iter().map(of))) };
        let f32s = |of: fn(&Event) -> f32| -> ArrayRef {
            Arc::new(Float32Array::from_iter_values(self.events.iter().map(of)))
        };
        let buckets: UInt32Array = self.events.iter().map(|e| e.bucket.map(|b| b.0)).collect();
        structs(vec![
            ("at_ms", u64s(|e| e.at_ms)),
            ("manifest", u64s(|e| e.manifest)),
            ("action", Arc::new(StringArray::from_iter_values(self.events.iter().map(|e| e.action.name())))),
            ("cause", Arc::new(StringArray::from_iter_values(self.events.iter().map(|e| &e.cause)))),
            ("bucket", Arc::new(buckets)),
            ("rows_before", u64s(|e| e.rows_before)),
            ("rows_after", u64s(|e| e.rows_after)),
            ("dead_before", u64s(|e| e.dead_before)),
            ("buckets_before", u32s(|e| e.buckets_before)),
            ("buckets_after", u32s(|e| e.buckets_after)),
            ("rows_moved", u64s(|e| e.rows_moved)),
            ("drift_before", f32s(|e| e.drift_before)),
            ("drift_after", f32s(|e| e.drift_after)),
            ("duration_us", u64s(|e| e.duration_us)),
            ("bytes", u64s(|e| e.bytes)),
        ])
    }

    fn samples(&self) -> Result<ArrayRef, ArrowError> {
        let u64s = |of: fn(&RecallSample) -> u64| -> ArrayRef {
            Arc::new(UInt64Array::from_iter_values(self.samples.iter().map(of)))
        };
        let u32s = |of: fn(&RecallSample) -> u32| -> ArrayRef {
            Arc::new(UInt32Array::from_iter_values(self.samples.iter().map(of)))
        };
        let f32s = |of: fn(&RecallSample) -> f32| -> ArrayRef {
            Arc::new(Float32Array::from_iter_values(self.samples.iter().map(of)))
        };
        structs(vec![
            ("at_ms", u64s(|s| s.at_ms)),
            ("k", u32s(|s| s.k)),
            ("asked", f32s(|s| s.asked)),
            ("predicted", f32s(|s| s.predicted)),
            ("measured", f32s(|s| s.measured)),
            ("buckets_ranked", u32s(|s| s.buckets_ranked)),
            ("buckets_probed", u32s(|s| s.buckets_probed)),
            ("rows_scanned", u64s(|s| s.rows_scanned)),
            ("stop_reason", Arc::new(StringArray::from_iter_values(self.samples.iter().map(|s| &s.stop_reason)))),
        ])
    }
}

fn structs(columns: Vec<(&str, ArrayRef)>) -> Result<ArrayRef, ArrowError> {
    // The bucket alone may be absent.
    let field = |(name, column): &(&str, ArrayRef)| Field::new(*name, column.data_type().clone(), *name == "bucket");
    let fields: Fields = columns.iter().map(field).collect();
    Ok(Arc::new(StructArray::try_new(fields, columns.into_iter().map(|(_, column)| column).collect(), None)?))
}

/// A column of one row: the list of all `items`.
fn one_list(items: ArrayRef, nulls: Option<NullBuffer>) -> Result<ArrayRef, ArrowError> {
    let field = Arc::new(Field::new("item", items.data_type().clone(), false));
    Ok(Arc::new(ListArray::try_new(field, OffsetBuffer::from_lengths([items.len()]), items, nulls)?))
}

fn list(batch: &RecordBatch, name: &str, row: usize) -> Result<ArrayRef, ArrowError> {
    let column = batch.column_by_name(name).ok_or_else(|| missing(name))?;
    Ok(downcast::<ListArray>(column, name)?.value(row))
}

fn read_events(rows: &StructArray, history: &mut History) -> Result<(), ArrowError> {
    let field = |name: &'static str| rows.column_by_name(name).ok_or_else(|| missing(name));
    let u64s = |name| downcast::<UInt64Array>(field(name)?, name);
    let u32s = |name| downcast::<UInt32Array>(field(name)?, name);
    let f32s = |name| downcast::<Float32Array>(field(name)?, name);
    let text = |name| downcast::<StringArray>(field(name)?, name);
    let (at_ms, manifest, action) = (u64s("at_ms")?, u64s("manifest")?, text("action")?);
    let (cause, bucket, rows_moved) = (text("cause")?, u32s("bucket")?, u64s("rows_moved")?);
    let (rows_before, rows_after) = (u64s("rows_before")?, u64s("rows_after")?);
    let (dead_before, duration_us, bytes) = (u64s("dead_before")?, u64s("duration_us")?, u64s("bytes")?);
    let (buckets_before, buckets_after) = (u32s("buckets_before")?, u32s("buckets_after")?);
    let (drift_before, drift_after) = (f32s("drift_before")?, f32s("drift_after")?);
    for i in 0..rows.len() {
        let Some(action) = Action::ALL.into_iter().find(|a| a.name() == action.value(i)) else { continue };
        history.record(Event {
            at_ms: at_ms.value(i),
            manifest: manifest.value(i),
            action,
            cause: cause.value(i).to_owned(),
            bucket: bucket.is_valid(i).then(|| BucketId(bucket.value(i))),
            rows_before: rows_before.value(i),
            rows_after: rows_after.value(i),
            dead_before: dead_before.value(i),
            buckets_before: buckets_before.value(i),
            buckets_after: buckets_after.value(i),
            rows_moved: rows_moved.value(i),
            drift_before: drift_before.value(i),
            drift_after: drift_after.value(i),
            duration_us: duration_us.value(i),
            bytes: bytes.value(i),
        });
    }
    Ok(())
}

fn read_samples(rows: &StructArray, history: &mut History) -> Result<(), ArrowError> {
    let field = |name: &'static str| rows.column_by_name(name).ok_or_else(|| missing(name));
    let u64s = |name| downcast::<UInt64Array>(field(name)?, name);
    let u32s = |name| downcast::<UInt32Array>(field(name)?, name);
    let f32s = |name| downcast::<Float32Array>(field(name)?, name);
    let stop_reason = downcast::<StringArray>(field("stop_reason")?, "stop_reason")?;
    let (at_ms, rows_scanned, k) = (u64s("at_ms")?, u64s("rows_scanned")?, u32s("k")?);
    let (asked, predicted, measured) = (f32s("asked")?, f32s("predicted")?, f32s("measured")?);
    let (buckets_ranked, buckets_probed) = (u32s("buckets_ranked")?, u32s("buckets_probed")?);
    for i in 0..rows.len() {
        history.sample(RecallSample {
            at_ms: at_ms.value(i),
            k: k.value(i),
            asked: asked.value(i),
            predicted: predicted.value(i),
            measured: measured.value(i),
            buckets_ranked: buckets_ranked.value(i),
            buckets_probed: buckets_probed.value(i),
            rows_scanned: rows_scanned.value(i),
            stop_reason: stop_reason.value(i).to_owned(),
        });
    }
    Ok(())
}
