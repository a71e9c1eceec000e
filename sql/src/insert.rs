//! INSERT: rows into a collection.

use std::{fmt, sync::Arc};

use arrow_schema::{DataType, FieldRef, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::{
    common::{
        DFSchema, Result,
        config::ConfigOptions,
        tree_node::{Transformed, TreeNode},
    },
    datasource::sink::DataSink,
    execution::{SendableRecordBatchStream, TaskContext},
    logical_expr::{Cast, DmlStatement, Expr, ExprSchemable, LogicalPlan, Projection, Values, WriteOp},
    optimizer::AnalyzerRule,
    physical_plan::{DisplayAs, DisplayFormatType},
};
use drift_engine::Collection;
use drift_udfs::{from_datafusion, to_datafusion};
use futures::{StreamExt, TryStreamExt};

/// Leaves it to the engine to check the lengths of inserted vectors, and for nulls.
///
/// DataFusion casts what is inserted to the types of the table, and says of a vector that is too
/// short no more than that it is. So casts to lists of fixed length become casts to lists of any;
/// the engine names the column, the row and the way out.
#[derive(Debug)]
pub(crate) struct VectorsOfAnyLength;

impl AnalyzerRule for VectorsOfAnyLength {
    fn name(&self) -> &str {
        "vectors_of_any_length"
    }

    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        let plan = plan.transform_down(|plan| match plan {
            LogicalPlan::Dml(mut dml @ DmlStatement { op: WriteOp::Insert(_), .. }) => {
                dml.input = Arc::new(any_length(&dml.input)?);
                Ok(Transformed::yes(LogicalPlan::Dml(dml)))
            }
            other => Ok(Transformed::no(other)),
        })?;
        Ok(plan.data)
    }
}

/// The source of an INSERT: casts stand in its projection and in the values below.
fn any_length(source: &LogicalPlan) -> Result<LogicalPlan> {
    match source {
        LogicalPlan::Projection(projection) => {
            let input = Arc::new(any_length(&projection.input)?);
            let exprs = projection.expr.iter().cloned().map(cast_to_any_length).collect::<Result<_>>()?;
            Ok(LogicalPlan::Projection(Projection::try_new(exprs, input)?))
        }
        LogicalPlan::Values(values) => Ok(LogicalPlan::Values(values_of_any_length(values)?)),
        other => Ok(other.clone()),
    }
}

/// Values under nullable columns, and cast to their types: a bound parameter may be of another.
fn values_of_any_length(Values { schema, values }: &Values) -> Result<Values> {
    let fields = schema.iter().map(|(qualifier, field)| {
        let list = list_of_any_length(field.data_type()).unwrap_or_else(|| field.data_type().clone());
        (qualifier.cloned(), field.as_ref().clone().with_data_type(list).with_nullable(true).into())
    });
    let schema = DFSchema::new_with_metadata(fields.collect(), schema.metadata().clone())?;
    let nothing = DFSchema::empty();
    let row = |row: &Vec<Expr>| {
        let cast = |(e, field): (&Expr, &FieldRef)| cast_to_any_length(e.clone())?.cast_to(field.data_type(), &nothing);
        row.iter().zip(schema.fields()).map(cast).collect::<Result<Vec<_>>>()
    };
    let values = values.iter().map(row).collect::<Result<_>>()?;
    Ok(Values { schema: Arc::new(schema), values })
}

fn cast_to_any_length(expr: Expr) -> Result<Expr> {
    let name = expr.schema_name().to_string();
    let relaxed = expr.transform_down(|e| match e {
        Expr::Cast(cast) => match list_of_any_length(cast.field.data_type()) {
            Some(list) => Ok(Transformed::yes(Expr::Cast(Cast::new(cast.expr, list)))),
            None => Ok(Transformed::no(Expr::Cast(cast))),
        },
        Expr::Literal(value, metadata) => match list_of_any_length(&value.data_type()) {
            Some(list) => Ok(Transformed::yes(Expr::Literal(value.cast_to(&list)?, metadata))),
            None => Ok(Transformed::no(Expr::Literal(value, metadata))),
        },
        other => Ok(Transformed::no(other)),
    })?;
    // The name holds the type; what stands above knows the expression by it.
    Ok(if relaxed.transformed { relaxed.data.alias_if_changed(name)? } else { relaxed.data })
}

fn list_of_any_length(data_type: &DataType) -> Option<DataType> {
    match data_type {
        DataType::FixedSizeList(item, _) => Some(DataType::List(item.clone())),
        _ => None,
    }
}

/// Upserts all rows of a statement, or none.
pub(crate) struct InsertSink {
    collection: Collection,
    schema: SchemaRef,
}

impl InsertSink {
    /// A sink for rows of `input`.
    pub(crate) fn new(collection: Collection, input: SchemaRef) -> Self {
        // Nulls are let through to the engine, which says in which row they are and what to do.
        let nullable = input.fields().iter().map(|f| f.as_ref().clone().with_nullable(true));
        Self { collection, schema: Arc::new(Schema::new(nullable.collect::<Vec<_>>())) }
    }
}

#[async_trait]
impl DataSink for InsertSink {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    async fn write_all(&self, rows: SendableRecordBatchStream, _context: &Arc<TaskContext>) -> Result<u64> {
        let rows = rows.map_err(|e| from_datafusion(&e)).boxed();
        Ok(self.collection.insert_stream(rows).await.map_err(to_datafusion)?.rows)
    }
}

impl DisplayAs for InsertSink {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "insert into {}", self.collection.name())
    }
}

impl fmt::Debug for InsertSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_as(DisplayFormatType::Default, f)
    }
}
