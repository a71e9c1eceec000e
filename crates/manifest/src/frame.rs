//! The frame around every object of this crate: integers little-endian, then the body.
//!
//! ```text
//! 0       8         12           16            24         28       64
//! | magic | version | header crc | body length | body crc | zeros  | body ... |
//! ```
//!
//! Both checksums are CRC-32C. The header's covers its 64 bytes, read with zeros in the header
//! crc's place, so every byte of the object is covered. A JSON body can be read with `tail -c +65`.

use bytes::Bytes;

use crate::{Error, Result};

/// Bytes before the body.
pub(crate) const HEADER: usize = 64;

/// The one format version there is.
const VERSION: u32 = 1;

const VERSION_AT: usize = 8;
const HEADER_CRC_AT: usize = 12;
const LENGTH_AT: usize = 16;
const BODY_CRC_AT: usize = 24;

/// Frames `body`.
pub(crate) fn seal(magic: [u8; 8], body: &[u8]) -> Bytes {
    let mut frame = Vec::with_capacity(HEADER + body.len());
    frame.extend(magic);
    frame.extend(VERSION.to_le_bytes());
    frame.extend([0; 4]);
    frame.extend((body.len() as u64).to_le_bytes());
    frame.extend(crc32c::crc32c(body).to_le_bytes());
    frame.resize(HEADER, 0);
    let crc = header_crc(&frame);
    frame[HEADER_CRC_AT..LENGTH_AT].copy_from_slice(&crc.to_le_bytes());
    frame.extend(body);
    frame.into()
}

/// The body of the framed object `bytes` found at `path`.
///
/// # Errors
/// [`Error::Corrupt`] unless every byte is as it was sealed.
pub(crate) fn open<'a>(path: &str, magic: [u8; 8], bytes: &'a [u8]) -> Result<&'a [u8]> {
    let Some((header, body)) = bytes.split_at_checked(HEADER) else {
        return Err(Error::corrupt(path, bytes.len(), "it ends within its header"));
    };
    if header[..VERSION_AT] != magic {
        let message = format!("it does not start with '{}'", magic.escape_ascii());
        return Err(Error::corrupt(path, 0, message));
    }
    if u32_at(header, HEADER_CRC_AT) != header_crc(header) {
        return Err(Error::corrupt(path, HEADER_CRC_AT, "the header's checksum does not match"));
    }
    let version = u32_at(header, VERSION_AT);
    if version != VERSION {
        let message = format!("its format version is {version}, this program reads {VERSION}: use a newer one");
        return Err(Error::corrupt(path, VERSION_AT, message));
    }
    let length = u64::from_le_bytes(header[LENGTH_AT..BODY_CRC_AT].try_into().expect("eight bytes"));
    if length != body.len() as u64 {
        let message = format!("its body has {} bytes instead of {length}", body.len());
        return Err(Error::corrupt(path, bytes.len(), message));
    }
    if u32_at(header, BODY_CRC_AT) != crc32c::crc32c(body) {
        return Err(Error::corrupt(path, HEADER, "the body's checksum does not match"));
    }
    Ok(body)
}

fn header_crc(header: &[u8]) -> u32 {
    let crc = crc32c::crc32c(&header[..HEADER_CRC_AT]);
    let crc = crc32c::crc32c_append(crc, &[0; LENGTH_AT - HEADER_CRC_AT]);
    crc32c::crc32c_append(crc, &header[LENGTH_AT..HEADER])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAGIC: [u8; 8] = *b"DRIFTTST";

    #[test]
    fn every_changed_byte_is_noticed() {
        let sealed = seal(MAGIC, b"a body of some bytes");
        assert_eq!(open("x", MAGIC, &sealed).unwrap(), b"a body of some bytes");
        for at in 0..sealed.len() {
            for flip in [1, 0x20, 0x80, 0xff] {
                let mut changed = sealed.to_vec();
                changed[at] ^= flip;
                assert!(open("x", MAGIC, &changed).is_err(), "byte {at} ^ {flip}");
            }
        }
    }

    #[test]
    fn every_other_length_is_noticed() {
        let sealed = seal(MAGIC, &[7; 100]);
        for length in 0..sealed.len() {
            assert!(open("x", MAGIC, &sealed[..length]).is_err(), "{length} bytes");
        }
        let mut longer = sealed.to_vec();
        longer.push(0);
        assert!(open("x", MAGIC, &longer).is_err());
        assert_eq!(open("x", MAGIC, &seal(MAGIC, b"")).unwrap(), b"");
    }

    #[test]
    fn a_newer_version_and_another_kind_are_named() {
        let mut newer = seal(MAGIC, b"").to_vec();
        newer[VERSION_AT] = 2;
        let crc = header_crc(&newer);
        newer[HEADER_CRC_AT..LENGTH_AT].copy_from_slice(&crc.to_le_bytes());
        assert!(open("x", MAGIC, &newer).unwrap_err().to_string().contains("version is 2"));
        let other = open("x", *b"DRIFTBAD", &seal(MAGIC, b"")).unwrap_err();
        assert!(other.to_string().contains("DRIFTBAD"), "{other}");
    }
}
