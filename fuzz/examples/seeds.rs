//! Writes the valid inputs of each target, from which fuzzing starts, to `corpus/`.

use std::{fs, path::Path, sync::Arc};

use arrow_array::{
    ArrayRef, DictionaryArray, Int64Array, ListArray, RecordBatch, StringArray,
    cast::AsArray,
    types::{Float32Type, Int32Type},
};
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{DataType, Field, Schema};
use bytes::Bytes;
use drift_codec::{float::encode_chunk, packed::pack};
use drift_fuzz::{codecs, insert, manifest, pages, wal};
use drift_manifest::{
    Action, BlobRef, BucketRow, BucketTable, Catalog, CatalogEntry, CollectionSchema, Event, History, Manifest,
    Numbered, RecallSample, SegmentEntry, TombstoneRef, tombstones,
};
use drift_segment::{RunInput, SegmentInput, SegmentMeta};
use drift_types::{BucketId, CollectionId, Compression, Metric, SegmentId, SeqNo, VectorId};
use libfuzzer_sys as _; // what the instrumentation calls
use ulid::Ulid;

fn main() {
    codecs();
    inserts();
    manifests();
    segments();
    logs();
}

fn seed(target: &str, name: &str, mode: &[u8], input: &[u8]) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    fs::create_dir_all(&dir).expect("the repository can be written");
    fs::write(dir.join(format!("seed-{name}")), [mode, input].concat()).expect("the repository can be written");
}

fn codecs() {
    let chunks: [(&str, Vec<f32>); 5] = [
        ("const", vec![0.5; 1024]),
        ("halves", (0..50).map(|i| 1.0 / (1 << (i % 9)) as f32 + (i % 3) as f32).collect()),
        ("decimals", (0..1024).map(|i| (i * 37 % 1000) as f32 / 100.0).collect()),
        ("integers", (0..70).map(|i| if i == 9 { 1e30 } else { (i * i) as f32 }).collect()),
        ("reals", (0..1024).map(|i| ((i * 7919 % 1024) as f32).sin() + 1.5).collect()),
    ];
    for (name, values) in chunks {
        let mut bytes = Vec::new();
        let codec = encode_chunk(&values, Compression::Smallest, &mut bytes);
        let [low, high] = (values.len() as u16).to_le_bytes();
        seed("codecs", name, &[codec as u8, low, high], &bytes);
    }
    let values: Vec<u8> = [1.5f32, f32::NAN, -0.0, f32::MIN_POSITIVE / 2.0, f32::INFINITY, 3.25, 0.1, -7.0]
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    seed("codecs", "values", &[codecs::VALUES, 0, 0], &values);
    let keys = |len| (0..len).map(|i| i * i * 31 % 999).collect();
    for (name, integers) in [("keys", keys(40)), ("blocks", vec![7u64; 1030]), ("full-block", keys(1030))] {
        let mut bytes = Vec::new();
        pack(&integers, &mut bytes);
        let [low, high] = (integers.len() as u16).to_le_bytes();
        seed("codecs", name, &[codecs::PACKED, low, high], &bytes);
    }
}

/// Three rows of the usual collection.
fn rows() -> RecordBatch {
    let vectors = (0..3).map(|i| Some(vec![Some(i as f32 + 0.5), Some(-1.0)]));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(vec![-1, 5, 7])),
        Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(vectors)),
        Arc::new(StringArray::from(vec![Some("a"), None, Some("text")])),
        Arc::new(["x", "y", "x"].into_iter().collect::<DictionaryArray<Int32Type>>()),
    ];
    RecordBatch::try_new(insert::columns(), columns).expect("columns of the schema")
}

fn inserts() {
    let rows = rows();
    let mut writer = StreamWriter::try_new(Vec::new(), &rows.schema()).expect("a Vec takes all writes");
    writer.write(&rows).expect("a Vec takes all writes");
    let stream = writer.into_inner().expect("a Vec takes all writes");
    seed("insert", "usual", &[insert::COSINE], &stream);
    seed("insert", "own", &[insert::OWN_COLLECTION], &stream);
}

fn manifests() {
    let (collection, segment, writer) = (CollectionId(Ulid(2)), SegmentId(Ulid(3)), Ulid(4));
    let mut catalog = Catalog::first(1, writer);
    catalog.collections.push(CatalogEntry { name: "docs".into(), collection });
    catalog.doomed.push(CollectionId(Ulid(8)));
    let schema = CollectionSchema {
        arrow: insert::columns(),
        key_column: Some("id".into()),
        vector_column: "embedding".into(),
        dim: Some(2),
        metric: Metric::Cosine,
        compression: Compression::Auto,
    };
    let blob = BlobRef { path: "c/x/tombstone/y.roar".into(), length: 80, crc32c: 1 };
    let first = Manifest::first(collection, schema, 1, writer);
    let mut version = first.successor(2, writer);
    version.segments.push(SegmentEntry {
        id: segment,
        length: 9000,
        footer_offset: 8192,
        footer_length: 744,
        footer_crc: 5,
        rows: 3,
        live_rows: 1,
        key_min: VectorId(1),
        key_max: VectorId(9),
        seq_max: SeqNo(4),
        tombstones: Some(TombstoneRef { blob: blob.clone(), cardinality: 2 }),
        conservation: 77,
    });
    (version.conservation, version.buckets) = (77, Some(blob));
    let row = |id| BucketRow {
        id: BucketId(id),
        generation: 1,
        n_live: 3,
        n_dead: 0,
        centroid: vec![0.5, 1.0],
        sum: vec![1.5, 3.0],
        mean_sq_radius: 0.25,
        max_norm_sq: 2.0,
        runs: vec![(segment, id); id as usize],
        ..BucketRow::default()
    };
    let buckets = BucketTable { rows: (0..3).map(row).collect() };
    let dead = (3..9).chain([70_000, 1 << 20]).chain(200_000..205_000).collect();
    let objects: [(&str, u8, Bytes); 6] = [
        ("first", manifest::MANIFEST, first.encode()),
        ("manifest", manifest::MANIFEST, version.encode()),
        ("catalog", manifest::CATALOG, catalog.encode()),
        ("buckets", manifest::BUCKETS, buckets.encode().expect("vectors of one length")),
        ("tombstones", manifest::TOMBSTONES, tombstones::encode(&dead)),
        ("history", manifest::HISTORY, history().encode()),
    ];
    for (name, kind, object) in objects {
        seed("manifest", name, &[kind], &object);
        seed("manifest", &format!("{name}-body"), &[kind | manifest::BODY], &object[64..]);
    }
}

