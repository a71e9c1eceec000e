use std::{
    collections::{BTreeSet, HashMap},
    thread,
    time::Duration,
};

use drift_types::{CollectionId, SeqNo, VectorId};
use drift_wal::{RecordKind, WalRecord, WalWriter};
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot},
};

use super::{BulkNumber, CollectionState, Command, InsertRows, command::Reply};
use crate::{
    Ack, CollectionSchema, Error, ErrorKind, Result,
    log_record::{encode_keys, encode_rows},
};

/// Commands that may wait for the writer; beyond it, senders wait.
const INBOX: usize = 1024;
/// A group commit takes what waits, up to this much.
const GROUP_BYTES: usize = 4 << 20;

/// The sender's side of the writer thread.
#[derive(Clone)]
pub(crate) struct WriterHandle {
    inbox: mpsc::Sender<Command>,
    runtime: Handle,
}

impl WriterHandle {
    /// Sends a command and waits for its answer.
    pub async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        self.tell(command(reply)).await?;
        answer.await.map_err(|_| closed())?
    }

    /// Sends a command that has no answer.
    pub async fn tell(&self, command: Command) -> Result<()> {
        self.inbox.send(command).await.map_err(|_| closed())
    }

    /// As [`WriterHandle::tell`] where one cannot wait, such as in a destructor.
    pub fn tell_soon(&self, command: Command) {
        if let Err(mpsc::error::TrySendError::Full(command)) = self.inbox.try_send(command) {
            let inbox = self.inbox.clone();
            self.runtime.spawn(async move { inbox.send(command).await });
        }
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the database is closed: open it again")
}

/// The one thread that writes.
pub(crate) struct Writer {
    wal: WalWriter,
    /// How long the first write of a group waits for others.
    linger: Duration,
    seq: SeqNo,
    collections: HashMap<CollectionId, CollectionState>,
    /// Why nothing can be written any more.
    poisoned: Option<Error>,
}

impl Writer {
    /// Starts the thread. `seq` is the highest number given out so far.
    pub fn start(
        wal: WalWriter,
        seq: SeqNo,
        collections: Vec<CollectionState>,
        linger: Duration,
    ) -> Result<WriterHandle> {
        let (inbox, commands) = mpsc::channel(INBOX);
        let collections = collections.into_iter().map(|c| (c.id(), c)).collect();
        let writer = Self { wal, linger, seq, collections, poisoned: None };
        thread::Builder::new()
            .name("drift-writer".into())
            .spawn(move || writer.run(commands))
            .map_err(|e| Error::internal(format!("cannot start the writer thread: {e}")))?;
        Ok(WriterHandle { inbox, runtime: Handle::current() })
    }

    fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut waiting = None;
        while let Some(command) = waiting.take().or_else(|| commands.blocking_recv()) {
            let mut group = Group::default();
            waiting = group.take(command).or_else(|| group.fill(&mut commands));
            if waiting.is_none() && !group.is_full() && !self.linger.is_zero() {
                thread::sleep(self.linger);
                waiting = group.fill(&mut commands);
            }
            if !group.writes.is_empty() {
                self.commit_group(group.writes);
            }
            // What cannot share a group comes after it, so that it sees what was sent before it.
            match waiting.take() {
                Some(Command::Close { reply }) => return drop(reply.send(self.close())),
                Some(command) => self.handle_alone(command),
                None => {}
            }
        }
    }

    /// The order of durability. Numbers first, so that the log is in their order; then the log, so
    /// that nothing is seen that a crash could take back; then the rows, so that whoever is
    /// answered can read them; the answers last.
    fn commit_group(&mut self, writes: Vec<Write>) {
        let (accepted, records) = self.number(writes);
        if let Err(error) = self.log(&records) {
            return accepted.into_iter().for_each(|(_, write)| write.refuse(error.clone()));
        }
        let mut touched = BTreeSet::new();
        let mut answers = Vec::with_capacity(accepted.len());
        for (seq, write) in accepted {
            touched.insert(write.collection());
            answers.push(self.apply(seq, write));
        }
        for collection in touched {
            if let Some(state) = self.collections.get_mut(&collection) {
                state.publish();
            }
        }
        answers.into_iter().for_each(|answer| answer());
    }

    /// Checks each write against the collection as it is and gives it its number and record.
    fn number(&mut self, writes: Vec<Write>) -> (Vec<(SeqNo, Write)>, Vec<WalRecord>) {
        let (mut accepted, mut records) = (Vec::new(), Vec::new());
        for mut write in writes {
            if let Err(error) = self.ready(write.collection()).and_then(|state| write.check(state)) {
                write.refuse(error);
                continue;
            }
            self.seq = self.seq.next();
            records.push(write.record(self.seq));
            accepted.push((self.seq, write));
        }
        (accepted, records)
    }

    /// The collection, if it can be written to.
    fn ready(&mut self, collection: CollectionId) -> Result<&mut CollectionState> {
        match &self.poisoned {
            Some(error) => Err(error.clone()),
            None => self
                .collections
                .get_mut(&collection)
                .ok_or_else(|| Error::new(ErrorKind::NotFound, "the collection was dropped meanwhile")),
        }
    }

    /// After a failed write or sync nobody knows what the disk holds: nothing is written after it.
    fn log(&mut self, records: &[WalRecord]) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        self.with_log(|wal| wal.append(records))
    }

    fn sync(&mut self) -> Result<()> {
        match &self.poisoned {
            Some(error) => Err(error.clone()),
            None => self.with_log(WalWriter::sync),
        }
    }

    fn with_log(&mut self, work: impl FnOnce(&mut WalWriter) -> Result<(), drift_wal::Error>) -> Result<()> {
        work(&mut self.wal).map_err(|e| {
            let message = match &e {
                drift_wal::Error::TooLarge { .. } => return e.into(), // the log is as it was
                drift_wal::Error::Fenced { .. } => format!(
                    "another writer has taken over this database ({e}); what was acknowledged here is in its log, \
                     and reads here see nothing newer"
                ),
                _ => format!("the log cannot be written ({e}): mend the storage and restart; reads go on"),
            };
            let error = Error::new(ErrorKind::Closed, message);
            tracing::error!("{error}");
            self.poisoned.get_or_insert(error).clone()
        })
    }

    fn apply(&mut self, seq: SeqNo, write: Write) -> Box<dyn FnOnce()> {
        let state = self.collections.get_mut(&write.collection()).expect("checked when numbered");
        match write {
            Write::Insert { rows, reply, .. } => {
                let rows = state.insert(seq, *rows);
                Box::new(move || drop(reply.send(Ok(Ack { seq, rows }))))
            }
            Write::Delete { ids, reply, .. } => {
                let rows = state.delete(seq, &ids);
                Box::new(move || drop(reply.send(Ok(Ack { seq, rows }))))
            }
            Write::DeleteRows { rows, reply, .. } => {
                let rows = state.delete_rows(seq, &rows);
                Box::new(move || drop(reply.send(Ok(Ack { seq, rows }))))
            }
            Write::Bulk { number, reply, .. } => {
                state.begin_bulk();
                let number = number.given(seq);
                Box::new(move || drop(reply.send(Ok(number))))
            }
        }
    }

    fn handle_alone(&mut self, command: Command) {
        match command {
            Command::Insert { .. } | Command::BeginBulk { .. } => unreachable!("these join a group"),
            Command::Delete { collection, ids, read_at, reply } => {
                let write = match (self.collections.get(&collection), read_at) {
                    (Some(state), Some(read_at)) => match state.unchanged(&ids, &read_at) {
                        Ok(rows) => Write::DeleteRows { collection, rows, reply },
                        Err(error) => return drop(reply.send(Err(error))),
                    },
                    (_, _) => Write::Delete { collection, ids, reply },
                };
                self.commit_group(vec![write]);
            }
            Command::EndBulk { collection } => self.with(collection, CollectionState::end_bulk),
            Command::Ready { collection, reply } => drop(reply.send(self.ready(collection).map(|_| ()))),
            Command::Freeze { collection, reply } => {
                self.with(collection, CollectionState::freeze);
                drop(reply.send(Ok(())));
            }
            Command::Commit { commit, reply } => {
                self.with(commit.collection, |state| state.commit(*commit));
                drop(reply.send(Ok(())));
            }
            Command::Graph { collection, place, graph } => {
                self.with(collection, |state| state.publish_graph(place, graph));
            }
            Command::Register { state, reply } => {
                self.collections.insert(state.id(), *state);
                drop(reply.send(Ok(())));
            }
            Command::Unregister { collection, reply } => {
                self.collections.remove(&collection);
                drop(reply.send(Ok(())));
            }
            Command::Truncate => self.truncate(),
            Command::Sync { reply } => {
                let synced = self.sync();
                if let Some(reply) = reply {
                    drop(reply.send(synced));
                }
            }
            Command::Close { .. } => unreachable!("ends the loop"),
        }
    }

    fn with(&mut self, collection: CollectionId, work: impl FnOnce(&mut CollectionState)) {
        if let Some(state) = self.collections.get_mut(&collection) {
            work(state);
        }
    }

    /// Frees the log files that every collection has passed.
    fn truncate(&mut self) {
        let passed = self.collections.values().map(|c| c.log_floor(self.seq)).min().unwrap_or(self.seq);
        if self.poisoned.is_none()
            && let Err(e) = self.wal.truncate(passed)
        {
            tracing::warn!("old log files stay for now: {e}");
        }
    }

    fn close(self) -> Result<()> {
        match self.poisoned {
            Some(error) => Err(error),
            None => self
                .wal
                .close(self.seq)
                .map_err(|e| Error::new(ErrorKind::Closed, format!("the log could not be closed cleanly: {e}"))),
        }
    }
}

