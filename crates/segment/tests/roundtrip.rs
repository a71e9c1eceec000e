//! What was written is what is read, whatever is asked for and in whatever order.

mod fixture;

use std::{ops::Range, sync::Arc};

use arrow_array::{RecordBatch, RecordBatchOptions, UInt32Array};
use arrow_select::take::take_record_batch;
use drift_codec::{Bit1, Sq8};
use drift_segment::{Error, FooterRef, PartCache, SegmentInput, SegmentReader, write};
use drift_storage::Store;
use drift_types::{Metric, VectorId};
use fixture::{Shape, segment};
use proptest::{prelude::*, sample::select};

async fn open(store: &Store, footer: Option<FooterRef>) -> Result<SegmentReader, Error> {
    let cache = Arc::new(PartCache::new(64 << 20));
    SegmentReader::open(store.clone(), "a/b.drift".into(), footer, cache).await
}

/// Publishes the segment in a new store in memory.
async fn publish(input: &SegmentInput) -> (Store, FooterRef) {
    let store = Store::open("memory://").await.unwrap();
    let encoded = write(input).unwrap();
    assert_eq!(encoded.bytes.len() as u64, encoded.footer.file_length());
    store.publish("a/b.drift", encoded.bytes).await.unwrap();
    (store, encoded.footer)
}

/// The rows and columns asked for, the slow way.
fn expected(full: &RecordBatch, rows: &[u32], columns: &[usize]) -> RecordBatch {
    let rows = UInt32Array::from(rows.to_vec());
    let taken = take_record_batch(full, &rows).unwrap();
    let schema = Arc::new(full.schema().project(columns).unwrap());
    let arrays = columns.iter().map(|i| taken.column(*i).clone()).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    RecordBatch::try_new_with_options(schema, arrays, &options).unwrap()
}

fn shapes() -> impl Strategy<Value = Shape> {
    let metric = select(vec![Metric::L2, Metric::Cosine, Metric::InnerProduct]);
    let run_rows = prop::collection::vec(prop_oneof![1..10usize, 200..400usize], 1..6);
    (any::<u64>(), run_rows, 1..80usize, metric, 0..9usize, 0..9usize).prop_map(
        |(seed, run_rows, dim, metric, vector_at, columns)| Shape { seed, run_rows, dim, metric, vector_at, columns },
    )
}

fn run<T>(future: impl Future<Output = T> + Send) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn everything_comes_back(shape in shapes(), picks in prop::collection::vec(any::<(u32, u8)>(), 0..40)) {
        let (input, full) = segment(&shape);
        run(async {
            let (store, footer) = publish(&input).await;
            let reader = open(&store, Some(footer)).await.unwrap();
            check_entries(&reader, &input).await;
            check_parts(&reader, &input).await;
            check_keys(&reader, &input, &picks).await;

            let all: Vec<usize> = (0..full.num_columns()).collect();
            assert_eq!(reader.columns(&all).await.unwrap(), full);
            let rows: Vec<u32> = picks.iter().map(|(row, _)| row % reader.rows()).collect();
            let columns: Vec<usize> =
                picks.iter().take(5).map(|(_, column)| usize::from(*column) % all.len()).collect();
            for columns in [&columns, &all] {
                let found = reader.payload(&rows, columns).await.unwrap();
                assert_eq!(found, expected(&full, &rows, columns));
            }
        });
    }
}

async fn check_entries(reader: &SegmentReader, input: &SegmentInput) {
    assert_eq!((reader.id(), reader.collection()), (input.id, input.collection));
    assert_eq!(reader.meta(), &input.meta);
    let statistics = reader.statistics().await.unwrap();
    assert_eq!((reader.runs().len(), statistics.len()), (input.runs.len(), input.runs.len()));
    for ((found, of), run) in reader.runs().iter().zip(&statistics).zip(&input.runs) {
        assert_eq!((found.bucket, found.generation), (run.bucket, run.generation));
        assert_eq!(found.ordinals(), run.rows.start as u32..run.rows.end as u32);
        assert_eq!((&*of.centroid, &*of.sum), (&*run.centroid, &*run.sum));
        assert_eq!(found.mean_sq_radius, run.mean_sq_radius);
        assert_eq!(found.max_norm_sq, run.max_norm_sq);
        assert!(found.hot.offset % 64 == 0 && found.cold.offset % 64 == 0);
    }
}

