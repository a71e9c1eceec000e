use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use drift_manifest::{BucketTable, Catalog, CatalogEntry, Manifest, SegmentEntry, VersionLog, paths};
use drift_storage::Store;
use drift_types::{CollectionId, SeqNo, VectorId};
use drift_wal::{RecordKind, WalRecord};

use super::{log, nothing_at, open_store, segment::nothing_kept};
use crate::{
    CollectionSchema, CollectionStatus, Error, ErrorKind, Result, Settings, canonical_keys,
    log_record::{decode_batch, decode_keys, decode_rows},
    stored_segment,
    write::generated_ids,
};

/// A database as its files show it.
#[derive(Clone, Debug)]
pub struct DatabaseLook {
    /// Where it is.
    pub uri: String,
    /// How often it has been opened for writing.
    pub epoch: u64,
    /// Its collections, by name.
    pub collections: Vec<CollectionLook>,
}

/// A collection as its files show it.
#[derive(Clone, Debug)]
pub struct CollectionLook {
    /// What users call it.
    pub name: String,
    /// What its directory is called.
    pub id: CollectionId,
    /// The number of its newest manifest.
    pub version: u64,
    /// Its columns, as far as rows have been flushed.
    pub schema: CollectionSchema,
    /// Figures. Rows of L0 are those that only the log has.
    pub status: CollectionStatus,
    /// Its segments.
    pub segments: Vec<SegmentLook>,
}

/// A segment as its manifest shows it.
#[derive(Clone, Debug)]
pub struct SegmentLook {
    /// The file, relative to the store's root.
    pub path: String,
    /// Rows stored.
    pub rows: u64,
    /// Of those, rows that are not dead.
    pub live_rows: u64,
    /// Bytes.
    pub bytes: u64,
}

/// What the log says of a collection's keys beyond its manifest.
type Changes = HashMap<VectorId, Change>;

/// The last change of a key in the log.
#[derive(Clone, Copy)]
struct Change {
    seq: SeqNo,
    /// Rows of the key up to this number are gone.
    upto: SeqNo,
    /// Whether it has put a row there.
    is_there: bool,
}

/// How often a database is looked at whose files vanish each time, because a server goes on.
const ATTEMPTS: usize = 10;

/// Looks at the database at `uri` without opening it: nothing is locked and nothing written, so a
/// server may have it open. Its figures are those of the moment, except that rows which a bulk load
/// has just replaced are counted until the next flush.
///
/// # Errors
/// `NotFound` if there is no database; `Corrupt` if its catalog, manifests or log are damaged.
pub async fn look(uri: &str, settings: &Settings) -> Result<DatabaseLook> {
    let store = open_store(uri).await?;
    let mut left = ATTEMPTS;
    loop {
        left -= 1;
        match look_once(&store, uri, settings).await {
            Err(e) if e.kind() == ErrorKind::NotFound && left > 0 => {}
            looked => return looked,
        }
    }
}

async fn look_once(store: &Store, uri: &str, settings: &Settings) -> Result<DatabaseLook> {
    let catalog = VersionLog::<Catalog>::catalog(store.clone()).load_latest().await?.ok_or_else(|| nothing_at(uri))?;
    let before = newest_manifests(store, &catalog).await?;
    let mut changes = logged(store, settings, &catalog, &before).await?;
    // Once more: what has been flushed meanwhile may have left the log before it was read.
    let mut manifests = newest_manifests(store, &catalog).await?;
    let mut collections = Vec::new();
    for CatalogEntry { name, collection } in catalog.collections {
        let manifest = manifests.remove(&collection).ok_or_else(|| {
            let dir = paths::manifest_dir(collection);
            let lost = format!("collection '{name}' has no manifest under {dir}: run 'drift verify'");
            Error::new(ErrorKind::Corrupt, lost)
        })?;
        let mut changes = changes.remove(&collection).unwrap_or_default();
        changes.retain(|_, change| change.seq > manifest.applied);
        collections.push(look_at(store, name, manifest, &changes).await?);
    }
    collections.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(DatabaseLook { uri: uri.to_owned(), epoch: catalog.stamp.epoch, collections })
}

async fn newest_manifests(store: &Store, catalog: &Catalog) -> Result<HashMap<CollectionId, Manifest>> {
    let mut manifests = HashMap::new();
    for CatalogEntry { collection, .. } in &catalog.collections {
        if let Some(manifest) = VersionLog::<Manifest>::manifests(store.clone(), *collection).load_latest().await? {
            manifests.insert(*collection, manifest);
        }
    }
    Ok(manifests)
}