fn history() -> History {
    let mut history = History { weights: Some(vec![0.5; 10]), ..History::default() };
    for bucket in [None, Some(BucketId(7))] {
        history.record(Event {
            at_ms: 1_700_000_000_000,
            manifest: 9,
            action: Action::Split,
            cause: "300 rows".into(),
            bucket,
            rows_before: 300,
            rows_after: 300,
            dead_before: 1,
            buckets_before: 1,
            buckets_after: 2,
            rows_moved: 140,
            drift_before: 0.25,
            drift_after: 0.0,
            duration_us: 900,
            bytes: 65_536,
        });
    }
    history.sample(RecallSample {
        at_ms: 1_700_000_000_001,
        k: 10,
        asked: 0.95,
        predicted: 0.96,
        measured: 1.0,
        buckets_ranked: 40,
        buckets_probed: 9,
        rows_scanned: 1_152,
        stop_reason: "recall_reached".into(),
    });
    history
}

fn segments() {
    for (name, metric, compression) in
        [("l2", Metric::L2, Compression::Raw), ("cosine", Metric::Cosine, Compression::Smallest)]
    {
        let encoded = drift_segment::write(&segment(metric, compression)).expect("sound input");
        let input = pages::fold(&[&encoded.bytes]);
        seed("segment", name, &[1], &input);
        seed("segment", &format!("{name}-as-it-is"), &[0], &input);
    }
    // A forged place of the footer: it ends just below the largest number.
    let mut forged = [0; 4096];
    forged[96..104].copy_from_slice(&4096u64.to_le_bytes());
    forged[104..112].copy_from_slice(&(u64::MAX - 4096).to_le_bytes());
    seed("segment", "footer-without-end", &[1], &pages::fold(&[&forged]));
}

/// Two runs of a few rows in two dimensions.
fn segment(metric: Metric, compression: Compression) -> SegmentInput {
    let rows = rows();
    let item = Arc::new(Field::new("item", DataType::Float32, false));
    let mut fields: Vec<_> = rows.schema().fields().to_vec();
    fields[1] = Arc::new(Field::new("embedding", DataType::FixedSizeList(item, 2), false));
    let run = |bucket: u32, rows| RunInput {
        bucket: BucketId(bucket),
        generation: 0,
        rows,
        centre: vec![0.25, -1.0],
        centroid: vec![0.5, -1.0],
        sum: vec![1.0, -2.0],
        mean_sq_radius: 0.5,
        max_norm_sq: 4.0,
    };
    SegmentInput {
        id: SegmentId(Ulid(3)),
        collection: CollectionId(Ulid(2)),
        meta: SegmentMeta {
            schema: Arc::new(Schema::new(fields)),
            key_column: Some("id".into()),
            vector_column: "embedding".into(),
            dim: 2,
            metric,
            created_ms: 1,
        },
        runs: vec![run(0, 0..2), run(5, 2..3)],
        vectors: rows.column(1).as_list::<i32>().values().as_primitive::<Float32Type>().values().to_vec(),
        inv_norms: (metric == Metric::Cosine).then(|| vec![0.9, 0.5, 0.25]),
        ids: [9, 2, 5].map(VectorId).into(),
        seqs: [1, 1, 2].map(SeqNo).into(),
        origin: (metric != Metric::Cosine).then(|| vec![0.5, -0.5]),
        compression,
        payload: rows.project(&[0, 2, 3]).expect("columns that are there"),
    }
}

fn logs() {
    let (grown, whole) = (wal::MemoryLog::new(Vec::new(), true), wal::MemoryLog::new(Vec::new(), false));
    let write = |log: &wal::MemoryLog, seqs: &[u64], closes: bool| {
        let mut writer = wal::open(log, 1).expect("memory");
        for &seq in seqs {
            writer.append(&[wal::record(SeqNo(seq), b"some payload")]).expect("memory takes it");
        }
        if closes {
            writer.close(SeqNo(*seqs.last().expect("some"))).expect("memory takes it");
        }
    };
    let fold = |log: &wal::MemoryLog| pages::fold(&log.files().iter().map(Vec::as_slice).collect::<Vec<_>>());
    write(&grown, &[1, 2, 2], false);
    seed("wal", "open", &[1], &fold(&grown));
    write(&grown, &[3], true);
    seed("wal", "closed", &[1], &fold(&grown));
    write(&grown, &[5, 6], false);
    grown.files().last_mut().expect("three").extend([7; 64]);
    seed("wal", "torn", &[1], &fold(&grown));
    seed("wal", "torn-as-it-is", &[0], &fold(&grown));
    write(&whole, &[1, 2], false);
    seed("wal", "whole", &[3], &fold(&whole));
    write(&whole, &[3], true);
    seed("wal", "whole-closed", &[3], &fold(&whole));
    seed("wal", "grown-elsewhere", &[3], &fold(&grown));
}
