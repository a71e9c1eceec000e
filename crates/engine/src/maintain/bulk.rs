use std::time::Duration;

use arrow_array::RecordBatch;
use drift_manifest::Action;
use drift_types::SeqNo;
use futures::{StreamExt, stream::Fuse};

use super::{
    commit::{Ending, commit},
    draft::Draft,
    row_set::RowSet,
};
use crate::{
    Ack, BatchStream, Collection, Error, ErrorKind, Result,
    canonical::CanonicalBatch,
    compute::Class,
    rows::BatchCollector,
    write::{BulkNumber, generated_ids},
};

/// So long a load may wait for its client while others wait for the load.
const PATIENCE: Duration = Duration::from_secs(20);

/// Writes a large statement to segments directly, a chunk at a time, and commits all of it at once.
///
/// Each chunk takes a number from the log before it is written, so that later writes to the same
/// keys, which may come while this runs, win.
pub(crate) async fn bulk_load(
    collection: &Collection,
    mut collector: BatchCollector,
    batches: BatchStream,
) -> Result<Ack> {
    let (shared, mut batches) = (&collection.shared, batches.fuse());
    // The client may take its time over the first chunk, which is often all there is, before others have to wait.
    let mut next = next_chunk(collection, &mut collector, &mut batches, Duration::MAX).await?;
    let manifest = shared.manifest.clone().lock_owned().await;
    let snapshot = shared.snapshot.load();
    let mut draft = Draft::new(shared.clone(), &snapshot, &manifest, Class::Foreground);
    draft.is_warm = false;
    let (mut ack, mut numbers) = (Ack { seq: snapshot.seq, rows: 0 }, Vec::new());
    while let Some(chunk) = next {
        draft.schema = collector.schema().clone();
        let (number, rows) = (BulkNumber::take(collection, &draft.schema).await?, chunk.batch.num_rows());
        ack = Ack { seq: number.seq(), rows: ack.rows + rows as u64 };
        numbers.push(number);
        absorb(&mut draft, chunk, ack.seq).await?;
        next = next_chunk(collection, &mut collector, &mut batches, PATIENCE).await?;
    }
    // L0 stays as it is: the log is still needed from where it was.
    let ending = Ending {
        action: Some(Action::Load),
        cause: "large statement",
        applied: manifest.applied,
        flushed_tables: Vec::new(),
        bulk: numbers,
    };
    commit(collection, manifest, draft, ending).await?;
    Ok(ack)
}

/// What comes next, up to the size of a segment; none at the end.
async fn next_chunk(
    collection: &Collection,
    collector: &mut BatchCollector,
    batches: &mut Fuse<BatchStream>,
    patience: Duration,
) -> Result<Option<CanonicalBatch>> {
    while !collector.is_full(collection.shared.common.settings.bulk_bytes_max) {
        let Some(batch) = next_batch(collection, batches, patience).await? else { break };
        collector.push(&batch)?;
    }
    collector.take()
}

/// What the client sends next. It has all the time in the world while L0 has room for the rows of others.
async fn next_batch(
    collection: &Collection,
    batches: &mut Fuse<BatchStream>,
    patience: Duration,
) -> Result<Option<RecordBatch>> {
    loop {
        match tokio::time::timeout(patience, batches.next()).await {
            Ok(batch) => return batch.transpose(),
            Err(_) if collection.has_room() => {}
            Err(_) => {
                let seconds = patience.as_secs();
                let stalled = format!("nothing was sent for {seconds} s while other writers wait for this load to end");
                return Err(Error::new(
                    ErrorKind::Unavailable,
                    format!("{stalled}: nothing of it is kept, send it again"),
                ));
            }
        }
    }
}

async fn absorb(draft: &mut Draft, chunk: CanonicalBatch, seq: SeqNo) -> Result<()> {
    let (shared, schema, rows) = (draft.shared.clone(), draft.schema.clone(), chunk.batch.num_rows());
    shared.totals.ingested(4 * (rows * schema.dim.unwrap_or_default()) as u64);
    shared.common.budget.ingested(chunk.batch.get_array_memory_size() as u64);
    let ids = chunk.ids.unwrap_or_else(|| generated_ids(seq, rows).collect());
    let work = move || RowSet::new(&schema, &chunk.batch, ids, vec![seq; rows], vec![None; rows]);
    draft.absorb(shared.common.compute.run(Class::Foreground, work).await??).await
}
