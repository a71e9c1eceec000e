//! The figures that are to be reached when 0.95 is asked, beside those that were.

use crate::variant::Measured;

/// Queries whose mean recall is looked at together.
const WINDOW: usize = 500;

/// Prints them of `drift`.
pub fn print(all: &[(&'static str, usize, Measured)]) {
    let steps: Vec<&Measured> = all.iter().filter(|(v, ..)| *v == "drift").map(|(.., measured)| measured).collect();
    let of = |figure: &str| {
        let values = steps.iter().map(|m| m.figures.get(figure));
        values.filter(|value| !value.is_nan()).collect::<Vec<f64>>()
    };
    let sum = |figure: &str| of(figure).iter().sum::<f64>();
    let recalls: Vec<f64> = steps.iter().flat_map(|m| m.recalls.iter().copied()).collect();
    let quiet_p99 = median(of("p99_us"));

    println!("\n{:>44} {:>9} {:>9}", "", "", "to reach");
    at_least("recall", mean(&recalls), 0.94);
    at_least("smallest mean recall of 500 queries in a row", smallest_window(&recalls), 0.93);
    for (what, figure, most) in [
        ("rows scanned / fresh, mean of steps", "rows_over_fresh", 1.15),
        ("time / fresh, median of steps", "us_over_fresh", 1.15),
        ("rows scanned / fresh at recall .95", "rows_over_fresh_at_95", 1.15),
        ("rows scanned / fresh at recall .99", "rows_over_fresh_at_99", 1.15),
        ("rows scanned / fixed nprobe at recall .95", "rows_over_nprobe_at_95", 0.85),
        ("rows scanned / fixed nprobe at recall .99", "rows_over_nprobe_at_99", 0.70),
    ] {
        at_most(what, if figure == "us_over_fresh" { median(of(figure)) } else { mean(&of(figure)) }, most);
    }
    at_most("p99 while rows come, median of steps, us", median(of("busy_p99_us")), (3.0 * quiet_p99).max(3_000.0));
    at_most("maintenance, share of CPU", sum("maintenance_cpu_s") / sum("cores_s"), 0.25);
    at_most("audits, share of CPU", sum("audit_cpu_s") / sum("cores_s"), 0.05);
    at_most("write amplification", of("write_amplification").last().copied().unwrap_or(f64::NAN), 6.0);
    at_most("dead rows cleaned after, s", of("cleaned_s").into_iter().fold(f64::NAN, f64::max), 10.0);
}

fn at_least(what: &str, value: f64, bound: f64) {
    line(what, value, ">=", bound, value >= bound);
}

fn at_most(what: &str, value: f64, bound: f64) {
    line(what, value, "<=", bound, value <= bound);
}

fn line(what: &str, value: f64, relation: &str, bound: f64, reached: bool) {
    if !value.is_nan() {
        let digits = if bound >= 100.0 { 0 } else { 3 };
        let missed = if reached { "" } else { "  missed" };
        println!("{what:>44} {value:>9.digits$} {relation} {bound:>6.digits$}{missed}");
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
