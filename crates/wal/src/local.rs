use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use bytes::Bytes;

use crate::{
    LogSink,
    sink::{file_name, number_of},
};

const FILE_BYTES: u64 = 64 << 20;
const ZERO_AHEAD_BYTES: u64 = 4 << 20;

/// Log files in a local directory, named `{number:020}.wal`.
///
/// Files are zeroed ahead of the records, 4 MiB at a time: syncing a write into blocks that exist
/// already costs one disk write, while growing a file costs a journal commit as well.
#[derive(Debug)]
pub struct LocalSink {
    dir: PathBuf,
    file_bytes: u64,
    current: Option<Current>,
}

#[derive(Debug)]
struct Current {
    file: File,
    /// Offset behind the last byte appended.
    end: u64,
    /// Offset up to which the file exists; zero from `end` on.
    zeroed: u64,
}

impl LocalSink {
    /// The log in `dir`, which is made when the first file is. Files of 64 MiB.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), file_bytes: FILE_BYTES, current: None }
    }

    /// The same log, with files of `file_bytes`.
    pub fn with_file_bytes(self, file_bytes: u64) -> Self {
        Self { file_bytes, ..self }
    }

    fn path(&self, number: u64) -> PathBuf {
        self.dir.join(file_name(number))
    }
}

impl LogSink for LocalSink {
    fn list(&self) -> io::Result<Vec<u64>> {
        let entries = match fs::read_dir(&self.dir) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut numbers = Vec::new();
        for entry in entries {
            numbers.extend(number_of(&entry?.file_name().to_string_lossy()));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    fn read(&self, number: u64) -> io::Result<Bytes> {
        fs::read(self.path(number)).map(Bytes::from)
    }

    fn create(&mut self, number: u64, bytes: &[u8]) -> io::Result<()> {
        make_dir(&self.dir)?;
        let file = OpenOptions::new().write(true).create_new(true).open(self.path(number))?;
        self.current = Some(Current { file, end: 0, zeroed: 0 });
        self.append(bytes)?;
        self.sync()?;
        sync_dir(&self.dir)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(current) = &mut self.current else {
            return Err(io::Error::other("no log file has been created"));
        };
        current.file.write_all_at(bytes, current.end)?;
        current.end += bytes.len() as u64;
        // The zeros share the records' own sync: growing costs no extra one.
        if current.end > current.zeroed {
            current.zeroed = zero_until(current.end, self.file_bytes);
            let zeros = vec![0; (current.zeroed - current.end) as usize];
            current.file.write_all_at(&zeros, current.end)?;
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.current.as_ref().map_or(Ok(()), |current| current.file.sync_data())
    }

    fn settle(&mut self, number: u64) -> io::Result<()> {
        File::open(self.path(number))?.sync_all()
    }

    fn delete(&mut self, numbers: &[u64]) -> io::Result<()> {
        // Each for good before the next: a crash leaves no gap in the numbers.
        for &number in numbers {
            match fs::remove_file(self.path(number)) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => sync_dir(&self.dir)?,
            }
        }
        Ok(())
    }

    fn file_bytes(&self) -> Option<u64> {
        Some(self.file_bytes)
    }

    fn name(&self, number: u64) -> String {
        self.path(number).display().to_string()
    }
}

/// Where the zeros behind `end` reach: not beyond the size at which the file is left.
fn zero_until(end: u64, file_bytes: u64) -> u64 {
    let step = ZERO_AHEAD_BYTES.min(file_bytes).max(1);
    end.next_multiple_of(step).min(file_bytes.max(end))
}

/// Makes `dir` and its missing parents; each new entry is durable on return.
fn make_dir(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let parent = match dir.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    make_dir(parent)?;
    fs::create_dir(dir)?;
    sync_dir(parent)
}

/// Makes the entries of `dir` durable: syncing a file does not sync its name.
fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_room_ahead_is_zero_and_bounded() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let mut sink = LocalSink::new(dir.path().join("a/wal")).with_file_bytes(1000);
        sink.create(1, &[7; 10])?;
        assert_eq!((sink.list()?, sink.read(1)?.len()), (vec![1], 1000));
        sink.append(&[8; 1200])?;
        let expected = [vec![7; 10], vec![8; 1200]].concat();
        assert_eq!(sink.read(1)?, expected, "no zeros beyond the size at which the file is left");
        Ok(())
    }

    #[test]
    fn an_existing_file_is_never_overwritten() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let mut sink = LocalSink::new(dir.path());
        sink.create(1, b"mine")?;
        assert_eq!(sink.create(1, b"other").map_err(|e| e.kind()), Err(io::ErrorKind::AlreadyExists));
        Ok(())
    }
}
