use std::{cmp::Ordering, sync::Arc};

use bytes::Bytes;
use drift_kernels::MAX_ROTATED_DIM;
use drift_storage::page::PAGE;

use crate::{
    Error, ExactRun, FooterRef, HotRun, IdBlock, KeyFilter, KeyPage, Result, RunEntry, RunStatistics, SegmentMeta,
    directory,
    error::{Flaw, verify},
    file::File,
    footer::{Footer, Section, SectionKind},
    key_index::KeyIndex,
    le,
    payload::Payload,
    rent::Rents,
    superblock::Superblock,
    trailer,
};

/// A segment whose footer has been read and verified; its parts are read when they are asked for.
pub(crate) struct Opened {
    pub(crate) file: Arc<File>,
    pub(crate) place: FooterRef,
    pub(crate) footer: Footer,
    pub(crate) meta: SegmentMeta,
    pub(crate) runs: Vec<RunEntry>,
    pub(crate) payload: Payload,
    /// Of runs, for single rows of their vectors.
    pub(crate) exact_rents: Rents,
    pub(crate) key_index: KeyIndex,
    /// What the 1-bit codes are relative to; none, and there are none.
    pub(crate) origin: Option<Arc<[f32]>>,
    /// Feature bits of the trailer.
    pub(crate) ro_compat: u64,
    ids: Section,
    key_filter: Section,
    /// The vector column's position in the schema.
    vector_index: usize,
}

impl Opened {
    /// Reads the footer, after the superblock if it is not known where the footer is.
    pub(crate) async fn open(file: File, place: Option<FooterRef>) -> Result<Self> {
        let Some(place) = place else {
            let page = file.read(0..PAGE as u64).await?;
            let superblock = Superblock::parse(&page).map_err(|flaw| file.flawed(flaw, 0))?;
            let opened = Self::open_at(file, superblock.footer).await?;
            if opened.footer.identity != superblock.identity {
                return Err(opened.file.flawed("superblock and footer speak of two segments", 0));
            }
            return Ok(opened);
        };
        Self::open_at(file, place).await
    }

    pub(crate) async fn open_at(file: File, place: FooterRef) -> Result<Self> {
        let place = place.checked().map_err(|flaw| file.flawed(flaw, place.offset))?;
        let bytes = file.read(place.offset..place.file_length()).await?;
        let file = Arc::new(file);
        let (footer, trailer) = bytes.split_at(place.length as usize);
        let parsed = trailer::check(trailer, place).and_then(|ro_compat| {
            verify(footer, place.crc)?;
            Self::parse(file.clone(), bytes.slice(..footer.len()), place, ro_compat)
        });
        parsed.map_err(|flaw| file.flawed(flaw, place.offset))
    }

    fn parse(file: Arc<File>, bytes: Bytes, place: FooterRef, ro_compat: u64) -> Result<Self, Flaw> {
        let footer = Footer::parse(&bytes, place)?;
        let identity = footer.identity;
        let blob = |kind| {
            let section = footer.section(kind)?;
            let start = (section.offset - place.offset) as usize;
            Ok::<_, Flaw>(bytes.slice(start..start + section.length as usize))
        };
        let meta = SegmentMeta::parse(&blob(SectionKind::Schema)?, identity.dim as usize)?;
        let runs = directory::parse(&blob(SectionKind::Directory)?, identity, place.offset)?;
        let payload = Payload::new(
            file.clone(),
            footer.section(SectionKind::Payload)?,
            // A copy, so that a few checksums do not keep the whole footer in memory.
            Bytes::copy_from_slice(&blob(SectionKind::PayloadSums)?),
            meta.payload_schema(),
            identity.rows as usize,
        )?;
        let key_index = KeyIndex::parse(footer.section(SectionKind::KeyIndex)?, &blob(SectionKind::KeyFences)?)?;
        let origin = match footer.section(SectionKind::Origin) {
            Ok(section) if section.length > 0 => Some(origin(&blob(SectionKind::Origin)?, meta.dim)?),
            _ => None,
        };
        let (ids, key_filter) = (footer.section(SectionKind::Ids)?, footer.section(SectionKind::KeyFilter)?);
        let vector_index = meta.vector_index();
        Ok(Self {
            file,
            place,
            footer,
            meta,
            exact_rents: Rents::new(runs.len()),
            runs,
            payload,
            key_index,
            origin,
            ro_compat,
            ids,
            key_filter,
            vector_index,
        })
    }

