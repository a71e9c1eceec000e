use std::marker::PhantomData;

use bytes::Bytes;
use drift_storage::{Put, Store};
use drift_types::CollectionId;
use futures::{StreamExt, TryStreamExt, stream};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Catalog, Error, Manifest, Result, Stamp, Violation,
    frame::{self, HEADER},
    listing::{BOUNDARY, Listing, object_name},
    paths,
};

/// What a boundary holds; only its name is ever read.
const BOUNDARY_BODY: &str = "Versions below the number in this name do not count.\n";

/// How many versions are read at once.
const READS: usize = 8;

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
///
/// The chain begins at the *boundary*: the highest `{id:020}.boundary` there is, or the first
/// version. Versions below it do not count, whoever creates one again.
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
        loop {
            let listed = self.list().await?;
            let Some(latest) = listed.latest() else {
                return Ok(None);
            };
            let loaded = match listed.check(&self.dir) {
                Ok(()) => self.load(latest).await.map(Some),
                Err(gap) => Err(gap),
            };
            // A version may be pruned, or the boundary moved, while somebody reads.
            if loaded.is_ok() || self.list().await? == listed {
                return loaded;
            }
        }
    }

    /// The version `id`.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if it is damaged, is another version under this name, or breaks an
    /// invariant; the store's `NotFound` if it is not there.
    pub async fn load(&self, id: u64) -> Result<T> {
        self.load_counted(id, &mut 0).await
    }

    /// Every version that counts, oldest first.
    ///
    /// # Errors
    /// As [`VersionLog::load_latest`], for each of them.
    pub async fn load_all(&self) -> Result<Vec<T>> {
        loop {
            let listed = self.list().await?;
            let loaded = self.load_listed(&listed).await;
            // Others may commit and prune meanwhile.
            if loaded.is_ok() || self.list().await? == listed {
                return loaded;
            }
        }
    }

    async fn load_listed(&self, listed: &Listing) -> Result<Vec<T>> {
        listed.check(&self.dir)?;
        let counting = listed.versions.range(listed.boundary()..).copied();
        stream::iter(counting).map(|id| self.load(id)).buffered(READS).try_collect().await
    }

    /// The version `id`, its length added to `bytes`.
    async fn load_counted(&self, id: u64, bytes: &mut u64) -> Result<T> {
        let path = self.path(id);
        let object = self.store.read(&path).await?;
        *bytes += object.len() as u64;
        let version = T::decode(&path, &object)?;
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
    /// higher epoch was faster, or if this one was so slow that the boundary has passed its version,
    /// [`Error::Storage`] if the store failed and the version is not there or could not be read
    /// back: it may still land until the next attempt.
    pub async fn commit(&self, next: &T, parent: Option<&T>) -> Result<Commit<T>> {
        next.check()?;
        next.stamp().check_successor(parent.map(T::stamp))?;
        parent.map_or(Ok(()), |parent| next.check_successor(parent))?;

        let id = next.stamp().id;
        let there = match self.store.put_if_absent(&self.path(id), next.encode()).await {
            Ok(Put::Created) => None,
            Ok(Put::Exists) => Some(self.load(id).await),
            Err(put) => Some(self.load(id).await.map_err(|_| put.into())),
        };
        // Only now: what had been pruned before the put is below a boundary that is seen here.
        self.refuse_below_boundary(next).await?;
        let Some(there) = there.transpose()?.filter(|there| there.stamp().nonce != next.stamp().nonce) else {
            return Ok(Commit::Committed);
        };
        let (ours, theirs) = (next.stamp().epoch, there.stamp().epoch);
        if theirs > ours {
            return Err(Error::Fenced { ours, theirs });
        }
        Ok(Commit::Conflict(Box::new(there)))
    }

    /// A version below the boundary does not count, though its number was free: others have
    /// committed so many since that it had been pruned.
    async fn refuse_below_boundary(&self, next: &T) -> Result<()> {
        if self.list().await?.boundary() <= next.stamp().id {
            return Ok(());
        }
        let theirs = self.load_latest().await?.map_or(0, |latest| latest.stamp().epoch);
        Err(Error::Fenced { ours: next.stamp().epoch, theirs })
    }

    /// Removes old versions: at most twice `kept` (at least 1) remain, and at least the newest `kept`.
    ///
    /// The boundary is made durable first. Anybody may call this at any time, also twice at once:
    /// it never touches the newest `kept` versions.
    ///
    /// # Errors
    /// The store's. What was not removed will be the next time.
    pub async fn prune(&self, kept: u64) -> Result<()> {
        let listed = self.list().await?;
        let kept = kept.max(1);
        let Some(latest) = listed.latest() else { return Ok(()) };
        let mut boundary = listed.boundary();
        if latest - boundary >= 2 * kept {
            boundary = latest - (kept - 1);
            self.store.put_if_absent(&self.boundary_path(boundary), BOUNDARY_BODY.into()).await?;
            // The one before stays: who lists while the newest appears sees that at least.
            for id in listed.boundaries.range(..listed.boundary()) {
                self.store.delete(&self.boundary_path(*id)).await?;
            }
        }
        for id in listed.versions.range(..boundary) {
            self.store.delete(&self.path(*id)).await?;
        }
        Ok(())
    }

    /// Reads every version that counts, oldest first, one at a time, and checks each alone and
    /// against the one before. Returns the latest, if it is sound, and what is wrong.
    ///
    /// # Errors
    /// The store's when the versions cannot be listed.
    pub async fn verify(&self) -> Result<Chain<T>> {
        loop {
            let listed = self.list().await?;
            let chain = self.verify_listed(&listed).await;
            // Others may commit and prune meanwhile.
            if chain.wrong.is_empty() || self.list().await? == listed {
                return Ok(chain);
            }
        }
    }

    async fn verify_listed(&self, listed: &Listing) -> Chain<T> {
        let mut chain = Chain { latest: None, versions: 0, bytes: 0, wrong: Vec::new() };
        chain.wrong.extend(listed.check(&self.dir).err());
        for &id in listed.versions.range(listed.boundary()..) {
            chain.versions += 1;
            let before = chain.latest.take();
            match self.load_counted(id, &mut chain.bytes).await {
                Ok(version) => {
                    chain.wrong.extend(before.and_then(|before| self.follows(&version, &before).err()));
                    chain.latest = Some(version);
                }
                Err(error) => chain.wrong.push(error),
            }
        }
        chain
    }

    fn follows(&self, version: &T, before: &T) -> Result<()> {
        let (id, parent) = (version.stamp().id, before.stamp());
        if parent.id + 1 != id {
            return Ok(()); // said already: one is missing in between
        }
        let follows = version.stamp().check_successor(Some(parent)).and_then(|()| version.check_successor(before));
        follows.map_err(|violation| Error::corrupt(&self.path(id), HEADER, violation.to_string()))
    }

    /// The numbers there are.
    ///
    /// A store may take its time to list: what was deleted in between is missing then, and so is
    /// what took its place. Such a listing has a gap, or is empty, so that is believed only if the
    /// next one says the same.
    async fn list(&self) -> Result<Listing> {
        let mut listed = self.list_once().await?;
        loop {
            if listed.latest().is_some() && listed.check(&self.dir).is_ok() {
                return Ok(listed);
            }
            let again = self.list_once().await?;
            if again == listed {
                return Ok(listed);
            }
            listed = again;
        }
    }

    async fn list_once(&self) -> Result<Listing> {
        Ok(Listing::new(&self.store.list(&self.dir).await?, T::EXTENSION))
    }

    fn path(&self, id: u64) -> String {
        format!("{}/{}", self.dir, object_name(id, T::EXTENSION))
    }

    fn boundary_path(&self, id: u64) -> String {
        format!("{}/{}", self.dir, object_name(id, BOUNDARY))
    }
}

/// What [`VersionLog::verify`] found.
#[derive(Debug)]
pub struct Chain<T> {
    /// The newest version; none if it is damaged or there is none.
    pub latest: Option<T>,
    /// How many versions were read...
    pub versions: u64,
    /// ...and their length in bytes.
    pub bytes: u64,
    /// What is wrong, in the order of the versions.
    pub wrong: Vec<Error>,
}
