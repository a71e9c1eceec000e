//! The nearest of many centroids by way of groups of them: a row is compared with the centroids around its
//! group's centre, and with all others only if one of these may be nearer.

use drift_types::Vectors;
use rayon::prelude::*;

use crate::{
    Centroids, Nearest,
    kmeans::kmeans,
    members::{Members, gather},
};

/// Of fewer centroids each is compared with every row.
const CENTROIDS_MIN: usize = 1_024;
/// Groups, in square roots of the number of centroids.
const GROUPS: usize = 4;
/// Centroids listed for a group, in its share of all. On 400,000 generated rows and 3,125 centroids one row in
/// 25 was then in doubt, and assigning all took a quarter of the time (docs/decisions/0011).
const LISTED: usize = 16;
/// Rows tried first: where too many of them are in doubt, groups do not help. Of images in buckets of 32 every
/// third is, of text embeddings nearly each.
const TRIED: usize = 512;
const DOUBTFUL_MAX: f32 = 0.25;
const SEED: u64 = 1;

/// The nearest centroid of each row, as [`Centroids::assign`] promises it. None where comparing all takes no
/// longer.
pub(crate) fn assign(centroids: &Centroids, rows: Vectors<'_>) -> Option<Nearest> {
    if centroids.len() < CENTROIDS_MIN || rows.len() < 2 * centroids.len() {
        return None;
    }
    let coarse = Coarse::new(centroids);
    let every = rows.len() / TRIED;
    let tried: Vec<u32> = (0..TRIED).map(|i| (i * every) as u32).collect();
    let (_, doubtful) = coarse.assign(Vectors::new(&gather(rows, &tried), rows.dim()));
    if doubtful.len() as f32 > DOUBTFUL_MAX * TRIED as f32 {
        return None;
    }
    let (mut nearest, doubtful) = coarse.assign(rows);
    let again = centroids.assign_exactly(Vectors::new(&gather(rows, &doubtful), rows.dim()));
    nearest.put(&doubtful, &again);
    Some(nearest)
}

/// Centroids in groups.
struct Coarse<'c> {
    centroids: &'c Centroids,
    /// Of the centroids.
    centres: Centroids,
    near: Vec<Near>,
}

/// The centroids nearest to a group's centre.
struct Near {
    centroids: Vec<u32>,
    /// No other is nearer to the centre; a squared distance.
    reach_sq: f32,
}

impl<'c> Coarse<'c> {
    fn new(centroids: &'c Centroids) -> Self {
        let centres = kmeans(centroids.vectors(), GROUPS * centroids.len().isqrt(), SEED);
        let listed = (LISTED * centroids.len() / centres.len()).min(centroids.len() - 1);
        let near = |group: usize| {
            let mut nearest = centroids.nearest_to(centres.row(group), listed + 1);
            let beyond = nearest.pop().expect("one more than listed");
            Near {
                centroids: nearest,
                reach_sq: drift_kernels::l2_sq(centres.row(group), centroids.row(beyond as usize)),
            }
        };
        let near = (0..centres.len()).into_par_iter().map(near).collect();
        Self { centroids, centres, near }
    }

    /// For each row the nearest of its group's centroids, and the rows for which another may be nearer.
    ///
    /// Let g be the centre of row x's group, c a centroid not in its list: |c - g| >= R. Where the best of the
    /// list has |x - b|^2 <= R^2 - |x - g|^2, a nearer c must have <x - g, c - g> > |x - g|^2: seen from g it
    /// lies beyond x, so far off its own group's rows that this is let be. Of 400,000 generated rows .04 %
    /// got another than the nearest, .01 % farther off in the mean.
    fn assign(&self, rows: Vectors<'_>) -> (Nearest, Vec<u32>) {
        let homes = self.centres.assign(rows);
        let members = Members::new(&homes.index, self.centres.len());
        let found: Vec<Nearest> =
            (0..self.near.len()).into_par_iter().map(|g| self.assign_group(g, rows, members.of(g))).collect();
        let mut nearest = Nearest { index: vec![0; rows.len()], dist_sq: vec![0.0; rows.len()] };
        for (group, found) in found.iter().enumerate() {
            nearest.put(members.of(group), found);
        }
        // What is no number is in doubt.
        let is_sure = |row: usize| {
            let reach_sq = self.near[homes.index[row] as usize].reach_sq;
            nearest.dist_sq[row] <= reach_sq - homes.dist_sq[row]
        };
        let doubtful = (0..rows.len() as u32).filter(|&row| !is_sure(row as usize)).collect();
        (nearest, doubtful)
    }

