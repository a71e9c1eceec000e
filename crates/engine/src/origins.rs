use std::sync::Arc;

use crate::snapshot::SegmentView;

/// The origins that the 1-bit codes of a snapshot's segments have: one, as a rule, for new segments take
/// that of the old ones.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origins {
    /// Each once, that of the most rows first.
    distinct: Vec<Arc<[f32]>>,
    /// Of each segment its origin by position; none without 1-bit codes.
    of_segment: Vec<Option<u32>>,
}

impl Origins {
    /// Those of `segments`, by their order.
    pub fn of(segments: &[SegmentView]) -> Self {
        let mut found: Vec<(&Arc<[f32]>, u64)> = Vec::new();
        for view in segments {
            let Some(origin) = view.reader.origin() else { continue };
            let rows = u64::from(view.reader.rows());
            match found.iter_mut().find(|(other, _)| *other == origin) {
                Some((_, sum)) => *sum += rows,
                None => found.push((origin, rows)),
            }
        }
        found.sort_by_key(|(_, rows)| std::cmp::Reverse(*rows));
        let position = |origin| found.iter().position(|(other, _)| *other == origin).map(|at| at as u32);
        let of_segment = segments.iter().map(|view| view.reader.origin().and_then(position)).collect();
        Self { distinct: found.into_iter().map(|(origin, _)| origin.clone()).collect(), of_segment }
    }

    /// The one of the most rows.
    pub fn main(&self) -> Option<&[f32]> {
        self.distinct.first().map(|origin| &**origin)
    }

    /// Which of [`Origins::get`] a segment has.
    pub fn of_segment(&self, segment: u32) -> Option<u32> {
        self.of_segment[segment as usize]
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.distinct.len()
    }

    /// One of them.
    pub fn get(&self, origin: u32) -> &[f32] {
        &self.distinct[origin as usize]
    }
}
