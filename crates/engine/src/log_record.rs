//! What the engine writes into log records. The log itself sees only bytes.

use arrow_array::RecordBatch;
use bytes::Bytes;
use drift_ipc::{read_stream, write_stream};
use drift_types::{SeqNo, VectorId};

use crate::{Error, ErrorKind, Result};

/// A canonical batch as one Arrow IPC stream: every record can be read without the others.
pub(crate) fn encode_batch(batch: &RecordBatch) -> Result<Bytes> {
    Ok(write_stream(batch)?.into())
}

/// The batch of an insert record, with no view into `payload`: that is a whole file of the log.
pub(crate) fn decode_batch(payload: &[u8]) -> Result<RecordBatch> {
    let damaged = |e: &dyn std::fmt::Display| {
        Error::new(
            ErrorKind::Corrupt,
            format!("an insert record of the log holds no readable batch ({e}): restore the log from a backup"),
        )
    };
    let (_, batches) = read_stream(payload).map_err(|e| damaged(&e))?;
    batches.into_iter().next().ok_or_else(|| damaged(&"no batch"))
}

/// Keys, 8 bytes each, little-endian.
pub(crate) fn encode_keys(ids: &[VectorId]) -> Bytes {
    ids.iter().flat_map(|id| id.0.to_le_bytes()).collect::<Vec<u8>>().into()
}

/// Rows by key and number, 16 bytes each, little-endian.
pub(crate) fn encode_rows(rows: &[(VectorId, SeqNo)]) -> Bytes {
    rows.iter().flat_map(|(id, seq)| [id.0.to_le_bytes(), seq.0.to_le_bytes()]).flatten().collect::<Vec<u8>>().into()
}

/// The rows of a record that deletes rows.
pub(crate) fn decode_rows(payload: &[u8]) -> Result<Vec<(VectorId, SeqNo)>> {
    let (numbers, []) = payload.as_chunks::<16>() else {
        return Err(Error::new(
            ErrorKind::Corrupt,
            format!("a delete record of the log is {} bytes long, no multiple of 16", payload.len()),
        ));
    };
    let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("8 bytes"));
    Ok(numbers.iter().map(|row| (VectorId(number(&row[..8])), SeqNo(number(&row[8..])))).collect())
}

/// The keys of a delete record.
pub(crate) fn decode_keys(payload: &[u8]) -> Result<Vec<VectorId>> {
    if !payload.len().is_multiple_of(8) {
        return Err(Error::new(
            ErrorKind::Corrupt,
            format!("a delete record of the log is {} bytes long, no multiple of 8", payload.len()),
        ));
    }
    Ok(payload.chunks_exact(8).map(|b| VectorId(u64::from_le_bytes(b.try_into().expect("8 bytes")))).collect())
}
