use std::collections::{HashMap, HashSet};

use drift_manifest::{BucketRow, BucketTable, Manifest, paths};
use drift_storage::Store;
use drift_types::SegmentId;

use super::{Checked, Finding};

/// The live rows of each run of each segment; none where they are not known.
type LiveRows = HashMap<SegmentId, Option<Vec<u32>>>;

/// Reads the bucket table and compares it with the segments: each run that has a live row belongs to
/// exactly one bucket.
pub(super) async fn check(store: &Store, manifest: &Manifest, live: &LiveRows, checked: &mut Checked) {
    let Some(blob) = &manifest.buckets else {
        let rows = manifest.live_rows();
        if rows > 0 {
            let what = format!("holds {rows} live rows, but its manifest names no bucket table");
            checked.wrong.push(Finding::new(&paths::collection_dir(manifest.collection), what));
        }
        return;
    };
    checked.files += 1;
    checked.bytes += blob.length;
    match blob.read(store).await.and_then(|bytes| BucketTable::decode(&blob.path, &bytes)) {
        Ok(table) => {
            let wrong = compare(&table, manifest, live);
            checked.wrong.extend(wrong.into_iter().map(|what| Finding::new(&blob.path, what)));
        }
        Err(error) => checked.wrong.push(Finding::of_manifest(&blob.path, error)),
    }
}

fn compare(table: &BucketTable, manifest: &Manifest, live: &LiveRows) -> Vec<String> {
    let mut wrong = Vec::new();
    let (mut ids, mut named) = (HashSet::new(), HashSet::new());
    for row in &table.rows {
        let bucket = row.id.0;
        if !ids.insert(bucket) || bucket >= manifest.next_bucket {
            wrong.push(format!("has a bucket {bucket} that is there twice or was never given"));
        }
        if !is_finite(row) {
            wrong.push(format!("has a statistic of bucket {bucket} that is no finite number"));
        }
        if manifest.schema.dim.is_some_and(|dim| row.centroid.len() != dim as usize) {
            wrong.push(format!("has a centroid of {} values in bucket {bucket}", row.centroid.len()));
        }
        for run in row.runs.iter().filter(|run| !named.insert(**run)) {
            wrong.push(format!("names run {} of segment {} twice", run.1, run.0));
        }
        match live_in(row, live) {
            Ok(Some(rows)) if rows != row.n_live => {
                wrong.push(format!("counts {} live rows in bucket {bucket}, but there are {rows}", row.n_live));
            }
            Ok(_) => {}
            Err(nowhere) => wrong.push(nowhere),
        }
    }
    for (segment, runs) in live.iter().filter_map(|(segment, runs)| Some((segment, runs.as_ref()?))) {
        let homeless = (0..).zip(runs).filter(|(run, rows)| **rows > 0 && !named.contains(&(*segment, *run)));
        wrong.extend(homeless.map(|(run, rows)| {
            format!("names no bucket for run {run} of segment {segment}, which has {rows} live rows")
        }));
    }
    wrong
}

fn is_finite(row: &BucketRow) -> bool {
    let mut values =
        row.centroid.iter().chain(&row.sum).chain([&row.mean_sq_radius, &row.max_norm_sq, &row.temperature]);
    values.all(|value| value.is_finite())
}

/// The live rows of a bucket; none if a segment it lies in could not be read.
fn live_in(row: &BucketRow, live: &LiveRows) -> Result<Option<u32>, String> {
    let mut total = Some(0u32);
    for (segment, run) in &row.runs {
        let runs = live.get(segment).map(|runs| runs.as_ref().map(|runs| runs.get(*run as usize)));
        total = match runs {
            Some(Some(Some(rows))) => total.map(|total| total.saturating_add(*rows)),
            Some(None) => None,
            None | Some(Some(None)) => {
                return Err(format!("names run {run} of segment {segment} in bucket {}, which is not there", row.id.0));
            }
        };
    }
    Ok(total)
}
