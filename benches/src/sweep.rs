//! Cost at equal recall: what a search costs is measured at several settings, and read off between them.

/// A setting that was measured.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    /// Mean recall.
    pub recall: f64,
    /// Cost, in any unit.
    pub cost: f64,
}

/// The cost at a recall, between the two measured points around it: straight in ln(cost) over
/// ln(1 - recall), as which such curves look. None outside of what was measured.
pub fn cost_at(recall: f64, points: impl IntoIterator<Item = Point>) -> Option<f64> {
    let mut points: Vec<Point> = points.into_iter().collect();
    points.sort_by(|a, b| a.recall.total_cmp(&b.recall));
    let above = points.iter().position(|p| p.recall >= recall)?;
    let (high, low) = (points[above], points[above.checked_sub(1)?]);
    let missing = |recall: f64| (1.0 - recall).max(1e-4).ln();
    let share = (missing(recall) - missing(low.recall)) / (missing(high.recall) - missing(low.recall));
    Some((low.cost.ln() + share * (high.cost.ln() - low.cost.ln())).exp())
}
