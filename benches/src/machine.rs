//! What this process takes of the machine.

use std::{fs, path::Path};

/// Memory of this process, in MB.
pub fn rss_mb() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<f64>().ok()).unwrap_or_default() / 1e3
}

/// Bytes of everything but the log, in MB.
pub fn disk_mb(dir: &Path) -> f64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten().filter(|e| e.file_name() != "wal");
    let sizes = entries.map(|e| match e.metadata() {
        Ok(m) if m.is_dir() => disk_mb(&e.path()),
        Ok(m) => m.len() as f64 / 1e6,
        Err(_) => 0.0,
    });
    sizes.sum()
}
