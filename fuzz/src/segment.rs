//! A segment: opened, and every part of it read.
//!
//! ```text
//! input  u8 (bit 0: renew checksums), pages of the file (pages.rs)
//! ```

use std::{fmt::Debug, sync::Arc};

use drift_codec::{Bit1Scanner, Sq8Rescorer};
use drift_segment::{Error, HotRun, PartCache, SegmentReader};
use drift_storage::Store;
use drift_types::{Metric, VectorId};
use tokio::runtime::{Builder, Runtime};

use crate::{checksums, pages};

const PATH: &str = "s.drift";

thread_local! {
    static PLACE: (Runtime, Store) = {
        let runtime = Builder::new_current_thread().build().expect("a runtime without threads or timers");
        let store = runtime.block_on(Store::open("memory://")).expect("memory");
        (runtime, store)
    };
}

pub fn run(input: &[u8]) {
    let Some((mode, rest)) = input.split_first() else { return };
    let Some(mut file) = pages::unfold(rest).into_iter().next() else { return };
    if mode & 1 == 1 {
        checksums::segment(&mut file);
    }
    PLACE.with(|(runtime, store)| runtime.block_on(read(store, file)));
}

async fn read(store: &Store, file: Vec<u8>) {
    store.delete(PATH).await.expect("memory");
    store.publish(PATH, file).await.expect("memory");
    // Nothing is kept from one part to the next.
    let cache = Arc::new(PartCache::new(0));
    let Some(reader) = sound(SegmentReader::open(store.clone(), PATH.into(), None, cache).await) else { return };
    let _ = (reader.describe(), reader.can_rewrite());
    let mut keys: Vec<VectorId> = [0, 1, u64::MAX].map(VectorId).into();
    if let Some(ids) = sound(reader.ids().await) {
        assert_eq!(ids.iter().count(), reader.rows() as usize);
        keys.extend(ids.iter().map(|(id, _)| id).take(100));
    }
    for (i, run) in reader.runs().iter().enumerate() {
        if let Some(hot) = sound(reader.hot(i as u32).await) {
            assert_eq!((hot.rows(), hot.sq8().norms_sq.len()), (run.rows as usize, run.rows as usize));
            (0..hot.rows()).for_each(|row| _ = hot.id(row));
            scan(&hot, reader.origin().map(|origin| &origin[..]), reader.meta().metric);
        }
        if let Some(exact) = sound(reader.exact(i as u32).await) {
            assert_eq!(exact.rows(), run.rows as usize);
            (0..exact.rows()).for_each(|row| _ = (exact.row(row), exact.inv_norm(row)));
        }
    }
    sound(reader.key_filter().await);
    if let Some(found) = sound(reader.find(&keys).await) {
        assert!(found.iter().all(|(_, row)| *row < reader.rows()));
    }
    let columns: Vec<usize> = (0..reader.meta().schema.fields().len()).collect();
    if let Some(batch) = sound(reader.columns(&columns).await) {
        assert_eq!((batch.num_rows(), batch.num_columns()), (reader.rows() as usize, columns.len()));
    }
    let rows = [reader.rows() - 1, 0];
    if let Some(batch) = sound(reader.payload(&rows, &columns).await) {
        assert_eq!(batch.num_rows(), rows.len());
    }
}

/// Searches a run as the engine does.
fn scan(hot: &HotRun, origin: Option<&[f32]>, metric: Metric) {
    let (Some(origin), Some((codes, offsets))) = (origin, hot.bit1()) else { return };
    let query: Vec<f32> = (0..origin.len()).map(|i| i as f32 - 1.0).collect();
    let mut scanner = Bit1Scanner::new(&query, metric, 1.9);
    scanner.set_origin(origin);
    let sq8 = hot.sq8();
    let centre = scanner.centre_score(sq8.centre);
    let left = scanner.scan(&codes, centre, 1.0, None).rows();
    assert!(left.iter().all(|row| (*row as usize) < hot.rows()));
    let bounds = Sq8Rescorer::new(&query, metric, origin).bounds(&sq8, offsets, centre, left).len();
    assert_eq!(bounds, left.len());
}

/// What was read; or an error that lays the blame on the file.
fn sound<T: Debug>(read: Result<T, Error>) -> Option<T> {
    if let Err(error) = &read {
        assert!(matches!(error, Error::Corrupt { .. } | Error::Newer { .. } | Error::Older { .. }), "{error:?}");
    }
    read.ok()
}
