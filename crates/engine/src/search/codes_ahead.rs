use std::{collections::BTreeMap, iter, sync::Arc};

use drift_ivf::{Features, Ranked, StopState};
use drift_segment::HotRun;
use futures::future::try_join_all;

use super::{filter::RowSets, sieve::Codes};
use crate::{
    Result,
    snapshot::{RunRef, Snapshot},
};

/// Buckets whose codes are read together before anything is known of how far a search will go.
const AT_FIRST: usize = 4;

/// Codes that do not stay in memory: those of several buckets are read at once, and held until it is their turn.
#[derive(Default)]
pub(super) struct CodesAhead(BTreeMap<(u32, u32), Arc<HotRun>>);

impl CodesAhead {
    /// The codes of a run. If they are not in memory, those of the buckets `soon` are read, which it belongs to.
    pub async fn get<'s>(
        &mut self,
        snapshot: &'s Snapshot,
        run: RunRef,
        sets: Option<&RowSets>,
        soon: impl FnOnce() -> Vec<u32>,
    ) -> Result<Codes<'s>> {
        let reader = &snapshot.segments[run.segment as usize].reader;
        if let Some(pinned) = reader.hot_pinned(run.run) {
            return Ok(Codes::Pinned(pinned));
        }
        if let Some(known) = self.0.remove(&(run.segment, run.run)).or_else(|| reader.hot_cached(run.run)) {
            return Ok(Codes::Loaded(known));
        }
        Box::pin(self.read(snapshot, sets, soon())).await?;
        Ok(Codes::Loaded(match self.0.remove(&(run.segment, run.run)) {
            Some(read) => read,
            None => reader.hot(run.run).await?,
        }))
    }

    /// Reads the codes of some buckets, of those runs only in which rows match.
    async fn read(&mut self, snapshot: &Snapshot, sets: Option<&RowSets>, buckets: Vec<u32>) -> Result<()> {
        let runs = buckets.iter().flat_map(|&bucket| &snapshot.level1.buckets[bucket as usize].runs);
        let wanted = runs.filter(|&&run| {
            let is_pinned = snapshot.segments[run.segment as usize].reader.hot_pinned(run.run).is_some();
            let has_matches = || sets.is_none_or(|sets| sets.rows_of_run(snapshot, run) > 0);
            !is_pinned && !self.0.contains_key(&(run.segment, run.run)) && has_matches()
        });
        let read = wanted.map(async |run| {
            let codes = snapshot.segments[run.segment as usize].reader.hot(run.run).await?;
            Ok::<_, crate::Error>(((run.segment, run.run), codes))
        });
        let read = try_join_all(read).await?;
        self.0.extend(read);
        Ok(())
    }
}

/// The buckets from `ranked` on that a search will read, as far as can be told now: until the stop rule would be
/// content if they changed nothing, at most `most`.
pub(super) fn buckets_soon(
    ranked: &Ranked,
    upcoming: &[Ranked],
    (mut stop, kth_score): (StopState, Option<f32>),
    counts: &[u32],
    is_enough: impl Fn(Option<&Features>) -> bool,
    most: usize,
) -> Vec<u32> {
    let mut soon = vec![ranked.bucket];
    for (last, next) in iter::once(ranked).chain(upcoming.iter().rev()).zip(upcoming.iter().rev()) {
        stop.observe(kth_score, counts[last.bucket as usize] as usize);
        let features = stop.features(next);
        if soon.len() >= most || is_enough(features.as_ref()) || (features.is_none() && soon.len() >= AT_FIRST) {
            break;
        }
        soon.push(next.bucket);
    }
    soon
}

#[cfg(test)]
mod tests {
    use drift_ivf::{BucketHeader, Router};
    use drift_types::Metric;

    use super::*;

    /// What is read first, and what once the k-th row is known, for a query at 0 among buckets on a line.
    #[test]
    fn what_will_be_read_soon_follows_the_stop_rule() {
        let headers: Vec<_> = (0..10).map(|i| BucketHeader::from_rows(1, [&[i as f32][..]])).collect();
        let router = Router::new(1, &headers, Metric::L2, None);
        let counts = [5; 10];
        let mut ranking = router.rank(&[0.0], None, &counts);
        let mut stop = StopState::new(3, &ranking);
        let soon = |ranking: &mut drift_ivf::Ranking<'_>, stop: &StopState, kth, enough_at: usize, most| {
            let ranked = ranking.next().unwrap();
            ranking.peek();
            // ln(1 + buckets), as the rule sees it.
            let is_enough = |seen: Option<&Features>| seen.is_some_and(|seen| seen[1].exp() > enough_at as f32 + 0.5);
            buckets_soon(&ranked, ranking.upcoming(), (stop.clone(), kth), &counts, is_enough, most)
        };
        assert_eq!(soon(&mut ranking.clone(), &stop, None, 0, usize::MAX), [0, 1, 2, 3], "nothing is known");
        assert_eq!(soon(&mut ranking.clone(), &stop, None, 0, 2), [0, 1]);
        assert_eq!(soon(&mut ranking.clone(), &stop, Some(1.0), 6, usize::MAX), [0, 1, 2, 3, 4, 5]);
        assert_eq!(soon(&mut ranking.clone(), &stop, Some(1.0), 0, usize::MAX), [0, 1], "two are always read");
        for _ in 0..2 {
            ranking.next();
            stop.observe(Some(1.0), 5);
        }
        assert_eq!(soon(&mut ranking.clone(), &stop, Some(1.0), 0, usize::MAX), [2], "this one is read in any case");
        assert_eq!(soon(&mut ranking.clone(), &stop, Some(1.0), 100, usize::MAX), [2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(soon(&mut ranking, &stop, Some(1.0), 100, 1), [2]);
    }
}
