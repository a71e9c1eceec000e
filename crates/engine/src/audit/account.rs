use std::time::{Duration, Instant};

/// Time not used is kept for so long.
const SAVED: Duration = Duration::from_secs(20);
/// After a rest there is work for so long, so that audits come in batches.
const BATCH: Duration = Duration::from_secs(1);

/// The time audits may take: a share of the time that passes. It is never lent for longer than one
/// audit takes.
#[derive(Debug)]
pub(super) struct Account {
    share: f64,
    /// Seconds; negative after an audit that took longer than there was.
    left: f64,
    granted: Instant,
}

impl Account {
    pub fn new(share: f32, now: Instant) -> Self {
        let share = f64::from(share);
        Self { share, left: share * SAVED.as_secs_f64(), granted: now }
    }

    /// Charges an audit; answers for how long to rest then, if at all.
    pub fn spend(&mut self, taken: Duration, now: Instant) -> Option<Duration> {
        let earned = self.share * (now - self.granted).as_secs_f64();
        self.left = (self.left + earned).min(self.share * SAVED.as_secs_f64()) - taken.as_secs_f64();
        self.granted = now;
        let debt = || Duration::try_from_secs_f64(-self.left / self.share).unwrap_or(Duration::MAX);
        (self.left <= 0.0).then(|| BATCH.saturating_add(debt()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARE: f32 = 0.05;

    /// Audits as fast as the account lets them; returns when it ended and how long they took together.
    fn run(audits: &[Duration], start: Instant) -> (Duration, Duration) {
        let mut account = Account::new(SHARE, start);
        let (mut now, mut busy) = (start, Duration::ZERO);
        for &taken in audits {
            now += taken;
            busy += taken;
            now += account.spend(taken, now).unwrap_or_default();
        }
        (now - start, busy)
    }

    #[test]
    fn audits_take_their_share_whatever_each_costs() {
        for ms in [1, 30, 900, 20_000] {
            let audits = vec![Duration::from_millis(ms); 120_000 / ms as usize];
            let (elapsed, busy) = run(&audits, Instant::now());
            let allowed = (elapsed + SAVED).mul_f32(SHARE) + audits[0];
            assert!(busy <= allowed, "{ms}: {busy:?} of {elapsed:?}");
            assert!(busy.as_secs_f32() >= 0.9 * SHARE * elapsed.as_secs_f32(), "{ms}: {busy:?} of {elapsed:?}");
        }
    }

    #[test]
    fn savings_are_bounded() {
        let start = Instant::now();
        let mut account = Account::new(SHARE, start);
        let later = start + Duration::from_secs(100_000);
        assert_eq!(account.spend(Duration::from_millis(900), later), None);
        assert!(account.spend(Duration::from_millis(101), later).is_some());
    }

    #[test]
    fn a_debt_is_paid_back_before_the_next_audit() {
        let start = Instant::now();
        let mut account = Account::new(SHARE, start);
        // One second is there, two are taken, one is owed: twenty seconds' worth.
        let rest = account.spend(Duration::from_secs(2), start).unwrap();
        assert!((rest.as_secs_f64() - 21.0).abs() < 1e-3, "{rest:?}");
        assert_eq!(account.spend(Duration::from_millis(49), start + rest), None);
    }
}
