use std::{
    borrow::Cow,
    io::{self, Cursor, Seek, SeekFrom, Write},
};

use bytes::Bytes;
use drift_codec::Bit1;
use drift_storage::page::PAGE;

use crate::{
    Error, FooterRef, Result, RunInput, SegmentInput, bloom, cold,
    directory::{self, Place, RunEntry, RunStatistics},
    footer::{Footer, Section, SectionKind},
    hot,
    identity::Identity,
    ids, key_index, le, payload,
    superblock::Superblock,
    trailer,
};

/// Regions of runs begin at multiples of this: one cache line.
const LINE: usize = 64;

/// A finished segment, to be published as one object.
#[derive(Clone, Debug)]
pub struct Encoded {
    /// The whole file.
    pub bytes: Bytes,
    /// Where its footer is, for whoever lists the segment.
    pub footer: FooterRef,
}

/// Builds a segment.
///
/// # Errors
/// [`Error::Invalid`] if the input contradicts itself, [`Error::Column`] if a column is of a type
/// that cannot be stored.
pub fn write(input: &SegmentInput) -> Result<Encoded> {
    input.check()?;
    let mut sink = Sink::new(Cursor::new(Vec::new()))?;
    let hot = write_hot(&mut sink, input)?;
    let cold = write_cold(&mut sink, input)?;
    let ids = whole(&mut sink, SectionKind::Ids, &ids::encode(&input.ids, &input.seqs))?;
    let (key_pages, key_fences) = key_index::encode(&input.ids);
    let key_index = Section { crc: 0, ..whole(&mut sink, SectionKind::KeyIndex, &key_pages)? };
    let key_filter = whole(&mut sink, SectionKind::KeyFilter, &bloom::encode(&input.ids))?;
    let payload_at = sink.align()?;
    let sums = payload::write(&mut sink, &input.payload)?;
    let sections = vec![
        spanning(SectionKind::Hot, &hot),
        spanning(SectionKind::Cold, &cold),
        ids,
        key_index,
        key_filter,
        Section { kind: SectionKind::Payload, offset: payload_at, length: sink.at - payload_at, crc: 0 },
    ];
    let runs: Vec<RunEntry> =
        input.runs.iter().zip(hot).zip(cold).map(|((run, hot), cold)| entry(run, hot, cold)).collect();
    let statistics: Vec<RunStatistics> = input.runs.iter().map(statistics).collect();
    let mut origin = Vec::new();
    le::put_f32s(&mut origin, input.origin.as_deref().unwrap_or_default());
    let blobs = [
        (SectionKind::Schema, input.meta.encode()?),
        (SectionKind::Directory, directory::encode(&runs, &statistics, input.meta.dim)?),
        (SectionKind::PayloadSums, sums),
        (SectionKind::Origin, origin),
        (SectionKind::KeyFences, key_fences),
    ];
    let footer = sink.finish(identity(input), sections, &blobs)?;
    Ok(Encoded { bytes: sink.out.into_inner().into(), footer })
}

fn write_hot<W: Write + Seek>(sink: &mut Sink<W>, input: &SegmentInput) -> Result<Vec<Place>> {
    let dim = input.meta.dim;
    let mut places = Vec::with_capacity(input.runs.len());
    let mut bit1 = input.origin.as_deref().map(Bit1::new);
    for run in &input.runs {
        let rows = indexed(input, run);
        let (region, crc) =
            hot::encode(&input.ids[run.rows.clone()], &rows, &run.centre, bit1.as_mut()).ok_or_else(|| {
                Error::Invalid(format!(
                    "a run of {} rows of {dim} dimensions is too large: split its bucket",
                    run.rows.len()
                ))
            })?;
        let offset = sink.append_run(&region, places.is_empty())?;
        places.push(Place { offset, length: region.len() as u64, crc });
    }
    Ok(places)
}

/// The run's vectors in index space.
fn indexed<'a>(input: &'a SegmentInput, run: &RunInput) -> Cow<'a, [f32]> {
    let dim = input.meta.dim;
    let vectors = &input.vectors[run.rows.start * dim..run.rows.end * dim];
    let Some(inv_norms) = &input.inv_norms else {
        return Cow::Borrowed(vectors);
    };
    let rows = vectors.chunks_exact(dim).zip(&inv_norms[run.rows.clone()]);
    Cow::Owned(rows.flat_map(|(row, inv_norm)| row.iter().map(move |x| x * inv_norm)).collect())
}

