//! Renews the checksums of changed files, so that the decoders behind them see the change. Layouts as
//! in `docs/format`; what lies out of bounds stays as it is.

use std::ops::Range;

use arrow_array::{Array, RecordBatch, UInt32Array, UInt64Array};
use drift_ipc::read_stream;

const PAGE: usize = 4096;

/// The four checksums of an object of the manifest around `body`.
pub fn frame(magic: &[u8; 8], body: &[u8]) -> Vec<u8> {
    let mut object = [&magic[..], &[0; 56], body].concat();
    object[8] = 1;
    object[16..24].copy_from_slice(&(body.len() as u64).to_le_bytes());
    put(&mut object, 24, crc32c::crc32c(body));
    let crc = crc32c::crc32c(&object[..64]);
    put(&mut object, 12, crc);
    object
}

/// Those of a log file: its header's, and each record's up to the first that is none.
pub fn log(file: &mut [u8]) {
    if file.len() < PAGE {
        return;
    }
    seal(file, 0..PAGE - 4, PAGE - 4);
    let salt = u64_at(file, 40).unwrap_or_default();
    let mut at = PAGE;
    while file.get(at..at + 4) == Some(b"DREC") && file.len() >= at + 64 {
        let payload = at + 64..at + 64 + (u32_at(file, at + 4).unwrap_or_default() as usize).next_multiple_of(64);
        seal(file, payload.clone(), at + 40);
        let seed = crc32c::crc32c_append(crc32c::crc32c(&salt.to_le_bytes()), &(at as u64).to_le_bytes());
        let crc = crc32c::crc32c_append(seed, &file[at..at + 60]);
        put(file, at + 60, crc);
        at = payload.end;
    }
}

/// Those of a segment, from the innermost outwards. What superblock, footer and trailer say alike is
/// made alike.
pub fn segment(file: &mut Vec<u8>) {
    let (Some(offset), Some(length)) = (usize_at(file, 96), usize_at(file, 104)) else { return };
    let Some(end) = offset.checked_add(length).filter(|end| *end < file.len()) else { return };
    if offset < PAGE || length < 64 || file.len() < end + 64 {
        return;
    }
    file.truncate(end + 64);
    sections(file, offset);
    file.copy_within(offset..offset + 48, 48);
    seal(file, offset..end, 112);
    let file_length = file.len() as u64;
    file[120..128].copy_from_slice(&file_length.to_le_bytes());
    file.copy_within(96..116, end);
    file.copy_within(120..128, end + 24);
    seal(file, 0..PAGE - 4, PAGE - 4);
    seal(file, end..end + 52, end + 52);
}

/// Kinds of sections.
const PAYL: u32 = 4;
const SCHEMA: u32 = 5;
const DIRECTORY: u32 = 6;
const PAYLOAD_SUMS: u32 = 7;
const IDIX: u32 = 8;
const KEY_FENCES: u32 = 11;

fn sections(file: &mut [u8], footer: usize) {
    let count = u32_at(file, footer + 48).unwrap_or_default().min(64) as usize;
    let entries: Vec<usize> = (0..count).map(|i| footer + 64 + 64 * i).collect();
    let place = |file: &[u8], entry| {
        let offset = usize_at(file, entry + 8)?;
        let range = offset..offset.checked_add(usize_at(file, entry + 16)?)?;
        file.get(range.clone()).map(|_| range)
    };
    // Only those sections have one of their own whose entry has one.
    for &entry in
        entries.iter().filter(|entry| u32_at(file, **entry + 28).is_some_and(|crc| crc != 0)).collect::<Vec<_>>()
    {
        if let Some(range) = place(file, entry) {
            seal(file, range, entry + 28);
        }
    }
    let find = |file: &[u8], kind| place(file, *entries.iter().find(|entry| u32_at(file, **entry) == Some(kind))?);
    if let (Some(pages), Some(sums)) = (find(file, PAYL), find(file, PAYLOAD_SUMS)) {
        page_sums(file, pages, sums);
    }
    if let (Some(pages), Some(fences)) = (find(file, IDIX), find(file, KEY_FENCES)) {
        let sums = fences.start + fences.len() / 12 * 8..fences.end;
        page_sums(file, pages, sums);
    }
    if let (Some(schema), Some(directory)) = (find(file, SCHEMA), find(file, DIRECTORY)) {
        let metric = read_stream(&file[schema])
            .ok()
            .and_then(|(schema, _)| schema.metadata().get("drift.segment.metric").cloned());
        let dim = u32_at(file, footer + 40).unwrap_or_default() as usize;
        runs(file, directory, dim, metric.is_some_and(|metric| metric == "cosine"));
    }
}

