use drift_types::Vectors;
use rayon::prelude::*;

use crate::{
    Centroids,
    kmeans::kmeans,
    members::{Members, gather, mean_of},
};

/// Share of a cluster's scatter that a split must explain. Below it the rows cannot be told apart,
/// and halves would only be read together.
const MIN_EXPLAINED: f64 = 0.02;

/// Rows in buckets.
#[derive(Clone, Debug)]
pub struct Clustering {
    /// The mean of each cluster's rows; no cluster is empty.
    pub centroids: Centroids,
    /// The cluster of each row.
    pub assignment: Vec<u32>,
}

impl Clustering {
    /// The rows of each cluster.
    pub fn members(&self) -> Members {
        Members::new(&self.assignment, self.centroids.len())
    }
}

/// Clusters rows into buckets of about `target` rows.
///
/// No bucket holds more than `2 * target` rows, unless they cannot be told apart: a *dense* bucket
/// of near duplicates stays whole. Clusters below `target / 4` rows dissolve into the nearest ones
/// with room.
///
/// # Panics
/// When `target` is zero.
pub fn cluster(rows: Vectors<'_>, target: usize, seed: u64) -> Clustering {
    assert!(target > 0, "a bucket must hold at least one row");
    if rows.is_empty() {
        return Clustering { centroids: Centroids::new(Vec::new(), rows.dim()), assignment: Vec::new() };
    }
    let parts = first_parts(rows, target, seed);
    let parts = split_large(rows, parts, target, seed);
    let parts = dissolve_small(rows, parts, target);
    let mut assignment = vec![0; rows.len()];
    for (c, part) in parts.iter().enumerate() {
        for &row in part {
            assignment[row as usize] = c as u32;
        }
    }
    let centroids = Members::new(&assignment, parts.len()).means(rows);
    Clustering { centroids, assignment }
}

/// A cluster's row numbers, ascending.
type Part = Vec<u32>;

/// k-means over everything, with one step of Lloyd's on all rows (the training saw a sample).
fn first_parts(rows: Vectors<'_>, target: usize, seed: u64) -> Vec<Part> {
    let k = (rows.len() + target / 2) / target;
    if k < 2 {
        return vec![(0..rows.len() as u32).collect()];
    }
    let centroids = kmeans(rows, k, seed);
    let parts = nearest_parts(rows, &centroids);
    let means: Vec<f32> = parts.par_iter().flat_map_iter(|part| mean_of(rows, part)).collect();
    nearest_parts(rows, &Centroids::new(means, rows.dim()))
}

/// The rows nearest to each centroid; centroids without rows are left out.
pub(crate) fn nearest_parts(rows: Vectors<'_>, centroids: &Centroids) -> Vec<Part> {
    let members = Members::new(&centroids.assign(rows).index, centroids.len());
    (0..members.len()).map(|c| members.of(c).to_vec()).filter(|part| !part.is_empty()).collect()
}

/// Splits every part of more than `2 * target` rows, as often as it takes.
fn split_large(rows: Vectors<'_>, parts: Vec<Part>, target: usize, seed: u64) -> Vec<Part> {
    parts.into_par_iter().flat_map_iter(|part| split(rows, part, target, seed)).collect()
}

fn split(rows: Vectors<'_>, part: Part, target: usize, seed: u64) -> Vec<Part> {
    if part.len() <= 2 * target {
        return vec![part];
    }
    let own = gather(rows, &part);
    let own = Vectors::new(&own, rows.dim());
    let total = scatter(own, &(0..own.len() as u32).collect::<Part>());
    let worthwhile = |children: &Vec<Part>| explains(own, children, total);
    let by_means = nearest_parts(own, &kmeans(own, part.len().div_ceil(target), seed));
    // k-means may be caught by outliers; the direction of largest variance is not.
    let children = Some(by_means).filter(worthwhile).or_else(|| Some(cut_at_median(own)).filter(worthwhile));
    let Some(children) = children else { return vec![part] };
    children
        .into_iter()
        .map(|child| child.iter().map(|&i| part[i as usize]).collect())
        .flat_map(|child| split(rows, child, target, seed))
        .collect()
}

