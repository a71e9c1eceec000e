use std::{collections::BTreeMap, iter, sync::Arc};

use drift_ivf::{Features, Ranked, StopState};
use drift_segment::HotRun;
use futures::future::join_all;

use super::{filter::RowSets, sieve::Codes};
use crate::{
    Result,
    snapshot::{RunRef, Snapshot},
};

/// Buckets whose codes are read together before anything is known of how far a search will go.
const AT_FIRST: usize = 4;

/// Buckets whose codes are read together at most: they are held until it is their turn.
const AT_ONCE: usize = 32;

/// Codes that do not stay in memory: those of several buckets are read at once, and held until it is their turn.
#[derive(Default)]
pub(super) struct CodesAhead(BTreeMap<(u32, u32), Arc<HotRun>>);

impl CodesAhead {
    /// The codes of a run, if they are in memory.
    pub fn in_memory<'s>(&mut self, snapshot: &'s Snapshot, run: RunRef) -> Option<Codes<'s>> {
        let reader = &snapshot.segments[run.segment as usize].reader;
        if let Some(pinned) = reader.hot_pinned(run.run) {
            return Some(Codes::Pinned(pinned));
        }
        self.0.remove(&(run.segment, run.run)).or_else(|| reader.hot_cached(run.run)).map(Codes::Loaded)
    }

    /// The codes of a run that are not in memory. Those of the buckets `soon`, which it belongs to, are read with it.
    pub async fn read<'s>(
        &mut self,
        snapshot: &'s Snapshot,
        run: RunRef,
        sets: Option<&RowSets>,
        soon: Vec<u32>,
    ) -> Result<Codes<'s>> {
        Box::pin(self.read_all(snapshot, sets, soon)).await;
        Ok(Codes::Loaded(match self.0.remove(&(run.segment, run.run)) {
            Some(read) => read,
            None => snapshot.segments[run.segment as usize].reader.hot(run.run).await?,
        }))
    }

    /// Reads the codes of some buckets, of those runs only in which rows match, as far as they can be read: what
    /// is wrong with one of them is told when it is its turn.
    async fn read_all(&mut self, snapshot: &Snapshot, sets: Option<&RowSets>, buckets: Vec<u32>) {
        let runs = buckets.iter().flat_map(|&bucket| &snapshot.level1.buckets[bucket as usize].runs);
        let wanted = runs.filter(|&&run| {
            let is_pinned = snapshot.segments[run.segment as usize].reader.hot_pinned(run.run).is_some();
            let has_matches = || sets.is_none_or(|sets| sets.rows_of_run(snapshot, run) > 0);
            !is_pinned && !self.0.contains_key(&(run.segment, run.run)) && has_matches()
        });
        let read = wanted.map(async |run| {
            let codes = snapshot.segments[run.segment as usize].reader.hot(run.run).await;
            Some(((run.segment, run.run), codes.ok()?))
        });
        let read = join_all(read).await;
        self.0.extend(read.into_iter().flatten());
    }
}

/// The buckets from `ranked` on that a search for `k` rows will read, as far as can be told now: as many as are
/// `left` to read where that was asked for, else until the stop rule would be content if they changed nothing.
pub(super) fn buckets_soon(
    ranked: &Ranked,
    upcoming: &[Ranked],
    (mut stop, kth_score): (StopState, Option<f32>),
    counts: &[u32],
    (k, left): (usize, Option<usize>),
    is_enough: impl Fn(Option<&Features>) -> bool,
) -> Vec<u32> {
    let (mut soon, mut rows) = (vec![ranked.bucket], 0);
    for (last, next) in iter::once(ranked).chain(upcoming.iter().rev()).zip(upcoming.iter().rev()) {
        rows += counts[last.bucket as usize] as usize;
        stop.observe(kth_score, counts[last.bucket as usize] as usize);
        let ends = || match stop.features(next) {
            Some(features) => is_enough(Some(&features)),
            None => soon.len() >= AT_FIRST && rows >= k,
        };
        if soon.len() >= left.unwrap_or(AT_ONCE).min(AT_ONCE) || (left.is_none() && ends()) {
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
        let soon =
            |ranking: &mut drift_ivf::Ranking<'_>, stop: &StopState, kth, enough_at: usize, left: Option<usize>| {
                let ranked = ranking.next().unwrap();
                ranking.peek();
                // ln(1 + buckets), as the rule sees it.
                let is_enough =
                    |seen: Option<&Features>| seen.is_some_and(|seen| seen[1].exp() > enough_at as f32 + 0.5);
                buckets_soon(&ranked, ranking.upcoming(), (stop.clone(), kth), &counts, (3, left), is_enough)
            };
        assert_eq!(soon(&mut ranking.clone(), &stop, None, 0, None), [0, 1, 2, 3], "nothing is known");
        assert_eq!(soon(&mut ranking.clone(), &stop, None, 0, Some(2)), [0, 1]);
        assert_eq!(soon(&mut ranking.clone(), &stop, Some(1.0), 6, None), [0, 1, 2, 3, 4, 5]);
        assert_eq!(soon(&mut ranking.clone(), &stop, Some(1.0), 0, None), [0, 1], "two are always read");
        for _ in 0..2 {
            ranking.next();
            stop.observe(Some(1.0), 5);
        }
        assert_eq!(soon(&mut ranking.clone(), &stop, Some(1.0), 0, None), [2], "this one is read in any case");
        assert_eq!(soon(&mut ranking.clone(), &stop, Some(1.0), 100, None), [2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(soon(&mut ranking.clone(), &stop, Some(1.0), 100, Some(1)), [2]);
        assert_eq!(soon(&mut ranking, &stop, Some(1.0), 0, Some(5)), [2, 3, 4, 5, 6], "so many were asked for");
    }
}
