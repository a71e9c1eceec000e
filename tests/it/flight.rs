//! The server as its clients see it: Flight SQL, plain Flight and their errors, over a real socket.

use std::{sync::Arc, time::Duration};

use arrow_array::{
    ArrayRef, Int64Array, ListArray, RecordBatch,
    cast::AsArray,
    types::{Float32Type, Float64Type, Int64Type, UInt64Type},
};
use arrow_flight::{
    Action, CancelFlightInfoRequest, CancelStatus, FlightClient, FlightDescriptor, FlightInfo, Ticket,
    decode::FlightRecordBatchStream,
    encode::FlightDataEncoderBuilder,
    error::{FlightError, Result as FlightResult},
    sql::{
        CommandGetPrimaryKeys, CommandGetTables, CommandStatementIngest, CommandStatementQuery, ProstMessageExt,
        TableDefinitionOptions, TableExistsOption, TableNotExistOption,
    },
};
use arrow_schema::Schema;
use datafusion::arrow::compute::concat_batches;
use drift_engine::{Database, Durability, Settings};
use drift_flight_server::{Error, ServerConfig, bind, serve};
use futures::{StreamExt, TryStreamExt, stream};
use tokio::sync::oneshot;
use tonic::{Code, transport::Endpoint};

use crate::server::{Server, SqlClient, code, docs, ids};

#[tokio::test]
async fn announced_schemas_are_those_of_the_rows() {
    let server = Server::with_docs().await;
    let mut client = server.sql().await;
    for sql in [
        "SELECT * FROM docs ORDER BY id",
        "SELECT * FROM docs WHERE id = 99",
        "SELECT count(*), max(title) FROM docs",
        "SELECT id, title, _distance FROM knn('docs', [0.0, 0.0], 2)",
        "SELECT d.title, n._distance FROM knn('docs', [1.0, 0.0], 3) n LEFT JOIN docs d ON d.id = n.id + 1",
        "SELECT arrow_cast(title, 'Dictionary(Int32, Utf8)') AS t, arrow_cast(title, 'Utf8View') AS v FROM docs",
        "SELECT NULL AS nothing, [title] AS list, {a: title} AS s FROM docs",
        "SELECT lang, count(*) FROM (SELECT 'en' AS lang) GROUP BY lang UNION ALL SELECT NULL, 1",
        "EXPLAIN SELECT * FROM docs",
        "SHOW TABLES",
        "SELECT * FROM drift.collections",
        "SELECT * FROM drift.buckets",
        "SELECT * FROM drift.segments",
        "SELECT * FROM drift.manifests",
        "SELECT * FROM drift.events",
        "SELECT * FROM drift.recall_samples",
    ] {
        client.rows(sql).await;
    }
    let nearest = client.rows("SELECT id, _distance FROM knn('docs', [2.2, 0.0], 2) ORDER BY _distance").await;
    assert_eq!(ids(&nearest), [3, 2]);
    assert!((nearest.column(1).as_primitive::<Float32Type>().value(0) - 0.04).abs() < 1e-6);
    server.stop().await;
}

#[tokio::test]
async fn an_update_asked_for_as_a_query_is_done_once_and_counts() {
    let server = Server::with_docs().await;
    let mut client = server.sql().await;
    let info = client.0.execute("INSERT INTO docs VALUES (4, 'four', [3, 0])".into(), None).await.expect("inserted");
    // Done already, and not done again by fetching twice.
    assert_eq!(client.rows("SELECT id FROM docs").await.num_rows(), 4);
    for _ in 0..2 {
        let count = client.fetch(info.clone()).await;
        assert_eq!(count.column(0).as_primitive::<UInt64Type>().value(0), 1);
    }
    assert_eq!(client.update("DELETE FROM docs WHERE id >= 3").await, 2);
    assert_eq!(client.update("DROP TABLE docs").await, 0);
    let gone = client.0.execute("SELECT * FROM docs".into(), None).await.expect_err("it is gone");
    assert_eq!(code(gone), Code::InvalidArgument);
    server.stop().await;
}

fn list(values: &[f64]) -> ArrayRef {
    Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>([Some(values.iter().map(|&v| Some(v)))]))
}

