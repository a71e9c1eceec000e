//! Measures what scanning a row costs: 1-bit codes on each instruction set of this machine, alone and
//! for four queries at once, beside SQ8, f32 and reading memory. And what goes before a scan: preparing
//! a query, coding a row.
//!
//! ```text
//! cargo run --release -p drift-codec --example scans
//! ```
//! Runs of 128 rows are scanned in random order, out of 4,000 rows, which fit the L2 cache by their
//! 1-bit codes, and out of 60,000. Everything takes turns within a round, and the best round of each
//! counts, so that figures of one run may be compared.

mod contenders;
mod memory;
mod prepare;
mod set;

use contenders::contenders;
use set::Set;

const DIMENSIONS: [usize; 4] = [128, 384, 768, 800];
const ROUNDS: usize = 9;

fn main() {
    let (near, far) = (memory::read_gb_per_s(256 << 10), memory::read_gb_per_s(256 << 20));
    println!("reading memory: {near:.1} GB/s in L2, {far:.1} GB/s beyond the caches");
    for dim in DIMENSIONS {
        for rows in [4_000, 60_000] {
            measure(&Set::new(rows, dim));
        }
        prepare::measure(dim);
    }
}

/// Prints ns per row and query, how many times as fast as f32 that is, and bytes read per second.
fn measure(set: &Set) {
    println!("\n{} rows of {} dimensions", set.rows(), set.dim);
    println!("{:>26} {:>10} {:>10} {:>10}", "", "ns/row", "f32 = 1", "GB/s");
    let mut contenders = contenders(set);
    let mut best = vec![f64::INFINITY; contenders.len()];
    for round in 0..ROUNDS {
        for (best, contender) in best.iter_mut().zip(&mut contenders) {
            *best = best.min(contender.ns_per_row(set, round as u64));
        }
    }
    let floats = best[0];
    for (ns, contender) in best.into_iter().zip(&contenders) {
        let gb_per_s = contender.bytes_per_row / ns / contender.queries as f64;
        println!("{:>26} {ns:>10.2} {:>10.1} {gb_per_s:>10.1}", contender.name, floats / ns);
    }
}
