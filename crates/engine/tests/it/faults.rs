//! Every call to the store fails once, in every way: nothing acknowledged is lost, nothing doubled.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use drift_engine::{Collection, Database, ErrorKind, Result};
use drift_storage::{
    Store,
    faults::{Fault, Faults, Operation},
};
use drift_types::{Metric, VectorId};
use tokio::time::timeout;

use crate::fixture::*;

const DIM: usize = 4;
const STEPS: usize = 7;

type Model = BTreeMap<i64, &'static str>;

async fn insert(docs: &Collection, ids: std::ops::Range<i64>, text: &str) -> Result<()> {
    let rows: Vec<Row> = ids.map(|id| (id, text.to_owned(), vec![id as f32; DIM])).collect();
    docs.insert(batch(&rows, DIM)).await.map(drop)
}

/// Each step may be repeated without harm.
async fn run(database: &Database, step: usize) -> Result<()> {
    let docs = || database.collection("docs");
    match step {
        0 => {
            let spec = drift_engine::CollectionSpec::new(schema(DIM)).with_metric(Metric::L2);
            match database.create_collection("docs", spec).await {
                Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(()),
                made => made.map(drop),
            }
        }
        1 => insert(&docs()?, 0..60, "first").await,
        2 => insert(&docs()?, 30..90, "second").await,
        3 | 6 => docs()?.flush().await,
        4 => {
            let gone: Vec<VectorId> = (50..70).map(VectorId::from_i64).collect();
            docs()?.delete(&gone).await.map(drop)
        }
        _ => insert(&docs()?, 60..65, "third").await,
    }
}

/// What is there after so many steps.
fn after(steps: usize) -> Model {
    let mut model = Model::new();
    for step in 0..steps {
        match step {
            1 => model.extend((0..60).map(|id| (id, "first"))),
            2 => model.extend((30..90).map(|id| (id, "second"))),
            4 => model.retain(|id, _| !(50..70).contains(id)),
            5 => model.extend((60..65).map(|id| (id, "third"))),
            _ => {}
        }
    }
    model
}

async fn check(store: &Store, done: usize, case: &str) {
    let database = Database::open_in(store.clone(), small()).await.unwrap_or_else(|e| panic!("{case}: {e}"));
    let Ok(docs) = database.collection("docs") else {
        return assert!(done == 0, "{case}: the collection is lost");
    };
    let rows = all_rows(&docs).await;
    let found: Vec<(i64, &str)> = rows.iter().map(|row| (row.0, row.1.as_str())).collect();
    let is = |model: Model| found.iter().copied().eq(model);
    assert!(is(after(done)) || is(after(done + 1)), "{case}: not the rows after {done} steps");
}

/// Opens the database and takes all steps; returns how many succeeded, and the first error.
async fn work(store: &Store) -> (usize, Result<()>) {
    let database = match Database::open_in(store.clone(), small()).await {
        Ok(database) => database,
        Err(e) => return (0, Err(e)),
    };
    for step in 0..STEPS {
        if let Err(e) = run(&database, step).await {
            return (step, Err(e));
        }
    }
    (STEPS, database.close().await)
}

