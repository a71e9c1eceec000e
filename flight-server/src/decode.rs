//! A client's Arrow data: checked first, then decoded.
//!
//! Arrow's IPC reader trusts the schema it is given: an odd one makes it panic, a lying length makes
//! it ask for all memory. So each message is looked at before the reader sees it, and a panic that
//! still happens is the client's error, not the server's end.

use std::{future::ready, panic::AssertUnwindSafe};

use arrow_array::RecordBatch;
use arrow_flight::{
    FlightData,
    decode::{DecodedPayload, FlightDataDecoder},
    error::FlightError,
};
use arrow_ipc::{DictionaryEncoding, Endianness, Field, Int, MetadataVersion, Precision, TimeUnit, Type};
use arrow_schema::SchemaRef;
use bytes::Bytes;
use futures::{
    Stream, StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use tonic::Status;

/// How deep types may nest.
const DEPTH_MAX: usize = 16;
/// How many fields a schema may have, nested ones included.
const FIELDS_MAX: usize = 10_000;
/// How many rows one message may claim.
const ROWS_MAX: i64 = 1 << 24;
/// How many bytes the buffers of one message may unpack to.
const UNPACKED_BYTES_MAX: i64 = 1 << 30;

/// The batches of a client's stream.
pub(crate) type Batches = BoxStream<'static, Result<RecordBatch, Status>>;

/// Reads the schema at the head of `messages`; the batches follow as they come.
///
/// # Errors
/// INVALID_ARGUMENT for whatever is not sound Arrow data of types Drift takes.
pub(crate) async fn open<S>(messages: S) -> Result<(SchemaRef, Batches), Status>
where
    S: Stream<Item = Result<FlightData, Status>> + Send + 'static,
{
    let checked = messages
        // A descriptor may come before the data, in a message of its own.
        .try_filter(|data| ready(!data.data_header.is_empty()))
        .and_then(|data| ready(check_message(&data.data_header, &data.data_body).map(|()| data)))
        .map_err(FlightError::from);
    let mut decoded = AssertUnwindSafe(FlightDataDecoder::new(checked)).catch_unwind().map(|item| match item {
        Ok(decoded) => decoded.map(|d| d.payload).map_err(refusal),
        Err(_) => Err(Status::invalid_argument("the data is not sound Arrow IPC")),
    });
    let schema = match decoded.try_next().await? {
        Some(DecodedPayload::Schema(schema)) => schema,
        Some(_) => return Err(Status::invalid_argument("the data must begin with its schema")),
        None => return Err(Status::invalid_argument("no data came: send a schema, then record batches")),
    };
    let batches = decoded.try_filter_map(|payload| {
        ready(match payload {
            DecodedPayload::RecordBatch(batch) => Ok(Some(batch)),
            DecodedPayload::None => Ok(None),
            DecodedPayload::Schema(_) => Err(Status::invalid_argument("a second schema: open a new stream for it")),
        })
    });
    Ok((schema, batches.boxed()))
}

fn refusal(error: FlightError) -> Status {
    match error {
        FlightError::Tonic(status) => *status,
        other => Status::invalid_argument(format!("cannot read the data: {other}")),
    }
}

/// Reads an Arrow IPC stream that came as bytes.
pub(crate) async fn open_ipc(bytes: Bytes) -> Result<(SchemaRef, Batches), Status> {
    open(stream::iter(messages(bytes))).await
}

/// Cuts an IPC stream into its encapsulated messages
/// (<https://arrow.apache.org/docs/format/Columnar.html#encapsulated-message-format>).
fn messages(mut bytes: Bytes) -> impl Iterator<Item = Result<FlightData, Status>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        match next_message(&mut bytes) {
            Ok(message) => message.map(Ok),
            Err(status) => {
                bytes.clear();
                Some(Err(status))
            }
        }
    })
}

fn next_message(bytes: &mut Bytes) -> Result<Option<FlightData>, Status> {
    let mut length = take_u32(bytes)?;
    if length == u32::MAX {
        length = take_u32(bytes)?;
    }
    if length == 0 {
        bytes.clear(); // the end-of-stream mark
        return Ok(None);
    }
    let data_header = take(bytes, i64::from(length))?;
    let message = arrow_ipc::root_as_message(&data_header).map_err(unsound)?;
    let data_body = take(bytes, message.bodyLength())?;
    Ok(Some(FlightData { data_header, data_body, ..Default::default() }))
}

fn take_u32(bytes: &mut Bytes) -> Result<u32, Status> {
    let four = take(bytes, 4)?;
    Ok(u32::from_le_bytes([four[0], four[1], four[2], four[3]]))
}

