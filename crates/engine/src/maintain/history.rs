//! The history's way to disk: with every manifest, and by a manifest of its own where none comes for
//! long, since searches are audited while nobody writes.

use std::{sync::Arc, time::Duration};

use drift_manifest::{BlobRef, Event, History, Manifest, VersionLog, paths};
use tokio::sync::OwnedMutexGuard;
use ulid::Ulid;

use super::garbage::prune;
use crate::{
    Collection, Result,
    collection::Shared,
    compute::Class,
    versions::{commit_version, to_the_end},
};

/// The object of a collection's history as it is now, with `events` of a job that is not committed yet:
/// the one that `manifest` names, if nothing was added since.
pub(super) async fn publish(shared: &Shared, manifest: &Manifest, events: &[Event]) -> Result<Option<BlobRef>> {
    let mut history = shared.history().clone();
    events.iter().cloned().for_each(|event| history.record(event));
    if history == History::default() {
        return Ok(None);
    }
    let bytes = history.encode();
    if let Some(known) = manifest.history.as_ref().filter(|known| known.describes(&bytes)) {
        return Ok(Some(known.clone()));
    }
    Ok(Some(BlobRef::publish(&shared.common.store, paths::history_path(shared.id, Ulid::new()), bytes).await?))
}

/// Commits what was added to the history since the newest manifest, if that one is `age_min` old.
pub(crate) async fn remember(collection: &Collection, age_min: Duration, class: Class) -> Result<()> {
    let shared = &collection.shared;
    if shared.manifest_age() < age_min {
        return Ok(());
    }
    let Some(manifest) = shared.lock_manifest(class).await else { return Ok(()) };
    let newest_ms = shared.history().newest_ms();
    if newest_ms < manifest.stamp.created_ms {
        return Ok(());
    }
    let history = publish(shared, &manifest, &[]).await?;
    if history == manifest.history {
        return Ok(());
    }
    to_the_end(commit_history(shared.clone(), manifest, history)).await
}

async fn commit_history(
    shared: Arc<Shared>,
    mut manifest: OwnedMutexGuard<Manifest>,
    history: Option<BlobRef>,
) -> Result<()> {
    let next = Manifest { history, ..manifest.successor(shared.common.epoch, shared.common.writer_id) };
    let log = VersionLog::<Manifest>::manifests(shared.common.store.clone(), shared.id);
    commit_version(&log, &next, &manifest).await?;
    let previous = std::mem::replace(&mut *manifest, next);
    shared.garbage.retire(&shared, &previous, &manifest).await;
    prune(&log, &shared.common.settings).await;
    Ok(())
}
