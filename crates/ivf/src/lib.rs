//! L1's brain, without I/O: which bucket a row belongs to, which buckets a query should look into,
//! and when it has seen enough.
//!
//! A **bucket** is an IVF list of about [`BUCKET_ROWS`] rows. [`cluster`] makes buckets, a
//! [`BucketHeader`] describes one, a [`Router`] orders them for a query ([`Ranking`]) and a
//! [`StopRule`] predicts from the course of the search ([`StopState`]) the recall reached so far.
//!
//! All vectors here live in *index space* (unit length for cosine). Functions use the rayon pool
//! they are called in, and for one seed their results do not depend on its number of threads.
//!
//! ```
//! use drift_ivf::{BUCKET_ROWS, BucketHeader, Router, StopRule, StopState, cluster};
//! use drift_types::{Metric, Neighbor, TopK, VectorId, Vectors};
//!
//! let data: Vec<f32> = (0..4000).map(|i| (i % 1999) as f32).collect();
//! let rows = Vectors::new(&data, 2);
//! let clustering = cluster(rows, BUCKET_ROWS, 7);
//! let buckets = clustering.members();
//! let headers: Vec<_> = (0..buckets.len()).map(|b| BucketHeader::from_rows(2, buckets.rows(b, rows))).collect();
//! let router = Router::new(2, &headers, Metric::L2, None);
//!
//! let (k, recall, rule) = (10, 0.95, StopRule::default());
//! let query = [700.0, 701.0];
//! let mut top = TopK::new(k);
//! let counts: Vec<u32> = headers.iter().map(|header| header.n_live).collect();
//! let mut ranking = router.rank(&query, None, &counts);
//! let mut state = StopState::new(k, &ranking);
//! while let Some(bucket) = ranking.next() {
//!     let members = buckets.of(bucket.bucket as usize);
//!     for &row in members {
//!         let x = rows.row(row as usize);
//!         let score = (x[0] - query[0]).powi(2) + (x[1] - query[1]).powi(2);
//!         top.push(Neighbor { id: VectorId(row as u64), score });
//!     }
//!     state.observe(top.kth().map(|n| n.score), members.len());
//!     let seen = ranking.peek().and_then(|next| state.features(&next));
//!     if seen.is_some_and(|seen| rule.missing(&seen) <= 1.0 - recall) {
//!         break;
//!     }
//! }
//! assert_eq!(top.into_sorted()[0].score, 0.0);
//! ```
#![forbid(unsafe_code)]

mod arrange;
mod bucket_header;
mod calibration;
mod centroid_codes;
mod centroids;
mod cluster;
mod coarse;
mod cooldown;
mod density;
mod fit;
mod groups;
mod kmeans;
mod logarithms;
mod maintenance;
mod members;
mod ranking;
mod reassign;
mod router;
mod selection;
mod split;
mod stop;
mod stop_rules;
mod urgency;
mod walk;

pub use arrange::{Act, ArrangedBucket, Arrangement, DRIFT_MAX};
pub use bucket_header::BucketHeader;
pub use calibration::refit;
pub use centroids::{Centroids, Nearest};
pub use cluster::{Clustering, cluster};
pub use cooldown::is_cooling;
pub use fit::fit;
pub use kmeans::kmeans;
pub use maintenance::{BucketState, Compaction, JobSize, SegmentLoad, next_compaction};
pub use members::Members;
pub use ranking::{Ranked, Ranking};
pub use reassign::belongs_elsewhere;
pub use router::Router;
pub use split::{Split, should_split, split};
pub use stop::{Features, N_FEATURES, StopRule, StopState, log_odds_of};
pub use stop_rules::{K_CLASSES, StopRules};
pub use urgency::{BucketLoad, Urgency};
pub use walk::Walk;

/// Rows a bucket aims at. Counted in rows, whatever the code: measured best on text embeddings and
/// on images (`docs/decisions/0009-how-buckets-are-tended.md`).
pub const BUCKET_ROWS: usize = 160;

/// A bucket of more live rows is split. Buckets that grow from half of this to this hold
/// max / (2 ln 2) = .72 max rows on average: [`BUCKET_ROWS`]. With twice as
/// many as a bound they hold 1.4 times that, and searches read so many more rows than after a rebuild.
pub const BUCKET_ROWS_MAX: usize = 220;

/// A bucket of fewer live rows is joined to its neighbours.
pub const BUCKET_ROWS_MIN: usize = BUCKET_ROWS / 4;

/// A bucket that lies in more runs is written anew.
pub const RUNS_MAX: usize = 6;
