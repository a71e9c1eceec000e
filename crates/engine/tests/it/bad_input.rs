//! A batch is taken whole or refused whole, with an error that names column, row and fix.

use std::{collections::BTreeSet, sync::Arc};

use arrow_array::{
    ArrayRef, BooleanArray, DictionaryArray, Float32Array, Float64Array, Int32Array, Int64Array, ListArray,
    RecordBatch, StringArray,
    builder::{FixedSizeListBuilder, Float32Builder, ListBuilder},
    cast::AsArray,
    types::{Float32Type, Int8Type, UInt8Type},
};
use arrow_schema::{DataType, Field, Fields, IntervalUnit, Schema};
use drift_engine::{Collection, CollectionSpec, Database, ErrorKind, ScanRequest, SearchRequest};
use drift_types::Metric;
use futures::TryStreamExt;

use crate::fixture::*;

fn with(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true))).unwrap()
}

fn ids(ids: &[i64]) -> ArrayRef {
    Arc::new(Int64Array::from(ids.to_vec()))
}

fn lists(rows: &[&[f32]]) -> ArrayRef {
    Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(
        rows.iter().map(|r| Some(r.iter().copied().map(Some))),
    ))
}

async fn refused(docs: &Collection, batch: RecordBatch, words: &[&str]) {
    let before = all_rows(docs).await;
    let error = docs.insert(batch).await.expect_err(&format!("{words:?}"));
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    for word in words {
        assert!(error.to_string().contains(word), "'{word}' is missing in: {error}");
    }
    assert_eq!(all_rows(docs).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_batches_are_refused_with_column_row_and_fix() {
    let database = Database::open("memory://", small()).await.unwrap();
    let docs = create(&database, 2, Metric::Cosine).await;
    docs.insert(batch(&[(7, "good".into(), vec![1.0, 0.0])], 2)).await.unwrap();
    let ok = lists(&[&[1.0, 2.0], &[3.0, 4.0]]);
    let nan = lists(&[&[1.0, 2.0], &[3.0, f32::NAN]]);
    let infinite = lists(&[&[1.0, 2.0], &[f32::NEG_INFINITY, 4.0]]);
    refused(&docs, with(vec![("id", ids(&[1, 2])), ("v", nan)]), &["'v'", "row 1", "value 1", "NaN"]).await;
    refused(&docs, with(vec![("id", ids(&[1, 2])), ("v", infinite)]), &["'v'", "row 1", "value 0", "-inf"]).await;
    refused(
        &docs,
        with(vec![("id", ids(&[1, 2])), ("v", lists(&[&[1.0, 2.0], &[1.0]]))]),
        &["'v'", "row 1", "1 values", "2"],
    )
    .await;
    refused(&docs, with(vec![("id", ids(&[1, 2])), ("v", lists(&[&[1.0, 2.0], &[0.0, 0.0]]))]), &["row 1", "cosine"])
        .await;
    refused(&docs, with(vec![("id", ids(&[1, 2])), ("v", lists(&[&[1.0, 2.0], &[3e38, 3e38]]))]), &["row 1", "scale"])
        .await;
    refused(&docs, with(vec![("id", ids(&[5, 5])), ("v", ok.clone())]), &["'id'", "row 1", "5", "twice"]).await;
    refused(&docs, with(vec![("v", ok.clone())]), &["'id'", "missing"]).await;
    refused(&docs, with(vec![("id", ids(&[1, 2]))]), &["'v'", "missing"]).await;
    refused(
        &docs,
        with(vec![("id", ids(&[1, 2])), ("v", ok.clone()), ("w", ids(&[1, 2]))]),
        &["unknown column 'w'", "text"],
    )
    .await;
    refused(
        &docs,
        with(vec![("id", ids(&[1, 2])), ("v", ok.clone()), ("text", ids(&[1, 2]))]),
        &["'text'", "Int64", "Utf8"],
    )
    .await;
    let null_key: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
    refused(&docs, with(vec![("id", null_key), ("v", ok.clone())]), &["'id'", "row 1", "null"]).await;
    let mut with_null = ListBuilder::new(Float32Builder::new());
    with_null.append_value([Some(1.0), Some(2.0)]);
    with_null.append_value([Some(1.0), None]);
    refused(&docs, with(vec![("id", ids(&[1, 2])), ("v", Arc::new(with_null.finish()))]), &["'v'", "row 1", "null"])
        .await;
    let mut null_row = FixedSizeListBuilder::new(Float32Builder::new(), 2);
    null_row.values().append_slice(&[1.0, 2.0, 0.0, 0.0]);
    null_row.append(true);
    null_row.append(false);
    refused(&docs, with(vec![("id", ids(&[1, 2])), ("v", Arc::new(null_row.finish()))]), &["'v'", "row 1", "null"])
        .await;
    let words: ArrayRef = Arc::new(StringArray::from(vec!["1", "2"]));
    refused(&docs, with(vec![("id", words.clone()), ("v", ok.clone())]), &["'id'", "Utf8"]).await;
    refused(&docs, with(vec![("id", ids(&[1, 2])), ("v", words)]), &["'v'", "Utf8"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_be_cast_is_cast() {
    let database = Database::open("memory://", small()).await.unwrap();
    let docs = create(&database, 3, Metric::L2).await;
    let bytes = ListArray::from_iter_primitive::<UInt8Type, _, _>([Some([Some(1u8), Some(2), Some(255)])]);
    docs.insert(with(vec![("id", Arc::new(Int32Array::from(vec![1]))), ("v", Arc::new(bytes))])).await.unwrap();
    let doubles = Arc::new(Field::new("x", DataType::Float64, true));
    let doubles = arrow_array::FixedSizeListArray::new(
        doubles,
        3,
        Arc::new(Float64Array::from(vec![9., 9., 9., 0.5, 1., 2.])),
        None,
    );
    // A sliced array has an offset.
    let sliced = with(vec![("v", Arc::new(doubles)), ("id", ids(&[0, 2]))]).slice(1, 1);
    docs.insert(sliced).await.unwrap();
    let vectors: Vec<Vec<f32>> = {
        let found = docs.search(SearchRequest::new(vec![0.0; 3], 5)).await.unwrap().batch;
        let lists = arrow_array::cast::AsArray::as_fixed_size_list(found.column_by_name("v").unwrap());
        (0..2).map(|i| lists.value(i).as_any().downcast_ref::<Float32Array>().unwrap().values().to_vec()).collect()
    };
    assert_eq!(vectors, [vec![0.5, 1.0, 2.0], vec![1.0, 2.0, 255.0]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_batch_settles_the_dimension() {
    let dir = tempfile::tempdir().unwrap();
    let list = DataType::List(Arc::new(Field::new("item", DataType::Float32, true)));
    let open_ended =
        Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, false), Field::new("v", list, false)]));
    let database = open(dir.path(), small()).await;
    let docs = database.create_collection("docs", CollectionSpec::new(open_ended)).await.unwrap();
    assert_eq!(docs.schema().dim, None);
    assert_eq!(docs.search(SearchRequest::new(vec![1.0], 3)).await.unwrap().batch.num_rows(), 0);
    docs.insert(with(vec![("id", ids(&[1])), ("v", lists(&[&[1.0, 2.0, 3.0]]))])).await.unwrap();
    assert_eq!(docs.schema().dim, Some(3));
    let error = docs.insert(with(vec![("id", ids(&[2])), ("v", lists(&[&[1.0]]))])).await.unwrap_err();
    assert!(error.to_string().contains("1 values where the collection has 3"), "{error}");
    drop((docs, database));
    let database = open(dir.path(), small()).await;
    assert_eq!(database.collection("docs").unwrap().schema().dim, Some(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_collections_and_queries_are_refused() {
    let database = Database::open("memory://", small()).await.unwrap();
    for name in ["../../x", "", "a b", "1st", "ä"] {
        let error = database.create_collection(name, CollectionSpec::new(schema(2))).await.err().expect("refused");
        assert_eq!(error.kind(), ErrorKind::Invalid, "{name}");
    }
    let no_vector = Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, false)]));
    let error = database.create_collection("x", CollectionSpec::new(no_vector)).await.err().expect("refused");
    assert!(error.to_string().contains("FLOAT[dimension]"), "{error}");
    let docs = create(&database, 2, Metric::L2).await;
    let error = database.create_collection("docs", CollectionSpec::new(schema(2))).await.err().expect("refused");
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    assert!(database.collection("dogs").err().unwrap().to_string().contains("docs"));
    let bad = [
        SearchRequest::new(vec![1.0], 1),
        SearchRequest::new(vec![f32::NAN, 1.0], 1),
        SearchRequest::new(vec![1.0, 1.0], 1_000_000),
        SearchRequest { recall: Some(0.0), ..SearchRequest::new(vec![1.0, 1.0], 1) },
        SearchRequest { recall: Some(1.1), ..SearchRequest::new(vec![1.0, 1.0], 1) },
        SearchRequest { nprobe: Some(0), ..SearchRequest::new(vec![1.0, 1.0], 1) },
    ];
    for request in bad {
        assert_eq!(docs.search(request.clone()).await.unwrap_err().kind(), ErrorKind::Invalid, "{request:?}");
    }
    assert_eq!(docs.search(SearchRequest::new(vec![1.0, 1.0], 0)).await.unwrap().batch.num_rows(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_that_no_segment_can_hold_are_refused_at_once() {
    let database = Database::open("memory://", small()).await.unwrap();
    let columns = [
        DataType::Interval(IntervalUnit::MonthDayNano),
        DataType::Struct(Fields::empty()),
        DataType::List(Arc::new(Field::new("item", DataType::Struct(Fields::empty()), true))),
    ];
    for column in columns {
        let mut fields: Vec<_> = schema(2).fields().iter().cloned().collect();
        fields.push(Arc::new(Field::new("gap", column.clone(), false)));
        let spec = CollectionSpec::new(Arc::new(Schema::new(fields)));
        let error = database.create_collection("docs", spec).await.map(drop).expect_err(&format!("{column}"));
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.to_string().contains("'gap'"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_is_not_rounded_to_fit() {
    let database = Database::open("memory://", small()).await.unwrap();
    let docs = create(&database, 2, Metric::L2).await;
    let vectors = lists(&[&[1.0, 2.0], &[3.0, 4.0]]);
    let whole: ArrayRef = Arc::new(Float64Array::from(vec![1.0, -2.0]));
    docs.insert(with(vec![("id", whole), ("v", vectors.clone())])).await.unwrap();
    let broken: ArrayRef = Arc::new(Float64Array::from(vec![7.0, 7.9]));
    refused(&docs, with(vec![("id", broken), ("v", vectors.clone())]), &["'id'", "row 1", "7.9", "whole"]).await;
    let truth: ArrayRef = Arc::new(BooleanArray::from(vec![true, false]));
    refused(&docs, with(vec![("id", truth), ("v", vectors)]), &["'id'", "Boolean"]).await;
}

/// Of a hundred keys each, where all keys together do not fit.
#[tokio::test(flavor = "multi_thread")]
async fn dictionaries_are_stored_by_their_values() {
    let dir = tempfile::tempdir().unwrap();
    let database = open(dir.path(), small()).await;
    let tagged = |first: i64| {
        let names: Vec<i64> = (first..first + 100).collect();
        let tags: DictionaryArray<Int8Type> =
            names.iter().map(|id| format!("tag {id}")).collect::<Vec<_>>().iter().map(String::as_str).collect();
        let vectors: Vec<[f32; 2]> = names.iter().map(|&id| [id as f32, 1.0]).collect();
        let vectors: Vec<&[f32]> = vectors.iter().map(|v| &v[..]).collect();
        with(vec![("id", ids(&names)), ("tag", Arc::new(tags)), ("v", lists(&vectors))])
    };
    let docs = database.create_collection("docs", CollectionSpec::new(tagged(0).schema())).await.unwrap();
    for i in 0..4 {
        docs.insert(tagged(i * 100)).await.unwrap();
    }
    drop((docs, database));
    let database = open(dir.path(), small()).await;
    let docs = database.collection("docs").unwrap();
    docs.insert(tagged(400)).await.unwrap();
    docs.flush().await.unwrap();
    docs.insert(tagged(500)).await.unwrap();
    let tags = async |docs: &Collection| {
        let batches: Vec<RecordBatch> = docs.scan(ScanRequest::default()).try_collect().await.unwrap();
        let tags = batches.iter().flat_map(|b| b.column_by_name("tag").unwrap().as_string::<i32>().iter());
        tags.flatten().map(str::to_owned).collect::<BTreeSet<String>>()
    };
    assert_eq!(tags(&docs).await, (0..600).map(|id| format!("tag {id}")).collect());
}