async fn look_at(store: &Store, name: String, manifest: Manifest, changes: &Changes) -> Result<CollectionLook> {
    let mut l0_rows = changes.values().filter(|change| change.is_there).count() as u64;
    let mut rows = manifest.live_rows();
    let mut newer = HashSet::new();
    for entry in &manifest.segments {
        rows -= replaced_rows(store, &manifest, entry, changes, &mut newer).await?;
    }
    l0_rows -= newer.len() as u64;
    let buckets = match &manifest.buckets {
        Some(blob) => BucketTable::decode(&blob.path, &blob.read(store).await?)?.rows.len(),
        None => 0,
    };
    let segment = |entry: &SegmentEntry| SegmentLook {
        path: paths::segment_path(manifest.collection, entry.id),
        rows: entry.rows,
        live_rows: entry.live_rows,
        bytes: entry.length,
    };
    let newest = changes.values().map(|change| change.seq).max().unwrap_or_default();
    Ok(CollectionLook {
        name,
        id: manifest.collection,
        version: manifest.stamp.id,
        schema: CollectionSchema::from_manifest(&manifest.schema)?,
        status: CollectionStatus {
            rows: rows + l0_rows,
            l0_rows,
            dead_rows: manifest.segments.iter().map(|entry| entry.rows - entry.live_rows).sum(),
            segments: manifest.segments.len(),
            buckets,
            segment_bytes: manifest.segments.iter().map(|entry| entry.length).sum(),
            seq: newest.max(manifest.applied),
        },
        segments: manifest.segments.iter().map(segment).collect(),
    })
}

/// How many live rows of a segment the log or another segment has replaced, or the log deleted. Keys whose rows in
/// the log are older than one of the segment, as after a bulk load, go into `newer`.
async fn replaced_rows(
    store: &Store,
    manifest: &Manifest,
    entry: &SegmentEntry,
    changes: &Changes,
    newer: &mut HashSet<VectorId>,
) -> Result<u64> {
    if !changes.keys().any(|key| (entry.key_min..=entry.key_max).contains(key)) {
        return Ok(0);
    }
    let reader = stored_segment::open(store, manifest.collection, entry, nothing_kept()).await?;
    let dead = stored_segment::dead_rows(store, entry).await?;
    let block = reader.ids().await?;
    let mut replaced = 0;
    for (row, (id, seq)) in (0..).zip(block.iter()) {
        match changes.get(&id).filter(|_| !dead.contains(row)) {
            Some(change) if change.upto >= seq => replaced += 1,
            Some(change) if change.is_there => replaced += u64::from(!newer.insert(id)),
            _ => {}
        }
    }
    Ok(replaced)
}

/// What the log says beyond the manifests.
async fn logged(
    store: &Store,
    settings: &Settings,
    catalog: &Catalog,
    manifests: &HashMap<CollectionId, Manifest>,
) -> Result<HashMap<CollectionId, Changes>> {
    let known = manifests.iter().map(|(id, manifest)| (*id, (manifest.applied, manifest.schema.key_column.clone())));
    let known: Arc<HashMap<_, _>> = Arc::new(known.collect());
    let start = HashMap::<CollectionId, Changes>::new();
    let changes =
        log::fold(store, settings, catalog, start, move |changes, record| match known.get(&record.collection) {
            Some((applied, key)) if record.seq > *applied => {
                enter(changes.entry(record.collection).or_default(), key.as_deref(), &record)
            }
            _ => Ok(()),
        });
    changes.await
}

fn enter(changes: &mut Changes, key: Option<&str>, record: &WalRecord) -> Result<()> {
    let seq = record.seq;
    match record.kind {
        RecordKind::Insert => {
            let batch = decode_batch(&record.payload)?;
            let insert = Change { seq, upto: seq, is_there: true };
            match key.and_then(|key| batch.column_by_name(key)) {
                Some(keys) => changes.extend(canonical_keys(keys)?.into_iter().map(|id| (id, insert))),
                None => changes.extend(generated_ids(seq, batch.num_rows()).map(|id| (id, insert))),
            }
        }
        RecordKind::Delete => {
            let delete = Change { seq, upto: seq, is_there: false };
            changes.extend(decode_keys(&record.payload)?.into_iter().map(|id| (id, delete)));
        }
        RecordKind::DeleteRows => {
            let delete = |upto| Change { seq, upto, is_there: false };
            changes.extend(decode_rows(&record.payload)?.into_iter().map(|(id, upto)| (id, delete(upto))));
        }
        RecordKind::BulkLoad => {}
    }
    Ok(())
}