#[tokio::test]
async fn prepared_queries_take_vectors_and_run_once_for_each_row() {
    let server = Server::with_docs().await;
    let mut client = server.sql().await;
    let sql = "SELECT id, _distance FROM knn('docs', ?, 1) WHERE id < ?";
    let mut statement = client.0.prepare(sql.into(), None).await.expect("prepared");
    assert_eq!(statement.parameter_schema().expect("a schema").fields().len(), 2);
    assert_eq!(statement.dataset_schema().expect("a schema").field(1).name(), "_distance");

    let row = |vector: &[f64], below: i64| {
        let columns: [(&str, ArrayRef); 2] = [("1", list(vector)), ("2", Arc::new(Int64Array::from(vec![below])))];
        RecordBatch::try_from_iter(columns).expect("two columns")
    };
    let two = concat_batches(&row(&[0.0], 0).schema(), &[row(&[2.0, 0.0], 3), row(&[0.1, 0.0], 9)]);
    statement.set_parameters(two.expect("two rows")).expect("parameters");
    let info = statement.execute().await.expect("a query");
    assert_eq!(ids(&client.fetch(info).await), [2, 1]);

    statement.set_parameters(row(&[1.0], 3)).expect("parameters");
    let info = statement.execute().await.expect("a plan");
    let ticket = info.endpoint[0].ticket.clone().expect("a ticket");
    let wrong = match client.0.do_get(ticket).await {
        Ok(rows) => rows.try_collect::<Vec<_>>().await.expect_err("one value where two are stored"),
        Err(error) => error,
    };
    assert_eq!(code(wrong), Code::InvalidArgument);
    statement.close().await.expect("closed");
    server.stop().await;
}

#[tokio::test]
async fn a_prepared_query_follows_rows_settings_and_tables() {
    let server = Server::with_docs().await;
    let mut client = server.sql().await;
    let sql = "SELECT id, _distance FROM knn('docs', ?, 1)";
    let mut statement = client.0.prepare(sql.into(), None).await.expect("prepared");
    let mut nearest = async |client: &mut SqlClient, vector: &[f64]| {
        let columns: [(&str, ArrayRef); 1] = [("1", list(vector))];
        statement.set_parameters(RecordBatch::try_from_iter(columns).expect("a column")).expect("parameters");
        let info = statement.execute().await?;
        Ok::<_, FlightError>(ids(&client.fetch(info).await))
    };
    assert_eq!(nearest(&mut client, &[9.0, 0.0]).await.expect("rows"), [3]);
    client.update("INSERT INTO docs VALUES (4, 'four', [9, 0])").await;
    assert_eq!(nearest(&mut client, &[9.0, 0.0]).await.expect("rows"), [4]);
    client.update("SET drift.deadline_ms = 1000").await;
    assert_eq!(nearest(&mut client, &[0.0, 0.0]).await.expect("rows"), [1]);
    let mut other = server.sql().await;
    other.update("DROP TABLE docs").await;
    assert_eq!(code(nearest(&mut client, &[0.0, 0.0]).await.expect_err("no table")), Code::NotFound);
    other.update("CREATE TABLE docs (name TEXT, embedding FLOAT[3], id BIGINT PRIMARY KEY)").await;
    other.update("INSERT INTO docs VALUES ('x', [0, 0, 0], 77)").await;
    assert_eq!(nearest(&mut client, &[0.0, 0.0, 0.0]).await.expect("rows"), [77]);
    server.stop().await;
}

/// What was planned for a FlightInfo is used for its ticket, unless it no longer holds.
#[tokio::test]
async fn a_ticket_reads_what_is_there_when_it_is_fetched() {
    let server = Server::with_docs().await;
    let (mut client, mut other) = (server.sql().await, server.sql().await);
    let sql = "SELECT id FROM knn('docs', [9, 0], 1)";
    let plan = async |client: &mut SqlClient| client.0.execute(sql.into(), None).await.expect("planned");
    let info = plan(&mut client).await;
    client.update("INSERT INTO docs VALUES (4, 'four', [9, 0])").await;
    // The second fetch finds no plan any more, a stranger never did.
    assert_eq!(ids(&client.fetch(info.clone()).await), [4]);
    assert_eq!(ids(&client.fetch(info.clone()).await), [4]);
    assert_eq!(ids(&other.fetch(info).await), [4]);

    let info = plan(&mut client).await;
    other.update("DROP TABLE docs").await;
    other.update("CREATE TABLE docs (title TEXT, id BIGINT PRIMARY KEY, embedding FLOAT[2])").await;
    other.update("INSERT INTO docs VALUES ('five', 5, [1, 0])").await;
    assert_eq!(ids(&client.fetch(info).await), [5]);
    server.stop().await;
}

