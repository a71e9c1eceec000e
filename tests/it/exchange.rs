//! DoExchange: query vectors in, neighbours out.

use std::{sync::Arc, time::Duration};

use arrow_array::{
    ArrayRef, FixedSizeListArray, Float32Array, Int64Array, ListArray, RecordBatch,
    cast::AsArray,
    types::{Float32Type, Int64Type, UInt32Type},
};
use arrow_flight::{
    FlightClient, FlightDescriptor,
    decode::{DecodedPayload, FlightDataDecoder},
    encode::FlightDataEncoderBuilder,
    error::{FlightError, Result},
};
use arrow_schema::{DataType, Field};
use futures::{SinkExt, Stream, StreamExt, TryStreamExt, channel::mpsc, stream};
use serde_json::{Value, json};
use tonic::Code;

use crate::server::{Server, code, docs};

/// A batch of query vectors of two values.
fn queries(vectors: &[[f32; 2]]) -> RecordBatch {
    let item = Arc::new(Field::new("item", DataType::Float32, true));
    let values = Float32Array::from(vectors.concat());
    let vectors: ArrayRef = Arc::new(FixedSizeListArray::new(item, 2, Arc::new(values), None));
    RecordBatch::try_from_iter([("v", vectors)]).expect("one column")
}

fn command(options: &Value) -> FlightDescriptor {
    FlightDescriptor::new_cmd(options.to_string())
}

/// The answers, frame by frame: rows and metadata.
struct Answers(FlightDataDecoder);

impl Answers {
    /// The frames up to the one with metadata, which ends the answer to a batch.
    async fn next(&mut self) -> Result<(Vec<RecordBatch>, Value)> {
        let mut batches = Vec::new();
        loop {
            let frame = self.0.try_next().await?.expect("an answer");
            let metadata = frame.inner.app_metadata.clone();
            if let DecodedPayload::RecordBatch(batch) = frame.payload {
                batches.push(batch);
                if !metadata.is_empty() {
                    return Ok((batches, serde_json::from_slice(&metadata).expect("JSON")));
                }
            }
        }
    }

    /// (query, key) of each row of the next answer.
    async fn pairs(&mut self) -> Result<Vec<(u32, i64)>> {
        Ok(self.next().await?.0.iter().flat_map(pairs).collect())
    }
}

fn pairs(batch: &RecordBatch) -> Vec<(u32, i64)> {
    let queries = batch.column(0).as_primitive::<UInt32Type>().values();
    let keys = batch.column(1).as_primitive::<Int64Type>().values();
    queries.iter().copied().zip(keys.iter().copied()).collect()
}

async fn exchange(
    client: &mut FlightClient,
    descriptor: FlightDescriptor,
    batches: impl Stream<Item = RecordBatch> + Send + 'static,
) -> Result<Answers> {
    let data = FlightDataEncoderBuilder::new().with_flight_descriptor(Some(descriptor)).build(batches.map(Ok));
    Ok(Answers(client.do_exchange(data).await?.into_inner()))
}

/// Asks for `batches` at once and reads no further than the first error.
async fn ask(client: &mut FlightClient, descriptor: FlightDescriptor, batches: Vec<RecordBatch>) -> Result<Vec<Value>> {
    let count = batches.len();
    let mut answers = exchange(client, descriptor, stream::iter(batches)).await?;
    let mut metadata = Vec::new();
    for _ in 0..count {
        metadata.push(answers.next().await?.1);
    }
    Ok(metadata)
}

