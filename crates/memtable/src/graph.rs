//! HNSW graphs (Malkov and Yashunin 2016) over settled chunks: built once, then only read.

use std::{
    ops::Range,
    sync::{Arc, LazyLock},
};

use drift_types::{Metric, TopK};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::{
    chunk::TailChunk,
    index::Index,
    scan::{FlatScan, L0Hit},
};

/// The search width a graph's recall is sampled at, for [`SAMPLE_K`] neighbours.
pub(crate) const SAMPLE_EF: usize = 64;
const SAMPLE_K: usize = 10;
const SAMPLE_QUERIES: usize = 50;

/// Below this sampled recall a graph is thrown away and its range stays flat.
const RECALL_MIN: f32 = 0.95;

/// How far a sampled query lies from one row towards another: off every row, still among the data.
/// Half-way would lie between clusters, where no real query is. A little kind: it samples .99 where
/// new rows of a drifting stream have .98.
const SAMPLE_SHIFT: f32 = 0.25;

/// Whether searching a graph with width `ef` is faster than scanning its rows' codes.
///
/// A scan costs code bytes, a graph search costs `ef`. Measured at `ef` 64: on text embeddings of
/// 384 values they meet at about 27k rows, or 10 MiB of codes; on images of 784 values at 7 MiB.
/// In doubt the scan is right: its recall is 1.
pub(crate) fn pays(rows: usize, dim: usize, ef: usize) -> bool {
    const CODE_BYTES_PER_EF: usize = 160 << 10;
    rows * drift_kernels::sq8_stride(dim) >= ef.saturating_mul(CODE_BYTES_PER_EF)
}

/// The least search width at which the sampled recall can be expected for `k` neighbours.
pub(crate) fn ef_for(k: usize) -> usize {
    k.saturating_mul(SAMPLE_EF) / SAMPLE_K
}

/// A finished graph over a range of a memtable's rows.
///
/// Freeing one takes tens of milliseconds: let its last `Arc` go on a compute thread, never on
/// an async worker.
pub struct Graph {
    chunks: Vec<Arc<TailChunk>>,
    range: Range<u32>,
    recall: f32,
    /// None when the sampled recall was too low.
    index: Option<Index>,
}

impl Graph {
    /// Builds over `chunks`, which are adjacent and at least one.
    pub(crate) fn build(chunks: &[Arc<TailChunk>], metric: Metric) -> Self {
        let range = chunks[0].first..chunks[chunks.len() - 1].end();
        let mut rng = ChaCha8Rng::seed_from_u64(u64::from(range.start));
        let index = Index::build(chunks, metric, &mut rng);
        let mut graph = Self { chunks: chunks.to_vec(), range, recall: 0.0, index: Some(index) };
        graph.recall = graph.sample_recall(metric, &mut rng);
        if graph.recall < RECALL_MIN {
            graph.release();
        }
        graph
    }

    /// Ordinals of the rows it covers.
    pub fn range(&self) -> Range<u32> {
        self.range.clone()
    }

    /// Sampled recall@10 at `ef` 64 against the flat scan. Below 0.95 the graph answers nothing.
    pub fn recall(&self) -> f32 {
        self.recall
    }

    /// Heap bytes, rows excluded: they are the memtable's own.
    pub fn bytes(&self) -> usize {
        self.index.as_ref().map_or(0, Index::bytes)
    }

    /// Whether it was built over exactly these chunks.
    pub(crate) fn covers(&self, chunks: &[Arc<TailChunk>]) -> bool {
        self.chunks.len() == chunks.len() && self.chunks.iter().zip(chunks).all(|(a, b)| Arc::ptr_eq(a, b))
    }

    /// Offers its `k` nearest live rows to `out`. Returns false, and offers nothing, if it cannot
    /// vouch for as many as the range holds.
    pub(crate) fn search(
        &self,
        query: &[f32],
        metric: Metric,
        k: usize,
        ef: usize,
        live: &dyn Fn(u32) -> bool,
        out: &mut TopK<L0Hit>,
    ) -> bool {
        let Some(index) = &self.index else {
            return false;
        };
        let mut best = TopK::new(k);
        let saw_every_node = index.search(query, metric, ef, live, &mut best);
        // With k live rows among the ef nearest, no row beyond those can be among the best.
        let complete = saw_every_node || best.len() == k;
        if complete {
            best.into_sorted().into_iter().for_each(|hit| {
                out.push(hit);
            });
        }
        complete
    }

    fn sample_recall(&self, metric: Metric, rng: &mut ChaCha8Rng) -> f32 {
        let everything_lives = |_| true;
        let (mut found, mut expected) = (0, 0);
        for _ in 0..SAMPLE_QUERIES {
            let query = self.sample_query(rng);
            let mut exact = TopK::new(SAMPLE_K);
            let mut scan = FlatScan::new(&query, metric);
            self.chunks.iter().for_each(|chunk| scan.scan(chunk, &everything_lives, &mut exact));
            let exact = exact.into_sorted();

            let mut hits = TopK::new(SAMPLE_K);
            self.search(&query, metric, SAMPLE_K, SAMPLE_EF, &everything_lives, &mut hits);
            // By score, not by key: one of two equally near rows is as good as the other.
            let worst = exact.last().map_or(f32::INFINITY, |hit| hit.score);
            found += hits.into_sorted().iter().filter(|hit| hit.score <= worst).count();
            expected += exact.len();
        }
        found as f32 / expected as f32
    }

    fn sample_query(&self, rng: &mut ChaCha8Rng) -> Vec<f32> {
        let mut any_row = || {
            let ordinal = rng.random_range(self.range());
            let chunk = &self.chunks[self.chunks.partition_point(|chunk| chunk.end() <= ordinal)];
            chunk.row((ordinal - chunk.first) as usize)
        };
        let (from, towards) = (any_row(), any_row());
        from.iter().zip(towards).map(|(a, b)| a + SAMPLE_SHIFT * (b - a)).collect()
    }

    /// hnsw_rs frees its nodes with rayon. In the global pool that would start a thread per core.
    fn release(&mut self) {
        static ONE_THREAD: LazyLock<Option<ThreadPool>> =
            LazyLock::new(|| ThreadPoolBuilder::new().num_threads(1).build().ok());
        let index = self.index.take();
        match &*ONE_THREAD {
            Some(pool) => pool.install(|| drop(index)),
            None => drop(index),
        }
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        self.release();
    }
}
