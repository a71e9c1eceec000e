use std::{ops::Range, sync::Arc};

use arrow_array::{
    Array, ArrayRef, FixedSizeListArray, Float32Array, PrimitiveArray, RecordBatch, UInt32Array, UInt64Array,
    cast::AsArray, types::*,
};
use arrow_buffer::ScalarBuffer;
use arrow_schema::{ArrowError, DataType, Field, Schema};
use drift_ipc::{read_stream, write_stream};
use drift_kernels::sq8_stride;
use drift_storage::page::PAGE;
use drift_types::BucketId;

use crate::{error::Flaw, identity::Identity};

/// Some bytes of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// First byte, in the file.
    pub offset: u64,
    /// Bytes.
    pub length: u64,
    /// A checksum that proves them; hot.rs and cold.rs say of what.
    pub crc: u32,
}

impl Place {
    pub(crate) fn range(&self) -> Range<u64> {
        self.offset..self.offset.saturating_add(self.length)
    }
}

/// One run: where it is, and what is known of its rows.
///
/// DIRECTORY is an Arrow IPC stream of one batch with a row per run: `bucket`, `generation`,
/// `first_row`, `rows` u32; `hot_offset`, `hot_length` u64, `hot_crc` u32; the same for `cold`;
/// `mean_sq_radius`, `max_norm_sq` f32; `centroid`, `sum` lists of `dim` f32. Further columns are
/// ignored.
#[derive(Clone, Debug, PartialEq)]
pub struct RunEntry {
    /// The bucket these rows belonged to when written.
    pub bucket: BucketId,
    /// That bucket's generation when written.
    pub generation: u32,
    /// Ordinal of the first row.
    pub first_row: u32,
    /// Number of rows; at least one.
    pub rows: u32,
    /// The codes; its checksum covers the region's head.
    pub hot: Place,
    /// The exact vectors; its checksum covers the region's chunk table.
    pub cold: Place,
    /// Mean squared distance of the rows to their mean, in index space.
    pub mean_sq_radius: f32,
    /// Largest squared norm of a row, in index space.
    pub max_norm_sq: f32,
}

impl RunEntry {
    /// The run's ordinals.
    pub fn ordinals(&self) -> Range<u32> {
        self.first_row..self.first_row + self.rows
    }
}

/// What else is known of a run's rows: as large as two vectors, and searches do without, so it is not kept
/// in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct RunStatistics {
    /// Mean of the run's rows when written; `dim` values in index space.
    pub centroid: ScalarBuffer<f32>,
    /// Sum of the rows in index space; `dim` values.
    pub sum: ScalarBuffer<f32>,
}

/// Encodes the directory of vectors of `dim` values.
pub(crate) fn encode(runs: &[RunEntry], statistics: &[RunStatistics], dim: usize) -> Result<Vec<u8>, ArrowError> {
    fn u32s(runs: &[RunEntry], of: impl Fn(&RunEntry) -> u32) -> ArrayRef {
        Arc::new(UInt32Array::from_iter_values(runs.iter().map(of)))
    }
    fn u64s(runs: &[RunEntry], of: impl Fn(&RunEntry) -> u64) -> ArrayRef {
        Arc::new(UInt64Array::from_iter_values(runs.iter().map(of)))
    }
    fn f32s(runs: &[RunEntry], of: impl Fn(&RunEntry) -> f32) -> ArrayRef {
        Arc::new(Float32Array::from_iter_values(runs.iter().map(of)))
    }
    let vectors = |of: fn(&RunStatistics) -> &[f32]| -> Result<ArrayRef, ArrowError> {
        let values: Vec<f32> = statistics.iter().flat_map(of).copied().collect();
        let item = Arc::new(Field::new("item", DataType::Float32, false));
        let values = Arc::new(Float32Array::from(values));
        Ok(Arc::new(FixedSizeListArray::try_new(item, dim as i32, values, None)?))
    };
    let columns = [
        ("bucket", u32s(runs, |run| run.bucket.0)),
        ("generation", u32s(runs, |run| run.generation)),
        ("first_row", u32s(runs, |run| run.first_row)),
        ("rows", u32s(runs, |run| run.rows)),
        ("hot_offset", u64s(runs, |run| run.hot.offset)),
        ("hot_length", u64s(runs, |run| run.hot.length)),
        ("hot_crc", u32s(runs, |run| run.hot.crc)),
        ("cold_offset", u64s(runs, |run| run.cold.offset)),
        ("cold_length", u64s(runs, |run| run.cold.length)),
        ("cold_crc", u32s(runs, |run| run.cold.crc)),
        ("mean_sq_radius", f32s(runs, |run| run.mean_sq_radius)),
        ("max_norm_sq", f32s(runs, |run| run.max_norm_sq)),
        ("centroid", vectors(|of| &of.centroid)?),
        ("sum", vectors(|of| &of.sum)?),
    ];
    let field = |(name, column): &(&str, ArrayRef)| Field::new(*name, column.data_type().clone(), false);
    let schema = Schema::new(columns.iter().map(field).collect::<Vec<_>>());
    let columns = columns.into_iter().map(|(_, column)| column).collect();
    let batch = RecordBatch::try_new(Arc::new(schema), columns)?;
    write_stream(&batch)
}

