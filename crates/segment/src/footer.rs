use bytes::{Buf, BufMut};
use drift_storage::page::PAGE;

use crate::{error::Flaw, identity::Identity, trailer::TRAILER_BYTES};

/// Where a segment's footer lies, and its checksum. With it a segment opens in one range read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FooterRef {
    /// First byte; a multiple of 4,096.
    pub offset: u64,
    /// Bytes without the trailer.
    pub length: u64,
    /// crc32c of these bytes.
    pub crc: u32,
}

impl FooterRef {
    /// Bytes of the whole file: the trailer is all that follows the footer.
    pub fn file_length(&self) -> u64 {
        self.offset.saturating_add(self.length).saturating_add(TRAILER_BYTES as u64)
    }

    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        out.put_u64_le(self.offset);
        out.put_u64_le(self.length);
        out.put_u32_le(self.crc);
    }

    /// Takes 20 bytes off `bytes`, which must be there.
    pub(crate) fn take(bytes: &mut &[u8]) -> Result<Self, &'static str> {
        let (offset, length) = (bytes.get_u64_le(), bytes.get_u64_le());
        Self { offset, length, crc: bytes.get_u32_le() }.checked()
    }

    /// Refuses a footer that is nowhere in a file.
    pub(crate) fn checked(self) -> Result<Self, &'static str> {
        let sound = self.offset >= PAGE as u64
            && self.offset.is_multiple_of(PAGE as u64)
            && self.length >= HEADER_BYTES as u64
            && self.file_length() < u64::MAX;
        if sound { Ok(self) } else { Err("the footer lies outside of the file") }
    }
}

const HEADER_BYTES: usize = 64;
const SECTION_BYTES: usize = 64;

/// The section flag "whoever does not know this kind may skip it".
const OPTIONAL: u32 = 1;

/// What a section holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SectionKind {
    Hot = 1,
    Cold = 2,
    Ids = 3,
    Payload = 4,
    Schema = 5,
    Directory = 6,
    PayloadSums = 7,
    KeyIndex = 8,
    KeyFilter = 9,
    Origin = 10,
    KeyFences = 11,
}

impl SectionKind {
    const ALL: [Self; 11] = [
        Self::Hot,
        Self::Cold,
        Self::Ids,
        Self::Payload,
        Self::Schema,
        Self::Directory,
        Self::PayloadSums,
        Self::KeyIndex,
        Self::KeyFilter,
        Self::Origin,
        Self::KeyFences,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Hot => "HOT",
            Self::Cold => "COLD",
            Self::Ids => "IDS",
            Self::Payload => "PAYL",
            Self::Schema => "SCHEMA",
            Self::Directory => "DIRECTORY",
            Self::PayloadSums => "PAYLOAD_SUMS",
            Self::KeyIndex => "IDIX",
            Self::KeyFilter => "BLOM",
            Self::Origin => "ORIGIN",
            Self::KeyFences => "KEY_FENCES",
        }
    }

    /// How the section is encoded: 0 as this crate draws it, 1 Parquet, 2 Arrow IPC stream.
    fn codec(self) -> u32 {
        match self {
            Self::Payload => 1,
            Self::Schema | Self::Directory => 2,
            _ => 0,
        }
    }

    fn in_footer(self) -> bool {
        matches!(self, Self::Schema | Self::Directory | Self::PayloadSums | Self::Origin | Self::KeyFences)
    }

    /// What looks up keys repeats what IDS says: a reader that does not know it reads all rows. Who does
    /// not know the origin does without 1-bit codes.
    fn flags(self) -> u32 {
        match self {
            Self::KeyIndex | Self::KeyFilter | Self::Origin | Self::KeyFences => OPTIONAL,
            _ => 0,
        }
    }
}

