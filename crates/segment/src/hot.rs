use bytes::{Buf, BufMut, Bytes};
use drift_codec::{
    Bit1, Bit1Block, Bit1Codes, Bit1Scales, Sq8, Sq8Block, Sq8Offsets,
    packed::{Packed, pack},
};
use drift_kernels::{BIT1_ROWS, Lines, bit1_tile_len, prefetch, sq8_stride};
use drift_types::VectorId;

use crate::{
    error::{Flaw, verify},
    le,
};

const HEADER_BYTES: usize = 16;
const PLANE_BYTES: usize = 32;

/// Planes begin at multiples of this: one cache line.
const LINE: usize = 64;

/// The kinds of planes.
const SQ8: u16 = 1;
const BIT1: u16 = 2;

/// What a search scans of one run: the rows' codes, and the keys that break ties.
///
/// The 1-bit codes are a first sieve, and SQ8 scores what it leaves over. Both have the same centre.
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
///
/// The 1-bit plane (kind 2, 1 bit), which is there if the segment has an ORIGIN, t being
/// [`bit1_tile_len`]:
///
/// ```text
/// 0    scales        a, b, error: f32 each, as Bit1Scales
/// 12   zero          52
/// 64   tiles         ceil(n / 16) t
/// ```
#[derive(Debug)]
pub struct HotRun {
    keys: Packed,
    step: f32,
    error: f32,
    codes: Lines,
    norms_sq: Vec<f32>,
    centre: Vec<f32>,
    centre_hash: u64,
    bits: Option<Bits>,
}

/// Tells centres apart without comparing all of their values: two that differ have another hash, but for
/// one pair in 2^64.
pub fn centre_hash(centre: &[f32]) -> u64 {
    let mut bytes = Vec::new();
    le::put_f32s(&mut bytes, centre);
    xxhash_rust::xxh3::xxh3_64(&bytes)
}

#[derive(Debug)]
struct Bits {
    tiles: Lines,
    scales: Bit1Scales,
    offsets: Sq8Offsets,
}

impl HotRun {
    /// The coded rows.
    #[inline]
    pub fn sq8(&self) -> Sq8Block<'_> {
        Sq8Block {
            centre: &self.centre,
            step: self.step,
            error: self.error,
            codes: self.codes.as_bytes(),
            norms_sq: &self.norms_sq,
        }
    }

    /// The rows' 1-bit codes, and what scoring some of them by [`HotRun::sq8`] needs, if the segment has
    /// an origin.
    #[inline]
    pub fn bit1(&self) -> Option<(Bit1Block<'_>, &Sq8Offsets)> {
        let Bits { tiles, scales, offsets } = self.bits.as_ref()?;
        Some((Bit1Block { tiles: tiles.as_bytes(), rows: self.rows(), scales: *scales }, offsets))
    }

    /// [`centre_hash`] of what its codes are relative to.
    #[inline]
    pub fn centre_hash(&self) -> u64 {
        self.centre_hash
    }

    /// Tells the processor that 1-bit codes will be read soon; what comes behind their first lines it foresees
    /// itself.
    #[inline]
    pub fn bring_near(&self) {
        const FIRST: usize = 4 * LINE;
        if let Some(bits) = &self.bits {
            let tiles = bits.tiles.as_bytes();
            prefetch(&tiles[..tiles.len().min(FIRST)]);
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
    #[inline]
    pub fn rows(&self) -> usize {
        self.keys.len()
    }

    /// Bytes it holds in memory.
    pub(crate) fn bytes(&self) -> u64 {
        let floats = 4 * (self.norms_sq.len() + self.centre.len());
        let bits = self.bits.as_ref().map_or(0, |bits| bits.tiles.as_bytes().len() + bits.offsets.heap_bytes());
        (self.keys.bytes_len() + self.codes.as_bytes().len() + floats + bits + size_of::<Self>()) as u64
    }

    /// Reads a region of `rows` rows; `crc` proves its head. 1-bit codes are read if they have an origin.
    pub(crate) fn parse(
        region: Bytes,
        rows: usize,
        dim: usize,
        origin: Option<&[f32]>,
        crc: u32,
    ) -> Result<Self, Flaw> {
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
        // A copy, so that the keys do not keep the whole region in memory.
        let keys = Bytes::copy_from_slice(&region[table_end..end]);
        let keys = Packed::parse(keys, rows).map_err(|e| format!("keys of a run: {e}"))?;
        let mut table = &region[HEADER_BYTES..table_end];
        let table: Vec<Plane> = (0..planes).map(|_| Plane::take(&mut table)).collect();
        let plane = |kind, bits| table.iter().find(|plane| (plane.kind, plane.bits) == (kind, bits));
        let sq8 = plane(SQ8, 8).ok_or_else(|| Flaw::Newer("it has no SQ8 codes".into()))?;
        let mut run = Self::parse_sq8(keys, sq8.bytes(&region)?, dim)?;
        if let (Some(origin), Some(bit1)) = (origin, plane(BIT1, 1)) {
            run.bits = Some(run.parse_bit1(bit1.bytes(&region)?, origin)?);
        }
        Ok(run)
    }

    fn parse_bit1(&self, plane: &[u8], origin: &[f32]) -> Result<Bits, Flaw> {
        let tiles = self.rows().div_ceil(BIT1_ROWS) * bit1_tile_len(origin.len());
        if plane.len() != LINE + tiles {
            return Err("the 1-bit plane is of another length".into());
        }
        let (mut header, tiles) = plane.split_at(LINE);
        let scales = Bit1Scales { a: header.get_f32_le(), b: header.get_f32_le(), error: header.get_f32_le() };
        Ok(Bits { tiles: Lines::copied_from(tiles), scales, offsets: Sq8Offsets::new(&self.sq8(), origin) })
    }

    fn parse_sq8(keys: Packed, plane: &[u8], dim: usize) -> Result<Self, Flaw> {
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
            centre_hash: xxhash_rust::xxh3::xxh3_64(&plane[centre.clone()]),
            centre: le::f32s(&plane[centre]),
            codes: Lines::copied_from(&plane[codes]),
            bits: None,
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

    fn bytes<'r>(&self, region: &'r [u8]) -> Result<&'r [u8], Flaw> {
        let (start, length) = (self.offset as usize, self.length as usize);
        let bytes = region.get(start..start + length).ok_or("a code plane leaves its region")?;
        verify(bytes, self.crc)?;
        Ok(bytes)
    }
}

