//! Seeded rows, and small helpers over the interface under test.

use drift_memtable::{L0Hit, Memtable};
use drift_types::{Metric, SeqNo, TopK, VectorId, Vectors};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

pub const METRICS: [Metric; 3] = [Metric::L2, Metric::Cosine, Metric::InnerProduct];

pub fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

pub fn uniform(rng: &mut ChaCha8Rng, n: usize) -> Vec<f32> {
    (0..n).map(|_| rng.random_range(-1.0..1.0)).collect()
}

/// Clusters of `each` rows that arrive one after the other; within one, 4 directions vary by `spread`.
pub fn clustered(rng: &mut ChaCha8Rng, rows: usize, dim: usize, each: usize, spread: f32) -> Vec<f32> {
    let axes: Vec<Vec<f32>> = (0..4).map(|_| uniform(rng, dim)).collect();
    let mut data = Vec::with_capacity(rows * dim);
    let mut centre = Vec::new();
    for row in 0..rows {
        if row.is_multiple_of(each) {
            centre = uniform(rng, dim);
        }
        let weights = uniform(rng, axes.len());
        data.extend((0..dim).map(|d| {
            let offset: f32 = weights.iter().zip(&axes).map(|(w, axis)| w * axis[d]).sum();
            centre[d] + spread * offset
        }));
    }
    data
}

/// What the engine does before rows reach L0.
pub fn into_index_space(metric: Metric, data: &mut [f32], dim: usize) {
    if metric == Metric::Cosine {
        for row in data.chunks_exact_mut(dim) {
            let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
            row.iter_mut().for_each(|x| *x /= norm);
        }
    }
}

/// Keys that are not in the order of the ordinals.
pub fn ids(ordinals: std::ops::Range<usize>) -> Vec<VectorId> {
    ordinals.map(|ordinal| VectorId((ordinal as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect()
}

pub fn append(memtable: &Memtable, data: &[f32], dim: usize, seq: u64) -> Memtable {
    let rows = Vectors::new(data, dim);
    memtable.append(rows, &ids(memtable.len()..memtable.len() + rows.len()), SeqNo(seq))
}

pub fn found(memtable: &Memtable, query: &[f32], k: usize, live: &dyn Fn(u32) -> bool) -> Vec<L0Hit> {
    let mut out = TopK::new(k);
    memtable.search(query, k, 64, false, live, &mut out);
    out.into_sorted()
}

pub fn exact(memtable: &Memtable, query: &[f32], k: usize, live: &dyn Fn(u32) -> bool) -> Vec<L0Hit> {
    let mut out = TopK::new(k);
    memtable.search_exact(query, live, &mut out);
    out.into_sorted()
}
