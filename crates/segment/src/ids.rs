use drift_types::{SeqNo, VectorId};

use crate::{
    error::{Flaw, verify},
    le,
};

/// Key and sequence number of every row, by ordinal: what recovery and deletes need.
///
/// ```text
/// keys      u64  rows
/// seq nos   u64  rows
/// ```
///
/// The section table holds the checksum. HOT has the keys once more, beside what a search scans.
#[derive(Debug, PartialEq)]
pub struct IdBlock {
    /// The key of each row.
    pub ids: Vec<VectorId>,
    /// The sequence number of each row.
    pub seqs: Vec<SeqNo>,
}

impl IdBlock {
    /// Bytes it holds in memory.
    pub(crate) fn bytes(&self) -> u64 {
        (size_of_val(&*self.ids) + size_of_val(&*self.seqs) + size_of::<Self>()) as u64
    }

    pub(crate) fn parse(bytes: &[u8], rows: usize, crc: u32) -> Result<Self, Flaw> {
        if bytes.len() != 16 * rows {
            return Err("IDS is of another length than its rows".into());
        }
        verify(bytes, crc)?;
        let (ids, seqs) = bytes.split_at(8 * rows);
        Ok(Self { ids: le::u64s(ids).map(VectorId).collect(), seqs: le::u64s(seqs).map(SeqNo).collect() })
    }
}

/// Lays out the section.
pub(crate) fn encode(ids: &[VectorId], seqs: &[SeqNo]) -> Vec<u8> {
    let mut section = Vec::with_capacity(16 * ids.len());
    le::put_u64s(&mut section, ids.iter().map(|id| id.0));
    le::put_u64s(&mut section, seqs.iter().map(|seq| seq.0));
    section
}
