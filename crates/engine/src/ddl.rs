//! Collections come and go.

use std::sync::atomic::Ordering::Relaxed;

use drift_manifest::{Catalog, CatalogEntry, Manifest, VersionLog};
use drift_types::CollectionId;
use ulid::Ulid;

use crate::{
    Collection, CollectionSchema, Error, ErrorKind, Result,
    common::Common,
    database::{Inner, write},
    maintain, recover,
    versions::commit_version,
    write::Command,
};

impl Inner {
    /// To be called within [`to_the_end`](crate::versions::to_the_end).
    pub(crate) async fn create_collection(&self, name: &str, schema: &CollectionSchema) -> Result<Collection> {
        let common = &self.common;
        let mut catalog = self.catalog.lock().await;
        if catalog.find(name).is_some() {
            let exists = format!("collection '{name}' exists already: drop it first or choose another name");
            return Err(Error::new(ErrorKind::AlreadyExists, exists));
        }
        // Doomed until its manifest is there: what the catalog names is whole, and what a crash
        // leaves of the rest is removed at the next start.
        let id = CollectionId(Ulid::new());
        let mut next = catalog.successor(common.epoch, common.writer_id);
        next.doomed.push(id);
        commit_catalog(common, &mut catalog, next).await?;
        let manifest = Manifest::first(id, schema.to_manifest(), common.epoch, common.writer_id);
        VersionLog::<Manifest>::manifests(common.store.clone(), id).commit(&manifest, None).await?;
        let mut next = catalog.successor(common.epoch, common.writer_id);
        next.doomed.retain(|doomed| *doomed != id);
        next.collections.push(CatalogEntry { name: name.to_owned(), collection: id });
        commit_catalog(common, &mut catalog, next).await?;
        let state = recover::restore(common, name, manifest).await?;
        let collection = Collection { shared: state.shared().clone(), writer: self.writer.clone() };
        self.writer.ask(|reply| Command::Register { state: Box::new(state), reply }).await?;
        write(&self.collections).insert(name.to_owned(), collection.clone());
        Ok(collection)
    }

    /// To be called within [`to_the_end`](crate::versions::to_the_end).
    pub(crate) async fn drop_collection(&self, name: &str) -> Result<()> {
        let mut catalog = self.catalog.lock().await;
        let id = catalog.find(name).ok_or_else(|| self.unknown(name))?;
        let mut next = catalog.successor(self.common.epoch, self.common.writer_id);
        next.collections.retain(|entry| entry.collection != id);
        next.doomed.push(id);
        commit_catalog(&self.common, &mut catalog, next).await?;
        let dropped = write(&self.collections).remove(name);
        dropped.iter().for_each(|collection| collection.shared.is_dropped.store(true, Relaxed));
        self.writer.ask(|reply| Command::Unregister { collection: id, reply }).await?;
        // A job that is under way writes more files, which the next start removes.
        let idle = dropped.as_ref().map(|collection| collection.shared.manifest.try_lock());
        recover::remove_collection(&self.common.store, id).await?;
        if !matches!(idle, Some(Err(_))) {
            catalog.doomed.retain(|doomed| *doomed != id);
        }
        Ok(())
    }
}

pub(crate) async fn commit_catalog(common: &Common, catalog: &mut Catalog, next: Catalog) -> Result<()> {
    let log = VersionLog::<Catalog>::catalog(common.store.clone());
    commit_version(&log, &next, catalog).await?;
    *catalog = next;
    maintain::prune(&log, &common.settings).await;
    Ok(())
}
