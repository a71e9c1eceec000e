//! The chain of versions under racing, fenced and unlucky writers.

use drift_manifest::{Catalog, CatalogEntry, Commit, Error, Numbered, Stamp, VersionLog, Violation};
use drift_storage::Store;
use drift_types::CollectionId;
use ulid::Ulid;

/// Runs `test` against fresh stores in a directory and in memory.
async fn on_each<F: Future<Output = ()>>(test: impl Fn(Store) -> F) {
    let dir = tempfile::tempdir().unwrap();
    for uri in [dir.path().to_str().unwrap(), "memory://"] {
        test(Store::open(uri).await.unwrap()).await;
    }
}

fn path(id: u64) -> String {
    format!("catalog/{id:020}.dcat")
}

/// Commits `count` empty versions.
async fn grow(log: &VersionLog<Catalog>, count: usize) -> Catalog {
    let mut latest = Catalog::first(1, Ulid::new());
    assert_eq!(log.commit(&latest, None).await.unwrap(), Commit::Committed);
    for _ in 1..count {
        let next = latest.successor(1, latest.stamp.writer);
        assert_eq!(log.commit(&next, Some(&latest)).await.unwrap(), Commit::Committed);
        latest = next;
    }
    latest
}

#[tokio::test]
async fn the_latest_version_is_loaded() {
    on_each(|store| async move {
        let log = VersionLog::catalog(store.clone());
        assert_eq!(log.load_latest().await.unwrap(), None);
        let latest = grow(&log, 12).await;
        assert_eq!(latest.stamp.id, Stamp::FIRST + 11);
        assert_eq!(log.load_latest().await.unwrap(), Some(latest));
        // Whatever else lies there is no version.
        store.publish("catalog/99.dcat", "x").await.unwrap();
        store.publish("catalog/00000000000000000099.dcat.bak", "x").await.unwrap();
        assert_eq!(log.load_latest().await.unwrap().unwrap().stamp.id, 12);
        assert_eq!(log.load(3).await.unwrap().stamp.id, 3);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_racing_writers_make_one_history() {
    const VERSIONS: u64 = 50;
    on_each(|store| async move {
        let log = VersionLog::catalog(store);
        grow(&log, 1).await;
        let writers: Vec<_> = (0..2).map(|_| tokio::spawn(race(log.clone(), VERSIONS))).collect();
        let mut commits = Vec::new();
        for writer in writers {
            commits.extend(writer.await.unwrap());
        }
        commits.sort_unstable();
        assert_eq!(commits, (2..=VERSIONS).collect::<Vec<_>>(), "each version was committed once");

        // Nobody's change is lost: each version has one collection more than the one before.
        let mut parent = log.load(1).await.unwrap();
        for id in 2..=VERSIONS {
            let next = log.load(id).await.unwrap();
            assert_eq!(next.collections[..parent.collections.len()], parent.collections);
            assert_eq!(next.collections.len() as u64, id - 1);
            parent = next;
        }
    })
    .await;
}

/// Adds a collection per version until there are `versions`; returns the versions committed.
async fn race(log: VersionLog<Catalog>, versions: u64) -> Vec<u64> {
    let writer = Ulid::new();
    let mut committed = Vec::new();
    let mut latest = log.load_latest().await.unwrap().unwrap();
    while latest.stamp.id < versions {
        let mut next = latest.successor(1, writer);
        let collection = CollectionId(Ulid::new());
        next.collections.push(CatalogEntry { name: format!("c{collection}"), collection });
        latest = match log.commit(&next, Some(&latest)).await.unwrap() {
            Commit::Committed => {
                committed.push(next.stamp.id);
                next
            }
            Commit::Conflict(theirs) => *theirs,
        };
    }
    committed
}

#[tokio::test]
async fn a_fenced_writer_is_refused() {
    on_each(|store| async move {
        let log = VersionLog::catalog(store);
        let base = grow(&log, 2).await;
        let newer = base.successor(2, Ulid::new());
        assert_eq!(log.commit(&newer, Some(&base)).await.unwrap(), Commit::Committed);
        let zombie = base.successor(1, base.stamp.writer);
        let refused = log.commit(&zombie, Some(&base)).await;
        assert!(matches!(refused, Err(Error::Fenced { ours: 1, theirs: 2 })), "{refused:?}");
        // Nor can it go on from the version that fenced it.
        let rebased = newer.successor(1, base.stamp.writer);
        let refused = log.commit(&rebased, Some(&newer)).await;
        assert!(matches!(refused, Err(Error::Violation(Violation::EpochFell { from: 2, to: 1 }))), "{refused:?}");
        assert_eq!(log.load_latest().await.unwrap(), Some(newer));
    })
    .await;
}

#[tokio::test]
async fn the_loser_of_an_opening_takes_a_higher_epoch() {
    on_each(|store| async move {
        let log = VersionLog::catalog(store);
        let base = grow(&log, 1).await;
        let (first, second) = (base.successor(2, Ulid::new()), base.successor(2, Ulid::new()));
        assert_eq!(log.commit(&first, Some(&base)).await.unwrap(), Commit::Committed);
        assert_eq!(log.commit(&second, Some(&base)).await.unwrap(), Commit::Conflict(Box::new(first.clone())));
        let second = first.successor(3, second.stamp.writer);
        assert_eq!(log.commit(&second, Some(&first)).await.unwrap(), Commit::Committed);
    })
    .await;
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_recognised() {
    on_each(|store| async move {
        let log = VersionLog::catalog(store.clone());
        let base = grow(&log, 1).await;
        let next = base.successor(1, base.stamp.writer);
        store.publish(&path(2), next.encode()).await.unwrap();
        assert_eq!(log.commit(&next, Some(&base)).await.unwrap(), Commit::Committed);
        // The same change tried again with a nonce of its own is another version.
        let again = base.successor(1, base.stamp.writer);
        assert_eq!(log.commit(&again, Some(&base)).await.unwrap(), Commit::Conflict(Box::new(next)));
    })
    .await;
}

#[tokio::test]
async fn damage_is_reported_and_never_papered_over() {
    on_each(|store| async move {
        let log = VersionLog::catalog(store.clone());
        grow(&log, 3).await;
        let second = store.read(&path(2)).await.unwrap();
        let third = store.read(&path(3)).await.unwrap();

        // Torn.
        store.delete(&path(3)).await.unwrap();
        store.publish(&path(3), third.slice(..third.len() - 1)).await.unwrap();
        assert!(matches!(log.load_latest().await, Err(Error::Corrupt { .. })));

        // An older valid version in place of the newer.
        store.delete(&path(3)).await.unwrap();
        store.publish(&path(3), second).await.unwrap();
        assert!(matches!(log.load_latest().await, Err(Error::Corrupt { .. })));

        // A gap.
        store.delete(&path(3)).await.unwrap();
        store.publish(&path(3), third).await.unwrap();
        store.delete(&path(2)).await.unwrap();
        assert!(matches!(log.load_latest().await, Err(Error::Corrupt { .. })));
    })
    .await;
}

#[tokio::test]
async fn what_breaks_an_invariant_is_not_written() {
    on_each(|store| async move {
        let log = VersionLog::catalog(store.clone());
        let base = grow(&log, 1).await;
        let mut skipped = base.successor(1, base.stamp.writer);
        (skipped.stamp.id, skipped.stamp.parent) = (3, Some(2));
        let mut unnamed = base.successor(1, base.stamp.writer);
        unnamed.collections = vec![CatalogEntry { name: String::new(), collection: CollectionId(Ulid::new()) }];
        let mut foreign = base.successor(1, base.stamp.writer);
        foreign.database = Ulid::new();
        for bad in [skipped, unnamed, foreign] {
            assert!(matches!(log.commit(&bad, Some(&base)).await, Err(Error::Violation(_))));
        }
        assert_eq!(store.list("catalog").await.unwrap().len(), 1);
    })
    .await;
}
