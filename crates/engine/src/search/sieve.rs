//! The rows of runs that may be among the nearest: by 1-bit codes first and SQ8 for what these leave
//! over, or by SQ8 alone.

use std::{
    ops::{Deref, Range},
    sync::Arc,
};

use drift_codec::{Bit1Scanner, CentreScore, Sq8Block, Sq8Rescorer, Sq8Scanner};
use drift_kernels::{prefetch, sq8_stride};
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

/// The codes of a run, as a search has them.
pub(super) enum Codes<'a> {
    Pinned(&'a HotRun),
    Loaded(Arc<HotRun>),
}

impl Deref for Codes<'_> {
    type Target = HotRun;

    fn deref(&self) -> &HotRun {
        match self {
            Self::Pinned(hot) => hot,
            Self::Loaded(hot) => hot,
        }
    }
}

/// A run to be read.
pub(super) struct Run<'a> {
    /// Its segment's position.
    pub segment: u32,
    /// Its own number.
    pub run: u32,
    /// Ordinal of its first row.
    pub first_row: u32,
    pub codes: Codes<'a>,
    /// Squared distance of the query to the centre of its codes, if that is known.
    pub centre_dist_sq: Option<f32>,
}

impl Run<'_> {
    /// One of its rows, known by its code.
    fn coded(&self, row: u32, lower: f32) -> Coded {
        let key = match &self.codes {
            Codes::Pinned(_) => None,
            Codes::Loaded(hot) => Some(hot.id(row as usize)),
        };
        Coded { lower, segment: self.segment, run: self.run, row, key }
    }
}

/// The scanners of one search.
pub(super) struct Sieve<'a> {
    query: &'a Query,
    origins: &'a Origins,
    bits: BitsByOrigin<'a>,
    sq8: Option<Sq8Scanner>,
    /// What 1-bit codes have left over and nobody has scored yet, by run.
    left: Vec<Left<'a>>,
    /// Rows of all these, with their lower bounds.
    rows: Vec<(u32, f32)>,
    /// Scratch.
    some: Vec<u32>,
}

/// What reads 1-bit codes, by origin, made once a run with it is met.
struct BitsByOrigin<'a> {
    query: &'a Query,
    origins: &'a Origins,
    made: Vec<Option<Bits>>,
}

struct Bits {
    scanner: Bit1Scanner,
    rescorer: Sq8Rescorer,
}

struct Left<'a> {
    run: Run<'a>,
    origin: u32,
    centre: CentreScore,
    /// Where its rows begin among those of all.
    first: usize,
}

impl<'a> Sieve<'a> {
    pub fn new(query: &'a Query, origins: &'a Origins) -> Self {
        let made = (0..origins.len()).map(|_| None).collect();
        let bits = BitsByOrigin { query, origins, made };
        Self { query, origins, bits, sq8: None, left: Vec::new(), rows: Vec::new(), some: Vec::new() }
    }

    /// The scanner for the origin that most rows have, if there are 1-bit codes.
    pub fn main_scanner(&mut self) -> Option<&mut Bit1Scanner> {
        (!self.bits.made.is_empty()).then(|| &mut self.bits.get(0).scanner)
    }

    /// Reads a run: its rows that are live, match, and cannot be ruled out are offered, now or when
    /// [`Sieve::settle`] is called.
    pub fn scan(&mut self, run: Run<'a>, is_wanted: impl Fn(u32) -> bool, out: &mut Candidates) {
        match self.origin_of(&run) {
            Some(origin) => self.by_bits(origin, run, is_wanted, out),
            None => self.by_sq8(&run, is_wanted, out),
        }
    }

    /// Reads these rows of a run alone: so few that ruling some out first would cost more.
    pub fn pick(&mut self, run: Run<'a>, rows: impl Iterator<Item = u32>, out: &mut Candidates) {
        let Some(origin) = self.origin_of(&run) else {
            let rows: Vec<u32> = rows.collect();
            return self.by_sq8(&run, |row| rows.contains(&row), out);
        };
        let first = self.rows.len();
        self.rows.extend(rows.map(|row| (row, f32::NEG_INFINITY)));
        let bits = self.bits.get(origin);
        let centre = bits.centre_score(&run);
        let left = Left { run, origin, centre, first };
        self.bring_near(&left, first..self.rows.len());
        self.left.push(left);
    }

    /// Scores what is left over of the runs read so far. Between the two their codes come nearer, while
    /// there is other work.
    pub fn settle(&mut self, out: &mut Candidates) {
        let mut left = std::mem::take(&mut self.left);
        let mut end = self.rows.len();
        for one in left.iter().rev() {
            self.score(one, one.first..end, out);
            end = one.first;
        }
        self.rows.clear();
        left.clear();
        self.left = left;
    }

