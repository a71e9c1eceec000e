use std::{
    fs::File,
    io::{Read, Write},
    path::Path,
};

use rustix::fs::{FlockOperation, flock};

use crate::{Error, Result, local};

/// The lock file's name in a local root.
pub(crate) const FILE: &str = "LOCK";

/// The right to write to a store, until dropped. The system releases it when the process dies.
#[derive(Debug)]
pub struct StoreLock {
    /// The locked file; none where the store has no lock and fencing alone decides.
    _file: Option<File>,
}

impl StoreLock {
    /// A lock for stores without one.
    pub(crate) fn unlocked() -> Self {
        Self { _file: None }
    }

    /// Locks `<root>/LOCK` and writes our process id into it.
    pub(crate) fn acquire(root: &Path) -> Result<Self> {
        let path = root.join(FILE);
        let io = |source| local::io_error(&path, source);
        // Not truncated on open: the content belongs to the holder.
        let mut file = File::options().read(true).write(true).create(true).truncate(false).open(&path).map_err(io)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(Error::InUse { pid: holder(&mut file) });
            }
            Err(errno) => return Err(io(errno.into())),
        }
        file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(io)?;
        Ok(Self { _file: Some(file) })
    }
}

/// The process id written in a lock file.
fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_writer_is_told_who_holds_it() {
        let dir = tempfile::tempdir().unwrap();
        let lock = StoreLock::acquire(dir.path()).unwrap();
        let error = StoreLock::acquire(dir.path()).unwrap_err();
        assert!(matches!(error, Error::InUse { pid: Some(pid) } if pid == std::process::id()));
        assert!(error.to_string().contains("--host"), "{error}");
        drop(lock);
        StoreLock::acquire(dir.path()).unwrap();
    }
}