/// One entry of the section table.
///
/// ```text
/// 0   kind     u32
/// 4   flags    u32  bit 0: optional
/// 8   offset   u64  in the file
/// 16  length   u64  without the zeros up to the next section
/// 24  codec    u32  0 own, 1 Parquet, 2 Arrow IPC stream
/// 28  crc32c   u32  of IDS and BLOM; zero where the footer's checksum or those of parts cover the
///                   bytes
/// 32  zero     32
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Section {
    pub(crate) kind: SectionKind,
    pub(crate) offset: u64,
    pub(crate) length: u64,
    pub(crate) crc: u32,
}

impl Section {
    fn put(&self, out: &mut Vec<u8>) {
        out.put_u32_le(self.kind as u32);
        out.put_u32_le(self.kind.flags());
        out.put_u64_le(self.offset);
        out.put_u64_le(self.length);
        out.put_u32_le(self.kind.codec());
        out.put_u32_le(self.crc);
        out.put_bytes(0, 32);
    }

    /// Reads one entry; `None` for an unknown optional one.
    fn parse(entry: &[u8; SECTION_BYTES]) -> Result<Option<Self>, Flaw> {
        let entry = &mut &entry[..];
        let (number, flags) = (entry.get_u32_le(), entry.get_u32_le());
        let Some(kind) = SectionKind::ALL.into_iter().find(|kind| *kind as u32 == number) else {
            if flags & OPTIONAL != 0 {
                return Ok(None);
            }
            return Err(Flaw::Newer(format!("it has a section of the unknown kind {number}")));
        };
        let (offset, length) = (entry.get_u64_le(), entry.get_u64_le());
        let (codec, crc) = (entry.get_u32_le(), entry.get_u32_le());
        if codec != kind.codec() {
            return Err(Flaw::Newer(format!("its {} has the unknown codec {codec}", kind.name())));
        }
        Ok(Some(Self { kind, offset, length, crc }))
    }

    pub(crate) fn end(&self) -> u64 {
        self.offset.saturating_add(self.length)
    }

    /// Whether the section lies where it may, given where the footer does.
    fn check(&self, footer: FooterRef) -> Result<(), Flaw> {
        let room = match self.kind.in_footer() {
            true => footer.offset..footer.offset + footer.length,
            false => PAGE as u64..footer.offset,
        };
        if self.offset < room.start || self.end() > room.end {
            return Err(format!("{} lies outside of its place", self.kind.name()).into());
        }
        Ok(())
    }
}

/// The footer: header and section table, then SCHEMA, DIRECTORY, PAYLOAD_SUMS, ORIGIN and KEY_FENCES.
/// One checksum, held by superblock, trailer and manifest, covers it all.
///
/// ```text
/// 0    identity         48   identity.rs
/// 48   sections         u32  n
/// 52   zero             12
/// 64   section table    n * 64
///      the five sections, each at a multiple of 64 of the footer
/// ```
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Footer {
    pub(crate) identity: Identity,
    pub(crate) sections: Vec<Section>,
}

impl Footer {
    /// Builds the footer that will stand at `offset`, from the sections before it and the blobs
    /// within. Its length is a multiple of 64.
    pub(crate) fn encode(
        identity: Identity,
        offset: u64,
        mut sections: Vec<Section>,
        blobs: &[(SectionKind, Vec<u8>)],
    ) -> Vec<u8> {
        let mut at = HEADER_BYTES + SECTION_BYTES * (sections.len() + blobs.len());
        for (kind, blob) in blobs {
            let (offset, length) = (offset + at as u64, blob.len() as u64);
            sections.push(Section { kind: *kind, offset, length, crc: 0 });
            at += blob.len().next_multiple_of(64);
        }

        let mut out = Vec::with_capacity(at);
        identity.put(&mut out);
        out.put_u32_le(sections.len() as u32);
        out.resize(HEADER_BYTES, 0);
        sections.iter().for_each(|section| section.put(&mut out));
        for (_, blob) in blobs {
            out.extend_from_slice(blob);
            out.resize(out.len().next_multiple_of(64), 0);
        }
        out
    }

