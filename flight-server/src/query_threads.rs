//! Threads of their own for statements whose cost nobody knows: whatever they do, the server goes on answering.

use std::{
    sync::{Arc, LazyLock},
    thread::available_parallelism,
};

use datafusion::{
    common::Result,
    dataframe::DataFrame,
    execution::SendableRecordBatchStream,
    physical_plan::{execute_stream, stream::RecordBatchReceiverStreamBuilder},
};
use futures::StreamExt;
use tokio::runtime::{Builder, Runtime};

/// More than there are cores: the system divides these among statements that do not give way themselves.
const THREADS_PER_CORE: usize = 4;

/// Deep expressions are evaluated by deep recursion, as they are planned.
const STACK_BYTES: usize = 8 << 20;

/// Batches that are ready before the client has taken them.
const AHEAD: usize = 2;

/// Never shut down: a statement that does not give way must not keep the process up.
static THREADS: LazyLock<Runtime> = LazyLock::new(|| {
    let cores = available_parallelism().map_or(2, |cores| cores.get());
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(THREADS_PER_CORE * cores).thread_name("drift-sql").enable_all();
    builder.thread_stack_size(STACK_BYTES);
    builder.build().expect("a server can start threads")
});

/// Runs a query there. It ends when its rows are dropped.
pub(crate) async fn run(frame: DataFrame) -> Result<SendableRecordBatchStream> {
    let context = Arc::new(frame.task_ctx());
    let plan = frame.create_physical_plan().await?;
    let mut rows = RecordBatchReceiverStreamBuilder::new(plan.schema(), AHEAD);
    let sender = rows.tx();
    let work = async move {
        // Here, as operators start tasks of their own where they are started.
        let mut batches = execute_stream(plan, context)?;
        while let Some(batch) = batches.next().await {
            if sender.send(batch).await.is_err() {
                break;
            }
        }
        Ok(())
    };
    rows.spawn_on(work, THREADS.handle());
    Ok(rows.build())
}
