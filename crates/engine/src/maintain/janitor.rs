use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::task::JoinHandle;

use super::{compact, flush, misplaced::look_for_misplaced, remember};
use crate::{
    Collection, Durability, Result, Settings,
    common::Common,
    compute::Class,
    settings::SYNC_INTERVAL,
    snapshot::L0Table,
    write::{Command, WriterHandle},
};

/// How often the janitor looks around when nobody wakes it.
const TICK: Duration = Duration::from_millis(500);
/// A graph is built if its rows will stay in L0 for so long each. One takes 0.2 to 0.5 ms of a thread
/// that nobody else wants; flushes wait for it.
const GRAPH_ROW: Duration = Duration::from_millis(1);
/// After an error it rests this long.
const REST: Duration = Duration::from_secs(5);

/// The task that keeps a database in order. It ends when it is dropped.
pub(crate) struct Janitor {
    task: JoinHandle<()>,
    sync: Option<JoinHandle<()>>,
}

impl Janitor {
    pub fn start(
        collections: impl Fn() -> Vec<Collection> + Send + Sync + 'static,
        writer: WriterHandle,
        common: Arc<Common>,
    ) -> Self {
        let is_lazy = common.settings.durability == Durability::Interval;
        let sync = is_lazy.then(|| tokio::spawn(keep_synced(writer.clone())));
        let task = tokio::spawn(async move {
            loop {
                let _ = tokio::time::timeout(TICK, common.janitor.notified()).await;
                for collection in collections() {
                    let tended = async {
                        flush_due(&collection).await?;
                        compact_due(&collection).await
                    };
                    if let Err(e) = tended.await {
                        tracing::error!("maintenance of '{}' failed, trying again soon: {e}", collection.name());
                        tokio::time::sleep(REST).await;
                    }
                }
                if writer.tell(Command::Truncate).await.is_err() {
                    return; // the database was closed
                }
            }
        });
        Self { task, sync }
    }
}

impl Drop for Janitor {
    fn drop(&mut self) {
        self.task.abort();
        self.sync.iter().for_each(JoinHandle::abort);
    }
}

async fn keep_synced(writer: WriterHandle) {
    while writer.tell(Command::Sync { reply: None }).await.is_ok() {
        tokio::time::sleep(SYNC_INTERVAL).await;
    }
}

/// Brings L0 into order: what must be done, whatever it costs.
async fn flush_due(collection: &Collection) -> Result<()> {
    let shared = &collection.shared;
    let snapshot = shared.snapshot.load();
    let active = snapshot.l0.last().expect("a snapshot always has an active table");
    let age_max = Duration::from_secs(shared.common.settings.memtable_age_s_max);
    if active.born.is_some_and(|born| born.elapsed() >= age_max) {
        let collection_id = shared.id;
        collection.writer.ask(|reply| Command::Freeze { collection: collection_id, reply }).await?;
    }
    // Deletes alone hold the log too: they go into tombstones once L0 is empty and quiet.
    let only_deletes = active.memtable.is_empty() && shared.manifest_age() >= age_max;
    if !shared.snapshot.load().frozen().is_empty() || only_deletes {
        flush(collection, Class::Background).await?;
    }
    build_graph(collection).await?;
    remember(collection, age_max, Class::Background).await?;
    shared.garbage.sweep(shared).await;
    Ok(())
}

/// Does one compaction if one is due and the budget allows; more of them follow after the flushes
/// that have come due meanwhile.
async fn compact_due(collection: &Collection) -> Result<()> {
    let common = &collection.shared.common;
    let (is_open, quiet) = common.budget.look(Instant::now());
    if !is_open || !common.settings.maintenance {
        return Ok(());
    }
    look_for_misplaced(collection).await?;
    if compact(collection, Class::Background, quiet).await? {
        common.janitor.notify_one();
    }
    Ok(())
}

/// Builds the next graph of L0, if enough rows wait for one and will for long enough.
async fn build_graph(collection: &Collection) -> Result<()> {
    let shared = &collection.shared;
    let snapshot = shared.snapshot.load();
    let active = snapshot.l0.last().expect("a snapshot always has an active table");
    let Some(range) = active.memtable.unsealed() else { return Ok(()) };
    if stays(active, &shared.common.settings) < GRAPH_ROW.saturating_mul(range.len() as u32) {
        return Ok(());
    }
    let (place, memtable) = (active.place, active.memtable.clone());
    let work = move || Arc::new(memtable.build_graph(range));
    let (graph, taken) = shared.common.compute.timed(Class::Background, work).await?;
    shared.totals.maintained(taken);
    collection.writer.tell(Command::Graph { collection: shared.id, place, graph }).await
}

/// How long the table that takes new rows will yet do so, if they go on coming as they have.
fn stays(table: &L0Table, settings: &Settings) -> Duration {
    let age = table.born.map_or(Duration::ZERO, |born| born.elapsed());
    let share = |size: usize, max: usize| size as f64 / max as f64;
    let memtable = &table.memtable;
    let filled = share(memtable.len(), settings.memtable_rows_max);
    let filled = filled.max(share(memtable.bytes(), settings.memtable_bytes_max));
    until_full(age, filled).min(Duration::from_secs(settings.memtable_age_s_max).saturating_sub(age))
}

/// When what was empty `age` ago is full, if it is so far `filled` (0 to 1).
fn until_full(age: Duration, filled: f64) -> Duration {
    Duration::try_from_secs_f64(age.as_secs_f64() * (1.0 / filled - 1.0).max(0.0)).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_follows_the_pace_so_far() {
        let left = |age, filled| until_full(Duration::from_secs(age), filled).as_secs();
        assert_eq!((left(10, 0.5), left(10, 0.1), left(10, 1.0), left(10, 1.5)), (10, 90, 0, 0));
        assert_eq!(until_full(Duration::from_secs(1), 0.0), Duration::MAX);
    }
}
