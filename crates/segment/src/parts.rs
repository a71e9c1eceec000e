use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_buffer::BooleanBuffer;

use crate::{ChunkTable, ExactRun, HotRun, IdBlock, KeyFilter, KeyPage};

/// What a cache keeps of segments, decoded and verified.
#[derive(Clone, Debug)]
pub enum Part {
    /// The codes of one run.
    Hot(Arc<HotRun>),
    /// The vectors of one run.
    Exact(Arc<ExactRun>),
    /// The keys of a whole segment.
    Ids(Arc<IdBlock>),
    /// One payload column of a whole segment.
    Column(ArrayRef),
    /// The bloom filter over a segment's keys.
    KeyFilter(Arc<KeyFilter>),
    /// A page of the key index.
    KeyPage(Arc<KeyPage>),
    /// The rows that a filter matches.
    Matching(Arc<Matching>),
    /// Where single rows of a run's vectors are.
    ChunkTable(Arc<ChunkTable>),
}

/// The rows of a segment that a filter matches, dead ones included: that never changes.
#[derive(Debug)]
pub struct Matching {
    /// What tells the filter from others.
    pub(crate) fingerprint: u128,
    /// One bit per row.
    pub rows: BooleanBuffer,
    /// How many they are in each run: what every search with the filter would count.
    pub rows_of_runs: Vec<u32>,
}

/// A value that fits one variant of [`Part`].
pub(crate) trait Cached: Sized {
    /// Tells the variants apart in a cache's key.
    const KIND: u32;

    fn into_part(self) -> Part;

    /// The value, if `part` is of this kind.
    fn from_part(part: Part) -> Option<Self>;

    /// What it weighs in memory.
    fn weight(&self) -> u64;
}

macro_rules! cached {
    ($kind:literal, $variant:ident, $type:ty, $weight:expr) => {
        impl Cached for $type {
            const KIND: u32 = $kind;

            fn into_part(self) -> Part {
                Part::$variant(self)
            }

            fn from_part(part: Part) -> Option<Self> {
                if let Part::$variant(value) = part { Some(value) } else { None }
            }

            fn weight(&self) -> u64 {
                let weight: fn(&$type) -> u64 = $weight;
                weight(self)
            }
        }
    };
}

cached!(0, Hot, Arc<HotRun>, |run| run.bytes());
cached!(1, Exact, Arc<ExactRun>, |run| run.bytes());
cached!(2, Ids, Arc<IdBlock>, |ids| ids.bytes());
cached!(3, Column, ArrayRef, |column| column.get_array_memory_size() as u64);
cached!(4, KeyFilter, Arc<KeyFilter>, |filter| filter.bytes());
cached!(5, KeyPage, Arc<KeyPage>, |page| page.bytes());
cached!(6, Matching, Arc<Matching>, |matching| (size_of::<Matching>()
    + matching.rows.len() / 8
    + 4 * matching.rows_of_runs.len()) as u64);
cached!(7, ChunkTable, Arc<ChunkTable>, |table| table.bytes());