/// Whether parts explain enough of the rows' scatter, `total`. Rows that cannot be told apart do not, nor
/// do scatters that overflow.
pub(crate) fn explains(rows: Vectors<'_>, parts: &[Part], total: f64) -> bool {
    let within: f64 = parts.iter().map(|part| scatter(rows, part)).sum();
    total - within > MIN_EXPLAINED * total
}

/// Sum of squared distances to the mean.
pub(crate) fn scatter(rows: Vectors<'_>, part: &[u32]) -> f64 {
    let mean = mean_of(rows, part);
    part.iter().map(|&row| drift_kernels::l2_sq(rows.row(row as usize), &mean) as f64).sum()
}

/// The lower and the upper half of the rows along their first principal component, found by power
/// iteration on the scatter matrix.
pub(crate) fn cut_at_median(rows: Vectors<'_>) -> Vec<Part> {
    const ITERATIONS: usize = 8;
    let all: Part = (0..rows.len() as u32).collect();
    let mean = mean_of(rows, &all);
    let centred: Vec<f32> = rows.iter().flat_map(|row| row.iter().zip(&mean).map(|(x, m)| x - m)).collect();
    let centred = Vectors::new(&centred, rows.dim());
    // The farthest row certainly has a part along the axis sought.
    let norm_sq = |row: &&[f32]| drift_kernels::norm_sq(row);
    let farthest = centred.iter().max_by(|a, b| norm_sq(a).total_cmp(&norm_sq(b)));
    let mut axis = farthest.expect("only parts of several rows are cut").to_vec();
    for _ in 0..ITERATIONS {
        let mut next = vec![0.0; rows.dim()];
        for row in centred.iter() {
            let along = drift_kernels::dot(row, &axis);
            next.iter_mut().zip(row).for_each(|(n, x)| *n += along * x);
        }
        let length = drift_kernels::norm_sq(&next).sqrt();
        drift_kernels::scale(&mut next, 1.0 / length.max(f32::MIN_POSITIVE));
        axis = next;
    }
    let along: Vec<f32> = centred.iter().map(|row| drift_kernels::dot(row, &axis)).collect();
    let mut lower = all;
    lower.sort_by(|&a, &b| along[a as usize].total_cmp(&along[b as usize]));
    let upper = lower.split_off(lower.len() / 2);
    vec![lower, upper]
}

