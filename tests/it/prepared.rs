//! Statements that are planned once: what they return is what planning them anew would.

use std::sync::Arc;

use arrow_array::{RecordBatch, cast::AsArray, types::Int64Type};
use datafusion::{
    arrow::datatypes::DataType,
    common::{ParamValues, ScalarValue},
    prelude::SessionContext,
};
use drift_engine::{Database, Settings};
use drift_sql::Prepared;
use futures::TryStreamExt;

async fn run(ctx: &SessionContext, sql: &str) {
    let plan = drift_sql::plan(ctx, sql).await.expect(sql);
    drift_sql::execute(ctx, plan).await.expect(sql).collect().await.expect(sql);
}

/// A database in memory with the collection `docs`, and a session.
async fn docs() -> (Database, SessionContext) {
    let database = Database::open("memory://", Settings::default()).await.expect("a database in memory");
    let ctx = drift_sql::session(&database);
    run(&ctx, "CREATE TABLE docs (id BIGINT PRIMARY KEY, lang TEXT, embedding FLOAT[2])").await;
    run(&ctx, "INSERT INTO docs VALUES (1, 'en', [0, 0]), (2, 'de', [1, 0]), (3, 'en', [2, 0]), (4, NULL, [3, 0])")
        .await;
    (database, ctx)
}

fn vector(values: &[f64]) -> ScalarValue {
    let values: Vec<ScalarValue> = values.iter().map(|&v| v.into()).collect();
    ScalarValue::List(ScalarValue::new_list_nullable(&values, &DataType::Float64))
}

/// The rows by the plan that is ready; `None` if there is none for this statement.
async fn ready(statement: &Prepared, ctx: &SessionContext, values: &[ScalarValue]) -> Option<Result<String, String>> {
    let types: Vec<_> = values.iter().map(ScalarValue::data_type).collect();
    let planned = statement.planned(ctx).await.expect("a plan");
    let plan = planned.ready(ctx, &types).await?;
    let rows = match plan.run(ctx, values) {
        Ok(rows) => rows.try_collect::<Vec<_>>().await,
        Err(error) => Err(error),
    };
    Some(rows.map(|rows| text(&rows)).map_err(|e| e.strip_backtrace()))
}

/// The rows of a statement that is planned with its values.
async fn anew(ctx: &SessionContext, sql: &str, values: &[ScalarValue]) -> Result<String, String> {
    let rows = async {
        let plan = drift_sql::plan(ctx, sql).await?.with_param_values(ParamValues::from(values.to_vec()))?;
        drift_sql::execute(ctx, plan).await?.collect().await
    };
    rows.await.map(|rows| text(&rows)).map_err(|e| e.strip_backtrace())
}

fn text(rows: &[RecordBatch]) -> String {
    datafusion::arrow::util::pretty::pretty_format_batches(rows).expect("a table").to_string()
}

async fn keys(statement: &Prepared, ctx: &SessionContext, values: &[ScalarValue]) -> Vec<i64> {
    let types: Vec<_> = values.iter().map(ScalarValue::data_type).collect();
    let planned = statement.planned(ctx).await.expect("a plan");
    let plan = planned.ready(ctx, &types).await.expect("a plan that is ready");
    let rows: Vec<RecordBatch> = plan.run(ctx, values).expect("a run").try_collect().await.expect("rows");
    rows.iter().flat_map(|rows| rows.column(0).as_primitive::<Int64Type>().values().to_vec()).collect()
}

