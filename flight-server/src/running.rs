//! The queries whose rows are under way, so that one can be cancelled.

use std::{
    collections::HashMap,
    future::ready,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::{
    Stream, StreamExt,
    stream::{self, AbortHandle, BoxStream},
};
use tonic::Status;

/// Running queries by name. A ticket can be fetched again while its rows are under way: then there are
/// several runs of one name.
#[derive(Clone, Default)]
pub(crate) struct Running(Arc<Mutex<Runs>>);

#[derive(Default)]
struct Runs {
    /// How to stop each run, with its number.
    handles: HashMap<String, Vec<(u64, AbortHandle)>>,
    /// The number of the run to come.
    next: u64,
}

impl Runs {
    fn begin(&mut self, query: &str, handle: AbortHandle) -> u64 {
        let run = self.next;
        self.next += 1;
        self.handles.entry(query.to_owned()).or_default().push((run, handle));
        run
    }

    fn end(&mut self, query: &str, run: u64) {
        if let Some(runs) = self.handles.get_mut(query) {
            runs.retain(|(number, _)| *number != run);
            if runs.is_empty() {
                self.handles.remove(query);
            }
        }
    }
}

impl Running {
    /// Passes `rows` on until they end or [`Running::cancel`] names them.
    pub fn track<T: Send + 'static>(
        &self,
        query: String,
        rows: impl Stream<Item = Result<T, Status>> + Send + 'static,
    ) -> BoxStream<'static, Result<T, Status>> {
        let (rows, handle) = stream::abortable(rows);
        let run = self.lock().begin(&query, handle.clone());
        let entry = Entry { running: self.clone(), query, run };
        let end = stream::once(async move {
            drop(entry);
            handle.is_aborted().then(|| Err(Status::cancelled("the query was cancelled")))
        });
        rows.chain(end.filter_map(ready)).boxed()
    }

    /// Stops all runs of a query; false if there is none.
    pub fn cancel(&self, query: &str) -> bool {
        let runs = self.lock().handles.remove(query);
        runs.inspect(|runs| runs.iter().for_each(|(_, handle)| handle.abort())).is_some()
    }

    fn lock(&self) -> MutexGuard<'_, Runs> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a run off the list when its stream ends or is dropped.
struct Entry {
    running: Running,
    query: String,
    run: u64,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.running.lock().end(&self.query, self.run);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_cancelled_query_ends_with_an_error_and_leaves_the_list() {
        let running = Running::default();
        let mut rows = running.track("q".into(), stream::iter([Ok(1)]).chain(stream::pending()));
        assert_eq!(rows.next().await.unwrap().unwrap(), 1);
        assert!(running.cancel("q"));
        assert_eq!(rows.next().await.unwrap().unwrap_err().code(), tonic::Code::Cancelled);
        assert!(rows.next().await.is_none());
        assert!(!running.cancel("q"));
    }

    #[tokio::test]
    async fn runs_of_one_query_do_not_take_each_other_off_the_list() {
        let running = Running::default();
        let endless = || running.track::<()>("q".into(), stream::pending());
        let (mut first, mut second) = (endless(), endless());
        drop(running.track::<()>("q".into(), stream::empty()));
        drop(endless());
        assert!(running.cancel("q"));
        let mut third = endless();
        // What ends only now leaves the run alone that has begun since.
        for rows in [&mut first, &mut second] {
            assert_eq!(rows.next().await.unwrap().unwrap_err().code(), tonic::Code::Cancelled);
        }
        assert!(running.cancel("q"));
        assert_eq!(third.next().await.unwrap().unwrap_err().code(), tonic::Code::Cancelled);
    }

    #[tokio::test]
    async fn a_dropped_stream_leaves_the_list() {
        let running = Running::default();
        drop(running.track::<()>("q".into(), stream::pending()));
        assert!(!running.cancel("q"));
    }
}
