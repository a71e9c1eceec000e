use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use tokio::sync::mpsc;

use crate::{
    SearchStats,
    collection::Shared,
    search::{Hit, Query, RowSets},
    snapshot::Snapshot,
};

/// Searches that wait to be audited: few, since each holds its snapshot.
const WAITING_MAX: usize = 16;

/// The largest `k` that is audited: beyond it exact scores cost more than all codes.
const AUDITED_K_MAX: usize = 1_000;

/// A search as it was answered.
pub(crate) struct Searched {
    pub shared: Arc<Shared>,
    pub snapshot: Arc<Snapshot>,
    pub query: Query,
    pub sets: Option<RowSets>,
    /// The answer.
    pub hits: Vec<Hit>,
    pub stats: SearchStats,
}

/// Where a database's searches offer themselves for audit. Nobody waits here: when there is no place,
/// a search goes unaudited.
pub(crate) struct Audits {
    /// Closed while audits rest.
    open: AtomicBool,
    queue: mpsc::Sender<Searched>,
}

impl Audits {
    /// The place, and its other end. It never opens if audits may take no time.
    pub fn new(cpu_share: f32) -> (Self, mpsc::Receiver<Searched>) {
        let (queue, offered) = mpsc::channel(WAITING_MAX);
        (Self { open: AtomicBool::new(cpu_share > 0.0), queue }, offered)
    }

    /// A place for a search that is about to start, if there is one.
    pub fn reserve(&self) -> Option<Reserved<'_>> {
        if !self.open.load(Relaxed) {
            return None;
        }
        self.queue.try_reserve().ok().map(Reserved)
    }

    pub(super) fn set_open(&self, open: bool) {
        self.open.store(open, Relaxed);
    }
}

/// A place that is given back if the search fails or is not worth an audit.
pub(crate) struct Reserved<'a>(mpsc::Permit<'a, Searched>);

impl Reserved<'_> {
    /// Hands a search over to be audited, if its collection has buckets whose codes fit well into the
    /// cache: what audits read must not drive out what searches read.
    pub fn offer(self, searched: Searched) {
        let (snapshot, k) = (&searched.snapshot, searched.query.k);
        let code_bytes = snapshot.rows().saturating_mul(snapshot.schema.dim.unwrap_or(0) as u64);
        let fits = code_bytes <= searched.shared.common.cache.capacity() / 2;
        if snapshot.level1.router.is_some() && k <= AUDITED_K_MAX && fits {
            self.0.send(searched);
        }
    }
}