#[tokio::test]
async fn prepared_inserts_take_many_rows_as_one_statement() {
    let server = Server::with_docs().await;
    let mut client = server.sql().await;
    let sql = "INSERT INTO docs (id, title, embedding) VALUES ($1, $2, $3)";
    let mut statement = client.0.prepare(sql.into(), None).await.expect("prepared");
    assert!(statement.dataset_schema().expect("a schema").fields().is_empty());
    statement.set_parameters(docs(&[10, 11, 12], &[9.0, 0.0, 9.0, 1.0, 9.0, 2.0])).expect("parameters");
    assert_eq!(statement.execute_update().await.expect("inserted"), 3);
    // One bad row, and none of them is taken.
    statement.set_parameters(docs(&[20, 21], &[9.0, 0.0, f32::NAN, 1.0])).expect("parameters");
    statement.execute_update().await.expect_err("a NaN");
    assert_eq!(client.rows("SELECT id FROM docs WHERE id >= 10").await.num_rows(), 3);

    let mut delete = client.0.prepare("DELETE FROM docs WHERE id = ?".into(), None).await.expect("prepared");
    let keys: [(&str, ArrayRef); 1] = [("1", Arc::new(Int64Array::from(vec![10, 11, 99])))];
    delete.set_parameters(RecordBatch::try_from_iter(keys).expect("a column")).expect("parameters");
    assert_eq!(delete.execute_update().await.expect("deleted"), 2);
    server.stop().await;
}

#[tokio::test]
async fn settings_last_as_long_as_their_connection() {
    let server = Server::with_docs().await;
    let (mut one, mut other) = (server.sql().await, server.sql().await);
    one.update("SET drift.target_recall = 0.5").await;
    let sql = "SELECT value FROM information_schema.df_settings WHERE name = 'drift.target_recall'";
    let value = |rows: RecordBatch| rows.column(0).as_string::<i32>().value(0).to_owned();
    assert_eq!(value(one.rows(sql).await), "0.5");
    assert_eq!(value(other.rows(sql).await), "0.95");
    let refused = one.0.execute("SET drift.target_recall = 7".into(), None).await.expect_err("no recall");
    assert_eq!(code(refused), Code::InvalidArgument);
    server.stop().await;
}

#[tokio::test]
async fn metadata_names_tables_and_keys() {
    let server = Server::with_docs().await;
    let mut client = server.sql().await;
    let ask = CommandGetTables {
        catalog: Some("drift".into()),
        db_schema_filter_pattern: Some("pub%".into()),
        table_name_filter_pattern: Some("doc_".into()),
        table_types: vec!["TABLE".into()],
        include_schema: true,
    };
    let info = client.0.get_tables(ask).await.expect("tables");
    let tables = client.fetch(info).await;
    assert_eq!(tables.column(2).as_string::<i32>().value(0), "docs");
    let schema = arrow_flight::IpcMessage(tables.column(4).as_binary::<i32>().value(0).to_vec().into());
    let schema = Schema::try_from(schema).expect("a schema");
    assert_eq!(schema, *client.rows("SELECT * FROM docs").await.schema());

    let ask = CommandGetPrimaryKeys { table: "docs".into(), ..Default::default() };
    let info = client.0.get_primary_keys(ask).await.expect("keys");
    assert_eq!(client.fetch(info).await.column(3).as_string::<i32>().value(0), "id");
    for info in [client.0.get_catalogs().await, client.0.get_table_types().await, client.0.get_sql_info(vec![]).await] {
        assert!(client.fetch(info.expect("metadata")).await.num_rows() > 0);
    }
    server.stop().await;
}

