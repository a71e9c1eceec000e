//! Which system tables there are, and their columns.

use std::{future::ready, sync::Arc, time::Duration};

use datafusion::catalog::TableProvider;
use drift_engine::{
    BucketReport, Collection, CollectionSchema, CollectionStatus, Database, Event, MaintenanceTotals, ManifestReport,
    RecallSample, Result, SegmentReport,
};
use futures::{FutureExt, future::BoxFuture};

use super::{columns::Columns, table::SystemTable};

/// The names of all system tables, in order.
pub(super) const NAMES: [&str; 6] = ["buckets", "collections", "events", "manifests", "recall_samples", "segments"];

/// The system table of that name.
pub(super) fn open(db: &Database, name: &str) -> Option<Arc<dyn TableProvider>> {
    Some(match name {
        "buckets" => SystemTable::open(db, name, |c| known(c.bucket_reports()), buckets),
        "collections" => SystemTable::open(db, name, |c| known(vec![CollectionReport::of(&c)]), collections),
        "events" => SystemTable::open(db, name, |c| known(c.events()), events),
        "manifests" => SystemTable::open(db, name, |c| async move { c.manifest_reports().await }.boxed(), manifests),
        "recall_samples" => SystemTable::open(db, name, |c| known(c.recall_samples()), recall_samples),
        "segments" => SystemTable::open(db, name, |c| known(c.segment_reports()), segments),
        _ => return None,
    })
}

/// Rows that are in memory.
fn known<R: Send + 'static>(rows: Vec<R>) -> BoxFuture<'static, Result<Vec<R>>> {
    ready(Ok(rows)).boxed()
}

/// A row of `drift.collections`.
struct CollectionReport {
    status: CollectionStatus,
    schema: CollectionSchema,
    totals: MaintenanceTotals,
}

impl CollectionReport {
    fn of(collection: &Collection) -> Self {
        // In this order: rows there are rows only once the dimension is settled.
        let status = collection.status();
        Self { status, schema: collection.schema(), totals: collection.maintenance_totals() }
    }

    fn write_amplification(&self) -> Option<f64> {
        let MaintenanceTotals { bytes_ingested, bytes_written, .. } = self.totals;
        (bytes_ingested > 0).then(|| bytes_written as f64 / bytes_ingested as f64)
    }
}

fn collections(columns: Columns<CollectionReport>) -> Columns<CollectionReport> {
    columns
        .integer("rows", |c| c.status.rows)
        .integer("l0_rows", |c| c.status.l0_rows)
        .integer("dead_rows", |c| c.status.dead_rows)
        .integer("buckets", |c| c.status.buckets as u64)
        .integer("segments", |c| c.status.segments as u64)
        .integer("bytes", |c| c.status.segment_bytes)
        .text("metric", |c| c.schema.metric.to_string())
        .optional_integer("dim", |c| c.schema.dim.map(|dim| dim as u64))
        .optional_text("key_column", |c| c.schema.key_name().map(str::to_owned))
        .text("vector_column", |c| c.schema.vector_name().to_owned())
        .integer("seq", |c| c.status.seq.0)
        // Since the database was opened.
        .integer("bytes_ingested", |c| c.totals.bytes_ingested)
        .integer("bytes_read", |c| c.totals.bytes_read)
        .integer("bytes_written", |c| c.totals.bytes_written)
        .optional_double("write_amplification", CollectionReport::write_amplification)
        .double("maintenance_s", |c| c.totals.maintenance_cpu.as_secs_f64())
        .double("audit_s", |c| c.totals.audit_cpu.as_secs_f64())
}

fn buckets(columns: Columns<BucketReport>) -> Columns<BucketReport> {
    columns
        .integer("bucket", |b| b.id.0.into())
        .integer("generation", |b| b.generation.into())
        .integer("rows", |b| b.rows.into())
        .integer("dead", |b| b.dead.into())
        .integer("runs", |b| b.runs.into())
        .integer("bytes", |b| b.bytes)
        .float("radius", |b| b.radius)
        .float("drift", |b| b.drift)
        .float("misplaced", |b| b.misplaced)
        .float("temperature", |b| b.temperature)
        .float("urgency", |b| b.urgency.total())
        .float("urgency_dead", |b| b.urgency.dead)
        .float("urgency_small", |b| b.urgency.small)
        .float("urgency_runs", |b| b.urgency.runs)
        .float("urgency_misplaced", |b| b.urgency.misplaced)
        .optional_text("changed", |b| b.changed.map(|(action, _)| action.name().to_owned()))
        .optional_time("changed_at", |b| b.changed.map(|(_, at_ms)| at_ms))
        .integer("dense_rows", |b| b.dense_rows.into())
        .vector("centroid", |b| &b.centroid)
}

fn segments(columns: Columns<SegmentReport>) -> Columns<SegmentReport> {
    columns
        .text("segment", |s| s.id.to_string())
        .integer("rows", |s| s.rows.into())
        .integer("dead", |s| s.dead.into())
        .integer("runs", |s| s.runs.into())
        .integer("unused_runs", |s| s.unused_runs.into())
        .integer("bytes", |s| s.bytes)
}

fn manifests(columns: Columns<ManifestReport>) -> Columns<ManifestReport> {
    columns
        .integer("manifest", |m| m.number)
        .optional_integer("parent", |m| m.parent)
        .integer("epoch", |m| m.epoch)
        .time("created_at", |m| m.created_ms)
        .integer("applied", |m| m.applied.0)
        .integer("segments", |m| m.segments as u64)
        .integer("rows", |m| m.rows)
        .integer("dead", |m| m.dead)
        .integer("bytes", |m| m.bytes)
}

fn events(columns: Columns<Event>) -> Columns<Event> {
    columns
        .time("at", |e| e.at_ms)
        .integer("manifest", |e| e.manifest)
        .text("action", |e| e.action.name().to_owned())
        .text("cause", |e| e.cause.clone())
        .optional_integer("bucket", |e| e.bucket.map(|bucket| bucket.0.into()))
        .integer("rows_before", |e| e.rows_before)
        .integer("rows_after", |e| e.rows_after)
        .integer("dead_before", |e| e.dead_before)
        .integer("buckets_before", |e| e.buckets_before.into())
        .integer("buckets_after", |e| e.buckets_after.into())
        .integer("rows_moved", |e| e.rows_moved)
        .float("drift_before", |e| e.drift_before)
        .float("drift_after", |e| e.drift_after)
        .double("duration_ms", |e| 1e3 * Duration::from_micros(e.duration_us).as_secs_f64())
        .integer("bytes", |e| e.bytes)
}

fn recall_samples(columns: Columns<RecallSample>) -> Columns<RecallSample> {
    columns
        .time("at", |s| s.at_ms)
        .integer("k", |s| s.k.into())
        .float("asked", |s| s.asked)
        .float("predicted", |s| s.predicted)
        .float("measured", |s| s.measured)
        .integer("buckets_ranked", |s| s.buckets_ranked.into())
        .integer("buckets_probed", |s| s.buckets_probed.into())
        .integer("rows_scanned", |s| s.rows_scanned)
        .text("stop_reason", |s| s.stop_reason.clone())
}
