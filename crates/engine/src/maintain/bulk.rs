use drift_manifest::Action;
use drift_types::SeqNo;
use futures::StreamExt;

use super::{
    commit::{Ending, commit},
    draft::Draft,
    row_set::RowSet,
};
use crate::{
    Ack, BatchStream, Collection, Result, compute::Class, rows::BatchCollector, write::Command, write::generated_ids,
};

/// Writes a large statement to segments directly, a chunk at a time, and commits all of it at once.
///
/// Each chunk takes a number from the log before it is written, so that later writes to the same
/// keys, which may come while this runs, win.
pub(crate) async fn bulk_load(
    collection: &Collection,
    mut collector: BatchCollector,
    mut batches: BatchStream,
) -> Result<Ack> {
    let shared = &collection.shared;
    let mut numbers = Numbers { collection, taken: 0 };
    let mut manifest = shared.manifest.lock().await;
    let snapshot = shared.snapshot.load();
    let mut draft = Draft::new(shared.clone(), &snapshot, &manifest, Class::Foreground);
    draft.is_warm = false;
    let mut ack = Ack { seq: snapshot.seq, rows: 0 };
    let mut more = true;
    while more {
        while !collector.is_full(shared.settings.bulk_bytes_max) {
            match batches.next().await {
                Some(batch) => collector.push(&batch?)?,
                None => {
                    more = false;
                    break;
                }
            }
        }
        draft.schema = collector.schema().clone();
        let Some(chunk) = collector.take()? else { continue };
        let (seq, rows) = (numbers.take().await?, chunk.batch.num_rows());
        shared.totals.ingested(4 * (rows * draft.schema.dim.unwrap_or_default()) as u64);
        shared.budget.ingested(chunk.batch.get_array_memory_size() as u64);
        let ids = chunk.ids.unwrap_or_else(|| generated_ids(seq, rows).collect());
        let schema = draft.schema.clone();
        let work = move || RowSet::new(&schema, &chunk.batch, ids, vec![seq; rows], vec![None; rows]);
        draft.absorb(shared.compute.run(Class::Foreground, work).await??).await?;
        ack = Ack { seq, rows: ack.rows + rows as u64 };
    }
    // L0 stays as it is: the log is still needed from where it was.
    let ending = Ending {
        action: Some(Action::Load),
        cause: "large statement",
        applied: manifest.applied,
        flushed_tables: Vec::new(),
        bulk: numbers.taken,
    };
    commit(collection, &mut manifest, draft, ending).await?;
    numbers.taken = 0; // given back by the commit
    Ok(ack)
}

/// The numbers of a bulk load; those that no commit has given back are given back at the end.
struct Numbers<'a> {
    collection: &'a Collection,
    taken: usize,
}

impl Numbers<'_> {
    async fn take(&mut self) -> Result<SeqNo> {
        let collection = self.collection.shared.id;
        let seq = self.collection.writer.ask(|reply| Command::BeginBulk { collection, reply }).await?;
        self.taken += 1;
        Ok(seq)
    }
}

impl Drop for Numbers<'_> {
    fn drop(&mut self) {
        if self.taken > 0 {
            self.collection
                .writer
                .tell_soon(Command::EndBulk { collection: self.collection.shared.id, loads: self.taken });
        }
    }
}