#[tokio::test]
async fn metadata_names_system_tables_as_such() {
    let server = Server::with_docs().await;
    let mut client = server.sql().await;
    let ask = CommandGetTables { table_types: vec!["SYSTEM TABLE".into()], include_schema: true, ..Default::default() };
    let info = client.0.get_tables(ask).await.expect("tables");
    let tables = client.fetch(info).await;
    let text = |column: usize, row| tables.column(column).as_string::<i32>().value(row).to_owned();
    let names: Vec<_> = (0..tables.num_rows()).map(|row| text(2, row)).collect();
    assert_eq!(names, ["buckets", "collections", "events", "manifests", "recall_samples", "segments"]);
    for (row, name) in names.iter().enumerate() {
        assert_eq!([text(0, row), text(1, row), text(3, row)], ["drift", "drift", "SYSTEM TABLE"]);
        let schema = arrow_flight::IpcMessage(tables.column(4).as_binary::<i32>().value(row).to_vec().into());
        let rows = client.rows(&format!("SELECT * FROM drift.{name}")).await;
        assert_eq!(Schema::try_from(schema).expect("a schema"), *rows.schema());
        let keys = CommandGetPrimaryKeys { db_schema: Some("drift".into()), table: name.clone(), ..Default::default() };
        let info = client.0.get_primary_keys(keys).await.expect("an answer");
        assert_eq!(client.fetch(info).await.num_rows(), 0);
    }
    server.stop().await;
}

async fn ingest(
    client: &mut SqlClient,
    missing: TableNotExistOption,
    existing: TableExistsOption,
    batches: Vec<RecordBatch>,
) -> Result<i64, String> {
    let options = TableDefinitionOptions { if_not_exist: missing as i32, if_exists: existing as i32 };
    let command = CommandStatementIngest {
        table_definition_options: Some(options),
        table: "loaded".into(),
        ..Default::default()
    };
    client.0.execute_ingest(command, stream::iter(batches.into_iter().map(Ok))).await.map_err(|e| e.to_string())
}

#[tokio::test]
async fn bulk_ingest_is_all_or_nothing() {
    use {TableExistsOption as Existing, TableNotExistOption as Missing};
    let server = Server::start().await;
    let mut client = server.sql().await;
    let good = || docs(&[1, 2], &[0.0, 0.0, 1.0, 0.0]);
    let bad = || docs(&[3, 4], &[0.0, 0.0, f32::INFINITY, 0.0]);
    let count = "SELECT count(*) FROM loaded";
    let loaded = |rows: RecordBatch| rows.column(0).as_primitive::<Int64Type>().value(0);

    ingest(&mut client, Missing::Fail, Existing::Append, vec![good()]).await.expect_err("there is none to append to");
    ingest(&mut client, Missing::Create, Existing::Fail, vec![good(), bad()]).await.expect_err("an infinite value");
    client.0.execute(count.into(), None).await.expect_err("the collection made for it is gone as well");

    assert_eq!(ingest(&mut client, Missing::Create, Existing::Fail, vec![good()]).await, Ok(2));
    ingest(&mut client, Missing::Create, Existing::Fail, vec![good()]).await.expect_err("it exists");
    ingest(&mut client, Missing::Fail, Existing::Append, vec![docs(&[7], &[0.0, 1.0]), bad()]).await.expect_err("bad");
    assert_eq!(loaded(client.rows(count).await), 2);
    let more = vec![docs(&[5], &[1.0, 1.0]), docs(&[6], &[2.0, 2.0])];
    assert_eq!(ingest(&mut client, Missing::Create, Existing::Append, more).await, Ok(2));
    assert_eq!(loaded(client.rows(count).await), 4);

    ingest(&mut client, Missing::Create, Existing::Replace, vec![bad()]).await.expect_err("bad, so nothing goes");
    assert_eq!(loaded(client.rows(count).await), 4);
    let wider = vec![docs(&[1], &[1.0, 2.0, 3.0])];
    assert_eq!(ingest(&mut client, Missing::Create, Existing::Replace, wider).await, Ok(1));
    assert_eq!(loaded(client.rows(count).await), 1);
    server.stop().await;
}

async fn put(client: &mut FlightClient, path: &str, batches: Vec<RecordBatch>) -> FlightResult<Vec<serde_json::Value>> {
    let data = FlightDataEncoderBuilder::new()
        .with_flight_descriptor(Some(FlightDescriptor::new_path(vec![path.into()])))
        .build(stream::iter(batches.into_iter().map(Ok)));
    let acks: Vec<_> = client.do_put(data).await?.try_collect().await?;
    Ok(acks.iter().map(|ack| serde_json::from_slice(&ack.app_metadata).expect("JSON")).collect())
}