/// Moves the rows of parts below `target / 4` to the nearest other part that has room. A part whose
/// rows find no room stays, and may take in smaller ones.
fn dissolve_small(rows: Vectors<'_>, parts: Vec<Part>, target: usize) -> Vec<Part> {
    let (mut kept, mut small): (Vec<Part>, Vec<Part>) = parts.into_iter().partition(|part| part.len() >= target / 4);
    small.sort_by_key(|part| std::cmp::Reverse(part.len()));
    let mut means: Vec<f32> = kept.par_iter().flat_map_iter(|part| mean_of(rows, part)).collect();
    for part in small {
        let mut staying = Part::new();
        for row in part {
            let mut distances = vec![0.0; kept.len()];
            drift_kernels::l2_sq_rows(rows.row(row as usize), &means, &mut distances);
            let with_room = (0..kept.len()).filter(|&p| kept[p].len() < 2 * target);
            match with_room.min_by(|&a, &b| distances[a].total_cmp(&distances[b])) {
                Some(home) => kept[home].push(row),
                None => staying.push(row),
            }
        }
        if !staying.is_empty() {
            means.extend(mean_of(rows, &staying));
            kept.push(staying);
        }
    }
    kept.iter_mut().for_each(|part| part.sort_unstable());
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn blobs(n: usize, dim: usize, count: usize, seed: u64) -> Vec<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let centres: Vec<f32> = (0..count * dim).map(|_| rng.random::<f32>() * 20.0).collect();
        (0..n)
            .flat_map(|_| {
                // Squared: the first blobs hold many more rows than the last.
                let c = (rng.random::<f32>().powi(2) * count as f32) as usize;
                let row: Vec<f32> = centres[c * dim..][..dim].iter().map(|x| x + rng.random::<f32>()).collect();
                row
            })
            .collect()
    }

    fn sizes(clustering: &Clustering) -> Vec<usize> {
        let members = clustering.members();
        (0..members.len()).map(|c| members.of(c).len()).collect()
    }

    #[track_caller]
    fn check(rows: Vectors<'_>, clustering: &Clustering) {
        assert_eq!(clustering.assignment.len(), rows.len());
        let members = clustering.members();
        for c in 0..members.len() {
            assert!(!members.of(c).is_empty());
            assert_eq!(clustering.centroids.row(c), mean_of(rows, members.of(c)));
        }
    }

    #[test]
    fn buckets_keep_their_bounds() {
        for (n, dim, count) in
            [(1, 3, 1), (15, 3, 2), (20, 3, 2), (33, 2, 1), (3000, 5, 7), (5000, 12, 300), (2000, 1, 3)]
        {
            let data = blobs(n, dim, count, n as u64);
            let rows = Vectors::new(&data, dim);
            let clustering = cluster(rows, 16, 1);
            check(rows, &clustering);
            let sizes = sizes(&clustering);
            assert!(sizes.iter().all(|&s| s <= 32), "{n} x {dim}: {sizes:?}");
            let small = sizes.iter().filter(|&&s| s < 4).count();
            assert!(n < 4 || small * 10 <= sizes.len(), "{n} x {dim}: {sizes:?}");
        }
    }

    #[test]
    fn rows_lie_in_their_nearest_bucket_mostly() {
        let data = blobs(6000, 8, 50, 2);
        let rows = Vectors::new(&data, 8);
        let clustering = cluster(rows, 32, 1);
        let nearest = clustering.centroids.assign(rows).index;
        let agree = nearest.iter().zip(&clustering.assignment).filter(|(a, b)| a == b).count();
        assert!(agree > 4800, "{agree} of 6000");
    }

    #[test]
    fn equal_rows_stay_together() {
        let data = [0.5f32; 3].repeat(1000);
        let clustering = cluster(Vectors::new(&data, 3), 16, 1);
        assert_eq!(sizes(&clustering), [1000]);
    }

    #[test]
    fn duplicates_among_others_make_one_dense_bucket() {
        let mut data = blobs(1000, 3, 5, 1);
        data.extend([100.0f32; 3].repeat(500));
        let rows = Vectors::new(&data, 3);
        let clustering = cluster(rows, 16, 1);
        check(rows, &clustering);
        let mut sizes = sizes(&clustering);
        sizes.sort_unstable();
        assert_eq!(sizes.pop(), Some(500));
        assert!(sizes.iter().all(|&s| s <= 32), "{sizes:?}");
    }

    #[test]
    fn outliers_around_a_dense_bucket_keep_the_bounds() {
        let mut data = [0.0f32; 3].repeat(500);
        for i in 0..60u32 {
            data.extend([(i * i) as f32, (i % 7) as f32 * 50.0, (i % 3) as f32 * 90.0]);
        }
        let rows = Vectors::new(&data, 3);
        let clustering = cluster(rows, 16, 1);
        check(rows, &clustering);
        let mut sizes = sizes(&clustering);
        sizes.sort_unstable();
        assert!(sizes.pop() >= Some(500));
        assert!(sizes.iter().all(|&s| s <= 32), "{sizes:?}");
    }

    #[test]
    fn the_median_cut_goes_across_the_longest_direction() {
        let data: Vec<f32> = (0..100).flat_map(|i| [(i % 3) as f32, i as f32, 0.0]).collect();
        let halves = cut_at_median(Vectors::new(&data, 3));
        assert_eq!(halves.concat().len(), 100);
        assert!(halves[0].iter().all(|&i| i < 50) || halves[1].iter().all(|&i| i < 50));
    }

    #[test]
    fn rows_on_a_line_are_cut_into_pieces() {
        let data: Vec<f32> = (0..4000).flat_map(|i| [i as f32, 2.0 * i as f32]).collect();
        let rows = Vectors::new(&data, 2);
        let clustering = cluster(rows, 128, 1);
        check(rows, &clustering);
        assert!(sizes(&clustering).iter().all(|&s| s <= 256));
    }

    #[test]
    fn no_rows_no_buckets() {
        let clustering = cluster(Vectors::new(&[], 4), 128, 1);
        assert!(clustering.centroids.is_empty() && clustering.members().is_empty());
    }

    #[test]
    fn same_seed_same_buckets_whatever_the_threads() {
        let data = blobs(3000, 4, 20, 5);
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| cluster(Vectors::new(&data, 4), 20, 5).assignment)
        };
        assert_eq!(run(1), run(3));
    }
}
