//! Keeping the best of many scores.

use std::{hint::black_box, time::Instant};

use drift_types::{Neighbor, TopK, VectorId};

const SCORES: usize = 10_000;
const ROUNDS: usize = 99;

/// Prints and returns what a score costs, in ns: by the engine's heap, and by selecting and sorting in the
/// end, for which all scores must be kept.
pub fn measure() -> Vec<(String, f64)> {
    println!("\nthe best k of {SCORES} scores in random order, ns per score");
    let mut rng = fastrand::Rng::with_seed(1);
    let all: Vec<Neighbor> = (0..SCORES as u64).map(|id| Neighbor { id: VectorId(id), score: rng.f32() }).collect();
    let mut measured = Vec::new();
    for k in [1, 10, 100, 1_000] {
        let heap = best_ns(|| {
            let mut top = TopK::new(k);
            for &neighbor in black_box(&all) {
                top.push(neighbor);
            }
            black_box(top.into_sorted());
        });
        let selected = best_ns(|| {
            let mut all = black_box(&all).clone();
            let (nearest, ..) = all.select_nth_unstable(k);
            nearest.sort_unstable();
            black_box(nearest);
        });
        println!("{:>26} {heap:>8.2}   select and sort {selected:.2}: {:.1} x", format!("k {k}"), selected / heap);
        measured.extend([(format!("top {k}"), heap), (format!("top {k}: select and sort"), selected)]);
    }
    measured
}

fn best_ns(mut act: impl FnMut()) -> f64 {
    let rounds = (0..ROUNDS).map(|_| {
        let start = Instant::now();
        act();
        start.elapsed().as_secs_f64() * 1e9 / SCORES as f64
    });
    rounds.fold(f64::INFINITY, f64::min)
}