#[tokio::test]
async fn a_ready_plan_returns_what_a_new_one_does() {
    let (_database, ctx) = docs().await;
    let near = |x| vector(&[x, 0.0]);
    let cases: &[(&str, &[Vec<ScalarValue>])] = &[
        ("SELECT id, _distance FROM knn('docs', $1, 2)", &[vec![near(0.2)], vec![near(2.9)], vec![near(0.2)]]),
        (
            "SELECT * FROM knn('docs', $1, $2) WHERE lang = 'en' ORDER BY _distance",
            &[vec![near(9.0), 1_i64.into()], vec![near(0.0), 5_i32.into()]],
        ),
        (
            "SELECT id, $2 || lang AS tag FROM knn('docs', $1, 3, exact => $3) ORDER BY id DESC",
            &[vec![near(0.0), "a ".into(), true.into()], vec![near(3.0), "b ".into(), false.into()]],
        ),
        (
            "SELECT id FROM knn('docs', $1, 9) WHERE lang = $2",
            &[vec![near(1.0), "en".into()], vec![near(1.0), "de".into()], vec![near(1.0), "none".into()]],
        ),
        (
            "SELECT id FROM knn('docs', $1, 9) WHERE id = $2 AND _distance < $3 ORDER BY _distance",
            &[vec![near(0.0), 3_i64.into(), 9.0_f64.into()], vec![near(0.0), 3_i64.into(), 1.0_f64.into()]],
        ),
        ("SELECT id FROM docs ORDER BY l2_distance(embedding, $1) LIMIT 2", &[vec![near(0.2)], vec![near(2.9)]]),
        (
            "SELECT id, l2_distance(embedding, $1) AS d FROM docs WHERE id <> $2 ORDER BY d LIMIT 3",
            &[vec![near(0.2), 1_i64.into()], vec![near(2.9), 4_i64.into()]],
        ),
        ("SELECT a.id FROM (SELECT id FROM knn('docs', $1, 3) LIMIT 2) a ORDER BY a.id", &[vec![near(3.0)]]),
        ("SELECT 1 + $1 AS n", &[vec![1_i64.into()], vec![41_i64.into()]]),
        ("SELECT 1", &[vec![]]),
    ];
    for (sql, runs) in cases {
        let statement = Prepared::new(*sql);
        for values in *runs {
            let found =
                ready(&statement, &ctx, values).await.unwrap_or_else(|| panic!("{sql} is planned for each run"));
            assert_eq!(found, anew(&ctx, sql, values).await, "{sql} with {values:?}");
            assert!(found.is_ok(), "{sql} with {values:?}: {found:?}");
        }
    }
}

#[tokio::test]
async fn bad_values_are_refused_in_the_same_words() {
    let (_database, ctx) = docs().await;
    let sql = "SELECT id FROM knn('docs', $1, $2)";
    let statement = Prepared::new(sql);
    for values in [
        vec![vector(&[1.0]), 2_i64.into()],
        vec![vector(&[1.0, f64::NAN]), 2_i64.into()],
        vec![vector(&[1.0, 2.0]), 0_i64.into()],
        vec![vector(&[1.0, 2.0]), 2.5_f64.into()],
        vec![ScalarValue::from("text"), 2_i64.into()],
    ] {
        let refused = ready(&statement, &ctx, &values).await.expect("a ready plan").expect_err("a bad value");
        assert_eq!(Err(refused), anew(&ctx, sql, &values).await);
    }
    // A value is missing.
    let types = [vector(&[1.0, 2.0]).data_type()];
    assert!(statement.planned(&ctx).await.expect("a plan").ready(&ctx, &types).await.is_none());
}

#[tokio::test]
async fn what_changes_by_itself_is_planned_each_time() {
    let (_database, ctx) = docs().await;
    run(&ctx, "CREATE VIEW seen AS SELECT id FROM docs").await;
    // Not even the logical plan is kept: it may read something else tomorrow.
    for sql in [
        "SELECT id FROM seen",
        "SELECT * FROM drift.collections",
        "SELECT * FROM generate_series(1, 3)",
        "EXPLAIN SELECT id FROM docs",
        "INSERT INTO docs VALUES (9, 'en', [9, 9])",
        "SET drift.target_recall = 0.9",
    ] {
        let statement = Prepared::new(sql);
        statement.planned(&ctx).await.expect(sql);
        assert!(!statement.is_kept(), "{sql}");
    }
    // The values, or the time, decide what the physical plan is.
    for sql in [
        "SELECT id, now() FROM knn('docs', [0, 0], 2)",
        "SELECT id, random() FROM knn('docs', [0, 0], 2)",
        "SELECT id FROM knn('docs', (SELECT embedding FROM docs WHERE id = 1), 2)",
        "SELECT lang, count(*) FROM knn('docs', [0, 0], 3) GROUP BY lang",
        "SELECT id FROM docs WHERE id = 1",
    ] {
        let statement = Prepared::new(sql);
        assert!(ready(&statement, &ctx, &[]).await.is_none(), "{sql}");
        assert!(statement.is_kept(), "{sql}");
    }
}

