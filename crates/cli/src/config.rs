//! `drift config`: the settings in force, and the environment that sets them.

use std::env;

use clap::Args;
use drift_engine::Settings;
use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// Print the settings in force, as the environment variables that set them.
#[derive(Args)]
pub(crate) struct Config {}

impl Config {
    pub async fn run(self) -> Result<()> {
        for (name, value) in object(&settings()?) {
            match value {
                Value::Null => println!("# {} is not set", variable(&name)),
                Value::String(text) => println!("{}={text}", variable(&name)),
                other => println!("{}={other}", variable(&name)),
            }
        }
        Ok(())
    }
}

/// The default settings, each replaced by its variable `DRIFT_<NAME>` where that is set.
///
/// # Errors
/// Names the variable that cannot be.
pub(crate) fn settings() -> Result<Settings> {
    settings_from(|name| env::var(name).ok())
}

fn settings_from(lookup: impl Fn(&str) -> Option<String>) -> Result<Settings> {
    let mut settings = Settings::default();
    for (name, default) in object(&settings) {
        let variable = variable(&name);
        let Some(text) = lookup(&variable) else { continue };
        // What is no number stands for itself: DRIFT_DURABILITY=interval.
        let value = serde_json::from_str(&text).unwrap_or_else(|_| Value::String(text.clone()));
        let mut changed = object(&settings);
        changed.insert(name, value);
        settings = serde_json::from_value(Value::Object(changed))
            .map_err(|e| Error::invalid(format!("{variable}={text} cannot be: {e}; the default is {default}")))?;
    }
    Ok(settings)
}

/// Goes through text, where a 32-bit 0.95 is `0.95` and not the 64-bit number next to it.
fn object(settings: &Settings) -> Map<String, Value> {
    let text = serde_json::to_string(settings).expect("settings are plain data");
    serde_json::from_str(&text).expect("settings have names")
}

fn variable(name: &str) -> String {
    format!("DRIFT_{}", name.to_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &str, value: &str) -> Result<Settings> {
        settings_from(|asked| (asked == name).then(|| value.to_owned()))
    }

    #[test]
    fn a_variable_replaces_its_setting_alone() {
        let expected = Settings { memtable_rows_max: 7, ..Settings::default() };
        assert_eq!(with("DRIFT_MEMTABLE_ROWS_MAX", "7").unwrap(), expected);
        assert_eq!(with("DRIFT_WAL_DIR", "/log").unwrap().wal_dir, Some("/log".into()));
        assert_ne!(with("DRIFT_DURABILITY", "interval").unwrap(), Settings::default());
        assert_eq!(with("DRIFT_DB", "elsewhere").unwrap(), Settings::default());
    }

    #[test]
    fn a_value_that_cannot_be_names_its_variable() {
        for (name, value) in [("DRIFT_CACHE_BYTES", "much"), ("DRIFT_DURABILITY", "maybe"), ("DRIFT_SEED", "-1")] {
            let error = with(name, value).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains(value), "{error}");
        }
    }
}
