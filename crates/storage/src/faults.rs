//! Faults on purpose: what an object store may do to its client, told call by call.

use std::{
    fmt, io,
    ops::Range,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;

use crate::{Error, Put, Result, Store};

/// A kind of call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Of a whole object or a range of it.
    Read,
    /// Of an object's length or presence.
    Stat,
    /// Of an object, if absent.
    Put,
    /// Of an object.
    Delete,
    /// Of a directory.
    List,
}

/// What goes wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It fails before anything has happened.
    Refused,
    /// It does what it should, but fails towards the caller.
    AnswerLost,
    /// It takes so long, and is right.
    Late(Duration),
}

/// A call that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its place among the calls, from 0.
    pub number: usize,
    /// Its kind.
    pub operation: Operation,
    /// Its object or directory.
    pub path: String,
    /// How many others were under way when it came.
    pub others: usize,
}

/// A call until it has answered, or nobody waits for it any more.
struct UnderWay<'a>(&'a AtomicUsize);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

type Decide = dyn Fn(&Call) -> Option<Fault> + Send + Sync;

/// Decides about each call to a store, and remembers them all.
pub struct Faults {
    decide: Box<Decide>,
    calls: Mutex<Vec<Call>>,
    under_way: AtomicUsize,
}

impl Faults {
    /// Asks `decide` about every call.
    pub fn new(decide: impl Fn(&Call) -> Option<Fault> + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { decide: Box::new(decide), calls: Mutex::default(), under_way: AtomicUsize::new(0) })
    }

    /// Nothing goes wrong; calls are counted.
    pub fn none() -> Arc<Self> {
        Self::new(|_| None)
    }

    /// The calls so far, in the order in which they came.
    pub fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many calls of one kind there were so far.
    pub fn count(&self, operation: Operation) -> usize {
        self.calls().iter().filter(|call| call.operation == operation).count()
    }

    fn next(&self, operation: Operation, path: &str, others: usize) -> Option<Fault> {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let call = Call { number: calls.len(), operation, path: path.to_owned(), others };
        calls.push(call.clone());
        drop(calls);
        (self.decide)(&call)
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faults").finish_non_exhaustive()
    }
}

/// A call under way; boxed, as the store below may be a faulty one again.
type Work<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// A store whose calls go wrong as told.
#[derive(Debug)]
pub(crate) struct Faulty {
    inner: Store,
    faults: Arc<Faults>,
}

impl Faulty {
    pub(crate) fn new(inner: Store, faults: Arc<Faults>) -> Self {
        Self { inner, faults }
    }

    pub(crate) fn inner(&self) -> &Store {
        &self.inner
    }

    pub(crate) fn read<'a>(&'a self, path: &'a str) -> Work<'a, Bytes> {
        Box::pin(self.call(Operation::Read, path, self.inner.read(path)))
    }

    pub(crate) fn read_range<'a>(&'a self, path: &'a str, range: Range<u64>) -> Work<'a, Bytes> {
        Box::pin(self.call(Operation::Read, path, self.inner.read_range(path, range)))
    }

    pub(crate) fn len<'a>(&'a self, path: &'a str) -> Work<'a, u64> {
        Box::pin(self.call(Operation::Stat, path, self.inner.len(path)))
    }

    pub(crate) fn exists<'a>(&'a self, path: &'a str) -> Work<'a, bool> {
        Box::pin(self.call(Operation::Stat, path, self.inner.exists(path)))
    }

    pub(crate) fn put_if_absent<'a>(&'a self, path: &'a str, bytes: Bytes) -> Work<'a, Put> {
        Box::pin(self.call(Operation::Put, path, self.inner.put_if_absent(path, bytes)))
    }

    pub(crate) fn delete<'a>(&'a self, path: &'a str) -> Work<'a, ()> {
        Box::pin(self.call(Operation::Delete, path, self.inner.delete(path)))
    }

    pub(crate) fn list<'a>(&'a self, dir: &'a str) -> Work<'a, Vec<String>> {
        Box::pin(self.call(Operation::List, dir, self.inner.list(dir)))
    }

    /// No call to an object store, so nothing goes wrong with it.
    pub(crate) fn remove_empty_dirs<'a>(&'a self, dir: &'a str) -> Work<'a, ()> {
        Box::pin(self.inner.remove_empty_dirs(dir))
    }

    async fn call<T>(&self, operation: Operation, path: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
        let failed = |what: &str| Error::Remote { path: path.to_owned(), source: io::Error::other(what).into() };
        let under_way = UnderWay(&self.faults.under_way);
        match self.faults.next(operation, path, under_way.0.fetch_add(1, Relaxed)) {
            None => work.await,
            Some(Fault::Refused) => Err(failed("refused on purpose")),
            Some(Fault::AnswerLost) => work.await.and(Err(failed("the answer was lost on purpose"))),
            Some(Fault::Late(time)) => {
                tokio::time::sleep(time).await;
                work.await
            }
        }
    }
}
