//! The first 4 KiB of a log file. Integers are little-endian.
//!
//! ```text
//!    0  magic "DRIFTWAL"       8
//!    8  format version         4
//!   12  zero                   4
//!   16  database (ULID)       16
//!   32  epoch of the writer    8
//!   40  salt, random           8
//!   48  number of this file    8
//!   56  first sequence number  8   no change in this file is below it
//!   64  end of previous file   8   offset behind its last record; 0 when this is the first
//!   72  oldest needed file     8   number of it; 0 in a file that grows
//!   80  length of this file    8   of one that was written whole; 0 in a file that grows
//!   88  zero
//! 4092  CRC-32C of 0..4092     4
//! ```
//! Every version keeps the magic, the version and the checksum where they are.

use drift_types::SeqNo;
use ulid::Ulid;

/// Bytes before the first record.
pub(crate) const HEADER_BYTES: usize = 4096;
/// The format written and read by this program.
pub(crate) const VERSION: u32 = 1;

const MAGIC: &[u8; 8] = b"DRIFTWAL";
const CRC_AT: usize = HEADER_BYTES - 4;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FileHeader {
    pub database: Ulid,
    pub epoch: u64,
    pub salt: u64,
    pub number: u64,
    pub first_seq: SeqNo,
    pub previous_end: u64,
    /// Files below this number hold nothing that is needed any more; 0: unknown.
    pub oldest: u64,
    /// Bytes of a file that was written whole; 0: the file grows.
    pub length: u64,
}

/// Why bytes are no header.
#[derive(Debug, PartialEq)]
pub(crate) enum Rejected {
    /// Half written, or changed since.
    Damaged,
    /// Sound, but of another version.
    Version(u32),
}

impl FileHeader {
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        out[0..8].copy_from_slice(MAGIC);
        out[8..12].copy_from_slice(&VERSION.to_le_bytes());
        out[16..32].copy_from_slice(&self.database.to_bytes());
        out[32..40].copy_from_slice(&self.epoch.to_le_bytes());
        out[40..48].copy_from_slice(&self.salt.to_le_bytes());
        out[48..56].copy_from_slice(&self.number.to_le_bytes());
        out[56..64].copy_from_slice(&self.first_seq.0.to_le_bytes());
        out[64..72].copy_from_slice(&self.previous_end.to_le_bytes());
        out[72..80].copy_from_slice(&self.oldest.to_le_bytes());
        out[80..88].copy_from_slice(&self.length.to_le_bytes());
        let crc = crc32c::crc32c(&out[..CRC_AT]);
        out[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads the header of a whole file.
    pub fn decode(file: &[u8]) -> Result<Self, Rejected> {
        let bytes: &[u8; HEADER_BYTES] = file.first_chunk().ok_or(Rejected::Damaged)?;
        let crc = crc32c::crc32c(&bytes[..CRC_AT]);
        if &bytes[0..8] != MAGIC || bytes[CRC_AT..] != crc.to_le_bytes() {
            return Err(Rejected::Damaged);
        }
        let u64_at = |at| u64::from_le_bytes(array(bytes, at));
        match u32::from_le_bytes(array(bytes, 8)) {
            VERSION => Ok(Self {
                database: Ulid::from_bytes(array(bytes, 16)),
                epoch: u64_at(32),
                salt: u64_at(40),
                number: u64_at(48),
                first_seq: SeqNo(u64_at(56)),
                previous_end: u64_at(64),
                oldest: u64_at(72),
                length: u64_at(80),
            }),
            other => Err(Rejected::Version(other)),
        }
    }
}

/// The `N` bytes at `at`, which the caller knows to be inside.
pub(crate) fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    *bytes[at..].first_chunk().expect("fields lie inside their fixed-size header")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> FileHeader {
        FileHeader {
            database: Ulid::from_bytes([7; 16]),
            epoch: 3,
            salt: 0x1234_5678_9abc_def0,
            number: 9,
            first_seq: SeqNo(41),
            previous_end: 8192,
            oldest: 5,
            length: 4096,
        }
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(FileHeader::decode(&header().encode()), Ok(header()));
    }

    #[test]
    fn every_changed_byte_is_seen() {
        let good = header().encode();
        for at in 0..good.len() {
            let mut bad = good;
            bad[at] ^= 0x10;
            assert_eq!(FileHeader::decode(&bad), Err(Rejected::Damaged), "byte {at}");
        }
    }

    #[test]
    fn another_version_is_named() {
        let mut bytes = header().encode();
        bytes[8] = 2;
        let crc = crc32c::crc32c(&bytes[..CRC_AT]);
        bytes[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(FileHeader::decode(&bytes), Err(Rejected::Version(2)));
    }
}
