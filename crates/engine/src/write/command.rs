use std::sync::Arc;

use arrow_array::RecordBatch;
use bytes::Bytes;
use drift_memtable::Graph;
use drift_types::{CollectionId, SeqNo, VectorId};
use tokio::sync::oneshot;

use crate::{Ack, CollectionSchema, Result, id_map::PlaceId};

use super::{BulkNumber, CollectionState, Commit};

pub(crate) type Reply<T> = oneshot::Sender<Result<T>>;

/// A canonical batch on its way into L0.
pub(crate) struct InsertRows {
    /// The schema the batch was made for, with its dimension.
    pub schema: CollectionSchema,
    pub batch: RecordBatch,
    /// `None`: the writer makes keys from the SeqNo.
    pub ids: Option<Vec<VectorId>>,
    /// Vectors in index space, where that differs from the batch's own.
    pub unit_vectors: Option<Vec<f32>>,
    /// The batch as the log holds it.
    pub encoded: Bytes,
}

/// When rows were read that are to be deleted.
pub(crate) enum ReadAt {
    /// Each with this SeqNo.
    Each(Vec<SeqNo>),
    /// None later than this.
    Upto(ReadMark),
}

/// A state of a collection, to say later what had been read in it or after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadMark {
    pub(crate) seq: SeqNo,
    /// How many loads had ended.
    pub(crate) loads: u64,
}

/// What the writer can be asked for.
pub(crate) enum Command {
    Insert {
        collection: CollectionId,
        rows: Box<InsertRows>,
        reply: Reply<Ack>,
    },
    /// With `read_at`: only rows that are still as they were read.
    Delete {
        collection: CollectionId,
        ids: Vec<VectorId>,
        read_at: Option<ReadAt>,
        reply: Reply<Ack>,
    },
    /// Takes the SeqNo of a part of a bulk load of rows of this schema.
    BeginBulk {
        number: BulkNumber,
        schema: Box<CollectionSchema>,
        reply: Reply<BulkNumber>,
    },
    /// Gives it back.
    EndBulk {
        collection: CollectionId,
    },
    /// Asks whether rows of a collection would be taken.
    Ready {
        collection: CollectionId,
        reply: Reply<()>,
    },
    /// Starts a new active table, so that the old one can be flushed.
    Freeze {
        collection: CollectionId,
        reply: Reply<()>,
    },
    /// Swaps in what a job has written and committed to the manifest.
    Commit {
        commit: Box<Commit>,
        reply: Reply<()>,
    },
    /// Publishes a finished graph.
    Graph {
        collection: CollectionId,
        place: PlaceId,
        graph: Arc<Graph>,
    },
    Register {
        state: Box<CollectionState>,
        reply: Reply<()>,
    },
    Unregister {
        collection: CollectionId,
        reply: Reply<()>,
    },
    /// Lets go of the log up to what all collections have flushed.
    Truncate,
    /// Makes durable what a lazy policy has left.
    Sync {
        reply: Option<Reply<()>>,
    },
    Close {
        reply: Reply<()>,
    },
}
