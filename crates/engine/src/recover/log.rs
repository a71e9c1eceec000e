use std::{collections::HashMap, time::Duration};

use drift_manifest::{Catalog, LogMark};
use drift_types::{CollectionId, SeqNo};
use drift_wal::{Opening, RecordKind, SyncPolicy, WalRecord, WalWriter};
use tokio::task::spawn_blocking;

use super::LogPlace;
use crate::{
    Durability, Error, Result,
    common::Common,
    log_record::{decode_keys, decode_rows},
    rows,
    settings::SYNC_INTERVAL,
    write::CollectionState,
};

/// The log of a database, taken over.
pub(crate) struct OpenLog {
    pub wal: WalWriter,
    /// The highest number ever used.
    pub newest: SeqNo,
    /// The collections, with everything in them that was acknowledged.
    pub states: Vec<CollectionState>,
    /// What the catalog is to remember of it.
    pub mark: LogMark,
    /// How long the first write of a group waits for others.
    pub linger: Duration,
}

/// Opens the log, which fences earlier writers, and applies the records that are not in the manifests
/// yet.
///
/// Applying a record twice changes nothing, so a record may be in the segments as well. Records of
/// collections that were dropped are passed over.
pub(crate) async fn open_log(
    common: &Common,
    catalog: &Catalog,
    mut states: HashMap<CollectionId, CollectionState>,
) -> Result<OpenLog> {
    let place = LogPlace::of(&common.store, &common.settings);
    let (sink, linger) = (place.sink(), place.linger(&common.settings));
    let known = states.values().map(CollectionState::newest).max().unwrap_or_default();
    let last = catalog.log.as_ref().filter(|_| !common.settings.accept_lost_log);
    let opening = Opening {
        database: catalog.database,
        epoch: common.epoch,
        last_epoch: last.map_or(0, |mark| mark.epoch),
        newest: known,
        policy: policy(common.settings.durability),
    };
    let mark = LogMark { place: place.to_string(), epoch: common.epoch };
    let opened = spawn_blocking(move || {
        let (wal, summary) =
            WalWriter::open::<Stopped>(sink, opening, |record| match states.get_mut(&record.collection) {
                Some(state) if record.seq > state.applied() => Ok(apply(state, record)?),
                _ => Ok(()),
            })?;
        if let Some(torn) = summary.torn_tail {
            tracing::warn!(
                "{} was cut at byte {}: a write that was never acknowledged is dropped",
                torn.path,
                torn.offset
            );
        }
        states.values_mut().for_each(CollectionState::publish);
        let newest = known.max(summary.last_seq);
        Ok(OpenLog { wal, newest, states: states.into_values().collect(), mark, linger })
    });
    let opened = opened.await.map_err(|e| Error::internal(format!("replaying the log panicked: {e}")))?;
    opened.map_err(|stopped: Stopped| stopped.explained(catalog.log.as_ref()))
}

/// What stops the reading of a log: the log itself, or a record that cannot be applied.
pub(crate) enum Stopped {
    Log(drift_wal::Error),
    Engine(Error),
}

impl Stopped {
    /// An error that says where the newest log is, if this is not it.
    pub fn explained(self, mark: Option<&LogMark>) -> Error {
        match (self, mark) {
            (Self::Log(e @ drift_wal::Error::Outdated { .. }), Some(mark)) => Error::invalid(format!(
                "{e}; the database was last written with its log in {}. Open it with that log (wal_dir), or copy \
                 its files here; if it is lost, accept_lost_log opens the database without what was only in it",
                mark.place
            )),
            (Self::Log(e), _) => e.into(),
            (Self::Engine(e), _) => e,
        }
    }
}

impl From<drift_wal::Error> for Stopped {
    fn from(e: drift_wal::Error) -> Self {
        Self::Log(e)
    }
}

impl From<Error> for Stopped {
    fn from(e: Error) -> Self {
        Self::Engine(e)
    }
}

fn apply(state: &mut CollectionState, record: WalRecord) -> Result<()> {
    match record.kind {
        RecordKind::Insert => {
            let rows = rows::replayed(&state.schema(), &record.payload)?;
            state.accept_schema(&rows.schema)?;
            state.insert(record.seq, rows);
        }
        RecordKind::Delete => drop(state.delete(record.seq, &decode_keys(&record.payload)?)),
        RecordKind::DeleteRows => drop(state.delete_rows(record.seq, &decode_rows(&record.payload)?)),
        // Its rows are in segments, or were never committed.
        RecordKind::BulkLoad => {}
    }
    Ok(())
}

fn policy(durability: Durability) -> SyncPolicy {
    match durability {
        Durability::Always => SyncPolicy::Always,
        Durability::Interval => SyncPolicy::Interval(SYNC_INTERVAL),
        Durability::Os => SyncPolicy::Os,
    }
}
