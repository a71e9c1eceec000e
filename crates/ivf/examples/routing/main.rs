//! Measures what a search spends on finding its buckets: ranking them and handing out the first ones,
//! by exact distances and by 1-bit codes, and what the stop rule adds for each.
//!
//! ```text
//! cargo run --release -p drift-ivf --example routing
//! ```
//! Ways take turns with each query and the median over queries counts, so that figures of one run may
//! be compared. Before each turn 4 MB of other memory are read, as searches read codes between: what is
//! ranked is then in the L3 cache, not in L2.

mod set;
mod stop;

use std::{hint::black_box, time::Instant};

use drift_codec::Bit1Scanner;
use drift_ivf::Ranking;
use drift_types::Metric;

use set::Set;

const BUCKETS: [usize; 4] = [64, 334, 1_000, 8_000];
const DIMENSIONS: [usize; 3] = [128, 384, 784];
const HANDED_OUT: [usize; 3] = [10, 42, 150];
/// Rows of a 1-bit search keep their bounds in 97 of 100.
const EPS: f32 = 1.9;

fn main() {
    println!("us for ranking and 10, 42, 150 buckets     {:>22} {:>22}", "by exact distances", "by codes");
    for dim in DIMENSIONS {
        for buckets in BUCKETS {
            measure(&Set::new(buckets, dim));
        }
    }
    println!("ns per bucket of the stop rule: {:.1}", stop::ns_per_bucket(&Set::new(334, 384)));
}

fn measure(set: &Set) {
    let begun = Instant::now();
    black_box(set.router());
    let built = begun.elapsed().as_secs_f64() * 1e3;
    let mut times = [(); 6].map(|()| Vec::new());
    let other: Vec<u64> = vec![1; 4 << 17];
    for query in &set.queries {
        let mut scanner = Bit1Scanner::new(query, Metric::L2, EPS);
        scanner.set_origin(&set.origin);
        for (place, n) in HANDED_OUT.into_iter().enumerate() {
            times[place].push(timed(&other, || set.router.rank(query, None, &set.counts), n));
            times[3 + place].push(timed(&other, || set.router.rank(query, Some(&mut scanner), &set.counts), n));
        }
    }
    let [a, b, c, d, e, f] = times.map(median);
    print!("{:5} buckets, {:3} dimensions, built in {built:4.1} ms", set.counts.len(), set.dim);
    println!("  {a:6.1} {b:7.1} {c:7.1}  {d:6.1} {e:7.1} {f:7.1}");
}

/// Microseconds of ranking and handing out `n` buckets.
fn timed<'r>(other: &[u64], rank: impl FnOnce() -> Ranking<'r>, n: usize) -> f64 {
    black_box(other.iter().step_by(8).sum::<u64>());
    let begun = Instant::now();
    let mut ranking = rank();
    for _ in 0..n {
        black_box(ranking.next());
    }
    begun.elapsed().as_secs_f64() * 1e6
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
