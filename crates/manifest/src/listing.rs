use std::collections::BTreeSet;

use crate::{Error, Result, Stamp};

/// How the names of boundaries end.
pub(crate) const BOUNDARY: &str = "boundary";

/// The numbers in the directory of a chain of versions.
#[derive(Debug, PartialEq)]
pub(crate) struct Listing {
    pub versions: BTreeSet<u64>,
    /// The highest counts: versions below it do not.
    pub boundaries: BTreeSet<u64>,
    extension: &'static str,
}

impl Listing {
    /// Sorts the names of a directory's objects; whatever else lies there is no version.
    pub fn new(names: &[String], extension: &'static str) -> Self {
        let ids = |extension: &str| names.iter().filter_map(|name| parse(name, extension)).collect();
        Self { versions: ids(extension), boundaries: ids(BOUNDARY), extension }
    }

    /// The lowest number that counts.
    pub fn boundary(&self) -> u64 {
        self.boundaries.last().copied().unwrap_or(Stamp::FIRST)
    }

    /// The highest number known; none before the first commit.
    pub fn latest(&self) -> Option<u64> {
        self.versions.last().copied().max(self.boundaries.last().copied())
    }

    /// Checks that each version from the boundary to the latest is there.
    ///
    /// # Errors
    /// [`Error::Corrupt`] names the first that are missing from `dir`.
    pub fn check(&self, dir: &str) -> Result<()> {
        let counting = self.boundary()..=self.latest().unwrap_or(0);
        let Some(first) = counting.clone().find(|id| !self.versions.contains(id)) else {
            return Ok(());
        };
        let last = self.versions.range(first..).next().map_or(*counting.end(), |id| id - 1);
        let path = format!("{dir}/{}", object_name(first, self.extension));
        Err(Error::corrupt(&path, 0, format!("the versions {first} to {last} are missing")))
    }
}

/// The name of the object `id`.
pub(crate) fn object_name(id: u64, extension: &str) -> String {
    format!("{id:020}.{extension}")
}

/// The number in an object's name; none if it is of another kind.
fn parse(name: &str, extension: &str) -> Option<u64> {
    let id = name.split_once('.')?.0.parse().ok()?;
    (object_name(id, extension) == name).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(versions: &[u64], boundaries: &[u64]) -> Listing {
        let name = |extension| move |id: &u64| object_name(*id, extension);
        let names: Vec<_> = versions.iter().map(name("dcat")).chain(boundaries.iter().map(name(BOUNDARY))).collect();
        Listing::new(&names, "dcat")
    }

    #[test]
    fn what_is_missing_is_named() {
        let message = |versions: &[u64], boundaries: &[u64]| {
            listing(versions, boundaries).check("d").err().map(|e| e.to_string()).unwrap_or_default()
        };
        for (versions, boundaries) in [(&[][..], &[][..]), (&[1], &[]), (&[1, 2, 3], &[]), (&[1, 4, 5], &[2, 4])] {
            assert_eq!(message(versions, boundaries), "");
        }
        assert!(message(&[2, 3], &[]).contains("1 to 1"), "the first is gone");
        assert!(message(&[1, 2, 5], &[]).contains("3 to 4"));
        assert!(message(&[1, 2], &[3]).contains("3 to 3"), "the boundary stands for a version");
        assert!(message(&[4, 5, u64::MAX], &[4]).contains(&format!("6 to {}", u64::MAX - 1)));
        assert!(message(&[1, 2, 3, 7], &[5]).contains("5 to 6"));
    }
}
