use bytes::{Buf, BufMut, Bytes};
use drift_codec::packed::{Packed, pack};
use drift_types::{SeqNo, VectorId};

use crate::error::{Flaw, verify};

const HEADER_BYTES: usize = 8;

/// Key and sequence number of every row, by ordinal: what recovery and deletes need. They stay
/// packed in memory.
///
/// ```text
/// 0    keys' length   u64  l
/// 8    keys           l    rows numbers, packed
///      seq nos             rows numbers, packed
/// ```
///
/// The section table holds the checksum. HOT has the keys once more, beside what a search scans:
/// it breaks ties by key, and would else read the keys of a whole segment for a few rows.
#[derive(Debug)]
pub struct IdBlock {
    keys: Packed,
    seqs: Packed,
}

impl IdBlock {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.keys.len()
    }

    /// The key of row `ordinal`.
    ///
    /// # Panics
    /// Like [`IdBlock::seq`], when there is no such row.
    pub fn id(&self, ordinal: u32) -> VectorId {
        VectorId(self.keys.get(ordinal as usize))
    }

    /// The sequence number of row `ordinal`.
    pub fn seq(&self, ordinal: u32) -> SeqNo {
        SeqNo(self.seqs.get(ordinal as usize))
    }

    /// All rows, by ordinal.
    pub fn iter(&self) -> impl Iterator<Item = (VectorId, SeqNo)> {
        self.keys.iter().map(VectorId).zip(self.seqs.iter().map(SeqNo))
    }

    /// Bytes it holds in memory.
    pub(crate) fn bytes(&self) -> u64 {
        (self.keys.bytes_len() + self.seqs.bytes_len() + size_of::<Self>()) as u64
    }

    pub(crate) fn parse(bytes: Bytes, rows: usize, crc: u32) -> Result<Self, Flaw> {
        verify(&bytes, crc)?;
        let mut header = bytes.get(..HEADER_BYTES).ok_or("IDS is cut short")?;
        let length = usize::try_from(header.get_u64_le()).unwrap_or(usize::MAX);
        let mut seqs = bytes.slice(HEADER_BYTES..);
        if length > seqs.len() {
            return Err("the keys leave IDS".into());
        }
        let keys = seqs.split_to(length);
        let packed = |bytes| Packed::parse(bytes, rows).map_err(|e| format!("IDS: {e}"));
        Ok(Self { keys: packed(keys)?, seqs: packed(seqs)? })
    }
}

/// Lays out the section.
pub(crate) fn encode(ids: &[VectorId], seqs: &[SeqNo]) -> Vec<u8> {
    let mut section = vec![0; HEADER_BYTES];
    pack(&ids.iter().map(|id| id.0).collect::<Vec<_>>(), &mut section);
    let length = (section.len() - HEADER_BYTES) as u64;
    pack(&seqs.iter().map(|seq| seq.0).collect::<Vec<_>>(), &mut section);
    (&mut section[..HEADER_BYTES]).put_u64_le(length);
    section
}
