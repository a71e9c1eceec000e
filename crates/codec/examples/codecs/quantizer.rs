//! SQ8: a step from the full range of a run beside steps that clamp its tails.
//!
//! Rows are put into buckets of about 128 near ones, as in a segment, each with a quantizer of its
//! own. A smaller step codes most values finer and the clamped ones worse; the largest error of a
//! row, which bounds the whole run, decides how many rows a search has to compare exactly.

use drift_codec::{Sq8, Sq8Codes, Sq8Scanner};
use drift_kernels::{add_assign, l2_sq_rows, nearest, norm_sq};

use crate::{Record, sets::Set};

/// Shares of |x - centre| that the codes reach; the rest is clamped.
const REACHES: [f64; 4] = [1.0, 0.9999, 0.999, 0.995];

const BUCKET: usize = 128;
const QUERIES: usize = 200;
const K: usize = 10;

pub fn measure(set: &Set, record: &mut Record) {
    let (queries, rows) = hold_out(set);
    let buckets = cluster(&rows, set.dim);
    let truth: Vec<Vec<usize>> = queries.chunks(set.dim).map(|query| true_neighbours(query, &buckets)).collect();
    println!(
        "{:>20} {:>14} {:>14} {:>10} {:>12}",
        "SQ8, reach", "mean sq error", "run's error", "recall@10", "reranked"
    );
    for reach in REACHES {
        let runs: Vec<(Sq8, Sq8Codes)> = buckets.iter().map(|bucket| code(bucket, set.dim, reach)).collect();
        let mut squares = 0.0;
        for (bucket, (sq8, codes)) in buckets.iter().zip(&runs) {
            squares += sum_of_squares(bucket, sq8, codes);
        }
        let mean_sq_error = squares / (rows.len() / set.dim) as f64;
        let error = runs.iter().map(|(_, codes)| f64::from(codes.error)).sum::<f64>() / runs.len() as f64;
        let (mut hits, mut reranked) = (0, 0);
        for (query, truth) in queries.chunks(set.dim).zip(&truth) {
            let (found, compared) = search(query, &runs);
            hits += found.iter().filter(|row| truth.contains(row)).count();
            reranked += compared;
        }
        let (recall, reranked) = (hits as f64 / (K * truth.len()) as f64, reranked as f64 / truth.len() as f64);
        println!("{:>18} % {mean_sq_error:>14.3e} {error:>14.3e} {recall:>10.4} {reranked:>12.1}", 100.0 * reach);
        let figures = [("run_error", error), ("recall_at_10", recall), ("reranked", reranked)];
        record.put(&set.name, &format!("sq8 {reach} mean_sq_error_e6"), 1e6 * mean_sq_error);
        figures.iter().for_each(|(figure, value)| record.put(&set.name, &format!("sq8 {reach} {figure}"), *value));
    }
}

/// Every so many'th row becomes a query and leaves the set.
fn hold_out(set: &Set) -> (Vec<f32>, Vec<f32>) {
    let every = (set.rows.len() / set.dim / QUERIES).max(2);
    let (mut queries, mut rows) = (Vec::new(), Vec::new());
    for (i, row) in set.rows.chunks(set.dim).enumerate() {
        if i % every == 0 { queries.extend_from_slice(row) } else { rows.extend_from_slice(row) }
    }
    (queries, rows)
}

