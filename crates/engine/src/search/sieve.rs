//! The rows of a run that may be among the nearest: by 1-bit codes first and SQ8 for what these leave
//! over, or by SQ8 alone.

use drift_codec::{Bit1Scanner, Sq8Rescorer, Sq8Scanner};
use drift_segment::HotRun;
use drift_types::Metric;

use super::{
    candidates::{Candidates, Coded},
    query::Query,
};
use crate::origins::Origins;

/// How sure the bounds of 1-bit codes are, in standard deviations: 97 of 100 rows keep theirs. Those that
/// do not are lost only if they are nearer than they seem by more than what separates them from the
/// k-th row.
const EPS: f32 = 1.9;

/// Rows that are scored together; a multiple of four.
const AT_ONCE: usize = 16;

/// Where a run is: its segment's position, and its own number.
#[derive(Clone, Copy, Debug)]
pub(super) struct RunAt {
    pub segment: u32,
    pub run: u32,
}

/// The scanners of one search.
pub(super) struct Sieve<'a> {
    query: &'a Query,
    origins: &'a Origins,
    /// By origin, once a run with it is met.
    sieves: Vec<Option<Bits>>,
    sq8: Option<Sq8Scanner>,
    /// Scratch: the rows that 1-bit codes leave over, with their lower bounds...
    left: Vec<(u32, f32)>,
    /// ...and some of them.
    rows: Vec<u32>,
}

struct Bits {
    scanner: Bit1Scanner,
    rescorer: Sq8Rescorer,
}

impl<'a> Sieve<'a> {
    pub fn new(query: &'a Query, origins: &'a Origins) -> Self {
        Self { query, origins, sieves: (0..origins.len()).map(|_| None).collect(), sq8: None, left: Vec::new(), rows: Vec::new() }
    }

    /// Offers the rows of a run that are live, match, and cannot be ruled out.
    pub fn scan(&mut self, at: RunAt, hot: &HotRun, is_wanted: impl Fn(u32) -> bool, out: &mut Candidates) {
        // Who asks for all of the recall gets bounds that hold for certain.
        let is_certain = self.query.recall >= 1.0 && self.query.nprobe.is_none();
        match self.origins.of_segment(at.segment) {
            Some(origin) if !is_certain && hot.bit1().is_some() => self.by_bits(origin, at, hot, is_wanted, out),
            _ => self.by_sq8(at, hot, is_wanted, out),
        }
    }

    fn by_bits(
        &mut self,
        origin: u32,
        at: RunAt,
        hot: &HotRun,
        is_wanted: impl Fn(u32) -> bool,
        out: &mut Candidates,
    ) {
        let (query, origins) = (self.query, self.origins);
        let bits = self.sieves[origin as usize].get_or_insert_with(|| Bits::new(query, origins.get(origin)));
        let Some((codes, offsets)) = hot.bit1() else { return };
        let sq8 = hot.sq8();
        let centre = bits.scanner.centre_score(sq8.centre);
        let survivors = bits.scanner.scan(&codes, centre, out.threshold(), None);
        self.left.clear();
        self.left.extend(survivors.iter().filter(|(row, _)| is_wanted(*row)));
        if self.left.len() > AT_ONCE {
            // Where little is known yet, the likely ones tell soon enough that the others are not needed.
            self.left.sort_unstable_by(|a, b| a.1.total_cmp(&b.1));
        }
        for some in self.left.chunks(AT_ONCE) {
            if some[0].1 > out.threshold() {
                break;
            }
            self.rows.clear();
            self.rows.extend(some.iter().map(|(row, _)| row));
            let bounds = bits.rescorer.bounds(&sq8, offsets, centre, &self.rows);
            for (&row, &(lower, upper)) in self.rows.iter().zip(bounds) {
                if lower <= out.threshold() {
                    out.push_coded(Coded { lower, segment: at.segment, run: at.run, row }, upper);
                }
            }
        }
    }

    fn by_sq8(&mut self, at: RunAt, hot: &HotRun, is_wanted: impl Fn(u32) -> bool, out: &mut Candidates) {
        let query = self.query;
        let new = || Sq8Scanner::new(&query.vector, query.metric == Metric::InnerProduct);
        let scanner = self.sq8.get_or_insert_with(new);
        let block = hot.sq8();
        scanner.scan(&block);
        for (row, (lower, upper)) in (0..).zip(scanner.all_bounds(block.error)) {
            if lower <= out.threshold() && is_wanted(row) {
                out.push_coded(Coded { lower, segment: at.segment, run: at.run, row }, upper);
            }
        }
    }
}

impl Bits {
    fn new(query: &Query, origin: &[f32]) -> Self {
        let mut scanner = Bit1Scanner::new(&query.vector, query.metric, EPS);
        scanner.set_origin(origin);
        Self { scanner, rescorer: Sq8Rescorer::new(&query.vector, query.metric, origin) }
    }
}
