//! What is learned about a bucket while snapshots come and go.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

/// Half-life of the temperature, in seconds.
const HALF_LIFE_S: f32 = 600.0;
/// Flushes after which a bucket's rows are looked at again.
const LOOK_AGAIN: u64 = 8;

/// Observations of one bucket, shared by all its versions. Searches only count.
#[derive(Debug)]
pub(crate) struct Observed {
    /// Searches that have read it since the temperature was last taken.
    probes: AtomicU32,
    warmth: Mutex<Warmth>,
    /// Share of its rows that lie nearer to another centroid, as f32.
    misplaced: AtomicU32,
    /// The manifest at which that was found; 0: never.
    looked_at: AtomicU64,
}

/// Probes per second, averaged with weights that halve every [`HALF_LIFE_S`].
#[derive(Clone, Copy, Debug)]
struct Warmth {
    /// Weighted mean so far, with the time before it began counted as 0.
    mean: f32,
    /// The weight of the time since it began, below 1: what `mean` must be divided by.
    weight: f32,
    taken: Instant,
}

impl Observed {
    /// A bucket that starts with `temperature` probes per second.
    pub fn new(temperature: f32) -> Self {
        // A known temperature counts like a half-life of experience.
        let (mean, weight) = if temperature > 0.0 { (temperature / 2.0, 0.5) } else { (0.0, 0.0) };
        Self {
            probes: AtomicU32::new(0),
            warmth: Mutex::new(Warmth { mean, weight, taken: Instant::now() }),
            misplaced: AtomicU32::new(0),
            looked_at: AtomicU64::new(0),
        }
    }

    /// Counts a search that reads the bucket. Of two at the same moment one may be lost, which an average
    /// over minutes can bear, and a search over a hundred buckets waits for no other core.
    pub fn probe(&self) {
        self.probes.store(self.probes.load(Relaxed).wrapping_add(1), Relaxed);
    }

    /// Probes per second, an average over about ten minutes.
    pub fn temperature(&self) -> f32 {
        let mut warmth = self.warmth.lock().unwrap_or_else(PoisonError::into_inner);
        warmth.advance(&self.probes, Instant::now());
        warmth.temperature()
    }

    /// Share of its rows that lie nearer to another centroid; 0 while nobody has looked.
    pub fn misplaced(&self) -> f32 {
        f32::from_bits(self.misplaced.load(Relaxed))
    }

    /// Whether its rows are to be looked at, now that `manifest` is the newest.
    pub fn wants_look(&self, manifest: u64) -> bool {
        let looked = self.looked_at.load(Relaxed);
        looked == 0 || manifest >= looked + LOOK_AGAIN
    }

    /// Notes what a look found.
    pub fn looked(&self, manifest: u64, misplaced: f32) {
        self.misplaced.store(misplaced.to_bits(), Relaxed);
        self.looked_at.store(manifest, Relaxed);
    }
}

impl Warmth {
    fn advance(&mut self, probes: &AtomicU32, now: Instant) {
        let seconds = (now - self.taken).as_secs_f32();
        if seconds < 0.01 {
            return; // too short for a rate
        }
        let kept = (-seconds / HALF_LIFE_S).exp2();
        let rate = probes.swap(0, Relaxed) as f32 / seconds;
        self.mean = kept * self.mean + (1.0 - kept) * rate;
        self.weight = kept * self.weight + (1.0 - kept);
        self.taken = now;
    }

    fn temperature(&self) -> f32 {
        if self.weight > 0.0 { self.mean / self.weight } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_steady_rate_is_the_temperature_from_the_start_and_fades() {
        let probes = AtomicU32::new(0);
        let mut now = Instant::now();
        let mut warmth = Warmth { mean: 0.0, weight: 0.0, taken: now };
        let mut advance = |warmth: &mut Warmth, seconds: u64, count: u32| {
            probes.store(count, Relaxed);
            now += Duration::from_secs(seconds);
            warmth.advance(&probes, now);
            warmth.temperature()
        };
        for _ in 0..5 {
            let temperature = advance(&mut warmth, 2, 20);
            assert!((temperature - 10.0).abs() < 1e-3, "{temperature}");
        }
        for _ in 0..300 {
            advance(&mut warmth, 60, 600);
        }
        let halved = advance(&mut warmth, 600, 0);
        assert!((halved - 5.0).abs() < 0.01, "{halved}");
    }

    #[test]
    fn a_bucket_is_looked_at_once_in_a_while() {
        let observed = Observed::new(3.0);
        assert!((observed.temperature() - 3.0).abs() < 1e-3);
        assert!(observed.wants_look(5));
        observed.looked(5, 0.25);
        assert!(!observed.wants_look(6) && observed.misplaced() == 0.25);
        assert!(observed.wants_look(13));
    }
}