#[tokio::test]
async fn each_batch_is_answered_before_the_next_is_sent() {
    let server = Server::with_docs().await;
    let mut client = server.plain().await;
    let (mut sender, receiver) = mpsc::channel(1);
    let path = FlightDescriptor::new_path(vec!["docs".into()]);
    sender.send(queries(&[[0.0, 0.0]])).await.expect("an open stream");
    let mut answers = exchange(&mut client, path, receiver).await.expect("an exchange");
    assert_eq!(answers.pairs().await.expect("neighbours"), [(0, 1), (0, 2), (0, 3)]);

    sender.send(queries(&[[2.1, 0.0], [1.1, 0.0]])).await.expect("an open stream");
    let (batches, metadata) = answers.next().await.expect("neighbours");
    assert_eq!(batches.iter().flat_map(pairs).collect::<Vec<_>>(), [(0, 3), (0, 2), (0, 1), (1, 2), (1, 3), (1, 1)]);
    let distances = batches[0].column_by_name("_distance").expect("distances").as_primitive::<Float32Type>();
    assert!((distances.value(0) - 0.01).abs() < 1e-5, "{distances:?}");
    assert_eq!(
        (&metadata["queries"], &metadata["rows"], &metadata["predicted_recall"]),
        (&2.into(), &6.into(), &1.0.into())
    );

    drop(sender);
    assert!(answers.0.try_next().await.expect("no error").is_none());
    server.stop().await;
}

