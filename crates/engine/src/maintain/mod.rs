//! What happens off the path of reads and writes: L0 goes into segments, buckets that outgrow their
//! size are split, dead and scattered rows are written anew within a budget, the log is let go, and
//! files nobody needs any more are removed.

mod arrange;
mod budget;
mod bulk;
mod commit;
mod compact;
mod deaths;
mod draft;
mod flush;
mod garbage;
mod history;
mod janitor;
mod misplaced;
mod notes;
mod row_set;
#[cfg(test)]
mod statistics;
mod steal;

pub(crate) use budget::Budget;
pub(crate) use bulk::bulk_load;
pub(crate) use commit::level1;
pub(crate) use compact::{bucket_load, compact, urgency};
pub(crate) use draft::DraftBucket;
pub(crate) use flush::flush;
pub(crate) use garbage::{Garbage, objects, prune, sweep_unreferenced};
pub(crate) use history::remember;
pub(crate) use janitor::Janitor;
