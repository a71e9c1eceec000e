use drift_types::{CollectionId, SegmentId, SeqNo};

/// An invariant that a version would break. Each is checked before every commit and after every
/// read of the latest version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum Violation {
    /// Versions are numbered without gaps, and each names the one before as its parent.
    #[error("version {id} does not follow version {parent:?}")]
    NotContiguous { id: u64, parent: Option<u64> },

    /// A writer of a lower epoch never follows one of a higher.
    #[error("the writer's epoch falls from {from} to {to}")]
    EpochFell { from: u64, to: u64 },

    /// A chain of manifests describes one collection.
    #[error("collection {to} follows collection {from}")]
    OtherCollection { from: CollectionId, to: CollectionId },

    /// The part of the log that segments hold only grows.
    #[error("the applied sequence number falls from {from} to {to}")]
    AppliedFell { from: SeqNo, to: SeqNo },

    /// Bucket numbers are never given twice.
    #[error("the next bucket number falls from {from} to {to}")]
    NextBucketFell { from: u32, to: u32 },

    /// A segment is listed once.
    #[error("segment {0} is listed twice")]
    SegmentTwice(SegmentId),

    /// A segment's footer lies inside it.
    #[error("the footer of segment {0} lies beyond its end")]
    FooterOutside(SegmentId),

    /// A segment's keys span a range.
    #[error("the smallest key of segment {0} is above its largest")]
    KeysReversed(SegmentId),

    /// A segment's rows are live or have a tombstone.
    #[error("segment {segment} has {rows} rows, but {live} live ones and {dead} tombstones")]
    RowsDisagree { segment: SegmentId, rows: u64, live: u64, dead: u64 },

    /// A row's address in its segment is a u32.
    #[error("segment {segment} cannot have {rows} rows: there are 2^32 - 1 at most")]
    TooManyRows { segment: SegmentId, rows: u64 },

    /// Segments are immutable.
    #[error("segment {0} differs from what the version before said of it")]
    SegmentChanged(SegmentId),

    /// Dead rows stay dead: a segment's live rows only become fewer.
    #[error("the live rows of segment {0} became more")]
    Resurrected(SegmentId),

    /// The conservation hashes of the segments add up to the collection's.
    #[error("the segments' conservation hashes add up to {sum:#x}, not {stated:#x}: rows were lost or doubled")]
    NotConserved { stated: u64, sum: u64 },

    /// No two collections have the same name.
    #[error("two collections are named '{0}'")]
    NameTwice(String),

    /// A collection has one name.
    #[error("collection {0} is listed twice")]
    CollectionTwice(CollectionId),

    /// Names of collections are well formed.
    #[error("{0}")]
    BadName(String),

    /// A chain of catalogs describes one database.
    #[error("the catalog's database changed")]
    OtherDatabase,
}
