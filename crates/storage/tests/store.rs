//! One suite for every kind of store. `DRIFT_TEST_STORES=s3://bucket/prefix,gcs://...` runs it against
//! object stores as well (and what their environment must say: `docs/object-stores.md`).

use std::{env, sync::Arc};

use bytes::Bytes;
use drift_storage::{Error, Put, Store};
use tokio::sync::Barrier;
use ulid::Ulid;

/// Runs `test` against a fresh store of each kind.
async fn on_each<F: Future<Output = ()>>(test: impl Fn(Store) -> F) {
    let dir = tempfile::tempdir().unwrap();
    let mut uris = vec![dir.path().join("a/b").display().to_string(), "memory://".to_owned()];
    let remote = env::var("DRIFT_TEST_STORES").unwrap_or_default();
    uris.extend(remote.split(',').filter(|uri| !uri.is_empty()).map(|uri| format!("{uri}/{}", Ulid::new())));
    for uri in uris {
        test(Store::open(&uri).await.unwrap()).await;
    }
}

#[tokio::test]
async fn what_is_written_is_read() {
    on_each(|store| async move {
        let path = "c/x/one";
        assert!(!store.exists(path).await.unwrap());
        assert!(matches!(store.read(path).await, Err(Error::NotFound { .. })));
        assert!(matches!(store.len(path).await, Err(Error::NotFound { .. })));
        assert!(matches!(store.read_range(path, 0..1).await, Err(Error::NotFound { .. })));
        store.delete(path).await.unwrap();

        store.publish(path, &b"hello"[..]).await.unwrap();
        assert!(store.exists(path).await.unwrap());
        assert_eq!(store.len(path).await.unwrap(), 5);
        assert_eq!(store.read(path).await.unwrap(), "hello");
        let again = store.publish(path, &b"other"[..]).await;
        assert!(matches!(again, Err(Error::AlreadyExists { .. })), "{again:?}");
        assert_eq!(store.read(path).await.unwrap(), "hello");

        store.delete(path).await.unwrap();
        assert!(matches!(store.read(path).await, Err(Error::NotFound { .. })));
        store.publish("empty", Bytes::new()).await.unwrap();
        assert_eq!(store.read("empty").await.unwrap(), "");
    })
    .await;
}

#[tokio::test]
async fn a_range_is_exact_or_an_error() {
    on_each(|store| async move {
        let bytes: Vec<u8> = (0..100).collect();
        store.publish("x", bytes.clone()).await.unwrap();
        for (start, end) in [(0, 100), (0, 1), (99, 100), (17, 63), (50, 50)] {
            let read = store.read_range("x", start as u64..end as u64).await.unwrap();
            assert_eq!(read, bytes[start..end]);
        }
        for range in [0..101, 99..101, 100..101, 500..501, 0..u64::MAX, u64::MAX - 1..u64::MAX] {
            let read = store.read_range("x", range.clone()).await;
            assert!(matches!(read, Err(Error::Corrupt { length: 100, .. })), "{range:?}: {read:?}");
        }
        #[expect(clippy::reversed_empty_ranges)]
        let reversed = store.read_range("x", 2..1).await;
        assert!(matches!(reversed, Err(Error::Invalid(_))));
    })
    .await;
}

#[tokio::test]
async fn a_listing_names_the_files_of_one_directory() {
    on_each(|store| async move {
        assert!(store.list("c").await.unwrap().is_empty());
        for path in ["c/2", "c/1", "c/10", "c/deep/3", "cc/4"] {
            store.publish(path, path.to_owned()).await.unwrap();
        }
        assert_eq!(store.list("c").await.unwrap(), ["1", "10", "2"]);
        assert_eq!(store.list("c/deep").await.unwrap(), ["3"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_racing_creators_exactly_one_wins() {
    on_each(|store| async move {
        for round in 0..64 {
            let path = format!("race/{round}");
            let barrier = Arc::new(Barrier::new(4));
            let racers: Vec<_> = (0..4u8)
                .map(|racer| {
                    let (store, path, barrier) = (store.clone(), path.clone(), barrier.clone());
                    tokio::spawn(async move {
                        barrier.wait().await;
                        let put = store.put_if_absent(&path, content(racer)).await.unwrap();
                        // Whoever returns, winner or not, sees the whole winner.
                        (put, store.read(&path).await.unwrap())
                    })
                })
                .collect();
            let mut winners = Vec::new();
            let mut seen = Vec::new();
            for (racer, task) in (0..4u8).zip(racers) {
                let (put, read) = task.await.unwrap();
                if put == Put::Created {
                    winners.push(racer);
                }
                seen.push(read);
            }
            assert_eq!(winners.len(), 1, "round {round}: {winners:?}");
            assert!(seen.iter().all(|read| *read == content(winners[0])), "round {round}");
        }
        assert_eq!(store.list("race").await.unwrap().len(), 64);
    })
    .await;
}

/// Some pages that tell who wrote them.
fn content(racer: u8) -> Bytes {
    vec![racer; 10_000].into()
}

#[tokio::test]
async fn paths_stay_below_the_root() {
    on_each(|store| async move {
        for path in ["../x", "/x", "a/../../x", "", "LOCK", ".tmp/x"] {
            assert!(matches!(store.publish(path, "x").await, Err(Error::Invalid(_))), "{path}");
            assert!(matches!(store.read(path).await, Err(Error::Invalid(_))), "{path}");
            assert!(matches!(store.list(path).await, Err(Error::Invalid(_))), "{path}");
            assert!(matches!(store.delete(path).await, Err(Error::Invalid(_))), "{path}");
        }
    })
    .await;
}

#[tokio::test]
async fn one_writer_locks_a_directory_others_read_it() {
    let dir = tempfile::tempdir().unwrap();
    let uri = format!("file://{}", dir.path().display());
    let (first, second) = (Store::open(&uri).await.unwrap(), Store::open(&uri).await.unwrap());
    let lock = first.lock().unwrap();
    first.publish("x", "1").await.unwrap();
    assert_eq!(second.read("x").await.unwrap(), "1");
    let pid = std::process::id();
    assert!(matches!(second.lock(), Err(Error::InUse { pid: Some(holder) }) if holder == pid));
    drop(lock);
    second.lock().unwrap();
}

#[tokio::test]
async fn memory_is_shared_by_name_only() {
    let shared = Store::open("memory://shared").await.unwrap();
    shared.publish("x", "1").await.unwrap();
    drop(shared);
    for (uri, there) in [("memory://shared", true), ("memory://other", false), ("memory://", false)] {
        let store = Store::open(uri).await.unwrap();
        assert_eq!(store.exists("x").await.unwrap(), there, "{uri}");
        assert_eq!((store.uri(), store.local_root()), (uri, None));
        let _both = (store.lock().unwrap(), store.lock().unwrap());
    }
}
