use std::io;

use bytes::Bytes;

/// A file of the log as its sink lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogFile {
    /// Its number.
    pub number: u64,
    /// Its length in bytes.
    pub bytes: u64,
}

/// Where log files live: a directory ([`crate::LocalSink`]), or objects of a store.
///
/// One file at a time is *current*: the one created last. A sink neither retries nor hides an error:
/// the writer above stops for good at the first.
pub trait LogSink: Send {
    /// The files there are, by ascending number; none when the log does not exist yet.
    fn list(&self) -> io::Result<Vec<LogFile>>;

    /// A whole file.
    fn read(&self, number: u64) -> io::Result<Bytes>;

    /// Makes the file `number` with `header` in it, and makes it current. Both are durable on return.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] when the file exists, whoever made it.
    fn create(&mut self, number: u64, header: &[u8]) -> io::Result<()>;

    /// Adds `bytes` behind what the current file holds.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Makes all that was appended durable.
    fn sync(&mut self) -> io::Result<()>;

    /// Makes an earlier writer's file durable as it reads now: a killed process may have left writes
    /// that reached the system's cache only.
    fn settle(&mut self, number: u64) -> io::Result<()>;

    /// Removes a file, durably. One that is gone already is no error.
    fn delete(&mut self, number: u64) -> io::Result<()>;

    /// Size in bytes beyond which the writer goes on in a new file; 0 means one file per append.
    fn file_bytes(&self) -> u64;

    /// The file's name, for messages.
    fn name(&self, number: u64) -> String;
}
