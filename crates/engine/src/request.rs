//! What one asks of a collection, and what one gets.

use std::{fmt, sync::Arc, time::Duration};

use arrow_array::RecordBatch;
use arrow_buffer::BooleanBuffer;
use drift_types::{SeqNo, VectorId};

use crate::Result;

/// A filter over stored columns, evaluated batch by batch.
pub trait RowPredicate: fmt::Debug + Send + Sync {
    /// Indices into the collection's schema, in the order `eval` gets them.
    fn columns(&self) -> &[usize];
    /// One bit per row of `batch`, which holds exactly [`RowPredicate::columns`].
    fn eval(&self, batch: &RecordBatch) -> Result<BooleanBuffer>;
    /// The only keys that matching rows can have, if the filter says so: these rows are looked up
    /// and then evaluated, and no others are read. The filter must read a column.
    fn keys(&self) -> Option<&[VectorId]> {
        None
    }
    /// What tells it from all others: of two with the same one, each matches the rows that the other
    /// does. What it matches in a segment is then remembered. None: it is evaluated each time.
    fn fingerprint(&self) -> Option<u128> {
        None
    }
}

/// A nearest-neighbour search.
#[derive(Clone, Debug)]
pub struct SearchRequest {
    /// The query vector, as long as the collection's dimension.
    pub query: Vec<f32>,
    /// How many neighbours to return: at most [`K_MAX`](crate::K_MAX).
    pub k: usize,
    /// The share of the true `k` nearest to find, in (0, 1]; `None`: the setting `target_recall`.
    pub recall: Option<f32>,
    /// Scan exactly this many buckets instead of stopping by predicted recall.
    pub nprobe: Option<usize>,
    /// Compare with every row.
    pub exact: bool,
    /// Breadth of the search in L0's graphs; `None`: the default.
    pub ef: Option<usize>,
    /// Look into no further bucket after so long, and answer with what was found until then. One
    /// bucket is always looked into, and filters and the exact scores of what was found are worked
    /// out to the end.
    pub deadline: Option<Duration>,
    /// Only rows that match.
    pub filter: Option<Arc<dyn RowPredicate>>,
    /// Columns to return, as indices into the collection's schema; `None`: all.
    pub projection: Option<Vec<usize>>,
}

impl SearchRequest {
    /// The `k` nearest rows with all their columns at the default recall.
    pub fn new(query: Vec<f32>, k: usize) -> Self {
        Self {
            query,
            k,
            recall: None,
            nprobe: None,
            exact: false,
            ef: None,
            deadline: None,
            filter: None,
            projection: None,
        }
    }
}

/// The neighbours, nearest first, and how they were found.
#[derive(Clone, Debug)]
pub struct SearchResult {
    /// The projected columns, then `_distance` (Float32, not null).
    pub batch: RecordBatch,
    /// How the search went.
    pub stats: SearchStats,
}

/// Why a search stopped reading buckets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StopReason {
    /// No bucket was left, or there was none.
    #[default]
    Exhausted,
    /// The predicted recall reached what was asked.
    RecallReached,
    /// `nprobe` buckets were scanned.
    Nprobe,
    /// Every matching row was compared exactly.
    Exact,
    /// Its time was over.
    Deadline,
}

impl StopReason {
    /// A word for plans and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Exhausted => "exhausted",
            Self::RecallReached => "recall_reached",
            Self::Nprobe => "nprobe",
            Self::Exact => "exact",
            Self::Deadline => "deadline",
        }
    }
}

/// How a search went.
#[derive(Clone, Copy, Debug, Default)]
pub struct SearchStats {
    /// Buckets with at least one row that could match.
    pub buckets_ranked: usize,
    /// Buckets scanned.
    pub buckets_probed: usize,
    /// Buckets that were left out since no row of them could match.
    pub buckets_skipped: usize,
    /// Rows whose codes were compared, L0 included.
    pub rows_scanned: usize,
    /// Rows compared exactly.
    pub rows_reranked: usize,
    /// Rows that were in L0.
    pub l0_rows: usize,
    /// The recall the stop rule believes was reached.
    pub predicted_recall: f32,
    /// Why no further bucket was scanned.
    pub stop_reason: StopReason,
    /// The snapshot that was read.
    pub seq: SeqNo,
}

/// A read of rows in no order.
#[derive(Clone, Debug, Default)]
pub struct ScanRequest {
    /// Columns to return, as indices into the collection's schema; `None`: all.
    pub projection: Option<Vec<usize>>,
    /// Only rows that match.
    pub filter: Option<Arc<dyn RowPredicate>>,
    /// At most this many rows.
    pub limit: Option<usize>,
}

/// The answer to a write: visible, and as durable as the setting says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack {
    /// The statement's sequence number.
    pub seq: SeqNo,
    /// Rows written or deleted.
    pub rows: u64,
}

/// A collection in figures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CollectionStatus {
    /// Live rows.
    pub rows: u64,
    /// Of those, rows still in L0.
    pub l0_rows: u64,
    /// Dead rows that segments still store.
    pub dead_rows: u64,
    /// Live segments.
    pub segments: usize,
    /// Buckets.
    pub buckets: usize,
    /// Bytes of live segments.
    pub segment_bytes: u64,
    /// The newest sequence number applied.
    pub seq: SeqNo,
}
