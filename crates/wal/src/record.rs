//! One record: a header of 64 bytes, the payload, zeros up to the next multiple of 64.
//! Integers are little-endian.
//!
//! ```text
//!    0  magic "DREC"          4
//!    4  payload length        4
//!    8  sequence number       8
//!   16  collection (ULID)    16
//!   32  durable              8   offset up to which this file was synced when this was written
//!   40  CRC-32C of payload   4   with its zeros
//!   44  kind                 1   1 insert, 2 delete, 3 bulk load, 4 checkpoint, 5 delete rows
//!   45  zero                15
//!   60  CRC-32C of 0..60     4   seeded with the file's salt and the record's offset
//!   64  payload
//! ```
//! A checkpoint is what a clean close leaves behind: it has no payload and nothing follows it.
//! The header has a checksum of its own so that a length is believed only once it is verified, and
//! so that a search for later records reads each byte once.

use bytes::Bytes;
use drift_types::{CollectionId, SeqNo};
use ulid::Ulid;

use crate::header::array;

/// Records start at multiples of this many bytes.
pub(crate) const ALIGN: usize = 64;

const MAGIC: &[u8; 4] = b"DREC";
const CHECKPOINT: u8 = 4;
const CRC_AT: usize = ALIGN - 4;

/// What a record does. The numbers are on disk and never reused; 4 is the checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RecordKind {
    /// Rows inserted, or replaced by key.
    Insert = 1,
    /// Keys deleted.
    Delete = 2,
    /// A bulk load, whose rows are not in the log, takes this number.
    BulkLoad = 3,
    /// Rows deleted that were read, each by its key and number: newer rows of the key stay.
    DeleteRows = 5,
}

/// A change to one collection.
#[derive(Clone, Debug, PartialEq)]
pub struct WalRecord {
    /// Its number. Never below the one before.
    pub seq: SeqNo,
    /// The collection changed.
    pub collection: CollectionId,
    /// What kind of change.
    pub kind: RecordKind,
    /// The change itself, opaque to the log. From replay: a view into the file's bytes.
    pub payload: Bytes,
}

/// What stands in one place of a log file.
#[derive(Debug)]
pub(crate) enum Entry {
    Change(WalRecord),
    Checkpoint(SeqNo),
    UnknownKind(u8),
}

/// Bytes a record takes in its file.
pub(crate) fn encoded_len(payload: usize) -> usize {
    ALIGN + payload.next_multiple_of(ALIGN)
}

/// Appends `record` to `out`; it is to stand at `offset` of the file with `salt`.
///
/// The payload is below 4 GiB.
pub(crate) fn encode(record: &WalRecord, salt: u64, offset: u64, durable: u64, out: &mut Vec<u8>) {
    let header = RecordHeader {
        payload_len: u32::try_from(record.payload.len()).expect("the writer checked the length"),
        seq: record.seq,
        collection: record.collection,
        durable,
        payload_crc: padded_crc(&record.payload),
        kind: record.kind as u8,
    };
    let end = out.len() + encoded_len(record.payload.len());
    out.extend_from_slice(&header.encode(salt, offset));
    out.extend_from_slice(&record.payload);
    out.resize(end, 0);
}

/// The record of a clean close.
pub(crate) fn encode_checkpoint(seq: SeqNo, salt: u64, offset: u64) -> [u8; ALIGN] {
    let header = RecordHeader {
        payload_len: 0,
        seq,
        collection: CollectionId(Ulid::nil()),
        durable: offset,
        payload_crc: padded_crc(&[]),
        kind: CHECKPOINT,
    };
    header.encode(salt, offset)
}

/// The verified record at `offset` of `file` and the offset behind it; `None` when there is none.
pub(crate) fn decode(file: &Bytes, offset: usize, salt: u64) -> Option<(Entry, usize)> {
    let header = RecordHeader::decode(file, offset, salt)?;
    let start = offset + ALIGN;
    let len = header.payload_len as usize;
    let padded = file.get(start..)?.get(..len.next_multiple_of(ALIGN))?;
    if crc32c::crc32c(padded) != header.payload_crc {
        return None;
    }
    let change = |kind| {
        Entry::Change(WalRecord {
            seq: header.seq,
            collection: header.collection,
            kind,
            payload: file.slice(start..start + len),
        })
    };
    let entry = match header.kind {
        1 => change(RecordKind::Insert),
        2 => change(RecordKind::Delete),
        3 => change(RecordKind::BulkLoad),
        5 => change(RecordKind::DeleteRows),
        CHECKPOINT => Entry::Checkpoint(header.seq),
        other => Entry::UnknownKind(other),
    };
    Some((entry, start + padded.len()))
}

