//! Collections in figures, from the engine or from a server's action `stats`.

use drift_engine::{Collection, CollectionLook, CollectionSchema, CollectionStatus};
use serde_json::Value;

use crate::progress::{bytes, thousands};

/// What `drift list` shows of a collection.
pub(crate) struct Figures {
    pub name: String,
    pub metric: String,
    /// `None` until the first row fixes it.
    pub dimension: Option<u64>,
    pub rows: u64,
    pub l0_rows: u64,
    pub segments: u64,
    pub buckets: u64,
    pub segment_bytes: u64,
}

impl Figures {
    pub fn of(collection: &Collection) -> Self {
        Self::new(collection.name(), &collection.schema(), &collection.status())
    }

    /// What a look at the files shows; rows that only the log has count as L0.
    pub fn seen(look: &CollectionLook) -> Self {
        Self::new(&look.name, &look.schema, &look.status)
    }

    fn new(name: &str, schema: &CollectionSchema, status: &CollectionStatus) -> Self {
        Self {
            name: name.to_owned(),
            metric: schema.metric.to_string(),
            dimension: schema.dim.map(|dim| dim as u64),
            rows: status.rows,
            l0_rows: status.l0_rows,
            segments: status.segments as u64,
            buckets: status.buckets as u64,
            segment_bytes: status.segment_bytes,
        }
    }

    /// The answer of `stats`: an array with an object per collection.
    pub fn of_json(answer: &Value) -> Vec<Self> {
        let text = |object: &Value, key: &str| object[key].as_str().unwrap_or_default().to_owned();
        let number = |object: &Value, key: &str| object[key].as_u64().unwrap_or_default();
        let figures = |object: &Value| Self {
            name: text(object, "collection"),
            metric: text(object, "metric"),
            dimension: object["dimension"].as_u64(),
            rows: number(object, "rows"),
            l0_rows: number(object, "l0_rows"),
            segments: number(object, "segments"),
            buckets: number(object, "buckets"),
            segment_bytes: number(object, "segment_bytes"),
        };
        answer.as_array().into_iter().flatten().map(figures).collect()
    }

    fn cells(&self) -> [String; COLUMNS.len()] {
        [
            self.name.clone(),
            self.metric.clone(),
            self.dimension.map_or("-".into(), |dim| dim.to_string()),
            thousands(self.rows),
            thousands(self.l0_rows),
            thousands(self.segments),
            thousands(self.buckets),
            bytes(self.segment_bytes),
        ]
    }
}

const COLUMNS: [&str; 8] = ["collection", "metric", "dimension", "rows", "in L0", "segments", "buckets", "on disk"];
/// Columns from here on hold numbers and stand to the right.
const NUMBERS_FROM: usize = 2;

/// Prints figures as a table.
pub(crate) fn print(figures: &[Figures]) {
    let rows: Vec<_> = std::iter::once(COLUMNS.map(str::to_owned)).chain(figures.iter().map(Figures::cells)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..COLUMNS.len()).map(width).collect();
    for row in &rows {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| {
            if column < NUMBERS_FROM { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        println!("{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
}
