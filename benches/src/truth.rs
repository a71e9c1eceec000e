//! Exact answers, by comparing every query with every live row.

use drift_kernels::l2_sq;
use drift_types::Vectors;

/// Rows compared with all queries before the next ones: they stay in the cache.
const ROWS_PER_BLOCK: usize = 64;

/// For each query the squared distance of its k-th nearest live row; infinite if fewer are live, so that
/// every live row is a neighbour then.
///
/// `live`: one flag per row.
pub fn kth_distances(rows: Vectors<'_>, live: &[bool], queries: Vectors<'_>, k: usize) -> Vec<f32> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let share = queries.len().div_ceil(cores).max(1);
    std::thread::scope(|scope| {
        let parts: Vec<_> = (0..queries.len()).step_by(share).collect();
        let threads: Vec<_> = parts
            .into_iter()
            .map(|start| {
                let part = queries.slice(start..(start + share).min(queries.len()));
                scope.spawn(move || kth_of_each(rows, live, part, k))
            })
            .collect();
        threads.into_iter().flat_map(|t| t.join().expect("comparing does not panic")).collect()
    })
}

fn kth_of_each(rows: Vectors<'_>, live: &[bool], queries: Vectors<'_>, k: usize) -> Vec<f32> {
    let mut nearest = vec![vec![f32::INFINITY; k]; queries.len()];
    for block in (0..rows.len()).step_by(ROWS_PER_BLOCK) {
        let block = block..(block + ROWS_PER_BLOCK).min(rows.len());
        for (query, nearest) in queries.iter().zip(&mut nearest) {
            for row in block.clone().filter(|&row| live[row]) {
                keep_smallest(nearest, l2_sq(query, rows.row(row)));
            }
        }
    }
    nearest.into_iter().map(|nearest| nearest[k - 1]).collect()
}

/// For each query the rows no farther than its k-th, nearest first.
pub fn within(rows: Vectors<'_>, queries: Vectors<'_>, kth: &[f32]) -> Vec<Vec<u32>> {
    let mut near: Vec<Vec<(f32, u32)>> = vec![Vec::new(); queries.len()];
    for (number, row) in (0..).zip(rows.iter()) {
        for ((query, near), &kth) in queries.iter().zip(&mut near).zip(kth) {
            let distance = l2_sq(query, row);
            if distance <= kth {
                near.push((distance, number));
            }
        }
    }
    near.iter_mut().for_each(|near| near.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))));
    near.into_iter().map(|near| near.into_iter().map(|(_, row)| row).collect()).collect()
}

/// Puts a distance where it belongs in an ascending list of fixed length.
fn keep_smallest(nearest: &mut [f32], distance: f32) {
    if distance < nearest[nearest.len() - 1] {
        let at = nearest.partition_point(|&d| d <= distance);
        nearest[at..].rotate_right(1);
        nearest[at] = distance;
    }
}

/// The share of `k` neighbours that were found: distinct live rows no farther than the true k-th. So
/// rows at the same distance count alike.
pub fn recall(rows: Vectors<'_>, live: &[bool], query: &[f32], kth: f32, k: usize, found: &[i64]) -> f64 {
    let mut found: Vec<usize> = found.iter().map(|&id| id as usize).collect();
    found.sort_unstable();
    found.dedup();
    let hits = found.iter().filter(|&&row| live[row] && l2_sq(query, rows.row(row)) <= kth).count();
    hits as f64 / k as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 0, 1, 2 .. 99 on a line, and 5 twice.
    fn line() -> Vec<f32> {
        (0..100).chain([5]).map(|x| x as f32).collect()
    }

    #[test]
    fn only_live_rows_are_neighbours() {
        let (rows, queries) = (line(), [50.2]);
        let mut live = vec![true; rows.len()];
        let kth = |live: &[bool]| kth_distances(Vectors::new(&rows, 1), live, Vectors::new(&queries, 1), 3)[0];
        assert_eq!(kth(&live), l2_sq(&queries, &[49.0]));
        live[50] = false;
        live[51] = false;
        assert_eq!(kth(&live), l2_sq(&queries, &[48.0]));
        live[3..].fill(false);
        assert_eq!(kth(&live), l2_sq(&queries, &[0.0]));
        live[1] = false;
        assert_eq!(kth(&live), f32::INFINITY);
    }

    #[test]
    fn rows_within_a_distance_come_nearest_first() {
        let rows = line();
        let found = within(Vectors::new(&rows, 1), Vectors::new(&[50.2, 5.2], 1), &[1.0, 0.1]);
        assert_eq!(found, [vec![50, 51], vec![5, 100]]);
    }

    #[test]
    fn rows_as_near_as_the_kth_count_and_none_twice() {
        let rows = line();
        let mut live = vec![true; rows.len()];
        let view = Vectors::new(&rows, 1);
        let kth = kth_distances(view, &live, Vectors::new(&[5.0], 1), 3)[0];
        assert_eq!(kth, 1.0);
        let share = |live: &[bool], found: &[i64]| recall(view, live, &[5.0], kth, 3, found);
        assert_eq!(share(&live, &[5, 100, 4]), 1.0);
        assert_eq!(share(&live, &[100, 5, 6]), 1.0);
        assert_eq!(share(&live, &[5, 5, 6]), 2.0 / 3.0);
        assert_eq!(share(&live, &[5, 6, 7]), 2.0 / 3.0);
        live[6] = false;
        assert_eq!(share(&live, &[5, 100, 6]), 2.0 / 3.0);
    }
}
