//! What this process takes of the machine.

use std::{fs, path::Path};

/// Ticks of the clock that processor time is told in, per second; Linux has shown user programs the same
/// number for decades.
const TICKS_PER_S: f64 = 100.0;

/// Memory of this process, in MB.
pub fn rss_mb() -> f64 {
    status("/proc/self/status", "VmRSS") / 1e3
}

/// Processor time that all threads of this process have had, in seconds.
pub fn cpu_s() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Behind the name, which ends with the last bracket: user and system time are the 12th and 13th field.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    fields.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / TICKS_PER_S
}

/// How often a thread has given up its core.
#[derive(Clone, Copy, Debug, Default)]
pub struct Switches {
    /// To wait: for a lock, for another thread, for a disk.
    pub waits: f64,
    /// Because the system gave the core to another thread.
    pub preempted: f64,
}

impl Switches {
    /// Of the calling thread since it began.
    pub fn of_this_thread() -> Self {
        let of = |name| status("/proc/thread-self/status", name);
        Self { waits: of("voluntary_ctxt_switches"), preempted: of("nonvoluntary_ctxt_switches") }
    }

    /// Those since `before`.
    pub fn since(self, before: Self) -> Self {
        Self { waits: self.waits - before.waits, preempted: self.preempted - before.preempted }
    }
}

/// The number of a line that begins with `name:`; 0 if there is none.
fn status(path: &str, name: &str) -> f64 {
    let status = fs::read_to_string(path).unwrap_or_default();
    let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.and_then(|v| v.split_whitespace().next()?.parse().ok()).unwrap_or_default()
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
