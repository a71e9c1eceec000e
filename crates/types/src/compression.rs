use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// How exact vectors are stored. All choices are lossless.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// By codecs that decode about as fast as memory is copied.
    #[default]
    Auto,
    /// As they are.
    Raw,
    /// By whichever codec takes the least room. Real embeddings become about a seventh smaller, and
    /// slower to read.
    Smallest,
}

impl Compression {
    /// The name in options and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Raw => "raw",
            Self::Smallest => "smallest",
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Compression {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let name = name.to_ascii_lowercase();
        [Self::Auto, Self::Raw, Self::Smallest]
            .into_iter()
            .find(|choice| choice.name() == name)
            .ok_or_else(|| format!("unknown compression '{name}': use auto, raw or smallest"))
    }
}
