use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// How a collection compares vectors.
///
/// Inside the engine a smaller *score* is always nearer: squared Euclidean distance for
/// [`Metric::L2`] and (between unit vectors) [`Metric::Cosine`], the negated inner product for
/// [`Metric::InnerProduct`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Euclidean distance; `_distance` shows its square.
    #[default]
    L2,
    /// One minus the cosine of the angle; vectors are compared at unit length.
    Cosine,
    /// The negated inner product.
    InnerProduct,
}

impl Metric {
    /// The word SQL and the manifest use.
    pub fn name(self) -> &'static str {
        match self {
            Self::L2 => "l2",
            Self::Cosine => "cosine",
            Self::InnerProduct => "inner_product",
        }
    }

    /// The distance a user sees for an engine score. For unit vectors |x - q|^2 = 2 (1 - cos).
    pub fn distance(self, score: f32) -> f32 {
        match self {
            Self::L2 | Self::InnerProduct => score,
            Self::Cosine => score / 2.0,
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Metric {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word.to_ascii_lowercase().as_str() {
            "l2" | "euclidean" => Ok(Self::L2),
            "cosine" => Ok(Self::Cosine),
            "inner_product" | "ip" | "dot" => Ok(Self::InnerProduct),
            _ => Err(format!("unknown metric '{word}': use l2, cosine or inner_product")),
        }
    }
}
