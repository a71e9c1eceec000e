//! Identifiers. Each is a newtype so that none can be mistaken for another.

use std::fmt;

use serde::{Deserialize, Serialize};
use ulid::Ulid;

/// A row's canonical key: 8 bytes whose unsigned order is the key column's own order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct VectorId(pub u64);

impl VectorId {
    /// The canonical form of a signed key: the sign bit is flipped, so that negative keys sort first.
    pub fn from_i64(key: i64) -> Self {
        Self((key as u64) ^ (1 << 63))
    }

    /// The signed key this canonical form stands for.
    pub fn to_i64(self) -> i64 {
        (self.0 ^ (1 << 63)) as i64
    }
}

/// A sequence number: one counter per database, which is also the log's LSN. Highest wins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SeqNo(pub u64);

impl SeqNo {
    /// The number after this one.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for SeqNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A bucket of one collection; never reused within it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BucketId(pub u32);

/// One immutable `.drift` file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SegmentId(pub Ulid);

impl fmt::Display for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A collection's identity: it outlives renames, and names its directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CollectionId(pub Ulid);

impl fmt::Display for CollectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signed_keys_keep_their_order() {
        let keys = [i64::MIN, -2, -1, 0, 1, i64::MAX];
        let ids: Vec<_> = keys.iter().map(|&k| VectorId::from_i64(k)).collect();
        assert!(ids.is_sorted());
        assert!(keys.iter().zip(&ids).all(|(&k, id)| id.to_i64() == k));
    }
}