/// Reads the directory, whose checksum has been verified, and checks that its runs cover the rows
/// in order and lie before `end`.
pub(crate) fn parse(bytes: &[u8], identity: Identity, end: u64) -> Result<Vec<RunEntry>, Flaw> {
    let columns = Columns::parse(bytes, identity)?;
    columns.statistics()?;
    let runs = columns.runs()?;
    check(&runs, identity, end)?;
    Ok(runs)
}

/// Reads what [`parse`] leaves in a directory it has accepted.
pub(crate) fn parse_statistics(bytes: &[u8], identity: Identity) -> Result<Vec<RunStatistics>, Flaw> {
    Columns::parse(bytes, identity)?.statistics()
}

struct Columns {
    batch: RecordBatch,
    dim: usize,
}

impl Columns {
    fn parse(bytes: &[u8], identity: Identity) -> Result<Self, Flaw> {
        let (_, mut batches) = read_stream(bytes).map_err(|e| format!("DIRECTORY: {e}"))?;
        let batch = if batches.is_empty() { Err("DIRECTORY: no batch") } else { Ok(batches.swap_remove(0)) }?;
        Ok(Self { batch, dim: identity.dim as usize })
    }

    fn statistics(&self) -> Result<Vec<RunStatistics>, Flaw> {
        let (centroid, sum) = (self.vectors("centroid")?, self.vectors("sum")?);
        let of = |i: usize| RunStatistics {
            centroid: centroid.slice(i * self.dim, self.dim),
            sum: sum.slice(i * self.dim, self.dim),
        };
        Ok((0..self.batch.num_rows()).map(of).collect())
    }

    fn runs(&self) -> Result<Vec<RunEntry>, Flaw> {
        let (bucket, generation) = (self.numbers::<UInt32Type>("bucket")?, self.numbers::<UInt32Type>("generation")?);
        let (first_row, rows) = (self.numbers::<UInt32Type>("first_row")?, self.numbers::<UInt32Type>("rows")?);
        let hot = self.places(["hot_offset", "hot_length", "hot_crc"])?;
        let cold = self.places(["cold_offset", "cold_length", "cold_crc"])?;
        let mean_sq_radius = self.numbers::<Float32Type>("mean_sq_radius")?;
        let max_norm_sq = self.numbers::<Float32Type>("max_norm_sq")?;
        let run = |i: usize| RunEntry {
            bucket: BucketId(bucket.value(i)),
            generation: generation.value(i),
            first_row: first_row.value(i),
            rows: rows.value(i),
            hot: hot[i],
            cold: cold[i],
            mean_sq_radius: mean_sq_radius.value(i),
            max_norm_sq: max_norm_sq.value(i),
        };
        Ok((0..self.batch.num_rows()).map(run).collect())
    }

    fn column(&self, name: &str) -> Result<&ArrayRef, Flaw> {
        let column = self.batch.column_by_name(name).filter(|column| column.null_count() == 0);
        column.ok_or_else(|| format!("DIRECTORY: no column '{name}'").into())
    }

    fn numbers<T: ArrowPrimitiveType>(&self, name: &str) -> Result<&PrimitiveArray<T>, Flaw> {
        let column = self.column(name)?.as_primitive_opt::<T>();
        column.ok_or_else(|| format!("DIRECTORY: column '{name}' is no {}", T::DATA_TYPE).into())
    }

    fn vectors(&self, name: &str) -> Result<ScalarBuffer<f32>, Flaw> {
        let lists = self.column(name)?.as_fixed_size_list_opt();
        let lists = lists.filter(|lists| lists.value_length() as usize == self.dim);
        let values = lists.and_then(|lists| lists.values().as_primitive_opt::<Float32Type>());
        let values = values.ok_or_else(|| format!("DIRECTORY: column '{name}' holds no vectors"))?;
        Ok(values.values().clone())
    }