#[tokio::test]
async fn a_plan_is_kept_until_what_it_depends_on_changes() {
    let (database, ctx) = docs().await;
    let statement = Prepared::new("SELECT id FROM knn('docs', $1, 1)");
    let plan = || async { statement.planned(&ctx).await.expect("a plan") };
    let nine = [vector(&[9.0, 0.0])];
    assert_eq!(keys(&statement, &ctx, &nine).await, [4]);
    let first = plan().await;

    // Rows are no part of it: they come and go, are flushed and split, and each run sees the newest.
    run(&ctx, "INSERT INTO docs VALUES (5, 'en', [9, 0])").await;
    assert_eq!(keys(&statement, &ctx, &nine).await, [5]);
    database.flush().await.expect("flushed");
    assert_eq!(keys(&statement, &ctx, &nine).await, [5]);
    run(&ctx, "DELETE FROM docs WHERE id = 5").await;
    assert_eq!(keys(&statement, &ctx, &nine).await, [4]);
    run(&ctx, "CREATE TABLE other (id BIGINT PRIMARY KEY, embedding FLOAT[2])").await;
    assert!(Arc::ptr_eq(&first, &plan().await), "planned anew for nothing");

    // Settings are.
    run(&ctx, "SET drift.target_recall = 0.5").await;
    let second = plan().await;
    assert!(!Arc::ptr_eq(&first, &second));
    // So are the columns, whoever changes them.
    let stranger = drift_sql::session(&database);
    run(&stranger, "DROP TABLE docs").await;
    assert!(statement.planned(&ctx).await.is_err());
    run(&stranger, "CREATE TABLE docs (name TEXT, id BIGINT PRIMARY KEY, embedding FLOAT[3])").await;
    run(&stranger, "INSERT INTO docs VALUES ('seven', 7, [9, 0, 0])").await;
    assert_eq!(keys(&statement, &ctx, &[vector(&[9.0, 0.0, 0.0])]).await, [7]);
    run(&stranger, "DROP TABLE docs").await;
    statement.tidy();
    assert!(!statement.is_kept(), "a plan keeps a collection that is gone");
}

/// The first rows settle the dimension of a collection, and so its columns.
#[tokio::test]
async fn a_plan_follows_the_first_rows() {
    let (_database, ctx) = docs().await;
    run(&ctx, "CREATE TABLE new (id BIGINT PRIMARY KEY, embedding FLOAT[])").await;
    let statement = Prepared::new("SELECT id, embedding FROM knn('new', $1, 1)");
    assert_eq!(keys(&statement, &ctx, &[vector(&[1.0, 0.0])]).await, [0_i64; 0]);
    run(&ctx, "INSERT INTO new VALUES (1, [1, 2, 3])").await;
    assert_eq!(keys(&statement, &ctx, &[vector(&[1.0, 0.0, 0.0])]).await, [1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_plan_serves_many_runs_at_once() {
    let (_database, ctx) = docs().await;
    let statement = Arc::new(Prepared::new("SELECT id FROM docs ORDER BY l2_distance(embedding, $1) LIMIT 1"));
    let runs = (0..200_i64).map(|i| {
        let (statement, ctx) = (statement.clone(), ctx.clone());
        tokio::spawn(async move { (i % 4 + 1, keys(&statement, &ctx, &[vector(&[(i % 4) as f64, 0.0])]).await) })
    });
    for run in runs.collect::<Vec<_>>() {
        let (expected, found) = run.await.expect("no panic");
        assert_eq!(found, [expected]);
    }
}
