//! Versions of the memtable: append, read, seal.

use std::{ops::Range, sync::Arc};

use drift_types::{Metric, SeqNo, VectorId, Vectors};

use crate::{
    chunk::{Chunk, RowBuffer, TailChunk},
    graph::{self, Graph},
};

/// Rows per chunk at most: large enough that a scan's set-up per chunk vanishes, small enough to
/// be copied in about a millisecond while small batches are still merged.
const CHUNK_ROWS: usize = 4096;

/// A graph covers at least so many rows: the latencies of several graphs add up.
const GRAPH_ROWS: usize = 16_384;

/// One version of L0. Cloning and appending share all chunks and graphs.
///
/// Rows are addressed by their *ordinal*: 0 for the first appended, in order, never changed.
#[derive(Clone)]
pub struct Memtable {
    pub(crate) dim: usize,
    pub(crate) metric: Metric,
    pub(crate) chunks: Vec<Arc<TailChunk>>,
    /// Finished graphs, over adjacent ranges from ordinal 0 on.
    pub(crate) graphs: Vec<Arc<Graph>>,
}

impl Memtable {
    /// An empty memtable for vectors of `dim` values.
    pub fn new(dim: usize, metric: Metric) -> Self {
        Self { dim, metric, chunks: Vec::new(), graphs: Vec::new() }
    }

    /// The next version: this one and `rows`, in index space (for cosine already of unit length)
    /// and finite. All rows of a batch share one sequence number.
    ///
    /// Each row is copied a dozen times at most however small the batches are: a chunk is
    /// merged into the new rows only when it is less than twice as long as they are.
    ///
    /// # Panics
    /// When the dimension differs, there is not one key per row, or ordinals run out at 2^32 - 1.
    pub fn append(&self, rows: Vectors<'_>, ids: &[VectorId], seq: SeqNo) -> Memtable {
        assert_eq!(rows.dim(), self.dim, "rows of another dimension");
        assert_eq!(rows.len(), ids.len(), "one key per row");
        assert!(self.len() + rows.len() < u32::MAX as usize, "flush before ordinals run out");
        let kept = self.chunks.len() - self.chunks_to_merge(rows.len());
        let mut next = Memtable { chunks: self.chunks[..kept].to_vec(), ..self.clone() };
        let mut buffer = RowBuffer::default();
        for chunk in &self.chunks[kept..] {
            buffer.push_chunk(chunk);
        }
        for start in (0..rows.len()).step_by(CHUNK_ROWS) {
            let end = rows.len().min(start + CHUNK_ROWS);
            buffer.push(rows.slice(start..end), &ids[start..end], seq);
            let chunk = std::mem::take(&mut buffer).into_chunk(next.end(), self.dim);
            next.chunks.push(Arc::new(chunk));
        }
        next
    }

    /// How many of the last chunks a batch of `new_rows` is merged with; none that has a graph.
    fn chunks_to_merge(&self, new_rows: usize) -> usize {
        let mut merged_rows = new_rows;
        let mut count = 0;
        for chunk in self.chunks_in(self.sealed_end()..self.end()).iter().rev() {
            if chunk.len() >= 2 * merged_rows || chunk.len() + merged_rows > CHUNK_ROWS {
                break;
            }
            merged_rows += chunk.len();
            count += 1;
        }
        count
    }

    /// Number of rows, dead ones included.
    pub fn len(&self) -> usize {
        self.end() as usize
    }

    /// Whether nothing was ever appended.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Heap bytes of rows, codes and graphs.
    pub fn bytes(&self) -> usize {
        let chunks: usize = self.chunks.iter().map(|chunk| chunk.bytes()).sum();
        let graphs: usize = self.graphs.iter().map(|graph| graph.bytes()).sum();
        chunks + graphs
    }

    /// The row at `ordinal`, in index space.
    ///
    /// # Panics
    /// Like [`Memtable::id`] and [`Memtable::seq`], when `ordinal` is past the end.
    pub fn row(&self, ordinal: u32) -> &[f32] {
        let (chunk, i) = self.locate(ordinal);
        chunk.row(i)
    }

    /// The key of the row at `ordinal`.
    pub fn id(&self, ordinal: u32) -> VectorId {
        let (chunk, i) = self.locate(ordinal);
        chunk.id(i)
    }

    /// The sequence number of the row at `ordinal`.
    pub fn seq(&self, ordinal: u32) -> SeqNo {
        let (chunk, i) = self.locate(ordinal);
        chunk.seq(i)
    }

    /// All rows, in order of their ordinals.
    pub fn chunks(&self) -> impl Iterator<Item = Chunk<'_>> {
        self.chunks.iter().map(|chunk| chunk.view())
    }

    /// The next range of rows worth a graph, if enough rows lie there that no append will move.
    pub fn unsealed(&self) -> Option<Range<u32>> {
        let start = self.sealed_end();
        // A merge that reached such a chunk would hold more than CHUNK_ROWS rows.
        let settled = |chunk: &&Arc<TailChunk>| chunk.first as usize + CHUNK_ROWS <= self.len();
        self.chunks_in(start..self.end())
            .iter()
            .take_while(settled)
            .map(|chunk| start..chunk.end())
            .find(|range| range.len() >= GRAPH_ROWS && graph::pays(range.len(), self.dim, graph::SAMPLE_EF))
    }

    /// Builds the graph of `range`, which came from [`Memtable::unsealed`] of this version or an
    /// earlier one. Takes seconds: call it on a compute thread, then publish the result with
    /// [`Memtable::with_graph`] on the newest version.
    ///
    /// # Panics
    /// When `range` does not begin and end between chunks.
    pub fn build_graph(&self, range: Range<u32>) -> Graph {
        let chunks = self.chunks_in(range.clone());
        let covered = chunks.first().zip(chunks.last()).map(|(first, last)| first.first..last.end());
        assert_eq!(covered, Some(range), "a graph covers whole chunks");
        Graph::build(chunks, self.metric)
    }

    /// The next version: this one, with a finished graph of the range that follows the graphs it
    /// has. A second graph of the same range is left out.
    ///
    /// # Panics
    /// When the graph leaves a gap, or was built from another memtable's rows.
    pub fn with_graph(&self, graph: Arc<Graph>) -> Memtable {
        let mut next = self.clone();
        if graph.range().start < self.sealed_end() {
            return next;
        }
        assert_eq!(graph.range().start, self.sealed_end(), "graphs cover adjacent ranges");
        assert!(graph.covers(self.chunks_in(graph.range())), "the graph of another memtable");
        next.graphs.push(graph);
        next
    }

    /// The ordinal after the last row.
    pub(crate) fn end(&self) -> u32 {
        self.chunks.last().map_or(0, |chunk| chunk.end())
    }

    /// The ordinal after the last row that a graph covers.
    pub(crate) fn sealed_end(&self) -> u32 {
        self.graphs.last().map_or(0, |graph| graph.range().end)
    }

    /// The chunks that begin in `range`.
    pub(crate) fn chunks_in(&self, range: Range<u32>) -> &[Arc<TailChunk>] {
        let from = self.chunks.partition_point(|chunk| chunk.first < range.start);
        let to = self.chunks.partition_point(|chunk| chunk.first < range.end);
        &self.chunks[from..to]
    }

    fn locate(&self, ordinal: u32) -> (&TailChunk, usize) {
        let chunk = &self.chunks[self.chunks.partition_point(|chunk| chunk.end() <= ordinal)];
        (chunk, (ordinal - chunk.first) as usize)
    }
}
