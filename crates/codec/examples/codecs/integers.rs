//! Bits per value, speed of reading all, and time to read one, of packed integers.

use bytes::Bytes;
use drift_codec::packed::{BLOCK, Packed, pack};

use crate::{Record, floats::fastest, sets::Integers};

/// Blocks unpacked together, 256 KiB of values: they stay in the L2 cache.
const GROUP: usize = 32 * BLOCK;

/// Values read alone in one pass.
const READS: usize = 100_000;

pub fn measure(sets: &[Integers], record: &mut Record) {
    println!("\n{:>28} {:>10} {:>12} {:>12} {:>8}", "integers", "bits", "pack GB/s", "all GB/s", "one ns");
    for set in sets {
        let values = &set.values[..GROUP];
        let mut bytes = Vec::new();
        let encode = fastest(|| {
            bytes.clear();
            pack(values, &mut bytes);
        });
        let packed = Packed::parse(Bytes::from(bytes), values.len()).expect("packed above");
        let mut back = Vec::with_capacity(values.len());
        let decode = fastest(|| {
            back.clear();
            back.extend(packed.iter());
        });
        assert_eq!(back, values, "{} come back as others", set.name);

        let mut rng = fastrand::Rng::with_seed(2);
        let places: Vec<usize> = (0..READS).map(|_| rng.usize(..values.len())).collect();
        let mut sum = 0u64;
        let reads = fastest(|| sum = places.iter().fold(0u64, |sum, &i| sum.wrapping_add(packed.get(i))));
        assert_eq!(sum, places.iter().fold(0u64, |sum, &i| sum.wrapping_add(values[i])));

        let bits = 8.0 * packed.bytes_len() as f64 / values.len() as f64;
        let speed = |time: std::time::Duration| size_of_val(values) as f64 / time.as_secs_f64() / 1e9;
        let one = reads.as_secs_f64() * 1e9 / READS as f64;
        println!("{:>28} {bits:>10.2} {:>12.2} {:>12.2} {one:>8.2}", set.name, speed(encode), speed(decode));
        let figures = [("bits", bits), ("pack_gb_s", speed(encode)), ("all_gb_s", speed(decode)), ("one_ns", one)];
        figures.into_iter().for_each(|(figure, value)| record.put(set.name, &format!("integers {figure}"), value));
    }
}
