//! The same work through hnswlib, right after: what machines make of it changes from hour to hour.

use std::{collections::HashMap, ffi::OsStr, path::Path, process::Command};

/// Figures by name that a script of this directory records as `hnswlib NAME` when it is run with these
/// arguments and `--record FILE`.
///
/// # Panics
/// When it cannot be run, or fails.
pub fn hnswlib<S: AsRef<OsStr>>(
    python: &Path,
    script: &str,
    args: impl IntoIterator<Item = S>,
) -> HashMap<String, f64> {
    let record = tempfile::NamedTempFile::new().expect("a temporary file");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(script);
    let mut command = Command::new(python);
    command.arg(&script).args(args).arg("--record").arg(record.path());
    let status = command.status().expect("python can be run");
    assert!(status.success(), "{} failed", script.display());
    let lines = std::fs::read_to_string(record.path()).expect("its record");
    let figure = |line: &str| {
        let mut cells = line.rsplit(',');
        let value = cells.next()?.parse().ok()?;
        Some((cells.next()?.strip_prefix("hnswlib ")?.to_owned(), value))
    };
    lines.lines().filter_map(figure).collect()
}
