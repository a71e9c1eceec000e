use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What has been paid for parts of some things since all of them was bought: as one who may rent or buy skis,
/// who has all of a thing once parts of it have cost as much pays at most twice what was necessary (Karlin et
/// al., Algorithmica 1988).
#[derive(Debug)]
pub(crate) struct Rents(Box<[AtomicU64]>);

impl Rents {
    /// Nothing so far, of so many things.
    pub fn new(things: usize) -> Self {
        Self((0..things).map(|_| AtomicU64::new(0)).collect())
    }

    /// Takes note that parts of a thing are wanted for `rent`. Answers whether parts before them have cost
    /// `price`: then all of it is to be bought instead, and it begins anew.
    pub fn is_due(&self, thing: usize, rent: u64, price: u64) -> bool {
        let paid = &self.0[thing];
        let is_due = paid.fetch_add(rent, Relaxed) >= price;
        if is_due {
            paid.store(0, Relaxed);
        }
        is_due
    }
}
