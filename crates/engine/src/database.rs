use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use drift_manifest::{Catalog, CatalogEntry, Commit, VersionLog, validate_name};
use drift_storage::{Store, StoreLock};
use tokio::sync::{Mutex, mpsc};
use ulid::Ulid;

use crate::{
    Collection, CollectionSchema, CollectionSpec, Error, ErrorKind, Result, Settings,
    audit::{Auditor, Audits, Searched},
    common::Common,
    compute::Class,
    ddl::commit_catalog,
    maintain::{self, Janitor},
    recover::{self, OpenLog},
    versions::to_the_end,
    write::{Command, Writer, WriterHandle},
};

/// So long a closing waits for the group of writes that is under way.
const LAST_GROUP: Duration = Duration::from_secs(60);

/// So long a closing waits for what is nice to have.
const LAST_WORK: Duration = Duration::from_secs(5);

/// A set of collections under one URI. Cheap to clone. One process at a time may have it open: a
/// directory is locked; from an object store each opener drives out the one before.
#[derive(Clone)]
pub struct Database(Arc<Inner>);

pub(crate) struct Inner {
    pub common: Arc<Common>,
    pub writer: WriterHandle,
    pub collections: Arc<RwLock<BTreeMap<String, Collection>>>,
    /// The newest catalog; held while it changes.
    pub catalog: Mutex<Catalog>,
    _janitor: Janitor,
    _auditor: Auditor,
    _lock: StoreLock,
}

impl Database {
    /// Opens the database at `uri` (as [`Store::open`] reads it), which is made when there is none.
    /// Every write that was acknowledged is in it.
    ///
    /// # Errors
    /// `Unavailable` while another process has it open or takes it over at the same time, `Corrupt` if
    /// files are damaged, `Invalid` if the log at hand is not the one last written, or a setting cannot be.
    pub async fn open(uri: &str, settings: Settings) -> Result<Self> {
        Self::open_in(Store::open(uri).await?, settings).await
    }

    /// [`Database::open`] in a store that is open already.
    ///
    /// # Errors
    /// As [`Database::open`].
    pub async fn open_in(store: Store, settings: Settings) -> Result<Self> {
        settings.check()?;
        let store = store.with_direct_io(settings.direct_io);
        let lock = store.lock()?;
        let mut catalog = take_over(&store, &settings).await?;
        for doomed in catalog.doomed.drain(..) {
            recover::remove_collection(&store, doomed).await?;
        }
        let (audits, offered) = Audits::new(settings.audit_cpu_share);
        let common = Arc::new(Common::new(store, settings, audits, &catalog.stamp)?);
        let mut states = HashMap::new();
        for CatalogEntry { name, collection } in &catalog.collections {
            states.insert(*collection, recover::open_collection(&common, *collection, name).await?);
        }
        let log = recover::open_log(&common, &catalog, states).await?;
        let mut next = catalog.successor(common.epoch, common.writer_id);
        next.log = Some(log.mark.clone());
        commit_catalog(&common, &mut catalog, next).await?;
        Self::start(common, catalog, log, offered, lock)
    }

    /// Starts what runs in the background.
    fn start(
        common: Arc<Common>,
        catalog: Catalog,
        log: OpenLog,
        offered: mpsc::Receiver<Searched>,
        lock: StoreLock,
    ) -> Result<Self> {
        let shared: Vec<_> = log.states.iter().map(|state| state.shared().clone()).collect();
        let writer = Writer::start(log.wal, log.newest, log.states, log.linger)?;
        let collections =
            shared.into_iter().map(|shared| (shared.name.clone(), Collection { shared, writer: writer.clone() }));
        let collections = Arc::new(RwLock::new(collections.collect::<BTreeMap<_, _>>()));
        let listed = collections.clone();
        let list = move || read(&listed).values().cloned().collect();
        let janitor = Janitor::start(list, writer.clone(), common.clone());
        let auditor = Auditor::start(common.clone(), offered);
        Ok(Self(Arc::new(Inner {
            common,
            writer,
            collections,
            catalog: Mutex::new(catalog),
            _janitor: janitor,
            _auditor: auditor,
            _lock: lock,
        })))
    }

