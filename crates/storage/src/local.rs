//! A directory as a store: durable, atomic creation and positional reads.
//!
//! Creation is our own because no common client offers it: opendal's `fs` service either writes
//! in place under the final name or checks and then renames, and syncs no directory; a crash or a
//! race would then show torn or doubly created objects.

use std::{
    collections::HashSet,
    fs::{self, File},
    io::{self, ErrorKind, Write},
    ops::Range,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use ulid::Ulid;

use crate::{Error, Put, Result, direct::DirectIo};

/// Unfinished files live here, so that no listing meets them and one sweep finds them.
const TMP: &str = ".tmp";

/// Objects kept open for reading ranges.
const OPEN_FILES: usize = 256;

/// A store below a directory. All methods block; paths are validated by the caller.
#[derive(Debug)]
pub(crate) struct Local {
    root: PathBuf,
    /// Objects are immutable, so an open file stays true until its object is deleted.
    open: quick_cache::sync::Cache<String, Arc<File>>,
    direct_io: DirectIo,
    /// Directories known to survive a power loss.
    durable: Mutex<HashSet<PathBuf>>,
}

impl Local {
    /// Opens the directory `root`, made if missing.
    pub(crate) fn open(root: &Path) -> Result<Self> {
        let root = std::path::absolute(root).map_err(|e| io_error(root, e))?;
        create_dir_durably(&root)?;
        let root = root.canonicalize().map_err(|e| io_error(&root, e))?;
        let open = quick_cache::sync::Cache::new(OPEN_FILES);
        Ok(Self { root, open, direct_io: DirectIo::new(true), durable: Mutex::default() })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn direct_io(&self) -> &DirectIo {
        &self.direct_io
    }

    pub(crate) fn read(&self, path: &str) -> Result<Bytes> {
        fs::read(self.root.join(path)).map(Bytes::from).map_err(|e| self.read_error(path, e))
    }

    pub(crate) fn read_range(&self, path: &str, range: Range<u64>) -> Result<Bytes> {
        let file = self.file(path)?;
        let length = file.metadata().map_err(|e| self.read_error(path, e))?.len();
        // Checked before anything is allocated: the range may come from a corrupt file.
        if range.end > length {
            return Err(Error::Corrupt { path: path.into(), range, length });
        }
        self.direct_io.read(&file, range).map_err(|e| self.read_error(path, e))
    }

    pub(crate) fn len(&self, path: &str) -> Result<u64> {
        fs::metadata(self.root.join(path)).map(|file| file.len()).map_err(|e| self.read_error(path, e))
    }

    pub(crate) fn exists(&self, path: &str) -> Result<bool> {
        let full = self.root.join(path);
        full.try_exists().map_err(|e| io_error(&full, e))
    }

    /// Creates `path` with `bytes`, whole and durable, unless it exists.
    ///
    /// link(2) fails if the name is taken, so of any number of racing creators exactly one wins;
    /// the content was synced before it got its name, so the name never shows less than all of it.
    pub(crate) fn put_if_absent(&self, path: &str, bytes: &[u8]) -> Result<Put> {
        let target = self.root.join(path);
        let dir = target.parent().expect("an object path has a parent below the root");
        self.ensure_dir(dir)?;
        self.ensure_dir(&self.root.join(TMP))?;

        let tmp = self.root.join(TMP).join(Ulid::new().to_string());
        let linked = write_synced(&tmp, bytes).and_then(|()| fs::hard_link(&tmp, &target));
        // A left-over is swept by the next writer; it must not hide what happened.
        let _ = fs::remove_file(&tmp);
        let put = match linked {
            Ok(()) => Put::Created,
            Err(e) if e.kind() == ErrorKind::AlreadyExists => Put::Exists,
            Err(e) => return Err(io_error(&target, e)),
        };
        // Also when it exists: who sees it must not act on a name that a power loss takes back.
        sync_dir(dir)?;
        Ok(put)
    }

    pub(crate) fn delete(&self, path: &str) -> Result<()> {
        let full = self.root.join(path);
        self.open.remove(path);
        match fs::remove_file(&full) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(io_error(&full, e)),
            _ => Ok(()),
        }
    }

    /// Removes `dir` and the directories below it that are empty. Who creates something in them at the
    /// same moment may be told that they are missing.
    pub(crate) fn remove_empty_dirs(&self, dir: &str) -> Result<()> {
        let full = self.root.join(dir);
        // First forgotten, so that whoever comes later makes them again.
        self.durable.lock().unwrap_or_else(PoisonError::into_inner).retain(|known| !known.starts_with(&full));
        remove_if_empty(&full).map_err(|e| io_error(&full, e))
    }

    pub(crate) fn list(&self, dir: &str) -> Result<Vec<String>> {
        let full = self.root.join(dir);
        let entries = match fs::read_dir(&full) {
            Ok(entries) => entries,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(io_error(&full, e)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|e| io_error(&full, e))?;
            if entry.file_type().map_err(|e| io_error(&full, e))?.is_file() {
                // A name that is not UTF-8 is none of ours.
                names.extend(entry.file_name().into_string());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Removes what crashed writers left unfinished. Only for the holder of the lock.
    pub(crate) fn sweep(&self) -> Result<()> {
        let tmp = self.root.join(TMP);
        match fs::read_dir(&tmp) {
            Ok(mut entries) => {
                entries.try_for_each(|entry| fs::remove_file(entry?.path())).map_err(|e| io_error(&tmp, e))
            }
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
            Err(e) => Err(io_error(&tmp, e)),
        }
    }

    fn file(&self, path: &str) -> Result<Arc<File>> {
        self.open.get_or_insert_with(path, || {
            self.direct_io.open(&self.root.join(path)).map(Arc::new).map_err(|e| self.read_error(path, e))
        })
    }

    fn read_error(&self, path: &str, error: io::Error) -> Error {
        match error.kind() {
            ErrorKind::NotFound => Error::NotFound { path: path.into() },
            _ => io_error(&self.root.join(path), error),
        }
    }

    /// Makes `dir`, somewhere below the root, and sees to it once that it survives a power loss,
    /// also when another writer has made it but not yet synced its parent.
    fn ensure_dir(&self, dir: &Path) -> Result<()> {
        let durable = || self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        if dir == self.root || durable().contains(dir) {
            return Ok(());
        }
        let parent = dir.parent().expect("a directory below the root has a parent");
        self.ensure_dir(parent)?;
        make_dir(dir)?;
        sync_dir(parent)?;
        durable().insert(dir.to_path_buf());
        Ok(())
    }
}

/// Makes `dir` and its missing ancestors, each synced into its parent.
fn create_dir_durably(dir: &Path) -> Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(parent) = dir.parent() {
        create_dir_durably(parent)?;
        make_dir(dir)?;
        sync_dir(parent)?;
    }
    Ok(())
}

/// Makes one directory; fine if it is there.
fn make_dir(dir: &Path) -> Result<()> {
    match fs::create_dir(dir) {
        Err(e) if e.kind() != ErrorKind::AlreadyExists => Err(io_error(dir, e)),
        _ => Ok(()),
    }
}

fn remove_if_empty(dir: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(dir) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_if_empty(&entry.path())?;
        }
    }
    match fs::remove_dir(dir) {
        Err(e) if !matches!(e.kind(), ErrorKind::NotFound | ErrorKind::DirectoryNotEmpty) => Err(e),
        _ => Ok(()),
    }
}

/// Writes a new file down to the disk.
fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Makes the names in `dir` survive a power loss.
fn sync_dir(dir: &Path) -> Result<()> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(|e| io_error(dir, e))
}

