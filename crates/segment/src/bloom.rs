use bytes::{BufMut, Bytes};
use drift_types::VectorId;
use xxhash_rust::xxh3::xxh3_64;

use crate::error::{Flaw, verify};

const WORDS: usize = 8;
const BLOCK_BYTES: usize = 4 * WORDS;

/// Bits of the filter for each key. A block is as full as chance makes it, so a rate of 0.1 % takes
/// 16.9 and not the 14.6 that evenly filled blocks would.
const BITS_PER_KEY: f64 = 16.9;

/// One for each word of a block (the Parquet specification, "Bloom Filter").
const SALTS: [u32; WORDS] =
    [0x47b6137b, 0x44974d91, 0x8824ad5b, 0xa2b7289d, 0x705495c7, 0x2df1424b, 0x9efc4947, 0x5c6bfb31];

/// A split-block bloom filter over the keys of a segment, so that a look-up passes by the segments
/// that do not hold its key.
///
/// A key sets one bit in each of the eight words of one block (Putze, Sanders, Singler 2007, as
/// Parquet does it). Its hash is the XXH3-64 of its 8 bytes, little-endian: the upper half chooses
/// the block, `upper * blocks / 2^32`, the lower half the bit of word i, the upper five bits of
/// `lower * salt[i]`.
///
/// ```text
/// blocks    u32  8 per block, at least one block
/// ```
///
/// The section table holds the checksum.
#[derive(Debug)]
pub struct KeyFilter {
    blocks: Bytes,
}

impl KeyFilter {
    /// The share of absent keys that a filter lets pass, as designed.
    pub const FALSE_POSITIVES: f64 = 0.001;

    /// Whether the segment may hold `key`: `false` is certain, `true` is wrong in
    /// [`Self::FALSE_POSITIVES`] of the cases.
    pub fn may_hold(&self, key: VectorId) -> bool {
        let (blocks, _) = self.blocks.as_chunks::<BLOCK_BYTES>();
        let hash = hash(key);
        let (words, _) = blocks[block_of(hash, blocks.len())].as_chunks();
        words.iter().zip(bits(hash)).all(|(word, bit)| u32::from_le_bytes(*word) & bit != 0)
    }

    /// Bytes it holds in memory.
    pub(crate) fn bytes(&self) -> u64 {
        (self.blocks.len() + size_of::<Self>()) as u64
    }

    pub(crate) fn parse(blocks: Bytes, crc: u32) -> Result<Self, Flaw> {
        if blocks.is_empty() || !blocks.len().is_multiple_of(BLOCK_BYTES) {
            return Err("BLOM is not made of whole blocks".into());
        }
        verify(&blocks, crc)?;
        Ok(Self { blocks })
    }
}

/// Builds the section.
pub(crate) fn encode(keys: &[VectorId]) -> Vec<u8> {
    let bits_wanted = keys.len() as f64 * BITS_PER_KEY;
    let blocks = (bits_wanted / (8 * BLOCK_BYTES) as f64).ceil().max(1.0) as usize;
    let mut filter = vec![[0u32; WORDS]; blocks];
    for key in keys {
        let hash = hash(*key);
        let block = &mut filter[block_of(hash, blocks)];
        block.iter_mut().zip(bits(hash)).for_each(|(word, bit)| *word |= bit);
    }
    let mut section = Vec::with_capacity(blocks * BLOCK_BYTES);
    filter.iter().flatten().for_each(|word| section.put_u32_le(*word));
    section
}

fn hash(key: VectorId) -> u64 {
    xxh3_64(&key.0.to_le_bytes())
}

fn block_of(hash: u64, blocks: usize) -> usize {
    (((hash >> 32) * blocks as u64) >> 32) as usize
}

fn bits(hash: u64) -> impl Iterator<Item = u32> {
    SALTS.into_iter().map(move |salt| 1 << ((hash as u32).wrapping_mul(salt) >> 27))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(keys: &[VectorId]) -> KeyFilter {
        let section = encode(keys);
        let crc = crc32c::crc32c(&section);
        KeyFilter::parse(section.into(), crc).unwrap()
    }

    /// Absent keys of `filter` over every second number, as many as `asked`.
    fn passing(keys: u64, asked: u64) -> f64 {
        let present: Vec<_> = (0..keys).map(|n| VectorId(2 * n)).collect();
        let filter = filter(&present);
        assert!(present.iter().all(|key| filter.may_hold(*key)), "a key that is there");
        (0..asked).filter(|n| filter.may_hold(VectorId(2 * n + 1))).count() as f64 / asked as f64
    }

    #[test]
    fn as_many_absent_keys_pass_as_designed() {
        for keys in [3_000, 100_000] {
            let found = passing(keys, 1_000_000) / KeyFilter::FALSE_POSITIVES;
            assert!((0.5..=1.5).contains(&found), "{found} times as many of {keys}");
        }
    }

    #[test]
    fn a_filter_of_few_keys_errs_less() {
        assert!(passing(1, 100_000) < KeyFilter::FALSE_POSITIVES);
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        let section = Bytes::from(encode(&[VectorId(7)]));
        assert!(KeyFilter::parse(section.clone(), 0).is_err());
        assert!(KeyFilter::parse(section.slice(..31), crc32c::crc32c(&section[..31])).is_err());
        assert!(KeyFilter::parse(Bytes::new(), 0).is_err());
    }
}
