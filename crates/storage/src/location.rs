use std::path::PathBuf;

use url::Url;

use crate::{Error, Result};

/// Where a store's root is.
#[derive(Debug, PartialEq)]
pub(crate) enum Location {
    /// A directory.
    Local(PathBuf),
    /// The process's memory; unnamed is private.
    Memory(Option<String>),
    /// A bucket, and a prefix in it that may be empty.
    S3 { bucket: String, prefix: String },
}

impl Location {
    /// Reads a plain path, `file:///path`, `memory://[name]` or `s3://bucket[/prefix]`.
    pub(crate) fn parse(uri: &str) -> Result<Self> {
        let Some((scheme, _)) = uri.split_once("://") else {
            return match uri {
                "" => Err(Error::Invalid("the store's URI is empty: give a directory or s3://bucket/prefix".into())),
                path => Ok(Self::Local(path.into())),
            };
        };
        let url = Url::parse(uri).map_err(|e| Error::Invalid(format!("'{uri}' is no URI: {e}")))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Error::Invalid(
                "credentials do not belong in a store's URI: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY".into(),
            ));
        }
        match scheme {
            "file" => url
                .to_file_path()
                .map(Self::Local)
                .map_err(|()| Error::Invalid(format!("'{uri}' names no local directory: write file:///absolute/path"))),
            "memory" => Ok(Self::Memory(url.host_str().map(str::to_owned).filter(|name| !name.is_empty()))),
            "s3" => match url.host_str() {
                Some(bucket) if !bucket.is_empty() => {
                    Ok(Self::S3 { bucket: bucket.into(), prefix: url.path().trim_matches('/').into() })
                }
                _ => Err(Error::Invalid(format!("'{uri}' names no bucket: write s3://bucket/prefix"))),
            },
            _ => Err(Error::Invalid(format!(
                "'{scheme}://' is not supported: use a directory, file://, s3:// or memory://"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes() {
        let s3 = |bucket: &str, prefix: &str| Location::S3 { bucket: bucket.into(), prefix: prefix.into() };
        for (uri, location) in [
            ("data/db", Location::Local("data/db".into())),
            ("/data/db", Location::Local("/data/db".into())),
            ("file:///data/a%20b", Location::Local("/data/a b".into())),
            ("memory://", Location::Memory(None)),
            ("memory://shared", Location::Memory(Some("shared".into()))),
            ("s3://bucket", s3("bucket", "")),
            ("s3://bucket/a/b/", s3("bucket", "a/b")),
        ] {
            assert_eq!(Location::parse(uri).unwrap(), location, "{uri}");
        }
        for bad in ["", "ftp://x/y", "s3://", "s3://key:secret@bucket", "file://host/x", "://x"] {
            assert!(matches!(Location::parse(bad), Err(Error::Invalid(_))), "{bad}");
        }
    }
}
