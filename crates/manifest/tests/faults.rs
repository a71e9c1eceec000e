//! Commits to a store that loses calls and answers.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use drift_manifest::{Catalog, CatalogEntry, Commit, Error, VersionLog};
use drift_storage::{
    Store,
    faults::{Fault, Faults, Operation},
};
use drift_types::CollectionId;
use ulid::Ulid;

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_not_made_twice() {
    for fault in [Fault::AnswerLost, Fault::Refused] {
        let sound = Store::open("memory://").await.unwrap();
        // Every other put goes wrong.
        let puts = AtomicUsize::new(0);
        let faults = Faults::new(move |call| {
            let is_put = call.operation == Operation::Put;
            (is_put && puts.fetch_add(1, Relaxed).is_multiple_of(2)).then_some(fault)
        });
        let log = VersionLog::<Catalog>::catalog(sound.clone().with_faults(faults));
        let mut latest: Option<Catalog> = None;
        for round in 0..20 {
            let mut next =
                latest.as_ref().map_or_else(|| Catalog::first(1, Ulid::new()), |c| c.successor(1, c.stamp.writer));
            next.collections.push(CatalogEntry { name: format!("c{round}"), collection: CollectionId(Ulid::new()) });
            let committed = match log.commit(&next, latest.as_ref()).await {
                Err(Error::Storage(_)) if fault == Fault::Refused => log.commit(&next, latest.as_ref()).await,
                committed => committed,
            };
            assert_eq!(committed.unwrap(), Commit::Committed, "{fault:?}, round {round}");
            latest = Some(next);
        }
        let kept = VersionLog::<Catalog>::catalog(sound).load_latest().await.unwrap();
        assert_eq!(kept, latest, "each change once");
    }
}
