//! What maintenance has cost since the database was opened.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// Counters of one collection.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    bytes_ingested: AtomicU64,
    bytes_read: AtomicU64,
    bytes_written: AtomicU64,
    maintenance_ns: AtomicU64,
    audit_ns: AtomicU64,
}

impl Totals {
    pub fn ingested(&self, bytes: u64) {
        self.bytes_ingested.fetch_add(bytes, Relaxed);
    }

    pub fn read(&self, bytes: u64) {
        self.bytes_read.fetch_add(bytes, Relaxed);
    }

    pub fn written(&self, bytes: u64) {
        self.bytes_written.fetch_add(bytes, Relaxed);
    }

    /// CPU time of work on the janitor's behalf.
    pub fn maintained(&self, cpu: Duration) {
        self.maintenance_ns.fetch_add(cpu.as_nanos() as u64, Relaxed);
    }

    /// CPU time of audits.
    pub fn audited(&self, cpu: Duration) {
        self.audit_ns.fetch_add(cpu.as_nanos() as u64, Relaxed);
    }

    pub fn report(&self) -> MaintenanceTotals {
        MaintenanceTotals {
            bytes_ingested: self.bytes_ingested.load(Relaxed),
            bytes_read: self.bytes_read.load(Relaxed),
            bytes_written: self.bytes_written.load(Relaxed),
            maintenance_cpu: Duration::from_nanos(self.maintenance_ns.load(Relaxed)),
            audit_cpu: Duration::from_nanos(self.audit_ns.load(Relaxed)),
        }
    }
}

/// What maintenance of a collection has cost since the database was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MaintenanceTotals {
    /// Bytes of vectors inserted.
    pub bytes_ingested: u64,
    /// Bytes of vectors that flushes and compactions read back from segments.
    pub bytes_read: u64,
    /// Bytes of segments written, by flushes as well. Over `bytes_ingested`: the write amplification
    /// of L1.
    pub bytes_written: u64,
    /// Processor time spent on flushes, compactions and graphs of L0.
    pub maintenance_cpu: Duration,
    /// Processor time spent running searches again exactly.
    pub audit_cpu: Duration,
}
