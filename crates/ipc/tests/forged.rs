//! Whatever bytes come, a stream is read or refused: no panic, no allocation beyond them.

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, DictionaryArray, FixedSizeListArray, Float32Array, Int64Array, ListArray, NullArray, RecordBatch,
    StringArray, types::Int32Type,
};
use arrow_ipc::{
    CompressionType,
    writer::{IpcWriteOptions, StreamWriter},
};
use arrow_schema::{DataType, Field};
use drift_ipc::read_stream;

fn batch(rows: i64) -> RecordBatch {
    let text = |i: i64| (i % 3 > 0).then(|| "x".repeat(i as usize % 5));
    let item = Arc::new(Field::new("item", DataType::Float32, false));
    let values = Arc::new(Float32Array::from_iter_values((0..2 * rows).map(|i| i as f32)));
    let columns: [(&str, ArrayRef); 6] = [
        ("key", Arc::new(Int64Array::from_iter_values(0..rows))),
        ("vector", Arc::new(FixedSizeListArray::new(item, 2, values, None))),
        ("text", Arc::new((0..rows).map(text).collect::<StringArray>())),
        (
            "label",
            Arc::new(
                (0..rows).map(|i| ["a", "b"].get(i as usize % 3).copied()).collect::<DictionaryArray<Int32Type>>(),
            ),
        ),
        (
            "tags",
            Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(
                (0..rows).map(|i| Some(vec![Some(i as i32); 2])),
            )),
        ),
        ("nothing", Arc::new(NullArray::new(rows as usize))),
    ];
    let nullable = |(name, column): (&'static str, ArrayRef)| (name, column, true);
    RecordBatch::try_from_iter_with_nullable(columns.map(nullable)).expect("columns of one length")
}

fn stream(batches: &[RecordBatch], options: IpcWriteOptions) -> Vec<u8> {
    let mut writer = StreamWriter::try_new_with_options(Vec::new(), &batches[0].schema(), options).expect("a Vec");
    batches.iter().for_each(|batch| writer.write(batch).expect("a Vec"));
    writer.into_inner().expect("a Vec")
}

#[test]
fn what_is_written_is_read() {
    let batches = [batch(9), batch(0), batch(1)];
    let bytes = stream(&batches, IpcWriteOptions::default());
    for end in [bytes.len(), bytes.len() - 8] {
        let (schema, read) = read_stream(&bytes[..end]).expect("with or without a mark at its end");
        assert_eq!((schema, &read[..]), (batches[0].schema(), &batches[..]));
    }
    // Not one byte off the alignment matters.
    let shifted = [&[0], &bytes[..]].concat();
    assert_eq!(read_stream(&shifted[1..]).expect("the same bytes").1, batches);
}

#[test]
fn every_cut_is_an_error_or_a_shorter_stream() {
    let bytes = stream(&[batch(3), batch(2)], IpcWriteOptions::default());
    let read = (0..bytes.len()).filter_map(|end| read_stream(&bytes[..end]).ok()).map(|(_, batches)| batches.len());
    // After the schema (which a dictionary may follow) and after each batch.
    let read: Vec<usize> = read.collect();
    assert!(read.is_sorted() && read.len() <= 5, "{read:?}");
}

#[test]
fn no_changed_byte_makes_it_panic_or_allocate_what_it_claims() {
    let bytes = stream(&[batch(4)], IpcWriteOptions::default());
    let mut rng = fastrand::Rng::with_seed(1);
    let mut refused = 0;
    for at in 0..bytes.len() {
        for value in [0, 0x7f, 0xff, bytes[at] ^ rng.u8(1..)] {
            let mut forged = bytes.clone();
            forged[at] = value;
            match read_stream(&forged) {
                Ok((_, batches)) => assert!(batches.iter().all(|batch| {
                    batch.columns().iter().all(|c| c.len() < 1 << 20 || c.data_type() == &DataType::Null)
                })),
                Err(_) => refused += 1,
            }
        }
    }
    assert!(refused > 0);
}

#[test]
fn compressed_bodies_are_refused() {
    let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::ZSTD));
    let bytes = stream(&[batch(400)], options.expect("of this version"));
    assert!(read_stream(&bytes).expect_err("compressed").to_string().contains("compressed"));
}
