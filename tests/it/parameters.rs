//! Query vectors, counts and conditions as parameters.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::AsArray,
        datatypes::{DataType, Field, Int64Type, UInt64Type},
    },
    common::{ParamValues, Result, ScalarValue},
    prelude::SessionContext,
};
use drift_engine::{Database, Settings};

async fn session() -> SessionContext {
    let database = Database::open("memory://", Settings::default()).await.expect("a database in memory");
    let ctx = drift_sql::session(&database);
    for sql in [
        "CREATE TABLE docs (id BIGINT PRIMARY KEY, lang TEXT, embedding FLOAT[2])",
        "INSERT INTO docs VALUES (1, 'en', [0, 0]), (2, 'de', [1, 0]), (3, 'en', [2, 0]), (4, 'en', [3, 0])",
    ] {
        let plan = drift_sql::plan(&ctx, sql).await.expect(sql);
        drift_sql::execute(&ctx, plan).await.expect(sql).collect().await.expect(sql);
    }
    ctx
}

async fn ids(ctx: &SessionContext, sql: &str, values: Vec<ScalarValue>) -> Result<Vec<i64>> {
    let plan = drift_sql::plan(ctx, sql).await?.with_param_values(ParamValues::from(values))?;
    let batches = drift_sql::execute(ctx, plan).await?.collect().await?;
    Ok(batches.iter().flat_map(|b| b.column(0).as_primitive::<Int64Type>().values().to_vec()).collect())
}

fn doubles(values: &[f64]) -> ScalarValue {
    let values: Vec<ScalarValue> = values.iter().map(|&v| v.into()).collect();
    ScalarValue::List(ScalarValue::new_list_nullable(&values, &DataType::Float64))
}

#[tokio::test]
async fn a_vector_of_any_list_type_is_bound() {
    let ctx = session().await;
    let list = doubles(&[2.2, 0.0]);
    let fixed = DataType::FixedSizeList(Arc::new(Field::new("item", DataType::Float32, true)), 2);
    for query in [list.clone(), list.cast_to(&fixed).expect("a list of two")] {
        let sql = "SELECT id FROM knn('docs', $1, 2) ORDER BY _distance";
        assert_eq!(ids(&ctx, sql, vec![query]).await.expect(sql), [3, 4]);
    }
}

#[tokio::test]
async fn every_argument_and_the_filter_are_bound() {
    let ctx = session().await;
    let sql = "SELECT id FROM knn('docs', $1, $2, recall => $3, exact => $5) WHERE lang = $4 ORDER BY _distance";
    let values = vec![doubles(&[1.0, 0.0]), 2_i64.into(), 0.9_f64.into(), "en".into(), true.into()];
    assert_eq!(ids(&ctx, sql, values).await.expect(sql), [1, 3]);
}

#[tokio::test]
async fn question_marks_are_parameters_in_the_order_of_the_text() {
    let ctx = session().await;
    let sql = "SELECT id FROM docs WHERE lang = ? ORDER BY l2_distance(embedding, ?) LIMIT 1";
    assert_eq!(ids(&ctx, sql, vec!["de".into(), doubles(&[9.0, 0.0])]).await.expect(sql), [2]);
}

#[tokio::test]
async fn parameters_announce_their_types() {
    let ctx = session().await;
    let plan = drift_sql::plan(&ctx, "SELECT id FROM knn('docs', $1, $2, recall => $3)").await.expect("a statement");
    let types = plan.get_parameter_fields().expect("parameters");
    let data_type = |name: &str| types[name].as_ref().map(|f| f.data_type().clone());
    assert!(matches!(data_type("$1"), Some(DataType::FixedSizeList(_, 2))));
    assert_eq!(data_type("$2"), Some(DataType::Int64));
    assert_eq!(data_type("$3"), Some(DataType::Float64));
}

#[tokio::test]
async fn rows_are_inserted_and_deleted_by_parameters() {
    let ctx = session().await;
    let run = async |sql: &str, values: Vec<ScalarValue>| {
        let plan =
            drift_sql::plan(&ctx, sql).await.expect(sql).with_param_values(ParamValues::from(values)).expect(sql);
        let batches = drift_sql::execute(&ctx, plan).await.expect(sql).collect().await.expect(sql);
        batches[0].column(0).as_primitive::<UInt64Type>().value(0)
    };
    let row = vec![9_i32.into(), "fr".into(), doubles(&[7.0, 7.0])];
    assert_eq!(run("INSERT INTO docs VALUES (?, ?, ?)", row).await, 1);
    assert_eq!(ids(&ctx, "SELECT id FROM knn('docs', [7, 7], 1)", vec![]).await.expect("a search"), [9]);
    assert_eq!(run("DELETE FROM docs WHERE id = $1 OR lang = $2", vec![9_i64.into(), "de".into()]).await, 2);
    assert_eq!(ids(&ctx, "SELECT id FROM docs ORDER BY id", vec![]).await.expect("a scan"), [1, 3, 4]);
}

#[tokio::test]
async fn a_wrong_parameter_is_named() {
    let ctx = session().await;
    let sql = "SELECT id FROM knn('docs', $1, 2)";
    for (value, message) in [
        (doubles(&[1.0]), "has 1 values"),
        (doubles(&[1.0, f64::NAN]), "value 1 of the query vector is NaN"),
        (ScalarValue::from("text"), "such as [0.1, 0.2, 0.3]"),
        (ScalarValue::Null, "NULL"),
    ] {
        let error = ids(&ctx, sql, vec![value]).await.expect_err(message).to_string();
        assert!(error.contains(message), "{error}");
    }
}

/// A session once began at 0.95 whatever the database was told.
#[tokio::test]
async fn a_session_begins_with_the_recall_of_its_database() {
    let settings = Settings { target_recall: 0.8, ..Settings::default() };
    let database = Database::open("memory://", settings).await.expect("a database in memory");
    let ctx = drift_sql::session(&database);
    let plan = drift_sql::plan(&ctx, "SHOW drift.target_recall").await.expect("a setting");
    let shown = drift_sql::execute(&ctx, plan).await.expect("a setting").collect().await.expect("a setting");
    let shown = datafusion::arrow::util::pretty::pretty_format_batches(&shown).expect("a table").to_string();
    assert!(shown.contains("0.8"), "{shown}");
}
