use std::{cmp::Ordering, collections::BinaryHeap};

use crate::VectorId;

/// A row found by a search, with its score (smaller is nearer).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbor {
    /// The row's key.
    pub id: VectorId,
    /// The engine's score; see [`crate::Metric`].
    pub score: f32,
}

impl Eq for Neighbor {}

/// Nearest first; ties go to the smaller key.
impl Ord for Neighbor {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score).then(self.id.cmp(&other.id))
    }
}

impl PartialOrd for Neighbor {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The `k` smallest items seen so far.
#[derive(Clone, Debug)]
pub struct TopK<T: Ord = Neighbor> {
    k: usize,
    heap: BinaryHeap<T>,
}

impl<T: Ord> TopK<T> {
    /// Keeps at most `k` items.
    pub fn new(k: usize) -> Self {
        Self { k, heap: BinaryHeap::with_capacity(k.min(4096) + 1) }
    }

    /// Offers an item; returns whether it was kept.
    pub fn push(&mut self, item: T) -> bool {
        if self.heap.len() < self.k {
            self.heap.push(item);
            return true;
        }
        match self.heap.peek_mut() {
            Some(mut worst) if item < *worst => {
                *worst = item;
                true
            }
            _ => false,
        }
    }

    /// The `k`-th smallest item, once there are `k`.
    pub fn kth(&self) -> Option<&T> {
        (self.heap.len() == self.k).then(|| self.heap.peek()).flatten()
    }

    /// Number of items held.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// The items, smallest first.
    pub fn into_sorted(self) -> Vec<T> {
        self.heap.into_sorted_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_go_to_the_smaller_key() {
        let mut top = TopK::new(2);
        for id in [5, 3, 9, 1] {
            top.push(Neighbor { id: VectorId(id), score: 1.0 });
        }
        let ids: Vec<u64> = top.into_sorted().iter().map(|n| n.id.0).collect();
        assert_eq!(ids, [1, 3]);
    }

    #[test]
    fn zero_keeps_nothing() {
        let mut top = TopK::new(0);
        assert!(!top.push(1));
        assert!(top.kth().is_none() && top.is_empty());
    }
}
