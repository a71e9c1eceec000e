//! What goes to the screen and into the record.

use drift_benches::{ask::Asked, record::Record};

use crate::set::Met;

pub struct Report {
    tag: String,
    pub record: Record,
}

impl Report {
    pub fn new(tag: String) -> Self {
        let record = Record::new("date machine commit,axis,at,recall asked,figure,value");
        Self { tag, record }
    }

    /// A figure where `axis` has the value `at`.
    pub fn put(&mut self, axis: &str, at: f64, asked: f32, figure: &str, value: f64) {
        self.record.put(&[&self.tag, axis, &at.to_string(), &asked.to_string(), figure], value);
    }

    /// Of one client.
    pub fn asked(&mut self, axis: &str, at: f64, recall_asked: f32, asked: &Asked) {
        let figures = [
            ("recall", asked.recall()),
            ("p50_us", asked.latencies.at_us(0.5)),
            ("p99_us", asked.latencies.at_us(0.99)),
            ("qps", 1e6 / asked.latencies.mean_us()),
            ("rows_scanned", asked.rows),
            ("buckets_probed", asked.buckets),
            ("rows_reranked", asked.reranked),
        ];
        self.all(axis, at, recall_asked, &figures);
    }

    /// Of several clients.
    pub fn together(&mut self, clients: usize, met: &Met) {
        let figures = [
            ("recall", met.recall),
            ("p50_us", met.latencies.at_us(0.5)),
            ("p99_us", met.latencies.at_us(0.99)),
            ("qps", met.queries_per_s),
        ];
        self.all("clients", clients as f64, 0.95, &figures);
    }

    fn all(&mut self, axis: &str, at: f64, asked: f32, figures: &[(&str, f64)]) {
        let told: Vec<String> = figures.iter().map(|(figure, value)| format!("{figure} {}", short(*value))).collect();
        println!("{axis} {at}, {asked} asked: {}", told.join(", "));
        for (figure, value) in figures {
            self.put(axis, at, asked, figure, *value);
        }
    }
}

fn short(value: f64) -> String {
    if value.abs() < 2.0 { format!("{value:.4}") } else { format!("{value:.0}") }
}
