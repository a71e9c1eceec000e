//! Old versions go, and nothing that was committed is ever undone by it.

use std::time::Duration;

use drift_manifest::{Catalog, CatalogEntry, Commit, Error, Numbered, VersionLog};
use drift_storage::Store;
use drift_types::CollectionId;
use proptest::{collection::vec, prelude::*};
use ulid::Ulid;

const KEPT: u64 = 2;

/// Where others read meanwhile. A list in memory is made of names, and then of those that are still there: no
/// reader is kept from running for so long that so many versions come and go between the two.
const KEPT_FOR_READERS: u64 = 12;

fn entry() -> CatalogEntry {
    let collection = CollectionId(Ulid::new());
    CatalogEntry { name: format!("c{collection}"), collection }
}

/// Commits versions with a collection more each until there are `count`.
async fn grow(log: &VersionLog<Catalog>, count: u64) -> Catalog {
    let mut latest = Catalog::first(1, Ulid::new());
    assert_eq!(log.commit(&latest, None).await.unwrap(), Commit::Committed);
    while latest.stamp.id < count {
        latest = with_entry(&latest, latest.stamp.writer);
        let parent = log.load_latest().await.unwrap();
        assert_eq!(log.commit(&latest, parent.as_ref()).await.unwrap(), Commit::Committed);
    }
    latest
}

fn with_entry(latest: &Catalog, writer: Ulid) -> Catalog {
    let mut next = latest.successor(1, writer);
    next.collections.push(entry());
    next
}

fn path(id: u64) -> String {
    format!("catalog/{id:020}.dcat")
}