async fn check_parts(reader: &SegmentReader, input: &SegmentInput) {
    let ids = reader.ids().await.unwrap();
    assert!(ids.iter().eq(input.ids.iter().copied().zip(input.seqs.iter().copied())));
    let last = ids.rows() - 1;
    assert_eq!((ids.id(last as u32), ids.seq(last as u32)), (input.ids[last], input.seqs[last]));
    let dim = input.meta.dim;
    for (i, run) in input.runs.iter().enumerate() {
        let i = i as u32;
        assert!(reader.hot_cached(i).is_none() && reader.exact_cached(i).is_none());
        let (hot, exact) = (reader.hot(i).await.unwrap(), reader.exact(i).await.unwrap());
        assert!(Arc::ptr_eq(&hot, &reader.hot_cached(i).unwrap()));
        assert!(Arc::ptr_eq(&exact, &reader.exact_cached(i).unwrap()));

        let vectors = &input.vectors[run.rows.start * dim..run.rows.end * dim];
        assert_eq!(exact.vectors(), vectors);
        let mut indexed = Vec::new();
        for (i, row) in run.rows.clone().enumerate() {
            let inv_norm = input.inv_norms.as_ref().map_or(1.0, |norms| norms[row]);
            assert_eq!(exact.inv_norm(i), inv_norm);
            indexed.extend(exact.row(i).iter().map(|x| x * inv_norm));
        }
        let sq8 = Sq8::around(&run.centre, &indexed);
        let (coded, found) = (sq8.encode(&indexed), hot.sq8());
        assert!((0..hot.rows()).map(|i| hot.id(i)).eq(input.ids[run.rows.clone()].iter().copied()));
        assert_eq!((found.centre, found.step, found.error), (&*sq8.centre, sq8.step, coded.error));
        assert_eq!((found.codes, found.norms_sq), (&*coded.codes, &*coded.norms_sq));
        let bits = input.origin.as_ref().map(|origin| Bit1::new(origin).encode(&indexed, &sq8.centre));
        assert_eq!(hot.bit1().is_some(), bits.is_some());
        if let (Some((found, _)), Some(bits)) = (hot.bit1(), bits) {
            assert_eq!((found.tiles, found.rows, found.scales), (bits.tiles.as_bytes(), bits.rows, bits.scales));
        }
    }
    let runs = input.runs.len() as u32;
    assert!(matches!(reader.hot(runs).await, Err(Error::Invalid(_))));
    assert!(matches!(reader.exact(runs).await, Err(Error::Invalid(_))));
}

/// Finds the picked rows by their keys, and nothing by others.
async fn check_keys(reader: &SegmentReader, input: &SegmentInput, picks: &[(u32, u8)]) {
    let picked = picks.iter().map(|(row, other)| match input.ids[*row as usize % input.ids.len()] {
        VectorId(key) if *other < 100 => VectorId(key.wrapping_add(1)),
        key => key,
    });
    let keys: Vec<VectorId> = picked.collect();
    let rows_of = |key: VectorId| (0..input.ids.len()).filter(move |row| input.ids[*row] == key);
    let expected: Vec<_> =
        (0..).zip(&keys).flat_map(|(i, key)| rows_of(*key).map(move |row| (i, row as u32))).collect();
    assert_eq!(reader.find(&keys).await.unwrap(), expected);
}

fn large() -> Shape {
    let run_rows = vec![1000, 2000, 1500];
    Shape { seed: 3, run_rows, dim: 4, metric: Metric::L2, vector_at: 1, columns: 8 }
}

#[tokio::test]
async fn a_known_footer_saves_a_read() {
    let (input, _) = segment(&large());
    let (store, footer) = publish(&input).await;
    assert_eq!(open(&store, Some(footer)).await.unwrap().reads(), 1);
    let reader = open(&store, None).await.unwrap();
    assert_eq!((reader.reads(), reader.footer()), (2, footer));
}