/// The rows by bucket: nearest centroid after two rounds of Lloyd's algorithm.
fn cluster(rows: &[f32], dim: usize) -> Vec<Vec<f32>> {
    let n = rows.len() / dim;
    let k = n.div_ceil(BUCKET);
    let mut centroids: Vec<f32> = (0..k).flat_map(|i| &rows[i * n / k * dim..][..dim]).copied().collect();
    let mut buckets = Vec::new();
    for _ in 0..3 {
        let norms_sq: Vec<f32> = centroids.chunks(dim).map(norm_sq).collect();
        let (mut index, mut dist_sq) = (vec![0; n], vec![0.0; n]);
        nearest(rows, dim, &centroids, &norms_sq, &mut index, &mut dist_sq);
        buckets = vec![Vec::new(); k];
        index.iter().zip(rows.chunks(dim)).for_each(|(&i, row)| buckets[i as usize].extend_from_slice(row));
        for (centroid, bucket) in centroids.chunks_mut(dim).zip(&buckets).filter(|(_, bucket)| !bucket.is_empty()) {
            centroid.fill(0.0);
            bucket.chunks(dim).for_each(|row| add_assign(centroid, row));
            centroid.iter_mut().for_each(|x| *x *= dim as f32 / bucket.len() as f32);
        }
    }
    buckets.retain(|bucket| !bucket.is_empty());
    buckets
}

fn code(rows: &[f32], dim: usize, reach: f64) -> (Sq8, Sq8Codes) {
    let mut sq8 = Sq8::train(rows, dim);
    if reach < 1.0 {
        let deviations = rows.chunks(dim).flat_map(|row| row.iter().zip(&sq8.centre).map(|(x, c)| (x - c).abs()));
        let mut deviations: Vec<f32> = deviations.collect();
        let at = ((deviations.len() as f64 * reach) as usize).min(deviations.len() - 1);
        let (_, reached, _) = deviations.select_nth_unstable_by(at, f32::total_cmp);
        sq8.step = (*reached / 127.0).max(f32::MIN_POSITIVE);
    }
    let codes = sq8.encode(rows);
    (sq8, codes)
}

fn sum_of_squares(rows: &[f32], sq8: &Sq8, codes: &Sq8Codes) -> f64 {
    let dim = sq8.centre.len();
    let stride = codes.codes.len() / (rows.len() / dim);
    let pairs = rows.chunks(dim).zip(codes.codes.chunks(stride));
    let decoded = |c: f32, u: u8| f64::from(c) + f64::from(sq8.step) * (f64::from(u) - 128.0);
    let of_row = |(row, codes): (&[f32], &[u8])| -> f64 {
        row.iter().zip(&sq8.centre).zip(codes).map(|((&x, &c), &u)| (f64::from(x) - decoded(c, u)).powi(2)).sum()
    };
    pairs.map(of_row).sum()
}

/// Rows are numbered bucket by bucket.
fn true_neighbours(query: &[f32], buckets: &[Vec<f32>]) -> Vec<usize> {
    let mut scores = Vec::new();
    for bucket in buckets {
        let mut some = vec![0.0; bucket.len() / query.len()];
        l2_sq_rows(query, bucket, &mut some);
        scores.extend(some);
    }
    best(&scores)
}

/// The best rows by their codes alone, and how many would have to be compared exactly.
fn search(query: &[f32], runs: &[(Sq8, Sq8Codes)]) -> (Vec<usize>, usize) {
    let mut scanner = Sq8Scanner::new(query, false);
    let (mut estimates, mut errors) = (Vec::new(), Vec::new());
    for (sq8, codes) in runs {
        estimates.extend_from_slice(scanner.scan(&codes.block(sq8)));
        errors.resize(estimates.len(), codes.error);
    }
    let bounds: Vec<(f32, f32)> = estimates.iter().zip(&errors).map(|(&x, &error)| scanner.bounds(x, error)).collect();
    let mut uppers: Vec<f32> = bounds.iter().map(|(_, upper)| *upper).collect();
    let (_, kth, _) = uppers.select_nth_unstable_by(K - 1, f32::total_cmp);
    (best(&estimates), bounds.iter().filter(|(lower, _)| lower <= kth).count())
}

fn best(scores: &[f32]) -> Vec<usize> {
    let mut rows: Vec<usize> = (0..scores.len()).collect();
    rows.select_nth_unstable_by(K, |&a, &b| scores[a].total_cmp(&scores[b]));
    rows.truncate(K);
    rows
}
