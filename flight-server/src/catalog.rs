//! What there is: catalogs, schemas, tables and keys, in the columns Flight SQL fixes.

use std::sync::{Arc, LazyLock};

use arrow_array::{ArrayRef, Int32Array, RecordBatch, StringArray};
use arrow_flight::sql::{
    CommandGetCatalogs, CommandGetDbSchemas, CommandGetPrimaryKeys, CommandGetTableTypes, CommandGetTables,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use datafusion::{catalog::SchemaProvider, datasource::TableType, prelude::SessionContext};
use drift_engine::Database;
use drift_sql::{CATALOG, SCHEMA, SYSTEM_SCHEMA};
use tonic::Status;

use crate::{encode::wire_schema, error::IntoStatus};

/// Columns of an answer to `CommandGetPrimaryKeys`.
pub(crate) static PRIMARY_KEYS: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        Field::new("catalog_name", DataType::Utf8, true),
        Field::new("db_schema_name", DataType::Utf8, true),
        Field::new("table_name", DataType::Utf8, false),
        Field::new("column_name", DataType::Utf8, false),
        Field::new("key_name", DataType::Utf8, true),
        Field::new("key_sequence", DataType::Int32, false),
    ]))
});

/// Columns of an answer to the three commands about foreign keys.
pub(crate) static FOREIGN_KEYS: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        Field::new("pk_catalog_name", DataType::Utf8, true),
        Field::new("pk_db_schema_name", DataType::Utf8, true),
        Field::new("pk_table_name", DataType::Utf8, false),
        Field::new("pk_column_name", DataType::Utf8, false),
        Field::new("fk_catalog_name", DataType::Utf8, true),
        Field::new("fk_db_schema_name", DataType::Utf8, true),
        Field::new("fk_table_name", DataType::Utf8, false),
        Field::new("fk_column_name", DataType::Utf8, false),
        Field::new("key_sequence", DataType::Int32, false),
        Field::new("fk_key_name", DataType::Utf8, true),
        Field::new("pk_key_name", DataType::Utf8, true),
        Field::new("update_rule", DataType::UInt8, false),
        Field::new("delete_rule", DataType::UInt8, false),
    ]))
});

/// The catalogs of a session.
pub(crate) fn catalogs(ctx: &SessionContext, command: CommandGetCatalogs) -> Result<RecordBatch, Status> {
    let mut builder = command.into_builder();
    ctx.catalog_names().into_iter().for_each(|name| builder.append(name));
    builder.build().map_err(IntoStatus::into_status)
}

/// The schemas of a session.
pub(crate) fn schemas(ctx: &SessionContext, command: CommandGetDbSchemas) -> Result<RecordBatch, Status> {
    let mut builder = command.into_builder();
    for (catalog, schema, _) in all_schemas(ctx) {
        builder.append(catalog, schema);
    }
    builder.build().map_err(IntoStatus::into_status)
}

/// The tables of a session: collections, system tables, and what was made in the session itself.
pub(crate) async fn tables(ctx: &SessionContext, command: CommandGetTables) -> Result<RecordBatch, Status> {
    let mut builder = command.into_builder();
    for (catalog, schema, provider) in all_schemas(ctx) {
        for name in provider.table_names() {
            // A table may be dropped between the two calls.
            let Some(table) = provider.table(&name).await.map_err(IntoStatus::into_status)? else { continue };
            let kind = if schema == SYSTEM_SCHEMA { SYSTEM_TABLE } else { type_name(table.table_type()) };
            builder
                .append(&catalog, &schema, &name, kind, &wire_schema(&table.schema()))
                .map_err(IntoStatus::into_status)?;
        }
    }
    builder.build().map_err(IntoStatus::into_status)
}

/// The kinds of tables.
pub(crate) fn table_types(command: CommandGetTableTypes) -> Result<RecordBatch, Status> {
    let mut builder = command.into_builder();
    for kind in [TableType::Base, TableType::View, TableType::Temporary] {
        builder.append(type_name(kind));
    }
    builder.append(SYSTEM_TABLE);
    builder.build().map_err(IntoStatus::into_status)
}

/// What JDBC calls the kind of [`SYSTEM_SCHEMA`]'s tables.
const SYSTEM_TABLE: &str = "SYSTEM TABLE";

fn type_name(table_type: TableType) -> &'static str {
    match table_type {
        TableType::Base => "TABLE",
        TableType::View => "VIEW",
        TableType::Temporary => "LOCAL TEMPORARY",
    }
}

/// The key column of a collection; no row when keys are generated, nor for system tables.
///
/// # Errors
/// NOT_FOUND for an unknown collection.
pub(crate) fn primary_keys(db: &Database, command: &CommandGetPrimaryKeys) -> Result<RecordBatch, Status> {
    if command.db_schema.as_deref() == Some(SYSTEM_SCHEMA) {
        return Ok(RecordBatch::new_empty(PRIMARY_KEYS.clone()));
    }
    check_place(command.catalog.as_deref(), command.db_schema.as_deref())?;
    let schema = drift_udfs::collection(db, &command.table).map_err(IntoStatus::into_status)?.schema();
    let text = |value: &str| -> ArrayRef { Arc::new(StringArray::from_iter_values(schema.key_name().map(|_| value))) };
    let columns: Vec<ArrayRef> = vec![
        text(CATALOG),
        text(SCHEMA),
        text(&command.table),
        text(schema.key_name().unwrap_or_default()),
        text("primary_key"),
        Arc::new(Int32Array::from_iter_values(schema.key_name().map(|_| 1))),
    ];
    RecordBatch::try_new(PRIMARY_KEYS.clone(), columns).map_err(IntoStatus::into_status)
}

/// Refuses a catalog or schema that holds no collections.
pub(crate) fn check_place(catalog: Option<&str>, schema: Option<&str>) -> Result<(), Status> {
    let wrong = |given: Option<&str>, ours| given.is_some_and(|given| !given.is_empty() && given != ours);
    if wrong(catalog, CATALOG) || wrong(schema, SCHEMA) {
        return Err(Status::not_found(format!("collections live in {CATALOG}.{SCHEMA}: leave catalog and schema out")));
    }
    Ok(())
}

fn all_schemas(ctx: &SessionContext) -> Vec<(String, String, Arc<dyn SchemaProvider>)> {
    let mut schemas = Vec::new();
    for catalog_name in ctx.catalog_names() {
        let Some(catalog) = ctx.catalog(&catalog_name) else { continue };
        for name in catalog.schema_names() {
            schemas.extend(catalog.schema(&name).map(|schema| (catalog_name.clone(), name, schema)));
        }
    }
    schemas
}
