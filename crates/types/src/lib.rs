//! The nouns every other crate speaks in.

mod compression;
mod id;
mod metric;
mod top_k;
mod vectors;

pub use compression::Compression;
pub use id::{BucketId, CollectionId, SegmentId, SeqNo, VectorId};
pub use metric::Metric;
pub use top_k::{Neighbor, TopK};
pub use vectors::Vectors;
