//! A database looked at from outside: sound ones are found sound, damaged ones damaged, and neither
//! notices.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use drift_engine::{Collection, Settings, Verification, look, verify};
use drift_types::{Metric, VectorId};
use rand::Rng;

use crate::fixture::*;

const DIM: usize = 6;

fn rows(ids: impl IntoIterator<Item = i64>, text: &str) -> Vec<Row> {
    let vector = |id: i64| (0..DIM as i64).map(|i| ((id * 7 + i * i) % 101) as f32).collect();
    ids.into_iter().map(|id| (id, text.to_owned(), vector(id))).collect()
}

async fn verified(dir: &Path) -> Verification {
    let (mut told, settings) = (Vec::new(), small());
    let found = verify(dir.to_str().unwrap(), &settings, &mut |part| told.push(part.clone())).await.unwrap();
    assert_eq!(told, found.parts);
    found
}

async fn assert_sound(dir: &Path) {
    let found = verified(dir).await;
    assert_eq!(found.wrong().collect::<Vec<_>>(), Vec::<&drift_engine::Finding>::new());
}

async fn delete(docs: &Collection, ids: impl IntoIterator<Item = i64>) {
    let ids: Vec<VectorId> = ids.into_iter().map(VectorId::from_i64).collect();
    docs.delete(&ids).await.unwrap();
}

/// All files of a closed database but the lock, relative to its root.
fn files(root: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut dirs = vec![root.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).unwrap().map(Result::unwrap) {
            match entry.file_type().unwrap().is_dir() {
                true => dirs.push(entry.path()),
                false => drop(found.insert(entry.path().strip_prefix(root).unwrap().to_owned())),
            }
        }
    }
    found.retain(|path| path != Path::new("LOCK"));
    found
}

fn newest(files: &BTreeSet<PathBuf>, extension: &str) -> PathBuf {
    files.iter().rfind(|path| path.extension().is_some_and(|e| e == extension)).unwrap().clone()
}