/// Whether a record behind `offset` proves that the bytes up to beyond `offset` had been synced.
pub(crate) fn was_durable(file: &[u8], offset: usize, salt: u64) -> bool {
    (offset..file.len())
        .step_by(ALIGN)
        .filter_map(|at| RecordHeader::decode(file, at, salt))
        .any(|later| later.durable > offset as u64)
}

struct RecordHeader {
    payload_len: u32,
    seq: SeqNo,
    collection: CollectionId,
    durable: u64,
    payload_crc: u32,
    kind: u8,
}

impl RecordHeader {
    fn encode(&self, salt: u64, offset: u64) -> [u8; ALIGN] {
        let mut out = [0; ALIGN];
        out[0..4].copy_from_slice(MAGIC);
        out[4..8].copy_from_slice(&self.payload_len.to_le_bytes());
        out[8..16].copy_from_slice(&self.seq.0.to_le_bytes());
        out[16..32].copy_from_slice(&self.collection.0.to_bytes());
        out[32..40].copy_from_slice(&self.durable.to_le_bytes());
        out[40..44].copy_from_slice(&self.payload_crc.to_le_bytes());
        out[44] = self.kind;
        let crc = header_crc(&out, salt, offset);
        out[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    fn decode(file: &[u8], offset: usize, salt: u64) -> Option<Self> {
        let bytes: &[u8; ALIGN] = file.get(offset..)?.first_chunk()?;
        if &bytes[0..4] != MAGIC || bytes[CRC_AT..] != header_crc(bytes, salt, offset as u64).to_le_bytes() {
            return None;
        }
        Some(Self {
            payload_len: u32::from_le_bytes(array(bytes, 4)),
            seq: SeqNo(u64::from_le_bytes(array(bytes, 8))),
            collection: CollectionId(Ulid::from_bytes(array(bytes, 16))),
            durable: u64::from_le_bytes(array(bytes, 32)),
            payload_crc: u32::from_le_bytes(array(bytes, 40)),
            kind: bytes[44],
        })
    }
}

fn header_crc(header: &[u8; ALIGN], salt: u64, offset: u64) -> u32 {
    let seed = crc32c::crc32c_append(crc32c::crc32c(&salt.to_le_bytes()), &offset.to_le_bytes());
    crc32c::crc32c_append(seed, &header[..CRC_AT])
}

/// The checksum of `payload` followed by zeros up to a multiple of [`ALIGN`].
fn padded_crc(payload: &[u8]) -> u32 {
    let padding = payload.len().next_multiple_of(ALIGN) - payload.len();
    crc32c::crc32c_append(crc32c::crc32c(payload), &[0; ALIGN][..padding])
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: u64 = 99;

    fn record(payload: &'static [u8]) -> WalRecord {
        WalRecord {
            seq: SeqNo(5),
            collection: CollectionId(Ulid::from_bytes([3; 16])),
            kind: RecordKind::Delete,
            payload: Bytes::from_static(payload),
        }
    }

    fn encoded(payload: &'static [u8]) -> Vec<u8> {
        let mut out = Vec::new();
        encode(&record(payload), SALT, 0, 0, &mut out);
        out
    }

    fn is_record(bytes: &[u8], offset: usize, salt: u64) -> bool {
        decode(&Bytes::copy_from_slice(bytes), offset, salt).is_some()
    }

    #[test]
    fn what_is_written_is_read() {
        for payload in [&b""[..], b"a", &[1; 64], &[2; 65]] {
            let file = Bytes::from(encoded(payload));
            let Some((Entry::Change(read), end)) = decode(&file, 0, SALT) else { panic!("no record") };
            assert_eq!((read, end), (record(payload), encoded_len(payload.len())));
        }
    }

    #[test]
    fn every_changed_byte_is_seen() {
        let good = encoded(b"some payload");
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(!is_record(&bad, 0, SALT), "byte {at}");
        }
    }

    #[test]
    fn cut_moved_and_foreign_records_are_none() {
        let good = encoded(b"some payload");
        for len in 0..good.len() {
            assert!(!is_record(&good[..len], 0, SALT));
        }
        let moved = [vec![0; ALIGN], good.clone()].concat();
        assert!(!is_record(&moved, ALIGN, SALT));
        assert!(!is_record(&good, 0, SALT + 1));
    }
}
