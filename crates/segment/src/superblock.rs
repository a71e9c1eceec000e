use bytes::{Buf, BufMut};
use drift_storage::page::PAGE;

use crate::{
    error::{Flaw, verify},
    footer::FooterRef,
    identity::Identity,
    version::{self, MAGIC, MAJOR, MINOR},
};

/// Where the checksum stands: the last word of the page.
const CRC: usize = PAGE - 4;

/// The first page: what the file is, for those who have nothing but its name.
///
/// ```text
/// 0     magic           8    89 'D' 'R' 'F' 'T' 0D 0A 1A
/// 8     version         u16 major, u16 minor, u32 zero
/// 16    compat          u64  unknown bits: read and write on
/// 24    ro_compat       u64  unknown bits: read, but rewrite nothing
/// 32    incompat        u64  unknown bits: refuse
/// 40    zero            8
/// 48    identity        48   identity.rs
/// 96    footer          u64 offset, u64 length, u32 crc32c, u32 zero
/// 120   file length     u64
/// 128   zero
/// 4092  crc32c          u32  of all before
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Superblock {
    pub(crate) identity: Identity,
    pub(crate) footer: FooterRef,
}

impl Superblock {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(PAGE);
        out.put_slice(&MAGIC);
        out.put_u16_le(MAJOR);
        out.put_u16_le(MINOR);
        out.put_u32_le(0);
        out.put_bytes(0, 3 * 8 + 8); // no features, reserved
        self.identity.put(&mut out);
        self.footer.put(&mut out);
        out.put_u32_le(0);
        out.put_u64_le(self.footer.file_length());
        out.resize(CRC, 0);
        out.put_u32_le(crc32c::crc32c(&out));
        out
    }

    pub(crate) fn parse(page: &[u8]) -> Result<Self, Flaw> {
        let (mut fields, mut crc) = page.split_at_checked(CRC).ok_or("no whole superblock")?;
        if !fields.starts_with(&MAGIC) {
            return Err("this is no drift segment".into());
        }
        verify(fields, crc.try_get_u32_le().map_err(|_| "no whole superblock")?)?;
        fields.advance(MAGIC.len());
        let (major, minor, _zero) = (fields.get_u16_le(), fields.get_u16_le(), fields.get_u32_le());
        let (_compat, _ro_compat) = (fields.get_u64_le(), fields.get_u64_le());
        version::check(major, minor, fields.get_u64_le())?;
        fields.advance(8);
        let identity = Identity::take(&mut fields)?;
        let footer = FooterRef::take(&mut fields)?;
        fields.advance(4);
        if fields.get_u64_le() != footer.file_length() {
            return Err("the footer does not end where the file does".into());
        }
        Ok(Self { identity, footer })
    }
}

#[cfg(test)]
mod tests {
    use drift_types::{CollectionId, SegmentId};
    use ulid::Ulid;

    use super::*;

    fn superblock() -> Superblock {
        let (id, collection) = (SegmentId(Ulid(1)), CollectionId(Ulid(2)));
        Superblock {
            identity: Identity { id, collection, rows: 3, dim: 2, runs: 1 },
            footer: FooterRef { offset: 8192, length: 128, crc: 77 },
        }
    }

    /// Parses the page after putting `value` at byte `at` and renewing the checksum.
    fn parse_with(at: usize, value: u8) -> Result<Superblock, Flaw> {
        let mut page = superblock().encode();
        page[at] = value;
        let crc = crc32c::crc32c(&page[..CRC]);
        page[CRC..].copy_from_slice(&crc.to_le_bytes());
        Superblock::parse(&page)
    }

    #[test]
    fn round_trips() {
        let page = superblock().encode();
        assert_eq!(page.len(), PAGE);
        assert_eq!(Superblock::parse(&page).unwrap(), superblock());
    }

    #[test]
    fn what_a_later_version_may_add_is_told_from_what_it_may_change() {
        assert!(matches!(parse_with(8, 9), Err(Flaw::Newer(_))), "major");
        assert!(matches!(parse_with(10, 1), Err(Flaw::Older(_))), "minor");
        assert!(matches!(parse_with(32, 1), Err(Flaw::Newer(_))), "incompat");
        for (at, what) in [(10, "minor"), (16, "compat"), (24, "ro_compat"), (2000, "reserved")] {
            assert_eq!(parse_with(at, 9).unwrap(), superblock(), "{what}");
        }
    }

    #[test]
    fn senseless_fields_are_refused() {
        for (at, what) in [(0, "magic"), (36 + 48, "rows"), (97, "footer"), (120, "length")] {
            assert!(matches!(parse_with(at, 9), Err(Flaw::Corrupt(_))), "{what}");
        }
        assert!(Superblock::parse(&superblock().encode()[..PAGE - 1]).is_err());
    }
}
