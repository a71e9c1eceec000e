//! L0: the rows that no segment holds yet.
//!
//! A [`Memtable`] is one immutable version. Appending makes the next version, which shares the
//! chunks of the one before; a search keeps its version by `Arc` and takes no lock of ours.
//!
//! Rows are searchable the moment they are appended: they land in chunks that carry int8 codes,
//! which are scanned and re-ranked exactly. HNSW graphs are built off to the side over ranges of
//! chunks that no longer change, and are published finished; a graph replaces the scan of its
//! range only where it is faster and nearly as exact.
#![forbid(unsafe_code)]

mod chunk;
mod graph;
mod index;
mod memtable;
mod scan;
mod search;

pub use chunk::Chunk;
pub use graph::Graph;
pub use memtable::Memtable;
pub use scan::L0Hit;
pub use search::L0Stats;