    /// Where the payload has this column of the schema; `None` for the vector column.
    pub(crate) fn payload_index(&self, column: usize) -> Option<usize> {
        match column.cmp(&self.vector_index) {
            Ordering::Less => Some(column),
            Ordering::Equal => None,
            Ordering::Greater => Some(column - 1),
        }
    }

    /// What the directory says of runs beside their entries.
    pub(crate) async fn read_statistics(&self) -> Result<Vec<RunStatistics>> {
        let start = self.place.offset;
        let bytes = self.file.read(start..start + self.place.length).await?;
        let parsed = verify(&bytes, self.place.crc).and_then(|()| {
            let section = self.footer.section(SectionKind::Directory)?;
            let directory = (section.offset - start) as usize..(section.end() - start) as usize;
            directory::parse_statistics(&bytes[directory], self.footer.identity)
        });
        parsed.map_err(|flaw| self.file.flawed(flaw, start))
    }

    pub(crate) async fn read_ids(&self) -> Result<Arc<IdBlock>> {
        let bytes = self.file.read(self.ids.offset..self.ids.end()).await?;
        let ids = IdBlock::parse(bytes, self.footer.identity.rows as usize, self.ids.crc);
        ids.map(Arc::new).map_err(|flaw| self.file.flawed(flaw, self.ids.offset))
    }

    pub(crate) async fn read_hot(&self, run: u32) -> Result<Arc<HotRun>> {
        let run = self.run(run)?;
        let region = self.file.read(run.hot.range()).await?;
        let hot = HotRun::parse(region, run.rows as usize, self.meta.dim, self.origin.as_deref(), run.hot.crc);
        hot.map(Arc::new).map_err(|flaw| self.file.flawed(flaw, run.hot.offset))
    }

    pub(crate) async fn read_exact(&self, run: u32) -> Result<Arc<ExactRun>> {
        let run = self.run(run)?;
        let region = self.file.read(run.cold.range()).await?;
        let exact = ExactRun::parse(&region, self.layout(run), run.cold.crc);
        exact.map(Arc::new).map_err(|flaw| self.file.flawed(flaw, run.cold.offset))
    }

    pub(crate) async fn read_key_filter(&self) -> Result<Arc<KeyFilter>> {
        let section = self.key_filter;
        let blocks = self.file.read(section.offset..section.end()).await?;
        let filter = KeyFilter::parse(blocks, section.crc);
        filter.map(Arc::new).map_err(|flaw| self.file.flawed(flaw, section.offset))
    }

    /// A page of the key index that has been asked about a key.
    pub(crate) async fn read_key_page(&self, page: u32) -> Result<Arc<KeyPage>> {
        let place = self.key_index.place(page);
        let page = KeyPage::parse(self.file.read(place.range()).await?, place.crc, self.footer.identity.rows);
        page.map(Arc::new).map_err(|flaw| self.file.flawed(flaw, place.offset))
    }

    pub(crate) fn run(&self, run: u32) -> Result<&RunEntry> {
        self.runs
            .get(run as usize)
            .ok_or_else(|| Error::Invalid(format!("run {run} of a segment of {} runs", self.runs.len())))
    }
}

/// The origin of 1-bit codes.
fn origin(bytes: &[u8], dim: usize) -> Result<Arc<[f32]>, Flaw> {
    if dim > MAX_ROTATED_DIM || bytes.len() != 4 * dim {
        return Err("ORIGIN is of another length".into());
    }
    let origin = le::f32s(bytes);
    if origin.iter().all(|x| x.is_finite()) { Ok(origin.into()) } else { Err("ORIGIN is not finite".into()) }
}
