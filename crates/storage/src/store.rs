use std::{ops::Range, path::Path, sync::Arc};

use bytes::Bytes;

use crate::{Error, Result, StoreLock, local::Local, location::Location, path::validate, remote::Remote};

/// What became of a conditional put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// The object is ours, whole and durable.
    Created,
    /// The name was taken; nothing has changed.
    Exists,
}

/// Immutable objects below a root, named by relative paths such as `c/<ulid>/segment/<ulid>.drift`.
///
/// Cheap to clone; clones share open files.
///
/// # Errors
/// Every method that takes a path answers [`Error::Invalid`] if the path is absolute, has an empty
/// part or one that starts with a dot; [`Error::NotFound`] where an object is read that is not there;
/// [`Error::Io`] or [`Error::Remote`] if the place itself fails.
#[derive(Clone, Debug)]
pub struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    uri: String,
    backend: Backend,
}

#[derive(Debug)]
enum Backend {
    Local(Arc<Local>),
    Remote(Remote),
    #[cfg(feature = "faults")]
    Faulty(Box<crate::faults::Faulty>),
}

impl Store {
    /// Opens the store at `uri`: a directory as a plain path or `file:///path` (made if missing);
    /// `s3://bucket/prefix`, `gcs://bucket/prefix` or `azblob://container/prefix` (credentials and
    /// endpoints from the environment: `docs/object-stores.md`); `memory://` (a new private store) or
    /// `memory://name` (shared within the process).
    ///
    /// # Errors
    /// [`Error::Invalid`] for another scheme or a malformed URI.
    pub async fn open(uri: &str) -> Result<Self> {
        let backend = match Location::parse(uri)? {
            Location::Local(root) => Backend::Local(Arc::new(blocking(move || Local::open(&root)).await?)),
            Location::Memory(name) => Backend::Remote(Remote::memory(name.as_deref())?),
            Location::Bucket { service, bucket, prefix } => Backend::Remote(Remote::bucket(service, &bucket, &prefix)?),
        };
        Ok(Self(Arc::new(Inner { uri: uri.to_owned(), backend })))
    }

    /// The same store, with faults on purpose.
    #[cfg(feature = "faults")]
    pub fn with_faults(self, faults: Arc<crate::faults::Faults>) -> Self {
        let uri = self.uri().to_owned();
        Self(Arc::new(Inner { uri, backend: Backend::Faulty(Box::new(crate::faults::Faulty::new(self, faults))) }))
    }

    /// Opens the store at `uri` only if it is there: no directory is made. An object store has no
    /// root that could be missing.
    ///
    /// # Errors
    /// As [`Store::open`], and [`Error::NotFound`] if the directory does not exist.
    pub async fn open_existing(uri: &str) -> Result<Self> {
        match Location::parse(uri)? {
            Location::Local(root) if !root.is_dir() => Err(Error::NotFound { path: uri.to_owned() }),
            _ => Self::open(uri).await,
        }
    }

    /// Sets whether [`Self::read_range`] goes past the page cache of a local disk. It does unless told
    /// otherwise, until a file system refuses it.
    pub fn with_direct_io(self, on: bool) -> Self {
        if let Backend::Local(local) = &self.0.backend {
            local.direct_io().set(on);
        }
        self
    }

    /// Whether [`Self::read_range`] goes past the page cache of a local disk.
    pub fn direct_io(&self) -> bool {
        matches!(&self.0.backend, Backend::Local(local) if local.direct_io().is_on())
    }

    /// The URI it was opened with.
    pub fn uri(&self) -> &str {
        &self.0.uri
    }

    /// The root directory, if the store is local.
    pub fn local_root(&self) -> Option<&Path> {
        match &self.0.backend {
            Backend::Local(local) => Some(local.root()),
            Backend::Remote(_) => None,
            #[cfg(feature = "faults")]
            Backend::Faulty(faulty) => faulty.inner().local_root(),
        }
    }

    /// Takes the right to write. A local root is locked and rid of what crashed writers left
    /// unfinished; elsewhere the lock excludes nobody and only fencing decides.
    ///
    /// # Errors
    /// [`Error::InUse`] with the holder's process id.
    pub fn lock(&self) -> Result<StoreLock> {
        match &self.0.backend {
            Backend::Local(local) => {
                let lock = StoreLock::acquire(local.root())?;
                local.sweep()?;
                Ok(lock)
            }
            Backend::Remote(_) => Ok(StoreLock::unlocked()),
            #[cfg(feature = "faults")]
            Backend::Faulty(faulty) => faulty.inner().lock(),
        }
    }

    /// The whole object.
    pub async fn read(&self, path: &str) -> Result<Bytes> {
        validate(path)?;
        match &self.0.backend {
            Backend::Local(local) => on(local, path, |local, path| local.read(path)).await,
            Backend::Remote(remote) => remote.read(path).await,
            #[cfg(feature = "faults")]
            Backend::Faulty(faulty) => faulty.read(path).await,
        }
    }

