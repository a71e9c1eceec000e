//! How fast this machine reads: the floor below every scan.

use std::{hint::black_box, time::Instant};

const ROUNDS: usize = 7;

/// The best of several readings of `bytes` bytes, each repeated until it has read 256 MB.
pub fn read_gb_per_s(bytes: usize) -> f64 {
    let words = vec![1_u64; bytes / 8];
    let repeat = ((256 << 20) / bytes).max(1);
    let seconds = (0..ROUNDS).map(|_| {
        let start = Instant::now();
        for _ in 0..repeat {
            black_box(xor(black_box(&words)));
        }
        start.elapsed().as_secs_f64() / repeat as f64
    });
    bytes as f64 / seconds.fold(f64::INFINITY, f64::min) / 1e9
}

/// In 32 lanes, so that loads are what it waits for.
fn xor(words: &[u64]) -> u64 {
    let mut lanes = [0; 32];
    for chunk in words.as_chunks::<32>().0 {
        for (lane, word) in lanes.iter_mut().zip(chunk) {
            *lane ^= word;
        }
    }
    lanes.into_iter().fold(0, |a, b| a ^ b)
}
