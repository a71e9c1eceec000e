//! Key -> where its live row is. Held by the writer alone.

use drift_types::{SeqNo, VectorId};
use hashbrown::HashMap;

/// Where a row is: a place (an L0 table or a segment, numbered within this process) and a row in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RowAddress {
    pub place: PlaceId,
    pub ordinal: u32,
}

/// An L0 table or a segment, numbered within this process; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct PlaceId(pub u32);

/// The live row of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IdEntry {
    pub address: RowAddress,
    pub seq: SeqNo,
}

/// Every live key of a collection.
#[derive(Debug, Default)]
pub(crate) struct IdMap {
    entries: HashMap<VectorId, IdEntry>,
}

impl IdMap {
    pub fn get(&self, id: VectorId) -> Option<IdEntry> {
        self.entries.get(&id).copied()
    }

    pub fn reserve(&mut self, rows: usize) {
        self.entries.reserve(rows);
    }

    /// Offers a row: the highest SeqNo of a key wins, and of equal ones the first, so that replaying
    /// a record twice changes nothing. Returns the row that lost, which may be the offered one.
    pub fn offer(&mut self, id: VectorId, entry: IdEntry) -> Option<RowAddress> {
        match self.entries.entry(id) {
            hashbrown::hash_map::Entry::Vacant(slot) => {
                slot.insert(entry);
                None
            }
            hashbrown::hash_map::Entry::Occupied(mut slot) => {
                if slot.get().seq < entry.seq {
                    Some(slot.insert(entry).address)
                } else {
                    Some(entry.address)
                }
            }
        }
    }

    /// Takes a key out if the number of its row is not above `upto`.
    pub fn remove(&mut self, id: VectorId, upto: SeqNo) -> Option<RowAddress> {
        let entry = self.get(id)?;
        (entry.seq <= upto).then(|| {
            self.entries.remove(&id);
            entry.address
        })
    }

    /// Moves a row, if it still is where the mover found it.
    pub fn relocate(&mut self, id: VectorId, from: RowAddress, to: RowAddress) -> bool {
        match self.entries.get_mut(&id) {
            Some(entry) if entry.address == from => {
                entry.address = to;
                true
            }
            _ => false,
        }
    }
}
