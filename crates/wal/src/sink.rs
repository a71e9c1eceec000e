use std::io;

use bytes::Bytes;

/// Where log files live: a directory ([`crate::LocalSink`]), or objects of a store
/// ([`crate::ObjectSink`]).
///
/// Files *grow*, or each is written *whole*: [`LogSink::file_bytes`] tells which. Of files that grow
/// one at a time is *current*: the one created last. A sink hides no error: the writer above stops
/// for good at the first.
pub trait LogSink: Send {
    /// The numbers of the files there are, ascending; none when the log does not exist yet.
    fn list(&self) -> io::Result<Vec<u64>>;

    /// A whole file.
    fn read(&self, number: u64) -> io::Result<Bytes>;

    /// Several files, in the order asked for. A sink that is far away reads ahead.
    fn read_each<'a>(&'a self, numbers: &'a [u64]) -> Box<dyn Iterator<Item = io::Result<Bytes>> + 'a> {
        Box::new(numbers.iter().map(|&number| self.read(number)))
    }

    /// Makes the file `number` with `bytes` in it, durable on return, and makes it current. Where
    /// files are written whole, this one appears with all of `bytes` or not at all.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] when the file exists and another writer has made it.
    fn create(&mut self, number: u64, bytes: &[u8]) -> io::Result<()>;

    /// Adds `bytes` behind what the current file holds.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Makes all that was appended durable.
    fn sync(&mut self) -> io::Result<()>;

    /// Makes an earlier writer's file durable as it reads now: a killed process may have left writes
    /// that reached the system's cache only.
    fn settle(&mut self, number: u64) -> io::Result<()>;

    /// Removes files, given in ascending order; those that are gone already are no error. Files that
    /// grow go one after the other, each for good; files written whole may go later and in any order.
    fn delete(&mut self, numbers: &[u64]) -> io::Result<()>;

    /// Size in bytes beyond which the writer goes on in a new file; `None`: files do not grow, each
    /// group of records is a file of its own, written whole.
    fn file_bytes(&self) -> Option<u64>;

    /// The file's name, for messages.
    fn name(&self, number: u64) -> String;
}

/// How a file of the log is named, in every place.
pub(crate) fn file_name(number: u64) -> String {
    format!("{number:020}.wal")
}

/// The number in a log file's name; `None` for any other file.
pub(crate) fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".wal")?;
    let number = (digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok())?;
    number.filter(|&number| number < u64::MAX) // every file has room for a next one
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_log_files_are_listed() {
        assert_eq!(number_of(&file_name(12)), Some(12));
        for other in ["12.wal", "0000000000000000001x.wal", "00000000000000000012.wal.tmp", "99999999999999999999.wal"]
        {
            assert_eq!(number_of(other), None, "{other}");
        }
    }
}