    /// Reads the footer `bytes`, whose checksum has been verified, and checks where its sections
    /// lie.
    pub(crate) fn parse(bytes: &[u8], place: FooterRef) -> Result<Self, Flaw> {
        let (mut header, rest) = bytes.split_at_checked(HEADER_BYTES).ok_or("no whole footer")?;
        let identity = Identity::take(&mut header)?;
        let (table, _) = rest.as_chunks::<SECTION_BYTES>();
        let table = table.get(..header.get_u32_le() as usize).ok_or("no whole section table")?;
        let mut sections = Vec::with_capacity(table.len());
        for entry in table {
            if let Some(section) = Section::parse(entry)? {
                section.check(place)?;
                sections.push(section);
            }
        }
        Ok(Self { identity, sections })
    }

    /// The section of this kind.
    pub(crate) fn section(&self, kind: SectionKind) -> Result<Section, Flaw> {
        let section = self.sections.iter().find(|section| section.kind == kind);
        section.copied().ok_or_else(|| format!("it has no section {}", kind.name()).into())
    }
}

#[cfg(test)]
mod tests {
    use drift_types::{CollectionId, SegmentId};
    use ulid::Ulid;

    use super::*;

    const OFFSET: u64 = 5 * PAGE as u64;

    /// A footer of one section in the file and one in itself, and what it was made from.
    fn footer() -> (Vec<u8>, FooterRef) {
        let (id, collection) = (SegmentId(Ulid(1)), CollectionId(Ulid(2)));
        let identity = Identity { id, collection, rows: 3, dim: 2, runs: 1 };
        let hot = Section { kind: SectionKind::Hot, offset: 4096, length: 100, crc: 0 };
        let blobs = [(SectionKind::Schema, vec![7; 65])];
        let bytes = Footer::encode(identity, OFFSET, vec![hot], &blobs);
        let place = FooterRef { offset: OFFSET, length: bytes.len() as u64, crc: 0 };
        (bytes, place)
    }

    /// Parses the footer after putting `value` at byte `at` of the second section's entry.
    fn parse_with(at: usize, value: u32) -> Result<Footer, Flaw> {
        let (mut bytes, place) = footer();
        let at = HEADER_BYTES + SECTION_BYTES + at;
        bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        Footer::parse(&bytes, place)
    }

    #[test]
    fn sections_lie_where_they_were_put() {
        let (bytes, place) = footer();
        assert_eq!(bytes.len() % 64, 0);
        let footer = Footer::parse(&bytes, place).unwrap();
        let schema = footer.section(SectionKind::Schema).unwrap();
        let start = (schema.offset - OFFSET) as usize;
        assert_eq!(bytes[start..start + schema.length as usize], [7; 65]);
        assert!(footer.section(SectionKind::Cold).is_err());
    }

    #[test]
    fn an_unknown_section_is_refused_unless_optional() {
        assert!(matches!(parse_with(0, 99), Err(Flaw::Newer(_))));
        let (mut bytes, place) = footer();
        bytes[HEADER_BYTES + SECTION_BYTES] = 99;
        bytes[HEADER_BYTES + SECTION_BYTES + 4] = OPTIONAL as u8;
        assert_eq!(Footer::parse(&bytes, place).unwrap().sections.len(), 1);
    }

    #[test]
    fn a_section_out_of_its_place_or_of_an_unknown_codec_is_refused() {
        assert!(matches!(parse_with(8, 4096), Err(Flaw::Corrupt(_))));
        assert!(matches!(parse_with(16, 1 << 20), Err(Flaw::Corrupt(_))));
        assert!(matches!(parse_with(20, u32::MAX), Err(Flaw::Corrupt(_))));
        assert!(matches!(parse_with(24, 77), Err(Flaw::Newer(_))));
    }

    #[test]
    fn every_cut_is_refused() {
        let (bytes, place) = footer();
        let table_end = HEADER_BYTES + 2 * SECTION_BYTES;
        for length in 0..table_end {
            assert!(Footer::parse(&bytes[..length], place).is_err(), "{length}");
        }
    }
}