/// The store whose `failing`th call goes wrong, and its faults.
async fn store_failing_at(failing: usize, fault: Fault) -> (Store, Store, Arc<Faults>) {
    let sound = Store::open("memory://").await.unwrap();
    let faults = Faults::new(move |call| (call.number == failing).then_some(fault));
    (sound.clone(), sound.with_faults(faults.clone()), faults)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_ends_at_any_failed_call_has_lost_nothing() {
    for fault in [Fault::Refused, Fault::AnswerLost] {
        for failing in 0.. {
            let case = format!("{fault:?} at call {failing}");
            let (sound, faulty, faults) = store_failing_at(failing, fault).await;
            let (done, ended) = work(&faulty).await;
            if let Err(e) = ended {
                assert!(matches!(e.kind(), ErrorKind::Unavailable | ErrorKind::Closed), "{case}: {:?} {e}", e.kind());
            }
            check(&sound, done, &case).await;
            if faults.calls().len() <= failing {
                assert_eq!(done, STEPS, "{case}: nothing has failed");
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_tries_again_after_a_failed_call_gets_there() {
    for fault in [Fault::Refused, Fault::AnswerLost] {
        for failing in 0.. {
            let case = format!("{fault:?} at call {failing}");
            let (sound, faulty, faults) = store_failing_at(failing, fault).await;
            let open = async || match Database::open_in(faulty.clone(), small()).await {
                Err(_) => Database::open_in(faulty.clone(), small()).await.unwrap_or_else(|e| panic!("{case}: {e}")),
                Ok(database) => database,
            };
            let database = open().await;
            for step in 0..STEPS {
                if run(&database, step).await.is_err() {
                    run(&database, step).await.unwrap_or_else(|e| panic!("{case}, step {step}: {e}"));
                }
            }
            drop(database);
            check(&sound, STEPS, &case).await;
            if faults.calls().len() <= failing {
                break;
            }
        }
    }
}

/// The manifest lands, but for a while nothing that is asked of the store is answered.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_outlasts_a_store_that_falls_silent() {
    let sound = Store::open("memory://").await.unwrap();
    let silent_until = Arc::new(AtomicUsize::new(0));
    let until = silent_until.clone();
    let faults = Faults::new(move |call| {
        let is_manifest = call.operation == Operation::Put && call.path.contains("/manifest/");
        if is_manifest && call.path.ends_with("3.dman") && until.load(Relaxed) == 0 {
            until.store(call.number + 12, Relaxed);
            return Some(Fault::AnswerLost);
        }
        (call.number < until.load(Relaxed)).then_some(Fault::Refused)
    });
    let database = Database::open_in(sound.clone().with_faults(faults), small()).await.unwrap();
    for step in 0..STEPS {
        run(&database, step).await.unwrap_or_else(|e| panic!("step {step}: {e}"));
    }
    assert!(silent_until.load(Relaxed) > 0, "no manifest was lost");
    drop(database);
    check(&sound, STEPS, "a silent store").await;
}

/// What cannot be flushed is not waited for without end.
#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_room_is_told_why_there_is_none() {
    let full = Arc::new(AtomicBool::new(true));
    let refuses = full.clone();
    let faults = Faults::new(move |call| {
        let is_segment = call.operation == Operation::Put && call.path.ends_with(".drift");
        (is_segment && refuses.load(Relaxed)).then_some(Fault::Refused)
    });
    let store = Store::open("memory://").await.unwrap().with_faults(faults);
    let settings = drift_engine::Settings { frozen_tables_max: 1, ..small() };
    let database = Database::open_in(store, settings).await.unwrap();
    let docs = create(&database, DIM, Metric::L2).await;
    let waits = async |docs: &Collection| loop {
        match timeout(Duration::from_secs(30), insert(docs, 0..300, "row")).await.expect("waits for ever") {
            Ok(()) => {}
            Err(e) => break e,
        }
    };
    let error = waits(&docs).await;
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("cannot be flushed"), "{error}");

    let waiting = {
        let docs = docs.clone();
        tokio::spawn(async move { insert(&docs, 0..300, "row").await })
    };
    database.drop_collection("docs").await.unwrap();
    let dropped = timeout(Duration::from_secs(30), waiting).await.expect("waits for ever").unwrap().unwrap_err();
    assert_eq!(dropped.kind(), ErrorKind::NotFound, "{dropped}");

    full.store(false, Relaxed);
    let docs = create(&database, DIM, Metric::L2).await;
    for _ in 0..10 {
        timeout(Duration::from_secs(30), insert(&docs, 0..300, "row")).await.expect("room comes").unwrap();
    }
}

/// Segments can be put only as often as `left` says.
fn segments_left(left: &Arc<AtomicUsize>) -> Arc<Faults> {
    let left = left.clone();
    Faults::new(move |call| {
        let is_segment = call.operation == Operation::Put && call.path.ends_with(".drift");
        let refused = is_segment && left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_err();
        refused.then_some(Fault::Refused)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flush_that_ends_between_its_parts_loses_nothing() {
    // A table of 100 rows has more bytes than a flush takes at once.
    let settings =
        drift_engine::Settings { memtable_rows_max: 100, frozen_tables_max: 100, bulk_bytes_max: 100, ..small() };
    for parts in 0..4 {
        let store = Store::open("memory://").await.unwrap();
        let left = Arc::new(AtomicUsize::new(0));
        let faulty = store.clone().with_faults(segments_left(&left));
        let database = Database::open_in(faulty, settings.clone()).await.unwrap();
        run(&database, 0).await.unwrap();
        let docs = database.collection("docs").unwrap();
        for i in 0..8 {
            insert(&docs, i * 60..i * 60 + 100, &format!("insert {i}")).await.unwrap();
            docs.delete(&[VectorId::from_i64(i * 60)]).await.unwrap();
        }
        let before = all_rows(&docs).await;
        assert_eq!(before.len(), 520 - 8);
        left.store(parts, Relaxed);
        docs.flush().await.unwrap_err();
        assert_eq!(all_rows(&docs).await, before, "after {parts} parts");
        drop((docs, database));
        let database = Database::open_in(store, settings.clone()).await.unwrap();
        let docs = database.collection("docs").unwrap();
        assert_eq!(all_rows(&docs).await, before, "started again after {parts} parts");
        docs.flush().await.unwrap();
        let status = docs.status();
        assert_eq!((status.l0_rows, all_rows(&docs).await == before), (0, true));
    }
}
