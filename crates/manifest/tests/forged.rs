//! Objects whose checksums are right and whose content is not.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, FixedSizeListArray, Float32Array, RecordBatch};
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{DataType, Field, Schema};
use bytes::Bytes;
use drift_ipc::read_stream;
use drift_manifest::{BucketRow, BucketTable, Error, History, RecallSample};
use drift_types::{BucketId, SegmentId};
use ulid::Ulid;

const HEADER: usize = 64;

/// A sound frame around another body.
fn with_body(object: &[u8], body: &[u8]) -> Vec<u8> {
    let mut forged = [&object[..HEADER], body].concat();
    forged[16..24].copy_from_slice(&(body.len() as u64).to_le_bytes());
    forged[24..28].copy_from_slice(&crc32c::crc32c(body).to_le_bytes());
    forged[12..16].fill(0);
    let crc = crc32c::crc32c(&forged[..HEADER]);
    forged[12..16].copy_from_slice(&crc.to_le_bytes());
    forged
}

fn table() -> Bytes {
    let row = BucketRow {
        id: BucketId(1),
        generation: 2,
        n_live: 3,
        n_dead: 0,
        centroid: vec![0.5, 1.5],
        sum: vec![1.0, 3.0],
        mean_sq_radius: 0.0,
        max_norm_sq: 1.0,
        runs: vec![(SegmentId(Ulid(7)), 1)],
        ..BucketRow::default()
    };
    BucketTable { rows: vec![row] }.encode().unwrap()
}

/// The table with one column exchanged.
fn with_column(object: &[u8], name: &str, column: ArrayRef) -> Vec<u8> {
    let (schema, batches) = read_stream(&object[HEADER..]).unwrap();
    let index = schema.index_of(name).unwrap();
    let mut fields: Vec<_> = schema.fields().to_vec();
    fields[index] = Arc::new(Field::new(name, column.data_type().clone(), false));
    let mut columns = batches[0].columns().to_vec();
    columns[index] = column;
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    writer.write(&batch).unwrap();
    with_body(object, &writer.into_inner().unwrap())
}

fn vectors(dim: i32) -> ArrayRef {
    let item = Arc::new(Field::new("item", DataType::Float32, false));
    let values = Arc::new(Float32Array::from(vec![0.5; dim as usize]));
    Arc::new(FixedSizeListArray::try_new_with_length(item, dim, values, None, 1).unwrap())
}

#[test]
fn a_bucket_whose_vectors_differ_in_length_is_refused() {
    let object = table();
    assert!(BucketTable::decode("x", &with_column(&object, "sum", vectors(2))).is_ok());
    for (column, dim) in [("sum", 3), ("sum", 1), ("centroid", 0)] {
        let forged = with_column(&object, column, vectors(dim));
        assert!(matches!(BucketTable::decode("x", &forged), Err(Error::Corrupt { .. })), "{column} of {dim}");
    }
}

#[test]
fn no_changed_byte_of_a_bucket_table_makes_it_panic() {
    let object = table();
    for at in HEADER..object.len() {
        for value in [0, 0x7f, 0xff, object[at] ^ 1] {
            let mut body = object[HEADER..].to_vec();
            body[at - HEADER] = value;
            if let Ok(table) = BucketTable::decode("x", &with_body(&object, &body)) {
                table.encode().expect("what was read can be written");
            }
        }
    }
}

#[test]
fn no_changed_byte_of_a_history_makes_it_panic() {
    let mut history = History { weights: Some(vec![1.0, 2.0]), ..History::default() };
    history.sample(RecallSample {
        at_ms: 1,
        k: 10,
        asked: 0.95,
        predicted: 0.96,
        measured: 0.9,
        buckets_ranked: 30,
        buckets_probed: 4,
        rows_scanned: 512,
        stop_reason: "nprobe".into(),
    });
    let object = history.encode();
    for at in HEADER..object.len() {
        for value in [0, 0xff] {
            let mut body = object[HEADER..].to_vec();
            body[at - HEADER] = value;
            if let Ok(history) = History::decode("x", &with_body(&object, &body)) {
                history.encode();
            }
        }
    }
}

#[test]
fn a_history_without_one_of_its_columns_is_refused() {
    let object = History::default().encode();
    let numbers: ArrayRef = Arc::new(Float32Array::from(vec![1.0]));
    for name in ["events", "samples", "weights"] {
        let forged = with_column(&object, name, numbers.clone());
        let read = History::decode("x", &forged);
        assert!(matches!(read, Err(Error::Corrupt { .. })), "{name}: {read:?}");
    }
}
