//! What maintenance did, as the collection remembers it.

use std::collections::BTreeMap;

use drift_engine::Collection;

/// Prints what state the buckets are in.
pub fn print_buckets(name: &str, collection: &Collection) {
    let buckets = collection.bucket_reports();
    let rows: u64 = buckets.iter().map(|b| u64::from(b.rows)).sum();
    let mean = |of: &dyn Fn(&drift_engine::BucketReport) -> f64| {
        buckets.iter().map(|b| f64::from(b.rows) * of(b)).sum::<f64>() / rows.max(1) as f64
    };
    let mut sizes: Vec<u32> = buckets.iter().map(|b| b.rows).collect();
    sizes.sort_unstable();
    let at = |share: f64| sizes[(share * (sizes.len() - 1) as f64) as usize];
    println!(
        "  {name}: {} buckets of {} to {} rows (5 % to 95 %); mean over rows: radius^2 {:.4}, drift {:.3}, runs {:.1}, misplaced {:.3}",
        buckets.len(),
        at(0.05),
        at(0.95),
        mean(&|b| f64::from(b.radius).powi(2)),
        mean(&|b| f64::from(b.drift)),
        mean(&|b| f64::from(b.runs)),
        mean(&|b| f64::from(b.misplaced)),
    );
}

/// Prints how often each action was taken, for how many rows.
pub fn print_deeds(collection: &Collection) {
    let mut deeds: BTreeMap<(&str, String), (u64, u64, u64)> = BTreeMap::new();
    for event in collection.events() {
        // Causes that differ only in their figures are one.
        let cause: String = event.cause.chars().filter(|c| !c.is_ascii_digit() && *c != '.').collect();
        let deed = deeds.entry((event.action.name(), cause)).or_default();
        deed.0 += 1;
        deed.1 += event.rows_before;
        deed.2 += event.rows_moved;
    }
    println!("\n  {:>10} {:>32} {:>7} {:>10} {:>8}", "action", "cause", "times", "rows", "moved");
    for ((action, cause), (times, rows, moved)) in deeds {
        println!("  {action:>10} {cause:>32} {times:>7} {rows:>10} {moved:>8}");
    }
}
