//! Measures the codecs: bits per value and speed beside a copy and zstd, what clamping the tails
//! does to SQ8, and packed integers.
//!
//! ```text
//! cargo run --release -p drift-codec --example codecs -- [--record FILE --tag TAG] [FILE.f32:DIM ...]
//! ```
//! A file holds row-major little-endian f32, `DIM` to a row. Without files the sets are generated.
//! Figures go to the record as CSV.

mod floats;
mod integers;
mod quantizer;
mod sets;

use std::{env, fs, io::Write};

/// Lines `tag,set,figure,value` for a record.
struct Record {
    tag: String,
    lines: Vec<String>,
}

impl Record {
    fn put(&mut self, set: &str, figure: &str, value: f64) {
        self.lines.push(format!("{},{set},{figure},{value:.4}", self.tag));
    }
}

fn main() {
    let (mut files, mut path) = (Vec::new(), None);
    let mut record = Record { tag: String::new(), lines: Vec::new() };
    let mut args = env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--record" => path = Some(args.next().expect("--record FILE")),
            "--tag" => record.tag = args.next().expect("--tag TAG"),
            file => files.push(file.to_owned()),
        }
    }
    let sets = if files.is_empty() { sets::generated() } else { files.iter().map(|file| sets::read(file)).collect() };
    for set in &sets {
        println!("\n{}: {} x {}", set.name, set.rows.len() / set.dim, set.dim);
        floats::measure(set, &mut record);
        quantizer::measure(set, &mut record);
    }
    integers::measure(&sets::integers(), &mut record);
    if let Some(path) = path {
        let mut file = fs::OpenOptions::new().create(true).append(true).open(path).expect("the record can be written");
        record.lines.iter().for_each(|line| writeln!(file, "{line}").expect("the record can be written"));
    }
}
