//! The cell under the interleavings that loom explores:
//! `RUSTFLAGS="--cfg crossbeam_loom" cargo test -p drift-epoch --test loom`
//! (with a target directory of its own, as the flag rebuilds everything).
#![allow(unexpected_cfgs)]
#![cfg(crossbeam_loom)]

use std::sync::Arc;

use drift_epoch::Cell;
use loom::{cell::UnsafeCell, thread};

/// A number whose reads and writes loom watches for races.
struct Version(UnsafeCell<u64>);

// SAFETY: the number is written only in `new`, before it is shared.
unsafe impl Sync for Version {}

impl Version {
    fn new(n: u64) -> Arc<Self> {
        let version = Self(UnsafeCell::new(0));
        // SAFETY: nobody else has it yet.
        version.0.with_mut(|number| unsafe { *number = n });
        Arc::new(version)
    }

    fn get(&self) -> u64 {
        // SAFETY: a shared version is never written; that the write in `new` happened before is
        // what loom checks.
        self.0.with(|number| unsafe { *number })
    }
}

#[test]
fn a_reader_sees_whole_versions_in_order() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2); // unbounded takes hours
    model.check(|| {
        let cell = loom::sync::Arc::new(Cell::new(Version::new(0)));
        let writer = {
            let cell = cell.clone();
            thread::spawn(move || cell.store(Version::new(1)))
        };
        let first = cell.load().get();
        let second = cell.load().get();
        assert!(first <= second, "{second} after {first}");
        writer.join().unwrap();
        assert_eq!(cell.load().get(), 1);
    });
}
