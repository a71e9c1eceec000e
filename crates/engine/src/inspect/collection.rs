use std::collections::{HashMap, HashSet};

use drift_manifest::{Catalog, History, Manifest, VersionLog, paths};
use drift_storage::Store;
use drift_types::CollectionId;

use super::{Checked, Finding, buckets, segment};
use crate::{Result, maintain::objects};

/// How often a collection is read whose manifest is another one each time.
const ATTEMPTS: usize = 5;

/// Reads a collection; none if it was dropped meanwhile.
///
/// What is missing may have been removed because the collection went on while it was read. Then
/// there is a newer manifest, and all is read again.
pub(super) async fn check(store: &Store, id: CollectionId, name: &str) -> Result<Option<Checked>> {
    let log = VersionLog::<Manifest>::manifests(store.clone(), id);
    let mut attempts = 0;
    loop {
        attempts += 1;
        let (mut checked, version) = check_once(store, &log, id, name).await?;
        if checked.wrong.is_empty() {
            return Ok(Some(checked));
        }
        let catalog = VersionLog::<Catalog>::catalog(store.clone()).load_latest().await;
        if catalog.is_ok_and(|catalog| catalog.is_some_and(|c| c.collections.iter().all(|e| e.collection != id))) {
            return Ok(None);
        }
        let newest = log.load_latest().await.ok().flatten().map(|manifest| manifest.stamp.id);
        if newest == version || newest.is_none() {
            return Ok(Some(checked));
        }
        if attempts == ATTEMPTS {
            // Files never change, so damage stays damage. But each time some may just have been removed.
            checked.wrong.retain(|finding| !finding.is_missing);
            return Ok(Some(checked));
        }
    }
}

/// Reads a collection as its newest manifest has it; also returns that manifest's number.
async fn check_once(
    store: &Store,
    log: &VersionLog<Manifest>,
    id: CollectionId,
    name: &str,
) -> Result<(Checked, Option<u64>)> {
    let dir = paths::manifest_dir(id);
    let chain = log.verify().await?;
    let mut checked = Checked::new(format!("collection '{name}'"));
    (checked.files, checked.bytes) = (chain.versions, chain.bytes);
    checked.wrong.extend(chain.wrong.into_iter().map(|e| Finding::of_manifest(&dir, e)));
    let Some(manifest) = chain.latest else {
        if chain.versions == 0 && checked.wrong.is_empty() {
            checked.wrong.push(Finding::new(&dir, format!("has no manifest, but the catalog names '{name}'")));
        }
        return Ok((checked, None));
    };
    if manifest.collection != id {
        checked.wrong.push(Finding::new(&dir, format!("holds manifests of collection {}", manifest.collection)));
    }
    let mut runs = HashMap::new();
    for entry in &manifest.segments {
        runs.insert(entry.id, segment::check(store, &manifest, entry, &mut checked).await);
    }
    buckets::check(store, &manifest, &runs, &mut checked).await;
    check_history(store, &manifest, &mut checked).await;
    checked.unnamed_files = unnamed(store, &manifest).await?;
    Ok((checked, Some(manifest.stamp.id)))
}

async fn check_history(store: &Store, manifest: &Manifest, checked: &mut Checked) {
    let Some(blob) = &manifest.history else { return };
    checked.files += 1;
    checked.bytes += blob.length;
    if let Err(error) = blob.read(store).await.and_then(|bytes| History::decode(&blob.path, &bytes)) {
        checked.wrong.push(Finding::of_manifest(&blob.path, error));
    }
}

/// Counts the files of a collection that its manifest does not name.
async fn unnamed(store: &Store, manifest: &Manifest) -> Result<u64> {
    let named: HashSet<String> = objects(manifest);
    let mut count = 0;
    for kind in paths::OBJECT_KINDS {
        let dir = paths::object_dir(manifest.collection, kind);
        count += store.list(&dir).await?.iter().filter(|name| !named.contains(&format!("{dir}/{name}"))).count();
    }
    Ok(count as u64)
}
