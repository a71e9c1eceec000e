use std::{
    collections::VecDeque,
    future, io,
    sync::mpsc::{self, Receiver},
    thread,
    time::Duration,
};

use bytes::Bytes;
use drift_storage::{Error, Put, Store};
use futures::StreamExt;
use tokio::runtime::Handle;

use crate::{
    LogSink,
    sink::{file_name, number_of},
};

/// The directory of the log's objects in a store.
const DIR: &str = "wal";
/// Objects read or deleted at the same time.
const AT_ONCE: usize = 16;
/// How long to wait before each further attempt to put an object.
const PAUSES_MS: [u64; 4] = [20, 80, 320, 1280];

/// Log files as objects of a store, named `wal/{number:020}.wal`, one per group of records.
///
/// The store's calls run on a tokio runtime, and this waits for them: never call it on one of the
/// runtime's own threads (`spawn_blocking` is fine).
#[derive(Debug)]
pub struct ObjectSink {
    store: Store,
    runtime: Handle,
}

impl ObjectSink {
    /// The log in `store`; its calls run on `runtime`.
    pub fn new(store: Store, runtime: Handle) -> Self {
        Self { store, runtime }
    }

    /// Starts `call` on the runtime; its answer comes from what is returned.
    fn start<T: Send + 'static>(&self, call: impl Future<Output = T> + Send + 'static) -> Answer<T> {
        let (sender, receiver) = mpsc::channel();
        // Nobody may wait for the answer any more.
        self.runtime.spawn(async move { drop(sender.send(call.await)) });
        Answer(receiver)
    }

    fn start_read(&self, number: u64) -> Answer<Result<Bytes, Error>> {
        let (store, path) = (self.store.clone(), path(number));
        self.start(async move { store.read(&path).await })
    }
}

/// What a call that was started will answer.
struct Answer<T>(Receiver<T>);

impl<T> Answer<Result<T, Error>> {
    fn wait(self) -> io::Result<T> {
        let answer = self.0.recv().map_err(|_| io::Error::other("the runtime has ended"))?;
        answer.map_err(|e| match e {
            Error::NotFound { .. } => io::Error::new(io::ErrorKind::NotFound, e),
            _ => io::Error::other(e),
        })
    }
}

impl LogSink for ObjectSink {
    fn list(&self) -> io::Result<Vec<u64>> {
        let store = self.store.clone();
        let names = self.start(async move { store.list(DIR).await }).wait()?;
        Ok(names.iter().filter_map(|name| number_of(name)).collect())
    }

    fn read(&self, number: u64) -> io::Result<Bytes> {
        self.start_read(number).wait()
    }

    fn read_each<'a>(&'a self, numbers: &'a [u64]) -> Box<dyn Iterator<Item = io::Result<Bytes>> + 'a> {
        Box::new(ReadAhead { sink: self, numbers, started: VecDeque::new() })
    }

    /// An attempt that failed may have landed all the same, at once or later. So what stands there is
    /// read back and compared (the salt makes each file's bytes unique), and a further attempt has the
    /// same bytes: it can only find its own.
    fn create(&mut self, number: u64, bytes: &[u8]) -> io::Result<()> {
        let bytes = Bytes::copy_from_slice(bytes);
        let mut pauses = PAUSES_MS.iter();
        loop {
            let (store, path, content) = (self.store.clone(), path(number), bytes.clone());
            let put = self.start(async move { store.put_if_absent(&path, content).await }).wait();
            let is_first = pauses.len() == PAUSES_MS.len();
            let failed = match put {
                Ok(Put::Created) => return Ok(()),
                Ok(Put::Exists) if is_first => return Err(io::ErrorKind::AlreadyExists.into()),
                Ok(Put::Exists) => io::ErrorKind::AlreadyExists.into(),
                Err(e) => e,
            };
            match (self.read(number), pauses.next()) {
                (Ok(found), _) if found == bytes => return Ok(()),
                (Ok(_), _) => return Err(io::ErrorKind::AlreadyExists.into()),
                (Err(_), Some(&pause)) => {
                    tracing::warn!("{} could not be put, trying again: {failed}", self.name(number));
                    thread::sleep(Duration::from_millis(pause));
                }
                (Err(_), None) => return Err(failed),
            }
        }
    }

    fn append(&mut self, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn settle(&mut self, _: u64) -> io::Result<()> {
        Ok(())
    }

    /// Returns at once. Those that could not be deleted are tried again when the log is opened next.
    fn delete(&mut self, numbers: &[u64]) -> io::Result<()> {
        let store = self.store.clone();
        let deletes = futures::stream::iter(numbers.to_vec()).map(move |number| {
            let store = store.clone();
            async move { store.delete(&path(number)).await }
        });
        self.runtime.spawn(deletes.buffer_unordered(AT_ONCE).for_each(|deleted| {
            if let Err(e) = deleted {
                tracing::warn!("a log file that is passed stays until the next start: {e}");
            }
            future::ready(())
        }));
        Ok(())
    }

    fn file_bytes(&self) -> Option<u64> {
        None
    }

    fn name(&self, number: u64) -> String {
        let uri = self.store.uri();
        format!("{uri}{}{}", if uri.ends_with('/') { "" } else { "/" }, path(number))
    }
}

/// Reads objects one after the other, with the next ones under way.
struct ReadAhead<'a> {
    sink: &'a ObjectSink,
    numbers: &'a [u64],
    started: VecDeque<Answer<Result<Bytes, Error>>>,
}

impl Iterator for ReadAhead<'_> {
    type Item = io::Result<Bytes>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.started.len() < AT_ONCE
            && let Some((&number, rest)) = self.numbers.split_first()
        {
            self.numbers = rest;
            self.started.push_back(self.sink.start_read(number));
        }
        self.started.pop_front().map(Answer::wait)
    }
}

fn path(number: u64) -> String {
    format!("{DIR}/{}", file_name(number))
}
