use std::fmt;

use drift_types::{CollectionId, SegmentId};

use crate::{SegmentMeta, open::Opened};

/// What a person wants to know of a segment; its `Display` is the answer to `drift inspect`.
#[derive(Clone, Debug)]
pub struct Description {
    /// The file, relative to the store's root.
    pub path: String,
    /// Bytes of the file.
    pub length: u64,
    /// The segment.
    pub id: SegmentId,
    /// Whose rows it holds.
    pub collection: CollectionId,
    /// Schema, metric and names.
    pub meta: SegmentMeta,
    /// Number of rows.
    pub rows: u32,
    /// The sections, by place.
    pub sections: Vec<SectionSize>,
    /// Number of runs.
    pub runs: u32,
    /// Of each power of two that occurs: the power, and how many runs have at least so many rows
    /// but less than twice as many.
    pub runs_by_rows: Vec<(u32, u32)>,
}

/// A section and the room it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SectionSize {
    /// Its name in the format.
    pub name: &'static str,
    /// First byte.
    pub offset: u64,
    /// Bytes.
    pub length: u64,
}

impl Description {
    pub(crate) fn new(opened: &Opened) -> Self {
        let identity = opened.footer.identity;
        let mut counts = [0u32; 32];
        opened.runs.iter().for_each(|run| counts[run.rows.ilog2() as usize] += 1);
        let powers = counts.iter().enumerate().filter(|(_, count)| **count > 0);
        let sections = opened.footer.sections.iter().map(|section| SectionSize {
            name: section.kind.name(),
            offset: section.offset,
            length: section.length,
        });
        Self {
            path: opened.file.path().to_owned(),
            length: opened.place.file_length(),
            id: identity.id,
            collection: identity.collection,
            meta: opened.meta.clone(),
            rows: identity.rows,
            sections: sections.collect(),
            runs: identity.runs,
            runs_by_rows: powers.map(|(power, count)| (1 << power, *count)).collect(),
        }
    }
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let meta = &self.meta;
        writeln!(f, "{}", self.path)?;
        writeln!(f, "  segment     {}", self.id)?;
        writeln!(f, "  collection  {}", self.collection)?;
        writeln!(f, "  rows        {} in {} runs", self.rows, self.runs)?;
        writeln!(f, "  vectors     '{}', {} dimensions, {}", meta.vector_column, meta.dim, meta.metric)?;
        writeln!(f, "  key         {}", meta.key_column.as_deref().unwrap_or("generated"))?;
        writeln!(f, "  length      {} bytes", self.length)?;
        writeln!(f, "\n  {:<14}{:>14}{:>14}{:>8}", "section", "offset", "bytes", "share")?;
        for SectionSize { name, offset, length } in &self.sections {
            let share = 100.0 * *length as f64 / self.length as f64;
            writeln!(f, "  {name:<14}{offset:>14}{length:>14}{share:>7.1}%")?;
        }
        writeln!(f, "\n  {:<28}{:>14}", "rows in a run", "runs")?;
        for (power, runs) in &self.runs_by_rows {
            let range = format!("{power}..{}", u64::from(*power) * 2);
            writeln!(f, "  {range:<28}{runs:>14}")?;
        }
        Ok(())
    }
}
