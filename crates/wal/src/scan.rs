//! Reading one file: what replay and a new writer share.

use bytes::Bytes;
use drift_types::SeqNo;
use ulid::Ulid;

use crate::{
    Error, Result, WalRecord,
    header::{FileHeader, HEADER_BYTES, Rejected, VERSION},
    record::{self, Entry},
};

/// A file with a sound header.
pub(crate) struct OpenFile {
    name: String,
    bytes: Bytes,
    pub header: FileHeader,
}

/// Where the records of a file end.
#[derive(Debug)]
pub(crate) struct FileEnd {
    /// Behind the last record.
    pub offset: u64,
    /// The highest number known to be used.
    pub last_seq: SeqNo,
    /// What lies behind `offset`.
    pub tail: Tail,
}

/// What lies behind the last record of a file that grows. One that was written whole has no tail.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Tail {
    /// Zeros.
    Blank,
    /// Zeros, behind the checkpoint of a clean close.
    Closed,
    /// The remains of a write that was never synced.
    Torn,
    /// Bytes that had been synced and have changed since.
    Corrupt(&'static str),
}

/// Verifies the header of a file that holds `bytes`; `None` when its creation was never finished.
///
/// A header is durable before the first record is written. So a file without one was never finished
/// if it holds nothing else and is the last; otherwise its header has been damaged.
pub(crate) fn open(
    path: String,
    bytes: Bytes,
    number: u64,
    database: Ulid,
    may_be_unfinished: bool,
) -> Result<Option<OpenFile>> {
    let header = match FileHeader::decode(&bytes) {
        Ok(header) => header,
        Err(Rejected::Version(version)) => {
            return Err(Error::Version { path, version, supported: VERSION });
        }
        Err(Rejected::Damaged) if may_be_unfinished && is_blank(&bytes[HEADER_BYTES.min(bytes.len())..]) => {
            return Ok(None);
        }
        Err(Rejected::Damaged) => {
            return Err(corrupt(path, 0, "its header does not match its checksum"));
        }
    };
    if header.database != database {
        return Err(Error::WrongDatabase { path, found: header.database, expected: database });
    }
    if header.number != number {
        return Err(corrupt(path, 0, "the number in its header is not the one in its name"));
    }
    if header.length > 0 && header.length != bytes.len() as u64 {
        let end = header.length.min(bytes.len() as u64);
        return Err(corrupt(path, end, "it is not as long as its header says"));
    }
    Ok(Some(OpenFile { name: path, bytes, header }))
}

impl OpenFile {
    /// Hands each record to `apply`, in order. `last_seq` is the highest number of the files before.
    pub fn read_records<E: From<Error>>(
        &self,
        last_seq: SeqNo,
        mut apply: impl FnMut(WalRecord) -> Result<(), E>,
    ) -> Result<FileEnd, E> {
        // The writer of this file took every number below its first one for used.
        let mut last_seq = last_seq.max(SeqNo(self.header.first_seq.0.saturating_sub(1)));
        let mut is_closed = false;
        let mut offset = HEADER_BYTES;
        while let Some((entry, end)) = record::decode(&self.bytes, offset, self.header.salt) {
            let seq = match &entry {
                Entry::Change(record) => record.seq,
                Entry::Checkpoint(seq) => *seq,
                Entry::UnknownKind(kind) => {
                    return Err(
                        Error::UnknownKind { path: self.name.clone(), offset: offset as u64, kind: *kind }.into()
                    );
                }
            };
            if is_closed {
                return Err(self.corrupt(offset as u64, "a record follows the checkpoint of a clean close").into());
            }
            if seq < last_seq {
                return Err(self.corrupt(offset as u64, "its sequence number goes back").into());
            }
            (last_seq, offset) = (seq, end);
            match entry {
                Entry::Change(record) => apply(record)?,
                _ => is_closed = true,
            }
        }
        Ok(FileEnd { offset: offset as u64, last_seq, tail: self.tail(offset, is_closed) })
    }

    /// Whether it holds a record, or remains of one.
    pub fn holds_records(&self) -> bool {
        !is_blank(&self.bytes[HEADER_BYTES..])
    }

    /// Whether it was written at once and never grew.
    pub fn is_whole(&self) -> bool {
        self.header.length > 0
    }

    fn tail(&self, end: usize, is_closed: bool) -> Tail {
        if self.is_whole() && end < self.bytes.len() {
            return Tail::Corrupt("a record does not match its checksum");
        }
        match is_blank(&self.bytes[end..]) {
            true if is_closed => Tail::Closed,
            true => Tail::Blank,
            false if is_closed => Tail::Corrupt("bytes follow the checkpoint of a clean close"),
            false if record::was_durable(&self.bytes, end, self.header.salt) => {
                Tail::Corrupt("a record that had been synced does not match its checksum")
            }
            false => Tail::Torn,
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn corrupt(&self, offset: u64, reason: &'static str) -> Error {
        corrupt(self.name.clone(), offset, reason)
    }
}

pub(crate) fn corrupt(path: String, offset: u64, reason: &'static str) -> Error {
    Error::Corrupt { path, offset, reason }
}

fn is_blank(bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| byte == 0)
}

#[cfg(test)]
mod tests {
    use drift_types::CollectionId;

    use super::*;
    use crate::RecordKind;

    const SALT: u64 = 11;

    /// Writes one record at the offset given.
    type Write = dyn Fn(u64, &mut Vec<u8>);

    fn change(seq: u64) -> impl Fn(u64, &mut Vec<u8>) {
        let record = WalRecord {
            seq: SeqNo(seq),
            collection: CollectionId(Ulid::nil()),
            kind: RecordKind::Insert,
            payload: Bytes::from_static(b"row"),
        };
        move |offset, out| record::encode(&record, SALT, offset, offset, out)
    }

    fn checkpoint(seq: u64) -> impl Fn(u64, &mut Vec<u8>) {
        move |offset, out| out.extend(record::encode_checkpoint(SeqNo(seq), SALT, offset))
    }

    /// Reads a file of sound records that no writer would write in this order.
    fn read(first_seq: u64, entries: &[&Write]) -> Result<FileEnd> {
        let header = FileHeader {
            database: Ulid::nil(),
            epoch: 1,
            salt: SALT,
            number: 1,
            first_seq: SeqNo(first_seq),
            previous_end: 0,
            oldest: 0,
            length: 0,
        };
        let mut bytes = header.encode().to_vec();
        for entry in entries {
            entry(bytes.len() as u64, &mut bytes);
        }
        OpenFile { name: "log".into(), bytes: bytes.into(), header }.read_records(SeqNo(3), |_| Ok(()))
    }

    #[test]
    fn numbers_never_go_back() {
        let end = read(4, &[&change(4), &change(4), &change(6)]).expect("in order");
        assert_eq!((end.last_seq, end.tail), (SeqNo(6), Tail::Blank));
        assert_eq!(read(9, &[]).expect("empty").last_seq, SeqNo(8));
        for (first_seq, seqs) in [(4, [5, 4]), (1, [2, 4]), (9, [7, 9])] {
            let [a, b] = seqs.map(change);
            assert!(matches!(read(first_seq, &[&a, &b]), Err(Error::Corrupt { .. })), "{seqs:?} from {first_seq}");
        }
    }

    #[test]
    fn nothing_follows_a_checkpoint() {
        let end = read(4, &[&change(4), &checkpoint(5)]).expect("closed");
        assert_eq!((end.last_seq, end.tail), (SeqNo(5), Tail::Closed));
        assert!(matches!(read(4, &[&checkpoint(5), &change(6)]), Err(Error::Corrupt { .. })));
    }
}
