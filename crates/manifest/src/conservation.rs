use drift_types::{SeqNo, VectorId};
use xxhash_rust::xxh3::xxh3_64;

/// One row's share of the conservation hash.
///
/// The `wrapping_add` of the shares of all live rows does not depend on their order, so it must
/// stay the same when rows move: a lost, doubled or resurrected row changes it.
pub fn conservation_hash(key: VectorId, seq: SeqNo) -> u64 {
    let mut row = [0; 16];
    row[..8].copy_from_slice(&key.0.to_le_bytes());
    row[8..].copy_from_slice(&seq.0.to_le_bytes());
    xxh3_64(&row)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_half_nor_their_order_is_ignored() {
        let hash = |key, seq| conservation_hash(VectorId(key), SeqNo(seq));
        let hashes = [hash(1, 2), hash(2, 1), hash(1, 3), hash(2, 2), hash(0, 0)];
        for (i, a) in hashes.iter().enumerate() {
            assert!(*a != 0 && hashes[..i].iter().all(|b| a != b));
        }
        // Sums tell apart what a plain sum of keys and numbers would not.
        assert_ne!(hash(1, 1).wrapping_add(hash(2, 2)), hash(1, 2).wrapping_add(hash(2, 1)));
    }
}
