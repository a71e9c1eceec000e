//! Finished graphs and the flat tail, merged into one ranking.

use drift_types::TopK;

use crate::{
    Memtable, graph,
    scan::{FlatScan, L0Hit, scan_exact},
};

/// What a search of L0 did, and what its answer is worth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct L0Stats {
    /// Rows scanned flat.
    pub rows_scanned: usize,
    /// Graphs that answered for their range.
    pub graphs_searched: usize,
    /// Expected share of the true nearest rows that was found: each graph's sampled recall, and 1
    /// for rows scanned flat, weighted by rows.
    pub recall: f32,
}

impl Memtable {
    /// Offers the `k` nearest live rows to `out`, with exact scores.
    ///
    /// `ef` is the width of a graph search; it is raised where `k` asks for more. Where a graph
    /// does not pay, has lost too many of its rows to `live`, or the search is `selective`
    /// (`live` also holds a filter), its range is scanned flat instead; flat ranges are answered
    /// exactly. `live` is asked only for rows that would be kept.
    ///
    /// # Panics
    /// When the query's dimension differs.
    pub fn search(
        &self,
        query: &[f32],
        k: usize,
        ef: usize,
        selective: bool,
        live: &dyn Fn(u32) -> bool,
        out: &mut TopK<L0Hit>,
    ) -> L0Stats {
        assert_eq!(query.len(), self.dim, "a query of another dimension");
        let ef = ef.max(graph::ef_for(k));
        let mut scan = FlatScan::new(query, self.metric);
        let mut stats = L0Stats { rows_scanned: 0, graphs_searched: 0, recall: 1.0 };
        let mut missed_rows = 0.0;
        for graph in &self.graphs {
            let rows = graph.range().len();
            let answered =
                !selective && graph::pays(rows, self.dim, ef) && graph.search(query, self.metric, k, ef, live, out);
            if answered {
                stats.graphs_searched += 1;
                missed_rows += rows as f32 * (1.0 - graph.recall());
            } else {
                stats.rows_scanned += rows;
                self.chunks_in(graph.range()).iter().for_each(|chunk| scan.scan(chunk, live, out));
            }
        }
        let tail = self.sealed_end()..self.end();
        stats.rows_scanned += tail.len();
        self.chunks_in(tail).iter().for_each(|chunk| scan.scan(chunk, live, out));
        stats.recall = 1.0 - missed_rows / self.len().max(1) as f32;
        stats
    }

    /// Offers every live row to `out` by its exact score: the naive twin of [`Memtable::search`],
    /// and the answer to exact queries.
    ///
    /// # Panics
    /// When the query's dimension differs.
    pub fn search_exact(&self, query: &[f32], live: &dyn Fn(u32) -> bool, out: &mut TopK<L0Hit>) {
        assert_eq!(query.len(), self.dim, "a query of another dimension");
        self.chunks.iter().for_each(|chunk| scan_exact(query, self.metric, chunk, live, out));
    }
}
