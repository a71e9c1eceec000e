//! PAYL, an embedded Parquet file: every column but the vector, rows in ordinal order.
//!
//! ```text
//! PAYL           a Parquet file, its offsets relative to its first byte; data pages of at most
//!                256 rows with an offset index, so that a few rows cost a few pages
//! PAYLOAD_SUMS   u32 crc32c of each 4,096 bytes of PAYL, the last piece as long as it is
//! ```
//!
//! Both are empty if there is no column.
//!
//! Parquet is read in ranges of its reader's choosing: each is widened to whole pages of the file,
//! which are verified before anything is decoded.

use std::{
    io::{self, Write},
    ops::Range,
    panic::AssertUnwindSafe,
    sync::Arc,
};

use arrow_array::{RecordBatch, new_null_array};
use arrow_schema::{ArrowError, Field, Schema, SchemaRef};
use arrow_select::concat::concat_batches;
use bytes::{Buf, Bytes};
use drift_storage::page::PAGE;
use futures::{FutureExt, TryStreamExt, future::BoxFuture, future::try_join_all};
use parquet::{
    arrow::{
        ArrowWriter, ParquetRecordBatchStreamBuilder, ProjectionMask,
        arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, RowSelection},
        async_reader::AsyncFileReader,
        parquet_to_arrow_schema,
    },
    basic::{Compression, ZstdLevel},
    errors::{ParquetError, Result as ParquetResult},
    file::{
        metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader},
        properties::{EnabledStatistics, WriterProperties},
    },
};
use tokio::sync::OnceCell;

use crate::{
    Error, Result,
    error::{Flaw, verify},
    file::File,
    footer::Section,
    rent::Rents,
};

/// Most rows of a data page: what reading one row may cost.
const PAGE_ROWS: usize = 256;

/// A column's dictionary must be read for any of its rows, so it may not grow beyond this.
const DICTIONARY_BYTES: usize = 16 << 10;

/// What is read at the file's end in the hope that it holds all of Parquet's own footer.
const METADATA_BYTES: usize = 64 << 10;

const PAGE_BYTES: u64 = PAGE as u64;

/// Whole pages that are read and verified together.
const VERIFIED_AT_ONCE: u64 = 1 << 20;

/// Writes `payload` as a Parquet file to `out`; returns PAYLOAD_SUMS.
///
/// # Errors
/// If Parquet cannot store a column, or would give it back as another type.
pub(crate) fn write(out: impl Write + Send, payload: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
    if payload.num_columns() == 0 {
        return Ok(Vec::new()); // Parquet cannot count the rows of no column
    }
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_write_batch_size(PAGE_ROWS) // the limit is only looked at between batches
        .set_dictionary_page_size_limit(DICTIONARY_BYTES)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .build();
    let out = PageSums { out, filled: 0, crc: 0, sums: Vec::new() };
    let mut writer = ArrowWriter::try_new(out, payload.schema(), Some(properties))?;
    writer.write(payload)?;
    let metadata = writer.finish()?;
    check_types(&metadata, payload.schema_ref())?;
    Ok(writer.inner_mut().take_sums())
}

/// Whether a column can be stored and comes back as it is.
///
/// # Errors
/// Says why not.
pub fn check_column(field: &Field) -> Result<(), ArrowError> {
    let field = Arc::new(field.clone().with_nullable(true));
    let row =
        RecordBatch::try_new(Arc::new(Schema::new(vec![field.clone()])), vec![new_null_array(field.data_type(), 1)])?;
    write(io::sink(), &row).map(drop)
}

/// Refuses a payload that would not come back as it is.
fn check_types(written: &ParquetMetaData, schema: &Schema) -> Result<(), ArrowError> {
    let file = written.file_metadata();
    let stored = parquet_to_arrow_schema(file.schema_descr(), file.key_value_metadata())?;
    for (field, stored) in schema.fields().iter().zip(stored.fields()) {
        if field.data_type() != stored.data_type() {
            return Err(ArrowError::NotYetImplemented(format!(
                "column '{}' of type {} would come back as {}: cast it to that",
                field.name(),
                field.data_type(),
                stored.data_type()
            )));
        }
    }
    Ok(())
}

/// Passes bytes on and takes the checksum of each page of them.
struct PageSums<W> {
    out: W,
    filled: usize,
    crc: u32,
    sums: Vec<u8>,
}

impl<W> PageSums<W> {
    fn add(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(PAGE - self.filled));
            self.crc = crc32c::crc32c_append(self.crc, now);
            self.filled += now.len();
            if self.filled == PAGE {
                self.end_page();
            }
            bytes = later;
        }
    }

    fn end_page(&mut self) {
        self.sums.extend_from_slice(&self.crc.to_le_bytes());
        (self.crc, self.filled) = (0, 0);
    }

    fn take_sums(&mut self) -> Vec<u8> {
        if self.filled > 0 {
            self.end_page();
        }
        std::mem::take(&mut self.sums)
    }
}

