//! Fits the default weights of the stop rule and measures what they promise.
//!
//! `cargo run --example calibrate -- BASE:QUERIES:DIM[:METRIC] ..`, each file row-major
//! little-endian f32. Half of the queries train, half test; truth is found by comparing everything.
//! Also what a few audited searches make of the default weights.

use std::{env, fs, time::Instant};

use drift_codec::Bit1Scanner;
use drift_ivf::{BUCKET_ROWS, BucketHeader, Features, Members, Router, StopRule, StopState, Walk, cluster, fit, refit};
use drift_types::{Metric, Neighbor, TopK, VectorId, Vectors};
use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// Rows asked for, and one in how many rows matches a filter.
const SEARCHES: [(usize, u64); 6] = [(1, 1), (10, 1), (100, 1), (1000, 1), (10, 4), (10, 16)];
const RECALLS: [f32; 4] = [0.90, 0.95, 0.98, 0.99];
const SAMPLES_PER_SET: usize = 300_000;
/// Of searches by 1-bit codes, which rankings use.
const EPS: f32 = 1.9;
/// Audits a rule is refitted from.
const AUDITS: [usize; 4] = [16, 32, 120, 360];

struct DataSet {
    name: String,
    base: Vec<f32>,
    queries: Vec<f32>,
    dim: usize,
    metric: Metric,
    buckets: Members,
    bucket_of: Vec<u32>,
    router: Router,
}

/// One moment of a search: what the rule sees, what is in truth missing, what it has cost.
struct Moment {
    features: Option<Features>,
    missing: f32,
    rows: usize,
}

fn main() {
    let sets: Vec<DataSet> = env::args().skip(1).map(|argument| DataSet::load(&argument)).collect();
    let mut samples = Vec::new();
    for set in &sets {
        samples.extend(set.samples());
    }
    let rule = fit(&samples);
    println!("weights over {} samples: {:.3?}", samples.len(), rule.weights);
    for set in &sets {
        set.report_order();
        println!("{}: fitted here", set.name);
        set.report(&rule);
        println!("{}: default", set.name);
        set.report(&StopRule::default());
        let walks = set.walks();
        for audits in AUDITS.into_iter().filter(|&audits| audits <= walks.len()) {
            let walks = &walks[..audits];
            let begun = Instant::now();
            let rule = refit(&StopRule::default(), walks);
            println!("{}: {audits} audits, in {:?}, {:.3?}", set.name, begun.elapsed(), rule.weights);
            set.report(&rule);
        }
    }
}

fn read(path: &str) -> Vec<f32> {
    let bytes = fs::read(path).unwrap_or_else(|e| panic!("{path}: {e}"));
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().expect("4 bytes"))).collect()
}

impl DataSet {
    fn load(argument: &str) -> Self {
        let mut parts = argument.split(':');
        let mut next = || parts.next().expect("BASE:QUERIES:DIM");
        let (name, queries) = (next().to_string(), read(next()));
        let dim = next().parse().expect("DIM is a number");
        let metric = parts.next().map_or(Metric::L2, |m| m.parse().expect("METRIC"));
        let base = read(&name);
        let rows = Vectors::new(&base, dim);
        let begun = Instant::now();
        let clustering = cluster(rows, BUCKET_ROWS, 1);
        let seconds = begun.elapsed().as_secs_f32();
        let buckets = clustering.members();
        let mut sizes: Vec<usize> = (0..buckets.len()).map(|b| buckets.of(b).len()).collect();
        sizes.sort_unstable();
        let headers: Vec<_> = (0..buckets.len()).map(|b| BucketHeader::from_rows(dim, buckets.rows(b, rows))).collect();
        let quantiles = [0, 25, 50, 75, 100].map(|p| sizes[p * (sizes.len() - 1) / 100]);
        let scatter: f64 = headers.iter().map(|h| h.n_live as f64 * h.mean_sq_radius as f64).sum();
        let begun = Instant::now();
        let router = Router::new(dim, &headers, metric, None);
        println!(
            "{name}: {} rows, {} buckets in {seconds:.1} s, sizes {quantiles:?}, mean s^2 {:.4}, router {:?}",
            rows.len(),
            buckets.len(),
            scatter / rows.len() as f64,
            begun.elapsed()
        );
        Self { name, queries, dim, metric, buckets, bucket_of: clustering.assignment, router, base }
    }

    fn score(&self, query: &[f32], row: &[f32]) -> f32 {
        match self.metric {
            Metric::L2 | Metric::Cosine => drift_kernels::l2_sq(query, row),
            Metric::InnerProduct => -drift_kernels::dot(query, row),
        }
    }

    /// How far rankings by codes are from exact ones: of all queries the share whose first 10, 42, 150
    /// buckets come in another order, and how many of those come later.
    fn report_order(&self) {
        let counts: Vec<u32> = (0..self.buckets.len()).map(|b| self.buckets.of(b).len() as u32).collect();
        let queries = Vectors::new(&self.queries, self.dim);
        for n in [10, 42, 150].into_iter().filter(|&n| n <= counts.len()) {
            let (mut others, mut late) = (0, 0);
            for query in queries.iter() {
                let mut scanner = Bit1Scanner::new(query, self.metric, EPS);
                let first = |scanner| self.router.rank(query, scanner, &counts).take(n).map(|r| r.bucket);
                let (exact, by_codes): (Vec<u32>, Vec<u32>) =
                    (first(None).collect(), first(Some(&mut scanner)).collect());
                others += usize::from(exact != by_codes);
                late += exact.iter().filter(|bucket| !by_codes.contains(bucket)).count();
            }
            let of_queries = |n: usize| n as f64 / queries.len() as f64;
            println!(
                "  first {n:3} by codes: in another order for {:.3} of queries, {:.3} late",
                of_queries(others),
                of_queries(late)
            );
        }
    }

