//! A store behind opendal: memory, S3, Google Cloud Storage, Azure Blob Storage.

use std::{
    collections::HashMap,
    ops::Range,
    sync::{Mutex, Once, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use opendal::{ErrorKind, Operator, services};

use crate::{Error, Put, Result, environment, location::Service};

/// A store below a prefix of an object store. Paths are validated by the caller.
///
/// There is no retry layer: a repeated commit whose first answer was lost would look like a
/// conflict with itself. Who commits reads back and compares.
#[derive(Debug)]
pub(crate) struct Remote {
    operator: Operator,
    /// How long a call may take, beside [`PER_MIB`]; memory answers at once.
    patience: Option<Duration>,
}

/// How long a call without much to carry may take. Some stores never answer one of a million.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is added for each MiB.
const PER_MIB: Duration = Duration::from_secs(2);

impl Remote {
    /// Memory; the same name gives the same store for as long as the process lives.
    pub(crate) fn memory(name: Option<&str>) -> Result<Self> {
        static SHARED: Mutex<Option<HashMap<String, Operator>>> = Mutex::new(None);
        let fresh = Operator::new(services::Memory::default()).map_err(|e| remote_error("", e))?;
        let Some(name) = name else {
            return Ok(Self::of(fresh, None));
        };
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        let named = shared.get_or_insert_default().entry(name.to_owned()).or_insert(fresh);
        Ok(Self::of(named.clone(), None))
    }

    /// A bucket or container of an object store, as the environment describes the store.
    pub(crate) fn bucket(service: Service, bucket: &str, prefix: &str) -> Result<Self> {
        install_http();
        let operator = match service {
            Service::S3 => Operator::new(environment::s3(bucket)?.root(prefix)),
            Service::Gcs => Operator::new(environment::gcs(bucket).root(prefix)),
            Service::Azblob => Operator::new(environment::azblob(bucket)?.root(prefix)),
        };
        operator.map(|operator| Self::of(operator, Some(PATIENCE))).map_err(|e| remote_error("", e))
    }

    fn of(operator: Operator, patience: Option<Duration>) -> Self {
        Self { operator, patience }
    }

    /// What a call that carries so many bytes answers, unless it takes too long. Such a put may land all the same.
    async fn within<T>(&self, path: &str, bytes: u64, call: impl IntoFuture<Output = opendal::Result<T>>) -> Result<T> {
        let Some(patience) = self.patience else {
            return call.await.map_err(|e| remote_error(path, e));
        };
        let limit = patience + PER_MIB * u32::try_from(bytes >> 20).unwrap_or(u32::MAX);
        match tokio::time::timeout(limit, call.into_future()).await {
            Ok(answer) => answer.map_err(|e| remote_error(path, e)),
            Err(_) => Err(Error::Remote {
                path: path.into(),
                source: format!("the object store has not answered for {limit:?}").into(),
            }),
        }
    }

    pub(crate) async fn read(&self, path: &str) -> Result<Bytes> {
        // Logs, manifests and what they name: small, but nobody knows how small.
        Ok(self.within(path, 64 << 20, self.operator.read(path)).await?.to_bytes())
    }

    pub(crate) async fn read_range(&self, path: &str, range: Range<u64>) -> Result<Bytes> {
        let read = self.operator.read_with(path).range(range.clone());
        // opendal refuses a short answer, and so do some servers, each in its own words.
        let error = match self.within(path, range.end - range.start, read).await {
            Ok(buffer) => return Ok(buffer.to_bytes()),
            Err(error) => error,
        };
        match self.len(path).await {
            Ok(length) if length < range.end => Err(Error::Corrupt { path: path.into(), range, length }),
            _ => Err(error),
        }
    }

    pub(crate) async fn len(&self, path: &str) -> Result<u64> {
        Ok(self.within(path, 0, self.operator.stat(path)).await?.content_length())
    }

    pub(crate) async fn exists(&self, path: &str) -> Result<bool> {
        self.within(path, 0, self.operator.exists(path)).await
    }

    pub(crate) async fn put_if_absent(&self, path: &str, bytes: Bytes) -> Result<Put> {
        let length = bytes.len() as u64;
        let put = self.operator.write_with(path, bytes).if_not_exists(true).into_future();
        let put = async {
            match put.await {
                Ok(_) => Ok(Put::Created),
                // 412, and Azure's 409 for what exists. S3's 409 is of the same kind but temporary: two
                // puts met, and this one has to be repeated, so it says nothing about what is there.
                Err(e) if e.kind() == ErrorKind::ConditionNotMatch && !e.is_temporary() => Ok(Put::Exists),
                Err(e) => Err(e),
            }
        };
        self.within(path, length, put).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Result<()> {
        self.within(path, 0, self.operator.delete(path)).await
    }

    pub(crate) async fn list(&self, dir: &str) -> Result<Vec<String>> {
        let dir = format!("{dir}/");
        // A page of names may be a thousand of them, and a list many pages.
        let entries = self.within(&dir, 64 << 20, self.operator.list(&dir)).await?;
        let mut names: Vec<_> =
            entries.iter().filter(|e| e.metadata().is_file()).map(|e| e.name().to_owned()).collect();
        names.sort_unstable();
        Ok(names)
    }
}

/// Chooses TLS and the HTTP client of the process, once. Who has chosen before us is left alone.
fn install_http() {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        let _ = rustls::crypto::ring::default_provider().install_default();
        opendal_http_transport_reqwest::install_default();
    });
}

fn remote_error(path: &str, error: opendal::Error) -> Error {
    match error.kind() {
        ErrorKind::NotFound => Error::NotFound { path: path.into() },
        _ => Error::Remote { path: path.into(), source: Box::new(error) },
    }
}

#[cfg(test)]
mod tests {
    use std::future;

    use super::*;

    #[tokio::test]
    async fn a_call_that_is_never_answered_ends() {
        let memory = Remote::memory(None).unwrap();
        let store = Remote::of(memory.operator, Some(Duration::from_millis(20)));
        let error = store.within("c/x", 0, future::pending::<opendal::Result<()>>()).await.unwrap_err();
        assert_eq!(error.to_string(), "'c/x': the object store has not answered for 20ms");
        assert_eq!(store.put_if_absent("c/x", Bytes::from_static(b"1")).await.unwrap(), Put::Created);
        assert_eq!(store.put_if_absent("c/x", Bytes::from_static(b"2")).await.unwrap(), Put::Exists);
        assert_eq!(store.read("c/x").await.unwrap(), "1");
    }
}
