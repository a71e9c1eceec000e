//! A file written once, kept, and read for ever; and what is written today is still that file.

use std::{path::PathBuf, sync::Arc};

use arrow_array::{FixedSizeListArray, Float32Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use drift_segment::{PartCache, RunInput, SegmentInput, SegmentMeta, SegmentReader, write};
use drift_storage::Store;
use drift_types::{BucketId, CollectionId, Compression, Metric, SegmentId, SeqNo, VectorId};
use ulid::Ulid;

const DIM: usize = 5;
const RUNS: [std::ops::Range<usize>; 3] = [0..7, 7..8, 8..20];

fn golden_path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v0.4.drift")
}

fn keys() -> Vec<i64> {
    (0..20).map(|row| (row * 7 % 20) * 100 - 500).collect()
}

/// Row i has i, i + 1/4, i + 1/2 and so on; all runs' vectors are then one range of quarters.
fn vectors() -> Vec<f32> {
    (0..20 * DIM).map(|at| (at / DIM) as f32 + (at % DIM) as f32 / 4.0).collect()
}

fn batch() -> RecordBatch {
    let keys = keys();
    let texts = keys.iter().map(|key| (key % 300 != 0).then(|| format!("text {key}")));
    let item = Arc::new(Field::new("item", DataType::Float32, true));
    let values = Arc::new(Float32Array::from(vectors()));
    let schema = Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("v", DataType::FixedSizeList(item.clone(), DIM as i32), false),
        Field::new("text", DataType::Utf8, true),
    ]);
    let columns: Vec<arrow_array::ArrayRef> = vec![
        Arc::new(Int64Array::from(keys.clone())),
        Arc::new(FixedSizeListArray::new(item, DIM as i32, values, None)),
        Arc::new(texts.collect::<StringArray>()),
    ];
    RecordBatch::try_new(Arc::new(schema), columns).unwrap()
}

fn input() -> SegmentInput {
    let run = |(i, rows): (usize, std::ops::Range<usize>)| RunInput {
        bucket: BucketId(10 + i as u32),
        generation: i as u32,
        centre: vec![rows.start as f32 + 1.5; DIM],
        centroid: vec![rows.start as f32; DIM],
        sum: vec![(rows.start * rows.len()) as f32; DIM],
        mean_sq_radius: 0.25,
        max_norm_sq: 1000.0,
        rows,
    };
    SegmentInput {
        id: SegmentId(Ulid(0x0123456789abcdef)),
        collection: CollectionId(Ulid(77)),
        meta: SegmentMeta {
            schema: batch().schema(),
            key_column: Some("id".into()),
            vector_column: "v".into(),
            dim: DIM,
            metric: Metric::L2,
            created_ms: 1_700_000_000_000,
        },
        runs: RUNS.into_iter().enumerate().map(run).collect(),
        vectors: vectors(),
        inv_norms: None,
        ids: keys().into_iter().map(VectorId::from_i64).collect(),
        seqs: (0..20).map(|row| SeqNo(900 + row / 3)).collect(),
        origin: Some(vec![8.0; DIM]),
        compression: Compression::Auto,
        payload: batch().project(&[0, 2]).unwrap(),
    }
}

async fn open(bytes: Vec<u8>) -> SegmentReader {
    let store = Store::open("memory://").await.unwrap();
    store.publish("golden.drift", bytes).await.unwrap();
    SegmentReader::open(store, "golden.drift".into(), None, Arc::new(PartCache::new(1 << 20))).await.unwrap()
}

#[tokio::test]
async fn the_golden_file_reads_as_it_always_did() {
    let reader = open(std::fs::read(golden_path()).unwrap()).await;
    let input = input();
    assert_eq!((reader.id(), reader.collection(), reader.rows()), (input.id, input.collection, 20));
    assert_eq!(reader.meta(), &input.meta);
    assert!(reader.can_rewrite());
    assert_eq!(reader.columns(&[0, 1, 2]).await.unwrap(), batch());
    assert!(reader.ids().await.unwrap().iter().eq(input.ids.iter().copied().zip(input.seqs)));
    let found = reader.find(&[VectorId::from_i64(-500), VectorId::from_i64(7), input.ids[19]]).await.unwrap();
    assert_eq!(found, [(0, 0), (2, 19)]);
    let statistics = reader.statistics().await.unwrap();
    for (i, run) in input.runs.iter().enumerate() {
        let (entry, hot) = (&reader.runs()[i], reader.hot(i as u32).await.unwrap());
        assert_eq!((entry.bucket, entry.generation), (run.bucket, run.generation));
        assert_eq!((&*statistics[i].centroid, &*statistics[i].sum), (&*run.centroid, &*run.sum));
        assert_eq!((entry.mean_sq_radius, entry.max_norm_sq), (run.mean_sq_radius, run.max_norm_sq));
        assert!((0..hot.rows()).map(|row| hot.id(row)).eq(input.ids[run.rows.clone()].iter().copied()));
        let block = hot.sq8();
        for (row, codes) in run.rows.clone().zip(block.codes.chunks_exact(64)) {
            let decoded = codes.iter().zip(block.centre).map(|(code, c)| c + block.step * (f32::from(*code) - 128.0));
            let error: f32 = decoded.zip(&vectors()[row * DIM..]).map(|(y, x)| (x - y) * (x - y)).sum();
            assert!(error.sqrt() <= block.error * 1.001 + 1e-6, "row {row}");
        }
    }
}

/// Only for a new version of the format, by hand: with `DRIFT_WRITE_GOLDEN=1` the file is written first.
///
/// Not compared: HOT, whose sums are rounded as the machine's kernels add, DIRECTORY, which has its
/// checksums, and what Parquet writes, which changes with its version.
#[tokio::test]
async fn what_is_written_today_is_the_golden_file() {
    let written = write(&input()).unwrap().bytes;
    if std::env::var_os("DRIFT_WRITE_GOLDEN").is_some() {
        std::fs::write(golden_path(), &written).unwrap();
    }
    let golden = std::fs::read(golden_path()).unwrap();
    assert_eq!(written, write(&input()).unwrap().bytes, "the writer is not deterministic");

    let (then, now) = (open(golden.clone()).await.describe(), open(written.to_vec()).await.describe());
    let mut compared = 0;
    for (then, now) in then.sections.iter().zip(&now.sections) {
        assert_eq!(then.name, now.name);
        let bytes = |file: &[u8], section: &drift_segment::SectionSize| {
            file[section.offset as usize..][..section.length as usize].to_vec()
        };
        match then.name {
            "PAYL" | "PAYLOAD_SUMS" => {}
            "HOT" | "DIRECTORY" => assert_eq!(then.length, now.length, "{}", then.name),
            name => {
                assert_eq!(bytes(&golden, then), bytes(&written, now), "{name}");
                compared += 1;
            }
        }
    }
    assert_eq!((then.sections.len(), compared), (now.sections.len(), 7));
}