    /// The loop of a search, read to its end.
    fn search(&self, query: &[f32], scores: &[f32], k: usize, one_in: u64) -> Vec<Moment> {
        let matches = |row: u32| (row as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32 < (1 << 32) / one_in;
        let neighbor = |row: u32| Neighbor { id: VectorId(row as u64), score: scores[row as usize] };
        let mut truth = TopK::new(k);
        let mut counts = vec![0; self.buckets.len()];
        for row in (0..scores.len() as u32).filter(|&row| matches(row)) {
            truth.push(neighbor(row));
            counts[self.bucket_of[row as usize] as usize] += 1;
        }
        let mut true_in_bucket = vec![0; self.buckets.len()];
        for row in truth.into_sorted() {
            true_in_bucket[self.bucket_of[row.id.0 as usize] as usize] += 1;
        }

        let mut scanner = Bit1Scanner::new(query, self.metric, EPS);
        let mut ranking = self.router.rank(query, Some(&mut scanner), &counts);
        let mut state = StopState::new(k, &ranking);
        let mut top = TopK::new(k);
        let (mut found, mut rows) = (0, 0);
        let mut moments = Vec::new();
        while let Some(ranked) = ranking.next() {
            let bucket = ranked.bucket as usize;
            for &row in self.buckets.of(bucket).iter().filter(|&&row| matches(row)) {
                top.push(neighbor(row));
            }
            state.observe(top.kth().map(|n| n.score), counts[bucket] as usize);
            found += true_in_bucket[bucket];
            rows += counts[bucket] as usize;
            let features = ranking.peek().and_then(|next| state.features(&next));
            moments.push(Moment { features, missing: 1.0 - found as f32 / k as f32, rows });
        }
        moments
    }

    /// Runs every search for the queries of one half and hands its moments to `take`.
    fn for_half<T: Send>(&self, half: usize, take: impl Fn(usize, Vec<Moment>) -> T + Sync) -> Vec<T> {
        let base = Vectors::new(&self.base, self.dim);
        let queries = Vectors::new(&self.queries, self.dim);
        let one = |q: usize| {
            let query = queries.row(q);
            let scores: Vec<f32> = base.iter().map(|row| self.score(query, row)).collect();
            let each = SEARCHES.iter().enumerate();
            each.map(|(s, &(k, one_in))| take(s, self.search(query, &scores, k, one_in))).collect::<Vec<T>>()
        };
        let queries: Vec<usize> = (half..queries.len()).step_by(2).collect();
        queries.into_par_iter().flat_map_iter(one).collect()
    }

    /// Training pairs. Late moments are alike, so one in eight of them will do.
    fn samples(&self) -> Vec<(Features, f32)> {
        let pairs = self.for_half(0, |_, moments| {
            let chosen = moments.into_iter().enumerate().filter(|(j, _)| *j < 80 || j % 8 == 0);
            chosen.filter_map(|(_, moment)| Some((moment.features?, moment.missing))).collect::<Vec<_>>()
        });
        let mut pairs = pairs.concat();
        pairs.shuffle(&mut ChaCha8Rng::seed_from_u64(1));
        pairs.truncate(SAMPLES_PER_SET);
        pairs
    }

    /// Audits of plain searches for 10.
    fn walks(&self) -> Vec<Walk> {
        let walk = |search, moments: Vec<Moment>| {
            (search == 1).then(|| Walk::new(moments.into_iter().map(|m| (m.features, m.missing))))
        };
        self.for_half(0, walk).into_iter().flatten().collect()
    }

    /// For the other half of the queries: recall asked -> recall found, and what it took.
    fn report(&self, rule: &StopRule) {
        let stops = self.for_half(1, |search, moments| {
            let last = moments.last().expect("there are buckets");
            let stops = RECALLS.map(|recall| {
                let done = |m: &&Moment| m.features.is_some_and(|f| rule.missing(&f) <= 1.0 - recall);
                let stop = moments.iter().find(done).unwrap_or(last);
                [1.0 - stop.missing as f64, stop.rows as f64 / last.rows as f64]
            });
            (search, stops)
        });
        for (s, (k, one_in)) in SEARCHES.iter().enumerate() {
            print!("  k {k:4}, 1/{one_in:2} match:");
            let of_search: Vec<_> = stops.iter().filter(|(search, _)| *search == s).collect();
            for (r, recall) in RECALLS.iter().enumerate() {
                let mean =
                    |i: usize| of_search.iter().map(|(_, stops)| stops[r][i]).sum::<f64>() / of_search.len() as f64;
                print!("  {recall:.2} -> {:.4} ({:5.2} % rows)", mean(0), 100.0 * mean(1));
            }
            println!();
        }
    }
}
