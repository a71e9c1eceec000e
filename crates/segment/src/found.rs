use std::sync::{Arc, Mutex, Weak};

/// So often a part is found here before the cache is asked for it once: it must see that the part is in use.
const FOUND_MAX: u8 = 8;

/// Where the parts of runs lie that the cache holds. A search needs the vectors of some dozens of runs, of some
/// hundreds with a filter, and to look each up in the cache takes as long as to compare a row of it.
///
/// Nothing is kept in memory for it: what the cache lets go of is not found any more.
#[derive(Debug)]
pub(crate) struct Found<T>(Box<[Mutex<Place<T>>]>);

#[derive(Debug)]
struct Place<T> {
    part: Weak<T>,
    /// Times it was found since the cache was asked.
    times: u8,
}

impl<T> Found<T> {
    /// Nothing so far, of so many runs.
    pub fn new(runs: usize) -> Self {
        let place = |_| Mutex::new(Place { part: Weak::new(), times: 0 });
        Self((0..runs).map(place).collect())
    }

    /// The part of a run; none where the cache is to be asked. Never waits.
    pub fn get(&self, run: u32) -> Option<Arc<T>> {
        let mut place = self.0.get(run as usize)?.try_lock().ok()?;
        if place.times == FOUND_MAX {
            return None;
        }
        place.times += 1;
        place.part.upgrade()
    }

    /// Remembers what the cache holds, unless somebody else is here just now.
    pub fn put(&self, run: u32, part: &Arc<T>) {
        if let Some(Ok(mut place)) = self.0.get(run as usize).map(Mutex::try_lock) {
            *place = Place { part: Arc::downgrade(part), times: 0 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_found_while_it_lives_and_the_cache_is_asked_now_and_then() {
        let found = Found::new(2);
        let part = Arc::new(7);
        assert!(found.get(1).is_none());
        for _ in 0..3 {
            found.put(1, &part);
            assert!((0..FOUND_MAX).all(|_| found.get(1).as_deref() == Some(&7)));
            assert!(found.get(1).is_none() && found.get(0).is_none());
        }
        found.put(1, &part);
        drop(part);
        assert!(found.get(1).is_none(), "nothing is kept");
        assert!(found.get(2).is_none(), "there is no such run");
    }
}
