//! Databases whose log is in the store: nothing is needed of the machine that wrote them.

use std::{collections::BTreeMap, time::Duration};

use drift_engine::{Collection, Database, ErrorKind, Settings};
use drift_storage::{
    Store,
    faults::{Faults, Operation},
};
use drift_types::{Metric, VectorId};
use rand::Rng;
use tokio::task::JoinSet;

use crate::fixture::*;

const DIM: usize = 4;

/// What a collection should hold: texts by key.
type Model = BTreeMap<i64, String>;

fn rows(ids: impl IntoIterator<Item = i64>, text: &str) -> Vec<Row> {
    ids.into_iter().map(|id| (id, text.to_owned(), vec![id as f32; DIM])).collect()
}

fn keys(ids: &[i64]) -> Vec<VectorId> {
    ids.iter().map(|&id| VectorId::from_i64(id)).collect()
}

async fn found(database: &Database) -> Model {
    all_rows(&database.collection("docs").unwrap()).await.into_iter().map(|r| (r.0, r.1)).collect()
}

async fn memory() -> Store {
    Store::open("memory://").await.unwrap()
}

async fn open_in(store: &Store) -> Database {
    Database::open_in(store.clone(), small()).await.unwrap()
}

fn error_of<T>(result: drift_engine::Result<T>) -> drift_engine::Error {
    match result {
        Err(error) => error,
        Ok(_) => panic!("this should have failed"),
    }
}

#[tokio::test]
async fn what_was_acknowledged_needs_no_local_disk() {
    let uri = "memory://what_was_acknowledged";
    let database = Database::open(uri, small()).await.unwrap();
    let docs = create(&database, DIM, Metric::L2).await;
    docs.insert(batch(&rows(0..100, "first"), DIM)).await.unwrap();
    docs.flush().await.unwrap();
    docs.insert(batch(&rows(50..150, "second"), DIM)).await.unwrap();
    docs.delete(&keys(&[0, 60, 149])).await.unwrap();
    drop((docs, database));
    let database = Database::open(uri, small()).await.unwrap();
    let text = |id| if id < 50 { "first" } else { "second" };
    let expected: Model = (1..149).filter(|&id| id != 60).map(|id| (id, text(id).to_owned())).collect();
    assert_eq!(found(&database).await, expected);
    database.close().await.unwrap();
    assert_eq!(found(&Database::open(uri, small()).await.unwrap()).await, expected);
}

