//! Bits per value and speed of the lossless codecs.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use drift_codec::float::{CHUNK, Compression, FloatCodec, decode_chunk, encode_chunk};

use crate::{Record, sets::Set};

/// Chunks coded and timed together, 256 KiB. They stay in the L2 cache, so it is codecs that are
/// compared and not memory; zstd gets one frame for all.
const GROUP: usize = 64 * CHUNK;

/// Groups taken of a set, evenly spread.
const GROUPS: usize = 150;

/// Of so many passes over a group the fastest counts: others may use the machine too.
const PASSES: usize = 7;

const METHODS: [(&str, Method); 6] = [
    ("copy", Method::Copy),
    ("raw", Method::Chunks(Compression::Raw)),
    ("auto", Method::Chunks(Compression::Auto)),
    ("smallest", Method::Chunks(Compression::Smallest)),
    ("zstd -3", Method::Zstd),
    ("byte split, zstd -3", Method::SplitZstd),
];

#[derive(Clone, Copy)]
enum Method {
    Copy,
    Chunks(Compression),
    Zstd,
    SplitZstd,
}

/// A group after encoding.
#[derive(Default)]
struct Coded {
    copy: Vec<f32>,
    bytes: Vec<u8>,
    /// Codec and length of each chunk.
    chunks: Vec<(FloatCodec, usize)>,
}

pub fn measure(set: &Set, record: &mut Record) {
    println!("{:>20} {:>10} {:>12} {:>8} {:>12} {:>8}", "", "bits", "encode GB/s", "of copy", "decode GB/s", "of copy");
    let groups: Vec<&[f32]> = set.rows.chunks_exact(GROUP).collect();
    let groups: Vec<&[f32]> = groups.iter().step_by(groups.len().div_ceil(GROUPS).max(1)).copied().collect();
    let values = groups.len() * GROUP;
    let mut copy = None;
    for (name, method) in METHODS {
        let (mut encode, mut decode, mut bytes) = (Duration::ZERO, Duration::ZERO, 0);
        let mut codecs = BTreeMap::new();
        for group in &groups {
            let (mut coded, mut out) = (Coded::default(), vec![0.0; GROUP]);
            encode += fastest(|| method.encode(group, &mut coded));
            decode += fastest(|| method.decode(&coded, &mut out));
            assert!(group.iter().map(|x| x.to_bits()).eq(out.iter().map(|x| x.to_bits())), "{name} changes values");
            bytes += size_of_val(&coded.copy[..]) + coded.bytes.len();
            for (codec, _) in coded.chunks {
                *codecs.entry(format!("{codec:?}")).or_insert(0.0) += 100.0 * CHUNK as f64 / values as f64;
            }
        }
        let speed = |time: Duration| 4.0 * values as f64 / time.as_secs_f64() / 1e9;
        let (bits, encode, decode) = (8.0 * bytes as f64 / values as f64, speed(encode), speed(decode));
        let (copy_encode, copy_decode) = *copy.get_or_insert((encode, decode));
        let ratios = (encode / copy_encode, decode / copy_decode);
        let chosen = codecs.iter().map(|(codec, share)| format!("{codec} {share:.0} %")).collect::<Vec<_>>().join(", ");
        println!("{name:>20} {bits:>10.2} {encode:>12.2} {:>8.3} {decode:>12.2} {:>8.3}  {chosen}", ratios.0, ratios.1);
        let figures = [("bits", bits), ("encode_gb_s", encode), ("decode_gb_s", decode)];
        let ratios = [("encode_over_copy", ratios.0), ("decode_over_copy", ratios.1)];
        for (figure, value) in figures.into_iter().chain(ratios) {
            record.put(&set.name, &format!("{} {figure}", name.replace(',', "")), value);
        }
    }
}

/// The shortest time of several passes.
pub fn fastest(mut run: impl FnMut()) -> Duration {
    let once = |_| {
        let start = Instant::now();
        run();
        start.elapsed()
    };
    (0..PASSES).map(once).min().expect("several passes")
}

impl Method {
    fn encode(self, values: &[f32], coded: &mut Coded) {
        coded.bytes.clear();
        coded.chunks.clear();
        match self {
            Self::Copy => {
                coded.copy.clear();
                coded.copy.extend_from_slice(values);
            }
            Self::Chunks(compression) => {
                for chunk in values.chunks(CHUNK) {
                    let start = coded.bytes.len();
                    let codec = encode_chunk(chunk, compression, &mut coded.bytes);
                    coded.chunks.push((codec, coded.bytes.len() - start));
                }
            }
            Self::Zstd => coded.bytes = zstd::bulk::compress(&interleaved(values), 3).expect("zstd compresses"),
            Self::SplitZstd => coded.bytes = zstd::bulk::compress(&split(values), 3).expect("zstd compresses"),
        }
    }

    fn decode(self, coded: &Coded, out: &mut [f32]) {
        let unzip = || zstd::bulk::decompress(&coded.bytes, size_of::<f32>() * GROUP).expect("zstd's own bytes");
        match self {
            Self::Copy => out.copy_from_slice(&coded.copy),
            Self::Chunks(_) => {
                let mut rest = &coded.bytes[..];
                for (chunk, &(codec, len)) in out.chunks_mut(CHUNK).zip(&coded.chunks) {
                    let (bytes, behind) = rest.split_at(len);
                    decode_chunk(codec, bytes, chunk).expect("the encoder's own bytes");
                    rest = behind;
                }
            }
            Self::Zstd => {
                out.iter_mut().zip(unzip().as_chunks().0).for_each(|(value, &bytes)| *value = f32::from_le_bytes(bytes))
            }
            Self::SplitZstd => join(&unzip(), out),
        }
    }
}

fn interleaved(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// The first bytes of all values, then the second ones, and so on, as Parquet's BYTE_STREAM_SPLIT.
fn split(values: &[f32]) -> Vec<u8> {
    (0..4).flat_map(|byte| values.iter().map(move |value| (value.to_bits() >> (8 * byte)) as u8)).collect()
}

fn join(bytes: &[u8], out: &mut [f32]) {
    let (low, high) = bytes.split_at(2 * out.len());
    let ((b0, b1), (b2, b3)) = (low.split_at(out.len()), high.split_at(out.len()));
    for ((((value, b0), b1), b2), b3) in out.iter_mut().zip(b0).zip(b1).zip(b2).zip(b3) {
        *value = f32::from_le_bytes([*b0, *b1, *b2, *b3]);
    }
}