impl<W: Write> Write for PageSums<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.add(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// The payload as it is read.
#[derive(Debug)]
pub(crate) struct Payload {
    blob: Blob,
    schema: SchemaRef,
    rows: usize,
    /// Parquet's footer, decoded when first needed and then kept.
    metadata: OnceCell<ArrowReaderMetadata>,
    /// Of columns, for single rows of them.
    rents: Rents,
}

impl Payload {
    /// The payload at `section`, given PAYLOAD_SUMS, its schema and the segment's rows.
    pub(crate) fn new(
        file: Arc<File>,
        section: Section,
        sums: Bytes,
        schema: SchemaRef,
        rows: usize,
    ) -> Result<Self, Flaw> {
        if sums.len() as u64 != 4 * section.length.div_ceil(PAGE_BYTES) {
            return Err("PAYLOAD_SUMS has not one checksum for each page of PAYL".into());
        }
        let blob = Blob { file, offset: section.offset, length: section.length, sums };
        let rents = Rents::new(schema.fields().len());
        Ok(Self { blob, schema, rows, metadata: OnceCell::new(), rents })
    }

    /// Some `columns` (ascending positions in the payload's schema, at least one) of some `rows`
    /// (ascending ordinals of the segment), or of all.
    pub(crate) async fn read(&self, columns: &[usize], rows: Option<&[u32]>) -> Result<RecordBatch> {
        let schema = Arc::new(self.schema.project(columns)?);
        let read = without_panic(self.decode(columns, rows, &schema)).await;
        read.map_err(|error| self.blob.error(error))
    }

    /// Bytes that a column will have in memory, more or less, once anything has been read.
    pub(crate) fn column_bytes(&self, column: usize) -> Option<u64> {
        let metadata = self.metadata.get()?;
        let leaves = 0..metadata.parquet_schema().num_columns();
        let of_column = leaves.filter(|&leaf| metadata.parquet_schema().get_column_root_idx(leaf) == column);
        let parts = of_column.flat_map(|leaf| metadata.metadata().row_groups().iter().map(move |all| all.column(leaf)));
        // Of a dictionary Parquet has each value once, memory has it in every row.
        let bytes = parts.map(|part| part.unencoded_byte_array_data_bytes().unwrap_or(0).max(part.uncompressed_size()));
        Some(bytes.map(|bytes| bytes.max(0) as u64).sum())
    }

    /// Takes note that so many rows of a column are wanted, a page for each. Answers whether reading all of it
    /// instead costs no more than what single rows have cost so far.
    pub(crate) fn is_all_worth_reading(&self, column: usize, rows: usize) -> bool {
        self.rents.is_due(column, (rows * PAGE_ROWS) as u64, self.rows as u64)
    }

    /// Reads all of PAYL, a piece at a time, and Parquet's own footer; returns what is wrong.
    pub(crate) async fn verify(&self) -> Vec<Error> {
        let mut wrong = Vec::new();
        let mut start = 0;
        while start < self.blob.length {
            let end = self.blob.length.min(start + VERIFIED_AT_ONCE);
            wrong.extend(self.blob.read(start..end).await.err());
            start = end;
        }
        if wrong.is_empty() && self.blob.length > 0 {
            let read = without_panic(self.load_metadata()).await;
            wrong.extend(read.err().map(|error| self.blob.error(error)));
        }
        wrong
    }

    async fn decode(&self, columns: &[usize], rows: Option<&[u32]>, schema: &SchemaRef) -> ParquetResult<RecordBatch> {
        let metadata = self.metadata.get_or_try_init(|| self.load_metadata()).await?.clone();
        let mask = ProjectionMask::roots(metadata.parquet_schema(), columns.iter().copied());
        let wanted = rows.map_or(self.rows, <[u32]>::len);
        let mut builder = ParquetRecordBatchStreamBuilder::new_with_metadata(self.blob.clone(), metadata)
            .with_projection(mask)
            .with_batch_size(wanted);
        if let Some(rows) = rows {
            builder = builder.with_row_selection(selection(rows, self.rows));
        }
        let batches: Vec<_> = builder.build()?.try_collect().await?;
        let adopt = |batch: RecordBatch| RecordBatch::try_new(schema.clone(), batch.columns().to_vec());
        let batches = batches.into_iter().map(adopt).collect::<Result<Vec<_>, _>>()?;
        let batch = concat_batches(schema, &batches)?;
        if batch.num_rows() != wanted {
            return Err(ParquetError::General(format!("{} rows instead of {wanted}", batch.num_rows())));
        }
        Ok(batch)
    }

    async fn load_metadata(&self) -> ParquetResult<ArrowReaderMetadata> {
        let options = ArrowReaderOptions::new().with_offset_index_policy(PageIndexPolicy::Required);
        let metadata = ArrowReaderMetadata::load_async(&mut self.blob.clone(), options).await?;
        let rows = metadata.metadata().file_metadata().num_rows();
        let columns = metadata.schema().fields().len();
        if rows != self.rows as i64 || columns != self.schema.fields().len() {
            return Err(ParquetError::General(format!("{rows} rows of {columns} columns")));
        }
        Ok(metadata)
    }
}

/// The reader takes verified bytes at their word: it may panic where they contradict each other. Here
/// that is an error.
async fn without_panic<T>(read: impl Future<Output = ParquetResult<T>>) -> ParquetResult<T> {
    let caught = AssertUnwindSafe(read).catch_unwind().await;
    caught.unwrap_or_else(|_| Err(ParquetError::General("it contradicts itself".into())))
}

/// Selects the ascending `rows` out of `total`.
fn selection(rows: &[u32], total: usize) -> RowSelection {
    let neighbours = rows.chunk_by(|a, b| a + 1 == *b);
    let ranges = neighbours.map(|chunk| chunk[0] as usize..chunk[0] as usize + chunk.len());
    RowSelection::from_consecutive_ranges(ranges, total)
}

/// The bytes of PAYL, verified as they are read.
#[derive(Clone, Debug)]
struct Blob {
    file: Arc<File>,
    offset: u64,
    length: u64,
    sums: Bytes,
}

impl Blob {
    async fn read(&self, range: Range<u64>) -> Result<Bytes> {
        if range.start > range.end || range.end > self.length {
            let message = format!("Parquet asks for bytes {range:?} of {}", self.length);
            return Err(self.file.flawed(message, self.offset));
        }
        let start = range.start - range.start % PAGE_BYTES;
        let end = range.end.next_multiple_of(PAGE_BYTES).min(self.length);
        let pages = self.file.read(self.offset + start..self.offset + end).await?;
        let mut sums = &self.sums[4 * (start / PAGE_BYTES) as usize..];
        for (i, page) in pages.chunks(PAGE).enumerate() {
            let offset = self.offset + start + (i * PAGE) as u64;
            verify(page, sums.get_u32_le()).map_err(|flaw| self.file.flawed(flaw, offset))?;
        }
        Ok(pages.slice((range.start - start) as usize..(range.end - start) as usize))
    }

    /// What an error of the Parquet reader means here: the bytes were verified, so what it cannot
    /// decode was written wrongly.
    fn error(&self, error: ParquetError) -> Error {
        match error {
            ParquetError::External(inner) => match inner.downcast::<Error>() {
                Ok(ours) => *ours,
                Err(other) => self.file.flawed(format!("PAYL: {other}"), self.offset),
            },
            other => self.file.flawed(format!("PAYL: {other}"), self.offset),
        }
    }
}

impl AsyncFileReader for Blob {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        self.read(range).map(|read| read.map_err(|e| ParquetError::External(e.into()))).boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        let reads = try_join_all(ranges.into_iter().map(|range| self.read(range)));
        reads.map(|read| read.map_err(|e| ParquetError::External(e.into()))).boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        let length = self.length;
        let reader =
            ParquetMetaDataReader::new().with_arrow_reader_options(options).with_prefetch_hint(Some(METADATA_BYTES));
        async move { Ok(Arc::new(reader.load_and_finish(self, length).await?)) }.boxed()
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::{Int64Array, StringArray};
    use arrow_schema::{DataType, Field};

    use super::*;
    use crate::footer::SectionKind;

    fn batch() -> RecordBatch {
        let fields = [("id", DataType::Int64, false), ("text", DataType::Utf8, true)];
        let schema = Schema::new(fields.map(|(name, of, null)| Field::new(name, of, null)).to_vec());
        let texts = StringArray::from(vec![Some("a"), None, Some("b")]);
        RecordBatch::try_new(schema.into(), vec![Arc::new(Int64Array::from(vec![7, 8, 9])), Arc::new(texts)]).unwrap()
    }

    /// Reads all of PAYL out of bytes that carry the right checksums, whatever they are.
    async fn read(bytes: &[u8]) -> Result<RecordBatch> {
        let mut sums = PageSums { out: io::sink(), filled: 0, crc: 0, sums: Vec::new() };
        sums.write_all(bytes).unwrap();
        let section = Section { kind: SectionKind::Payload, offset: 0, length: bytes.len() as u64, crc: 0 };
        let file = Arc::new(File::in_memory(Bytes::copy_from_slice(bytes)));
        let (sums, rows) = (sums.take_sums().into(), batch().num_rows());
        let payload = Payload::new(file, section, sums, batch().schema(), rows).unwrap();
        let wrong = payload.verify().await;
        assert!(wrong.iter().all(|error| matches!(error, Error::Corrupt { .. })), "{wrong:?}");
        payload.read(&[0, 1], None).await
    }

    #[tokio::test]
    async fn forged_bytes_are_an_error_or_rows() {
        let mut bytes = Vec::new();
        write(&mut bytes, &batch()).unwrap();
        assert_eq!(read(&bytes).await.unwrap(), batch());
        for at in 0..bytes.len() {
            for change in [1, 4, 0x80] {
                let mut forged = bytes.clone();
                forged[at] ^= change;
                match read(&forged).await {
                    Ok(rows) => assert_eq!(rows.num_rows(), 3),
                    Err(error) => assert!(matches!(error, Error::Corrupt { .. }), "byte {at}: {error:?}"),
                }
            }
        }
    }
}
