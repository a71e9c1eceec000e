use crate::BUCKET_ROWS_MIN;

/// Nanoseconds to scan a code, per byte (an 8-bit code has a byte per dimension).
const SCAN_NS_PER_BYTE: f32 = 0.035;
/// Nanoseconds to enter a bucket, and each run of it: ranking, look-up, set-up of the scan.
const PROBE_NS: f32 = 400.0;
const RUN_NS: f32 = 120.0;
/// Nanoseconds to write a byte anew: read, encode, verify, publish.
const REWRITE_NS_PER_BYTE: f32 = 12.0;
/// A rewrite is worth its while when it pays back within this many seconds: under a stream of rows
/// the bucket is written anew before long in any case.
const PAYBACK_S: f32 = 60.0;
/// From this share of dead rows on a bucket is rewritten though nobody reads it.
const DEAD_SHARE_COLD: f32 = 0.3;

/// What a bucket costs those who read it, as far as a rewrite would save it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BucketLoad {
    /// Live rows.
    pub live: u32,
    /// Dead rows that are scanned with them.
    pub dead: u32,
    /// Runs it lies in.
    pub runs: u32,
    /// Probes per second.
    pub temperature: f32,
    /// Share of its rows that lie nearer to another centroid, as far as known.
    pub misplaced: f32,
    /// Whether its rows may be joined to other buckets: it does not cool down, and there are others.
    pub may_join: bool,
}

impl BucketLoad {
    /// Whether it is to be joined to its neighbours: it has fewer than [`BUCKET_ROWS_MIN`].
    pub fn is_small(&self) -> bool {
        self.may_join && (self.live as usize) < BUCKET_ROWS_MIN
    }
}

/// How urgent it is to write a bucket anew: 1 is due. Terms add up; each is what readers would save within
/// a minute, over what the rewrite costs.
///
/// Heat never hides death: a term grows with the temperature and with what is wrong. A cold
/// bucket without dead rows scores 0; from 30 % dead rows on even a cold one is due.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Urgency {
    /// Dead rows are scanned, and keep disk.
    pub dead: f32,
    /// A bucket of few rows is entered for little.
    pub small: f32,
    /// Each run is entered by itself.
    pub runs: f32,
    /// Rows that lie nearer to another centroid are found late.
    pub misplaced: f32,
}

impl Urgency {
    /// Of a bucket whose rows have `dim` dimensions.
    pub fn of(load: &BucketLoad, dim: usize) -> Self {
        let (live, dead) = (load.live as f32, load.dead as f32);
        let row_bytes = (5 * dim) as f32; // 4 bytes of vector, 1 of code
        let cost_ns = REWRITE_NS_PER_BYTE * row_bytes * live.max(1.0);
        let saved = |ns_per_probe: f32| load.temperature * PAYBACK_S * ns_per_probe / cost_ns;
        let scan_ns = SCAN_NS_PER_BYTE * dim as f32;
        let dead_share = dead / (live + dead).max(1.0);
        let decay = if dead_share >= DEAD_SHARE_COLD { dead_share / DEAD_SHARE_COLD } else { 0.0 };
        Self {
            dead: decay + saved(scan_ns * dead),
            small: if load.is_small() { saved(PROBE_NS) } else { 0.0 },
            runs: saved(RUN_NS * (load.runs.max(1) - 1) as f32),
            // A misplaced row costs about another bucket's scan for those who look for it.
            misplaced: saved(scan_ns * live * load.misplaced),
        }
    }

    /// The sum of its terms.
    pub fn total(&self) -> f32 {
        self.dead + self.small + self.runs + self.misplaced
    }

    /// The largest term, in words.
    pub fn cause(&self) -> &'static str {
        let terms = [
            (self.dead, "dead rows"),
            (self.small, "few rows"),
            (self.runs, "many runs"),
            (self.misplaced, "misplaced rows"),
        ];
        terms.into_iter().max_by(|a, b| a.0.total_cmp(&b.0)).map_or("", |(_, cause)| cause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn load(live: u32, dead: u32, temperature: f32) -> BucketLoad {
        BucketLoad { live, dead, runs: 1, temperature, may_join: true, misplaced: 0.0 }
    }

    fn total(load: BucketLoad) -> f32 {
        Urgency::of(&load, 384).total()
    }

    proptest! {
        /// Of the same stored rows more dead ones are never less urgent.
        #[test]
        fn monotone_in_the_dead_ratio(
            stored in 1u32..600, dead in 0u32..600, more in 0u32..600,
            temperature in 0f32..1e4, dim in 1usize..2048
        ) {
            let (dead, more) = (dead.min(stored), more.min(stored));
            let (few, many) = (dead.min(more), dead.max(more));
            let of = |dead| Urgency::of(&load(stored - dead, dead, temperature), dim).total();
            prop_assert!(of(few) <= of(many), "{} {}", of(few), of(many));
        }

        /// A hot zombie goes before a cold one.
        #[test]
        fn heat_never_lowers_urgency(live in 0u32..600, dead in 0u32..600, cold in 0f32..1e4, hotter in 0f32..1e4) {
            prop_assert!(total(load(live, dead, cold)) <= total(load(live, dead, cold + hotter)));
        }

        /// Idle buckets without dead rows are left alone, however full.
        #[test]
        fn cold_and_clean_scores_zero(live in 0u32..10_000) {
            prop_assert_eq!(total(load(live, 0, 0.0)), 0.0);
        }
    }

    #[test]
    fn dead_rows_are_due_in_the_end_even_where_nobody_reads() {
        assert!(total(load(90, 38, 0.0)) < 1.0);
        assert!(total(load(89, 39, 0.0)) >= 1.0);
        assert!(total(load(0, 5, 0.0)) >= 1.0);
    }

    #[test]
    fn hot_buckets_are_due_at_few_dead_rows() {
        assert!(total(load(120, 8, 0.01)) < 1.0);
        assert!(total(load(120, 8, 1e3)) > 1.0);
        assert_eq!(Urgency::of(&load(10, 0, 100.0), 64).cause(), "few rows");
    }

    #[test]
    fn a_bucket_emptied_by_half_in_use_is_not_small() {
        assert_eq!(Urgency::of(&load(64, 0, 1e3), 384), Urgency::default());
    }
}