#[tokio::test]
async fn parts_are_read_once() {
    let (input, _) = segment(&large());
    let (store, footer) = publish(&input).await;
    let reader = open(&store, Some(footer)).await.unwrap();
    for _ in 0..3 {
        reader.hot(1).await.unwrap();
        reader.exact(1).await.unwrap();
        reader.ids().await.unwrap();
    }
    assert_eq!(reader.reads(), 4);
}

/// Vectors are found without the cache, but not beyond it.
#[tokio::test]
async fn vectors_that_the_cache_let_go_of_are_read_again() {
    let (input, _) = segment(&large());
    let (store, footer) = publish(&input).await;
    let cache = Arc::new(PartCache::new(1 << 20));
    let reader = SegmentReader::open(store, "a/b.drift".into(), Some(footer), cache.clone()).await.unwrap();
    let first = reader.exact(1).await.unwrap();
    for _ in 0..30 {
        assert!(Arc::ptr_eq(&first, &reader.exact(1).await.unwrap()));
    }
    cache.forget(input.id);
    drop(first);
    assert!(reader.exact_cached(1).is_none());
    let reads = reader.reads();
    reader.exact(1).await.unwrap();
    assert_eq!(reader.reads(), reads + 1);
}

/// What was just written is read from memory, and what has no room there from the file, as ever.
#[tokio::test]
async fn a_warm_segment_is_read_without_the_store() {
    let (input, _) = segment(&large());
    let encoded = write(&input).unwrap();
    let (store, footer) = publish(&input).await;
    let runs = input.runs.len() as u32;
    let cold = open(&store, Some(footer)).await.unwrap();
    for capacity in [0, 150_000, 64 << 20] {
        let cache = Arc::new(PartCache::new(capacity));
        let reader = SegmentReader::open(store.clone(), "a/b.drift".into(), Some(footer), cache.clone()).await.unwrap();
        reader.warm(&encoded).unwrap();
        assert!(cache.bytes_used() <= capacity, "{} of {capacity}", cache.bytes_used());
        for run in 0..runs {
            assert_eq!(reader.hot(run).await.unwrap().sq8().codes, cold.hot(run).await.unwrap().sq8().codes);
            let (warm, read) = (reader.exact(run).await.unwrap(), cold.exact(run).await.unwrap());
            assert!((0..warm.rows()).all(|row| warm.row(row) == read.row(row)));
        }
        let reads_at_most = if capacity == 64 << 20 { 1 } else { 1 + 2 * u64::from(runs) };
        assert!(reader.reads() <= reads_at_most, "{} reads with {capacity} bytes", reader.reads());
        assert!(capacity > 0 || reader.reads() == reads_at_most, "nothing can be kept without room");
    }
}

/// Codes all stay if they fit into seven eighths of memory, else up to half of it; and they go with their segment.
#[tokio::test]
async fn codes_stay_while_they_fit() {
    let (input, _) = segment(&large());
    let (store, footer) = publish(&input).await;
    let runs = input.runs.len() as u32;
    let all: u64 = {
        let cache = Arc::new(PartCache::new(1 << 30));
        let reader = SegmentReader::open(store.clone(), "a/b.drift".into(), None, cache.clone()).await.unwrap();
        for run in 0..runs {
            reader.hot(run).await.unwrap();
        }
        cache.bytes_used()
    };
    for (capacity, staying) in [(0, 0.0..=0.0), (all, 0.1..=0.5), (9 * all / 7, 1.0..=1.0), (2 * all, 1.0..=1.0)] {
        let cache = Arc::new(PartCache::new(capacity));
        let reader = SegmentReader::open(store.clone(), "a/b.drift".into(), Some(footer), cache.clone()).await.unwrap();
        for run in 0..runs {
            let hot = reader.hot(run).await.unwrap();
            assert_eq!(hot.rows(), reader.runs()[run as usize].rows as usize);
            assert!(cache.bytes_used() <= cache.capacity());
        }
        let pinned = (0..runs).filter(|run| reader.hot_pinned(*run).is_some()).count();
        assert!(staying.contains(&(pinned as f64 / f64::from(runs))), "{pinned} runs of {runs} in {capacity} bytes");
        drop(reader);
        cache.forget(input.id);
        assert_eq!(cache.bytes_used(), 0);
    }
}

