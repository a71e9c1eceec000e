//! A table for people, lines of CSV for the record, and the figures that were to be reached.

use drift_benches::{
    record::{Record, today},
    stream::Stream,
};

use drift_engine::Result;

use crate::{
    args::Args,
    equal_recall::compare_in_turn,
    home::{Figures, Home, Measured},
    verdict::{Verdict, verdicts},
};

/// Columns of the table: what heads them, the figure, digits behind the point.
const COLUMNS: [(&str, &str, usize); 21] = [
    ("recall", "recall", 3),
    ("p5", "recall_p5", 1),
    ("pred", "recall_predicted", 3),
    ("rows", "rows_scanned", 0),
    ("in L0", "l0_rows", 0),
    ("probed", "buckets_probed", 1),
    ("p50", "p50_us", 0),
    ("p99", "p99_us", 0),
    ("busy99", "busy_p99_us", 0),
    ("ins/s", "insert_rows_per_s", 0),
    ("del/s", "delete_rows_per_s", 0),
    ("w.amp", "write_amplification", 2),
    ("cpu", "maintenance_cpu_share", 2),
    ("clean s", "cleaned_s", 1),
    ("RSS MB", "rss_mb", 0),
    ("cached", "cached_mb", 0),
    ("disk", "disk_over_raw", 2),
    ("live", "live_rows", 0),
    ("dead", "dead_rows", 0),
    ("segs", "segments", 0),
    ("bkts", "buckets", 0),
];

/// Ratios of a step: head, name, what of `drift`, by what of `fresh`, or of `drift` with fixed nprobe.
const RATIOS: [(&str, &str, &str, &str); 8] = [
    ("fresh: rows", "rows_over_fresh", "rows_scanned", "rows_scanned"),
    ("p50", "p50_over_fresh", "p50_us", "p50_us"),
    ("rows at .95", "rows_over_fresh_at_95", "rows_at_95", "rows_at_95"),
    ("p50 at .95", "p50_over_fresh_at_95", "p50_us_at_95", "p50_us_at_95"),
    ("rows at .99", "rows_over_fresh_at_99", "rows_at_99", "rows_at_99"),
    ("p50 at .99", "p50_over_fresh_at_99", "p50_us_at_99", "p50_us_at_99"),
    ("nprobe: at .95", "rows_over_nprobe_at_95", "rows_at_95", "nprobe_rows_at_95"),
    ("at .99", "rows_over_nprobe_at_99", "rows_at_99", "nprobe_rows_at_99"),
];

/// What has been measured so far.
pub struct Report<'a> {
    args: &'a Args,
    stream: &'a Stream,
    /// Variant, step, measurement.
    all: Vec<(&'static str, usize, Measured)>,
}

impl<'a> Report<'a> {
    pub fn new(args: &'a Args, stream: &'a Stream) -> Self {
        println!("{}: {} rows x {} in {} steps", args.name(), stream.rows.len(), stream.rows.dim, stream.steps.len());
        println!("{:>12} {:>8} {}", "step", "", COLUMNS.map(|(head, ..)| format!("{head:>7}")).join(" "));
        Self { args, stream, all: Vec::new() }
    }

    /// Takes and prints a measurement.
    pub fn step(&mut self, variant: &'static str, step: usize, measured: Measured) {
        let cell = |(_, figure, digits): (&str, &str, usize)| match measured.figures.get(figure) {
            value if value.is_nan() => format!("{:>7}", ""),
            value => format!("{value:>7.digits$}"),
        };
        println!("{:>12} {variant:>8} {}", self.stream.steps[step].name, COLUMNS.map(cell).join(" "));
        self.all.push((variant, step, measured));
    }

    /// Asks `drift` at the end of the stream and `fresh` in turn.
    pub async fn in_turn(&mut self, drift: &Home, fresh: &Home) -> Result<()> {
        let last = self.stream.steps.len() - 1;
        let others = self.find("fresh", last).cloned().unwrap_or_default();
        if let Some((.., rested)) = self.all.iter_mut().find(|(v, ..)| *v == "rested") {
            let step = &self.stream.steps[last];
            compare_in_turn((drift, &mut rested.figures), (fresh, &others), self.stream, step).await?;
        }
        Ok(())
    }

    /// Prints how it compares, and writes the record.
    pub fn finish(mut self) {
        self.compare();
        println!("\nactions remembered: {}", self.actions());
        let verdicts = verdicts(&self.all);
        println!("\n{:>52} {:>9} {:>9}", "", "", "to reach");
        verdicts.iter().for_each(|verdict| println!("{verdict}"));
        if let Some(path) = &self.args.run.record {
            self.record(&verdicts).append(path);
        }
    }

    /// Adds to each step of `drift` what it costs beside a fresh index and a fixed number of buckets.
    fn compare(&mut self) {
        println!("\n{:>12} {}", "drift over", RATIOS.map(|(head, ..)| format!("{head:>15}")).join(" "));
        for step in 0..self.stream.steps.len() {
            let fresh = self.find("fresh", step).cloned().unwrap_or_default();
            let Some((.., drift)) = self.all.iter_mut().find(|(v, s, _)| *v == "drift" && *s == step) else { continue };
            let mut cells = String::new();
            for (_, name, figure, other) in RATIOS {
                let other = if other.starts_with("nprobe") { drift.figures.get(other) } else { fresh.get(other) };
                let ratio = drift.figures.get(figure) / other;
                drift.figures.put(name, ratio);
                cells += &if ratio.is_nan() { format!(" {:>15}", "") } else { format!(" {ratio:>15.2}") };
            }
            println!("{:>12}{cells}", self.stream.steps[step].name);
        }
    }

    /// What maintenance did in all.
    fn actions(&self) -> String {
        let rested = self.all.iter().find(|(v, ..)| *v == "rested").map(|(.., measured)| &measured.figures.0);
        let actions = rested.into_iter().flatten().filter_map(|(name, count)| {
            let action = name.strip_prefix("actions_")?;
            (*count > 0.0).then(|| format!("{action} {count}"))
        });
        actions.collect::<Vec<_>>().join(", ")
    }

    fn find(&self, variant: &str, step: usize) -> Option<&Figures> {
        self.all.iter().find(|(v, s, _)| *v == variant && *s == step).map(|(.., measured)| &measured.figures)
    }

    fn record(&self, verdicts: &[Verdict]) -> Record {
        let mut record = Record::new("date,tag,workload,step,variant,figure,value");
        let (date, tag, workload) = (today(), &self.args.run.tag, self.args.name());
        for (variant, step, measured) in &self.all {
            let step = (step + 1).to_string();
            for (figure, value) in measured.figures.0.iter().filter(|(_, value)| !value.is_nan()) {
                record.put(&[&date, tag, workload, &step, variant, figure], *value);
            }
        }
        for Verdict { what, value, .. } in verdicts {
            record.put(&[&date, tag, workload, "0", "whole", &what.replace(',', "")], *value);
        }
        record
    }
}