    fn places(&self, [offset, length, crc]: [&str; 3]) -> Result<Vec<Place>, Flaw> {
        let (offset, length) = (self.numbers::<UInt64Type>(offset)?, self.numbers::<UInt64Type>(length)?);
        let crc = self.numbers::<UInt32Type>(crc)?;
        let place = |i| Place { offset: offset.value(i), length: length.value(i), crc: crc.value(i) };
        Ok((0..self.batch.num_rows()).map(place).collect())
    }
}

fn check(runs: &[RunEntry], identity: Identity, end: u64) -> Result<(), Flaw> {
    if runs.len() != identity.runs as usize {
        return Err(format!("DIRECTORY: {} runs instead of {}", runs.len(), identity.runs).into());
    }
    let mut next = 0u32;
    let (mut hot_end, mut cold_end) = (PAGE as u64, PAGE as u64);
    for run in runs {
        let sound = |place: Place, start| place.offset >= start && place.range().end <= end;
        if run.first_row != next || run.rows == 0 || !sound(run.hot, hot_end) || !sound(run.cold, cold_end) {
            return Err(format!("DIRECTORY: the run at row {next} is misplaced").into());
        }
        // So whatever is allocated for rows that are claimed is backed by bytes that are there.
        if run.hot.length < u64::from(run.rows) * sq8_stride(identity.dim as usize) as u64 {
            return Err(format!("DIRECTORY: the run at row {next} has more rows than codes").into());
        }
        (hot_end, cold_end) = (run.hot.range().end, run.cold.range().end);
        next = next.checked_add(run.rows).ok_or("DIRECTORY: more than 2^32 - 1 rows")?;
    }
    if next != identity.rows {
        return Err(format!("DIRECTORY: {next} rows instead of {}", identity.rows).into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use drift_types::{CollectionId, SegmentId};
    use ulid::Ulid;

    use super::*;

    const DIM: u32 = 3;
    const END: u64 = 1 << 16;

    /// Two runs of two rows.
    fn runs() -> Vec<RunEntry> {
        let place = |page: u64| Place { offset: page * PAGE as u64, length: 200, crc: 0 };
        let run = |i: u32| RunEntry {
            bucket: BucketId(i),
            generation: 0,
            first_row: 2 * i,
            rows: 2,
            hot: place(1 + u64::from(i)),
            cold: place(3 + u64::from(i)),
            mean_sq_radius: 0.0,
            max_norm_sq: 1.0,
        };
        vec![run(0), run(1)]
    }

    fn statistics() -> Vec<RunStatistics> {
        let run = |i: u8| RunStatistics {
            centroid: vec![f32::from(i); DIM as usize].into(),
            sum: vec![2.0; DIM as usize].into(),
        };
        vec![run(0), run(1)]
    }

    fn reread(runs: &[RunEntry]) -> Result<(Vec<RunEntry>, Vec<RunStatistics>), Flaw> {
        let rows = runs.iter().fold(0, |sum: u32, run| sum.wrapping_add(run.rows));
        let (id, collection) = (SegmentId(Ulid(1)), CollectionId(Ulid(2)));
        let identity = Identity { id, collection, rows, dim: DIM, runs: 2 };
        let bytes = encode(runs, &statistics(), DIM as usize).unwrap();
        Ok((parse(&bytes, identity, END)?, parse_statistics(&bytes, identity)?))
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(reread(&runs()).unwrap(), (runs(), statistics()));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        type Change = fn(&mut RunEntry);
        let changes: [(&str, Change); 8] = [
            ("a gap", |run| run.first_row += 1),
            ("no rows", |run| run.rows = 0),
            ("rows without codes", |run| run.rows = 4),
            ("all rows there can be", |run| run.rows = u32::MAX - 2),
            ("codes of two runs", |run| run.hot.offset = PAGE as u64 + 199),
            ("vectors of two runs", |run| run.cold.offset = 3 * PAGE as u64 + 199),
            ("codes beyond the end", |run| run.hot.length = u64::MAX),
            ("vectors beyond the end", |run| run.cold.offset = END - 199),
        ];
        for (what, change) in changes {
            let mut runs = runs();
            change(&mut runs[1]);
            assert!(matches!(reread(&runs), Err(Flaw::Corrupt(_))), "{what}");
        }
    }
}
