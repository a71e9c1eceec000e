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
    /// A bucket or container of an object store, and a prefix in it that may be empty.
    Bucket { service: Service, bucket: String, prefix: String },
}

/// Whose protocol an object store speaks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Service {
    S3,
    Gcs,
    Azblob,
}

impl Service {
    fn of_scheme(scheme: &str) -> Option<Self> {
        match scheme {
            "s3" => Some(Self::S3),
            "gcs" | "gs" => Some(Self::Gcs),
            "azblob" | "az" => Some(Self::Azblob),
            _ => None,
        }
    }
}

impl Location {
    /// Reads a plain path, `file:///path`, `memory://[name]`, `s3://bucket[/prefix]`, and so on.
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
                "credentials do not belong in a store's URI: set them in the environment (docs/object-stores.md)"
                    .into(),
            ));
        }
        match scheme {
            "file" => url
                .to_file_path()
                .map(Self::Local)
                .map_err(|()| Error::Invalid(format!("'{uri}' names no local directory: write file:///absolute/path"))),
            "memory" => Ok(Self::Memory(url.host_str().map(str::to_owned).filter(|name| !name.is_empty()))),
            _ => {
                let service = Service::of_scheme(scheme).ok_or_else(|| {
                    Error::Invalid(format!(
                        "'{scheme}://' is not supported: use a directory, file://, s3://, gcs://, azblob:// or memory://"
                    ))
                })?;
                match url.host_str() {
                    Some(bucket) if !bucket.is_empty() => {
                        Ok(Self::Bucket { service, bucket: bucket.into(), prefix: url.path().trim_matches('/').into() })
                    }
                    _ => Err(Error::Invalid(format!("'{uri}' names no bucket: write {scheme}://bucket/prefix"))),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes() {
        let bucket = |service, bucket: &str, prefix: &str| Location::Bucket {
            service,
            bucket: bucket.into(),
            prefix: prefix.into(),
        };
        for (uri, location) in [
            ("data/db", Location::Local("data/db".into())),
            ("/data/db", Location::Local("/data/db".into())),
            ("file:///data/a%20b", Location::Local("/data/a b".into())),
            ("memory://", Location::Memory(None)),
            ("memory://shared", Location::Memory(Some("shared".into()))),
            ("s3://bucket", bucket(Service::S3, "bucket", "")),
            ("s3://bucket/a/b/", bucket(Service::S3, "bucket", "a/b")),
            ("gcs://bucket/a", bucket(Service::Gcs, "bucket", "a")),
            ("gs://bucket", bucket(Service::Gcs, "bucket", "")),
            ("azblob://container/a", bucket(Service::Azblob, "container", "a")),
            ("az://container/a/b", bucket(Service::Azblob, "container", "a/b")),
        ] {
            assert_eq!(Location::parse(uri).unwrap(), location, "{uri}");
        }
        for bad in ["", "ftp://x/y", "s3://", "gcs:///a", "az://", "s3://key:secret@bucket", "file://host/x", "://x"] {
            assert!(matches!(Location::parse(bad), Err(Error::Invalid(_))), "{bad}");
        }
    }
}
