//! Seeded k-means: k-means++ (Arthur & Vassilvitskii, SODA 2007), then Lloyd's iterations.

use drift_types::Vectors;
use rand::{Rng, SeedableRng, seq::index};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::{
    Centroids, Nearest,
    members::{Members, gather},
};

/// Lloyd's iterations: the objective hardly moves afterwards.
const ITERATIONS: usize = 8;
/// Up to so many centroids get all iterations over all groups together, which leaves a tenth fewer rows to
/// scan than two. Their cost is quadratic in `k`: more centroids get fewer...
const FULLY_ITERATED: usize = 512;
/// ...but always so many.
const ITERATIONS_MIN: usize = 2;
/// Rows that train one centroid; more cost time and change little.
const SAMPLE_PER_CENTROID: usize = 64;
/// Above this many centroids they are found in two levels of about `sqrt(k)`:
/// seeding alone is quadratic in `k`.
const SINGLE_LEVEL: usize = 64;

/// `k` centroids, fewer where rows repeat, found on a sample of at most 64 rows per centroid.
///
/// # Panics
/// When there is no row or `k` is zero.
pub fn kmeans(rows: Vectors<'_>, k: usize, seed: u64) -> Centroids {
    assert!(k > 0 && !rows.is_empty(), "k-means needs rows and centroids");
    let k = k.min(rows.len());
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let Some(chosen) = choose(rows.len(), k * SAMPLE_PER_CENTROID, &mut rng) else {
        return train(rows, k, &mut rng);
    };
    let sample = gather(rows, &chosen);
    train(Vectors::new(&sample, rows.dim()), k, &mut rng)
}

fn train(sample: Vectors<'_>, k: usize, rng: &mut ChaCha8Rng) -> Centroids {
    let first = if k <= SINGLE_LEVEL { plus_plus(sample, k, rng) } else { two_levels(sample, k, rng) };
    let iterations = ITERATIONS * FULLY_ITERATED / k;
    lloyd(sample, first, iterations.clamp(ITERATIONS_MIN, ITERATIONS))
}

/// `at_most` of the numbers `0..n`, ascending; none when that would be all of them.
fn choose(n: usize, at_most: usize, rng: &mut ChaCha8Rng) -> Option<Vec<u32>> {
    if n <= at_most {
        return None;
    }
    let mut chosen: Vec<u32> = index::sample(rng, n, at_most).iter().map(|i| i as u32).collect();
    chosen.sort_unstable();
    Some(chosen)
}

/// Centroids within each of about `sqrt(k)` groups, in proportion to the groups' rows.
fn two_levels(rows: Vectors<'_>, k: usize, rng: &mut ChaCha8Rng) -> Centroids {
    let groups = kmeans(rows, k.isqrt(), rng.random());
    let members = Members::new(&groups.assign(rows).index, groups.len());
    if (0..groups.len()).any(|g| members.of(g).len() == rows.len()) {
        // Nothing but duplicates: another level would see the same rows again.
        return plus_plus(rows, k, rng);
    }
    let seed: u64 = rng.random();
    let parts: Vec<Vec<f32>> = (0..groups.len())
        .into_par_iter()
        .map(|g| {
            let share = share_of_group(&members, g, k, rows.len());
            if share == 0 {
                return Vec::new();
            }
            let part = gather(rows, members.of(g));
            let found = kmeans(Vectors::new(&part, rows.dim()), share, seed.wrapping_add(g as u64));
            found.vectors().data().to_vec()
        })
        .collect();
    Centroids::new(parts.concat(), rows.dim())
}

/// The group's part of `k`, such that all parts add up to `k` exactly: the difference of two
/// rounded cumulative shares. At most as many as the group has rows, because `k <= n`.
fn share_of_group(members: &Members, group: usize, k: usize, n: usize) -> usize {
    let before: usize = (0..group).map(|g| members.of(g).len()).sum();
    let upto = before + members.of(group).len();
    upto * k / n - before * k / n
}

/// k-means++: each next centroid is a row, drawn with probability proportional to its squared
/// distance from the centroids so far. Ends early when every distinct row is a centroid.
fn plus_plus(rows: Vectors<'_>, k: usize, rng: &mut ChaCha8Rng) -> Centroids {
    let dim = rows.dim();
    let mut data = Vec::with_capacity(k * dim);
    let mut dist_sq = vec![f32::INFINITY; rows.len()];
    let mut latest = rng.random_range(0..rows.len());
    loop {
        let centroid = rows.row(latest);
        data.extend_from_slice(centroid);
        if data.len() == k * dim {
            return Centroids::new(data, dim);
        }
        let to_latest = distances(rows, centroid);
        for (nearest, d) in dist_sq.iter_mut().zip(to_latest) {
            *nearest = nearest.min(d);
        }
        match draw(&dist_sq, rng) {
            Some(row) => latest = row,
            None => return Centroids::new(data, dim),
        }
    }
}

fn distances(rows: Vectors<'_>, point: &[f32]) -> Vec<f32> {
    const ROWS_PER_TASK: usize = 512;
    let mut out = vec![0.0; rows.len()];
    out.par_chunks_mut(ROWS_PER_TASK)
        .zip(rows.data().par_chunks(ROWS_PER_TASK * rows.dim()))
        .for_each(|(out, rows)| drift_kernels::l2_sq_rows(point, rows, out));
    out
}

