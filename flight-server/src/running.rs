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

/// Running queries by name.
#[derive(Clone, Default)]
pub(crate) struct Running(Arc<Mutex<HashMap<String, AbortHandle>>>);

impl Running {
    /// Passes `rows` on until they end or [`Running::cancel`] names them.
    pub fn track<T: Send + 'static>(
        &self,
        query: String,
        rows: impl Stream<Item = Result<T, Status>> + Send + 'static,
    ) -> BoxStream<'static, Result<T, Status>> {
        let (rows, handle) = stream::abortable(rows);
        self.lock().insert(query.clone(), handle.clone());
        let entry = Entry { running: self.clone(), query };
        let end = stream::once(async move {
            drop(entry);
            handle.is_aborted().then(|| Err(Status::cancelled("the query was cancelled")))
        });
        rows.chain(end.filter_map(ready)).boxed()
    }

    /// Stops a query; false if it is not running.
    pub fn cancel(&self, query: &str) -> bool {
        let handle = self.lock().remove(query);
        handle.inspect(AbortHandle::abort).is_some()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, AbortHandle>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the query off the list when its stream ends or is dropped.
struct Entry {
    running: Running,
    query: String,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.running.lock().remove(&self.query);
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
    async fn a_dropped_stream_leaves_the_list() {
        let running = Running::default();
        drop(running.track::<()>("q".into(), stream::pending()));
        assert!(!running.cancel("q"));
    }
}
