//! Measures what scanning a row costs: f32, 8-bit and 1-bit codes, the latter on each instruction set of
//! this machine, alone and for four queries at once; beside reading memory, and beside simsimd and numkong.
//! And what goes with a scan: preparing a query, coding a row, keeping the best.
//!
//! ```text
//! cargo bench --workspace --bench kernels --features drift-benches/peers -- --record FILE.csv
//! ```
//! Runs of 128 rows are scanned in random order, out of 4,000 rows, which fit the L2 cache by their codes,
//! and out of 60,000. Everything takes turns within a round, and the best round of each counts, so that
//! figures of one run may be compared. *Of memory* is the speed of a scan over that of only reading as many
//! bytes as all rows have. Peers compute one row per call; simsimd sums f32 in f32, as we do, numkong in
//! f64. Their codes of 8 bits are compared with a query of 8 bits, ours with one of 14; their bits with the
//! query's, ours with one of 8 bits per value, and our scan knows which rows come into question.

mod contenders;
mod memory;
#[cfg(feature = "peers")]
mod peers;
mod prepare;
mod set;
mod top_k;

use clap::Parser;
use contenders::{Contender, contenders};
use drift_benches::record::{Record, Recording};
use set::Set;

const ROUNDS: usize = 9;
const ROWS: [usize; 2] = [4_000, 60_000];

#[derive(Parser)]
struct Args {
    /// Dimensions.
    #[arg(long, value_delimiter = ',', default_value = "128,384,768,800")]
    dim: Vec<usize>,
    #[command(flatten)]
    recording: Recording,
}

fn main() {
    let args = Args::parse();
    let record = Record::new("date machine commit,rows,dim,kernel,figure,value");
    let mut report = Report { tag: args.recording.tag(), record };
    let (near, far) = (memory::read_gb_per_s(256 << 10), memory::read_gb_per_s(256 << 20));
    println!("reading memory: {near:.1} GB/s in L2, {far:.1} GB/s beyond the caches");
    report.put(0, 0, "memory in L2", "gb_per_s", near);
    report.put(0, 0, "memory beyond the caches", "gb_per_s", far);
    for &dim in &args.dim {
        for rows in ROWS {
            measure(&Set::new(rows, dim), &mut report);
        }
        prepare::measure(dim);
    }
    for (name, ns) in top_k::measure() {
        report.put(0, 0, &name, "ns_per_score", ns);
    }
    args.recording.append(&report.record);
}

struct Report {
    tag: String,
    record: Record,
}

impl Report {
    fn put(&mut self, rows: usize, dim: usize, kernel: &str, figure: &str, value: f64) {
        self.record.put(&[&self.tag, &rows.to_string(), &dim.to_string(), &kernel.replace(',', ""), figure], value);
    }
}

/// Of each contender ns per row and query, bytes read per second, as a share of reading memory, and how
/// many times as fast as others of its kind it is.
fn measure(set: &Set, report: &mut Report) {
    println!("\n{} rows of {} dimensions", set.rows(), set.dim);
    println!("{:>26} {:>8} {:>8} {:>10}", "", "ns/row", "GB/s", "of memory");
    let mut all = contenders(set);
    #[cfg(feature = "peers")]
    all.extend(peers::contenders(set));
    let mut best = vec![f64::INFINITY; all.len()];
    for round in 0..ROUNDS {
        for (best, contender) in best.iter_mut().zip(&mut all) {
            *best = best.min(contender.ns_per_row(set, round as u64));
        }
    }
    let measured: Vec<(&Contender<'_>, f64)> = all.iter().zip(best).collect();
    for &(contender, ns) in &measured {
        let gb_per_s = contender.bytes_per_row / ns / contender.queries as f64;
        let memory = memory::read_gb_per_s((contender.bytes_per_row * set.rows() as f64) as usize);
        print!("{:>26} {ns:>8.2} {gb_per_s:>8.1} {:>10.2}", contender.name, gb_per_s / memory);
        let mut put = |figure: &str, value| report.put(set.rows(), set.dim, &contender.name, figure, value);
        put("ns_per_row", ns);
        put("of_memory", gb_per_s / memory);
        for (peer, peer_ns) in measured.iter().filter(|(other, _)| is_compared(contender, other)) {
            print!("   {:.2} x {}", peer_ns / ns, peer.name);
            put(&format!("times as fast as {}", peer.name), peer_ns / ns);
        }
        println!();
    }
}

/// Whether `other` is a peer's way to do what `ours` does.
fn is_compared(ours: &Contender<'_>, other: &Contender<'_>) -> bool {
    let is_peer = |c: &Contender<'_>| c.name.starts_with("simsimd") || c.name.starts_with("numkong");
    ours.kind == other.kind && !is_peer(ours) && is_peer(other)
}
