//! Arrow IPC streams, written, and read out of bytes that may be forged.
//!
//! Arrow's decoder takes the bytes at their word: where they contradict each other it may panic, and
//! it allocates what they claim. A checksum keeps accidents away from it, but nobody who can compute
//! one. Here either is an error.
#![forbid(unsafe_code)]

use std::{collections::HashMap, panic::catch_unwind, sync::Arc};

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::{Message, MessageHeader, convert::fb_to_schema, reader, root_as_message, writer::StreamWriter};
use arrow_schema::{ArrowError, SchemaRef};

/// What a message begins with; the length of its description follows, as u32.
const MARKER: [u8; 4] = [0xff; 4];

const PREFIX_BYTES: usize = MARKER.len() + size_of::<u32>();

/// Reads the Arrow IPC stream `bytes` to its end: its schema and all batches, every value checked.
///
/// Allocates about as much as there are bytes, in which what is returned keeps no view. Compressed
/// bodies are refused, since they may claim any size; no writer of ours compresses them.
///
/// # Errors
/// When the bytes are no such stream.
pub fn read_stream(bytes: &[u8]) -> Result<(SchemaRef, Vec<RecordBatch>), ArrowError> {
    catch_unwind(|| decode(bytes)).unwrap_or_else(|_| Err(invalid("the stream contradicts itself")))
}

/// An Arrow IPC stream of one batch, with the mark at its end.
///
/// # Errors
/// When a value of the batch cannot be expressed.
pub fn write_stream(batch: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
    let mut writer =
        StreamWriter::try_new(Vec::with_capacity(batch.get_array_memory_size() + 1024), batch.schema_ref())?;
    writer.write(batch)?;
    writer.into_inner()
}

fn decode(bytes: &[u8]) -> Result<(SchemaRef, Vec<RecordBatch>), ArrowError> {
    // An aligned copy, of which the columns are slices.
    let mut rest = Buffer::from(bytes);
    let (mut schema, mut batches, mut dictionaries) = (None, Vec::new(), HashMap::new());
    while let Some(description) = next_description(&mut rest)? {
        let message = root_as_message(&description).map_err(|e| invalid(&format!("no message: {e}")))?;
        refuse_compressed(&message)?;
        let length = usize::try_from(message.bodyLength()).map_err(|_| invalid("a body of negative length"))?;
        let body = take(&mut rest, length)?;
        let version = message.version();
        match (message.header_type(), &schema) {
            (MessageHeader::Schema, None) => {
                let found = message.header_as_schema().ok_or_else(|| invalid("no schema"))?;
                schema = Some(Arc::new(fb_to_schema(found)));
            }
            (MessageHeader::DictionaryBatch, Some(schema)) => {
                let batch = message.header_as_dictionary_batch().ok_or_else(|| invalid("no dictionary"))?;
                reader::read_dictionary(&body, batch, schema, &mut dictionaries, &version)?;
            }
            (MessageHeader::RecordBatch, Some(schema)) => {
                let batch = message.header_as_record_batch().ok_or_else(|| invalid("no batch"))?;
                let batch = reader::read_record_batch(&body, batch, schema.clone(), &dictionaries, None, &version)?;
                batches.push(batch);
            }
            (kind, _) => return Err(invalid(&format!("a message of kind {kind:?} out of place"))),
        }
    }
    Ok((schema.ok_or_else(|| invalid("no schema"))?, batches))
}

/// The description of the next message; `None` at the end of the stream.
fn next_description(rest: &mut Buffer) -> Result<Option<Buffer>, ArrowError> {
    if rest.is_empty() {
        return Ok(None);
    }
    let prefix = take(rest, PREFIX_BYTES)?;
    let (marker, length) = prefix.split_at(MARKER.len());
    if marker != MARKER {
        return Err(invalid("no marker before a message"));
    }
    let length = u32::from_le_bytes(length.try_into().expect("the other half of the prefix")) as usize;
    match (length, rest.len()) {
        (0, 0) => Ok(None),
        (0, _) => Err(invalid("bytes follow its end")),
        _ => take(rest, length).map(Some),
    }
}

/// The next `length` bytes.
fn take(rest: &mut Buffer, length: usize) -> Result<Buffer, ArrowError> {
    if length > rest.len() {
        return Err(invalid("it ends within a message"));
    }
    let taken = rest.slice_with_length(0, length);
    rest.advance(length);
    Ok(taken)
}

fn refuse_compressed(message: &Message<'_>) -> Result<(), ArrowError> {
    let dictionary = message.header_as_dictionary_batch().and_then(|dictionary| dictionary.data());
    match message.header_as_record_batch().or(dictionary).and_then(|batch| batch.compression()) {
        Some(_) => Err(invalid("compressed bodies are not read")),
        None => Ok(()),
    }
}

fn invalid(message: &str) -> ArrowError {
    ArrowError::IpcError(message.to_owned())
}