#[tokio::test]
async fn options_choose_neighbours_and_columns() {
    let server = Server::with_docs().await;
    let mut client = server.plain().await;
    let options = json!({
        "collection": "docs", "k": 2, "exact": true, "columns": ["title", "embedding"], "filter": "title <> 'two' AND id < 9",
    });
    let mut answers =
        exchange(&mut client, command(&options), stream::iter([queries(&[[1.2, 0.0]])])).await.expect("open");
    let (batches, _) = answers.next().await.expect("neighbours");
    let names: Vec<_> = batches[0].schema().fields().iter().map(|f| f.name().clone()).collect();
    assert_eq!(names, ["query", "title", "embedding", "_distance"]);
    assert_eq!(batches[0].column(1).as_string::<i32>().iter().flatten().collect::<Vec<_>>(), ["three", "one"]);
    for (knobs, rows) in
        [(json!({"nprobe": 1}), 3), (json!({"recall": 0.5, "deadline_ms": 1000}), 3), (json!({"k": 1}), 1)]
    {
        let mut options = knobs;
        options["collection"] = "docs".into();
        let answers = ask(&mut client, command(&options), vec![queries(&[[0.0, 0.0]])]).await.expect("neighbours");
        assert_eq!(answers[0]["rows"], rows, "{options}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_stream_sees_rows_that_come_while_it_is_open() {
    let server = Server::with_docs().await;
    let (mut client, mut sql) = (server.plain().await, server.sql().await);
    let (mut sender, receiver) = mpsc::channel(1);
    sender.send(queries(&[[9.0, 0.0]])).await.expect("an open stream");
    let one = command(&json!({"collection": "docs", "k": 1}));
    let mut answers = exchange(&mut client, one, receiver).await.expect("an exchange");
    assert_eq!(answers.pairs().await.expect("neighbours"), [(0, 3)]);
    sql.update("INSERT INTO docs VALUES (4, 'four', [9, 0])").await;
    sender.send(queries(&[[9.0, 0.0]])).await.expect("an open stream");
    assert_eq!(answers.pairs().await.expect("neighbours"), [(0, 4)]);

    // Made anew with the same columns it is searched as it is now..
    sql.update("DROP TABLE docs").await;
    sql.update("CREATE TABLE docs (id BIGINT PRIMARY KEY, title TEXT, embedding FLOAT[2])").await;
    sql.update("INSERT INTO docs VALUES (7, 'seven', [0, 0])").await;
    sender.send(queries(&[[9.0, 0.0]])).await.expect("an open stream");
    assert_eq!(answers.pairs().await.expect("neighbours"), [(0, 7)]);
    // ..with others, or none, the stream ends.
    sql.update("DROP TABLE docs").await;
    sql.update("CREATE TABLE docs (id INT PRIMARY KEY, embedding FLOAT[2])").await;
    sender.send(queries(&[[9.0, 0.0]])).await.expect("an open stream");
    assert_eq!(code(answers.next().await.expect_err("another key")), Code::FailedPrecondition);
    sql.update("DROP TABLE docs").await;
    let path = FlightDescriptor::new_path(vec!["docs".into()]);
    assert_eq!(code(ask(&mut client, path, vec![queries(&[])]).await.expect_err("no collection")), Code::NotFound);
    server.stop().await;
}

/// Integers from a seed.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 40
}

fn random_vectors(count: usize, state: &mut u64) -> Vec<[f32; 2]> {
    (0..count).map(|_| [random(state) as f32, random(state) as f32]).collect()
}

/// Rows with the keys 0, 1, .. into `docs`.
async fn put_docs(client: &mut FlightClient, rows: &[[f32; 2]]) {
    let keys: Vec<i64> = (0..rows.len() as i64).collect();
    let data = FlightDataEncoderBuilder::new()
        .with_flight_descriptor(Some(FlightDescriptor::new_path(vec!["docs".into()])))
        .build(stream::iter([Ok(docs(&keys, &rows.concat()))]));
    client.do_put(data).await.expect("put").try_collect::<Vec<_>>().await.expect("acknowledged");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn many_queries_at_once_are_answered_as_one_by_one() {
    let server = Server::with_docs().await;
    let mut client = server.plain().await;
    let mut state = 7;
    let rows = random_vectors(2_000, &mut state);
    put_docs(&mut client, &rows).await;

    // More neighbours than one group or one frame holds.
    let asked = random_vectors(300, &mut state);
    let options = command(&json!({"collection": "docs", "k": 500, "exact": true, "columns": ["id", "title"]}));
    let one_by_one = asked.iter().map(|v| queries(&[*v])).collect::<Vec<_>>();
    let batches = stream::iter([queries(&asked)].into_iter().chain(one_by_one));
    let mut answers = exchange(&mut client, options, batches).await.expect("an exchange");
    let (frames, metadata) = answers.next().await.expect("neighbours");
    assert_eq!((&metadata["queries"], &metadata["rows"]), (&300.into(), &150_000.into()));
    let bytes = |frame: &RecordBatch| frame.columns().iter().map(|c| c.get_buffer_memory_size()).max();
    assert!(frames.len() > 2 && frames.iter().all(|frame| bytes(frame) < Some(4 << 20)));
    let together: Vec<_> = frames.iter().flat_map(pairs).collect();
    let mut apart = Vec::new();
    for row in 0..300 {
        let found = answers.pairs().await.expect("neighbours");
        apart.extend(found.into_iter().map(|(query, key)| (query + row, key)));
    }
    assert_eq!(together, apart);
    let nearest = |v: [f32; 2]| {
        let square = |i: &usize| (rows[*i][0] - v[0]).powi(2) + (rows[*i][1] - v[1]).powi(2);
        (0..rows.len()).min_by(|a, b| square(a).total_cmp(&square(b))).expect("rows") as i64
    };
    assert!(asked.iter().zip(together.chunks(500)).all(|(v, found)| found[0].1 == nearest(*v)));
    server.stop().await;
}

#[tokio::test]
async fn what_cannot_be_searched_ends_the_stream_and_says_why() {
    let server = Server::with_docs().await;
    let mut client = server.plain().await;
    let docs = |more: Value| {
        let mut options = json!({"collection": "docs"});
        options.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        command(&options)
    };
    let lists = |rows: Vec<Option<Vec<Option<f32>>>>| {
        let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(rows));
        RecordBatch::try_from_iter([("v", lists)]).expect("one column")
    };
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let good = queries(&[[0.0, 0.0]]);
    let cases = [
        (
            command(&json!({"collection": "nothing"})),
            good.clone(),
            Code::NotFound,
            "no collection 'nothing': there are docs",
        ),
        (
            FlightDescriptor::new_path(vec!["a".into(), "b".into()]),
            good.clone(),
            Code::InvalidArgument,
            "a path of 2 parts",
        ),
        (
            FlightDescriptor::new_cmd("SELECT 1"),
            good.clone(),
            Code::InvalidArgument,
            "the descriptor's command is no search",
        ),
        (docs(json!({"k": 0})), good.clone(), Code::InvalidArgument, "k is 0"),
        (docs(json!({"k": 1_000_000})), good.clone(), Code::InvalidArgument, "too large"),
        (docs(json!({"recall": 2})), good.clone(), Code::InvalidArgument, "query 0: recall 2"),
        (docs(json!({"nprobe": 0})), good.clone(), Code::InvalidArgument, "nprobe = 0"),
        (docs(json!({"columns": ["colour"]})), good.clone(), Code::InvalidArgument, "unknown column 'colour'"),
        (docs(json!({"filter": "colour = 'red'"})), good.clone(), Code::InvalidArgument, "colour"),
        (docs(json!({"filter": "1 = 1"})), good.clone(), Code::InvalidArgument, "is no condition on stored columns"),
        (docs(json!({"filter": "title IN (SELECT 'x')"})), good.clone(), Code::InvalidArgument, "title"),
        (docs(json!({"filter": "id ="})), good.clone(), Code::InvalidArgument, ""),
        (docs(json!({"filter": "title"})), good.clone(), Code::InvalidArgument, "title"),
        (docs(json!({})), lists(vec![Some(vec![Some(1.0)])]), Code::InvalidArgument, "query 0: the query has 1 values"),
        (docs(json!({})), lists(vec![Some(vec![Some(1.0), None])]), Code::InvalidArgument, "query 0 is NULL"),
        (
            docs(json!({})),
            queries(&[[0.0, 0.0], [0.0, f32::NAN]]),
            Code::InvalidArgument,
            "query 1: value 1 of the query is NaN",
        ),
        (
            docs(json!({})),
            RecordBatch::try_from_iter([("id", numbers)]).expect("one column"),
            Code::InvalidArgument,
            "column 'id' is Int64: send lists of floats",
        ),
        (docs(json!({})), crate::server::docs(&[1], &[0.0, 0.0]), Code::InvalidArgument, "3 columns: send one"),
    ];
    for (descriptor, batch, expected, message) in cases {
        let name = format!("{descriptor:?}");
        // What is wrong with one batch leaves the answers before it as they are.
        let error = ask(&mut client, descriptor, vec![batch]).await.expect_err(&name);
        let FlightError::Tonic(status) = error else { panic!("no status: {error}") };
        assert_eq!(status.code(), expected, "{name}: {status}");
        assert!(status.message().contains(message), "{name}: {status}");
    }
    let mut answers =
        exchange(&mut client, docs(json!({})), stream::iter([good.clone(), queries(&[[f32::INFINITY, 0.0]]), good]))
            .await
            .expect("open");
    answers.next().await.expect("the first is good");
    assert_eq!(code(answers.next().await.expect_err("the second is not")), Code::InvalidArgument);
    assert!(answers.0.next().await.is_none(), "the stream went on after its error");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_goes_away_stops_its_searches() {
    let server = Server::with_docs().await;
    let mut client = server.plain().await;
    let mut state = 1;
    put_docs(&mut client, &random_vectors(10_000, &mut state)).await;
    // Many seconds of work in a message that the server takes at once, of which the first answer is awaited.
    let asked = queries(&random_vectors(100_000, &mut state));
    let options = command(&json!({"collection": "docs", "exact": true, "k": 100}));
    let mut answers = exchange(&mut client, options, stream::iter([asked])).await.expect("an exchange");
    loop {
        let frame = answers.0.try_next().await.expect("no error").expect("an answer");
        assert!(frame.inner.app_metadata.is_empty(), "all was done before the client could leave");
        if matches!(frame.payload, DecodedPayload::RecordBatch(_)) {
            break;
        }
    }
    drop((answers, client));
    // A server waits for the calls that run.
    tokio::time::timeout(Duration::from_secs(5), server.stop()).await.expect("the searches had stopped");
}
