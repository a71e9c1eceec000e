use bytes::{Buf, BufMut};

use crate::{
    error::{Flaw, verify},
    footer::FooterRef,
    version::{self, MAGIC, MAJOR, MINOR},
};

/// Bytes of the trailer.
pub(crate) const TRAILER_BYTES: usize = 64;

/// Where the checksum stands.
const CRC: usize = 52;

/// The last 64 bytes. They follow the footer, so that whoever reads it learns from the same range
/// that the file is whole and of a known version.
///
/// ```text
/// 0   footer        u64 offset, u64 length, u32 crc32c
/// 20  version       u16 major, u16 minor
/// 24  file length   u64
/// 32  incompat      u64  as in the superblock
/// 40  ro_compat     u64  as in the superblock
/// 48  zero          4
/// 52  crc32c        u32  of all before
/// 56  magic         8
/// ```
pub(crate) fn encode(footer: FooterRef) -> Vec<u8> {
    let mut out = Vec::with_capacity(TRAILER_BYTES);
    footer.put(&mut out);
    out.put_u16_le(MAJOR);
    out.put_u16_le(MINOR);
    out.put_u64_le(footer.file_length());
    out.put_bytes(0, 2 * 8 + 4); // no features, reserved
    out.put_u32_le(crc32c::crc32c(&out));
    out.put_slice(&MAGIC);
    out
}

/// Checks that the trailer speaks of this footer and of a version this program knows. Returns the
/// ro_compat bits.
pub(crate) fn check(trailer: &[u8], footer: FooterRef) -> Result<u64, Flaw> {
    if trailer.len() != TRAILER_BYTES || !trailer.ends_with(&MAGIC) {
        return Err("no trailer behind the footer".into());
    }
    let (mut fields, mut crc) = trailer.split_at(CRC);
    verify(fields, crc.get_u32_le())?;
    let found = FooterRef::take(&mut fields)?;
    let (major, minor, length) = (fields.get_u16_le(), fields.get_u16_le(), fields.get_u64_le());
    version::check(major, minor, fields.get_u64_le())?;
    let ro_compat = fields.get_u64_le();
    if found != footer || length != footer.file_length() {
        return Err(format!("the trailer names another footer: {found:?}").into());
    }
    Ok(ro_compat)
}
