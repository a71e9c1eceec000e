use std::collections::{BTreeMap, btree_map::Entry};

use drift_kernels::prefetch;
use drift_segment::ExactRows;
use futures::future::join_all;

use super::candidates::Coded;
use crate::{Result, snapshot::Snapshot};

/// Runs held at once: a search for many neighbours must not keep what the cache has no room for.
const HELD: usize = 64;

/// Candidates whose vectors are read at once, at least and at most.
const READ_AT_ONCE: (usize, usize) = (8, 32);

/// The vectors of candidates, by their runs, held while a search needs them: the cache is mostly asked once for
/// each run.
pub(super) struct HeldVectors {
    /// By segment and run; of a run that is not in memory, the rows that were wanted.
    held: BTreeMap<(u32, u32), ExactRows>,
    at_once: usize,
}

impl HeldVectors {
    /// For a search for `k` neighbours.
    pub fn new(k: usize) -> Self {
        // So many are compared for certain, and mostly a few more.
        let at_once = k.saturating_add(2).clamp(READ_AT_ONCE.0, READ_AT_ONCE.1);
        Self { held: BTreeMap::new(), at_once }
    }

    /// The vectors of the first candidate's run. If they are not in memory, they are read together with those
    /// of the next ones whose lower bounds reach `bound`.
    pub async fn of_first(&mut self, snapshot: &Snapshot, coded: &[Coded], bound: f32) -> Result<&ExactRows> {
        let (first, others) = coded.split_first().expect("there is a candidate");
        if self.find(snapshot, first).is_none() {
            let others = others.iter().take(self.at_once - 1).take_while(|one| one.lower <= bound);
            Box::pin(self.read(snapshot, first, others)).await?;
        }
        Ok(&self.held[&(first.segment, first.run)])
    }

    /// Lets the vector of a candidate come nearer, if it is in memory.
    pub fn bring_near(&mut self, snapshot: &Snapshot, one: &Coded) {
        if let Some((vector, _)) = self.find(snapshot, one).and_then(|rows| rows.row(one.row)) {
            prefetch(vector);
        }
    }

    /// The vectors of a candidate's run, if its own is in memory.
    fn find(&mut self, snapshot: &Snapshot, one: &Coded) -> Option<&ExactRows> {
        let (run, reader) = ((one.segment, one.run), &snapshot.segments[one.segment as usize].reader);
        if self.held.len() == HELD && !self.held.contains_key(&run) {
            // Others go only for what comes.
            let found = reader.exact_cached(one.run)?;
            self.held.clear();
            return Some(self.held.entry(run).or_insert(ExactRows::all(found)));
        }
        match self.held.entry(run) {
            Entry::Occupied(known) => Some(&*known.into_mut()).filter(|rows| rows.row(one.row).is_some()),
            Entry::Vacant(new) => Some(new.insert(ExactRows::all(reader.exact_cached(one.run)?))),
        }
    }

    /// Reads the vector of a candidate, and of others as far as they are not in memory: it is held afterwards, and
    /// so are those of the others that can be read. What is wrong with one of them is told when it is its turn.
    async fn read(&mut self, snapshot: &Snapshot, one: &Coded, others: impl Iterator<Item = &Coded>) -> Result<()> {
        let first = (one.segment, one.run);
        let mut wanted = BTreeMap::from([(first, vec![one.row])]);
        for other in others {
            if self.find(snapshot, other).is_none() {
                wanted.entry((other.segment, other.run)).or_default().push(other.row);
            }
        }
        let reader = |segment: u32| &snapshot.segments[segment as usize].reader;
        let read = wanted.into_iter().map(async |((segment, run), mut rows)| {
            rows.sort_unstable();
            Some(((segment, run), reader(segment).exact_rows(run, &rows).await.ok()?))
        });
        let read = join_all(read).await;
        if self.held.len() + read.len() > HELD {
            self.held.clear();
        }
        self.held.remove(&first);
        self.held.extend(read.into_iter().flatten());
        if let Entry::Vacant(missing) = self.held.entry(first) {
            missing.insert(reader(one.segment).exact_rows(one.run, &[one.row]).await?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{slice, sync::Arc};

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

    /// A collection of more than `HELD` runs.
    async fn filled(settings: Settings) -> (Database, Arc<Snapshot>) {
        let database = Database::open("memory://", settings).await.unwrap();
        let batch = rows(20_000);
        let collection = database.create_collection("docs", CollectionSpec::new(batch.schema())).await.unwrap();
        collection.insert(batch).await.unwrap();
        collection.flush().await.unwrap();
        let snapshot = collection.shared.snapshot.load();
        (database, snapshot)
    }

    /// However many are held already when several are read at once, the one that is wanted is among them.
    #[tokio::test(flavor = "multi_thread")]
    async fn what_was_read_for_a_candidate_is_there() {
        let (database, snapshot) = filled(Settings { cache_bytes: 0, ..Settings::default() }).await;
        let runs = snapshot.segments[0].reader.runs().len() as u32;
        let coded: Vec<Coded> =
            (0..runs).map(|run| Coded { lower: 0.0, segment: 0, run, row: run % 3, key: None }).collect();
        for held in 0..HELD {
            let mut vectors = HeldVectors::new(100);
            for one in &coded[..held] {
                vectors.of_first(&snapshot, slice::from_ref(one), 0.0).await.unwrap();
            }
            for i in held..held + HELD / 2 {
                let rows = vectors.of_first(&snapshot, &coded[i..], 0.0).await.unwrap();
                assert!(rows.row(coded[i].row).is_some(), "{held} held, {i}");
                assert!(vectors.held.len() <= HELD);
            }
        }
        database.close().await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn however_many_runs_are_asked_for_few_are_held() {
        let (database, snapshot) = filled(Settings::default()).await;
        let mut vectors = HeldVectors::new(10);
        let mut asked = 0;
        for (segment, view) in (0..).zip(&snapshot.segments) {
            for run in 0..view.reader.runs().len() as u32 {
                let one = Coded { lower: 0.0, segment, run, row: 0, key: None };
                let rows = vectors.of_first(&snapshot, slice::from_ref(&one), 0.0).await.unwrap();
                assert!(rows.row(0).is_some());
                vectors.bring_near(&snapshot, &one);
                assert!(vectors.held.len() <= HELD, "{} runs are held", vectors.held.len());
                asked += 1;
            }
        }
        assert!(asked > HELD, "only {asked} runs");
        database.close().await.unwrap();
    }
}
