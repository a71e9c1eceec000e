//! What the fuzz targets run. Each takes any bytes: no decoder may panic, allocate much more than it
//! is given, or return what does not come back when it is encoded again.
//!
//! Checksums would end most runs before they begin, so each input says whether they are renewed
//! first, by the layouts of `docs/format`.

pub mod checksums;
pub mod codecs;
pub mod insert;
pub mod manifest;
pub mod pages;
pub mod segment;
pub mod wal;

/// Makes a caught panic no crash: Arrow and Parquet panic on forged bytes, which our decoders make
/// an error. What nobody catches still ends the run.
pub fn start() {
    std::panic::set_hook(Box::new(|panic| eprintln!("{panic}")));
}