/// One change, tried on a collection; afterwards `model` is what it should hold.
async fn change(docs: &Collection, step: i64, random: &mut impl Rng, model: &mut Model) -> drift_engine::Result<()> {
    let ids: Vec<i64> = (0..random.random_range(1..60)).map(|_| random.random_range(0..400)).collect();
    match random.random_range(0..10) {
        0..2 => docs.flush().await,
        2..4 => {
            model.retain(|id, _| !ids.contains(id));
            docs.delete(&keys(&ids)).await.map(drop)
        }
        _ => {
            let text = format!("step {step}");
            let ids: std::collections::BTreeSet<i64> = ids.into_iter().collect();
            model.extend(ids.iter().map(|&id| (id, text.clone())));
            docs.insert(batch(&rows(ids, &text), DIM)).await.map(drop)
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_nothing_acknowledged_is_lost() {
    for seed in 0..6 {
        let (store, mut random) = (memory().await, rng(seed));
        create(&open_in(&store).await, DIM, Metric::L2).await;
        // What is acknowledged, and what may be there as well: the change under way.
        let (mut sure, mut doubt) = (Model::new(), Model::new());
        for life in 0..8 {
            let database = open_in(&store).await;
            let there = found(&database).await;
            assert!(there == sure || there == doubt, "seed {seed}, life {life}");
            (sure, doubt) = (there.clone(), there);
            let killed = Duration::from_micros(random.random_range(0..30_000));
            let work = async {
                let docs = database.collection("docs").unwrap();
                for step in 0.. {
                    change(&docs, 100 * life + step, &mut random, &mut doubt).await.unwrap();
                    sure = doubt.clone();
                }
            };
            let _ = tokio::time::timeout(killed, work).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_writer_fences_the_first() {
    let store = memory().await;
    let first = open_in(&store).await;
    let docs = create(&first, DIM, Metric::L2).await;
    docs.insert(batch(&rows(0..10, "first"), DIM)).await.unwrap();
    let second = open_in(&store).await;
    for _ in 0..2 {
        let error = error_of(docs.insert(batch(&rows(10..20, "zombie"), DIM)).await);
        assert_eq!(error.kind(), ErrorKind::Closed);
        assert!(error.to_string().contains("another writer has taken over"), "{error}");
    }
    error_of(docs.flush().await);
    error_of(first.close().await);
    assert_eq!(found(&second).await.len(), 10);
    second.collection("docs").unwrap().insert(batch(&rows(10..20, "second"), DIM)).await.unwrap();
    drop(second);
    assert_eq!(found(&open_in(&store).await).await.len(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_writer_acknowledged_while_another_took_over_is_there() {
    for seed in 0..12u64 {
        let store = memory().await;
        let mut database = open_in(&store).await;
        create(&database, DIM, Metric::L2).await;
        let mut writers = JoinSet::new();
        for life in 0..4 {
            let docs = database.collection("docs").unwrap();
            // Inserts until it is fenced; answers with the keys acknowledged.
            writers.spawn(async move {
                let mut acknowledged = Vec::new();
                for i in 0.. {
                    let id = life * 1_000_000 + i;
                    match docs.insert(batch(&rows([id], "x"), DIM)).await {
                        Ok(_) => acknowledged.push(id),
                        Err(e) => {
                            assert!(e.to_string().contains("another writer"), "{e}");
                            break;
                        }
                    }
                    if i % 40 == 39 && docs.flush().await.is_err() {
                        break;
                    }
                }
                acknowledged
            });
            tokio::time::sleep(Duration::from_micros(seed * 700)).await;
            database = open_in(&store).await;
        }
        let mut acknowledged: Vec<i64> = writers.join_all().await.into_iter().flatten().collect();
        acknowledged.sort_unstable();
        let there: Vec<i64> = all_rows(&database.collection("docs").unwrap()).await.iter().map(|r| r.0).collect();
        assert_eq!(there, acknowledged, "seed {seed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_writes_is_one_object_of_the_log() {
    let faults = Faults::none();
    let store = memory().await.with_faults(faults.clone());
    let settings = Settings { log_linger_ms: Some(300), ..small() };
    let database = Database::open_in(store, settings).await.unwrap();
    let docs = create(&database, DIM, Metric::L2).await;
    let before = faults.calls().len();
    let mut inserts = JoinSet::new();
    for id in 0..20 {
        let docs = docs.clone();
        inserts.spawn(async move { docs.insert(batch(&rows([id], "x"), DIM)).await.unwrap() });
    }
    inserts.join_all().await;
    let calls = faults.calls().split_off(before);
    assert!(calls.iter().all(|call| call.operation == Operation::Put && call.path.starts_with("wal/")), "{calls:?}");
    assert!(calls.len() < 20, "nobody waited for company");
}

#[tokio::test]
async fn another_log_than_the_last_is_noticed() {
    let (store, dir, other) = (memory().await, tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let with = |dir: Option<&tempfile::TempDir>| Settings { wal_dir: dir.map(|d| d.path().into()), ..small() };
    let database = Database::open_in(store.clone(), with(Some(&dir))).await.unwrap();
    create(&database, DIM, Metric::L2).await.insert(batch(&rows(0..10, "x"), DIM)).await.unwrap();
    drop(database);
    for wrong in [None, Some(&other)] {
        for _ in 0..2 {
            let error = error_of(Database::open_in(store.clone(), with(wrong)).await);
            assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
            assert!(error.to_string().contains(dir.path().to_str().unwrap()), "{error}");
        }
    }
    assert!(store.list("wal").await.unwrap().is_empty());
    assert_eq!(found(&Database::open_in(store.clone(), with(Some(&dir))).await.unwrap()).await.len(), 10);
    // Whoever has lost it says so, and has what was flushed.
    let settings = Settings { accept_lost_log: true, ..small() };
    let database = Database::open_in(store.clone(), settings).await.unwrap();
    database.collection("docs").unwrap().insert(batch(&rows(20..25, "x"), DIM)).await.unwrap();
    drop(database);
    assert_eq!(found(&open_in(&store).await).await.len(), 5);
    assert_eq!(error_of(Database::open_in(store.clone(), with(Some(&dir))).await).kind(), ErrorKind::Invalid);
}