fn page_sums(file: &mut [u8], pages: Range<usize>, sums: Range<usize>) {
    for (page, sum) in pages.clone().step_by(PAGE).zip(sums.step_by(4)) {
        seal(file, page..pages.end.min(page + PAGE), sum);
    }
}

fn runs(file: &mut [u8], directory: Range<usize>, dim: usize, cosine: bool) {
    let Ok((_, batches)) = read_stream(&file[directory.clone()]) else { return };
    let Some(batch) = batches.first() else { return };
    let rows = numbers(batch, "rows");
    for (part, is_hot) in [("hot", true), ("cold", false)] {
        let places = places(batch, part);
        let Some((crcs, crc_at)) = checksums_at(batch, &format!("{part}_crc")) else { continue };
        for (i, region) in places.into_iter().enumerate().take(crcs) {
            if file.get(region.clone()).is_none() {
                continue;
            }
            let proven = if is_hot {
                hot_head(file, region)
            } else {
                let rows = rows.get(i).copied().unwrap_or_default() as usize;
                cold_table(file, region, rows * dim, if cosine { rows } else { 0 })
            };
            if let Some(proven) = proven {
                seal(file, proven, directory.start + crc_at + 4 * i);
            }
        }
    }
}

/// Renews the checksums of a HOT region's planes; returns its head.
fn hot_head(file: &mut [u8], region: Range<usize>) -> Option<Range<usize>> {
    let (planes, keys) = (u32_at(file, region.start + 8)? as usize, u32_at(file, region.start + 12)? as usize);
    let head = region.start..region.start + 16 + 32 * planes + keys;
    if head.end > region.end {
        return None;
    }
    for plane in (0..planes).map(|i| region.start + 16 + 32 * i) {
        let start = region.start + u32_at(file, plane + 4)? as usize;
        seal(file, start..(start + u32_at(file, plane + 8)? as usize), plane + 12);
    }
    Some(head)
}

/// Renews the checksums of a COLD region's chunks; returns its chunk table.
fn cold_table(file: &mut [u8], region: Range<usize>, values: usize, norms: usize) -> Option<Range<usize>> {
    let entries = values.div_ceil(1024) + norms.div_ceil(1024);
    let table = region.end.checked_sub(8 * entries).filter(|table| *table >= region.start)?..region.end;
    let mut chunk = region.start;
    for entry in table.clone().step_by(8) {
        let length = usize::from(u16::from_le_bytes([file[entry], file[entry + 1]]));
        seal(file, chunk..chunk + length, entry + 4);
        chunk += length;
    }
    Some(table)
}

fn numbers(batch: &RecordBatch, column: &str) -> Vec<u32> {
    let column = batch.column_by_name(column).and_then(|column| column.as_any().downcast_ref::<UInt32Array>());
    column.map(|column| column.values().to_vec()).unwrap_or_default()
}

fn places(batch: &RecordBatch, part: &str) -> Vec<Range<usize>> {
    let column = |name| {
        let column = batch.column_by_name(&format!("{part}_{name}"))?.as_any().downcast_ref::<UInt64Array>()?;
        Some(column.values().to_vec())
    };
    let (offsets, lengths) = (column("offset").unwrap_or_default(), column("length").unwrap_or_default());
    let range = |(offset, length): (&u64, &u64)| *offset as usize..offset.saturating_add(*length) as usize;
    offsets.iter().zip(&lengths).map(range).collect()
}

/// How many checksums are in this column, and at which byte of the stream they begin: the column is
/// a view into a copy of it.
fn checksums_at(batch: &RecordBatch, column: &str) -> Option<(usize, usize)> {
    let column = batch.column_by_name(column)?.as_any().downcast_ref::<UInt32Array>()?;
    let buffer = column.values().inner();
    Some((column.len(), buffer.as_ptr() as usize - buffer.data_ptr().as_ptr() as usize))
}

/// Puts the checksum of `range` at `at`, if both are there.
fn seal(file: &mut [u8], range: Range<usize>, at: usize) {
    if let Some(bytes) = file.get(range) {
        let crc = crc32c::crc32c(bytes);
        put(file, at, crc);
    }
}

fn put(file: &mut [u8], at: usize, crc: u32) {
    if let Some(place) = file.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
        *place = crc.to_le_bytes();
    }
}

fn u32_at(file: &[u8], at: usize) -> Option<u32> {
    file.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

fn u64_at(file: &[u8], at: usize) -> Option<u64> {
    file.get(at..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

fn usize_at(file: &[u8], at: usize) -> Option<usize> {
    u64_at(file, at).and_then(|number| usize::try_from(number).ok())
}
