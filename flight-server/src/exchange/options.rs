//! What a descriptor asks for.

use arrow_flight::FlightDescriptor;
use serde::Deserialize;
use tonic::Status;

use crate::plain::path_name;

/// How many neighbours are found unless the descriptor says.
const K: usize = 10;

/// The search of a stream: the same for all of its queries.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Options {
    /// Where to search.
    pub collection: String,
    /// How many neighbours to find.
    #[serde(default = "default_k")]
    pub k: usize,
    /// The share of the true neighbours to find; unset: what the connection has set.
    pub recall: Option<f32>,
    /// Scan exactly so many buckets instead.
    pub nprobe: Option<usize>,
    /// Compare with every row.
    #[serde(default)]
    pub exact: bool,
    /// Answer with what was found after so many milliseconds; unset: what the connection has set.
    pub deadline_ms: Option<u64>,
    /// Columns to return; unset: the key.
    pub columns: Option<Vec<String>>,
    /// A condition in SQL on stored columns: only rows that match it compete.
    pub filter: Option<String>,
}

fn default_k() -> usize {
    K
}

impl Options {
    /// Reads a descriptor: the collection's name as its path, for a search with the defaults, or a JSON
    /// object as its command.
    ///
    /// # Errors
    /// INVALID_ARGUMENT with what would do.
    pub fn read(descriptor: &FlightDescriptor) -> Result<Self, Status> {
        let options = if descriptor.cmd.is_empty() {
            Self::with_defaults(path_name(descriptor)?)
        } else {
            serde_json::from_slice(&descriptor.cmd).map_err(|e| {
                Status::invalid_argument(format!(
                    "the descriptor's command is no search: {e}; send JSON such as {{\"collection\": \"docs\", \"k\": 10, \"recall\": 0.95, \"columns\": [\"id\"], \"filter\": \"lang = 'en'\"}}, or the collection's name as the path"
                ))
            })?
        };
        match options.k {
            0 => Err(Status::invalid_argument("k is 0: say how many neighbours to find")),
            _ => Ok(options),
        }
    }

    fn with_defaults(collection: &str) -> Self {
        Self {
            collection: collection.to_owned(),
            k: K,
            recall: None,
            nprobe: None,
            exact: false,
            deadline_ms: None,
            columns: None,
            filter: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Options, Status> {
        Options::read(&FlightDescriptor::new_cmd(json.to_owned()))
    }

    #[test]
    fn a_path_and_the_smallest_command_mean_the_same() {
        let path = Options::read(&FlightDescriptor::new_path(vec!["docs".into()])).expect("a path");
        assert_eq!(path, read(r#"{"collection": "docs"}"#).expect("a command"));
        assert_eq!((path.collection.as_str(), path.k, path.exact), ("docs", 10, false));
    }

    #[test]
    fn what_is_no_search_is_refused_with_what_would_be_one() {
        for (json, message) in [
            ("SELECT 1", "is no search"),
            ("[]", "is no search"),
            (r#"{"k": 10}"#, "missing field `collection`"),
            (r#"{"collection": "docs", "recal": 0.9}"#, "unknown field `recal`, expected one of"),
            (r#"{"collection": "docs", "k": -1}"#, "invalid value: integer `-1`"),
            (r#"{"collection": "docs", "k": 0}"#, "k is 0"),
        ] {
            let status = read(json).expect_err(json);
            assert_eq!(status.code(), tonic::Code::InvalidArgument);
            assert!(status.message().contains(message), "{status}");
        }
        assert!(Options::read(&FlightDescriptor::default()).is_err());
    }
}
