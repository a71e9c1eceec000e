//! The figures that are to be reached when 0.95 is asked, beside those that were.

use std::fmt;

use crate::home::Measured;

/// Queries whose mean recall is looked at together.
const WINDOW: usize = 500;

/// A figure of the whole run.
pub struct Verdict {
    pub what: &'static str,
    pub value: f64,
    at_least: bool,
    bound: f64,
}

/// Those of `drift` that could be measured.
pub fn verdicts(all: &[(&'static str, usize, Measured)]) -> Vec<Verdict> {
    let drift: Vec<&Measured> = all.iter().filter(|(v, ..)| *v == "drift").map(|(.., measured)| measured).collect();
    let of = |figure: &str| {
        let values = drift.iter().map(|m| m.figures.get(figure));
        values.filter(|value| !value.is_nan()).collect::<Vec<f64>>()
    };
    let rested = |figure: &str| all.iter().find(|(v, ..)| *v == "rested").map_or(f64::NAN, |r| r.2.figures.get(figure));
    let share_of_cpu = |figure: &str| of(figure).iter().sum::<f64>() / of("cores_s").iter().sum::<f64>();
    let recalls: Vec<f64> = drift.iter().flat_map(|m| m.recalls.iter().copied()).collect();

    let busy = median(of("busy_p99_us"));
    let verdicts = [
        at_least("recall, all queries of all steps", mean(&recalls), 0.94),
        at_least("smallest mean recall of 500 queries in a row", smallest_window(&recalls), 0.93),
        at_most("rows scanned / fresh, mean of steps", mean(&of("rows_over_fresh")), 1.15),
        at_most("rows scanned / fresh at recall .95, mean of steps", mean(&of("rows_over_fresh_at_95")), 1.15),
        at_most("rows scanned / fresh at recall .99, mean of steps", mean(&of("rows_over_fresh_at_99")), 1.15),
        at_most("time / fresh in the end", rested("time_over_fresh"), 1.15),
        at_most("time / fresh in the end at recall .95", rested("time_over_fresh_at_95"), 1.15),
        at_most("time / fresh in the end at recall .99", rested("time_over_fresh_at_99"), 1.15),
        at_most("rows scanned / fixed nprobe at recall .95, mean", mean(&of("rows_over_nprobe_at_95")), 0.85),
        at_most("rows scanned / fixed nprobe at recall .99, mean", mean(&of("rows_over_nprobe_at_99")), 0.70),
        at_most("p99 while rows come, us, median of steps", busy, (3.0 * rested("p99_us")).max(3_000.0)),
        at_most("maintenance, share of CPU", share_of_cpu("maintenance_cpu_s"), 0.25),
        at_most("audits, share of CPU", rested("audit_cpu_share"), 0.05),
        at_most("write amplification, work left included", rested("write_amplification"), 6.0),
        at_most("dead rows cleaned after, s", of("cleaned_s").into_iter().fold(f64::NAN, f64::max), 10.0),
    ];
    verdicts.into_iter().filter(|verdict| !verdict.value.is_nan()).collect()
}

fn at_least(what: &'static str, value: f64, bound: f64) -> Verdict {
    Verdict { what, value, at_least: true, bound }
}

fn at_most(what: &'static str, value: f64, bound: f64) -> Verdict {
    Verdict { what, value, at_least: false, bound }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, value, at_least, bound } = *self;
        let (relation, reached) = if at_least { (">=", value >= bound) } else { ("<=", value <= bound) };
        let digits = if bound >= 100.0 { 0 } else { 3 };
        let missed = if reached { "" } else { "  missed" };
        write!(f, "{what:>52} {value:>9.digits$} {relation} {bound:>6.digits$}{missed}")
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn median(values: Vec<f64>) -> f64 {
    drift_benches::ask::quantile(values, 0.5)
}

/// NaN of fewer values than one window.
fn smallest_window(values: &[f64]) -> f64 {
    values.windows(WINDOW).map(mean).fold(f64::NAN, f64::min)
}
