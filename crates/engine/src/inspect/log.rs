use std::time::Duration;

use drift_manifest::Catalog;
use drift_storage::Store;
use drift_wal::{RecordKind, WalRecord};
use tokio::task::spawn_blocking;

use super::{Checked, Finding};
use crate::{
    Error, Result, Settings,
    log_record::{decode_batch, decode_keys, decode_rows},
    recover::{LogPlace, Stopped},
};

/// A log that is being written may look damaged for as long as one write takes, or a file of it may
/// just have been removed: what is wrong is believed when it stays wrong.
const ATTEMPTS: usize = 4;
const PAUSE: Duration = Duration::from_millis(150);

/// Hands all records to `apply`, which starts anew with each attempt; also returns the number of files.
async fn read<T: Send + 'static>(
    store: &Store,
    settings: &Settings,
    catalog: &Catalog,
    start: impl Fn() -> T + Send + 'static,
    apply: impl Fn(&mut T, WalRecord) -> Result<()> + Send + 'static,
) -> Result<Result<(T, usize), Stopped>> {
    let sink = LogPlace::of(store, settings).sink();
    let (database, expected) = (catalog.database, catalog.log.as_ref().map_or(0, |mark| mark.epoch));
    let reading = spawn_blocking(move || {
        let attempt = || {
            let mut state = start();
            let summary = drift_wal::replay_sink::<Stopped>(&*sink, database, |record| Ok(apply(&mut state, record)?))?;
            let files = sink.list().unwrap_or_default();
            if summary.epoch < expected {
                let path = sink.name(files.last().copied().unwrap_or(1));
                return Err(drift_wal::Error::Outdated { path, found: summary.epoch, expected }.into());
            }
            Ok((state, files.len()))
        };
        for _ in 1..ATTEMPTS {
            match attempt() {
                Err(_) => std::thread::sleep(PAUSE),
                read => return read,
            }
        }
        attempt()
    });
    reading.await.map_err(|e| Error::internal(format!("reading the log panicked: {e}")))
}

/// Reads the log.
pub(super) async fn check(store: &Store, settings: &Settings, catalog: &Catalog) -> Result<Checked> {
    let read = read(
        store,
        settings,
        catalog,
        || Checked::new("log"),
        |checked, record| {
            checked.bytes += record.payload.len() as u64;
            match record.kind {
                RecordKind::Insert => checked.rows += decode_batch(&record.payload)?.num_rows() as u64,
                RecordKind::Delete => drop(decode_keys(&record.payload)?),
                RecordKind::DeleteRows => drop(decode_rows(&record.payload)?),
                RecordKind::BulkLoad => {}
            }
            Ok(())
        },
    );
    let damaged = |wrong| Checked { wrong: vec![wrong], ..Checked::new("log") };
    Ok(match read.await? {
        Ok((checked, files)) => Checked { files: files as u64, ..checked },
        Err(Stopped::Log(error)) => damaged(Finding::of_log(error)),
        Err(Stopped::Engine(error)) => damaged(Finding::new("wal", format!("holds a record that says: {error}"))),
    })
}

/// Hands all records to `apply`, and gives back what it made of them, starting from `start`.
///
/// # Errors
/// Those of the log, and of `apply`.
pub(super) async fn fold<T: Clone + Send + 'static>(
    store: &Store,
    settings: &Settings,
    catalog: &Catalog,
    start: T,
    apply: impl Fn(&mut T, WalRecord) -> Result<()> + Send + 'static,
) -> Result<T> {
    let read = read(store, settings, catalog, move || start.clone(), apply).await?;
    read.map(|(state, _)| state).map_err(|stopped| stopped.explained(catalog.log.as_ref()))
}