/// Codes the rows of a run (in index space) relative to `centre` and lays out its region, with 1-bit codes
/// if there is a quantizer for them. Returns the region and the checksum of its head; `None` if the
/// region is too large for its own offsets.
pub(crate) fn encode(
    ids: &[VectorId],
    rows: &[f32],
    centre: &[f32],
    bit1: Option<&mut Bit1>,
) -> Option<(Vec<u8>, u32)> {
    let (sq8, dim) = (Sq8::around(centre, rows), centre.len());
    let mut planes = Vec::new();
    if let Some(bit1) = bit1 {
        planes.push((BIT1, 1, bit1_plane(&bit1.encode(rows, centre))));
    }
    planes.push((SQ8, 8, sq8_plane(&sq8, rows)));
    let mut keys = Vec::new();
    pack(&ids.iter().map(|id| id.0).collect::<Vec<_>>(), &mut keys);
    let head = HEADER_BYTES + PLANE_BYTES * planes.len() + keys.len();
    let first = head.next_multiple_of(LINE);
    let end = planes.iter().fold(first, |at, (.., plane)| (at + plane.len()).next_multiple_of(LINE));
    u32::try_from(end).ok()?;

    let mut region = Vec::with_capacity(end);
    region.put_u32_le(ids.len() as u32);
    region.put_u32_le(dim as u32);
    region.put_u32_le(planes.len() as u32);
    region.put_u32_le(keys.len() as u32);
    let mut offset = first;
    for (kind, bits, plane) in &planes {
        let (kind, bits, crc) = (*kind, *bits, crc32c::crc32c(plane));
        Plane { kind, bits, offset: offset as u32, length: plane.len() as u32, crc }.put(&mut region);
        offset = (offset + plane.len()).next_multiple_of(LINE);
    }
    region.extend_from_slice(&keys);
    let crc = crc32c::crc32c(&region);
    for (.., plane) in &planes {
        region.resize(region.len().next_multiple_of(LINE), 0);
        region.extend_from_slice(plane);
    }
    Some((region, crc))
}

fn bit1_plane(codes: &Bit1Codes) -> Vec<u8> {
    let tiles = codes.tiles.as_bytes();
    let mut plane = Vec::with_capacity(LINE + tiles.len());
    le::put_f32s(&mut plane, &[codes.scales.a, codes.scales.b, codes.scales.error]);
    plane.resize(LINE, 0);
    plane.extend_from_slice(tiles);
    plane
}

fn sq8_plane(sq8: &Sq8, rows: &[f32]) -> Vec<u8> {
    let coded = sq8.encode(rows);
    let mut plane = Vec::with_capacity(LINE + coded.codes.len() + 4 * (coded.norms_sq.len() + sq8.centre.len()));
    plane.put_f32_le(sq8.step);
    plane.put_f32_le(coded.error);
    plane.resize(LINE, 0);
    plane.extend_from_slice(&coded.codes);
    le::put_f32s(&mut plane, &coded.norms_sq);
    le::put_f32s(&mut plane, &sq8.centre);
    plane
}
