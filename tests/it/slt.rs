//! `sql/slt/*.slt`: each file a behaviour, against a database in memory of its own.

use std::path::Path;

use arrow_cast::display::array_value_to_string;
use async_trait::async_trait;
use datafusion::{
    arrow::{
        array::{AsArray, RecordBatch},
        datatypes::{DataType, UInt64Type},
    },
    common::Result,
    error::DataFusionError,
    prelude::SessionContext,
};
use drift_engine::{Database, Settings};
use sqllogictest::{AsyncDB, DBOutput, DefaultColumnType, Runner};

struct Session(SessionContext);

#[async_trait]
impl AsyncDB for Session {
    type Error = DataFusionError;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>> {
        let plan = drift_sql::plan(&self.0, sql).await?;
        let is_update = drift_sql::is_update(&plan);
        let result = drift_sql::execute(&self.0, plan).await?;
        let types = result.schema().fields().iter().map(|f| column_type(f.data_type())).collect();
        let batches = result.collect().await?;
        if is_update {
            return Ok(DBOutput::StatementComplete(count(&batches)));
        }
        let rows = batches.iter().map(texts).collect::<Result<Vec<_>>>()?.concat();
        Ok(DBOutput::Rows { types, rows })
    }

    async fn shutdown(&mut self) {}

    fn engine_name(&self) -> &str {
        "drift"
    }
}

/// The rows an update reports.
fn count(batches: &[RecordBatch]) -> u64 {
    let counts = batches.iter().filter(|b| b.num_columns() == 1 && b.num_rows() == 1);
    counts.map(|b| b.column(0).as_primitive::<UInt64Type>().value(0)).sum()
}

fn column_type(data_type: &DataType) -> DefaultColumnType {
    match data_type {
        t if t.is_integer() => DefaultColumnType::Integer,
        t if t.is_floating() => DefaultColumnType::FloatingPoint,
        t if t.is_string() => DefaultColumnType::Text,
        _ => DefaultColumnType::Any,
    }
}

fn texts(batch: &RecordBatch) -> Result<Vec<Vec<String>>> {
    let text = |column: usize, row: usize| -> Result<String> {
        let column = batch.column(column);
        Ok(match column.is_null(row) {
            true => "NULL".into(),
            false => array_value_to_string(column, row)?,
        })
    };
    let row = |row| (0..batch.num_columns()).map(|column| text(column, row)).collect();
    let rows: Vec<Vec<String>> = (0..batch.num_rows()).map(row).collect::<Result<_>>()?;
    Ok(rows.into_iter().flat_map(lines).collect())
}

/// A plan is a text of many lines: each becomes a row, as it is written in a file.
fn lines(mut row: Vec<String>) -> Vec<Vec<String>> {
    match row.pop() {
        Some(last) if last.contains('\n') => {
            let mut lines = last.trim_end().lines();
            row.extend(lines.next().map(str::to_string));
            std::iter::once(row).chain(lines.map(|line| vec![line.to_string()])).collect()
        }
        last => vec![row.into_iter().chain(last).collect()],
    }
}

#[tokio::test]
async fn every_file_holds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sql/slt");
    let mut files: Vec<_> =
        folder.read_dir().expect("sql/slt is there").map(|entry| entry.expect("a readable folder").path()).collect();
    files.sort();
    assert!(!files.is_empty(), "no file in {}", folder.display());
    let mut failures = vec![];
    for file in files {
        let database = Database::open("memory://", Settings::default()).await.expect("a database in memory");
        let mut runner = Runner::new(|| async { Ok(Session(drift_sql::session(&database))) });
        if let Err(error) = runner.run_file_async(&file).await {
            failures.push(error.display(false).to_string());
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}
