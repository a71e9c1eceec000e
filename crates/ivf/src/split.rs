use std::collections::HashSet;

use drift_types::Vectors;

use crate::{
    BUCKET_ROWS, BUCKET_ROWS_MAX,
    cluster::{cluster, cut_at_median, explains, nearest_parts, scatter},
    kmeans::kmeans,
    members::{gather, mean_of},
};

/// The smaller of two parts has at least this share of the rows.
const MIN_CHILD_SHARE: f64 = 0.2;

/// What becomes of a bucket that has outgrown its size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Split {
    /// Its rows, in two or more parts.
    Parts(Vec<Vec<u32>>),
    /// Its rows cannot be told apart: it stays whole, and is dense.
    Dense,
}

/// Whether a bucket with this many live rows has grown too large: more than [`BUCKET_ROWS_MAX`].
/// One that was found dense at `dense_rows` rows (0: never) is tried again once a quarter more came.
pub fn should_split(n_live: usize, dense_rows: usize) -> bool {
    n_live > BUCKET_ROWS_MAX && 4 * n_live > 5 * dense_rows
}

/// Splits the rows of one bucket: in two up to twice [`BUCKET_ROWS_MAX`] rows, else in parts of about
/// `BUCKET_ROWS` at once.
///
/// Two parts are those of 2-means. Where one of them has under a fifth of the rows, the others are split
/// and its rows go to the nearer part; where that fails too, the halves along the first principal
/// component are taken. Refused where it would separate nothing: fewer different rows than
/// twice the smallest part, or parts that explain less than 2 % of the scatter
/// (n1 n2 |c1 - c2|^2 < .02 n sum |x - mean|^2).
pub fn split(rows: Vectors<'_>, seed: u64) -> Split {
    let parts = if rows.len() > 2 * BUCKET_ROWS_MAX {
        let members = cluster(rows, BUCKET_ROWS, seed).members();
        (0..members.len()).map(|c| members.of(c).to_vec()).collect()
    } else {
        halve(rows, seed)
    };
    if parts.len() < 2 { Split::Dense } else { Split::Parts(parts) }
}

/// Two parts; none if the rows cannot be told apart.
fn halve(rows: Vectors<'_>, seed: u64) -> Vec<Vec<u32>> {
    let min_child = (MIN_CHILD_SHARE * rows.len() as f64).ceil() as usize;
    if !has_different_rows(rows, 2 * min_child) {
        return Vec::new();
    }
    let all: Vec<u32> = (0..rows.len() as u32).collect();
    let total = scatter(rows, &all);
    let is_fair = |parts: &Vec<Vec<u32>>| parts.len() == 2 && parts.iter().all(|part| part.len() >= min_child);
    let worthwhile = |parts: &Vec<Vec<u32>>| is_fair(parts) && explains(rows, parts, total);
    let by_means = nearest_parts(rows, &kmeans(rows, 2, seed));
    if worthwhile(&by_means) {
        return by_means;
    }
    let without_outliers = || Some(halve_the_larger(rows, by_means, seed)).filter(is_fair);
    let at_median = || Some(cut_at_median(rows)).filter(worthwhile);
    without_outliers().or_else(at_median).unwrap_or_default()
}

/// The larger of two parts halved; the rows of the smaller one go to the nearer half.
fn halve_the_larger(rows: Vectors<'_>, mut parts: Vec<Vec<u32>>, seed: u64) -> Vec<Vec<u32>> {
    if parts.len() != 2 {
        return Vec::new();
    }
    parts.sort_by_key(Vec::len);
    let (larger, outliers) = (&parts[1], &parts[0]);
    let data = gather(rows, larger);
    let mut halves: Vec<Vec<u32>> = halve(Vectors::new(&data, rows.dim()), seed);
    halves.iter_mut().flatten().for_each(|row| *row = larger[*row as usize]);
    let means: Vec<Vec<f32>> = halves.iter().map(|half| mean_of(rows, half)).collect();
    for &row in outliers {
        let distance = |&half: &usize| drift_kernels::l2_sq(rows.row(row as usize), &means[half]);
        let nearer = (0..halves.len()).min_by(|a, b| distance(a).total_cmp(&distance(b)));
        if let Some(half) = nearer {
            halves[half].push(row);
        }
    }
    halves
}

fn has_different_rows(rows: Vectors<'_>, wanted: usize) -> bool {
    let mut seen = HashSet::new();
    rows.iter().any(|row| {
        seen.insert(row.iter().map(|x| x.to_bits()).collect::<Box<[u32]>>());
        seen.len() >= wanted
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn noise(n: usize, at: f32, rng: &mut ChaCha8Rng) -> Vec<f32> {
        (0..2 * n).map(|_| at + rng.random::<f32>()).collect()
    }

    fn sizes(data: &[f32]) -> Vec<usize> {
        match split(Vectors::new(data, 2), 1) {
            Split::Parts(parts) => {
                let mut rows: Vec<u32> = parts.concat();
                rows.sort_unstable();
                assert!(rows.iter().copied().eq(0..data.len() as u32 / 2), "each row once");
                parts.iter().map(Vec::len).collect()
            }
            Split::Dense => Vec::new(),
        }
    }

    #[test]
    fn two_clusters_come_apart() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut data = noise(160, 0.0, &mut rng);
        data.extend(noise(100, 9.0, &mut rng));
        let mut sizes = sizes(&data);
        sizes.sort_unstable();
        assert_eq!(sizes, [100, 160]);
    }

    #[test]
    fn a_few_outliers_do_not_make_a_part() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let mut data = noise(255, 0.0, &mut rng);
        data.extend(noise(5, 1e4, &mut rng));
        let sizes = sizes(&data);
        assert!(sizes.len() == 2 && sizes.iter().all(|&n| n >= 52), "{sizes:?}");
    }

    #[test]
    fn many_rows_are_split_into_many_parts() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let sizes = sizes(&noise(3_000, 0.0, &mut rng));
        assert!(sizes.len() > 12 && sizes.iter().all(|&n| n <= 2 * BUCKET_ROWS), "{sizes:?}");
    }

    #[test]
    fn equal_rows_and_a_handful_of_different_ones_are_dense() {
        for n in [300, 5_000] {
            assert_eq!(sizes(&[0.5, 0.5].repeat(n)), [0usize; 0]);
        }
        let mut few = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0].repeat(100);
        few.extend([7.0, 8.0]);
        assert_eq!(sizes(&few), [0usize; 0], "4 different rows of 301");
    }

    #[test]
    fn a_dense_bucket_is_tried_again_after_a_quarter_more() {
        assert!(!should_split(BUCKET_ROWS_MAX, 0) && should_split(BUCKET_ROWS_MAX + 1, 0));
        assert!(!should_split(400, 400) && !should_split(500, 400) && should_split(501, 400));
    }
}
