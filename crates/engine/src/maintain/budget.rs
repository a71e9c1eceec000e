//! How much maintenance may read and write, so that it keeps up with what comes in and leaves the
//! rest of the machine alone.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// Bytes that maintenance may move for each byte that was ingested or deleted.
const PER_INGESTED_BYTE: u64 = 4;
/// What is not used is kept for so long.
const SAVED: Duration = Duration::from_secs(10);
/// Without a write for so long, the database counts as quiet. Long enough that work which the next
/// batch would undo is not done between any two.
const QUIET_AFTER: Duration = Duration::from_secs(5);

/// The budget of a database: max(4 x bytes ingested, rate x time). What must be done (a flush) is
/// charged and goes ahead; what may wait (a compaction) waits while the budget is spent.
#[derive(Debug)]
pub(crate) struct Budget {
    /// Bytes per second that maintenance always has.
    rate: u64,
    /// Bytes ingested since the last grant.
    ingested: AtomicU64,
    account: Mutex<Account>,
}

/// A rate that no disk reaches; what is saved of it still is an i64.
const RATE_MAX: u64 = 1 << 50;

#[derive(Debug)]
struct Account {
    /// Negative after a job that cost more than there was.
    left: i64,
    granted: Instant,
    /// When a grant last met ingested bytes.
    last_write: Instant,
}

impl Budget {
    pub fn new(rate: u64, now: Instant) -> Self {
        let rate = rate.min(RATE_MAX);
        let account = Account { left: rate.cast_signed(), granted: now, last_write: now };
        Self { rate, ingested: AtomicU64::new(0), account: Mutex::new(account) }
    }

    /// Counts what was written by users; a deleted row counts as an inserted one.
    pub fn ingested(&self, bytes: u64) {
        self.ingested.fetch_add(bytes, Relaxed);
    }

    /// Charges a job.
    pub fn spend(&self, bytes: u64) {
        let mut account = self.account.lock().unwrap_or_else(PoisonError::into_inner);
        account.left = account.left.saturating_sub_unsigned(bytes);
    }

    /// Whether work that can wait may go ahead, and whether nothing was written lately.
    pub fn look(&self, now: Instant) -> (bool, bool) {
        let mut account = self.account.lock().unwrap_or_else(PoisonError::into_inner);
        let ingested = self.ingested.swap(0, Relaxed);
        if ingested > 0 {
            account.last_write = now;
        }
        let by_time = (now - account.granted).min(SAVED).as_secs_f64() * self.rate as f64;
        let grant = (by_time as u64).max(PER_INGESTED_BYTE.saturating_mul(ingested));
        let saved_max = i64::try_from((self.rate * SAVED.as_secs()).max(grant)).unwrap_or(i64::MAX);
        account.left = account.left.saturating_add_unsigned(grant).min(saved_max);
        account.granted = now;
        (account.left > 0, now - account.last_write >= QUIET_AFTER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u64 = 1_000;

    #[test]
    fn no_rate_is_too_high() {
        let start = Instant::now();
        for rate in [RATE_MAX, u64::MAX / 10, i64::MAX as u64, u64::MAX] {
            let budget = Budget::new(rate, start);
            budget.ingested(u64::MAX);
            assert!(budget.look(at(start, 1)).0 && budget.look(at(start, 1_000)).0, "{rate}");
        }
    }

    fn at(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn a_costly_job_is_paid_back_by_time() {
        let start = Instant::now();
        let budget = Budget::new(RATE, start);
        assert!(budget.look(start).0);
        budget.spend(5 * RATE);
        assert!(!budget.look(at(start, 1)).0);
        assert!(!budget.look(at(start, 4)).0);
        assert!(budget.look(at(start, 5)).0);
    }

    #[test]
    fn ingestion_pays_four_times() {
        let start = Instant::now();
        let budget = Budget::new(RATE, start);
        budget.spend(9 * RATE);
        budget.ingested(2 * RATE);
        assert!(!budget.look(start).0, "8 of 8 owed");
        budget.ingested(1);
        assert!(budget.look(start).0);
    }

    #[test]
    fn savings_are_bounded() {
        let start = Instant::now();
        let budget = Budget::new(RATE, start);
        budget.look(at(start, 1_000));
        budget.spend(16 * RATE);
        assert!(!budget.look(at(start, 1_000)).0);
    }

    #[test]
    fn quiet_is_a_while_without_writes() {
        let start = Instant::now();
        let budget = Budget::new(RATE, start);
        assert!(!budget.look(at(start, 4)).1);
        assert!(budget.look(at(start, 5)).1);
        budget.ingested(1);
        assert!(!budget.look(at(start, 20)).1);
        assert!(!budget.look(at(start, 24)).1);
        assert!(budget.look(at(start, 25)).1);
    }
}