#[tokio::test]
async fn a_key_that_is_not_there_costs_no_page_and_one_that_is_costs_one() {
    let (mut input, _) = segment(&large());
    input.ids = (0..4500).map(|row| VectorId(row * 7919 % 4500 * 1000)).collect();
    let (store, footer) = publish(&input).await;
    let reader = open(&store, Some(footer)).await.unwrap();
    let filter = reader.key_filter().await.unwrap();
    assert_eq!(reader.reads(), 2);
    let absent: Vec<VectorId> = (1..2000).map(|n| VectorId(n * 1000 + 1)).collect();
    let (passing, stopped): (Vec<_>, Vec<_>) = absent.into_iter().partition(|key| filter.may_hold(*key));
    assert_eq!(reader.find(&stopped).await.unwrap(), []);
    assert_eq!(reader.reads(), 2);
    assert!(passing.len() < 20);
    assert_eq!(reader.find(&passing).await.unwrap(), []);

    let reader = open(&store, Some(footer)).await.unwrap();
    for _ in 0..2 {
        let key = VectorId(7919 % 4500 * 1000); // of row 1, and no page's first
        assert_eq!(reader.find(&[key]).await.unwrap(), [(0, 1)]);
        assert_eq!(reader.reads(), 3);
    }
}

/// A key of so many rows that they fill pages, and a neighbour on either side.
#[tokio::test]
async fn all_rows_of_a_key_are_found() {
    let (mut input, _) = segment(&large());
    input.ids = (0..4500).map(VectorId).collect();
    input.ids[40..4401].fill(VectorId(1000));
    input.ids[4401..].fill(VectorId(4400));
    let (store, footer) = publish(&input).await;
    let reader = open(&store, Some(footer)).await.unwrap();
    let found = reader.find(&[VectorId(4400), VectorId(1000), VectorId(39)]).await.unwrap();
    let rows = |position, rows: Range<u32>| rows.map(move |row| (position, row));
    let expected = [rows(0, 4401..4500), rows(1, 40..4401), rows(2, 39..40)].map(Vec::from_iter).concat();
    assert!(found == expected, "{:?}", found.iter().zip(&expected).find(|(a, b)| a != b));
}

/// Whoever asks for single rows again and again soon reads nothing any more, unless the column is too large for
/// the cache; rows are the same either way.
#[tokio::test]
async fn a_small_column_stays_once_single_rows_have_cost_as_much() {
    let (input, full) = segment(&large());
    let (store, footer) = publish(&input).await;
    for (capacity, stays) in [(64 << 20, true), (1 << 10, false)] {
        let cache = Arc::new(PartCache::new(capacity));
        let reader = SegmentReader::open(store.clone(), "a/b.drift".into(), Some(footer), cache).await.unwrap();
        let mut reads = Vec::new();
        for ask in 0..100 {
            let rows = [2600 - ask, 7 * ask, 2600 - ask];
            assert_eq!(reader.payload(&rows, &[2, 0]).await.unwrap(), expected(&full, &rows, &[2, 0]));
            reads.push(reader.reads());
        }
        let before = reader.reads();
        let row = [2600];
        assert_eq!(reader.payload_once(&row, &[2]).await.unwrap(), expected(&full, &row, &[2]));
        assert_eq!(reader.reads() == before, stays);
        // Pages of 256 rows: a row costs as much as so many.
        let paid = 2 + reader.rows() as usize / (2 * 256);
        assert!(reads[1] > reads[0], "the second still reads pages");
        let mut last = reads[paid..].windows(2);
        assert!(last.all(|pair| (pair[0] == pair[1]) == stays), "{capacity}: {reads:?}");
    }
}