    /// The origin of the 1-bit codes that a run is read by; none if it is read by SQ8 alone.
    fn origin_of(&self, run: &Run<'_>) -> Option<u32> {
        // Who asks for all of the recall gets bounds that hold for certain.
        let is_certain = self.query.recall >= 1.0 && self.query.nprobe.is_none();
        self.origins.of_segment(run.segment).filter(|_| !is_certain && run.codes.bit1().is_some())
    }

    fn by_bits(&mut self, origin: u32, run: Run<'a>, is_wanted: impl Fn(u32) -> bool, out: &mut Candidates) {
        let Some((codes, _)) = run.codes.bit1() else { return };
        let bits = self.bits.get(origin);
        let centre = bits.centre_score(&run);
        let first = self.rows.len();
        let survivors = bits.scanner.scan(&codes, centre, out.threshold(), None);
        self.rows.extend(survivors.iter().filter(|(row, _)| is_wanted(*row)));
        if self.rows.len() > first {
            let left = Left { run, origin, centre, first };
            self.narrow(&left, out);
            self.bring_near(&left, first..self.rows.len());
            self.left.push(left);
        }
    }

    /// Where little is known yet, most rows are left over: the likeliest are scored, until they have told
    /// enough of the others.
    fn narrow(&mut self, left: &Left<'_>, out: &mut Candidates) {
        let first = left.first;
        while self.rows.len() > first + AT_ONCE {
            self.rows[first..].select_nth_unstable_by(AT_ONCE, |a, b| a.1.total_cmp(&b.1));
            self.bring_near(left, first..first + AT_ONCE);
            self.score(left, first..first + AT_ONCE, out);
            let threshold = out.threshold();
            let mut kept = first;
            for at in first + AT_ONCE..self.rows.len() {
                self.rows[kept] = self.rows[at];
                kept += usize::from(self.rows[at].1 <= threshold);
            }
            self.rows.truncate(kept);
        }
    }

    fn bring_near(&self, left: &Left<'_>, rows: Range<usize>) {
        let Some((_, offsets)) = left.run.codes.bit1() else { return };
        let sq8 = left.run.codes.sq8();
        for &(row, _) in &self.rows[rows] {
            prefetch(code(&sq8, row));
            offsets.bring_near(row);
        }
    }

    /// Scores some rows of a run.
    fn score(&mut self, Left { run, origin, centre, .. }: &Left<'_>, rows: Range<usize>, out: &mut Candidates) {
        let Some((_, offsets)) = run.codes.bit1() else { return };
        let bits = self.bits.get(*origin);
        let sq8 = run.codes.sq8();
        for some in self.rows[rows].chunks(AT_ONCE) {
            let threshold = out.threshold();
            self.some.clear();
            self.some.extend(some.iter().filter(|(_, lower)| *lower <= threshold).map(|(row, _)| row));
            let bounds = bits.rescorer.bounds(&sq8, offsets, *centre, &self.some);
            for (&row, &(lower, upper)) in self.some.iter().zip(bounds) {
                if lower <= out.threshold() {
                    out.push_coded(run.coded(row, lower), upper);
                }
            }
        }
    }

    fn by_sq8(&mut self, run: &Run<'_>, is_wanted: impl Fn(u32) -> bool, out: &mut Candidates) {
        let query = self.query;
        let new = || Sq8Scanner::new(&query.vector, query.metric == Metric::InnerProduct);
        let scanner = self.sq8.get_or_insert_with(new);
        let block = run.codes.sq8();
        scanner.scan(&block);
        for (row, (lower, upper)) in (0..).zip(scanner.all_bounds(block.error)) {
            if lower <= out.threshold() && is_wanted(row) {
                out.push_coded(run.coded(row, lower), upper);
            }
        }
    }
}

impl BitsByOrigin<'_> {
    fn get(&mut self, origin: u32) -> &mut Bits {
        self.made[origin as usize].get_or_insert_with(|| Bits::new(self.query, self.origins.get(origin)))
    }
}

impl Bits {
    fn new(query: &Query, origin: &[f32]) -> Self {
        let mut scanner = Bit1Scanner::new(&query.vector, query.metric, EPS);
        scanner.set_origin(origin);
        Self { scanner, rescorer: Sq8Rescorer::new(&query.vector, query.metric, origin) }
    }

    /// The score of a run's centre, from its distance if that is known.
    fn centre_score(&self, run: &Run<'_>) -> CentreScore {
        let centre = run.codes.sq8().centre;
        match run.centre_dist_sq {
            Some(dist_sq) => CentreScore::of_l2_sq(dist_sq, centre.len()),
            None => self.scanner.centre_score(centre),
        }
    }
}

/// The SQ8 code of a row.
fn code<'b>(block: &Sq8Block<'b>, row: u32) -> &'b [u8] {
    let stride = sq8_stride(block.centre.len());
    &block.codes[row as usize * stride..][..stride]
}
