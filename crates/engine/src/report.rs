//! A collection's state in figures, one row per bucket, segment or manifest: what SQL shows as
//! `drift.buckets`, `drift.segments` and `drift.manifests`.

use drift_ivf::Urgency;
use drift_manifest::{Manifest, VersionLog};
use drift_types::{BucketId, SegmentId, SeqNo};

use crate::{
    Action, Collection, Event, MaintenanceTotals, RecallSample, Result, maintain,
    snapshot::{Bucket, RunRef, SegmentView, Snapshot},
};

/// A bucket in figures.
#[derive(Clone, Debug, PartialEq)]
pub struct BucketReport {
    /// The bucket.
    pub id: BucketId,
    /// How often it was rewritten.
    pub generation: u32,
    /// Live rows.
    pub rows: u32,
    /// Dead rows still stored.
    pub dead: u32,
    /// Runs it lies in.
    pub runs: u32,
    /// Bytes of its runs, codes and exact vectors.
    pub bytes: u64,
    /// s: root of the mean squared distance of its rows to their mean.
    pub radius: f32,
    /// |mean - centroid| / s.
    pub drift: f32,
    /// Share of its rows found nearer to another centroid at the last look.
    pub misplaced: f32,
    /// Searches per second that read it, averaged over about ten minutes.
    pub temperature: f32,
    /// How urgent it is to write it anew, by terms; a sum of 1 is due.
    pub urgency: Urgency,
    /// The last split, merge or rewrite, and when, in milliseconds since 1970.
    pub changed: Option<(Action, u64)>,
    /// Live rows when they could not be told apart; 0: they can be.
    pub dense_rows: u32,
    /// What it is routed by.
    pub centroid: Vec<f32>,
}

/// A segment in figures.
#[derive(Clone, Debug, PartialEq)]
pub struct SegmentReport {
    /// The segment.
    pub id: SegmentId,
    /// Rows stored.
    pub rows: u32,
    /// Of those, dead ones.
    pub dead: u32,
    /// Runs.
    pub runs: u32,
    /// Runs that no bucket uses any more.
    pub unused_runs: u32,
    /// Length of the file.
    pub bytes: u64,
}

/// A manifest that is still kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestReport {
    /// Its number.
    pub number: u64,
    /// The one it follows; none for the first.
    pub parent: Option<u64>,
    /// Of the writer that made it.
    pub epoch: u64,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// Log records up to this one are in its segments and tombstones.
    pub applied: SeqNo,
    /// Segments it names.
    pub segments: usize,
    /// Live rows in them.
    pub rows: u64,
    /// Dead rows in them.
    pub dead: u64,
    /// Their length.
    pub bytes: u64,
}

impl Collection {
    /// All buckets, in the router's order.
    pub fn bucket_reports(&self) -> Vec<BucketReport> {
        let snapshot = self.shared.snapshot.load();
        snapshot.level1.buckets.iter().map(|bucket| bucket_report(&snapshot, bucket)).collect()
    }

    /// All live segments.
    pub fn segment_reports(&self) -> Vec<SegmentReport> {
        self.shared.snapshot.load().segments.iter().map(segment_report).collect()
    }

    /// The manifests that are kept, oldest first, read from the store. Only the newest one's files are
    /// all there.
    ///
    /// # Errors
    /// Those of the store; `Corrupt` when a manifest is damaged.
    pub async fn manifest_reports(&self) -> Result<Vec<ManifestReport>> {
        let log = VersionLog::<Manifest>::manifests(self.shared.common.store.clone(), self.shared.id);
        Ok(log.load_all().await?.iter().map(manifest_report).collect())
    }

    /// What maintenance did, oldest first, as far as it is remembered.
    pub fn events(&self) -> Vec<Event> {
        self.shared.history().events.iter().cloned().collect()
    }

    /// Searches that were run again exactly, oldest first, as far as they are remembered.
    pub fn recall_samples(&self) -> Vec<RecallSample> {
        self.shared.history().samples.iter().cloned().collect()
    }

    /// What maintenance has cost since the database was opened.
    pub fn maintenance_totals(&self) -> MaintenanceTotals {
        self.shared.totals.report()
    }
}

fn bucket_report(snapshot: &Snapshot, bucket: &Bucket) -> BucketReport {
    let load = maintain::bucket_load(snapshot, bucket);
    let bytes = |run: &RunRef| {
        let entry = &snapshot.segments[run.segment as usize].reader.runs()[run.run as usize];
        entry.hot.length + entry.cold.length
    };
    BucketReport {
        id: bucket.id,
        generation: bucket.generation,
        rows: load.live,
        dead: load.dead,
        runs: load.runs,
        bytes: bucket.runs.iter().map(bytes).sum(),
        radius: bucket.header.mean_sq_radius.sqrt(),
        drift: bucket.header.drift(),
        misplaced: load.misplaced,
        temperature: load.temperature,
        urgency: maintain::urgency(snapshot, &load),
        changed: bucket.past.changed,
        dense_rows: bucket.past.dense_rows,
        centroid: bucket.header.centroid.clone(),
    }
}

fn segment_report(view: &SegmentView) -> SegmentReport {
    SegmentReport {
        id: view.reader.id(),
        rows: view.reader.rows(),
        dead: view.dead.count(),
        runs: view.bucket_of_run.len() as u32,
        unused_runs: view.bucket_of_run.iter().filter(|bucket| bucket.is_none()).count() as u32,
        bytes: view.reader.footer().file_length(),
    }
}

fn manifest_report(manifest: &Manifest) -> ManifestReport {
    let (stamp, segments) = (&manifest.stamp, &manifest.segments);
    let rows = manifest.live_rows();
    ManifestReport {
        number: stamp.id,
        parent: stamp.parent,
        epoch: stamp.epoch,
        created_ms: stamp.created_ms,
        applied: manifest.applied,
        segments: segments.len(),
        rows,
        dead: segments.iter().map(|s| s.rows).sum::<u64>() - rows,
        bytes: segments.iter().map(|s| s.length).sum(),
    }
}