/// Whatever rows are asked for, of vectors shorter and longer than a chunk, and whether or not the run they are of
/// is read whole.
#[tokio::test]
async fn some_rows_are_those_of_the_whole_run() {
    for (seed, dim) in (0..).zip([1, 7, 384, 784, 1024, 1500, 5000]) {
        for metric in [Metric::L2, Metric::Cosine] {
            let shape = Shape { seed, run_rows: vec![3, 1500, 130], dim, metric, vector_at: 1, columns: 1 };
            let (input, _) = segment(&shape);
            let (store, footer) = publish(&input).await;
            let reader = open(&store, Some(footer)).await.unwrap();
            let cache = Arc::new(PartCache::new(0));
            let cold = SegmentReader::open(store, "a/b.drift".into(), Some(footer), cache).await.unwrap();
            for (run, entry) in (0..).zip(reader.runs()) {
                let all = reader.exact(run).await.unwrap();
                let last = entry.rows - 1;
                for rows in
                    [vec![], vec![0], vec![last], vec![0, last], vec![0, last / 2, last], (0..entry.rows).collect()]
                {
                    let mut rows = rows;
                    rows.dedup();
                    let (some, known) =
                        (cold.exact_rows(run, &rows).await.unwrap(), reader.exact_rows(run, &rows).await.unwrap());
                    for row in rows {
                        let expected = Some((all.row(row as usize), all.inv_norm(row as usize)));
                        assert_eq!(
                            (some.row(row), known.row(row)),
                            (expected, expected),
                            "{dim} {metric:?} {run} {row}"
                        );
                    }
                    assert!(some.row(entry.rows).is_none() && known.row(entry.rows).is_none());
                }
                assert!(matches!(cold.exact_rows(run, &[0, entry.rows]).await, Err(Error::Invalid(_))));
            }
        }
    }
}

/// Where there is no room to keep a run, rows cost their own chunks, in two reads; damage anywhere else goes unseen.
/// Where rows of it are asked for again and again, it is read whole all the same.
#[tokio::test]
async fn a_vector_is_read_without_the_others_until_these_have_cost_much_more() {
    let shape = Shape { seed: 4, run_rows: vec![400], dim: 600, metric: Metric::L2, vector_at: 0, columns: 1 };
    let (input, _) = segment(&shape);
    let mut encoded = write(&input).unwrap().bytes.to_vec();
    let (store, footer) = publish(&input).await;
    let cold = open(&store, Some(footer)).await.unwrap().runs()[0].cold;
    encoded[cold.offset as usize] ^= 1; // of the first row
    store.delete("a/b.drift").await.unwrap();
    store.publish("a/b.drift", encoded).await.unwrap();
    // Room for the table alone.
    let cache = Arc::new(PartCache::new(16 << 10));
    let reader = SegmentReader::open(store, "a/b.drift".into(), Some(footer), cache).await.unwrap();
    for row in (100..400).cycle().take(900) {
        let rows = reader.exact_rows(0, &[row]).await.unwrap();
        assert_eq!(rows.row(row), Some((&input.vectors[row as usize * 600..][..600], 1.0)));
        assert_eq!(rows.row(0), None);
    }
    // One read of the footer, one of the table, one of each row; what is left are those of the whole run.
    let whole = reader.reads() - 2 - 900;
    assert!((2..=900 / 20).contains(&whole), "{whole} reads of the run");
    assert!(matches!(reader.exact_rows(0, &[0]).await, Err(Error::Corrupt { .. })));
}

