use std::{collections::HashMap, sync::Arc};

use drift_ivf::BucketHeader;
use drift_manifest::{BucketTable, Manifest};

use crate::{
    Error, ErrorKind, Result,
    common::Common,
    maintain::DraftBucket,
    observed::Observed,
    snapshot::{BucketPast, SegmentView},
};

/// The buckets a manifest names, each checked against the segments it lies in.
pub(super) async fn stored_buckets(
    common: &Common,
    manifest: &Manifest,
    segments: &[SegmentView],
) -> Result<Vec<DraftBucket>> {
    let Some(blob) = &manifest.buckets else { return Ok(Vec::new()) };
    let table = BucketTable::decode(&blob.path, &blob.read(&common.store).await?)?;
    let known: HashMap<_, _> = segments.iter().map(|s| (s.reader.id(), s)).collect();
    let mut buckets = Vec::with_capacity(table.rows.len());
    for row in table.rows {
        let mut runs = Vec::with_capacity(row.runs.len());
        for (segment, run) in row.runs {
            let view = known.get(&segment).filter(|view| (run as usize) < view.reader.runs().len()).ok_or_else(|| {
                let message = format!("{}: bucket {} names run {run} of segment {segment}, which is not there: restore it from a backup", blob.path, row.id.0);
                Error::new(ErrorKind::Corrupt, message)
            })?;
            runs.push((view.place, run));
        }
        let header = Arc::new(BucketHeader {
            n_live: row.n_live,
            n_dead: row.n_dead,
            centroid: row.centroid,
            sum: row.sum,
            mean_sq_radius: row.mean_sq_radius,
            max_norm_sq: row.max_norm_sq,
        });
        let past = BucketPast {
            changed: row.changed,
            manifest: row.changed_manifest,
            rows_changed: row.rows_changed,
            dense_rows: row.dense_rows,
        };
        let observed = Arc::new(Observed::new(row.temperature));
        buckets.push(DraftBucket { id: row.id, generation: row.generation, header, runs, past, observed });
    }
    Ok(buckets)
}
