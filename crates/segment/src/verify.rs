//! Reading a whole segment to see whether it is sound: before it is published, and on request.

use drift_storage::page::PAGE;
use futures::FutureExt;

use crate::{
    Encoded, Error, Result,
    file::File,
    footer::{Section, SectionKind},
    open::Opened,
    superblock::Superblock,
};

/// Bytes of a section that are read at once to take its checksum.
const PIECE: u64 = 1 << 20;

/// Reads a finished segment back and verifies all of it, so that nothing is published that could
/// not be read.
///
/// # Errors
/// The first thing that is wrong.
pub fn verify(encoded: &Encoded) -> Result<()> {
    let check = async {
        let opened = Opened::open(File::in_memory(encoded.bytes.clone()), Some(encoded.footer)).await?;
        opened.verify().await.into_iter().next().map_or(Ok(()), Err)
    };
    check.now_or_never().expect("reading from memory never waits")
}

impl Opened {
    /// Reads every part in the order of the file, holding one at a time; returns what is wrong.
    pub(crate) async fn verify(&self) -> Vec<Error> {
        let mut wrong: Vec<Error> = self.verify_superblock().await.err().into_iter().collect();
        let runs = 0..self.footer.identity.runs;
        for run in runs.clone() {
            wrong.extend(self.read_hot(run).await.err());
        }
        for run in runs {
            wrong.extend(self.read_exact(run).await.err());
        }
        for section in self.footer.sections.iter().filter(|section| section.crc != 0) {
            wrong.extend(self.verify_section(*section).await.err());
        }
        wrong.extend(self.verify_key_index().await.err());
        wrong.extend(self.payload.verify().await);
        wrong.extend(self.verify_statistics().err());
        wrong
    }

    /// Who opens a segment by its manifest never reads the superblock.
    async fn verify_superblock(&self) -> Result<()> {
        let page = self.file.read(0..PAGE as u64).await?;
        let superblock = Superblock::parse(&page).map_err(|flaw| self.file.flawed(flaw, 0))?;
        if superblock != (Superblock { identity: self.footer.identity, footer: self.place }) {
            return Err(self.file.flawed("superblock and footer speak of two segments", 0));
        }
        let (length, expected) = (self.file.length().await?, self.place.file_length());
        if length != expected {
            return Err(self.file.flawed(format!("it has {length} bytes instead of {expected}"), length.min(expected)));
        }
        Ok(())
    }

    async fn verify_section(&self, section: Section) -> Result<()> {
        let (mut at, mut crc) = (section.offset, 0);
        while at < section.end() {
            let end = section.end().min(at + PIECE);
            crc = crc32c::crc32c_append(crc, &self.file.read(at..end).await?);
            at = end;
        }
        if crc != section.crc {
            let message = format!("{}: checksum {crc:08x} instead of {:08x}", section.kind.name(), section.crc);
            return Err(self.file.flawed(message, section.offset));
        }
        Ok(())
    }

    /// Every row has its entry in the key index, and the key filter knows its key.
    async fn verify_key_index(&self) -> Result<()> {
        let (ids, filter) = (self.read_ids().await?, self.read_key_filter().await?);
        let mut entries = 0;
        for page in 0..self.key_index.pages() {
            let offset = self.key_index.place(page).offset;
            for (key, ordinal) in self.read_key_page(page).await?.entries() {
                if ids.id(ordinal) != key || !filter.may_hold(key) {
                    let message = format!("IDIX: key {} is not the one of row {ordinal}", key.0);
                    return Err(self.file.flawed(message, offset));
                }
                entries += 1;
            }
        }
        if entries != self.footer.identity.rows {
            let at = self.footer.section(SectionKind::KeyIndex).map_or(self.place.offset, |section| section.offset);
            let message = format!("IDIX has {entries} entries for {} rows", self.footer.identity.rows);
            return Err(self.file.flawed(message, at));
        }
        Ok(())
    }

    fn verify_statistics(&self) -> Result<()> {
        let finite = |values: &[f32]| values.iter().all(|value| value.is_finite());
        let unsound = self.runs.iter().position(|run| {
            !finite(&run.centroid) || !finite(&run.sum) || !finite(&[run.mean_sq_radius, run.max_norm_sq])
        });
        let Some(run) = unsound else { return Ok(()) };
        let at = self.footer.section(SectionKind::Directory).map_or(self.place.offset, |section| section.offset);
        Err(self.file.flawed(format!("DIRECTORY: a statistic of run {run} is no finite number"), at))
    }
}
