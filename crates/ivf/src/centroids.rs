use std::ops::Range;

use drift_types::Vectors;
use rayon::prelude::*;

use crate::coarse;

/// Rows handed to a thread at a time: some hundred kilobytes of vectors, well under a millisecond.
const ROWS_PER_TASK: usize = 256;

/// `K` centroids, row-major, with their squared norms.
#[derive(Clone, Debug)]
pub struct Centroids {
    data: Vec<f32>,
    dim: usize,
    norms_sq: Vec<f32>,
}

/// For each row its nearest centroid.
#[derive(Clone, Debug, Default)]
pub struct Nearest {
    /// The centroid's number.
    pub index: Vec<u32>,
    /// Squared L2 distance to it.
    pub dist_sq: Vec<f32>,
}

impl Centroids {
    /// Takes `data` as centroids of `dim` values each.
    ///
    /// # Panics
    /// When `dim` is zero or does not divide `data.len()`.
    pub fn new(data: Vec<f32>, dim: usize) -> Self {
        let norms_sq = Vectors::new(&data, dim).iter().map(drift_kernels::norm_sq).collect();
        Self { data, dim, norms_sq }
    }

    /// Number of centroids.
    pub fn len(&self) -> usize {
        self.norms_sq.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.norms_sq.is_empty()
    }

    /// Values per centroid.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// All centroids.
    pub fn vectors(&self) -> Vectors<'_> {
        Vectors::new(&self.data, self.dim)
    }

    /// One centroid.
    pub fn row(&self, i: usize) -> &[f32] {
        &self.data[i * self.dim..][..self.dim]
    }

    /// The values of consecutive centroids.
    pub(crate) fn rows(&self, range: Range<usize>) -> &[f32] {
        &self.data[range.start * self.dim..range.end * self.dim]
    }

    /// Their squared norms.
    pub fn norms_sq(&self) -> &[f32] {
        &self.norms_sq
    }

    /// The nearest centroid of each row. Where many rows meet more than a thousand centroids, a row in a
    /// thousand may get another that is hardly farther.
    ///
    /// # Panics
    /// When the dimensions differ, or there are rows but no centroid.
    pub fn assign(&self, rows: Vectors<'_>) -> Nearest {
        assert_eq!(rows.dim(), self.dim, "rows and centroids differ in length");
        assert!(rows.is_empty() || !self.is_empty(), "no centroid to assign rows to");
        coarse::assign(self, rows).unwrap_or_else(|| self.assign_exactly(rows))
    }

    /// The nearest centroid of each row, of which there is one if there are rows.
    pub(crate) fn assign_exactly(&self, rows: Vectors<'_>) -> Nearest {
        let mut nearest = Nearest { index: vec![0; rows.len()], dist_sq: vec![0.0; rows.len()] };
        nearest
            .index
            .par_chunks_mut(ROWS_PER_TASK)
            .zip(nearest.dist_sq.par_chunks_mut(ROWS_PER_TASK))
            .zip(rows.data().par_chunks(ROWS_PER_TASK * self.dim))
            .for_each(|((index, dist_sq), rows)| {
                drift_kernels::nearest(rows, self.dim, &self.data, &self.norms_sq, index, dist_sq);
            });
        nearest
    }

    /// The `n` centroids nearest to `vector`, nearest first.
    ///
    /// # Panics
    /// When the dimensions differ.
    pub fn nearest_to(&self, vector: &[f32], n: usize) -> Vec<u32> {
        let distances = self.distances_sq(vector);
        let mut order: Vec<u32> = (0..self.len() as u32).collect();
        let by_distance = |a: &u32, b: &u32| distances[*a as usize].total_cmp(&distances[*b as usize]).then(a.cmp(b));
        if n < order.len() {
            order.select_nth_unstable_by(n, by_distance);
            order.truncate(n);
        }
        order.sort_unstable_by(by_distance);
        order
    }

    /// Squared distances of `query` to every centroid, exact differences (no cancellation).
    pub(crate) fn distances_sq(&self, query: &[f32]) -> Vec<f32> {
        let mut out = vec![0.0; self.len()];
        drift_kernels::l2_sq_rows(query, &self.data, &mut out);
        out
    }

    /// Squared distances of `query` to the centroids of these numbers.
    pub(crate) fn distances_sq_of(&self, query: &[f32], which: &[u32], out: &mut [f32]) {
        drift_kernels::l2_sq_of(query, &self.data, which, out);
    }
}
