use std::sync::Arc;

use datafusion::{
    common::{
        Result,
        config::ConfigOptions,
        tree_node::{Transformed, TreeNode},
    },
    physical_optimizer::PhysicalOptimizerRule,
    physical_plan::{ExecutionPlan, coop::CooperativeExec, unnest::UnnestExec},
};

/// Makes joins give way now and then. DataFusion sees to that where rows are read; a join of a million pairs makes
/// batch after batch out of what it holds, and whoever sums them up would neither let others run nor notice that
/// nobody waits for the sum any more.
#[derive(Debug)]
pub(crate) struct YieldingJoins;

impl PhysicalOptimizerRule for YieldingJoins {
    fn name(&self) -> &str {
        "YieldingJoins"
    }

    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let plan = plan.transform_up(|plan| {
            let multiplies = plan.children().len() > 1 || plan.is::<UnnestExec>();
            Ok(if multiplies {
                Transformed::yes(Arc::new(CooperativeExec::new(plan)) as Arc<dyn ExecutionPlan>)
            } else {
                Transformed::no(plan)
            })
        });
        Ok(plan?.data)
    }

    fn schema_check(&self) -> bool {
        true
    }
}
