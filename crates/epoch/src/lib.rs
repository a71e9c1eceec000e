//! The snapshot cell: readers take the current version without waiting for whoever replaces it.
//!
//! # Definitions
//! * A *version* is an `Arc<T>`. It is *current* from the [`Cell::store`] that brings it until the
//!   next, and *retired* from then on.
//! * To *pin* is to tell the epoch collector "I may hold a pointer"; what is retired meanwhile is
//!   freed only after the pin is gone.
//!
//! # Invariants
//! 1. The cell always holds exactly one version; its pointer is never null before the drop.
//! 2. The pointer to a version is followed only under a pin taken before it was loaded.
//! 3. Each version is retired once: by the `store` whose swap took it out, or by the drop.
//! 4. A pin lasts for one clone of an `Arc` and never crosses an await: it is taken and dropped
//!    inside [`Cell::load`]. Holding a version for long delays nothing but its own end.
//!
//! # Operations
//! [`Cell::load`] is lock-free; readers and writers never wait for each other. The cell's own
//! count of a retired version is given up when the collector has moved on by two epochs, which
//! later loads and stores drive forward: soon while the cell is in use, not at a fixed time.
//!
//! `tests/loom.rs` checks the cell against every interleaving of a small model.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::Ordering::{AcqRel, Acquire},
    },
};

use crossbeam_epoch::{self as epoch, Atomic, Owned};

/// A shared place for the current version of a `T`; see the [crate] documentation.
pub struct Cell<T: Send + Sync + 'static> {
    current: Atomic<Arc<T>>,
}

impl<T: Send + Sync + 'static> Cell<T> {
    /// A cell whose current version is `version`.
    pub fn new(version: Arc<T>) -> Self {
        Self { current: Atomic::new(version) }
    }

    /// The current version.
    pub fn load(&self) -> Arc<T> {
        let guard = epoch::pin();
        let current = self.current.load(Acquire, &guard);
        // SAFETY: not null (invariant 1), and not freed before `guard` drops (invariants 2 and 3).
        // Acquire pairs with the release in `store`: the version is seen complete.
        Arc::clone(unsafe { current.deref() })
    }

    /// Makes `version` current and retires the one before.
    pub fn store(&self, version: Arc<T>) {
        let guard = epoch::pin();
        let retired = self.current.swap(Owned::new(version), AcqRel, &guard);
        // SAFETY: the swap took the pointer out of the cell, so no later pin finds it, and only
        // this call has it to retire (invariant 3). `T: Send + Sync` lets any thread free it.
        unsafe { guard.defer_destroy(retired) };
        // Versions may hold much memory: hand this one to the collector now, not after many more.
        guard.flush();
    }
}

/// Frees the versions that nobody holds any more, as far as other threads let it: they may need a few
/// calls. Without it they wait for more stores and loads.
pub fn collect() {
    epoch::pin().flush();
}

impl<T: Send + Sync + 'static> Drop for Cell<T> {
    fn drop(&mut self) {
        let current = std::mem::replace(&mut self.current, Atomic::null());
        // SAFETY: `&mut self` proves that no load or store runs, so the pointer is ours alone; not
        // null by invariant 1.
        drop(unsafe { current.into_owned() });
    }
}

impl<T: Send + Sync + fmt::Debug + 'static> fmt::Debug for Cell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cell").field(&self.load()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::atomic::AtomicIsize, sync::atomic::Ordering::Relaxed, thread};

    use super::*;

    /// A version that counts itself and whose two halves must agree.
    struct Version {
        halves: [u64; 2],
        alive: Arc<AtomicIsize>,
    }

    impl Version {
        fn new(n: u64, alive: &Arc<AtomicIsize>) -> Arc<Self> {
            alive.fetch_add(1, Relaxed);
            Arc::new(Self { halves: [n, n], alive: alive.clone() })
        }
    }

    impl Drop for Version {
        fn drop(&mut self) {
            self.halves = [u64::MAX, 0]; // a reader of freed memory would see them disagree
            self.alive.fetch_sub(1, Relaxed);
        }
    }

    /// Drives the collector on until all that was retired is gone.
    fn assert_all_freed(alive: &AtomicIsize) {
        for _ in 0..100_000 {
            if alive.load(Relaxed) == 0 {
                return;
            }
            epoch::pin().flush();
            thread::yield_now();
        }
        panic!("{} versions were never freed", alive.load(Relaxed));
    }

    #[test]
    fn readers_see_whole_versions_in_order_and_none_leaks() {
        const WRITES: u64 = 20_000;
        let alive = Arc::new(AtomicIsize::new(0));
        let cell = Cell::new(Version::new(0, &alive));
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let mut last = 0;
                    while last < WRITES {
                        let version = cell.load();
                        let [a, b] = version.halves;
                        assert!(a == b && a >= last, "{a} {b} after {last}");
                        last = a;
                    }
                });
            }
            scope.spawn(|| (1..=WRITES).for_each(|n| cell.store(Version::new(n, &alive))));
        });
        assert_eq!(cell.load().halves[0], WRITES);
        drop(cell);
        assert_all_freed(&alive);
    }

    #[test]
    fn racing_writers_retire_each_version_once() {
        let alive = Arc::new(AtomicIsize::new(0));
        let cell = Cell::new(Version::new(0, &alive));
        thread::scope(|scope| {
            for writer in 1..=4 {
                let (cell, alive) = (&cell, &alive);
                scope.spawn(move || {
                    for n in 0..5_000 {
                        cell.store(Version::new(writer * 10_000 + n, alive));
                        let [a, b] = cell.load().halves;
                        assert_eq!(a, b);
                    }
                });
            }
        });
        drop(cell);
        assert_all_freed(&alive);
    }

    #[test]
    fn a_loaded_version_outlives_the_cell() {
        let cell = Cell::new(Arc::new(1));
        let first = cell.load();
        cell.store(Arc::new(2));
        drop(cell);
        assert_eq!(*first, 1);
    }
}
