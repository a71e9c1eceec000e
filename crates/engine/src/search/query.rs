use std::time::Instant;

use drift_types::Metric;

use crate::{CollectionSchema, Error, Result, SearchRequest};

/// The largest `k` of a search, which keeps its winners in memory.
pub const K_MAX: usize = 100_000;

/// A checked request, in index space.
#[derive(Clone, Debug)]
pub(crate) struct Query {
    pub vector: Vec<f32>,
    pub metric: Metric,
    pub k: usize,
    pub recall: f32,
    pub nprobe: Option<usize>,
    pub ef: Option<usize>,
    pub deadline: Option<Instant>,
}

impl Query {
    pub fn new(request: &SearchRequest, schema: &CollectionSchema, default_recall: f32) -> Result<Self> {
        let recall = request.recall.unwrap_or(default_recall);
        check(request, recall)?;
        Ok(Self {
            vector: index_vector(&request.query, schema)?,
            metric: schema.metric,
            k: request.k,
            recall,
            nprobe: request.nprobe,
            ef: request.ef,
            deadline: request.deadline.and_then(|span| Instant::now().checked_add(span)),
        })
    }

    /// Whether its time is over.
    pub fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// The exact score of a row as inserted; `inv_norm` is one over its length, used under cosine.
    pub fn score(&self, row: &[f32], inv_norm: impl FnOnce() -> f32) -> f32 {
        match self.metric {
            Metric::L2 => drift_kernels::l2_sq(&self.vector, row),
            Metric::InnerProduct => -drift_kernels::dot(&self.vector, row),
            // |x - q|^2 of unit vectors; rounding must not make it negative.
            Metric::Cosine => (2.0 - 2.0 * drift_kernels::dot(&self.vector, row) * inv_norm()).max(0.0),
        }
    }
}

/// Refuses numbers that cannot be asked for.
fn check(request: &SearchRequest, recall: f32) -> Result<()> {
    if !(recall > 0.0 && recall <= 1.0) {
        return Err(Error::invalid(format!("recall {recall} cannot be asked for: use a number above 0, at most 1")));
    }
    if request.k > K_MAX {
        return Err(Error::invalid(format!("k = {} is too large: ask for at most {K_MAX} neighbours", request.k)));
    }
    if request.nprobe == Some(0) {
        return Err(Error::invalid("nprobe = 0 would look nowhere: use at least 1"));
    }
    Ok(())
}

/// A query vector in index space.
fn index_vector(query: &[f32], schema: &CollectionSchema) -> Result<Vec<f32>> {
    if let Some(dim) = schema.dim.filter(|dim| *dim != query.len()) {
        let (given, name) = (query.len(), schema.vector_name());
        return Err(Error::invalid(format!(
            "the query has {given} values where '{name}' has {dim}: use the model the rows were made with"
        )));
    }
    if let Some(i) = query.iter().position(|v| !v.is_finite()) {
        return Err(Error::invalid(format!("value {i} of the query is {}: use finite numbers", query[i])));
    }
    let norm_sq = drift_kernels::norm_sq(query);
    if !norm_sq.is_finite() {
        return Err(Error::invalid("the query is too long for 32-bit arithmetic: scale the vectors down"));
    }
    let mut vector = query.to_vec();
    if schema.metric == Metric::Cosine {
        if norm_sq < f32::MIN_POSITIVE {
            return Err(Error::invalid("a query of length zero has no direction for cosine: use another query or l2"));
        }
        drift_kernels::scale(&mut vector, 1.0 / norm_sq.sqrt());
    }
    Ok(vector)
}

/// Rows scaled to unit length, with what they were multiplied by.
pub(crate) fn unit_rows(data: &[f32], dim: usize) -> (Vec<f32>, Vec<f32>) {
    let mut unit = data.to_vec();
    let inv_norms = unit
        .chunks_exact_mut(dim)
        .map(|row| {
            let inv = 1.0 / drift_kernels::norm_sq(row).sqrt();
            drift_kernels::scale(row, inv);
            inv
        })
        .collect();
    (unit, inv_norms)
}
