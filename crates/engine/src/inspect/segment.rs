use std::sync::Arc;

use drift_manifest::{Manifest, SegmentEntry, conservation_hash, paths, tombstones};
use drift_segment::{IdBlock, PartCache};
use drift_storage::Store;

use super::{Checked, Finding};
use crate::{dead_set::DeadSet, stored_segment};

/// Reads a segment and its tombstones and compares them with what the manifest says. Returns the live
/// rows of each run, unless that cannot be told.
pub(super) async fn check(
    store: &Store,
    manifest: &Manifest,
    entry: &SegmentEntry,
    checked: &mut Checked,
) -> Option<Vec<u32>> {
    let path = paths::segment_path(manifest.collection, entry.id);
    let dead = dead_rows(store, entry, checked).await;
    checked.files += 1;
    let reader = match stored_segment::open(store, manifest.collection, entry, nothing_kept()).await {
        Ok(reader) => reader,
        Err(error) => {
            checked.wrong.push(Finding::of_segment(&path, error));
            return None;
        }
    };
    let length = reader.footer().file_length();
    checked.bytes += length;
    checked.rows += u64::from(reader.rows());
    checked.wrong.extend(reader.verify().await.into_iter().map(|e| Finding::of_segment(&path, e)));
    let mut contradict = |what: String| checked.wrong.push(Finding::new(&path, what));
    if (reader.id(), reader.collection()) != (entry.id, manifest.collection) {
        contradict(format!("holds segment {} of collection {}", reader.id(), reader.collection()));
    }
    if length != entry.length || u64::from(reader.rows()) != entry.rows {
        let found = format!("{length} bytes and {} rows", reader.rows());
        contradict(format!("has {found}, its manifest says {} and {}", entry.length, entry.rows));
    }
    let dead = dead?;
    // If the keys cannot be read that has been said.
    if let Ok(ids) = reader.ids().await {
        compare_keys(&ids, &dead, entry).into_iter().for_each(&mut contradict);
    }
    if let Some(beyond) = dead.iter().find(|ordinal| *ordinal >= reader.rows()) {
        contradict(format!("has {} rows, but a tombstone for row {beyond}", reader.rows()));
        return None;
    }
    Some(reader.runs().iter().map(|run| run.rows - dead.count_in(run.first_row, run.rows)).collect())
}

/// A cache for readers that read everything once.
pub(super) fn nothing_kept() -> Arc<PartCache> {
    Arc::new(PartCache::new(0))
}

async fn dead_rows(store: &Store, entry: &SegmentEntry, checked: &mut Checked) -> Option<DeadSet> {
    let Some(stored) = &entry.tombstones else { return Some(DeadSet::default()) };
    checked.files += 1;
    checked.bytes += stored.blob.length;
    let read = stored.blob.read(store).await.and_then(|bytes| tombstones::decode(&stored.blob.path, &bytes));
    match read {
        Ok(dead) if dead.len() == stored.cardinality => Some(dead.iter().collect()),
        Ok(dead) => {
            let what = format!("holds {} tombstones, its manifest says {}", dead.len(), stored.cardinality);
            checked.wrong.push(Finding::new(&stored.blob.path, what));
            None
        }
        Err(error) => {
            checked.wrong.push(Finding::of_manifest(&stored.blob.path, error));
            None
        }
    }
}

/// How keys and numbers of the rows differ from what a manifest says of them.
fn compare_keys(block: &IdBlock, dead: &DeadSet, entry: &SegmentEntry) -> Option<String> {
    let mut conservation = 0u64;
    let (mut key_min, mut key_max, mut seq_max) = (entry.key_max, entry.key_min, None);
    for (row, (id, seq)) in (0..).zip(block.iter()) {
        (key_min, key_max, seq_max) = (key_min.min(id), key_max.max(id), seq_max.max(Some(seq)));
        if !dead.contains(row) {
            conservation = conservation.wrapping_add(conservation_hash(id, seq));
        }
    }
    if (key_min, key_max, seq_max) != (entry.key_min, entry.key_max, Some(entry.seq_max)) {
        return Some("has keys or sequence numbers of another range than its manifest says".into());
    }
    (conservation != entry.conservation).then(|| {
        let stated = entry.conservation;
        format!("has live rows whose conservation hash is {conservation:#x}, its manifest says {stated:#x}: rows were lost or doubled")
    })
}
