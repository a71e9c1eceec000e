use crate::{
    arch::{Kernels, kernels},
    fours::four_rows,
};

/// Rows that wait in cache while all centroids pass by once.
const ROWS_PER_BLOCK: usize = 64;

/// For each row the nearest centroid by squared Euclidean distance, and that distance.
///
/// `rows` is n x `dim`, `centroids` k x `dim`, both row-major; `centroid_norms_sq` holds the k
/// squared lengths |c|^2; `out_index` and `out_dist_sq` take n results. Centroids are compared by
/// |c|^2 / 2 - <x, c>, so the choice is as exact as f32 is at the size of |x|^2: data far from the
/// origin compared with its spread should be shifted first. The distance reported is computed from
/// the differences and does not suffer. Ties go to the smaller index.
///
/// # Panics
/// When `dim` or k is zero or the lengths do not agree.
pub fn nearest(
    rows: &[f32],
    dim: usize,
    centroids: &[f32],
    centroid_norms_sq: &[f32],
    out_index: &mut [u32],
    out_dist_sq: &mut [f32],
) {
    let set = Centroids { dim, data: centroids, norms_sq: centroid_norms_sq };
    assert!(dim > 0 && !set.norms_sq.is_empty(), "no dimension or no centroid");
    assert_eq!(set.data.len(), set.norms_sq.len() * dim, "centroids and norms disagree");
    assert_eq!(rows.len(), out_index.len() * dim, "rows and results disagree");
    assert_eq!(out_index.len(), out_dist_sq.len(), "results of different length");

    let blocks = rows.chunks(ROWS_PER_BLOCK * dim);
    let outs = out_index.chunks_mut(ROWS_PER_BLOCK).zip(out_dist_sq.chunks_mut(ROWS_PER_BLOCK));
    for (rows, (index, dist_sq)) in blocks.zip(outs) {
        set.assign(kernels(), rows, index, dist_sq);
    }
}

struct Centroids<'a> {
    dim: usize,
    data: &'a [f32],
    norms_sq: &'a [f32],
}

impl Centroids<'_> {
    /// Assigns one block of rows. `dist_sq` holds the best |c|^2 / 2 - <x, c> until the end.
    fn assign(&self, kernels: &Kernels, rows: &[f32], index: &mut [u32], dist_sq: &mut [f32]) {
        index.fill(0);
        dist_sq.fill(f32::INFINITY);
        for first in (0..self.norms_sq.len()).step_by(4) {
            self.offer_four(kernels, first, rows, index, dist_sq);
        }
        for ((row, &i), dist_sq) in rows.chunks_exact(self.dim).zip(&*index).zip(dist_sq) {
            *dist_sq = kernels.l2_sq(row, &self.data[i as usize * self.dim..][..self.dim]);
        }
    }

    /// Compares up to four centroids from `first` on with every row of the block.
    fn offer_four(&self, kernels: &Kernels, first: usize, rows: &[f32], index: &mut [u32], best: &mut [f32]) {
        let last = (first + 3).min(self.norms_sq.len() - 1);
        let centroids = four_rows(self.data, self.dim, first, last);
        for row in (0..index.len()).step_by(4) {
            let last_row = (row + 3).min(index.len() - 1);
            let tile = kernels.dot_tile(four_rows(rows, self.dim, row, last_row), centroids);
            for (row, dots) in (row..=last_row).zip(tile) {
                for (centroid, dot) in (first..=last).zip(dots) {
                    let score = 0.5 * self.norms_sq[centroid] - dot;
                    if score < best[row] {
                        best[row] = score;
                        index[row] = centroid as u32;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{arch::available, scalar};

    /// Every instruction set, every remainder of rows and centroids: the centroid chosen is as
    /// near as the nearest one of a plain search.
    #[test]
    fn agrees_with_a_plain_search() {
        let mut rng = fastrand::Rng::with_seed(7);
        for dim in [1, 3, 8, 17, 64, 100] {
            for (n, k) in [(1, 1), (3, 2), (66, 5), (130, 31), (64, 8)] {
                let mut random = |len: usize| (0..len).map(|_| rng.f32() - 0.5).collect::<Vec<f32>>();
                let (rows, centroids) = (random(n * dim), random(k * dim));
                let norms: Vec<f32> = centroids.chunks(dim).map(|c| scalar::dot(c, c)).collect();
                let set = Centroids { dim, data: &centroids, norms_sq: &norms };
                for kernels in available() {
                    let (mut index, mut dist_sq) = (vec![9; n], vec![9.0; n]);
                    set.assign(kernels, &rows, &mut index, &mut dist_sq);
                    for (i, row) in rows.chunks(dim).enumerate() {
                        let to = |j: usize| scalar::l2_sq(row, &centroids[j * dim..][..dim]);
                        let best = (0..k).map(to).fold(f32::INFINITY, f32::min);
                        let slack = 1e-5 * (1.0 + dim as f32);
                        assert!(to(index[i] as usize) <= best + slack, "{}", kernels.isa);
                        assert!((dist_sq[i] - best).abs() <= slack, "{}", kernels.isa);
                    }
                }
            }
        }
    }

    #[test]
    fn ties_go_to_the_smaller_index_across_blocks() {
        let (n, k) = (200, 11);
        let (mut index, mut dist_sq) = (vec![5; n], vec![5.0; n]);
        nearest(&vec![1.0; 2 * n], 2, &vec![2.0; 2 * k], &vec![8.0; k], &mut index, &mut dist_sq);
        assert!(index.iter().all(|&i| i == 0) && dist_sq.iter().all(|&d| d == 2.0));
    }

    #[test]
    fn distances_stay_exact_far_from_the_origin() {
        let (mut index, mut dist_sq) = ([9], [9.0]);
        nearest(&[1e6, 1e6], 2, &[1e6, 1e6 + 3.0], &[2e12], &mut index, &mut dist_sq);
        assert_eq!((index, dist_sq), ([0], [9.0]));
    }
}
