use bytes::{Buf, BufMut, Bytes};
use drift_codec::{
    Sq8, Sq8Block,
    packed::{Packed, pack},
};
use drift_kernels::sq8_stride;
use drift_types::VectorId;

use crate::{
    error::{Flaw, verify},
    le,
};

const HEADER_BYTES: usize = 16;
const PLANE_BYTES: usize = 32;

/// Planes begin at multiples of this: one cache line.
const LINE: usize = 64;

/// The kind of an SQ8 plane; 2 is kept for one bit per dimension.
const SQ8: u16 = 1;

/// What a search scans of one run: the rows' codes, and the keys that break ties.
///
/// A region is a *head*, whose checksum the directory holds, and the code planes it describes,
/// each with a checksum of its own, so that one plane can be read without the others.
///
/// ```text
/// 0    rows          u32   n
/// 4    dim           u32   d
/// 8    planes        u32   p
/// 12   keys' length  u32   l
/// 16   plane table   32 p  kind u16, bits u16, offset u32 (in the region), length u32, crc32c u32,
///                          16 zeros
///      keys          l     n numbers, packed
///      the planes, each at a multiple of 64
/// ```
///
/// The SQ8 plane (kind 1, 8 bits), s being d rounded up to 64:
///
/// ```text
/// 0    step          f32
/// 4    error         f32   at least |x - x^| of every row
/// 8    zero          56
/// 64   codes         n s   row-major, rows padded with zeros
///      norms_sq      n     f32, |x^ - centre|^2
///      centre        d     f32
/// ```
#[derive(Debug)]
pub struct HotRun {
    keys: Packed,
    step: f32,
    error: f32,
    codes: Bytes,
    norms_sq: Vec<f32>,
    centre: Vec<f32>,
}

impl HotRun {
    /// The coded rows.
    pub fn sq8(&self) -> Sq8Block<'_> {
        Sq8Block {
            centre: &self.centre,
            step: self.step,
            error: self.error,
            codes: &self.codes,
            norms_sq: &self.norms_sq,
        }
    }

    /// The key of row `i` of the run.
    ///
    /// # Panics
    /// When the run has no such row.
    pub fn id(&self, i: usize) -> VectorId {
        VectorId(self.keys.get(i))
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.keys.len()
    }

    /// Bytes it holds in memory.
    pub(crate) fn bytes(&self) -> u64 {
        // Norms and centre also stand in the region, which the codes keep in memory as a whole.
        let floats = 2 * (self.norms_sq.len() + self.centre.len());
        (self.keys.bytes_len() + self.codes.len() + 4 * floats + size_of::<Self>()) as u64
    }

    /// Reads a region of `rows` rows; `crc` proves its head.
    pub(crate) fn parse(region: Bytes, rows: usize, dim: usize, crc: u32) -> Result<Self, Flaw> {
        let mut header = region.get(..HEADER_BYTES).ok_or("no whole head")?;
        let mut number = || u64::from(header.get_u32_le());
        let (n, d, planes, keys) = (number(), number(), number(), number());
        let table_end = HEADER_BYTES as u64 + planes * PLANE_BYTES as u64;
        let end = table_end + keys;
        if end > region.len() as u64 {
            return Err("the head leaves its region".into());
        }
        let (table_end, end) = (table_end as usize, end as usize);
        verify(&region[..end], crc)?;
        if (n, d) != (rows as u64, dim as u64) {
            return Err("the region belongs to another run".into());
        }
        let keys = Packed::parse(region.slice(table_end..end), rows).map_err(|e| format!("keys of a run: {e}"))?;
        let mut table = &region[HEADER_BYTES..table_end];
        for _ in 0..planes {
            let plane = Plane::take(&mut table);
            // Planes of other kinds are alternatives to this one.
            if (plane.kind, plane.bits) == (SQ8, 8) {
                return Self::parse_sq8(keys, plane.bytes(&region)?, dim);
            }
        }
        Err(Flaw::Newer("it has no SQ8 codes".into()))
    }

    fn parse_sq8(keys: Packed, plane: Bytes, dim: usize) -> Result<Self, Flaw> {
        let codes = LINE..LINE + keys.len() * sq8_stride(dim);
        let norms_sq = codes.end..codes.end + 4 * keys.len();
        let centre = norms_sq.end..norms_sq.end + 4 * dim;
        if plane.len() != centre.end {
            return Err("the SQ8 plane is of another length".into());
        }
        let mut header = &plane[..LINE];
        Ok(Self {
            keys,
            step: header.get_f32_le(),
            error: header.get_f32_le(),
            norms_sq: le::f32s(&plane[norms_sq]),
            centre: le::f32s(&plane[centre]),
            codes: plane.slice(codes),
        })
    }
}

