//! What `SET drift.* = ..` changes.

use std::any::Any;

use datafusion::{
    common::Result,
    config::{ConfigEntry, ConfigExtension, ExtensionOptions},
};

use crate::error::invalid;

/// The settings of a session.
#[derive(Clone, Debug)]
pub struct DriftOptions {
    /// The share of the true nearest neighbours a search should find, in (0, 1].
    pub target_recall: f32,
}

impl Default for DriftOptions {
    fn default() -> Self {
        Self { target_recall: 0.95 }
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
            _ => return Err(invalid(format!("no setting 'drift.{key}': there is drift.target_recall"))),
        }
        Ok(())
    }

    fn entries(&self) -> Vec<ConfigEntry> {
        vec![ConfigEntry {
            key: "drift.target_recall".into(),
            value: Some(self.target_recall.to_string()),
            description: "The share of the true nearest neighbours a search should find, in (0, 1]",
        }]
    }
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
