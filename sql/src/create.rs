//! CREATE TABLE: a new collection.

use std::sync::Arc;

use arrow_schema::SchemaRef;
use datafusion::{
    catalog::default_table_source::provider_as_source,
    common::{Constraint, Constraints, Result, TableReference, not_impl_err, plan_err},
    dataframe::DataFrame,
    logical_expr::{CreateExternalTable, CreateMemoryTable, LogicalPlan, LogicalPlanBuilder, dml::InsertOp},
    prelude::SessionContext,
};
use drift_engine::{Collection, CollectionSchema, CollectionSpec, Error, ErrorKind};
use drift_udfs::{from_datafusion, to_datafusion};

use crate::{
    CATALOG, DriftTable, SCHEMA,
    execute::{collection_name, nothing, rows},
    session::database,
    table_options::{Options, split_options},
};

/// What a CREATE statement asks for.
pub(crate) struct Creation {
    name: TableReference,
    schema: SchemaRef,
    constraints: Constraints,
    has_defaults: bool,
    options: Options,
    /// The query of CREATE TABLE AS.
    rows: Option<LogicalPlan>,
    if_not_exists: bool,
    or_replace: bool,
}

impl Creation {
    /// `CREATE TABLE .. [WITH (..)] [AS SELECT ..]`
    pub(crate) fn from_table(statement: CreateMemoryTable) -> Self {
        let (options, input) = split_options(&statement.input);
        Self {
            name: statement.name,
            schema: input.schema().inner().clone(),
            constraints: statement.constraints,
            has_defaults: !statement.column_defaults.is_empty(),
            options,
            rows: (!matches!(input, LogicalPlan::EmptyRelation(_))).then(|| input.clone()),
            if_not_exists: statement.if_not_exists,
            or_replace: statement.or_replace,
        }
    }

    /// `CREATE EXTERNAL TABLE .. STORED AS DRIFT LOCATION '' [OPTIONS (..)]`: the same for clients
    /// that plan statements themselves, such as DataFusion's own shell. The location is ignored:
    /// collections live where their database does.
    pub(crate) fn from_external_table(statement: CreateExternalTable) -> Self {
        // DataFusion puts options without a prefix under `format`.
        let name = |name: String| name.strip_prefix("format.").unwrap_or(&name).to_lowercase();
        Self {
            name: statement.name,
            schema: statement.schema.inner().clone(),
            constraints: statement.constraints,
            has_defaults: !statement.column_defaults.is_empty(),
            options: statement.options.into_iter().map(|(key, value)| (name(key), value)).collect(),
            rows: None,
            if_not_exists: statement.if_not_exists,
            or_replace: statement.or_replace,
        }
    }

    fn spec(&self) -> Result<CollectionSpec> {
        if self.has_defaults {
            return not_impl_err!("DEFAULT: give the value in every INSERT");
        }
        let mut spec = CollectionSpec::new(self.schema.clone());
        spec.key = self.primary_key()?;
        for (name, value) in &self.options {
            match name.as_str() {
                "metric" => spec.metric = value.parse().map_err(|e: String| to_datafusion(Error::invalid(e)))?,
                "key" => spec.key = Some(value.clone()),
                "vector" => spec.vector = Some(value.clone()),
                "compression" => {
                    spec.compression = value.parse().map_err(|e: String| to_datafusion(Error::invalid(e)))?;
                }
                _ => return plan_err!("a table has no option '{name}': there are metric, key, vector and compression"),
            }
        }
        Ok(spec)
    }

    fn primary_key(&self) -> Result<Option<String>> {
        let mut key = None;
        for constraint in self.constraints.iter() {
            match constraint {
                Constraint::PrimaryKey(columns) if columns.len() == 1 => {
                    key = Some(self.schema.field(columns[0]).name().clone());
                }
                Constraint::PrimaryKey(_) => return not_impl_err!("a primary key of several columns: use one integer"),
                Constraint::Unique(_) => return not_impl_err!("UNIQUE: only the primary key is unique"),
            }
        }
        Ok(key)
    }
}

/// Creates the collection, with the rows of CREATE TABLE AS: all of it, or nothing but what others have
/// put into it meanwhile.
pub(crate) async fn create(ctx: &SessionContext, creation: Creation) -> Result<DataFrame> {
    let database = database(ctx);
    let Some(name) = collection_name(&ctx.state(), &creation.name) else {
        return plan_err!("'{}': tables are made in {CATALOG}.{SCHEMA}", creation.name);
    };
    let exists = ctx.table_exist(creation.name.clone())?;
    if exists && creation.if_not_exists {
        return nothing(ctx);
    }
    if exists && !creation.or_replace {
        let message = format!("a table named '{name}' exists already: drop it first or choose another name");
        return Err(to_datafusion(Error::new(ErrorKind::AlreadyExists, message)));
    }
    if exists && creation.rows.is_some() {
        return not_impl_err!("CREATE OR REPLACE TABLE .. AS over a table that exists: drop it first");
    }
    let spec = creation.spec()?;
    // Checked before anything is dropped.
    CollectionSchema::resolve(&spec).map_err(to_datafusion)?;
    if exists {
        database.drop_collection(&name).await.map_err(to_datafusion)?;
    }
    let collection = database.create_collection(&name, spec).await.map_err(to_datafusion)?;
    let Some(query) = creation.rows else {
        return nothing(ctx);
    };
    match fill(ctx, collection.clone(), query).await {
        Ok(count) => Ok(count),
        Err(error) => Err(match database.take_back(&collection).await {
            Ok(()) => error,
            Err(stays) => {
                let error = from_datafusion(&error);
                to_datafusion(Error::new(error.kind(), format!("{error}; {stays}")))
            }
        }),
    }
}

async fn fill(ctx: &SessionContext, collection: Collection, query: LogicalPlan) -> Result<DataFrame> {
    let name = collection.name().to_owned();
    let target = provider_as_source(Arc::new(DriftTable::new(collection)));
    let insert = LogicalPlanBuilder::insert_into(query, name, target, InsertOp::Append)?.build()?;
    rows(ctx, ctx.execute_logical_plan(insert).await?.collect().await?)
}
