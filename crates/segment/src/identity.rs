use bytes::{Buf, BufMut};
use drift_kernels::MAX_DIM;
use drift_types::{CollectionId, SegmentId};
use ulid::Ulid;

/// What a segment is; superblock and footer both say it.
///
/// ```text
/// 0   segment id      16   ULID, big-endian as ULIDs are
/// 16  collection id   16   ULID
/// 32  rows            u64  at most 2^32 - 1
/// 40  dim             u32  at most 65,536
/// 44  runs            u32
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Identity {
    pub(crate) id: SegmentId,
    pub(crate) collection: CollectionId,
    pub(crate) rows: u32,
    pub(crate) dim: u32,
    pub(crate) runs: u32,
}

impl Identity {
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        out.put_u128(self.id.0.0);
        out.put_u128(self.collection.0.0);
        out.put_u64_le(self.rows.into());
        out.put_u32_le(self.dim);
        out.put_u32_le(self.runs);
    }

    /// Takes 48 bytes off `bytes`, which must be there.
    pub(crate) fn take(bytes: &mut &[u8]) -> Result<Self, &'static str> {
        let identity = Self {
            id: SegmentId(Ulid(bytes.get_u128())),
            collection: CollectionId(Ulid(bytes.get_u128())),
            rows: u32::try_from(bytes.get_u64_le()).map_err(|_| "more than 2^32 - 1 rows")?,
            dim: bytes.get_u32_le(),
            runs: bytes.get_u32_le(),
        };
        if identity.rows == 0 || identity.dim == 0 || identity.runs == 0 {
            return Err("a segment without rows, dimensions or runs");
        }
        if identity.dim as usize > MAX_DIM {
            return Err("vectors of too many dimensions");
        }
        Ok(identity)
    }
}
