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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_power_law_is_read_off_exactly() {
        let cost = |recall: f64| 7.0 / (1.0 - recall).sqrt();
        let points = [0.99, 0.8, 0.97].map(|recall| Point { recall, cost: cost(recall) });
        for recall in [0.81, 0.95, 0.97, 0.98] {
            let found = cost_at(recall, points).unwrap();
            assert!((found / cost(recall) - 1.0).abs() < 1e-9, "{found} at {recall}");
        }
    }

    #[test]
    fn nothing_is_told_beyond_what_was_measured() {
        let points = [Point { recall: 0.8, cost: 1.0 }, Point { recall: 0.9, cost: 2.0 }];
        assert_eq!(cost_at(0.7, points), None);
        assert_eq!(cost_at(0.95, points), None);
    }
}
