//! What the benchmarks share: reading data, defining streams, asking, and writing down what came of it.

pub mod ask;
pub mod clients;
pub mod clustered;
pub mod data;
pub mod machine;
pub mod peer;
pub mod quiet;
pub mod random;
pub mod record;
pub mod share;
pub mod stream;
pub mod sweep;
pub mod table;
pub mod truth;

/// The program's, for everything measured.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;
