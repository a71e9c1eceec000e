//! How a search went, for EXPLAIN ANALYZE.

use std::{
    any::Any,
    fmt,
    sync::{Arc, OnceLock},
};

use datafusion::physical_plan::metrics::{CustomMetricValue, ExecutionPlanMetricsSet, MetricBuilder, MetricValue};
use drift_engine::SearchStats;

/// Adds the figures of one search to `metrics`.
pub(super) fn record(metrics: &ExecutionPlanMetricsSet, stats: &SearchStats, rows: usize) {
    let counters = [
        ("buckets_ranked", stats.buckets_ranked),
        ("buckets_probed", stats.buckets_probed),
        ("buckets_skipped", stats.buckets_skipped),
        ("rows_scanned", stats.rows_scanned),
        ("rows_reranked", stats.rows_reranked),
        ("l0_rows", stats.l0_rows),
    ];
    MetricBuilder::new(metrics).output_rows(0).add(rows);
    for (name, value) in counters {
        MetricBuilder::new(metrics).counter(name, 0).add(value);
    }
    text(metrics, "predicted_recall", format!("{:.3}", stats.predicted_recall));
    text(metrics, "stop_reason", stats.stop_reason.name().to_string());
}

fn text(metrics: &ExecutionPlanMetricsSet, name: &'static str, value: String) {
    let value = Arc::new(Text(OnceLock::from(value)));
    MetricBuilder::new(metrics).with_partition(0).build(MetricValue::Custom { name: name.into(), value });
}

/// A metric that is no count. There is one search per operator, so there is nothing to add up: an
/// aggregate is the value itself.
#[derive(Debug)]
struct Text(OnceLock<String>);

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.get().map_or("", String::as_str))
    }
}

impl CustomMetricValue for Text {
    fn new_empty(&self) -> Arc<dyn CustomMetricValue> {
        Arc::new(Self(OnceLock::new()))
    }

    fn aggregate(&self, other: Arc<dyn CustomMetricValue>) {
        // A value that is there already stays: it is the same one.
        let _ = self.0.set(other.to_string());
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn is_eq(&self, other: &Arc<dyn CustomMetricValue>) -> bool {
        self.to_string() == other.to_string()
    }
}
