use std::cmp::Ordering;

use drift_memtable::L0Hit;
use drift_types::{TopK, VectorId};

/// What holds rows, by its position in a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    /// One of its L0 tables.
    Table(u32),
    /// One of its segments.
    Segment(u32),
}

/// Where a snapshot has a row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowRef {
    pub source: Source,
    pub ordinal: u32,
}

/// A row with its exact score.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hit {
    pub score: f32,
    pub id: VectorId,
    pub row: RowRef,
}

impl Hit {
    /// What an L0 table has found.
    pub fn in_table(table: usize, hit: &L0Hit) -> Self {
        let row = RowRef { source: Source::Table(table as u32), ordinal: hit.ordinal };
        Self { score: hit.score, id: hit.id, row }
    }

    /// The segment it is in, unless it is in L0.
    pub fn segment(&self) -> Option<u32> {
        match self.row.source {
            Source::Segment(segment) => Some(segment),
            Source::Table(_) => None,
        }
    }
}

impl PartialEq for Hit {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Hit {}

/// Nearest first; ties go to the smaller key.
impl Ord for Hit {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score).then(self.id.cmp(&other.id))
    }
}

impl PartialOrd for Hit {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A row of a segment known by its code: its exact score is at least `lower`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Coded {
    pub lower: f32,
    pub segment: u32,
    pub run: u32,
    /// Row within the run.
    pub row: u32,
    /// Its key, where the codes it was read with do not stay in memory.
    pub key: Option<VectorId>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Upper(f32);

impl Eq for Upper {}

impl Ord for Upper {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Upper {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Everything that may still be among the `k` nearest. A row is out once `k` others are surely
/// nearer: its lower bound lies above the `k`-th smallest upper bound.
pub(crate) struct Candidates {
    k: usize,
    uppers: TopK<Upper>,
    exact: TopK<Hit>,
    coded: Vec<Coded>,
    /// `coded` is swept when it grows to this.
    sweep_at: usize,
}

impl Candidates {
    pub fn new(k: usize) -> Self {
        Self { k, uppers: TopK::new(k), exact: TopK::new(k), coded: Vec::new(), sweep_at: 8 * k + 1024 }
    }

    /// The score a row must be able to reach.
    pub fn threshold(&self) -> f32 {
        self.uppers.kth().map_or(f32::INFINITY, |u| u.0)
    }

    /// The threshold, once `k` rows are known.
    pub fn kth_score(&self) -> Option<f32> {
        self.uppers.kth().map(|u| u.0)
    }

    pub fn push_exact(&mut self, hit: Hit) {
        self.uppers.push(Upper(hit.score));
        self.exact.push(hit);
    }

    pub fn push_coded(&mut self, coded: Coded, upper: f32) {
        self.uppers.push(Upper(upper));
        self.coded.push(coded);
        if self.coded.len() >= self.sweep_at {
            self.sweep();
            self.sweep_at = 2 * self.coded.len() + 8 * self.k + 1024;
        }
    }

    fn sweep(&mut self) {
        let threshold = self.threshold();
        self.coded.retain(|c| c.lower <= threshold);
    }

    /// The exact hits so far, and the rows whose exact score must be looked up, nearest bound first.
    pub fn finish(mut self) -> (TopK<Hit>, Vec<Coded>) {
        self.sweep();
        self.coded.sort_unstable_by(|a, b| a.lower.total_cmp(&b.lower));
        (self.exact, self.coded)
    }
}
