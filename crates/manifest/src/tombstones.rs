//! Tombstones: the ordinals of a segment's dead rows, as a portable roaring bitmap in a frame.

use bytes::Bytes;
use roaring::RoaringBitmap;

use crate::{
    Error, Result,
    frame::{self, HEADER},
};

const MAGIC: [u8; 8] = *b"DRIFTTMB";

/// The object that holds `dead`.
pub fn encode(dead: &RoaringBitmap) -> Bytes {
    let mut body = Vec::with_capacity(dead.serialized_size());
    dead.serialize_into(&mut body).expect("a Vec takes all writes");
    frame::seal(MAGIC, &body)
}

/// The ordinals held by the object `bytes` found at `path`.
///
/// # Errors
/// [`Error::Corrupt`] if any byte differs from what was written.
pub fn decode(path: &str, bytes: &[u8]) -> Result<RoaringBitmap> {
    let mut body = frame::open(path, MAGIC, bytes)?;
    let dead = RoaringBitmap::deserialize_from(&mut body)
        .map_err(|e| Error::corrupt(path, HEADER, format!("it holds no roaring bitmap: {e}")))?;
    if !body.is_empty() {
        return Err(Error::corrupt(path, bytes.len() - body.len(), "bytes follow the bitmap"));
    }
    Ok(dead)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bitmaps_come_back() {
        let runs: RoaringBitmap = (5..70_000).chain([1 << 20, u32::MAX]).collect();
        let sparse: RoaringBitmap = (0..1_000).map(|i| i * 977).collect();
        for dead in [RoaringBitmap::new(), runs, sparse] {
            assert_eq!(decode("x", &encode(&dead)).unwrap(), dead);
        }
        assert!(decode("x", &frame::seal(MAGIC, b"no bitmap")).is_err());
        let mut trailing = Vec::new();
        RoaringBitmap::new().serialize_into(&mut trailing).unwrap();
        trailing.push(0);
        assert!(decode("x", &frame::seal(MAGIC, &trailing)).is_err());
    }
}
