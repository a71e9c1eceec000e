//! Any range of any file is read exactly, past the page cache and through it.

use std::{
    ops::Range,
    path::Path,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use drift_storage::{Store, page::PAGE};
use proptest::{prelude::*, sample::Index};
use tokio::runtime::Runtime;

/// Some bytes of which no two pages are alike.
fn content(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i ^ (i / PAGE * 7)) as u8).collect()
}

fn range(length: usize, a: Index, b: Index) -> Range<usize> {
    let (a, b) = (a.index(length + 1), b.index(length + 1));
    a.min(b)..a.max(b)
}

/// Reads random ranges of random files in a new directory below `place`.
fn ranges_are_exact(place: &Path, direct_io: bool) {
    let dir = tempfile::tempdir_in(place).unwrap();
    let runtime = Runtime::new().unwrap();
    let store = runtime.block_on(Store::open(dir.path().to_str().unwrap())).unwrap().with_direct_io(direct_io);
    let files = AtomicU32::new(0);
    let lengths = prop_oneof![1usize..2 * PAGE, Just(PAGE), Just(8 * PAGE), 1usize..80 * PAGE];
    let ranges = prop::collection::vec(any::<(Index, Index)>(), 1..24);
    proptest!(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() }, |(length in lengths, ranges in ranges)| {
        let bytes = content(length);
        let path = format!("f/{}", files.fetch_add(1, Relaxed));
        runtime.block_on(store.publish(&path, bytes.clone())).unwrap();
        for (a, b) in ranges {
            let range = range(length, a, b);
            let read = runtime.block_on(store.read_range(&path, range.start as u64..range.end as u64)).unwrap();
            prop_assert!(read == bytes[range.clone()], "{:?} of {}", range, length);
        }
        let all = runtime.block_on(store.read_range(&path, 0..length as u64)).unwrap();
        prop_assert!(all == bytes);
    });
    let path = if store.direct_io() { "direct" } else { "buffered" };
    println!("{}: {path}, {direct_io} was asked", dir.path().display());
    assert!(direct_io || !store.direct_io());
}

#[test]
fn on_a_disk_direct() {
    ranges_are_exact(Path::new(env!("CARGO_TARGET_TMPDIR")), true);
}

#[test]
fn on_a_disk_buffered() {
    ranges_are_exact(Path::new(env!("CARGO_TARGET_TMPDIR")), false);
}

/// Some kernels read it directly, others refuse.
#[test]
fn in_memory() {
    let shm = Path::new("/dev/shm");
    if shm.is_dir() {
        ranges_are_exact(shm, true);
    }
}
