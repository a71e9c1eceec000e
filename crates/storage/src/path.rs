use crate::{Error, Result};

/// Refuses every path that could leave the store's root or meet its own files (dot names, the lock).
pub(crate) fn validate(path: &str) -> Result<()> {
    let safe = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.contains(['\\', '\0']);
    if path.split('/').all(safe) && path != crate::lock::FILE {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "{path:?} is no object path: use names separated by '/', none empty or starting with a dot"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_leaves_the_root() {
        for good in ["a", "c/01/segment/02.drift", "x..y"] {
            assert!(validate(good).is_ok(), "{good}");
        }
        for bad in ["", "/", "/a", "a/", "a//b", "..", "a/../b", "./a", ".tmp/x", "a\\b", "a\0", "LOCK"] {
            assert!(matches!(validate(bad), Err(Error::Invalid(_))), "{bad}");
        }
    }
}