fn take(bytes: &mut Bytes, length: i64) -> Result<Bytes, Status> {
    match usize::try_from(length) {
        Ok(length) if length <= bytes.len() => Ok(bytes.split_to(length)),
        _ => Err(Status::invalid_argument("the Arrow IPC stream is cut off: send it whole")),
    }
}

fn unsound(error: impl std::fmt::Display) -> Status {
    Status::invalid_argument(format!("a message is not sound Arrow IPC: {error}"))
}

fn check_message(header: &[u8], body: &[u8]) -> Result<(), Status> {
    let message = arrow_ipc::root_as_message(header).map_err(unsound)?;
    if message.version() < MetadataVersion::V4 {
        return Err(unsound("it is older than metadata version 4"));
    }
    if let Some(schema) = message.header_as_schema() {
        if schema.endianness() != Endianness::Little {
            return Err(unsound("it is big-endian"));
        }
        let fields = schema.fields().ok_or_else(|| unsound("a schema without fields"))?;
        let mut budget = FIELDS_MAX;
        return fields.iter().try_for_each(|field| check_field(field, 0, &mut budget));
    }
    let dictionary =
        message.header_as_dictionary_batch().map(|d| d.data().ok_or_else(|| unsound("an empty dictionary")));
    match message.header_as_record_batch().map(Ok).or(dictionary).transpose()? {
        Some(batch) => check_batch(batch, body),
        None => Ok(()),
    }
}

fn check_batch(batch: arrow_ipc::RecordBatch<'_>, body: &[u8]) -> Result<(), Status> {
    if !(0..=ROWS_MAX).contains(&batch.length()) {
        let rows = batch.length();
        return Err(Status::invalid_argument(format!("a batch of {rows} rows: send at most {ROWS_MAX} at a time")));
    }
    match batch.compression() {
        Some(_) => check_unpacked(batch, body),
        None => Ok(()),
    }
}

/// A packed buffer begins with its unpacked length; -1 says that it is not packed.
fn check_unpacked(batch: arrow_ipc::RecordBatch<'_>, body: &[u8]) -> Result<(), Status> {
    let mut total = 0i64;
    for buffer in batch.buffers().into_iter().flatten().filter(|b| b.length() > 0) {
        let start = usize::try_from(buffer.offset()).map_err(unsound)?;
        let length = start
            .checked_add(8)
            .and_then(|end| body.get(start..end))
            .ok_or_else(|| unsound("a buffer lies outside the message"))?;
        let length = i64::from_le_bytes(length.try_into().expect("a slice of 8 bytes"));
        total = total.saturating_add(length.max(0));
    }
    if total > UNPACKED_BYTES_MAX {
        return Err(Status::invalid_argument(format!(
            "a batch would unpack to {total} bytes: send at most {UNPACKED_BYTES_MAX} at a time"
        )));
    }
    Ok(())
}

/// Lets through exactly those fields that Arrow's reader can turn into a type.
fn check_field(field: Field<'_>, depth: usize, budget: &mut usize) -> Result<(), Status> {
    let name = field.name().unwrap_or_default();
    if depth == DEPTH_MAX {
        return Err(Status::invalid_argument(format!(
            "column '{name}' nests deeper than {DEPTH_MAX} levels: flatten it"
        )));
    }
    *budget = budget
        .checked_sub(1)
        .ok_or_else(|| Status::invalid_argument(format!("more than {FIELDS_MAX} columns: send fewer")))?;
    let children = field.children();
    let count = children.map_or(0, |c| c.len());
    if !(is_readable(&field, count) && field.dictionary().is_none_or(is_readable_dictionary)) {
        let kind = field.type_type().variant_name().unwrap_or("unknown");
        return Err(Status::invalid_argument(format!(
            "column '{name}' has an Arrow type Drift does not take ({kind}): cast it to numbers, text, binary, dates, lists or structs"
        )));
    }
    children.into_iter().flatten().try_for_each(|child| check_field(child, depth + 1, budget))
}

