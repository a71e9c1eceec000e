//! What a job does, for the history.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Instant,
};

use drift_ivf::{Act, BUCKET_ROWS_MAX, BUCKET_ROWS_MIN, DRIFT_MAX};
use drift_manifest::{Action, Event};
use drift_types::BucketId;

use super::draft::{Draft, DraftBucket};

/// A bucket before a job made it anew.
#[derive(Clone, Copy, Default)]
struct Before {
    rows: u32,
    dead: u32,
    runs: usize,
    drift: f32,
}

/// What a job did so far.
pub(super) struct JobNotes {
    pub started: Instant,
    /// Bytes of vectors read back from segments.
    pub bytes_read: u64,
    /// Bytes of segments written.
    pub bytes_written: u64,
    before: HashMap<BucketId, Before>,
    /// Why buckets are made anew, where somebody has said so.
    pub causes: HashMap<BucketId, &'static str>,
    events: Vec<Event>,
}

impl Default for JobNotes {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            bytes_read: 0,
            bytes_written: 0,
            before: HashMap::new(),
            causes: HashMap::new(),
            events: Vec::new(),
        }
    }
}

impl JobNotes {
    /// Notes a bucket whose runs are all taken, with the rows that were stored in them.
    pub fn made_anew(&mut self, bucket: &DraftBucket, stored: u32, runs: usize) {
        let rows = bucket.header.n_live;
        let before = Before { rows, dead: stored - rows, runs, drift: bucket.header.drift() };
        self.before.insert(bucket.id, before);
    }

    /// Live rows of a bucket that is made anew.
    pub fn rows_before(&self, bucket: BucketId) -> usize {
        self.before.get(&bucket).map_or(0, |before| before.rows as usize)
    }

    /// Adds an event; what the whole job shares is filled in at the end.
    pub fn note(&mut self, event: Event) {
        self.events.push(event);
    }

    /// The events of a job that is committed as `manifest` now.
    pub fn finish(self, manifest: u64) -> Vec<Event> {
        let (at_ms, duration_us) = (ulid::Ulid::new().timestamp_ms(), self.started.elapsed().as_micros() as u64);
        let bytes = self.bytes_read + self.bytes_written;
        self.events.into_iter().map(|event| Event { at_ms, manifest, duration_us, bytes, ..event }).collect()
    }
}

impl Draft {
    /// Notes what was decided about the rows in hand.
    pub(super) fn note_acts(&mut self, acts: &[Act]) {
        let mut taken = BTreeMap::new();
        let mut told = HashSet::new();
        for act in acts {
            match act {
                Act::Joined { bucket, rows, .. } => {
                    let cause = format!("{rows} rows, under {}", BUCKET_ROWS_MIN);
                    let moved = u64::from(*rows);
                    let event = Event { rows_moved: moved, rows_after: 0, buckets_after: 0, ..self.event(*bucket) };
                    self.notes.note(Event { action: Action::Merge, cause, ..event });
                }
                Act::Split { bucket, rows, children } => {
                    let cause = format!("{rows} rows, over {}", BUCKET_ROWS_MAX);
                    let rows_after = u64::from(*rows);
                    let event = Event { rows_after, buckets_after: 1 + children.len() as u32, ..self.event(*bucket) };
                    self.notes.note(Event { action: Action::Split, cause, ..event });
                }
                Act::Recentred { bucket, drift } => {
                    let cause = format!("drift {drift:.2}, over {DRIFT_MAX}");
                    let event = Event { drift_before: *drift, drift_after: 0.0, ..self.event(*bucket) };
                    self.notes.note(Event { action: Action::Recentre, cause, ..event });
                }
                Act::Took { bucket, rows } => *taken.entry(*bucket).or_default() += rows,
                Act::Dense { .. } => continue,
            }
            if let Act::Joined { bucket, .. } | Act::Split { bucket, .. } = act {
                told.insert(*bucket);
            }
        }
        self.log_rewrites(&told);
        self.log_stolen(&taken);
    }

    /// Notes the buckets that were made anew and neither joined nor split.
    fn log_rewrites(&mut self, told: &HashSet<u32>) {
        let rewritten = |(position, bucket): &(u32, &DraftBucket)| {
            self.notes.before.contains_key(&bucket.id) && !told.contains(position)
        };
        let buckets: Vec<u32> = (0..).zip(&self.buckets).filter(rewritten).map(|(position, _)| position).collect();
        for position in buckets {
            let bucket = &self.buckets[position as usize];
            let before = self.notes.before[&bucket.id];
            let cause = match self.notes.causes.get(&bucket.id) {
                Some(cause) => (*cause).to_owned(),
                None => format!("{} runs", before.runs),
            };
            let event = self.event(position);
            self.notes.note(Event { action: Action::Rewrite, cause, ..event });
        }
    }

    /// Notes how many rows of others buckets have taken in.
    pub(super) fn log_stolen(&mut self, taken: &BTreeMap<u32, u32>) {
        for (&bucket, &rows) in taken {
            let cause = "nearer to its centroid".to_owned();
            let event = Event { rows_moved: u64::from(rows), ..self.event(bucket) };
            let rows_after = event.rows_before + u64::from(rows);
            self.notes.note(Event { action: Action::Steal, cause, rows_after, ..event });
        }
    }

    /// An event of a bucket that leaves it as it was.
    fn event(&self, bucket: u32) -> Event {
        let bucket = &self.buckets[bucket as usize];
        let before = self.notes.before.get(&bucket.id).copied().unwrap_or_else(|| Before {
            rows: bucket.header.n_live,
            dead: bucket.header.n_dead,
            runs: bucket.runs.len(),
            drift: bucket.header.drift(),
        });
        Event {
            bucket: Some(bucket.id),
            rows_before: u64::from(before.rows),
            rows_after: u64::from(before.rows),
            dead_before: u64::from(before.dead),
            buckets_before: 1,
            buckets_after: 1,
            drift_before: before.drift,
            drift_after: before.drift,
            ..Event::default()
        }
    }
}
