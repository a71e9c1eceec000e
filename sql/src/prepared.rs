//! Statements that are planned once and run many times.
//!
//! Parsing, planning and optimizing take longer than most searches. A query over collections keeps its
//! plan as long as all that plan depends on is what it was: see [`Stamp`]. Runs read the newest snapshot
//! all the same, since a plan names collections, not their rows.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow_schema::{DataType, SchemaRef};
use datafusion::{
    common::{
        Result, ScalarValue,
        tree_node::{TreeNode, TreeNodeRecursion},
    },
    execution::{SendableRecordBatchStream, SessionState, TaskContext},
    logical_expr::{Expr, LogicalPlan, Volatility},
    physical_plan::execute_stream,
    prelude::SessionContext,
};
use drift_udfs::{ReusablePlan, opened, typed};

use crate::{
    stamp::Stamp,
    statement::{Parsed, parse},
};

/// A statement and what it was planned to be, for the session it is used in.
pub struct Prepared {
    sql: String,
    planned: Mutex<Option<Arc<Planned>>>,
}

impl Prepared {
    /// A statement that is planned when it is first needed.
    pub fn new(sql: impl Into<String>) -> Self {
        Self { sql: sql.into(), planned: Mutex::default() }
    }

    /// Its plan: the last one, while that holds in `ctx`.
    ///
    /// # Errors
    /// As [`plan`](crate::plan).
    pub async fn planned(&self, ctx: &SessionContext) -> Result<Arc<Planned>> {
        let last = self.slot().clone();
        if let Some(planned) = last.filter(|planned| planned.holds(ctx)) {
            return Ok(planned);
        }
        let planned = Arc::new(Planned::new(ctx, &self.sql).await?);
        *self.slot() = planned.stamp.is_some().then(|| planned.clone());
        Ok(planned)
    }

    /// Whether a plan is kept for the next run.
    pub fn is_kept(&self) -> bool {
        self.slot().is_some()
    }

    /// Lets go of a plan over collections that are gone: it would keep their memory.
    pub fn tidy(&self) {
        let mut slot = self.slot();
        if slot.as_ref().and_then(|planned| planned.stamp.as_ref()).is_some_and(|stamp| !stamp.has_collections()) {
            *slot = None;
        }
    }

    fn slot(&self) -> MutexGuard<'_, Option<Arc<Planned>>> {
        // A plan is only ever put or taken whole.
        self.planned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The plan of a statement, its parameters open.
pub struct Planned {
    plan: LogicalPlan,
    /// `None`: it is good for this time only.
    stamp: Option<Stamp>,
    /// The physical plan for the types of parameters that came last.
    ready: Mutex<Option<Ready>>,
}

/// What became of planning for some types of parameters; `None` where each run has to be planned.
#[derive(Clone)]
struct Ready {
    types: Vec<DataType>,
    run: Option<Arc<ReadyPlan>>,
}

impl Planned {
    async fn new(ctx: &SessionContext, sql: &str) -> Result<Self> {
        let Parsed { plan, relations } = parse(ctx, sql).await?;
        let stamp = Stamp::new(ctx, &plan, relations);
        Ok(Self { plan, stamp, ready: Mutex::default() })
    }

    /// The logical plan.
    pub fn plan(&self) -> &LogicalPlan {
        &self.plan
    }

    fn holds(&self, ctx: &SessionContext) -> bool {
        self.stamp.as_ref().is_some_and(|stamp| stamp.holds(ctx))
    }

    /// A plan that needs nothing but values of `types` to run, none of them NULL; `None` where the
    /// values themselves decide what the plan is.
    pub async fn ready(&self, ctx: &SessionContext, types: &[DataType]) -> Option<Arc<ReadyPlan>> {
        self.stamp.as_ref()?;
        let last = self.slot().clone();
        if let Some(ready) = last.filter(|ready| ready.types == types) {
            return ready.run;
        }
        // What goes wrong here goes wrong with the values as well, and is said then.
        let run = ReadyPlan::new(ctx, &self.plan, types).await.ok().flatten().map(Arc::new);
        *self.slot() = Some(Ready { types: types.to_vec(), run: run.clone() });
        run
    }

    fn slot(&self) -> MutexGuard<'_, Option<Ready>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A query that is planned to the end but for its parameters.
pub struct ReadyPlan {
    plan: ReusablePlan,
    schema: SchemaRef,
    context: Arc<TaskContext>,
}

impl ReadyPlan {
    async fn new(ctx: &SessionContext, plan: &LogicalPlan, types: &[DataType]) -> Result<Option<Self>> {
        if !is_settled(plan)? {
            return Ok(None);
        }
        let mut state: SessionState = ctx.state();
        let context = Arc::new(TaskContext::from(&state));
        // A search finds few rows: to spread them over threads and to gather them again is not worth it.
        state.config_mut().options_mut().execution.target_partitions = 1;
        let declared = typed(plan.clone(), types)?;
        let schema = Arc::new(declared.schema().as_arrow().clone());
        let optimized = opened(state.optimize(&declared)?)?;
        let physical = state.query_planner().create_physical_plan(&optimized, &state).await?;
        Ok(ReusablePlan::new(physical)?.map(|plan| Self { plan, schema, context }))
    }

    /// The schema of the statement; that of the rows may be narrower in what can be NULL.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Starts a run in the session this was planned in.
    pub fn run(&self, ctx: &SessionContext, values: &[ScalarValue]) -> Result<SendableRecordBatchStream> {
        let plan = self.plan.bind(&*ctx.state_ref().read(), values)?;
        execute_stream(plan, self.context.clone())
    }
}

/// Whether all that `plan` says holds for every run: functions that tell the time are evaluated when a
/// plan is optimized, and results of subqueries are kept in it.
fn is_settled(plan: &LogicalPlan) -> Result<bool> {
    let mut settled = true;
    plan.apply(|node| {
        if matches!(node, LogicalPlan::Values(_)) {
            settled = false;
        }
        node.apply_expressions(|e| {
            settled &= !e.exists(|e| Ok(is_unsettled(e)))?;
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(if settled { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    })?;
    Ok(settled)
}

fn is_unsettled(expr: &Expr) -> bool {
    match expr {
        Expr::ScalarFunction(call) => call.func.signature().volatility != Volatility::Immutable,
        Expr::ScalarSubquery(_)
        | Expr::InSubquery(_)
        | Expr::Exists(_)
        | Expr::SetComparison(_)
        | Expr::ScalarVariable(..) => true,
        _ => false,
    }
}
