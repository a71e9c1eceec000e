//! The same set through hnswlib, right after: what machines make of it changes from hour to hour.

use std::{collections::HashMap, path::Path, process::Command};

/// Figures of `benches/peers_static.py` by name, as Python finds them for the same files.
///
/// # Panics
/// When it cannot be run, or fails.
pub fn hnswlib(python: &Path, base: &Path, query: &Path, truth: &Path, queries: usize) -> HashMap<String, f64> {
    let record = tempfile::NamedTempFile::new().expect("a temporary file");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/peers_static.py");
    let status = Command::new(python)
        .arg(script)
        .args(["--queries", &queries.to_string()])
        .arg("--base")
        .arg(base)
        .arg("--query")
        .arg(query)
        .arg("--truth")
        .arg(truth)
        .arg("--record")
        .arg(record.path())
        .status()
        .expect("python can be run");
    assert!(status.success(), "{script} failed");
    let lines = std::fs::read_to_string(record.path()).expect("its record");
    let figure = |line: &str| {
        let mut cells = line.rsplit(',');
        let value = cells.next()?.parse().ok()?;
        Some((cells.next()?.strip_prefix("hnswlib ")?.to_owned(), value))
    };
    lines.lines().filter_map(figure).collect()
}
