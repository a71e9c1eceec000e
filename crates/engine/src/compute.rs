//! Where CPU work goes that is too long for an async worker: two pools, so that maintenance leaves a
//! core to the foreground.

use std::{sync::Arc, time::Duration};

use cpu_time::ThreadTime;
use rayon::{ThreadPool, ThreadPoolBuilder};
use tokio::sync::oneshot;

use crate::{Error, Result};

/// Who waits for the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// A client: all cores.
    Foreground,
    /// The janitor: all cores but one.
    Background,
}

/// How much this thread gives way to those of clients: where they want all cores, it has a tenth of what each
/// of them has. A search that it interrupts would wait for a tick of the system's clock.
#[cfg(target_os = "linux")]
fn give_way() {
    const NICENESS: i32 = 10;
    // Of all systems only Linux knows niceness of one thread.
    if let Err(e) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::warn!("maintenance cannot give way to searches: {e}");
    }
}

#[cfg(not(target_os = "linux"))]
fn give_way() {}

/// Conditions are evaluated here, a deep one by deep recursion. What is not used takes no memory.
const STACK_BYTES: usize = 8 << 20;

#[derive(Clone)]
pub(crate) struct Compute {
    foreground: Arc<ThreadPool>,
    background: Arc<ThreadPool>,
}

impl Compute {
    pub fn new() -> Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let pool = |name: &'static str, threads, begin: fn()| {
            ThreadPoolBuilder::new()
                .num_threads(threads)
                .stack_size(STACK_BYTES)
                .thread_name(move |i| format!("drift-{name}-{i}"))
                .start_handler(move |_| begin())
                .build()
                .map(Arc::new)
                .map_err(|e| Error::internal(format!("cannot start the {name} threads: {e}")))
        };
        let foreground = pool("compute", cores, || {})?;
        let background = pool("janitor", cores.saturating_sub(1).max(1), give_way)?;
        Ok(Self { foreground, background })
    }

    /// Runs `work` on the pool of `class`; a panic in it becomes an error.
    pub async fn run<T: Send + 'static>(&self, class: Class, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let pool = match class {
            Class::Foreground => &self.foreground,
            Class::Background => &self.background,
        };
        let (reply, answer) = oneshot::channel();
        pool.spawn(move || {
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            drop(reply.send(result)); // the caller may have gone
        });
        match answer.await {
            Ok(Ok(value)) => Ok(value),
            _ => Err(Error::internal("a compute task panicked: this is a fault of Drift, please report it")),
        }
    }

    /// [`Compute::run`], and the time the work had of a processor: on a busy machine many times that
    /// passes. Of work that other threads of the pool share, the share of the first one.
    pub async fn timed<T: Send + 'static>(
        &self,
        class: Class,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<(T, Duration)> {
        let timed = move || {
            let start = ThreadTime::now();
            let done = work();
            (done, start.elapsed())
        };
        self.run(class, timed).await
    }
}
