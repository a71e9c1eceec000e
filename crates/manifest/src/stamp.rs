use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::Violation;

/// Which version this is, and who wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// The version's number; the first is [`Stamp::FIRST`].
    pub id: u64,
    /// The version it follows: `id - 1`, and none for the first.
    pub parent: Option<u64>,
    /// The writer's epoch: higher for each one that opens the database.
    pub epoch: u64,
    /// The writer: a random name per process.
    pub writer: Ulid,
    /// Random per attempt: tells an own commit whose answer was lost from another's.
    pub nonce: Ulid,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
}

impl Stamp {
    /// The number of the first version.
    pub const FIRST: u64 = 1;

    /// The stamp of a first version.
    pub fn first(epoch: u64, writer: Ulid) -> Self {
        Self::new(Self::FIRST, None, epoch, writer)
    }

    /// The stamp of an attempt to follow this version, with a nonce of its own.
    pub fn successor(&self, epoch: u64, writer: Ulid) -> Self {
        Self::new(self.id + 1, Some(self.id), epoch, writer)
    }

    fn new(id: u64, parent: Option<u64>, epoch: u64, writer: Ulid) -> Self {
        let nonce = Ulid::new();
        Self { id, parent, epoch, writer, nonce, created_ms: nonce.timestamp_ms() }
    }

    /// Checks what holds for each stamp alone.
    pub(crate) fn check(&self) -> Result<(), Violation> {
        let parent = self.id.checked_sub(1).filter(|&parent| parent >= Self::FIRST);
        match self.id >= Self::FIRST && self.parent == parent {
            true => Ok(()),
            false => Err(Violation::NotContiguous { id: self.id, parent: self.parent }),
        }
    }

    /// Checks what holds between a stamp and the one before.
    pub(crate) fn check_successor(&self, parent: Option<&Self>) -> Result<(), Violation> {
        if self.parent != parent.map(|parent| parent.id) {
            return Err(Violation::NotContiguous { id: self.id, parent: parent.map(|p| p.id) });
        }
        match parent {
            Some(parent) if self.epoch < parent.epoch => {
                Err(Violation::EpochFell { from: parent.epoch, to: self.epoch })
            }
            _ => Ok(()),
        }
    }
}
