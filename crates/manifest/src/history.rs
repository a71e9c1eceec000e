//! What maintenance did, and how good searches were found to be. Nothing depends on it but the
//! weights, and these only for speed.

use std::collections::VecDeque;

use drift_types::BucketId;

/// What a collection remembers of its past, oldest first and bounded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// What maintenance did.
    pub events: VecDeque<Event>,
    /// Searches that were run again exactly.
    pub samples: VecDeque<RecallSample>,
    /// Weights of the stop rule as last fitted to samples; none while the default serves.
    pub weights: Option<Vec<f32>>,
}

impl History {
    /// Events kept.
    pub const EVENTS_MAX: usize = 2_000;
    /// Samples kept.
    pub const SAMPLES_MAX: usize = 2_000;

    /// Adds an event; the oldest one goes when there are too many.
    pub fn record(&mut self, event: Event) {
        push_bounded(&mut self.events, event, Self::EVENTS_MAX);
    }

    /// Adds a sample; the oldest one goes when there are too many.
    pub fn sample(&mut self, sample: RecallSample) {
        push_bounded(&mut self.samples, sample, Self::SAMPLES_MAX);
    }

    /// When the newest event or sample was, in milliseconds since 1970.
    pub fn newest_ms(&self) -> u64 {
        let event = self.events.back().map_or(0, |event| event.at_ms);
        self.samples.back().map_or(0, |sample| sample.at_ms).max(event)
    }
}

fn push_bounded<T>(list: &mut VecDeque<T>, item: T, max: usize) {
    if list.len() >= max {
        list.pop_front();
    }
    list.push_back(item);
}

/// What maintenance can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// Rows of L0 went into a segment.
    #[default]
    Flush,
    /// A large statement was written to segments directly.
    Load,
    /// One bucket became several.
    Split,
    /// Rows moved to a bucket whose new centroid is nearer.
    Steal,
    /// The rows of a small bucket were scattered over its neighbours.
    Merge,
    /// A centroid moved to the mean of its rows.
    Recentre,
    /// A bucket was written anew, without its dead rows and in one run.
    Rewrite,
    /// The live rows of whole segments were written anew.
    Compact,
}

impl Action {
    /// All there are.
    pub const ALL: [Self; 8] =
        [Self::Flush, Self::Load, Self::Split, Self::Steal, Self::Merge, Self::Recentre, Self::Rewrite, Self::Compact];

    /// Its word in tables and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Flush => "flush",
            Self::Load => "load",
            Self::Split => "split",
            Self::Steal => "steal",
            Self::Merge => "merge",
            Self::Recentre => "recentre",
            Self::Rewrite => "rewrite",
            Self::Compact => "compact",
        }
    }
}

/// One action of maintenance.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Event {
    /// When it was committed, in milliseconds since 1970.
    pub at_ms: u64,
    /// The manifest that made it durable; actions of one job share it.
    pub manifest: u64,
    /// What was done.
    pub action: Action,
    /// Why, in words and figures.
    pub cause: String,
    /// The bucket it was done to; none for flushes, loads and compactions.
    pub bucket: Option<BucketId>,
    /// Live rows there before.
    pub rows_before: u64,
    /// Live rows there afterwards; of a split, in all its parts.
    pub rows_after: u64,
    /// Dead rows there before; none are left by what is written anew.
    pub dead_before: u64,
    /// Buckets before: of a split one, of a flush all there were.
    pub buckets_before: u32,
    /// Buckets afterwards.
    pub buckets_after: u32,
    /// Rows that changed their bucket.
    pub rows_moved: u64,
    /// |mean - centroid| over the radius before.
    pub drift_before: f32,
    /// The same afterwards.
    pub drift_after: f32,
    /// How long the job took that did it, in microseconds.
    pub duration_us: u64,
    /// Bytes that job read and wrote.
    pub bytes: u64,
}

/// A search that was run again exactly.
#[derive(Clone, Debug, PartialEq)]
pub struct RecallSample {
    /// When it was run again, in milliseconds since 1970.
    pub at_ms: u64,
    /// Neighbours asked for.
    pub k: u32,
    /// The recall asked for.
    pub asked: f32,
    /// The recall the stop rule believed in.
    pub predicted: f32,
    /// The share of the true k nearest that was found.
    pub measured: f32,
    /// Buckets it could have read.
    pub buckets_ranked: u32,
    /// Buckets it read.
    pub buckets_probed: u32,
    /// Rows whose codes it compared.
    pub rows_scanned: u64,
    /// Why it stopped.
    pub stop_reason: String,
}
