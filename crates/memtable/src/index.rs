//! The one place that names hnsw_rs.

use std::{cmp::Ordering, sync::Arc};

use drift_types::{Metric, TopK};
use hnsw_rs::{anndists::dist::distances::Distance, hnsw::Hnsw};
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::{
    chunk::TailChunk,
    scan::{L0Hit, offer, score},
};

/// Links per node; the ground layer has twice as many.
const M: usize = 16;
const EF_CONSTRUCTION: usize = 100;
const LAYERS_MAX: usize = 16;

/// Heap bytes per node, links included: measured at 16k nodes with a counting allocator.
const NODE_BYTES: usize = 2200;

/// A row, as its chunk and its place there.
#[derive(Clone, Copy)]
struct RowAt {
    chunk: u32,
    i: u32,
}

/// What hnsw_rs holds as a node's "vector": a reference to the row, not a copy of it.
#[derive(Clone)]
enum Point {
    /// A row, and its coordinate on the axis that turns inner products into distances.
    Row(RowAt, f32),
    Query(Arc<[f32]>),
}

/// The rows that points refer to.
struct Space {
    chunks: Vec<Arc<TailChunk>>,
}

impl Space {
    fn row(&self, at: RowAt) -> &[f32] {
        self.chunks[at.chunk as usize].row(at.i as usize)
    }

    fn resolve<'a>(&'a self, point: &'a Point) -> (&'a [f32], f32) {
        match point {
            Point::Row(at, lift) => (self.row(*at), *lift),
            Point::Query(query) => (query, 0.0),
        }
    }
}

impl Distance<Point> for Space {
    fn eval(&self, a: &[Point], b: &[Point]) -> f32 {
        let ((a, lift_a), (b, lift_b)) = (self.resolve(&a[0]), self.resolve(&b[0]));
        let distance = drift_kernels::l2_sq(a, b) + (lift_a - lift_b).powi(2);
        // Values near f32::MAX overflow to inf - inf; hnsw_rs panics on NaN.
        if distance.is_nan() { f32::INFINITY } else { distance }
    }
}

/// An HNSW graph with one node per distinct vector, and the rows of each node.
pub(crate) struct Index {
    hnsw: Hnsw<'static, Point, Space>,
    /// Rows node after node, by key within a node.
    rows: Vec<RowAt>,
    /// Node n owns `rows[starts[n]..starts[n + 1]]`.
    starts: Vec<u32>,
}

impl Index {
    /// Inserts the distinct vectors in random order: a stream that arrives cluster by cluster, or
    /// begins with many equal vectors, would leave rows that no search reaches.
    pub(crate) fn build(chunks: &[Arc<TailChunk>], metric: Metric, rng: &mut ChaCha8Rng) -> Self {
        let space = Space { chunks: chunks.to_vec() };
        let rows = rows_by_value(&space);
        let starts = node_starts(&space, &rows);
        let lifts = match metric {
            Metric::L2 | Metric::Cosine => vec![0.0; starts.len() - 1],
            Metric::InnerProduct => lifts(&space, &rows, &starts),
        };
        let mut order: Vec<usize> = (0..lifts.len()).collect();
        order.shuffle(rng);
        let hnsw = Hnsw::new(M, order.len(), LAYERS_MAX, EF_CONSTRUCTION, space);
        // One by one, not in parallel: the same rows always give the same graph.
        for node in order {
            let point = Point::Row(rows[starts[node] as usize], lifts[node]);
            hnsw.insert((&[point], node));
        }
        Self { hnsw, rows, starts }
    }

    /// Offers the live rows of the `ef` nearest nodes. Returns whether those were all nodes.
    pub(crate) fn search(
        &self,
        query: &[f32],
        metric: Metric,
        ef: usize,
        live: &dyn Fn(u32) -> bool,
        out: &mut TopK<L0Hit>,
    ) -> bool {
        let nodes = self.hnsw.search(&[Point::Query(query.into())], ef, ef);
        let space = self.hnsw.get_distance();
        for node in nodes.iter().map(|node| node.d_id) {
            let rows = &self.rows[self.starts[node] as usize..self.starts[node + 1] as usize];
            let score = score(metric, query, space.row(rows[0]));
            for &at in rows {
                let chunk = &space.chunks[at.chunk as usize];
                let hit = L0Hit { score, id: chunk.id(at.i as usize), ordinal: chunk.first + at.i };
                if !offer(hit, live, out) {
                    break; // the node's other rows have larger keys
                }
            }
        }
        nodes.len() == self.starts.len() - 1
    }

    pub(crate) fn bytes(&self) -> usize {
        self.starts.len() * (NODE_BYTES + size_of::<u32>()) + size_of_val(&self.rows[..])
    }
}

/// All rows, equal vectors side by side, and among those by key.
fn rows_by_value(space: &Space) -> Vec<RowAt> {
    let mut rows: Vec<RowAt> = (0..)
        .zip(&space.chunks)
        .flat_map(|(chunk, rows)| (0..rows.len() as u32).map(move |i| RowAt { chunk, i }))
        .collect();
    let id = |at: RowAt| space.chunks[at.chunk as usize].id(at.i as usize);
    rows.sort_unstable_by(|&a, &b| {
        let by_value = space.row(a).partial_cmp(space.row(b)).unwrap_or(Ordering::Equal);
        by_value.then_with(|| (id(a), a.chunk, a.i).cmp(&(id(b), b.chunk, b.i)))
    });
    rows
}

/// Where each run of equal vectors begins, and the end.
fn node_starts(space: &Space, rows: &[RowAt]) -> Vec<u32> {
    let mut starts = vec![0];
    for run in rows.chunk_by(|&a, &b| space.row(a) == space.row(b)) {
        starts.push(starts[starts.len() - 1] + run.len() as u32);
    }
    starts
}

/// sqrt(M^2 - |x|^2) for each node, M the largest norm: with this coordinate all rows have norm M,
/// and squared distance to a query without it is M^2 + |q|^2 - 2 <q, x> (Bachrach et al. 2014).
fn lifts(space: &Space, rows: &[RowAt], starts: &[u32]) -> Vec<f32> {
    let norms_sq: Vec<f32> = starts[..starts.len() - 1]
        .iter()
        .map(|&start| drift_kernels::norm_sq(space.row(rows[start as usize])))
        .collect();
    let max_sq = norms_sq.iter().copied().fold(0.0, f32::max);
    norms_sq.iter().map(|norm_sq| (max_sq - norm_sq).max(0.0).sqrt()).collect()
}
