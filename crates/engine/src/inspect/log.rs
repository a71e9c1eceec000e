use std::time::Duration;

use drift_storage::Store;
use drift_wal::{LocalSink, LogSink, RecordKind, WalRecord};
use tokio::task::spawn_blocking;
use ulid::Ulid;

use super::{Checked, Finding};
use crate::{
    Error, Result, Settings,
    log_record::{decode_batch, decode_keys},
};

/// A log that is being written may look damaged for as long as one write takes, or a file of it may
/// just have been removed: what is wrong is believed when it stays wrong.
const ATTEMPTS: usize = 4;
const PAUSE: Duration = Duration::from_millis(150);

/// What stops the reading of a log.
enum Stopped {
    Log(drift_wal::Error),
    Engine(Error),
}

impl From<drift_wal::Error> for Stopped {
    fn from(error: drift_wal::Error) -> Self {
        Self::Log(error)
    }
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        Self::Engine(error)
    }
}

/// The log of a database; none if it has none, or it is not known where.
fn sink(store: &Store, settings: &Settings) -> Option<Box<dyn LogSink>> {
    let beside = || store.local_root().map(|root| root.join("wal"));
    let dir = settings.wal_dir.clone().or_else(beside)?;
    Some(Box::new(LocalSink::new(dir)))
}

/// Hands all records to `apply`, which starts anew with each attempt.
async fn read<T: Send + 'static>(
    store: &Store,
    settings: &Settings,
    database: Ulid,
    start: impl Fn() -> T + Send + 'static,
    apply: impl Fn(&mut T, WalRecord) -> Result<()> + Send + 'static,
) -> Result<Option<Result<(T, usize), Stopped>>> {
    let Some(sink) = sink(store, settings) else { return Ok(None) };
    let reading = spawn_blocking(move || {
        let mut left = ATTEMPTS;
        loop {
            let mut state = start();
            let records = drift_wal::replay_sink(&*sink, database, |record| Ok(apply(&mut state, record)?));
            left -= 1;
            match records {
                Ok(_) => return Ok((state, sink.list().map_or(0, |files| files.len()))),
                Err(stopped) if left == 0 => return Err(stopped),
                Err(_) => std::thread::sleep(PAUSE),
            }
        }
    });
    let read = reading.await.map_err(|e| Error::internal(format!("reading the log panicked: {e}")))?;
    Ok(Some(read))
}

/// Reads the log; none if the database has none here.
pub(super) async fn check(store: &Store, settings: &Settings, database: Ulid) -> Result<Option<Checked>> {
    let read = read(
        store,
        settings,
        database,
        || Checked::new("log"),
        |checked, record| {
            checked.bytes += record.payload.len() as u64;
            match record.kind {
                RecordKind::Insert => checked.rows += decode_batch(&record.payload)?.num_rows() as u64,
                RecordKind::Delete => drop(decode_keys(&record.payload)?),
                RecordKind::BulkLoad => {}
            }
            Ok(())
        },
    );
    let damaged = |wrong| Checked { wrong: vec![wrong], ..Checked::new("log") };
    Ok(read.await?.map(|read| match read {
        Ok((checked, files)) => Checked { files: files as u64, ..checked },
        Err(Stopped::Log(error)) => damaged(Finding::of_log(error)),
        Err(Stopped::Engine(error)) => damaged(Finding::new("wal", format!("holds a record that says: {error}"))),
    }))
}

/// Hands all records to `apply`, and gives back what it made of them, starting from `start`; none if
/// the database has no log here.
///
/// # Errors
/// Those of the log, and of `apply`.
pub(super) async fn fold<T: Clone + Send + 'static>(
    store: &Store,
    settings: &Settings,
    database: Ulid,
    start: T,
    apply: impl Fn(&mut T, WalRecord) -> Result<()> + Send + 'static,
) -> Result<Option<T>> {
    match read(store, settings, database, move || start.clone(), apply).await? {
        None => Ok(None),
        Some(Ok((state, _))) => Ok(Some(state)),
        Some(Err(Stopped::Log(error))) => Err(error.into()),
        Some(Err(Stopped::Engine(error))) => Err(error),
    }
}
