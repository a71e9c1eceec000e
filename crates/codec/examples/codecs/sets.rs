//! What is measured: files, or sets that look like what users bring.

use std::{fs, path::Path};

use half::f16;

/// Row-major vectors.
pub struct Set {
    pub name: String,
    pub dim: usize,
    pub rows: Vec<f32>,
}

/// Reads `FILE:DIM`.
pub fn read(argument: &str) -> Set {
    let (path, dim) = argument.rsplit_once(':').expect("FILE.f32:DIM");
    let dim = dim.parse().expect("DIM is a number");
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let rows: Vec<f32> = bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
    assert!(rows.len().is_multiple_of(dim), "{path} holds no rows of {dim}");
    let name = Path::new(path).file_name().expect("a file").to_string_lossy();
    Set { name: name.split('.').next().unwrap_or(&name).to_owned(), dim, rows }
}

/// 16,384 embeddings around 64 topics, unit length; the same as half precision and as text with five
/// decimals would bring them; and pixels.
pub fn generated() -> Vec<Set> {
    let mut rng = fastrand::Rng::with_seed(1);
    let dim = 384;
    let topics: Vec<f32> = (0..64 * dim).map(|_| normal(&mut rng)).collect();
    let mut embeddings = Vec::with_capacity(16_384 * dim);
    for _ in 0..16_384 {
        let topic = rng.usize(..64) * dim;
        let row: Vec<f32> = topics[topic..topic + dim].iter().map(|x| x + normal(&mut rng)).collect();
        let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
        embeddings.extend(row.iter().map(|x| x / norm));
    }
    let map = |f: &dyn Fn(f32) -> f32| embeddings.iter().map(|&x| f(x)).collect();
    let halves = map(&|x| f16::from_f32(x).to_f32());
    let decimals = map(&|x| ((f64::from(x) * 1e5).round() / 1e5) as f32);
    let pixels = (0..16_384 * dim).map(|_| f32::from(rng.u8(..).saturating_mul(rng.u8(..2)))).collect();
    let sets = [("embeddings", embeddings), ("halves", halves), ("decimals", decimals), ("pixels", pixels)];
    sets.map(|(name, rows)| Set { name: format!("generated {name}"), dim, rows }).into()
}

/// Keys, sequence numbers or ordinals.
pub struct Integers {
    pub name: &'static str,
    pub values: Vec<u64>,
}

/// What segments hold of 65,536 rows: keys that were counted up, in order and as buckets mix them; keys
/// that are hashes; sequence numbers of statements of a hundred rows.
pub fn integers() -> Vec<Integers> {
    let mut rng = fastrand::Rng::with_seed(3);
    let ordered: Vec<u64> = (1 << 40..(1 << 40) + 65_536).collect();
    let mut mixed = ordered.clone();
    rng.shuffle(&mut mixed);
    let hashes = ordered.iter().map(|_| rng.u64(..)).collect();
    let statements = mixed.iter().map(|key| 1_000_000 + key % 65_536 / 100).collect();
    let sets =
        [("keys in order", ordered), ("keys mixed", mixed), ("hashed keys", hashes), ("sequence numbers", statements)];
    sets.map(|(name, values)| Integers { name, values }).into()
}

/// About normally distributed (Irwin-Hall, n = 12).
fn normal(rng: &mut fastrand::Rng) -> f32 {
    (0..12).map(|_| rng.f32()).sum::<f32>() - 6.0
}
