use bytes::Bytes;
use drift_storage::Store;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// An immutable object and what it must contain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobRef {
    /// The object, relative to the store's root.
    pub path: String,
    /// Its length in bytes.
    pub length: u64,
    /// CRC-32C of all its bytes.
    pub crc32c: u32,
}

impl BlobRef {
    /// Publishes `bytes` at `path`, durable on return.
    ///
    /// # Errors
    /// The store's.
    pub async fn publish(store: &Store, path: String, bytes: Bytes) -> Result<Self> {
        let (length, crc32c) = (bytes.len() as u64, crc32c::crc32c(&bytes));
        store.publish(&path, bytes).await?;
        Ok(Self { path, length, crc32c })
    }

    /// Whether these bytes are the object's.
    pub fn describes(&self, bytes: &[u8]) -> bool {
        self.length == bytes.len() as u64 && self.crc32c == crc32c::crc32c(bytes)
    }

    /// Reads the object back.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if it is not what was published, though it may be a valid object of its
    /// kind.
    pub async fn read(&self, store: &Store) -> Result<Bytes> {
        let bytes = store.read(&self.path).await?;
        if bytes.len() as u64 != self.length {
            let message = format!("it has {} bytes instead of {}", bytes.len(), self.length);
            return Err(Error::corrupt(&self.path, bytes.len(), message));
        }
        if crc32c::crc32c(&bytes) != self.crc32c {
            return Err(Error::corrupt(&self.path, 0, "its checksum is not the one its version names"));
        }
        Ok(bytes)
    }
}
