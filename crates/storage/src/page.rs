//! The page: the unit in which files are aligned.

/// Bytes per page: what direct I/O asks for on every common disk.
pub const PAGE: usize = 4096;