/// One entry of the plane table.
struct Plane {
    kind: u16,
    bits: u16,
    offset: u32,
    length: u32,
    crc: u32,
}

impl Plane {
    fn put(&self, out: &mut Vec<u8>) {
        out.put_u16_le(self.kind);
        out.put_u16_le(self.bits);
        out.put_u32_le(self.offset);
        out.put_u32_le(self.length);
        out.put_u32_le(self.crc);
        out.put_bytes(0, 16);
    }

    /// Takes [`PLANE_BYTES`] off `table`, which must be there.
    fn take(table: &mut &[u8]) -> Self {
        let plane = Self {
            kind: table.get_u16_le(),
            bits: table.get_u16_le(),
            offset: table.get_u32_le(),
            length: table.get_u32_le(),
            crc: table.get_u32_le(),
        };
        table.advance(16);
        plane
    }

    fn bytes(&self, region: &Bytes) -> Result<Bytes, Flaw> {
        let end = self.offset as usize + self.length as usize;
        if end > region.len() {
            return Err("a code plane leaves its region".into());
        }
        let bytes = region.slice(self.offset as usize..end);
        verify(&bytes, self.crc)?;
        Ok(bytes)
    }
}

/// Codes the rows of a run (in index space, `dim` values each) and lays out its region. Returns
/// the region and the checksum of its head; `None` if the region is too large for its own offsets.
pub(crate) fn encode(ids: &[VectorId], rows: &[f32], dim: usize) -> Option<(Vec<u8>, u32)> {
    let plane = encode_sq8(rows, dim);
    let mut keys = Vec::new();
    pack(&ids.iter().map(|id| id.0).collect::<Vec<_>>(), &mut keys);
    let head = HEADER_BYTES + PLANE_BYTES + keys.len();
    let offset = head.next_multiple_of(LINE);
    u32::try_from(offset + plane.len()).ok()?;

    let mut region = Vec::with_capacity(offset + plane.len());
    region.put_u32_le(ids.len() as u32);
    region.put_u32_le(dim as u32);
    region.put_u32_le(1);
    region.put_u32_le(keys.len() as u32);
    let crc = crc32c::crc32c(&plane);
    let (offset, length) = (offset as u32, plane.len() as u32);
    Plane { kind: SQ8, bits: 8, offset, length, crc }.put(&mut region);
    region.extend_from_slice(&keys);
    let crc = crc32c::crc32c(&region);
    region.resize(offset as usize, 0);
    region.extend_from_slice(&plane);
    Some((region, crc))
}

fn encode_sq8(rows: &[f32], dim: usize) -> Vec<u8> {
    let sq8 = Sq8::train(rows, dim);
    let coded = sq8.encode(rows);
    let mut plane = Vec::with_capacity(LINE + coded.codes.len() + 4 * (coded.norms_sq.len() + dim));
    plane.put_f32_le(sq8.step);
    plane.put_f32_le(coded.error);
    plane.resize(LINE, 0);
    plane.extend_from_slice(&coded.codes);
    le::put_f32s(&mut plane, &coded.norms_sq);
    le::put_f32s(&mut plane, &sq8.centre);
    plane
}
