use std::cell::Cell;

use drift_memtable::{L0Stats, Memtable};
use drift_types::{Metric, TopK};
use rand::Rng;

use crate::data::{METRICS, append, exact, found, into_index_space, rng, uniform};

/// A memtable of random shape: many batches, some rows repeated, far from the origin or not.
fn random_memtable(seed: u64, metric: Metric, dim: usize) -> Memtable {
    let mut rng = rng(seed);
    let scale = [1e-3, 1.0, 1e6][rng.random_range(0..3)];
    let offset = [0.0, 1000.0][rng.random_range(0..2)] * scale;
    let mut memtable = Memtable::new(dim, metric);
    for seq in 0..rng.random_range(1..12) {
        let mut data: Vec<f32> = Vec::new();
        for _ in 0..rng.random_range(1..400) {
            if !memtable.is_empty() && rng.random_bool(0.1) {
                data.extend_from_slice(memtable.row(rng.random_range(0..memtable.len() as u32)));
            } else {
                data.extend(uniform(&mut rng, dim).iter().map(|x| x * scale + offset));
            }
        }
        into_index_space(metric, &mut data, dim);
        memtable = append(&memtable, &data, dim, seq);
    }
    memtable
}

fn score_f64(metric: Metric, query: &[f32], row: &[f32]) -> f64 {
    let pairs = query.iter().zip(row).map(|(&q, &x)| (f64::from(q), f64::from(x)));
    match metric {
        Metric::L2 | Metric::Cosine => pairs.map(|(q, x)| (q - x).powi(2)).sum(),
        Metric::InnerProduct => -pairs.map(|(q, x)| q * x).sum::<f64>(),
    }
}

#[test]
fn the_flat_scan_misses_nothing() {
    for (seed, metric) in (0..40).flat_map(|seed| METRICS.map(|metric| (seed, metric))) {
        let mut rng = rng(1000 + seed);
        let dim = rng.random_range(1..150);
        let memtable = random_memtable(seed, metric, dim);
        let mut query = memtable.row(rng.random_range(0..memtable.len() as u32)).to_vec();
        if rng.random_bool(0.5) {
            query.iter_mut().for_each(|x| *x *= rng.random_range(0.5..1.5));
        }
        let dead_share = [0.0, 0.3, 0.99][rng.random_range(0..3)];
        let dead: Vec<bool> = (0..memtable.len()).map(|_| rng.random_bool(dead_share)).collect();
        let live = |ordinal: u32| !dead[ordinal as usize];
        for k in [0, 1, 10, memtable.len() + 3] {
            let context = format!("seed {seed}, {metric}, dim {dim}, k {k}");
            let hits = found(&memtable, &query, k, &live);
            assert_eq!(hits, exact(&memtable, &query, k, &live), "{context}");
            let live_rows = dead.iter().filter(|&&dead| !dead).count();
            assert_eq!(hits.len(), k.min(live_rows), "{context}");
        }
    }
}

#[test]
fn exact_scores_rank_as_double_precision_does() {
    for (seed, metric) in (100..110).flat_map(|seed| METRICS.map(|metric| (seed, metric))) {
        let memtable = random_memtable(seed, metric, 24);
        let query = memtable.row(0).to_vec();
        let rows = || (0..memtable.len() as u32).map(|ordinal| memtable.row(ordinal));
        let mut scores: Vec<f64> = rows().map(|row| score_f64(metric, &query, row)).collect();
        scores.sort_by(f64::total_cmp);
        let magnitude = score_f64(Metric::InnerProduct, &query, &query).abs();
        for (hit, score) in exact(&memtable, &query, 20, &|_| true).iter().zip(scores) {
            assert!((f64::from(hit.score) - score).abs() <= 1e-5 * magnitude, "{hit:?}: {score}");
            assert_eq!(hit.id, memtable.id(hit.ordinal));
        }
    }
}

#[test]
fn only_rows_that_would_be_kept_are_asked_about() {
    let data: Vec<f32> = (0..6000).map(|x| x as f32).collect();
    let memtable = append(&Memtable::new(1, Metric::L2), &data, 1, 1);
    let asked = Cell::new(0);
    let hits = found(&memtable, &[0.0], 3, &|_| {
        asked.set(asked.get() + 1);
        true
    });
    assert_eq!((hits.len(), asked.get()), (3, 3));
}

#[test]
fn an_empty_memtable_answers_nothing_and_misses_nothing() {
    let memtable = Memtable::new(4, Metric::Cosine);
    let mut out = TopK::new(5);
    let stats = memtable.search(&[0.5; 4], 5, 64, false, &|_| true, &mut out);
    assert_eq!(stats, L0Stats { rows_scanned: 0, graphs_searched: 0, recall: 1.0 });
    assert!(out.is_empty() && memtable.unsealed().is_none());
}
