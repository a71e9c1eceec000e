//! The immutable `.drift` segment: written once, then read in checksummed parts.
//!
//! A row is addressed by its *ordinal*, its position in the segment. Rows of one bucket are
//! neighbours and form a *run*; runs follow each other without gaps. [`write()`] builds the file,
//! [`SegmentReader`] reads it.
//!
//! ```text
//! little-endian; superblock, sections and footer start at multiples of 4,096, runs of 64, gaps are zero
//!
//! superblock  4 KiB                 superblock.rs  what the file is and where its footer lies
//! HOT         one region per run    hot.rs         what a search scans: codes, norms, keys
//! COLD        one region per run    cold.rs        the vectors as they were inserted
//! IDS         one region            ids.rs         key and sequence number of every row
//! IDIX        pages of 4 KiB        key_index.rs   sorted keys, each with its row's ordinal
//! BLOM        one region            bloom.rs       which keys are not here
//! PAYL        a Parquet file        payload.rs     every column but the vector
//! footer      header                footer.rs      identity and section table
//!             SCHEMA                meta.rs        the user's schema and what drift knows of it
//!             DIRECTORY             directory.rs   place, checksum and statistics of each run
//!             PAYLOAD_SUMS          payload.rs     a checksum of each page of PAYL
//!             ORIGIN                open.rs        what 1-bit codes are relative to
//!             KEY_FENCES            key_index.rs   first key and checksum of each page of IDIX
//! trailer     the last 64 bytes     trailer.rs     footer, length, version again
//! ```
//!
//! HOT stands before COLD, so that the searchable index is one contiguous part of the file.
//! Whoever knows where the footer is (the manifest does) opens a segment with one range read, for
//! the trailer follows the footer; others need the superblock first.
//!
//! Compatibility: an unknown major version or an unknown *incompat* feature bit is refused, as is
//! an unknown section unless it is flagged optional. Reserved bytes are zero and ignored. Numbers
//! of kinds and flags are never reused.
//!
//! | version | change |
//! |---------|--------|
//! | 0.1     | the first |
//! | 0.2     | keys, sequence numbers and vectors coded; key index; bloom filter |
//! | 0.3     | full blocks of keys, sequence numbers and ordinals in the FastLanes layout |
//! | 0.4     | 1-bit codes and their origin; codes relative to the bucket's centroid |
//!
//! Versions may change without notice until 1.0. There is no reader for 0.1 to 0.3.
#![forbid(unsafe_code)]

mod bloom;
mod chunks;
mod cold;
mod describe;
mod directory;
mod error;
mod exact_rows;
mod file;
mod find;
mod footer;
mod found;
mod hot;
mod identity;
mod ids;
mod input;
mod key_index;
mod le;
mod meta;
mod open;
mod parts;
mod payload;
mod pins;
mod reader;
mod rent;
mod superblock;
mod trailer;
mod verify;
mod version;
mod write;

pub use bloom::KeyFilter;
pub use chunks::ChunkTable;
pub use cold::ExactRun;
pub use describe::{Description, RunSize, SectionSize};
pub use directory::{Place, RunEntry, RunStatistics};
pub use error::{Error, Result};
pub use exact_rows::ExactRows;
pub use footer::FooterRef;
pub use hot::{HotRun, centre_hash};
pub use ids::IdBlock;
pub use input::{RunInput, SegmentInput};
pub use key_index::KeyPage;
pub use meta::SegmentMeta;
pub use parts::{Matching, Part};
pub use payload::check_column;
pub use pins::PartCache;
pub use reader::SegmentReader;
pub use verify::verify;
pub use write::{Encoded, write};
