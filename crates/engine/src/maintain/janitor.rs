use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{sync::Notify, task::JoinHandle};

use super::{Budget, compact, flush, look::look, remember};
use crate::{
    Collection, Durability, Result, Settings,
    compute::Class,
    write::{Command, WriterHandle},
};

/// How often the janitor looks around when nobody wakes it.
const TICK: Duration = Duration::from_millis(500);
/// How often a lazy log is synced.
const SYNC: Duration = Duration::from_millis(100);
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
        wake: Arc<Notify>,
        budget: Arc<Budget>,
        settings: &Settings,
    ) -> Self {
        let sync = (settings.durability == Durability::Interval).then(|| tokio::spawn(keep_synced(writer.clone())));
        let task = tokio::spawn(async move {
            loop {
                let _ = tokio::time::timeout(TICK, wake.notified()).await;
                for collection in collections() {
                    let tended = async {
                        flush_due(&collection).await?;
                        compact_due(&collection, &budget, &wake).await
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
        tokio::time::sleep(SYNC).await;
    }
}

/// Brings L0 into order: what must be done, whatever it costs.
async fn flush_due(collection: &Collection) -> Result<()> {
    let shared = &collection.shared;
    let snapshot = shared.snapshot.load();
    let active = snapshot.l0.last().expect("a snapshot always has an active table");
    let age_max = Duration::from_secs(shared.settings.memtable_age_s_max);
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
    remember(collection, age_max).await?;
    shared.garbage.sweep(shared).await;
    Ok(())
}

/// Does one compaction if one is due and the budget allows; more of them follow after the flushes
/// that have come due meanwhile.
async fn compact_due(collection: &Collection, budget: &Budget, wake: &Notify) -> Result<()> {
    let (is_open, quiet) = budget.look(Instant::now());
    if !is_open || !collection.shared.settings.maintenance {
        return Ok(());
    }
    look(collection).await?;
    if compact(collection, Class::Background, quiet).await? {
        wake.notify_one();
    }
    Ok(())
}

/// Builds the next graph of L0, if enough rows wait for one.
async fn build_graph(collection: &Collection) -> Result<()> {
    let shared = &collection.shared;
    let snapshot = shared.snapshot.load();
    let active = snapshot.l0.last().expect("a snapshot always has an active table");
    let Some(range) = active.memtable.unsealed() else { return Ok(()) };
    let (place, memtable) = (active.place, active.memtable.clone());
    let graph = shared.compute.run(Class::Background, move || Arc::new(memtable.build_graph(range))).await?;
    collection.writer.tell(Command::Graph { collection: shared.id, place, graph }).await
}
