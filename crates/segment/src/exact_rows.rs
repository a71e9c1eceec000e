//! The vectors of some rows of a run, read without the others.

use std::{collections::BTreeSet, ops::Range, sync::Arc};

use drift_types::Metric;
use futures::future::try_join_all;

use crate::{
    ExactRun, Result, RunEntry, SegmentReader,
    chunks::{ChunkTable, Decoded, Layout},
    open::Opened,
};

/// What a read costs beside its bytes, in bytes: a disk that has 4 KiB after 90 us has 256 KiB after 430
/// (docs/benchmarks.md, "Cold reads of a local file"); an object store is slower still to begin.
const READ_COST: u64 = 64 << 10;

/// Chunks so near are read together, with what is between them.
const GAP: u64 = READ_COST / 2;

/// Where a run would take the place of others in memory, it is read whole once rows of it have cost as much as
/// so many whole reads.
const WHOLE_READS: u64 = 4;

/// Vectors of a run: of all its rows, or of those asked for.
#[derive(Debug)]
pub struct ExactRows {
    vectors: Arc<ExactRun>,
    /// The rows there are, ascending; none: all.
    rows: Option<Box<[u32]>>,
}

impl ExactRows {
    /// All rows of a run.
    pub fn all(run: Arc<ExactRun>) -> Self {
        Self { vectors: run, rows: None }
    }

    /// A row of the run, and what it is multiplied with to enter index space ([`ExactRun::inv_norm`]); none if
    /// it is not here.
    pub fn row(&self, row: u32) -> Option<(&[f32], f32)> {
        let place = self.place(row)?;
        Some((self.vectors.row(place), self.vectors.inv_norm(place)))
    }

    fn place(&self, row: u32) -> Option<usize> {
        match &self.rows {
            Some(rows) => rows.binary_search(&row).ok(),
            None => ((row as usize) < self.vectors.rows()).then_some(row as usize),
        }
    }
}

impl SegmentReader {
    /// The vectors of some rows of a run, ascending numbers within it. What is not in memory is read: the whole
    /// run if it is kept then or costs no more, else the chunks that hold these rows, which are not kept.
    ///
    /// # Errors
    /// As all reads, for these rows alone; [`Error::Invalid`](crate::Error::Invalid) if the run has no such row.
    pub async fn exact_rows(&self, run: u32, rows: &[u32]) -> Result<ExactRows> {
        if let Some(all) = self.exact_cached(run) {
            return Ok(ExactRows::all(all));
        }
        let entry = self.opened.run(run)?;
        if let Some(row) = rows.last().filter(|&&row| row >= entry.rows) {
            return Err(crate::Error::Invalid(format!("row {row} of a run of {} rows", entry.rows)));
        }
        let known: Option<Arc<ChunkTable>> = self.cached(run);
        if self.is_whole_worth_reading(run, entry, rows.len() as u64, known.is_some()) {
            // What is wrong with other rows is not theirs to tell.
            match self.exact(run).await {
                Err(crate::Error::Corrupt { .. }) if rows.len() < entry.rows as usize => {}
                read => return Ok(ExactRows::all(read?)),
            }
        }
        let table = match known {
            Some(table) => table,
            None => self.part(run, self.opened.read_chunk_table(run)).await?,
        };
        let vectors = Box::pin(self.opened.read_exact_rows(entry, rows, &table)).await?;
        Ok(ExactRows { vectors: Arc::new(vectors), rows: Some(rows.into()) })
    }

    fn is_whole_worth_reading(&self, run: u32, entry: &RunEntry, rows: u64, is_table_known: bool) -> bool {
        let (row_bytes, cache) = (4 * self.meta().dim as u64, self.part_cache());
        // Under cosine the lengths are a read of their own, at the end of the region.
        let others = u64::from(!is_table_known) + u64::from(self.meta().metric == Metric::Cosine);
        let (single, whole) = (rows * (READ_COST + row_bytes) + others * READ_COST, READ_COST + entry.cold.length);
        single >= whole
            || cache.has_room(u64::from(entry.rows) * row_bytes)
            || self.opened.exact_rents.is_due(run as usize, single, WHOLE_READS * whole)
    }
}

impl Opened {
    /// What of a run is in its region of COLD.
    pub(crate) fn layout(&self, run: &RunEntry) -> Layout {
        Layout { rows: run.rows as usize, dim: self.meta.dim, has_norms: self.meta.metric == Metric::Cosine }
    }

    pub(crate) async fn read_chunk_table(&self, run: u32) -> Result<Arc<ChunkTable>> {
        let run = self.run(run)?;
        let (layout, region) = (self.layout(run), run.cold.range());
        let start = region.end.saturating_sub(layout.table_bytes() as u64);
        if start < region.start {
            return Err(self.file.flawed("the region is shorter than its rows", region.start));
        }
        let table = self.file.read(start..region.end).await?;
        let table = ChunkTable::parse(&table, layout, run.cold.length, run.cold.crc);
        table.map(Arc::new).map_err(|flaw| self.file.flawed(flaw, start))
    }

    /// Some rows of a run, in ascending order.
    async fn read_exact_rows(&self, run: &RunEntry, rows: &[u32], table: &ChunkTable) -> Result<ExactRun> {
        let layout = self.layout(run);
        let chunks: BTreeSet<usize> = rows.iter().flat_map(|&row| layout.chunks_of(row)).collect();
        let chunks: Vec<usize> = chunks.into_iter().collect();
        let places = table.places(&chunks);
        let pieces = near_each_other(&places)
            .into_iter()
            .map(|piece| self.read_chunks(run, layout, table, &chunks[piece.clone()], &places[piece]));
        let decoded = try_join_all(pieces).await?.into_iter().flatten().collect();
        Ok(ExactRun::of_rows(rows, layout, &decoded))
    }

    /// Some chunks of a run's region, at these places in it, in one read.
    async fn read_chunks(
        &self,
        run: &RunEntry,
        layout: Layout,
        table: &ChunkTable,
        chunks: &[usize],
        places: &[Range<u64>],
    ) -> Result<Decoded> {
        let (first, last) = (places[0].start, places[places.len() - 1].end);
        let bytes = self.file.read(run.cold.offset + first..run.cold.offset + last).await?;
        let decode = |(&chunk, place): (&usize, &Range<u64>)| {
            let bytes = &bytes[(place.start - first) as usize..(place.end - first) as usize];
            let values = table.decode(layout, chunk, bytes);
            Ok((chunk, values.map_err(|flaw| self.file.flawed(flaw, run.cold.offset + place.start))?))
        };
        chunks.iter().zip(places).map(decode).collect()
    }
}

/// Groups of ascending places that lie so near each other that one read serves them.
fn near_each_other(places: &[Range<u64>]) -> Vec<Range<usize>> {
    let mut groups: Vec<Range<usize>> = Vec::new();
    for (at, place) in places.iter().enumerate() {
        match groups.last_mut() {
            Some(group) if place.start - places[at - 1].end <= GAP => group.end = at + 1,
            _ => groups.push(at..at + 1),
        }
    }
    groups
}
