use std::marker::PhantomData;

use bytes::Bytes;
use drift_storage::{Put, Store};
use drift_types::CollectionId;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Catalog, Error, Manifest, Result, Stamp, Violation,
    frame::{self, HEADER},
    paths,
};

/// What a [`VersionLog`] is a chain of.
pub trait Numbered: Serialize + DeserializeOwned {
    /// The first bytes of each object.
    const MAGIC: [u8; 8];
    /// How the objects' names end.
    const EXTENSION: &'static str;

    /// Which version this is.
    fn stamp(&self) -> &Stamp;

    /// Checks the invariants of each version alone.
    ///
    /// # Errors
    /// The first one broken.
    fn check(&self) -> Result<(), Violation>;

    /// Checks the invariants between a version's content and the one before.
    ///
    /// # Errors
    /// The first one broken.
    fn check_successor(&self, parent: &Self) -> Result<(), Violation>;

    /// The object that holds this version: JSON in a frame.
    fn encode(&self) -> Bytes {
        let body = serde_json::to_vec_pretty(self).expect("plain data with text keys is JSON");
        frame::seal(Self::MAGIC, &body)
    }

    /// The version held by the object `bytes` found at `path`.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if any byte differs from what was written.
    fn decode(path: &str, bytes: &[u8]) -> Result<Self> {
        let body = frame::open(path, Self::MAGIC, bytes)?;
        serde_json::from_slice(body).map_err(|e| Error::corrupt(path, HEADER, e.to_string()))
    }
}

/// What became of a commit.
#[derive(Clone, Debug, PartialEq)]
pub enum Commit<T> {
    /// The version is the latest, durable.
    Committed,
    /// Another writer, not of a higher epoch, took the number with this version: rebase on it and
    /// try again.
    Conflict(Box<T>),
}

/// The chain of versions in a directory, `{id:020}.{extension}` each.
#[derive(Clone, Debug)]
pub struct VersionLog<T> {
    store: Store,
    dir: String,
    versions: PhantomData<fn() -> T>,
}

impl VersionLog<Catalog> {
    /// The catalogs of a database.
    pub fn catalog(store: Store) -> Self {
        Self::new(store, paths::CATALOG_DIR.into())
    }
}

impl VersionLog<Manifest> {
    /// The manifests of a collection.
    pub fn manifests(store: Store, collection: CollectionId) -> Self {
        Self::new(store, paths::manifest_dir(collection))
    }
}

impl<T: Numbered> VersionLog<T> {
    fn new(store: Store, dir: String) -> Self {
        Self { store, dir, versions: PhantomData }
    }

    /// The latest version; none if nothing was ever committed.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if it is damaged or a version before it is missing: an older one never
    /// stands in for it, as that would silently undo commits.
    pub async fn load_latest(&self) -> Result<Option<T>> {
        let ids = self.ids().await?;
        let Some(&latest) = ids.last() else {
            return Ok(None);
        };
        if let Some(gap) = ids.windows(2).find(|pair| pair[1] != pair[0] + 1) {
            let message = format!("the versions between {} and {} are missing", gap[0], gap[1]);
            return Err(Error::corrupt(&self.dir, 0, message));
        }
        self.load(latest).await.map(Some)
    }

    /// The version `id`.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if it is damaged, is another version under this name, or breaks an
    /// invariant; the store's `NotFound` if it is not there.
    pub async fn load(&self, id: u64) -> Result<T> {
        let path = self.path(id);
        let version = T::decode(&path, &self.store.read(&path).await?)?;
        if version.stamp().id != id {
            let message = format!("it holds version {}", version.stamp().id);
            return Err(Error::corrupt(&path, HEADER, message));
        }
        version.check().map_err(|violation| Error::corrupt(&path, HEADER, violation.to_string()))?;
        Ok(version)
    }

    /// Makes `next` the version after `parent`, if nobody has made another.
    ///
    /// The put is never repeated in here. If its outcome is in doubt, what stands under the number
    /// decides: our own nonce means that it landed. A failed commit may be tried again with the
    /// same `next`; a conflict needs a new one.
    ///
    /// # Errors
    /// [`Error::Violation`] if `next` breaks an invariant, [`Error::Fenced`] if a writer of a
    /// higher epoch was faster, [`Error::Storage`] if the store failed and the version is not
    /// there or could not be read back: it may still land until the next attempt.
    pub async fn commit(&self, next: &T, parent: Option<&T>) -> Result<Commit<T>> {
        next.check()?;
        next.stamp().check_successor(parent.map(T::stamp))?;
        parent.map_or(Ok(()), |parent| next.check_successor(parent))?;

        let id = next.stamp().id;
        let there = match self.store.put_if_absent(&self.path(id), next.encode()).await {
            Ok(Put::Created) => return Ok(Commit::Committed),
            Ok(Put::Exists) => self.load(id).await?,
            Err(put) => self.load(id).await.map_err(|_| put)?,
        };
        if there.stamp().nonce == next.stamp().nonce {
            return Ok(Commit::Committed);
        }
        let (ours, theirs) = (next.stamp().epoch, there.stamp().epoch);
        if theirs > ours {
            return Err(Error::Fenced { ours, theirs });
        }
        Ok(Commit::Conflict(Box::new(there)))
    }

    /// The numbers of the versions there are, ascending.
    async fn ids(&self) -> Result<Vec<u64>> {
        let names = self.store.list(&self.dir).await?;
        let mut ids: Vec<u64> = names.iter().filter_map(|name| Self::parse(name)).collect();
        ids.sort_unstable();
        Ok(ids)
    }

    fn path(&self, id: u64) -> String {
        format!("{}/{}", self.dir, Self::name(id))
    }

    fn name(id: u64) -> String {
        format!("{id:020}.{}", T::EXTENSION)
    }

    /// The number in an object's name; none if it is no version's.
    fn parse(name: &str) -> Option<u64> {
        let id = name.split_once('.')?.0.parse().ok()?;
        (Self::name(id) == name).then_some(id)
    }
}