/// An index drawn in proportion to its weight, or uniformly where the sum overflows; none when
/// all weights are zero.
fn draw(weights: &[f32], rng: &mut ChaCha8Rng) -> Option<usize> {
    let total: f64 = weights.iter().map(|&w| w as f64).sum();
    if total == 0.0 {
        return None;
    }
    if !total.is_finite() {
        return Some(rng.random_range(0..weights.len()));
    }
    let mut left = rng.random::<f64>() * total;
    let drawn = weights.iter().position(|&w| {
        left -= w as f64;
        left < 0.0
    });
    // Rounding may leave a little at the end.
    drawn.or_else(|| weights.iter().rposition(|&w| w > 0.0))
}

/// Lloyd's iterations; every centroid stays the mean of at least one row.
fn lloyd(rows: Vectors<'_>, mut centroids: Centroids, iterations: usize) -> Centroids {
    for _ in 0..iterations {
        let mut nearest = centroids.assign(rows);
        fill_empty(&mut nearest, centroids.len());
        centroids = Members::new(&nearest.index, centroids.len()).means(rows);
    }
    centroids
}

/// Gives each cluster without rows the worst placed row of a cluster that can spare one.
/// Needs at least as many rows as clusters.
fn fill_empty(nearest: &mut Nearest, k: usize) {
    let mut sizes = vec![0u32; k];
    for &c in &nearest.index {
        sizes[c as usize] += 1;
    }
    let empty: Vec<usize> = (0..k).filter(|&c| sizes[c] == 0).collect();
    if empty.is_empty() {
        return;
    }
    let mut worst_first: Vec<usize> = (0..nearest.index.len()).collect();
    worst_first.sort_by(|&a, &b| nearest.dist_sq[b].total_cmp(&nearest.dist_sq[a]));
    let mut worst_first = worst_first.into_iter();
    for c in empty {
        let row = worst_first
            .find(|&row| sizes[nearest.index[row] as usize] > 1)
            .expect("with k <= n an empty cluster means another has two rows");
        sizes[nearest.index[row] as usize] -= 1;
        sizes[c] = 1;
        nearest.index[row] = c as u32;
        nearest.dist_sq[row] = 0.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(n: usize, dim: usize, seed: u64) -> Vec<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        (0..n * dim).map(|_| rng.random::<f32>() - 0.5).collect()
    }

    fn cost(rows: Vectors<'_>, centroids: &Centroids) -> f64 {
        centroids.assign(rows).dist_sq.iter().map(|&d| d as f64).sum()
    }

    fn in_pool<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
    }

    #[test]
    fn beats_random_rows_as_centroids() {
        let data = noise(3000, 8, 1);
        let rows = Vectors::new(&data, 8);
        for k in [5, 60, 150] {
            let random = Centroids::new(data[..k * 8].to_vec(), 8);
            assert!(cost(rows, &kmeans(rows, k, 2)) < 0.9 * cost(rows, &random), "k = {k}");
        }
    }

    #[test]
    fn finds_well_separated_blobs() {
        let mut data = noise(1000, 4, 3);
        for (i, row) in data.chunks_exact_mut(4).enumerate() {
            row[i % 4] += 100.0;
        }
        let rows = Vectors::new(&data, 4);
        assert!(cost(rows, &kmeans(rows, 4, 9)) < 4.0 * 1000.0);
    }

    #[test]
    fn same_seed_same_centroids_whatever_the_threads() {
        let data = noise(9000, 6, 4);
        for k in [7, 100] {
            let run = |threads| in_pool(threads, || kmeans(Vectors::new(&data, 6), k, 5));
            let (one, three) = (run(1), run(3));
            assert_eq!(one.vectors().data(), three.vectors().data());
            let other = kmeans(Vectors::new(&data, 6), k, 6);
            assert_ne!(one.vectors().data(), other.vectors().data());
        }
    }

    #[test]
    fn gives_at_most_one_centroid_per_distinct_row() {
        let mut data = vec![1.0; 2 * 500];
        data.extend(noise(20, 2, 8));
        let rows = Vectors::new(&data, 2);
        assert_eq!(kmeans(rows, 21, 1).len(), 21);
        for k in [1, 10, 21, 60, 100, 520, 1000] {
            let found = kmeans(rows, k, 1).len();
            assert!((1..=k.min(21)).contains(&found), "k = {k}: {found}");
        }
    }

    #[test]
    fn empty_clusters_take_the_worst_placed_rows() {
        let mut nearest = Nearest { index: vec![1, 1, 1, 3], dist_sq: vec![0.5, 9.0, 2.0, 100.0] };
        fill_empty(&mut nearest, 4);
        // Row 3 is worst, but its cluster would become empty in turn.
        assert_eq!(nearest.index, [1, 0, 2, 3]);
    }

    #[test]
    fn values_that_overflow_when_squared_do_not_panic() {
        let data: Vec<f32> = noise(300, 2, 2).iter().map(|x| x * 1e38).collect();
        assert_eq!(kmeans(Vectors::new(&data, 2), 5, 1).len(), 5);
    }
}
