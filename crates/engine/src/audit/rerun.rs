use drift_ivf::Walk;
use drift_manifest::RecallSample;
use ulid::Ulid;

use super::Searched;
use crate::{
    Result,
    search::{Hit, Trace, walk},
    snapshot::Snapshot,
};

/// What an audit has found out.
#[derive(Debug, PartialEq)]
pub(super) struct Audit {
    pub sample: RecallSample,
    pub walk: Walk,
}

/// Runs a search again, to the last bucket.
pub(super) async fn rerun(searched: &Searched) -> Result<Audit> {
    let Searched { snapshot, query, hits, stats, .. } = searched;
    let (truth, trace) = walk(snapshot, query, searched.sets.as_ref()).await?;
    let sample = RecallSample {
        at_ms: Ulid::new().timestamp_ms(),
        k: query.k as u32,
        asked: query.recall,
        predicted: stats.predicted_recall,
        measured: measured(hits, &truth),
        buckets_ranked: stats.buckets_ranked as u32,
        buckets_probed: stats.buckets_probed as u32,
        rows_scanned: stats.rows_scanned as u64,
        stop_reason: stats.stop_reason.name().to_owned(),
    };
    Ok(Audit { sample, walk: Walk::new(moments(snapshot, &truth, trace)) })
}

/// The share of the true nearest that was found. A row as near as the last of them is as good.
fn measured(found: &[Hit], truth: &[Hit]) -> f32 {
    let Some(last) = truth.last() else { return 1.0 };
    let good = found.iter().filter(|hit| hit.score <= last.score).count();
    (good as f32 / truth.len() as f32).min(1.0)
}

/// What the stop rule saw after each bucket, and of the true nearest that lie in buckets the share in
/// those behind it. L0 is not the rule's concern: counting its rows among those found would teach the
/// rule to stop early, and the next flush moves them into buckets. A search that finds all in L0
/// teaches nothing.
fn moments(
    snapshot: &Snapshot,
    truth: &[Hit],
    trace: Trace,
) -> impl Iterator<Item = (Option<drift_ivf::Features>, f32)> {
    let mut true_rows = vec![0; snapshot.level1.buckets.len()];
    for (hit, segment) in truth.iter().filter_map(|hit| Some((hit, hit.segment()?))) {
        let view = &snapshot.segments[segment as usize];
        if let Some(bucket) = view.bucket_of_run[view.run_of(hit.row.ordinal) as usize] {
            true_rows[bucket as usize] += 1;
        }
    }
    let mut left: u32 = true_rows.iter().sum();
    let all = left;
    trace.steps.into_iter().filter(move |_| all > 0).map(move |(bucket, features)| {
        left -= true_rows[bucket as usize];
        (features, left as f32 / all as f32)
    })
}
