//! What `SET drift.* = ..` changes.

use std::{any::Any, time::Duration};

use datafusion::{
    common::Result,
    config::{ConfigEntry, ConfigExtension, ConfigOptions, ExtensionOptions},
};

use crate::error::invalid;

/// The settings of a session.
#[derive(Clone, Debug)]
pub struct DriftOptions {
    /// The share of the true nearest neighbours a search should find, in (0, 1].
    pub target_recall: f32,
    /// After how many milliseconds a search answers with what it has found until then; 0: never.
    pub deadline_ms: u64,
}

impl DriftOptions {
    /// The settings in force in a session of this `config`.
    pub fn of(config: &ConfigOptions) -> Self {
        config.extensions.get().cloned().unwrap_or_default()
    }

    /// How long a search may look for more.
    pub fn deadline(&self) -> Option<Duration> {
        (self.deadline_ms > 0).then(|| Duration::from_millis(self.deadline_ms))
    }
}

impl Default for DriftOptions {
    fn default() -> Self {
        Self { target_recall: 0.95, deadline_ms: 0 }
    }
}

impl ConfigExtension for DriftOptions {
    const PREFIX: &'static str = "drift";
}

impl ExtensionOptions for DriftOptions {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn cloned(&self) -> Box<dyn ExtensionOptions> {
        Box::new(self.clone())
    }

    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        match key {
            "target_recall" => self.target_recall = parse_recall(value)?,
            "deadline_ms" => self.deadline_ms = parse_deadline(value)?,
            _ => {
                let known = "there are drift.target_recall and drift.deadline_ms";
                return Err(invalid(format!("no setting 'drift.{key}': {known}")));
            }
        }
        Ok(())
    }

    fn entries(&self) -> Vec<ConfigEntry> {
        vec![
            ConfigEntry {
                key: "drift.target_recall".into(),
                value: Some(self.target_recall.to_string()),
                description: "The share of the true nearest neighbours a search should find, in (0, 1]",
            },
            ConfigEntry {
                key: "drift.deadline_ms".into(),
                value: Some(self.deadline_ms.to_string()),
                description: "After how many milliseconds a search answers with what it has found; 0: never",
            },
        ]
    }
}

fn parse_deadline(value: &str) -> Result<u64> {
    let refused = || invalid(format!("the deadline is '{value}': give a whole number of milliseconds, 0 for none"));
    value.trim().parse().map_err(|_| refused())
}

fn parse_recall(value: &str) -> Result<f32> {
    check_recall(
        value.trim().parse().map_err(|_| invalid(format!("the recall is '{value}': give a number in (0, 1]")))?,
    )
}

/// `recall`, if it is one that can be reached.
pub(crate) fn check_recall(recall: f32) -> Result<f32> {
    if recall > 0.0 && recall <= 1.0 {
        Ok(recall)
    } else {
        Err(invalid(format!("the recall is {recall}: give a number in (0, 1], such as 0.95")))
    }
}