    /// Exactly the bytes of `range`. They are a part of whole 4 KiB pages, which stay in memory for
    /// as long as they do.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if the object ends before `range` does.
    pub async fn read_range(&self, path: &str, range: Range<u64>) -> Result<Bytes> {
        validate(path)?;
        if range.start > range.end {
            return Err(Error::Invalid(format!("'{path}': {range:?} is no range: it ends before it starts")));
        }
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        match &self.0.backend {
            Backend::Local(local) => on(local, path, |local, path| local.read_range(path, range)).await,
            Backend::Remote(remote) => remote.read_range(path, range).await,
            #[cfg(feature = "faults")]
            Backend::Faulty(faulty) => faulty.read_range(path, range).await,
        }
    }

    /// The object's length in bytes.
    pub async fn len(&self, path: &str) -> Result<u64> {
        validate(path)?;
        match &self.0.backend {
            Backend::Local(local) => on(local, path, |local, path| local.len(path)).await,
            Backend::Remote(remote) => remote.len(path).await,
            #[cfg(feature = "faults")]
            Backend::Faulty(faulty) => faulty.len(path).await,
        }
    }

    /// Whether the object is there.
    pub async fn exists(&self, path: &str) -> Result<bool> {
        validate(path)?;
        match &self.0.backend {
            Backend::Local(local) => on(local, path, |local, path| local.exists(path)).await,
            Backend::Remote(remote) => remote.exists(path).await,
            #[cfg(feature = "faults")]
            Backend::Faulty(faulty) => faulty.exists(path).await,
        }
    }

    /// Creates an object that nobody else would: durable and visible whole on return.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] if it is there.
    pub async fn publish(&self, path: &str, bytes: impl Into<Bytes>) -> Result<()> {
        match self.put_if_absent(path, bytes.into()).await? {
            Put::Created => Ok(()),
            Put::Exists => Err(Error::AlreadyExists { path: path.into() }),
        }
    }

    /// Creates an object unless it is there: of all who race for a name, exactly one is told
    /// [`Put::Created`]. This is the commit primitive. It is never retried in here: after
    /// [`Error::Remote`] the object may or may not have landed, so read it back and compare.
    pub async fn put_if_absent(&self, path: &str, bytes: Bytes) -> Result<Put> {
        validate(path)?;
        match &self.0.backend {
            Backend::Local(local) => on(local, path, move |local, path| local.put_if_absent(path, &bytes)).await,
            Backend::Remote(remote) => remote.put_if_absent(path, bytes).await,
            #[cfg(feature = "faults")]
            Backend::Faulty(faulty) => faulty.put_if_absent(path, bytes).await,
        }
    }

    /// Removes the object; fine if it is not there.
    pub async fn delete(&self, path: &str) -> Result<()> {
        validate(path)?;
        match &self.0.backend {
            Backend::Local(local) => on(local, path, |local, path| local.delete(path)).await,
            Backend::Remote(remote) => remote.delete(path).await,
            #[cfg(feature = "faults")]
            Backend::Faulty(faulty) => faulty.delete(path).await,
        }
    }

    /// Removes the directory `dir` and those below it, as far as they hold no object. Only local stores
    /// have directories.
    pub async fn remove_empty_dirs(&self, dir: &str) -> Result<()> {
        validate(dir)?;
        match &self.0.backend {
            Backend::Local(local) => on(local, dir, |local, dir| local.remove_empty_dirs(dir)).await,
            Backend::Remote(_) => Ok(()),
            #[cfg(feature = "faults")]
            Backend::Faulty(faulty) => faulty.remove_empty_dirs(dir).await,
        }
    }

    /// The names of the objects directly in the directory `dir`, sorted; none if it is missing.
    pub async fn list(&self, dir: &str) -> Result<Vec<String>> {
        validate(dir)?;
        match &self.0.backend {
            Backend::Local(local) => on(local, dir, |local, dir| local.list(dir)).await,
            Backend::Remote(remote) => remote.list(dir).await,
            #[cfg(feature = "faults")]
            Backend::Faulty(faulty) => faulty.list(dir).await,
        }
    }
}

/// Runs `work` on `local` and `path` where it may block.
async fn on<T: Send + 'static>(
    local: &Arc<Local>,
    path: &str,
    work: impl FnOnce(&Local, &str) -> Result<T> + Send + 'static,
) -> Result<T> {
    let (local, path) = (local.clone(), path.to_owned());
    blocking(move || work(&local, &path)).await
}

/// Runs `work` where it may block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|e| match e.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(e) => Err(Error::Io { path: String::new(), source: e.into() }), // the runtime is going down
    })
}
