use drift_types::Vectors;
use rayon::prelude::*;

use crate::Centroids;

/// The rows of each cluster: an assignment turned inside out.
#[derive(Clone, Debug)]
pub struct Members {
    /// Where each cluster begins in `rows`; one more entry than clusters.
    starts: Vec<usize>,
    rows: Vec<u32>,
}

impl Members {
    /// Groups rows `0..assignment.len()` by their cluster, `0..k`; ascending within each
    /// (a counting sort).
    ///
    /// # Panics
    /// When an entry of `assignment` is not below `k`.
    pub fn new(assignment: &[u32], k: usize) -> Self {
        let mut starts = vec![0; k + 1];
        for &c in assignment {
            starts[c as usize + 1] += 1;
        }
        for c in 0..k {
            starts[c + 1] += starts[c];
        }
        let mut rows = vec![0; assignment.len()];
        let mut cursor = starts.clone();
        for (row, &c) in assignment.iter().enumerate() {
            rows[cursor[c as usize]] = row as u32;
            cursor[c as usize] += 1;
        }
        Self { starts, rows }
    }

    /// Number of clusters.
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Whether there is no cluster.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Row numbers of cluster `c`.
    pub fn of(&self, c: usize) -> &[u32] {
        &self.rows[self.starts[c]..self.starts[c + 1]]
    }

    /// The vectors of cluster `c`, picked from the `vectors` that were assigned.
    pub fn rows<'a>(&self, c: usize, vectors: Vectors<'a>) -> impl Iterator<Item = &'a [f32]> + Clone {
        self.of(c).iter().map(move |&row| vectors.row(row as usize))
    }

    /// The mean of each cluster.
    pub(crate) fn means(&self, vectors: Vectors<'_>) -> Centroids {
        let dim = vectors.dim();
        let mut data = vec![0.0; self.len() * dim];
        data.par_chunks_mut(dim).enumerate().for_each(|(c, mean)| {
            mean.copy_from_slice(&mean_of(vectors, self.of(c)));
        });
        Centroids::new(data, dim)
    }
}

/// The mean of some rows; zero when there is none.
pub(crate) fn mean_of(vectors: Vectors<'_>, rows: &[u32]) -> Vec<f32> {
    let mut mean = vec![0.0; vectors.dim()];
    for &row in rows {
        drift_kernels::add_assign(&mut mean, vectors.row(row as usize));
    }
    drift_kernels::scale(&mut mean, 1.0 / rows.len().max(1) as f32);
    mean
}

/// Copies some rows side by side.
pub(crate) fn gather(vectors: Vectors<'_>, rows: &[u32]) -> Vec<f32> {
    let mut data = Vec::with_capacity(rows.len() * vectors.dim());
    for &row in rows {
        data.extend_from_slice(vectors.row(row as usize));
    }
    data
}