#[tokio::test]
async fn a_put_by_path_acknowledges_each_batch() {
    let server = Server::with_docs().await;
    let mut client = server.plain().await;
    let acks = put(&mut client, "docs", vec![docs(&[4], &[0.0, 0.0]), docs(&[5, 6], &[1.0, 0.0, 2.0, 0.0])]).await;
    let acks = acks.expect("acknowledged");
    assert_eq!(acks.iter().map(|ack| ack["rows"].as_u64()).collect::<Vec<_>>(), [Some(1), Some(2)]);
    assert!(acks[0]["seq"].as_u64() < acks[1]["seq"].as_u64());

    let unknown = put(&mut client, "nothing", vec![docs(&[4], &[0.0, 0.0])]).await.expect_err("no such collection");
    assert_eq!(code(unknown), Code::NotFound);
    let wrong = put(&mut client, "docs", vec![docs(&[4], &[0.0, 0.0, 0.0])]).await.expect_err("three values");
    assert_eq!(code(wrong), Code::InvalidArgument);
    let place = put(&mut client, "../../x", vec![docs(&[4], &[0.0, 0.0])]).await.expect_err("a name is no path");
    assert_eq!(code(place), Code::NotFound);
    server.stop().await;
}

#[tokio::test]
async fn an_acknowledgement_says_what_the_setting_promises() {
    let directory = tempfile::tempdir().expect("a directory");
    let at = |name: &str| directory.path().join(name).to_str().expect("UTF-8").to_owned();
    for (uri, durability, durable) in [
        (at("always"), Durability::Always, true),
        (at("interval"), Durability::Interval, false),
        (at("os"), Durability::Os, false),
        ("memory://".into(), Durability::Always, false),
    ] {
        let settings = Settings { durability, ..Settings::default() };
        let server = Server::over(Database::open(&uri, settings).await.expect("a database")).await;
        server.sql().await.update("CREATE TABLE docs (id BIGINT PRIMARY KEY, title TEXT, embedding FLOAT[2])").await;
        let acks = put(&mut server.plain().await, "docs", vec![docs(&[1], &[0.0, 0.0])]).await.expect("acknowledged");
        assert_eq!(acks[0]["durable"], durable, "{uri} under {durability:?}");
        server.stop().await;
    }
}

#[tokio::test]
async fn plain_flight_lists_describes_and_reads() {
    let server = Server::with_docs().await;
    let mut client = server.plain().await;
    let flights: Vec<FlightInfo> =
        client.list_flights("").await.expect("flights").try_collect().await.expect("flights");
    assert_eq!((flights.len(), flights[0].total_records), (1, 3));
    let descriptor = FlightDescriptor::new_path(vec!["docs".into()]);
    let schema = client.get_schema(descriptor.clone()).await.expect("a schema");
    assert_eq!(schema, flights[0].clone().try_decode_schema().expect("a schema"));

    let info = client.get_flight_info(descriptor).await.expect("a flight");
    let ticket = info.endpoint[0].ticket.clone().expect("a ticket");
    for (ticket, rows) in [(ticket, 3), (Ticket::new("SELECT id FROM docs WHERE id > 1"), 2)] {
        let read: Vec<RecordBatch> = client.do_get(ticket).await.expect("rows").try_collect().await.expect("rows");
        assert_eq!(read.iter().map(RecordBatch::num_rows).sum::<usize>(), rows);
    }
    for ticket in [Ticket::new(vec![0xff, 0x00]), Ticket::new("SELEC 1"), Ticket::new("")] {
        assert_eq!(code(client.do_get(ticket).await.expect_err("no ticket")), Code::InvalidArgument);
    }
    // A schema is only looked at: the INSERT behind it does not run.
    client.get_schema(FlightDescriptor::new_cmd("INSERT INTO docs VALUES (9, 'x', [1, 1])")).await.expect("a schema");
    let stats = action(&mut client, Action::new("stats", "docs")).await;
    let stats: serde_json::Value = serde_json::from_slice(&stats).expect("JSON");
    assert_eq!((&stats[0]["rows"], &stats[0]["dimension"]), (&3.into(), &2.into()));
    action(&mut client, Action::new("flush", "")).await;
    server.stop().await;
}

async fn action(client: &mut FlightClient, action: Action) -> Vec<u8> {
    let results: Vec<_> = client.do_action(action).await.expect("done").try_collect().await.expect("a result");
    results[0].to_vec()
}

