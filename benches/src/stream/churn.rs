//! A synthetic stream that drifts hard while half of what came is deleted at random.
//!
//! Sixty clusters emit rows at any time. A cluster has a centre ~ N(0, I), an extent of 16 random
//! directions (entries ~ N(0, 1/16)) and noise of deviation 0.12, and emits in proportion to a weight
//! ~ Exp(1). It lives for ~ Exp(N / 8) rows of the stream; then a new one takes its place. Every 100 rows
//! its centre takes a random step of deviation 0.02 per dimension. The whole cloud moves by 10 along a
//! random line from the first row to the last. One row in a hundred repeats one of the 2,000 before it.
//!
//! Of each batch of 1,000 inserts, 500 random live rows are deleted right after; in the end, a random
//! half of what still lives. Every eleventh row that is generated becomes a query instead. Asked are
//! queries of the step and, as many, queries of all steps before.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{SEED, Step, Stream, half_deleted, inserts, part, sample};
use crate::{
    data::Rows,
    random::{exponential, normal},
};

const DIM: usize = 128;
const ALIVE: usize = 60;
const DIRECTIONS: usize = 16;
const NOISE: f32 = 0.12;
/// Rows between two steps of the centres.
const PACE: usize = 100;
const WALK: f32 = 0.02;
/// How far the cloud moves in all.
const SHIFT: f32 = 10.0;
/// One row in so many repeats...
const REPEATS: u32 = 100;
/// ...one of so many before it.
const REPEATED_FROM: usize = 2_000;
/// One row in so many is a query.
const QUERY_EVERY: usize = 11;

/// How large a churning stream is.
#[derive(Clone, Copy, Debug)]
pub struct Churn {
    /// Rows inserted.
    pub rows: usize,
    /// Steps, without the last that only deletes.
    pub steps: usize,
    /// Queries per step.
    pub asked: usize,
}

/// The stream as described above.
pub fn churn(size: Churn) -> Stream {
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let (rows, queries) = generate(size.rows, &mut rng);
    let mut live: Vec<u32> = Vec::new();
    let mut steps = Vec::new();
    for i in 0..size.steps {
        let mut batches = inserts(part(rows.len(), i, size.steps));
        for batch in &mut batches {
            live.extend(batch.insert.clone());
            let deletes = batch.insert.len() / 2;
            batch.delete = (0..deletes).map(|_| live.swap_remove(rng.random_range(0..live.len()))).collect();
        }
        let fresh = part(queries.len(), i, size.steps);
        let old: Vec<u32> = (0..fresh.end as u32).collect();
        let fresh: Vec<u32> = fresh.map(|q| q as u32).collect();
        let mut asked = sample(&fresh, size.asked / 2, &mut rng);
        asked.extend(sample(&old, size.asked - asked.len(), &mut rng));
        steps.push(Step { name: format!("{} %", 100 * (i + 1) / size.steps), batches, queries: asked });
    }
    let all: Vec<u32> = (0..queries.len() as u32).collect();
    steps.push(half_deleted(live, sample(&all, size.asked, &mut rng)));
    Stream { rows, queries, steps }
}

/// `n` rows, and the queries among them.
fn generate(n: usize, rng: &mut ChaCha8Rng) -> (Rows, Rows) {
    let (mut rows, mut queries) = (Rows::empty(DIM), Rows::empty(DIM));
    let life = n as f32 * QUERY_EVERY as f32 / (QUERY_EVERY - 1) as f32 / 8.0;
    let line = direction(rng);
    let mut clusters: Vec<Cluster> = (0..ALIVE).map(|_| Cluster::born(life, rng)).collect();
    let mut generated = 0usize;
    while rows.len() < n {
        let shift = SHIFT * rows.len() as f32 / n as f32;
        let repeats = rows.len() > REPEATED_FROM && rng.random_range(0..REPEATS) == 0;
        let row = if repeats {
            rows.view().row(rows.len() - rng.random_range(1..REPEATED_FROM)).to_vec()
        } else {
            let row = pick(&clusters, rng).row(rng);
            row.iter().zip(&line).map(|(x, along)| x + shift * along).collect()
        };
        generated += 1;
        let kept = if generated.is_multiple_of(QUERY_EVERY) { &mut queries } else { &mut rows };
        kept.data.extend(row);
        if generated.is_multiple_of(PACE) {
            clusters.iter_mut().for_each(|cluster| cluster.age(life, rng));
        }
    }
    (rows, queries)
}

struct Cluster {
    centre: Vec<f32>,
    /// `DIRECTIONS` rows of `DIM`.
    extent: Vec<f32>,
    weight: f32,
    /// Rows of the stream until it dies.
    left: f32,
}

impl Cluster {
    fn born(life: f32, rng: &mut ChaCha8Rng) -> Self {
        Self {
            centre: (0..DIM).map(|_| normal(rng)).collect(),
            extent: (0..DIRECTIONS * DIM).map(|_| normal(rng) / 4.0).collect(),
            weight: exponential(rng),
            left: life * exponential(rng),
        }
    }

    fn age(&mut self, life: f32, rng: &mut ChaCha8Rng) {
        self.left -= PACE as f32;
        if self.left < 0.0 {
            *self = Self::born(life, rng);
        } else {
            self.centre.iter_mut().for_each(|x| *x += WALK * normal(rng));
        }
    }

    fn row(&self, rng: &mut ChaCha8Rng) -> Vec<f32> {
        let mut row: Vec<f32> = self.centre.iter().map(|x| x + NOISE * normal(rng)).collect();
        for direction in self.extent.chunks(DIM) {
            let along = normal(rng);
            row.iter_mut().zip(direction).for_each(|(x, d)| *x += along * d);
        }
        row
    }
}

/// A cluster, with chances in proportion to the weights.
fn pick<'a>(clusters: &'a [Cluster], rng: &mut ChaCha8Rng) -> &'a Cluster {
    let mut left = rng.random::<f32>() * clusters.iter().map(|c| c.weight).sum::<f32>();
    let found = clusters.iter().find(|cluster| {
        left -= cluster.weight;
        left < 0.0
    });
    found.unwrap_or(&clusters[0])
}

/// A vector of length 1.
fn direction(rng: &mut ChaCha8Rng) -> Vec<f32> {
    let vector: Vec<f32> = (0..DIM).map(|_| normal(rng)).collect();
    let norm = drift_kernels::norm_sq(&vector).sqrt();
    vector.iter().map(|x| x / norm).collect()
}
