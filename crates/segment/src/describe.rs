use std::{cmp::Reverse, fmt};

use drift_storage::page::PAGE;
use drift_types::{BucketId, CollectionId, SegmentId};

use crate::{Place, RunEntry, SegmentMeta, open::Opened};

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
    /// The ten runs of the most rows, or all.
    pub largest_runs: Vec<RunSize>,
    /// Bits that a value of a vector takes in HOT, with all that goes with it...
    pub code_bits: f64,
    /// ...and in COLD.
    pub exact_bits: f64,
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

/// How many runs are described one by one.
const LARGEST: usize = 10;

/// A run and the room it takes.
#[derive(Clone, Debug, PartialEq)]
pub struct RunSize {
    /// Its number.
    pub run: u32,
    /// The bucket it belonged to when written.
    pub bucket: BucketId,
    /// Rows.
    pub rows: u32,
    /// Bytes of its codes and vectors.
    pub bytes: u64,
    /// Root of the mean squared distance of the rows to their mean, in index space.
    pub radius: f32,
}

/// Where the bar of the largest section ends.
const BAR: f64 = 32.0;

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
        let mut by_rows: Vec<(u32, &RunEntry)> = (0..).zip(&opened.runs).collect();
        by_rows.sort_by_key(|(number, run)| (Reverse(run.rows), *number));
        let largest = by_rows.into_iter().take(LARGEST).map(|(number, run)| RunSize {
            run: number,
            bucket: run.bucket,
            rows: run.rows,
            bytes: run.hot.length + run.cold.length,
            radius: run.mean_sq_radius.max(0.0).sqrt(),
        });
        let values = f64::from(identity.rows) * f64::from(identity.dim);
        let bits = |place: fn(&RunEntry) -> Place| {
            opened.runs.iter().map(|run| place(run).length as f64).sum::<f64>() * 8.0 / values
        };
        Self {
            path: opened.file.path().to_owned(),
            length: opened.place.file_length(),
            id: identity.id,
            collection: identity.collection,
            meta: opened.meta.clone(),
            rows: identity.rows,
            sections: sections.collect(),
            runs: identity.runs,
            largest_runs: largest.collect(),
            code_bits: bits(|run| run.hot),
            exact_bits: bits(|run| run.cold),
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
        for field in meta.schema.fields() {
            let null = if field.is_nullable() { "" } else { ", never null" };
            writeln!(f, "  column      '{}' {}{null}", field.name(), field.data_type())?;
        }
        writeln!(f, "  bits        {:.1} of code and {:.1} exact per value", self.code_bits, self.exact_bits)?;
        writeln!(f, "  length      {} bytes", self.length)?;
        self.write_map(f)?;
        self.write_runs(f)
    }
}

impl Description {
    /// The file from its first to its last byte.
    fn write_map(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n  {:<14}{:>14}{:>14}{:>8}", "section", "offset", "bytes", "share")?;
        let mut line = |name: &str, offset: Option<u64>, length: u64| {
            let share = length as f64 / self.length as f64;
            let bar = "#".repeat((share * BAR).round() as usize);
            let offset = offset.map_or(String::new(), |offset| offset.to_string());
            let drawn = format!("  {name:<14}{offset:>14}{length:>14}{:>7.1}%  {bar}", 100.0 * share);
            writeln!(f, "{}", drawn.trim_end())
        };
        line("superblock", Some(0), PAGE as u64)?;
        let mut sections: Vec<_> = self.sections.iter().collect();
        sections.sort_by_key(|section| section.offset);
        for SectionSize { name, offset, length } in &sections {
            line(name, Some(*offset), *length)?;
        }
        let named: u64 = sections.iter().map(|section| section.length).sum();
        line("the rest", None, self.length.saturating_sub(named + PAGE as u64))?;
        writeln!(f, "  (the rest: section table, trailer, and zeros up to the next page)")
    }

    fn write_runs(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n  {:<14}{:>14}{:>14}{:>8}  radius", "largest runs", "bucket", "bytes", "rows")?;
        for RunSize { run, bucket, rows, bytes, radius } in &self.largest_runs {
            writeln!(f, "  {run:<14}{:>14}{bytes:>14}{rows:>8}  {radius:.4}", bucket.0)?;
        }
        writeln!(f, "\n  {:<28}{:>14}", "rows in a run", "runs")?;
        for (power, runs) in &self.runs_by_rows {
            let range = format!("{power}..{}", u64::from(*power) * 2);
            writeln!(f, "  {range:<28}{runs:>14}")?;
        }
        Ok(())
    }
}