    fn assign_group(&self, group: usize, rows: Vectors<'_>, members: &[u32]) -> Nearest {
        let dim = rows.dim();
        let near = &self.near[group].centroids;
        if members.is_empty() {
            return Nearest::default();
        }
        let listed = Centroids::new(gather(self.centroids.vectors(), near), dim);
        let mut found = listed.assign_exactly(Vectors::new(&gather(rows, members), dim));
        found.index.iter_mut().for_each(|i| *i = near[*i as usize]);
        found
    }
}

impl Nearest {
    /// Puts what was found for some rows in their places.
    fn put(&mut self, rows: &[u32], found: &Nearest) {
        for ((&row, &index), &dist_sq) in rows.iter().zip(&found.index).zip(&found.dist_sq) {
            self.index[row as usize] = index;
            self.dist_sq[row as usize] = dist_sq;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// Rows in clusters, and of these some as centroids.
    fn clustered(rows: usize, centroids: usize, dim: usize) -> (Vec<f32>, Centroids) {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let centres: Vec<f32> = (0..60 * dim).map(|_| rng.random::<f32>() * 9.0).collect();
        let mut data = Vec::new();
        for _ in 0..rows {
            let centre = rng.random_range(0..60) * dim;
            data.extend(centres[centre..centre + dim].iter().map(|x| x + rng.random::<f32>()));
        }
        let step = rows / centroids;
        let some = (0..centroids).flat_map(|c| data[c * step * dim..][..dim].to_vec()).collect();
        (data, Centroids::new(some, dim))
    }

    #[test]
    fn rows_get_their_nearest_centroid_nearly_always() {
        let (data, centroids) = clustered(12_000, CENTROIDS_MIN, 4);
        let rows = Vectors::new(&data, 4);
        let found = assign(&centroids, rows).expect("groups help");
        let exact = centroids.assign_exactly(rows);
        let others = (0..rows.len()).filter(|&row| found.index[row] != exact.index[row]).count();
        assert!(others < 60, "{others} of {}", rows.len());
        for row in 0..rows.len() {
            let dist_sq = drift_kernels::l2_sq(rows.row(row), centroids.row(found.index[row] as usize));
            assert_eq!(found.dist_sq[row], dist_sq);
            assert!(dist_sq >= exact.dist_sq[row]);
        }
    }

    #[test]
    fn few_centroids_few_rows_and_rows_without_groups_are_left_to_comparing_all() {
        let (data, centroids) = clustered(4_000, CENTROIDS_MIN - 1, 4);
        assert!(assign(&centroids, Vectors::new(&data, 4)).is_none());
        let (data, centroids) = clustered(2 * CENTROIDS_MIN - 1, CENTROIDS_MIN, 4);
        assert!(assign(&centroids, Vectors::new(&data, 4)).is_none());
        // All about equally far from each other.
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let noise: Vec<f32> = (0..3_000 * 100).map(|_| rng.random()).collect();
        let centroids = Centroids::new(noise[..CENTROIDS_MIN * 100].to_vec(), 100);
        assert!(assign(&centroids, Vectors::new(&noise, 100)).is_none());
    }

    #[test]
    fn values_that_overflow_and_centroids_that_are_equal_are_assigned() {
        let (mut data, _) = clustered(4_000, CENTROIDS_MIN, 4);
        data[4 * 17] = 1e38;
        let centroids = Centroids::new(data[..4].repeat(CENTROIDS_MIN), 4);
        let nearest = centroids.assign(Vectors::new(&data, 4));
        assert!(nearest.index.iter().all(|&c| c < CENTROIDS_MIN as u32));
        let (_, centroids) = clustered(4_000, CENTROIDS_MIN, 4);
        let exact = centroids.assign_exactly(Vectors::new(&data, 4));
        assert_eq!(centroids.assign(Vectors::new(&data, 4)).index[17], exact.index[17]);
    }
}
