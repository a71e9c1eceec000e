use drift_types::Vectors;

use crate::{BUCKET_ROWS_MAX, Centroids};

/// A row changes its bucket only for one whose squared distance is below this share of the present
/// one's, so that no row wanders to and fro between two centroids.
const HYSTERESIS: f32 = 0.95;

/// Whether a row at squared distance `present` from its own centroid belongs to another one at `other`.
pub fn belongs_elsewhere(present: f32, other: f32) -> bool {
    other < HYSTERESIS * present
}

/// A row that changes its bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// The row.
    pub row: u32,
    /// Its bucket so far.
    pub from: u32,
    /// Its bucket from now on.
    pub to: u32,
}

/// The rows that have a clearly nearer centroid than their home's, and where they go. `counts` are all
/// buckets' live rows; no bucket is filled beyond [`BUCKET_ROWS_MAX`] by moves.
///
/// # Panics
/// When lengths differ or a home is no centroid.
pub fn reassign(rows: Vectors<'_>, homes: &[u32], centroids: &Centroids, counts: &mut [u32]) -> Vec<Move> {
    assert_eq!(rows.len(), homes.len(), "a home for each row");
    let nearest = centroids.assign(rows);
    let mut moves = Vec::new();
    for (row, (&from, (&to, &dist_sq))) in homes.iter().zip(nearest.index.iter().zip(&nearest.dist_sq)).enumerate() {
        if to == from || counts[to as usize] as usize >= BUCKET_ROWS_MAX {
            continue;
        }
        let present = drift_kernels::l2_sq(rows.row(row), centroids.row(from as usize));
        if belongs_elsewhere(present, dist_sq) {
            counts[from as usize] -= 1;
            counts[to as usize] += 1;
            moves.push(Move { row: row as u32, from, to });
        }
    }
    moves
}

/// For each row the nearest centroid whose bucket has room below [`BUCKET_ROWS_MAX`], counting those
/// that went before; the nearest of all where none has.
///
/// # Panics
/// When lengths differ, or there are rows but no centroid.
pub fn scatter_rows(rows: Vectors<'_>, centroids: &Centroids, counts: &mut [u32]) -> Vec<u32> {
    assert_eq!(counts.len(), centroids.len(), "a count for each centroid");
    let place = |row: &[f32]| {
        let distances = centroids.distances_sq(row);
        let nearest = |open: &dyn Fn(usize) -> bool| {
            let open = (0..distances.len()).filter(|&c| open(c));
            open.min_by(|&a, &b| distances[a].total_cmp(&distances[b]))
        };
        let home = nearest(&|c| (counts[c] as usize) < BUCKET_ROWS_MAX).or_else(|| nearest(&|_| true));
        let home = home.expect("rows are scattered over some buckets");
        counts[home] += 1;
        home as u32
    };
    rows.iter().map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: u32 = BUCKET_ROWS_MAX as u32;

    fn line(at: &[f32]) -> Centroids {
        Centroids::new(at.to_vec(), 1)
    }

    #[test]
    fn rows_move_only_for_a_clearly_nearer_centroid() {
        let centroids = line(&[0.0, 10.0]);
        let rows = [4.9, 5.05, 6.0, 1.0];
        let mut counts = [3, 1];
        let moves = reassign(Vectors::new(&rows, 1), &[0, 0, 0, 1], &centroids, &mut counts);
        // 5.05^2 against 4.95^2 is within the hysteresis.
        assert_eq!(moves, [Move { row: 2, from: 0, to: 1 }, Move { row: 3, from: 1, to: 0 }]);
        assert_eq!(counts, [3, 1]);
        let homes = [0, 0, 1, 0];
        assert_eq!(reassign(Vectors::new(&rows, 1), &homes, &centroids, &mut counts), []);
    }

    #[test]
    fn no_bucket_is_filled_beyond_its_size() {
        let centroids = line(&[0.0, 10.0]);
        let mut counts = [300, FULL - 2];
        let moves = reassign(Vectors::new(&[9.0; 5], 1), &[0; 5], &centroids, &mut counts);
        assert_eq!((moves.len(), counts), (2, [298, FULL]));
    }

    #[test]
    fn scattered_rows_go_to_the_nearest_bucket_with_room() {
        let centroids = line(&[0.0, 10.0, 20.0]);
        let mut counts = [FULL - 1, 10, FULL];
        let homes = scatter_rows(Vectors::new(&[1.0, 1.0, 19.0], 1), &centroids, &mut counts);
        assert_eq!(homes, [0, 1, 1]);
        let mut full = [FULL; 3];
        assert_eq!(scatter_rows(Vectors::new(&[19.0], 1), &centroids, &mut full), [2]);
    }
}
