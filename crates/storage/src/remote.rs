//! A store behind opendal: memory, S3, Google Cloud Storage, Azure Blob Storage.

use std::{
    collections::HashMap,
    ops::Range,
    sync::{Mutex, Once, PoisonError},
};

use bytes::Bytes;
use opendal::{ErrorKind, Operator, services};

use crate::{Error, Put, Result, environment, location::Service};

/// A store below a prefix of an object store. Paths are validated by the caller.
///
/// There is no retry layer: a repeated commit whose first answer was lost would look like a
/// conflict with itself. Who commits reads back and compares.
#[derive(Debug)]
pub(crate) struct Remote(Operator);

impl Remote {
    /// Memory; the same name gives the same store for as long as the process lives.
    pub(crate) fn memory(name: Option<&str>) -> Result<Self> {
        static SHARED: Mutex<Option<HashMap<String, Operator>>> = Mutex::new(None);
        let fresh = Operator::new(services::Memory::default()).map_err(|e| remote_error("", e))?;
        let Some(name) = name else {
            return Ok(Self(fresh));
        };
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        let named = shared.get_or_insert_default().entry(name.to_owned()).or_insert(fresh);
        Ok(Self(named.clone()))
    }

    /// A bucket or container of an object store, as the environment describes the store.
    pub(crate) fn bucket(service: Service, bucket: &str, prefix: &str) -> Result<Self> {
        install_http();
        let operator = match service {
            Service::S3 => Operator::new(environment::s3(bucket)?.root(prefix)),
            Service::Gcs => Operator::new(environment::gcs(bucket).root(prefix)),
            Service::Azblob => Operator::new(environment::azblob(bucket)?.root(prefix)),
        };
        operator.map(Self).map_err(|e| remote_error("", e))
    }

    pub(crate) async fn read(&self, path: &str) -> Result<Bytes> {
        Ok(self.0.read(path).await.map_err(|e| remote_error(path, e))?.to_bytes())
    }

    pub(crate) async fn read_range(&self, path: &str, range: Range<u64>) -> Result<Bytes> {
        // opendal refuses a short answer, and so do some servers, each in its own words.
        let error = match self.0.read_with(path).range(range.clone()).await {
            Ok(buffer) => return Ok(buffer.to_bytes()),
            Err(e) => remote_error(path, e),
        };
        match self.len(path).await {
            Ok(length) if length < range.end => Err(Error::Corrupt { path: path.into(), range, length }),
            _ => Err(error),
        }
    }

    pub(crate) async fn len(&self, path: &str) -> Result<u64> {
        Ok(self.0.stat(path).await.map_err(|e| remote_error(path, e))?.content_length())
    }

    pub(crate) async fn exists(&self, path: &str) -> Result<bool> {
        self.0.exists(path).await.map_err(|e| remote_error(path, e))
    }

    pub(crate) async fn put_if_absent(&self, path: &str, bytes: Bytes) -> Result<Put> {
        match self.0.write_with(path, bytes).if_not_exists(true).await {
            Ok(_) => Ok(Put::Created),
            // 412, and Azure's 409 for what exists. S3's 409 is of the same kind but temporary: two
            // puts met, and this one has to be repeated, so it says nothing about what is there.
            Err(e) if e.kind() == ErrorKind::ConditionNotMatch && !e.is_temporary() => Ok(Put::Exists),
            Err(e) => Err(remote_error(path, e)),
        }
    }

    pub(crate) async fn delete(&self, path: &str) -> Result<()> {
        self.0.delete(path).await.map_err(|e| remote_error(path, e))
    }

    pub(crate) async fn list(&self, dir: &str) -> Result<Vec<String>> {
        let entries = self.0.list(&format!("{dir}/")).await.map_err(|e| remote_error(dir, e))?;
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
