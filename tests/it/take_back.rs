//! A table made by a statement that then fails goes again, but not with what others have done there
//! meanwhile: it used to be dropped by its name, with rows that had been acknowledged.

use std::{sync::Arc, thread, time::Duration};

use arrow_array::RecordBatch;
use arrow_flight::sql::{CommandStatementIngest, TableDefinitionOptions, TableExistsOption, TableNotExistOption};
use arrow_schema::DataType;
use datafusion::{
    common::exec_err,
    error::Result,
    logical_expr::{Volatility, create_udf},
    prelude::SessionContext,
};
use drift_engine::{Database, Settings};
use futures::{StreamExt, stream};
use tokio::{runtime::Handle, sync::oneshot, time};

use crate::server::{Server, docs, ids};

#[tokio::test]
async fn a_failed_ingest_leaves_the_rows_of_others() {
    let server = Server::start().await;
    let (mut loader, mut other) = (server.sql().await, server.sql().await);
    let command = CommandStatementIngest {
        table_definition_options: Some(TableDefinitionOptions {
            if_not_exist: TableNotExistOption::Create as i32,
            if_exists: TableExistsOption::Fail as i32,
        }),
        table: "loaded".into(),
        ..Default::default()
    };
    let (go, told) = oneshot::channel();
    let bad = async move {
        told.await.expect("the other is done");
        Ok(docs(&[2], &[f32::INFINITY, 0.0]))
    };
    let batches = stream::iter([Ok(docs(&[1], &[0.0, 0.0]))]).chain(stream::once(bad));
    let loading = tokio::spawn(async move { loader.0.execute_ingest(command, batches).await });

    let insert = "INSERT INTO loaded VALUES (9, 'mine', [1, 1])";
    let insert = async {
        while other.0.execute_update(insert.into(), None).await.is_err() {
            time::sleep(Duration::from_millis(1)).await;
        }
    };
    time::timeout(Duration::from_secs(30), insert).await.expect("the table comes before its rows");
    go.send(()).expect("the ingest waits");
    let error = loading.await.expect("no panic").expect_err("an infinite value").to_string();
    assert!(error.contains("'loaded', made for it, stays with the rows that others have put into it"), "{error}");
    assert_eq!(ids(&other.rows("SELECT id FROM loaded").await), [9]);
    server.stop().await;
}

async fn run(ctx: &SessionContext, sql: &str) -> Result<Vec<RecordBatch>> {
    drift_sql::execute(ctx, drift_sql::plan(ctx, sql).await?).await?.collect().await
}

/// Tries to make the table `copy` of a query that fails after another session has run `statements`.
/// The error, and the columns and rows of `copy` after it, if it is there.
async fn create_while(statements: &'static [&'static str]) -> (String, Option<(usize, usize)>) {
    let database = Database::open("memory://", Settings::default()).await.expect("a database in memory");
    let (ctx, other, runtime) = (drift_sql::session(&database), drift_sql::session(&database), Handle::current());
    let interfere = move || {
        runtime.block_on(async {
            for sql in statements {
                run(&other, sql).await.expect(sql);
            }
        });
    };
    let interfere = Arc::new(interfere);
    let function = Arc::new(move |_: &[_]| {
        let interfere = interfere.clone();
        // On a thread of its own, since this one runs a query.
        thread::spawn(move || interfere()).join().expect("no panic");
        exec_err!("on purpose")
    });
    ctx.register_udf(create_udf("fail", vec![DataType::Int64], DataType::Int64, Volatility::Volatile, function));
    let sql = "CREATE TABLE copy AS SELECT value AS id, [value, 1.5] AS v, fail(value) AS x FROM generate_series(1, 5)";
    let error = run(&ctx, sql).await.expect_err("it fails on purpose").to_string();
    let there = database.collection("copy").ok();
    (error, there.map(|copy| (copy.arrow_schema().fields().len(), copy.status().rows as usize)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_create_leaves_no_table() {
    let (error, copy) = create_while(&["SELECT 1"]).await;
    assert!(error.contains("on purpose") && !error.contains("stays"), "{error}");
    assert_eq!(copy, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_create_leaves_the_rows_of_others() {
    let (error, copy) = create_while(&["INSERT INTO copy VALUES (9, [1, 2], 3)"]).await;
    assert!(error.contains("on purpose"), "{error}");
    assert!(error.contains("'copy', made for it, stays with the rows that others have put into it"), "{error}");
    assert_eq!(copy, Some((3, 1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_create_leaves_another_table_of_its_name() {
    let (error, copy) = create_while(&["DROP TABLE copy", "CREATE TABLE copy (id INT, v FLOAT[2])"]).await;
    assert!(error.contains("on purpose") && !error.contains("stays"), "{error}");
    assert_eq!(copy, Some((2, 0)));
}
