//! What goes before a scan of 1-bit codes.

use std::{hint::black_box, time::Instant};

use drift_codec::{Bit1, Bit1Scanner};
use drift_kernels::rotate;
use drift_types::Metric;

const ROUNDS: usize = 9;
const REPEAT: usize = 1_000;

/// Prints ns of a rotation, of preparing a query with a new origin, and of coding a row.
pub fn measure(dim: usize) {
    let mut rng = fastrand::Rng::with_seed(1);
    let mut random = |n: usize| (0..n * dim).map(|_| rng.f32() - 0.5).collect::<Vec<f32>>();
    let (mut x, rows, origins) = (random(1), random(128), [random(1), random(1)]);
    let mut scanner = Bit1Scanner::new(&x, Metric::L2, 1.9);
    let mut bit1 = Bit1::new(&origins[0]);
    let rotation = best_ns(REPEAT, |_| {
        rotate(&mut x);
        black_box(&x);
    });
    let query = best_ns(REPEAT, |i| {
        scanner.set_origin(&origins[i % 2]);
        black_box(&scanner);
    });
    let run = best_ns(10, |_| {
        black_box(bit1.encode(&rows, &origins[1]));
    });
    println!(
        "rotation {rotation:.0} ns, rotation and table of a query {query:.0} ns, coding a row {:.0} ns",
        run / 128.0
    );
}

fn best_ns(repeat: usize, mut act: impl FnMut(usize)) -> f64 {
    let rounds = (0..ROUNDS).map(|_| {
        let start = Instant::now();
        (0..repeat).for_each(&mut act);
        start.elapsed().as_secs_f64() * 1e9 / repeat as f64
    });
    rounds.fold(f64::INFINITY, f64::min)
}
