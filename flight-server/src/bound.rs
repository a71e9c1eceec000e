//! A prepared statement with its parameters: what it will run.

use std::sync::Arc;

use arrow_schema::{DataType, SchemaRef};
use datafusion::{logical_expr::LogicalPlan, prelude::SessionContext, scalar::ScalarValue};
use drift_engine::Database;
use drift_sql::{Planned, ReadyPlan};
use futures::{StreamExt, TryStreamExt, stream};
use tonic::Status;

use crate::{
    encode::{Rows, wire_schema},
    error::IntoStatus,
    parameters,
    prepared::Prepared,
    statement,
};

/// The statements that a prepared one becomes, one for each row of parameters; never none.
pub(crate) struct Bound {
    ctx: SessionContext,
    /// The exact schema of what they yield.
    pub schema: SchemaRef,
    runs: Runs,
}

enum Runs {
    /// Of a plan that is ready but for these values.
    Ready(Arc<ReadyPlan>, Vec<Vec<ScalarValue>>),
    /// Of plans that are still to be optimized.
    Plans(Vec<LogicalPlan>),
}

impl Bound {
    /// Binds what `prepared` was given last.
    pub async fn new(db: &Database, prepared: &Prepared) -> Result<Self, Status> {
        let ctx = prepared.session.context(db);
        let planned = prepared.statement.planned(&ctx).await.map_err(IntoStatus::into_status)?;
        let batches = prepared.bound();
        if statement::is_update(planned.plan()) {
            return Ok(Self::plans(ctx, parameters::bind(planned.plan().clone(), &batches)?));
        }
        let rows = parameters::rows(prepared.parameters, &batches)?;
        if let Some(ready) = ready(&ctx, &planned, &rows).await {
            return Ok(Self { ctx, schema: wire_schema(ready.schema()), runs: Runs::Ready(ready, rows) });
        }
        let plans = rows.into_iter().map(|row| parameters::filled(planned.plan().clone(), row));
        Ok(Self::plans(ctx, plans.collect::<Result<_, _>>()?))
    }

    fn plans(ctx: SessionContext, plans: Vec<LogicalPlan>) -> Self {
        let schema = statement::schema(plans.first().expect("binding yields a plan for each row, and refuses none"));
        Self { ctx, schema, runs: Runs::Plans(plans) }
    }

    /// Whether they change something.
    pub fn is_update(&self) -> bool {
        matches!(&self.runs, Runs::Plans(plans) if plans.first().is_some_and(statement::is_update))
    }

    /// Runs one after the other; their rows as one result.
    pub fn rows(self) -> Rows {
        let Self { ctx, schema, runs } = self;
        match runs {
            Runs::Ready(plan, rows) => {
                let run = move |values: Vec<ScalarValue>| {
                    let rows = plan.run(&ctx, &values).map_err(IntoStatus::into_status);
                    rows.map(|rows| rows.map_err(IntoStatus::into_status))
                };
                Rows::cast(schema, stream::iter(rows).map(run).try_flatten())
            }
            Runs::Plans(plans) => {
                let run = move |plan| {
                    let ctx = ctx.clone();
                    async move { statement::run(&ctx, plan).await.map(|rows| rows.batches) }
                };
                Rows::cast(schema, stream::iter(plans).then(run).try_flatten())
            }
        }
    }

    /// Runs updates one after the other; the number of rows they changed.
    pub async fn update(self) -> Result<u64, Status> {
        let Runs::Plans(plans) = self.runs else { return Ok(0) };
        let mut count = 0;
        for plan in plans {
            count += statement::update(&self.ctx, plan).await?;
        }
        Ok(count)
    }
}

/// A plan that runs with any of `rows`: they have the same types, and no value is NULL, which may make
/// another plan of a statement.
async fn ready(ctx: &SessionContext, planned: &Planned, rows: &[Vec<ScalarValue>]) -> Option<Arc<ReadyPlan>> {
    let types = |row: &Vec<ScalarValue>| row.iter().map(ScalarValue::data_type).collect::<Vec<DataType>>();
    let first = types(rows.first()?);
    let alike = rows.iter().all(|row| !row.iter().any(ScalarValue::is_null) && types(row) == first);
    if alike { planned.ready(ctx, &first).await } else { None }
}
