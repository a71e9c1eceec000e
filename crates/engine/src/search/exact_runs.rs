use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
};

use drift_kernels::prefetch;
use drift_segment::ExactRun;

use super::candidates::Coded;
use crate::{Result, snapshot::Snapshot};

/// Runs held at once: a search for many neighbours must not keep what the cache has no room for.
const HELD: usize = 64;

/// The vectors of the runs that candidates lie in, held while a search needs them: the cache is mostly asked
/// once for each run.
#[derive(Default)]
pub(super) struct ExactRuns {
    /// By segment and run.
    held: BTreeMap<(u32, u32), Arc<ExactRun>>,
}

impl ExactRuns {
    /// The vectors of a run.
    pub async fn get(&mut self, snapshot: &Snapshot, segment: u32, run: u32) -> Result<&ExactRun> {
        self.make_room((segment, run));
        Ok(match self.held.entry((segment, run)) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(snapshot.segments[segment as usize].reader.exact(run).await?),
        })
    }

    /// Lets the vector of a candidate come nearer, if its run is in memory.
    pub fn bring_near(&mut self, snapshot: &Snapshot, &Coded { segment, run, row, .. }: &Coded) {
        self.make_room((segment, run));
        let exact = match self.held.entry((segment, run)) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => match snapshot.segments[segment as usize].reader.exact_cached(run) {
                Some(exact) => new.insert(exact),
                None => return,
            },
        };
        prefetch(exact.row(row as usize));
    }

    fn make_room(&mut self, run: (u32, u32)) {
        if self.held.len() == HELD && !self.held.contains_key(&run) {
            self.held.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, FixedSizeListArray, Float32Array, Int64Array, RecordBatch};
    use arrow_schema::{DataType, Field};

    use super::*;
    use crate::{CollectionSpec, Database, Settings};

    fn rows(count: i64) -> RecordBatch {
        let item = Arc::new(Field::new("item", DataType::Float32, true));
        let values: Float32Array = (0..2 * count).map(|i| ((i * i) % 7_919) as f32).collect();
        let vectors = FixedSizeListArray::new(item, 2, Arc::new(values), None);
        let columns: [(&str, ArrayRef); 2] =
            [("id", Arc::new((0..count).collect::<Int64Array>())), ("v", Arc::new(vectors))];
        RecordBatch::try_from_iter(columns).unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn however_many_runs_are_asked_for_few_are_held() {
        let database = Database::open("memory://", Settings::default()).await.unwrap();
        let batch = rows(20_000);
        let collection = database.create_collection("docs", CollectionSpec::new(batch.schema())).await.unwrap();
        collection.insert(batch).await.unwrap();
        collection.flush().await.unwrap();
        let snapshot = collection.shared.snapshot.load();
        let mut runs = ExactRuns::default();
        let mut asked = 0;
        for (segment, view) in (0..).zip(&snapshot.segments) {
            for run in 0..view.reader.runs().len() as u32 {
                let rows = runs.get(&snapshot, segment, run).await.unwrap().rows();
                assert_eq!(rows, view.reader.runs()[run as usize].rows as usize);
                runs.bring_near(&snapshot, &Coded { lower: 0.0, segment, run, row: 0 });
                assert!(runs.held.len() <= HELD, "{} runs are held", runs.held.len());
                asked += 1;
            }
        }
        assert!(asked > HELD, "only {asked} runs");
        database.close().await.unwrap();
    }
}