    /// Where it is.
    pub fn uri(&self) -> &str {
        self.0.common.store.uri()
    }

    /// How it behaves.
    pub fn settings(&self) -> &Settings {
        &self.0.common.settings
    }

    /// Bytes of segment parts in memory: at most `cache_bytes` of the settings.
    pub fn cached_bytes(&self) -> u64 {
        self.0.common.cache.bytes_used()
    }

    /// Makes a collection.
    ///
    /// # Errors
    /// `AlreadyExists`, and `Invalid` for a name or columns that cannot be.
    pub async fn create_collection(&self, name: &str, spec: CollectionSpec) -> Result<Collection> {
        validate_name(name)?;
        let schema = CollectionSchema::resolve(&spec)?;
        schema.check_stored()?;
        let (inner, name) = (self.0.clone(), name.to_owned());
        to_the_end(async move { inner.create_collection(&name, &schema).await }).await
    }

    /// Drops a collection and its files. Searches that hold it may fail from now on.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn drop_collection(&self, name: &str) -> Result<()> {
        let (inner, name) = (self.0.clone(), name.to_owned());
        to_the_end(async move { inner.drop_collection(&name).await }).await
    }

    /// The collection of that name.
    ///
    /// # Errors
    /// `NotFound`, with the names there are.
    pub fn collection(&self, name: &str) -> Result<Collection> {
        read(&self.0.collections).get(name).cloned().ok_or_else(|| self.0.unknown(name))
    }

    /// All collections, by name.
    pub fn collections(&self) -> Vec<Collection> {
        read(&self.0.collections).values().cloned().collect()
    }

    /// Moves everything in L0 into segments.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn flush(&self) -> Result<()> {
        for collection in self.collections() {
            collection.flush().await?;
        }
        Ok(())
    }

    /// Closes the log cleanly and lets go of the store. Other handles to it answer `Closed` to writes.
    ///
    /// # Errors
    /// `Closed` when the log could not be written, `Unavailable` when its store does not answer.
    pub async fn close(self) -> Result<()> {
        for collection in self.collections() {
            // A load whose client sends slowly may hold the manifest for long.
            let remembered = maintain::remember(&collection, Duration::ZERO, Class::Foreground);
            let ended = tokio::time::timeout(LAST_WORK, remembered).await;
            if !matches!(ended, Ok(Ok(()))) {
                tracing::warn!("'{}' will not remember its latest maintenance and audits", collection.name());
            }
        }
        let closed = tokio::time::timeout(LAST_GROUP, self.0.writer.ask(|reply| Command::Close { reply })).await;
        closed.unwrap_or_else(|_| {
            let late = format!("the log was not closed within {LAST_GROUP:?}: what was acknowledged is in it");
            Err(Error::new(ErrorKind::Unavailable, late))
        })
    }
}

impl Inner {
    pub(crate) fn unknown(&self, name: &str) -> Error {
        let names: Vec<String> = read(&self.collections).keys().cloned().collect();
        let known =
            if names.is_empty() { "there is none yet".to_owned() } else { format!("there are {}", names.join(", ")) };
        Error::new(ErrorKind::NotFound, format!("no collection '{name}': {known}"))
    }
}

fn read<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn write<T>(lock: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

/// Commits a catalog of a higher epoch, which fences every earlier writer; the first one if there
/// is none.
async fn take_over(store: &Store, settings: &Settings) -> Result<Catalog> {
    let log = VersionLog::<Catalog>::catalog(store.clone());
    let writer = Ulid::new();
    let mut found = log.load_latest().await?;
    loop {
        let next = match &found {
            Some(latest) => latest.successor(latest.stamp.epoch + 1, writer),
            None => Catalog::first(1, writer),
        };
        match log.commit(&next, found.as_ref()).await? {
            Commit::Committed => {
                maintain::prune(&log, settings).await;
                return Ok(next);
            }
            Commit::Conflict(theirs) => found = Some(*theirs),
        }
    }
}