#[tokio::test]
async fn a_running_query_can_be_cancelled() {
    let server = Server::start().await;
    let mut client = server.sql().await;
    // More rows than the windows of the connection hold, so that the query waits for its reader.
    let sql = "SELECT a.value, repeat('x', 1000) FROM generate_series(1, 100000) a, generate_series(1, 100) b";
    let info = client.0.execute(sql.into(), None).await.expect("planned");
    let ticket = info.endpoint[0].ticket.clone().expect("a ticket");
    let mut rows: FlightRecordBatchStream = client.0.do_get(ticket).await.expect("rows");
    rows.next().await.expect("a batch").expect("rows");

    let request = CancelFlightInfoRequest::new(info);
    let mut plain = server.plain().await;
    let cancelled = plain.cancel_flight_info(request.clone()).await.expect("an answer");
    assert_eq!(cancelled.status(), CancelStatus::Cancelled);
    let end = loop {
        match rows.next().await {
            Some(Ok(_)) => continue,
            Some(Err(error)) => break error,
            None => panic!("the query ended as if it were complete"),
        }
    };
    assert_eq!(code(end), Code::Cancelled);
    let again = plain.cancel_flight_info(request).await.expect("an answer");
    assert_eq!(again.status(), CancelStatus::NotCancellable);
    server.stop().await;
}

#[tokio::test]
async fn damaged_messages_are_the_clients_error() {
    let server = Server::with_docs().await;
    let mut client = server.plain().await;
    let data = FlightDataEncoderBuilder::new()
        .with_flight_descriptor(Some(FlightDescriptor::new_path(vec!["docs".into()])))
        .build(stream::iter([Ok(docs(&[4], &[0.0, 0.0]))]));
    let sound: Vec<_> = data.try_collect().await.expect("encoded");
    for at in (0..sound[0].data_header.len()).step_by(7) {
        let mut damaged = sound.clone();
        let mut header = damaged[0].data_header.to_vec();
        header[at] ^= 0xff;
        damaged[0].data_header = header.into();
        let answer = client.do_put(stream::iter(damaged.into_iter().map(Ok))).await;
        let answer = match answer {
            Ok(acks) => acks.try_collect::<Vec<_>>().await.map(drop),
            Err(error) => Err(error),
        };
        if let Err(error) = answer {
            assert_eq!(code(error), Code::InvalidArgument, "byte {at}");
        }
    }
    let command = CommandStatementQuery { query: "SELECT 1".into(), transaction_id: Some("t".into()) };
    let descriptor = FlightDescriptor::new_cmd(prost_bytes(&command));
    assert_eq!(code(client.get_flight_info(descriptor).await.expect_err("no transactions")), Code::Unimplemented);
    server.stop().await;
}

fn prost_bytes(command: &CommandStatementQuery) -> Vec<u8> {
    let any = command.as_any();
    // An `Any` by hand: two length-delimited fields, both shorter than 128 bytes.
    let field = |tag: u8, bytes: &[u8]| [&[tag, bytes.len() as u8], bytes].concat();
    [field(0x0a, any.type_url.as_bytes()), field(0x12, &any.value)].concat()
}

#[tokio::test]
async fn only_loopback_is_listened_on_unless_told() {
    let everywhere = ServerConfig::new(([0, 0, 0, 0], 0).into());
    assert!(matches!(bind(&everywhere).await, Err(Error::NotLoopback(_))));
    bind(&ServerConfig { insecure: true, ..everywhere }).await.expect("told so");
}

#[tokio::test]
async fn a_stream_left_open_does_not_keep_the_server_up() {
    let database = Database::open("memory://", Settings::default()).await.expect("a database in memory");
    let config = ServerConfig { grace: Duration::from_millis(100), ..ServerConfig::new(([127, 0, 0, 1], 0).into()) };
    let listener = bind(&config).await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let (stop, stopped) = oneshot::channel();
    let serving = tokio::spawn(serve(database, listener, config, async { stopped.await.unwrap_or_default() }));
    let channel = Endpoint::new(format!("http://{address}")).expect("an address").connect().await.expect("connected");
    // A DoPut that never sends its first message.
    let put = tokio::spawn(async move { FlightClient::new(channel).do_put(stream::pending()).await.map(drop) });
    tokio::time::sleep(Duration::from_millis(50)).await;
    stop.send(()).expect("the server runs");
    serving.await.expect("no panic").expect("a graceful end");
    put.abort();
}