pub(crate) fn io_error(path: &Path, source: io::Error) -> Error {
    Error::Io { path: path.display().to_string(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_removes_only_the_unfinished() {
        let dir = tempfile::tempdir().unwrap();
        let local = Local::open(&dir.path().join("new/deep")).unwrap();
        local.put_if_absent("a/b", b"whole").unwrap();
        let tmp = local.root().join(TMP);
        assert_eq!(fs::read_dir(&tmp).unwrap().count(), 0);
        fs::write(tmp.join("torn"), b"wh").unwrap();
        local.sweep().unwrap();
        assert_eq!(fs::read_dir(&tmp).unwrap().count(), 0);
        assert_eq!(local.read("a/b").unwrap(), "whole");
    }

    #[test]
    fn empty_directories_go_and_can_be_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let local = Local::open(dir.path()).unwrap();
        for path in ["c/x/segment/s", "c/x/manifest/m", "c/y/manifest/m"] {
            local.put_if_absent(path, b"1").unwrap();
        }
        local.delete("c/x/segment/s").unwrap();
        local.remove_empty_dirs("c/x").unwrap();
        assert!(!dir.path().join("c/x/segment").exists() && dir.path().join("c/x/manifest/m").exists());
        local.delete("c/x/manifest/m").unwrap();
        local.remove_empty_dirs("c/x").unwrap();
        assert!(!dir.path().join("c/x").exists() && dir.path().join("c/y/manifest/m").exists());
        local.put_if_absent("c/x/segment/s", b"2").unwrap();
        assert_eq!(local.read("c/x/segment/s").unwrap(), "2");
        local.remove_empty_dirs("c/never").unwrap();
    }
}