/// A closed database with all kinds of files: two segments, tombstones, rows that only the log has.
async fn small_database(dir: &Path) {
    // Closing may cut off a compaction, which leaves files that nothing names until the next start.
    let database = open(dir, Settings { maintenance: false, ..small() }).await;
    let docs = create(&database, DIM, Metric::Cosine).await;
    docs.insert(batch(&rows(1..300, "first"), DIM)).await.unwrap();
    docs.flush().await.unwrap();
    docs.insert(batch(&rows(1_000..1_200, "second"), DIM)).await.unwrap();
    docs.flush().await.unwrap();
    delete(&docs, 20..25).await;
    docs.flush().await.unwrap();
    docs.insert(batch(&rows(290..310, "third"), DIM)).await.unwrap();
    delete(&docs, [7]).await;
    drop(docs);
    database.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_happens_a_sound_database_is_found_sound_and_its_rows_are_counted() {
    for metric in [Metric::L2, Metric::Cosine] {
        let dir = tempfile::tempdir().unwrap();
        let mut rng = rng(metric as u64 + 5);
        let mut database = open(dir.path(), Settings { manifests_kept: 2, ..small() }).await;
        create(&database, DIM, metric).await;
        for step in 0..40 {
            let docs = database.collection("docs").unwrap();
            let first = rng.random_range(1..3_000i64);
            match rng.random_range(0..9) {
                0..=2 => drop(docs.insert(batch(&rows(first..first + 300, "row"), DIM)).await.unwrap()),
                3 => delete(&docs, first..first + 200).await,
                // Also replaces rows; they are counted once flushed.
                4 => {
                    docs.insert_stream(stream(vec![batch(&rows(first..first + 2_100, "bulk"), DIM)])).await.unwrap();
                    docs.flush().await.unwrap();
                }
                5 => docs.compact().await.unwrap(),
                6 => docs.flush().await.unwrap(),
                7 => {
                    drop((docs, database));
                    database = open(dir.path(), Settings { manifests_kept: 2, ..small() }).await;
                }
                _ => {
                    drop(docs);
                    database.close().await.unwrap();
                    database = open(dir.path(), Settings { manifests_kept: 2, ..small() }).await;
                }
            }
            // A server may have it open meanwhile.
            assert_sound(dir.path()).await;
            let seen = look(dir.path().to_str().unwrap(), &small()).await.unwrap();
            let docs = database.collection("docs").unwrap();
            assert_eq!(seen.collections.len(), 1);
            assert_eq!(seen.collections[0].status.rows, docs.status().rows, "{metric} step {step}");
            assert_eq!(seen.collections[0].name, "docs");
        }
        let manifests = files(dir.path()).iter().filter(|path| path.extension().is_some_and(|e| e == "dman")).count();
        assert!(manifests <= 4, "{manifests} manifests are kept");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_leaves_no_trace() {
    let dir = tempfile::tempdir().unwrap();
    small_database(dir.path()).await;
    let content = |path: &PathBuf| (path.clone(), fs::read(dir.path().join(path)).unwrap());
    let before: Vec<_> = files(dir.path()).iter().map(content).collect();
    assert_sound(dir.path()).await;
    let seen = look(dir.path().to_str().unwrap(), &small()).await.unwrap();
    let status = &seen.collections[0].status;
    // 299 + 200 - 5, ten more by upsert and one less by the log.
    assert_eq!((status.rows, status.l0_rows, status.segments), (503, 20, 2));
    assert_eq!(seen.collections[0].segments.iter().map(|s| s.live_rows).sum::<u64>(), 494);
    assert_eq!(files(dir.path()).iter().map(content).collect::<Vec<_>>(), before);

    let nowhere = dir.path().join("nowhere");
    let error = look(nowhere.to_str().unwrap(), &small()).await.unwrap_err();
    assert_eq!(error.kind(), drift_engine::ErrorKind::NotFound);
    assert!(verify(nowhere.to_str().unwrap(), &small(), &mut |_| {}).await.is_err());
    assert!(!nowhere.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_byte_is_reported_with_its_file() {
    let dir = tempfile::tempdir().unwrap();
    small_database(dir.path()).await;
    for path in files(dir.path()) {
        let full = dir.path().join(&path);
        let sound = fs::read(&full).unwrap();
        // A segment may be padded with zeros in the middle.
        let middle = if path.extension().is_some_and(|e| e == "drift") { 4_100 } else { sound.len() / 2 };
        for at in [3, 20, middle, sound.len() - 20, sound.len() - 1] {
            let mut damaged = sound.clone();
            damaged[at] ^= 0x10;
            fs::write(&full, damaged).unwrap();
            is_reported(dir.path(), &path, &format!("byte {at}")).await;
        }
        // A log that ends early lost its end in a crash.
        let cuts =
            if path.extension().is_some_and(|e| e == "wal") { vec![] } else { vec![0, 1, 63, middle, sound.len() - 1] };
        for length in cuts {
            fs::write(&full, &sound[..length]).unwrap();
            is_reported(dir.path(), &path, &format!("cut to {length}")).await;
        }
        fs::write(&full, sound).unwrap();
    }
    assert_sound(dir.path()).await;
}

async fn is_reported(dir: &Path, path: &Path, what: &str) {
    let found = verified(dir).await;
    let finding = found.wrong().find(|finding| finding.file.ends_with(path.to_str().unwrap()));
    let finding = finding.unwrap_or_else(|| panic!("{path:?}, {what}: {:?}", found.wrong().collect::<Vec<_>>()));
    let message = &finding.message;
    assert!(message.contains(path.to_str().unwrap()), "{message}");
    let says_what_to_do = ["restore", "upgrade", "newer"].iter().any(|advice| message.contains(advice));
    assert!(says_what_to_do, "{path:?}, {what}: {message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_file_is_reported_by_who_needs_it() {
    let dir = tempfile::tempdir().unwrap();
    small_database(dir.path()).await;
    let all = files(dir.path());
    // Nothing else names these. (A lost manifest is noticed if the one before it names what is gone.)
    let unmissed = ["dcat", "dman", "wal"].map(|extension| newest(&all, extension));
    for path in all.iter().filter(|path| !unmissed.contains(path)) {
        let full = dir.path().join(path);
        let sound = fs::read(&full).unwrap();
        fs::remove_file(&full).unwrap();
        let found = verified(dir.path()).await;
        let wrong: Vec<_> = found.wrong().collect();
        assert!(wrong.iter().any(|finding| finding.file.ends_with(path.to_str().unwrap())), "{path:?}: {wrong:?}");
        fs::write(&full, sound).unwrap();
    }
    assert_sound(dir.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sound_files_in_the_wrong_place_are_reported() {
    let dir = tempfile::tempdir().unwrap();
    small_database(dir.path()).await;
    let all = files(dir.path());
    for extension in ["drift", "dman", "dcat"] {
        let mut of_a_kind = all.iter().filter(|path| path.extension().is_some_and(|e| e == extension)).rev();
        let (newer, older) = (of_a_kind.next().unwrap(), of_a_kind.next().unwrap());
        let [a, b] = [newer, older].map(|path| fs::read(dir.path().join(path)).unwrap());
        // An older one under the newer's name, then both swapped.
        fs::write(dir.path().join(newer), &b).unwrap();
        is_reported(dir.path(), newer, "an older file").await;
        fs::write(dir.path().join(older), &a).unwrap();
        is_reported(dir.path(), older, "a newer file").await;
        fs::write(dir.path().join(newer), a).unwrap();
        fs::write(dir.path().join(older), b).unwrap();
    }
    let stray = dir.path().join(newest(&all, "drift")).with_file_name("01M7WP6K5XC2GAVWZ57B3HG99A.drift");
    fs::write(stray, "left by a crash").unwrap();
    let found = verified(dir.path()).await;
    assert_eq!((found.wrong().count(), found.parts[1].unnamed_files), (0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_runs_beside_a_busy_server() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { manifests_kept: 1, ..small() };
    let database = open(dir.path(), settings).await;
    let docs = create(&database, DIM, Metric::L2).await;
    let busy = tokio::spawn(async move {
        for round in 0..25i64 {
            docs.insert(batch(&rows(round * 100..round * 100 + 200, "row"), DIM)).await.unwrap();
            delete(&docs, round * 100..round * 100 + 30).await;
            docs.flush().await.unwrap();
            if round % 5 == 4 {
                docs.compact().await.unwrap();
            }
        }
    });
    let mut rounds = 0;
    while !busy.is_finished() || rounds == 0 {
        assert_sound(dir.path()).await;
        rounds += 1;
    }
    busy.await.unwrap();
    database.drop_collection("docs").await.unwrap();
    assert_sound(dir.path()).await;
    assert_eq!(fs::read_dir(dir.path().join("c")).unwrap().count(), 0, "a dropped collection leaves a directory");
}

/// A key in the log and in two loads after it, whose older row no manifest has buried yet.
#[tokio::test(flavor = "multi_thread")]
async fn rows_that_loads_have_replaced_are_counted_once() {
    let dir = tempfile::tempdir().unwrap();
    let database = open(dir.path(), small()).await;
    let docs = create(&database, DIM, Metric::L2).await;
    docs.insert(batch(&rows(0..10, "log"), DIM)).await.unwrap();
    for _ in 0..2 {
        docs.insert(batch(&rows(0..2_000, "load"), DIM)).await.unwrap();
    }
    let status = look(dir.path().to_str().unwrap(), &small()).await.unwrap().collections[0].status.clone();
    assert_eq!(status.l0_rows, 0, "{status:?}");
}
