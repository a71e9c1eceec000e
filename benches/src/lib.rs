//! What the benchmarks share: reading data, defining streams, asking, and writing down what came of it.

pub mod ask;
pub mod data;
pub mod machine;
pub mod record;
pub mod stream;
pub mod sweep;
pub mod truth;
