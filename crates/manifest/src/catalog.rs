use std::collections::HashSet;

use drift_types::CollectionId;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::{Error, Numbered, Result, Stamp, Violation};

/// The collections of a database. Names live here only: a rename or drop touches nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalog {
    /// Which version this is.
    pub stamp: Stamp,
    /// The database's identity.
    pub database: Ulid,
    /// Its collections.
    pub collections: Vec<CatalogEntry>,
    /// Collections that are being made or were dropped: whoever opens the database next removes
    /// their files.
    pub doomed: Vec<CollectionId>,
    /// Where the log is, once there is one.
    #[serde(default)]
    pub log: Option<LogMark>,
}

/// Where a database's log was written last: opened with another one, or with an older state of it,
/// the database would lack what was acknowledged since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogMark {
    /// The place, in words for a person.
    pub place: String,
    /// The writer who opened the log there; its last file is of this epoch or a later one.
    pub epoch: u64,
}

/// A collection's name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogEntry {
    /// What users call it.
    pub name: String,
    /// What it is.
    pub collection: CollectionId,
}

impl Catalog {
    /// The first version of a new database's catalog: no collections.
    pub fn first(epoch: u64, writer: Ulid) -> Self {
        let stamp = Stamp::first(epoch, writer);
        Self { stamp, database: Ulid::new(), collections: Vec::new(), doomed: Vec::new(), log: None }
    }

    /// The same collections as a version that follows this one, to be changed and committed.
    pub fn successor(&self, epoch: u64, writer: Ulid) -> Self {
        Self { stamp: self.stamp.successor(epoch, writer), ..self.clone() }
    }

    /// The collection of that name.
    pub fn find(&self, name: &str) -> Option<CollectionId> {
        self.collections.iter().find(|entry| entry.name == name).map(|entry| entry.collection)
    }
}

impl Numbered for Catalog {
    const MAGIC: [u8; 8] = *b"DRIFTCAT";
    const EXTENSION: &'static str = "dcat";

    fn stamp(&self) -> &Stamp {
        &self.stamp
    }

    fn check(&self) -> Result<(), Violation> {
        self.stamp.check()?;
        let (mut names, mut ids) = (HashSet::new(), HashSet::new());
        if let Some(id) = self.doomed.iter().find(|id| !ids.insert(*id)) {
            return Err(Violation::CollectionTwice(*id));
        }
        for CatalogEntry { name, collection } in &self.collections {
            validate_name(name).map_err(|e| Violation::BadName(e.to_string()))?;
            if !names.insert(name) {
                return Err(Violation::NameTwice(name.clone()));
            }
            if !ids.insert(collection) {
                return Err(Violation::CollectionTwice(*collection));
            }
        }
        Ok(())
    }

    fn check_successor(&self, parent: &Self) -> Result<(), Violation> {
        match self.database == parent.database {
            true => Ok(()),
            false => Err(Violation::OtherDatabase),
        }
    }
}

/// Longest name of a collection, in characters.
const NAME_MAX: usize = 128;

/// Checks the name of a collection: 1 to 128 ASCII letters, digits, `_` and `-`, a letter or `_`
/// first.
///
/// # Errors
/// [`Error::Invalid`] says what a name may be.
pub fn validate_name(name: &str) -> Result<()> {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_';
    let good = name.starts_with(first)
        && name.len() <= NAME_MAX
        && name.chars().all(|c| first(c) || c.is_ascii_digit() || c == '-');
    if good {
        return Ok(());
    }
    let shown: String = name.chars().take(NAME_MAX).collect();
    Err(Error::Invalid(format!(
        "{shown:?} cannot name a collection: use 1 to {NAME_MAX} letters, digits, '_' or '-', starting with a letter or '_'"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let longest = "a".repeat(NAME_MAX);
        for good in ["a", "_x", "docs-2024_v", &longest] {
            assert!(validate_name(good).is_ok(), "{good}");
        }
        let longer = "a".repeat(NAME_MAX + 1);
        for bad in ["", "../../x", "1a", "-a", "a b", "a/b", "ä", "a\0", &longer] {
            assert!(matches!(validate_name(bad), Err(Error::Invalid(_))), "{bad}");
        }
    }

    #[test]
    fn names_and_collections_are_unique() {
        let mut catalog = Catalog::first(1, Ulid::new());
        let entry = |name: &str, id| CatalogEntry { name: name.into(), collection: CollectionId(Ulid(id)) };
        catalog.collections = vec![entry("a", 1), entry("b", 2)];
        assert_eq!(catalog.check(), Ok(()));
        assert_eq!((catalog.find("b"), catalog.find("c")), (Some(CollectionId(Ulid(2))), None));
        catalog.collections = vec![entry("a", 1), entry("a", 2)];
        assert!(matches!(catalog.check(), Err(Violation::NameTwice(_))));
        catalog.collections = vec![entry("a", 1), entry("b", 1)];
        assert!(matches!(catalog.check(), Err(Violation::CollectionTwice(_))));
        catalog.collections = vec![entry("../a", 1)];
        assert!(matches!(catalog.check(), Err(Violation::BadName(_))));
    }
}