/// Winners cost their own pages: damage anywhere else in the payload goes unseen.
#[tokio::test]
async fn a_row_is_read_without_the_pages_of_others() {
    let (input, full) = segment(&large());
    let encoded = write(&input).unwrap();
    let store = Store::open("memory://").await.unwrap();
    store.publish("a/b.drift", encoded.bytes.clone()).await.unwrap();
    let description = open(&store, None).await.unwrap().describe();
    let payload = description.sections.iter().find(|section| section.name == "PAYL").unwrap();

    let (mut seen, mut unread) = (0, 0);
    let pages = payload.length / 4096;
    for page in 0..pages {
        let mut bytes = encoded.bytes.to_vec();
        bytes[(payload.offset + page * 4096) as usize] ^= 1;
        store.delete("a/b.drift").await.unwrap();
        store.publish("a/b.drift", bytes).await.unwrap();
        let reader = open(&store, None).await.unwrap();
        match reader.payload(&[2600], &[2]).await {
            Ok(found) => {
                assert_eq!(found, expected(&full, &[2600], &[2]));
                if reader.columns(&[2]).await.is_err() {
                    unread += 1;
                    // Nor is it seen when the column should stay: it does not.
                    for _ in 0..100 {
                        assert_eq!(reader.payload(&[2600], &[2]).await.unwrap(), found);
                    }
                }
            }
            Err(Error::Corrupt { offset, .. }) => {
                assert_eq!(offset, payload.offset + page * 4096);
                seen += 1;
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert!(unread > 0, "no page of the column is another's");
    // 64 KiB are read for Parquet's own footer, a few pages for the row.
    assert!(pages > 40 && (2..=16 + 1 + 10).contains(&seen), "{seen} of {pages}");
}

#[tokio::test]
async fn what_is_not_there_cannot_be_asked_for() {
    let (input, full) = segment(&large());
    let (store, _) = publish(&input).await;
    let reader = open(&store, None).await.unwrap();
    let (rows, columns) = (reader.rows(), full.num_columns());
    assert!(matches!(reader.payload(&[rows], &[0]).await, Err(Error::Invalid(_))));
    assert!(matches!(reader.payload(&[0], &[columns]).await, Err(Error::Invalid(_))));
    assert!(matches!(reader.columns(&[columns]).await, Err(Error::Invalid(_))));
    let none = reader.payload(&[], &[0, 1]).await.unwrap();
    assert_eq!(none, expected(&full, &[], &[0, 1]));
    assert_eq!(reader.payload(&[5, 5], &[]).await.unwrap().num_rows(), 2);
    assert_eq!(reader.columns(&[]).await.unwrap().num_rows(), rows as usize);
}

#[test]
fn contradictory_input_is_refused() {
    let (good, _) = segment(&large());
    let refused = |change: fn(&mut SegmentInput)| {
        let mut input = good.clone();
        change(&mut input);
        assert!(matches!(write(&input), Err(Error::Invalid(_))));
    };
    refused(|input| input.runs.swap(0, 1));
    refused(|input| input.runs.truncate(2));
    refused(|input| input.runs[1].rows = 1000..1000);
    refused(|input| input.runs[1].centroid.truncate(3));
    refused(|input| input.vectors.truncate(8));
    refused(|input| input.seqs.truncate(8));
    refused(|input| input.inv_norms = Some(vec![1.0; 4500]));
    refused(|input| input.meta.metric = Metric::Cosine);
    refused(|input| input.meta.key_column = Some("none".into()));
    refused(|input| input.meta.dim = 3);
    refused(|input| input.payload = input.payload.slice(0, 10));
    refused(|input| input.payload = input.payload.project(&[0]).unwrap());
}

#[tokio::test]
async fn a_directory_serves_as_well_and_a_person_is_told_what_is_in_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path().to_str().unwrap()).await.unwrap();
    let (input, full) = segment(&large());
    let encoded = write(&input).unwrap();
    store.publish("a/b.drift", encoded.bytes).await.unwrap();
    let reader = open(&store, Some(encoded.footer)).await.unwrap();
    let all: Vec<usize> = (0..full.num_columns()).collect();
    assert_eq!(reader.columns(&all).await.unwrap(), full);

    let description = reader.describe();
    assert_eq!(description.runs_by_rows, [(512, 1), (1024, 2)]);
    let rows: Vec<u32> = description.largest_runs.iter().map(|run| run.rows).collect();
    assert!(rows.len() == 3 && rows.is_sorted_by(|a, b| a >= b), "{rows:?}");
    assert!(description.code_bits > 8.0 && description.exact_bits > 8.0, "{description:?}");
    let text = description.to_string();
    for word in ["HOT", "COLD", "IDS", "IDIX", "BLOM", "PAYL", "DIRECTORY", "4500 in 3 runs", "1024..2048"] {
        assert!(text.contains(word), "{word} is missing in\n{text}");
    }
}
