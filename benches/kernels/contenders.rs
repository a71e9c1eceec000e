//! The scans that are measured.

use std::{hint::black_box, time::Instant};

use drift_codec::{Bit1Probe, Bit1Scanner, CentreScore, Sq8Scanner, bit1_scan_batch};
use drift_kernels::{
    Bit1Scan, Bit1Survivors, Bit1Table, Isa, bit1_isas, bit1_survivors_on, bit1_tile_len, dot_rows, l2_sq_rows, rotate,
    sq8_stride,
};
use drift_types::Metric;

use crate::set::{RUN, Run, Set};

/// Runs scanned in one round.
const SCANS: usize = 2_000;

const EPS: f32 = 1.9;

/// A way to scan a run.
pub struct Contender<'a> {
    pub name: String,
    pub kind: Kind,
    pub bytes_per_row: f64,
    /// Queries that one scan serves.
    pub queries: usize,
    pub scan: Box<dyn FnMut(&Run) + 'a>,
}

/// What is computed of a row: contenders of one kind are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The squared distance of f32.
    L2,
    /// The dot product of f32.
    Dot,
    /// A distance by codes of 8 bits per value.
    Bits8,
    /// A distance by codes of 1 bit per value.
    Bits1,
}

impl Contender<'_> {
    /// Of one round of runs in random order, per row and query.
    pub fn ns_per_row(&mut self, set: &Set, seed: u64) -> f64 {
        // What the contender before has left in the caches is not what this one reads.
        for run in &set.runs {
            (self.scan)(run);
        }
        let mut rng = fastrand::Rng::with_seed(seed);
        let order: Vec<&Run> = (0..SCANS).map(|_| &set.runs[rng.usize(..set.runs.len())]).collect();
        let start = Instant::now();
        for run in order {
            (self.scan)(run);
        }
        start.elapsed().as_secs_f64() * 1e9 / (SCANS * RUN * self.queries) as f64
    }
}

/// All of ours, f32 first.
pub fn contenders(set: &Set) -> Vec<Contender<'_>> {
    let mut all = vec![floats(set), dots(set), sq8(set)];
    all.extend(bit1_isas().into_iter().map(|isa| bit1_on(set, isa)));
    all.extend([bit1(set), bit1_with_centre(set), bit1_batch(set)]);
    all
}

fn floats(set: &Set) -> Contender<'_> {
    let mut out = vec![0.0; RUN];
    let scan = move |run: &Run| {
        l2_sq_rows(&set.queries[0], &run.floats, &mut out);
        black_box(&out);
    };
    let bytes_per_row = 4.0 * set.dim as f64;
    Contender { name: "f32 l2".into(), kind: Kind::L2, bytes_per_row, queries: 1, scan: Box::new(scan) }
}

fn dots(set: &Set) -> Contender<'_> {
    let mut out = vec![0.0; RUN];
    let scan = move |run: &Run| {
        dot_rows(&set.queries[0], &run.floats, &mut out);
        black_box(&out);
    };
    let bytes_per_row = 4.0 * set.dim as f64;
    Contender { name: "f32 dot".into(), kind: Kind::Dot, bytes_per_row, queries: 1, scan: Box::new(scan) }
}

fn sq8(set: &Set) -> Contender<'_> {
    let mut scanner = Sq8Scanner::new(&set.queries[0], false);
    let scan = move |run: &Run| {
        let (sq8, codes) = &run.sq8;
        black_box(scanner.scan(&codes.block(sq8)));
    };
    let bytes_per_row = sq8_stride(set.dim) as f64;
    Contender { name: "SQ8".into(), kind: Kind::Bits8, bytes_per_row, queries: 1, scan: Box::new(scan) }
}

fn bit1_contender<'a>(set: &Set, name: String, queries: usize, scan: impl FnMut(&Run) + 'a) -> Contender<'a> {
    let bytes_per_row = bit1_tile_len(set.dim) as f64 / 16.0;
    Contender { name, kind: Kind::Bits1, bytes_per_row, queries, scan: Box::new(scan) }
}

/// The kernel alone.
fn bit1_on(set: &Set, isa: Isa) -> Contender<'_> {
    let mut table = Bit1Table::new(set.dim);
    let mut rotated = set.queries[0].clone();
    rotate(&mut rotated);
    table.set(&rotated);
    let threshold = threshold(set, &set.queries[0]);
    let centre = scanner(set, &set.queries[0]).centre_score(&set.runs[0].sq8.0.centre);
    let mut out = Bit1Survivors::default();
    bit1_contender(set, format!("1 bit, {isa} kernel"), 1, move |run| {
        let scales = run.bit1.scales;
        let width = EPS * scales.error * centre.score.sqrt();
        let scan =
            Bit1Scan { table: &table, base: centre.score, a_scale: scales.a, b_scale: scales.b, width, threshold };
        bit1_survivors_on(isa, &scan, run.block().tiles, RUN, None, &mut out);
        black_box(out.rows());
    })
}

/// As a search does it that knows the scores of centres.
fn bit1(set: &Set) -> Contender<'_> {
    let mut scanner = scanner(set, &set.queries[0]);
    let threshold = threshold(set, &set.queries[0]);
    let centre = scanner.centre_score(&set.runs[0].sq8.0.centre);
    bit1_contender(set, "1 bit".into(), 1, move |run| {
        black_box(scanner.scan(&run.block(), centre, threshold, None).rows());
    })
}

/// As a search does it that computes the scores of centres.
fn bit1_with_centre(set: &Set) -> Contender<'_> {
    let mut scanner = scanner(set, &set.queries[0]);
    let threshold = threshold(set, &set.queries[0]);
    bit1_contender(set, "1 bit and centre".into(), 1, move |run| {
        let centre = scanner.centre_score(&run.sq8.0.centre);
        black_box(scanner.scan(&run.block(), centre, threshold, None).rows());
    })
}

fn bit1_batch(set: &Set) -> Contender<'_> {
    let mut scanners = set.queries.each_ref().map(|query| scanner(set, query));
    let centre_of_first = &set.runs[0].sq8.0.centre;
    let known: [(CentreScore, f32); 4] =
        std::array::from_fn(|i| (scanners[i].centre_score(centre_of_first), threshold(set, &set.queries[i])));
    bit1_contender(set, "1 bit, four queries".into(), 4, move |run| {
        let mut known = known.iter();
        let mut probes = scanners.each_mut().map(|scanner| {
            let &(centre, threshold) = known.next().expect("four");
            Bit1Probe { scanner, centre, threshold }
        });
        bit1_scan_batch(&mut probes, &run.block(), None);
        black_box(&probes);
    })
}

fn scanner(set: &Set, query: &[f32]) -> Bit1Scanner {
    let mut scanner = Bit1Scanner::new(query, Metric::L2, EPS);
    scanner.set_origin(&set.origin);
    scanner
}

/// What one row of a hundred of the first run beats.
fn threshold(set: &Set, query: &[f32]) -> f32 {
    let mut scanner = scanner(set, query);
    let run = &set.runs[0];
    let centre = scanner.centre_score(&run.sq8.0.centre);
    let mut lowers = scanner.scan(&run.block(), centre, f32::INFINITY, None).lowers().to_vec();
    lowers.sort_by(f32::total_cmp);
    lowers[lowers.len() / 100]
}
