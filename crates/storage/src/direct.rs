//! Reads of ranges past the page cache.
//!
//! What is read in ranges are segments, whose parts are kept by our own cache: a second copy in the
//! page cache would cost its memory and the CPU time to copy it from there (`docs/benchmarks.md`, "Cold
//! reads of a local file"). Whatever is read whole (the manifest and its like) stays buffered.
//!
//! The threads that read are tokio's for blocking work: a disk gains from many reads at once.

use std::{
    fs::File,
    io::{self, ErrorKind},
    ops::Range,
    os::unix::fs::FileExt,
    path::Path,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use bytes::Bytes;

use crate::{aligned::Pages, page::PAGE};

/// Whether a store's files are read past the page cache: if wanted, and until the file system has
/// once refused it.
#[derive(Debug)]
pub(crate) struct DirectIo(AtomicBool);

impl DirectIo {
    pub(crate) fn new(wanted: bool) -> Self {
        Self(wanted.into())
    }

    pub(crate) fn set(&self, on: bool) {
        self.0.store(on, Relaxed);
    }

    pub(crate) fn is_on(&self) -> bool {
        self.0.load(Relaxed)
    }

    /// Opens a file for [`Self::read`].
    pub(crate) fn open(&self, path: &Path) -> io::Result<File> {
        let file = File::open(path)?;
        if self.is_on() {
            match bypass_page_cache(&file, true) {
                Err(e) if is_refusal(&e) => self.set(false),
                asked => asked?,
            }
        }
        Ok(file)
    }

    /// Exactly the bytes of `range`, which the caller knows to lie inside the file. The read is of
    /// whole pages into aligned memory in either case, so a file may turn from direct to buffered
    /// under a reader.
    pub(crate) fn read(&self, file: &File, range: Range<u64>) -> io::Result<Bytes> {
        self.read_by(range, |pages, offset| file.read_at(pages, offset), || bypass_page_cache(file, false))
    }

    fn read_by(
        &self,
        range: Range<u64>,
        read_at: impl Fn(&mut [u8], u64) -> io::Result<usize>,
        turn_buffered: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<Bytes> {
        match read_pages(range.clone(), &read_at) {
            Err(e) if is_refusal(&e) => {
                self.set(false);
                turn_buffered()?;
                read_pages(range, &read_at)
            }
            read => read,
        }
    }
}

/// Reads the pages that `range` touches and answers its bytes.
fn read_pages(range: Range<u64>, read_at: impl Fn(&mut [u8], u64) -> io::Result<usize>) -> io::Result<Bytes> {
    let page = PAGE as u64;
    let first = range.start / page * page;
    let part = (range.start - first) as usize..(range.end - first) as usize;
    let mut pages = Pages::zeroed(part.end.div_ceil(PAGE)).ok_or(ErrorKind::OutOfMemory)?;
    let mut filled = 0;
    while filled < part.end {
        match read_at(&mut pages.as_mut_bytes()[filled..], first + filled as u64) {
            Ok(n) if filled + n >= part.end => break,
            // The rest has to begin at a page again; less than a page is the end of the file.
            Ok(n) if n >= PAGE => filled += n / PAGE * PAGE,
            Ok(_) => return Err(ErrorKind::UnexpectedEof.into()),
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(pages.into_bytes(part))
}

/// File systems in memory or user space, and some that stack upon others, know no direct reads.
fn is_refusal(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported)
}

/// Sets whether reads of `file` go past the page cache.
#[cfg(target_os = "linux")]
fn bypass_page_cache(file: &File, on: bool) -> io::Result<()> {
    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
    let mut flags = fcntl_getfl(file)?;
    flags.set(OFlags::DIRECT, on);
    Ok(fcntl_setfl(file, flags)?)
}

#[cfg(not(target_os = "linux"))]
fn bypass_page_cache(_: &File, on: bool) -> io::Result<()> {
    if on { Err(ErrorKind::Unsupported.into()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    fn bytes(n: usize) -> Vec<u8> {
        (0..n).map(|i| (i % 251) as u8).collect()
    }

    /// A file of `content` that hands out at most `most` bytes at a time.
    fn file(content: &[u8], most: usize) -> impl Fn(&mut [u8], u64) -> io::Result<usize> {
        move |buffer, offset| {
            assert_eq!((buffer.as_ptr() as usize % PAGE, buffer.len() % PAGE, offset as usize % PAGE), (0, 0, 0));
            let rest = content.get(offset as usize..).unwrap_or_default();
            let n = rest.len().min(buffer.len()).min(most);
            buffer[..n].copy_from_slice(&rest[..n]);
            Ok(n)
        }
    }

    #[test]
    fn short_reads_are_continued_at_a_page() {
        let content = bytes(5 * PAGE + 100);
        for most in [PAGE, PAGE + 1, 2 * PAGE - 1, 3 * PAGE, 6 * PAGE] {
            for range in [0..1, 0..content.len(), 1..content.len() - 1, PAGE..2 * PAGE, 5 * PAGE..5 * PAGE + 100] {
                let read = read_pages(range.start as u64..range.end as u64, file(&content, most)).unwrap();
                assert_eq!(read, content[range.clone()], "{range:?}, at most {most}");
            }
        }
    }

    #[test]
    fn a_file_that_became_shorter_is_an_error() {
        let content = bytes(PAGE + 100);
        for end in [PAGE + 101, 2 * PAGE, 2 * PAGE + 1] {
            let error = read_pages(0..end as u64, file(&content, PAGE)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        }
    }

    #[test]
    fn a_refused_read_is_repeated_buffered_and_remembered() {
        let content = bytes(3 * PAGE);
        for errno in [rustix::io::Errno::INVAL, rustix::io::Errno::OPNOTSUPP] {
            let (direct, reads, turned) = (Cell::new(true), RefCell::new(Vec::new()), DirectIo::new(true));
            let read_at = |buffer: &mut [u8], offset: u64| {
                reads.borrow_mut().push(direct.get());
                if direct.get() { Err(errno.into()) } else { file(&content, PAGE)(buffer, offset) }
            };
            let turn_buffered = || {
                direct.set(false);
                Ok(())
            };
            let read = turned.read_by(10..PAGE as u64 + 10, read_at, turn_buffered).unwrap();
            assert_eq!(read, content[10..PAGE + 10]);
            assert_eq!((turned.is_on(), reads.into_inner()), (false, vec![true, false, false]));
        }
    }

    #[test]
    fn other_errors_are_not_a_refusal() {
        let direct = DirectIo::new(true);
        let failing = |_: &mut [u8], _| Err(rustix::io::Errno::IO.into());
        let error = direct.read_by(0..1, failing, || panic!("not refused")).unwrap_err();
        assert_eq!((error.raw_os_error(), direct.is_on()), (Some(rustix::io::Errno::IO.raw_os_error()), true));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_file_system_that_refuses_at_open_is_read_buffered() {
        let direct = DirectIo::new(true);
        let file = direct.open(Path::new("/proc/version")).unwrap(); // proc has no direct reads
        assert!(!direct.is_on());
        let start = direct.read(&file, 0..5).unwrap();
        assert_eq!(start, "Linux");
    }
}