/// Writes that share one sync.
#[derive(Default)]
struct Group {
    writes: Vec<Write>,
    bytes: usize,
}

impl Group {
    fn is_full(&self) -> bool {
        self.bytes >= GROUP_BYTES
    }

    /// Takes what waits, up to the first command that cannot join, which it returns.
    fn fill(&mut self, commands: &mut mpsc::Receiver<Command>) -> Option<Command> {
        while !self.is_full() {
            if let Some(other) = self.take(commands.try_recv().ok()?) {
                return Some(other);
            }
        }
        None
    }

    /// Takes a command that can join a group; gives any other back.
    fn take(&mut self, command: Command) -> Option<Command> {
        match command {
            Command::Insert { collection, rows, reply } => {
                self.bytes += rows.encoded.len();
                self.writes.push(Write::Insert { collection, rows, reply });
            }
            Command::Delete { collection, ids, read_at: None, reply } => {
                self.bytes += ids.len() * 8;
                self.writes.push(Write::Delete { collection, ids, reply });
            }
            Command::BeginBulk { number, schema, reply } => self.writes.push(Write::Bulk { number, schema, reply }),
            other => return Some(other),
        }
        None
    }
}

/// A write that goes through the log.
enum Write {
    Insert { collection: CollectionId, rows: Box<InsertRows>, reply: Reply<Ack> },
    Delete { collection: CollectionId, ids: Vec<VectorId>, reply: Reply<Ack> },
    DeleteRows { collection: CollectionId, rows: Vec<(VectorId, SeqNo)>, reply: Reply<Ack> },
    Bulk { number: BulkNumber, schema: Box<CollectionSchema>, reply: Reply<BulkNumber> },
}

impl Write {
    fn collection(&self) -> CollectionId {
        match self {
            Self::Insert { collection, .. } | Self::Delete { collection, .. } | Self::DeleteRows { collection, .. } => {
                *collection
            }
            Self::Bulk { number, .. } => number.collection(),
        }
    }

    /// What can only be known here: whether the dimension settled meanwhile is another.
    fn check(&mut self, state: &mut CollectionState) -> Result<()> {
        match self {
            Self::Insert { rows, .. } => state.accept_schema(&rows.schema),
            Self::Bulk { schema, .. } => state.accept_schema(schema),
            Self::Delete { .. } | Self::DeleteRows { .. } => Ok(()),
        }
    }

    fn record(&self, seq: SeqNo) -> WalRecord {
        let (kind, payload) = match self {
            Self::Insert { rows, .. } => (RecordKind::Insert, rows.encoded.clone()),
            Self::Delete { ids, .. } => (RecordKind::Delete, encode_keys(ids)),
            Self::DeleteRows { rows, .. } => (RecordKind::DeleteRows, encode_rows(rows)),
            Self::Bulk { .. } => (RecordKind::BulkLoad, bytes::Bytes::new()),
        };
        WalRecord { seq, collection: self.collection(), kind, payload }
    }

    fn refuse(self, error: Error) {
        match self {
            Self::Insert { reply, .. } | Self::Delete { reply, .. } | Self::DeleteRows { reply, .. } => {
                drop(reply.send(Err(error)));
            }
            Self::Bulk { reply, .. } => drop(reply.send(Err(error))),
        }
    }
}
