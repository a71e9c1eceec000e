//! A generated set of low intrinsic dimension, as `make_synthetic.py` makes them: each row is a point of
//! one of rows / 500 normal clusters in 16 dimensions, put into `dim` dimensions by one random linear map,
//! with a hundredth of noise. Queries are further such rows. The seed is fixed.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{data::Rows, random::normal};

const SEED: u64 = 20_261_130;
const LATENT: usize = 16;
const ROWS_PER_CLUSTER: usize = 500;
/// Deviation within a cluster; that of the centres is 1.
const SPREAD: f32 = 0.3;
const NOISE: f32 = 0.01;

/// So many rows, and so many queries.
pub fn clustered(rows: usize, queries: usize, dim: usize) -> (Rows, Rows) {
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let centres: Vec<f32> = (0..(rows / ROWS_PER_CLUSTER).max(1) * LATENT).map(|_| normal(&mut rng)).collect();
    let scale = (LATENT as f32).sqrt().recip();
    let map: Vec<f32> = (0..LATENT * dim).map(|_| normal(&mut rng) * scale).collect();
    let mut points = |count| {
        let mut made = Rows { data: Vec::with_capacity(count * dim), dim };
        for _ in 0..count {
            push_point(&mut made, &centres, &map, &mut rng);
        }
        made
    };
    (points(rows), points(queries))
}

fn push_point(made: &mut Rows, centres: &[f32], map: &[f32], rng: &mut ChaCha8Rng) {
    let start = made.data.len();
    made.data.extend((0..made.dim).map(|_| NOISE * normal(rng)));
    let cluster = rng.random_range(0..centres.len() / LATENT);
    for (centre, direction) in centres[cluster * LATENT..][..LATENT].iter().zip(map.chunks(made.dim)) {
        let along = centre + SPREAD * normal(rng);
        made.data[start..].iter_mut().zip(direction).for_each(|(x, d)| *x += along * d);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_the_same_each_time() {
        let (rows, queries) = clustered(1_500, 20, 24);
        assert_eq!((rows.len(), queries.len(), rows.dim), (1_500, 20, 24));
        assert_eq!(clustered(1_500, 20, 24).1.data, queries.data);
    }
}