fn is_readable(field: &Field<'_>, children: usize) -> bool {
    match field.type_type() {
        Type::Null | Type::Bool | Type::Struct_ => true,
        Type::Binary | Type::LargeBinary | Type::BinaryView => true,
        Type::Utf8 | Type::LargeUtf8 | Type::Utf8View => true,
        Type::Int => field.type_as_int().is_some_and(is_readable_int),
        Type::FloatingPoint => field
            .type_as_floating_point()
            .is_some_and(|f| [Precision::HALF, Precision::SINGLE, Precision::DOUBLE].contains(&f.precision())),
        Type::FixedSizeBinary => field.type_as_fixed_size_binary().is_some_and(|b| b.byteWidth() > 0),
        Type::Date => field.type_as_date().is_some_and(|d| d.unit().variant_name().is_some()),
        Type::Time => field.type_as_time().is_some_and(|t| {
            matches!(
                (t.bitWidth(), t.unit()),
                (32, TimeUnit::SECOND | TimeUnit::MILLISECOND) | (64, TimeUnit::MICROSECOND | TimeUnit::NANOSECOND)
            )
        }),
        Type::Timestamp => field.type_as_timestamp().is_some_and(|t| t.unit().variant_name().is_some()),
        Type::Duration => field.type_as_duration().is_some_and(|d| d.unit().variant_name().is_some()),
        Type::Decimal => field.type_as_decimal().is_some_and(|d| {
            let digits = match d.bitWidth() {
                32 => 9,
                64 => 18,
                128 => 38,
                256 => 76,
                _ => 0,
            };
            (1..=digits).contains(&d.precision()) && (-128..=127).contains(&d.scale())
        }),
        Type::List | Type::LargeList => children == 1,
        Type::FixedSizeList => children == 1 && field.type_as_fixed_size_list().is_some_and(|l| l.listSize() > 0),
        Type::Map => children == 1 && field.type_as_map().is_some() && is_entries(field),
        _ => false,
    }
}

fn is_entries(map: &Field<'_>) -> bool {
    let entries = map.children().into_iter().flatten().next();
    entries.is_some_and(|e| e.type_type() == Type::Struct_ && e.children().is_some_and(|c| c.len() == 2))
}

fn is_readable_int(int: Int<'_>) -> bool {
    [8, 16, 32, 64].contains(&int.bitWidth())
}

fn is_readable_dictionary(dictionary: DictionaryEncoding<'_>) -> bool {
    dictionary.indexType().is_some_and(is_readable_int)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Int64Array, NullArray};
    use arrow_ipc::writer::StreamWriter;
    use arrow_schema::{DataType, Field, Fields, Schema, UnionFields, UnionMode};

    use super::*;

    fn ipc(batch: &RecordBatch) -> Vec<u8> {
        let mut writer = StreamWriter::try_new(Vec::new(), batch.schema_ref()).unwrap();
        writer.write(batch).unwrap();
        writer.into_inner().unwrap()
    }

    fn batch() -> RecordBatch {
        let ids: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
        let nothing: ArrayRef = Arc::new(NullArray::new(3));
        RecordBatch::try_from_iter([("id", ids), ("nothing", nothing)]).unwrap()
    }

    async fn read(bytes: Vec<u8>) -> Result<Vec<RecordBatch>, Status> {
        let (_, batches) = open_ipc(bytes.into()).await?;
        batches.try_collect().await
    }

    async fn refuse_type(data_type: DataType) -> Status {
        let batch = RecordBatch::new_empty(Arc::new(Schema::new(vec![Field::new("x", data_type, true)])));
        read(ipc(&batch)).await.unwrap_err()
    }

    #[tokio::test]
    async fn a_sound_stream_is_read() {
        assert_eq!(read(ipc(&batch())).await.unwrap(), [batch()]);
    }

    #[tokio::test]
    async fn types_drift_cannot_take_are_named() {
        let fields = UnionFields::from_fields(vec![Field::new("a", DataType::Int8, true)]);
        let status = refuse_type(DataType::Union(fields, UnionMode::Dense)).await;
        assert_eq!(status.code(), tonic::Code::InvalidArgument);
        assert!(status.message().contains("'x'") && status.message().contains("Union"), "{status}");

        let mut deep = DataType::Int8;
        for _ in 0..20 {
            deep = DataType::Struct(Fields::from(vec![Field::new("x", deep, true)]));
        }
        assert!(refuse_type(deep).await.message().contains("nests deeper"));
    }

    /// Every truncation and every flipped byte ends in rows or in an error, never in a panic that goes further.
    #[tokio::test]
    async fn damaged_streams_are_refused() {
        let sound = ipc(&batch());
        // The mark at the end of a stream may be missing.
        let whole = sound.len() - 8;
        for length in 0..=whole {
            let read = read(sound[..length].to_vec()).await.unwrap_or_default();
            let rows: usize = read.iter().map(RecordBatch::num_rows).sum();
            assert_eq!(rows, if length == whole { 3 } else { 0 }, "cut to {length} bytes");
        }
        for at in 0..sound.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut damaged = sound.clone();
                damaged[at] ^= flip;
                read(damaged).await.ok();
            }
        }
    }
}