fn write_cold<W: Write + Seek>(sink: &mut Sink<W>, input: &SegmentInput) -> Result<Vec<Place>> {
    let dim = input.meta.dim;
    let mut places = Vec::with_capacity(input.runs.len());
    for run in &input.runs {
        let vectors = &input.vectors[run.rows.start * dim..run.rows.end * dim];
        let inv_norms = input.inv_norms.as_ref().map(|norms| &norms[run.rows.clone()]);
        let (region, crc) = cold::encode(vectors, inv_norms, input.compression);
        let offset = sink.append_run(&region, places.is_empty())?;
        places.push(Place { offset, length: region.len() as u64, crc });
    }
    Ok(places)
}

/// Writes a section that is read in one piece.
fn whole<W: Write + Seek>(sink: &mut Sink<W>, kind: SectionKind, bytes: &[u8]) -> Result<Section> {
    Ok(Section { kind, offset: sink.append(bytes)?, length: bytes.len() as u64, crc: crc32c::crc32c(bytes) })
}

/// The section of regions that follow each other; there is at least one.
fn spanning(kind: SectionKind, places: &[Place]) -> Section {
    let (offset, end) = (places[0].offset, places[places.len() - 1].range().end);
    Section { kind, offset, length: end - offset, crc: 0 }
}

fn entry(run: &RunInput, hot: Place, cold: Place) -> RunEntry {
    RunEntry {
        bucket: run.bucket,
        generation: run.generation,
        first_row: run.rows.start as u32,
        rows: run.rows.len() as u32,
        hot,
        cold,
        mean_sq_radius: run.mean_sq_radius,
        max_norm_sq: run.max_norm_sq,
    }
}

fn statistics(run: &RunInput) -> RunStatistics {
    RunStatistics { centroid: run.centroid.clone().into(), sum: run.sum.clone().into() }
}

fn identity(input: &SegmentInput) -> Identity {
    Identity {
        id: input.id,
        collection: input.collection,
        rows: input.ids.len() as u32,
        dim: input.meta.dim as u32,
        runs: input.runs.len() as u32,
    }
}

/// A file that grows region by region. Only the superblock is written out of order, at the end, so
/// that a scratch file would do as well as memory.
struct Sink<W> {
    out: W,
    at: u64,
}

impl<W: Write + Seek> Sink<W> {
    /// Begins a file with room for the superblock.
    fn new(out: W) -> io::Result<Self> {
        let mut sink = Self { out, at: 0 };
        sink.write_all(&[0; PAGE])?;
        Ok(sink)
    }

    /// Pads with zeros up to the next page; returns where that is.
    fn align(&mut self) -> io::Result<u64> {
        self.align_to(PAGE)
    }

    fn align_to(&mut self, bytes: usize) -> io::Result<u64> {
        let gap = self.at.next_multiple_of(bytes as u64) - self.at;
        self.write_all(&[0; PAGE][..gap as usize])?;
        Ok(self.at)
    }

    /// Writes a run's region; returns where it is. The first of a section begins at a page, the others at
    /// the next line: whole pages for each would be 2 % of a segment.
    fn append_run(&mut self, region: &[u8], is_first: bool) -> io::Result<u64> {
        let offset = self.align_to(if is_first { PAGE } else { LINE })?;
        self.write_all(region)?;
        Ok(offset)
    }

    /// Writes `region` at the next page; returns where that is.
    fn append(&mut self, region: &[u8]) -> io::Result<u64> {
        let offset = self.align()?;
        self.write_all(region)?;
        Ok(offset)
    }

    /// Writes footer, trailer and superblock.
    fn finish(
        &mut self,
        identity: Identity,
        sections: Vec<Section>,
        blobs: &[(SectionKind, Vec<u8>)],
    ) -> io::Result<FooterRef> {
        let offset = self.align()?;
        let bytes = Footer::encode(identity, offset, sections, blobs);
        let (length, crc) = (bytes.len() as u64, crc32c::crc32c(&bytes));
        let footer = FooterRef { offset, length, crc };
        self.write_all(&bytes)?;
        self.write_all(&trailer::encode(footer))?;
        self.out.seek(SeekFrom::Start(0))?;
        self.out.write_all(&Superblock { identity, footer }.encode())?;
        self.out.flush()?;
        Ok(footer)
    }
}

impl<W: Write> Write for Sink<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.at += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