#[tokio::test]
async fn the_newest_versions_stay() {
    let dir = tempfile::tempdir().unwrap();
    for uri in [dir.path().to_str().unwrap(), "memory://"] {
        let store = Store::open(uri).await.unwrap();
        let log = VersionLog::catalog(store.clone());
        log.prune(KEPT).await.unwrap();
        assert_eq!(log.load_all().await.unwrap(), []);
        let latest = grow(&log, 4).await;
        log.prune(KEPT).await.unwrap();
        assert_eq!(store.list("catalog").await.unwrap().len(), 4, "twice as many as must be are no reason");
        let all = log.load_all().await.unwrap();
        assert_eq!(all.iter().map(|version| version.stamp.id).collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert_eq!(all.last(), Some(&latest));

        let next = with_entry(&latest, latest.stamp.writer);
        log.commit(&next, Some(&latest)).await.unwrap();
        log.prune(KEPT).await.unwrap();
        let names = ["00000000000000000004.boundary", "00000000000000000004.dcat", "00000000000000000005.dcat"];
        assert_eq!(store.list("catalog").await.unwrap(), names);
        assert_eq!(log.load_all().await.unwrap(), [latest, next.clone()]);
        assert_eq!(log.load_latest().await.unwrap(), Some(next));
        let chain = log.verify().await.unwrap();
        assert!(chain.wrong.is_empty() && chain.versions == 2, "{:?}", chain.wrong);
    }
}

#[tokio::test]
async fn a_version_below_the_boundary_does_not_count() {
    let store = Store::open("memory://").await.unwrap();
    let log = VersionLog::catalog(store.clone());
    let old = grow(&log, 2).await;
    // A writer has made up its mind and stalls; others go on and the number it wants is pruned.
    let late = with_entry(&old, Ulid::new());
    let mut latest = old.clone();
    for _ in 0..9 {
        let next = with_entry(&latest, old.stamp.writer);
        log.commit(&next, Some(&latest)).await.unwrap();
        latest = next;
    }
    log.prune(KEPT).await.unwrap();
    let refused = log.commit(&late, Some(&old)).await;
    assert!(matches!(refused, Err(Error::Fenced { ours: 1, theirs: 1 })), "{refused:?}");
    assert!(store.exists(&path(3)).await.unwrap(), "it has landed");
    assert_eq!(log.load_latest().await.unwrap().as_ref(), Some(&latest), "but does not count");
    let all = log.load_all().await.unwrap();
    assert_eq!((all[0].stamp.id, all.len(), all.last()), (10, 2, Some(&latest)));
    let again = log.commit(&late, Some(&old)).await;
    assert!(matches!(again, Err(Error::Fenced { .. })), "nor when it is recognised: {again:?}");
    log.prune(KEPT).await.unwrap();
    assert!(!store.exists(&path(3)).await.unwrap(), "and is swept");
}

#[tokio::test]
async fn a_lost_version_is_named_also_at_the_ends() {
    let store = Store::open("memory://").await.unwrap();
    let log = VersionLog::catalog(store.clone());
    grow(&log, 3).await;
    store.delete(&path(1)).await.unwrap();
    assert!(matches!(log.load_all().await, Err(Error::Corrupt { .. })));
    let error = log.load_latest().await.unwrap_err().to_string();
    assert!(error.contains("catalog") && error.contains("1 to 1 are missing") && error.contains("backup"), "{error}");

    // All versions from the boundary on are lost.
    for id in [2, 3] {
        store.delete(&path(id)).await.unwrap();
    }
    store.publish("catalog/00000000000000000003.boundary", "x").await.unwrap();
    assert!(matches!(log.load_latest().await, Err(Error::Corrupt { .. })));
}

#[tokio::test]
async fn each_fault_of_a_chain_is_reported() {
    let store = Store::open("memory://").await.unwrap();
    let log = VersionLog::catalog(store.clone());
    grow(&log, 6).await;
    let fifth = store.read(&path(5)).await.unwrap();
    store.delete(&path(2)).await.unwrap();
    for (id, bytes) in [(4, fifth.slice(..70)), (6, fifth)] {
        store.delete(&path(id)).await.unwrap();
        store.publish(&path(id), bytes).await.unwrap();
    }
    let foreign = Catalog::first(1, Ulid::new());
    store.delete(&path(1)).await.unwrap();
    store.publish(&path(1), foreign.encode()).await.unwrap();
    let chain = log.verify().await.unwrap();
    assert!(chain.latest.is_none());
    let wrong: Vec<String> = chain.wrong.iter().map(Error::to_string).collect();
    assert_eq!(wrong.len(), 3, "{wrong:?}");
    for (message, part) in wrong.iter().zip(["2 to 2 are missing", &path(4), &path(6)]) {
        assert!(message.contains(part) && message.contains("backup"), "{message}");
    }
}

/// What one of the racing parties does next.
#[derive(Clone, Debug)]
enum Step {
    /// A writer looks at the latest version and makes up its mind.
    Plan(usize),
    /// It commits what it had planned, however long ago.
    Commit(usize),
    Prune,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    // The third writer commits rarely: it is the zombie.
    let step = prop_oneof![
        4 => (0..2usize).prop_map(Step::Plan),
        4 => (0..2usize).prop_map(Step::Commit),
        1 => Just(Step::Plan(2)),
        1 => Just(Step::Commit(2)),
        2 => Just(Step::Prune),
    ];
    vec(step, 20..150)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn history_is_linear_whoever_stalls(steps in steps()) {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(check_history(steps))?;
    }
}

async fn check_history(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let log = VersionLog::catalog(Store::open("memory://").await.unwrap());
    let mut truth = grow(&log, 1).await;
    let mut plans: [Option<(Catalog, Catalog)>; 3] = [const { None }; 3];
    let writers = [Ulid::new(), Ulid::new(), Ulid::new()];
    for step in steps {
        match step {
            Step::Plan(writer) => {
                let latest = log.load_latest().await.unwrap().unwrap();
                plans[writer] = Some((with_entry(&latest, writers[writer]), latest));
            }
            Step::Commit(writer) => {
                let Some((next, parent)) = plans[writer].take() else { continue };
                let is_next = next.stamp.id == truth.stamp.id + 1;
                match log.commit(&next, Some(&parent)).await {
                    Ok(Commit::Committed) => {
                        prop_assert!(is_next);
                        prop_assert_eq!(&parent, &truth);
                        truth = next;
                    }
                    Ok(Commit::Conflict(theirs)) => prop_assert!(!is_next && theirs.stamp.id == next.stamp.id),
                    Err(Error::Fenced { .. }) => prop_assert!(!is_next),
                    Err(other) => prop_assert!(false, "{other}"),
                }
            }
            Step::Prune => log.prune(KEPT).await.unwrap(),
        }
        let latest = log.load_latest().await.unwrap();
        prop_assert_eq!(latest.as_ref(), Some(&truth));
        prop_assert!(log.verify().await.unwrap().wrong.is_empty());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_and_writers_never_notice_the_pruning() {
    const VERSIONS: u64 = 120;
    let dir = tempfile::tempdir().unwrap();
    for uri in [dir.path().to_str().unwrap(), "memory://"] {
        let log = VersionLog::catalog(Store::open(uri).await.unwrap());
        let mut latest = grow(&log, 1).await;
        let others: Vec<_> = (0..2).map(|prunes| tokio::spawn(look_on(log.clone(), prunes == 1, VERSIONS))).collect();
        while latest.stamp.id < VERSIONS {
            tokio::time::sleep(Duration::from_millis(2)).await;
            let next = with_entry(&latest, latest.stamp.writer);
            assert_eq!(log.commit(&next, Some(&latest)).await.unwrap(), Commit::Committed);
            latest = next;
        }
        for other in others {
            other.await.unwrap();
        }
    }
}

/// Loads the latest version over and over, until it has that number.
async fn look_on(log: VersionLog<Catalog>, prunes: bool, until: u64) {
    let mut seen = 0;
    while seen < until {
        let latest = log.load_latest().await.unwrap();
        let latest = latest.unwrap_or_else(|| panic!("{log:?} {prunes} {seen}")).stamp.id;
        assert!(latest >= seen, "{latest} after {seen}");
        seen = latest;
        if prunes {
            log.prune(KEPT_FOR_READERS).await.unwrap();
        }
        // In memory nothing else would let the writer's turn come.
        tokio::task::yield_now().await;
    }
}
