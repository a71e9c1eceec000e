//! A stream as files, so that other engines can be given the same.
//!
//! `rows.npy`, `queries.npy`: float32, row-major; a row's number is its id. `stream.json`: the workload's
//! name and its steps; of each its name, its batches as [first row inserted, end, rows deleted afterwards],
//! its queries by number, and of each query the squared distance of its true k-th neighbour.

use std::{fs, io::Write, path::Path};

use drift_benches::{data::Rows, stream::Stream};
use serde_json::json;

use crate::drive::Truth;

/// Writes a stream into a directory.
///
/// # Panics
/// When it cannot be written.
pub fn export(dir: &Path, workload: &str, stream: &Stream, truths: &[Truth]) {
    fs::create_dir_all(dir).expect("a directory");
    write_npy(&dir.join("rows.npy"), &stream.rows);
    write_npy(&dir.join("queries.npy"), &stream.queries);
    let steps = stream.steps.iter().zip(truths).map(|(step, truth)| {
        let batches = step.batches.iter().map(|batch| json!([batch.insert.start, batch.insert.end, batch.delete]));
        let kth: Vec<f32> = truth.kth.iter().map(|kth| kth.min(f32::MAX)).collect();
        json!({ "name": step.name, "batches": batches.collect::<Vec<_>>(), "queries": step.queries, "kth": kth })
    });
    let text = json!({ "workload": workload, "steps": steps.collect::<Vec<_>>() }).to_string();
    fs::write(dir.join("stream.json"), text).expect("a stream can be written");
}

/// An array of NumPy, format 1.0.
fn write_npy(path: &Path, rows: &Rows) {
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}", rows.len(), rows.dim);
    let unpadded = 10 + header.len() + 1;
    header += &" ".repeat(unpadded.next_multiple_of(64) - unpadded);
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(rows.data.iter().flat_map(|value| value.to_le_bytes()));
    fs::File::create(path).and_then(|mut file| file.write_all(&bytes)).expect("an array can be written");
}
