//! ALP_RD ("real doubles", of the same paper as ALP), for f32: the leading bits (sign, exponent, some
//! of the fraction) take few patterns and go through a dictionary; the others stay as they are.

use super::{CHUNK, lanes, patches};
use crate::{CodecError, bits, cursor::Cursor};

/// Leading bits, at least: fewer cannot save a tenth.
const MIN_LEFT: u32 = 4;

/// Leading bits, at most.
const MAX_LEFT: u32 = 16;

/// Patterns in the dictionary, at most.
const MAX_PATTERNS: usize = 8;

/// Bits of the right part, patterns, number of exceptions.
const HEAD: usize = 1 + 1 + 2;

/// Values that decide where to cut, and on the dictionary.
const SAMPLE: usize = 256;

/// Where to cut, and the leading parts that get a code, the most frequent first.
struct Split {
    right: u32,
    patterns: Vec<u16>,
}

pub(super) fn encode(values: &[f32], limit: usize, out: &mut Vec<u8>) -> bool {
    let Some(Split { right, patterns }) = choose_split(values, limit) else { return false };
    let mut lefts = [0; CHUNK];
    let mut rights = [0; CHUNK];
    let (lefts, rights) = (&mut lefts[..values.len()], &mut rights[..values.len()]);
    for ((left, rest), value) in lefts.iter_mut().zip(&mut *rights).zip(values) {
        *left = (value.to_bits() >> right) as u16;
        *rest = value.to_bits() & ((1 << right) - 1);
    }
    let mut codes = [0; CHUNK];
    let codes = &mut codes[..values.len()];
    let exceptions = look_up(lefts, &patterns, codes);
    let code_width = bits::width_of(patterns.len() as u64 - 1);
    let packed = bits::packed_len(values.len(), code_width) + bits::packed_len(values.len(), right);
    let left = u32::BITS - right;
    if HEAD + 2 * patterns.len() + packed + patches::packed_len(exceptions.len(), left) > limit {
        return false;
    }
    out.extend_from_slice(&[right as u8, patterns.len() as u8]);
    out.extend_from_slice(&(exceptions.len() as u16).to_le_bytes());
    out.extend(patterns.iter().flat_map(|pattern| pattern.to_le_bytes()));
    lanes::pack(codes, 0, code_width, out);
    lanes::pack(rights, 0, right, out);
    patches::write(&exceptions, left, |at| u32::from(lefts[at]), out);
    true
}

pub(super) fn decode(bytes: &[u8], out: &mut [f32]) -> Result<(), CodecError> {
    let mut from = Cursor::new(bytes);
    let (right, patterns, exceptions) = (u32::from(from.u8()?), usize::from(from.u8()?), from.u16()?);
    if !(u32::BITS - MAX_LEFT..u32::BITS).contains(&right) {
        return Err(CodecError::Corrupt("the cut of its values lies outside their leading 16 bits"));
    }
    if !(1..=MAX_PATTERNS).contains(&patterns) {
        return Err(CodecError::Corrupt("a dictionary of none or more than 8 patterns"));
    }
    let mut dictionary = [0; MAX_PATTERNS];
    for (pattern, &bytes) in dictionary.iter_mut().zip(from.take(2 * patterns)?.as_chunks().0) {
        *pattern = u32::from(u16::from_le_bytes(bytes)) << right;
    }
    let mut codes = [0; CHUNK];
    let mut rights = [0; CHUNK];
    let (codes, rights) = (&mut codes[..out.len()], &mut rights[..out.len()]);
    lanes::unpack(&mut from, 0, bits::width_of(patterns as u64 - 1), codes)?;
    lanes::unpack(&mut from, 0, right, rights)?;
    for ((value, &code), &rest) in out.iter_mut().zip(&*codes).zip(&*rights) {
        // A code has at most three bits: the remainder only tells the compiler.
        *value = f32::from_bits(dictionary[code as usize % MAX_PATTERNS] | rest);
    }
    let patch = |at, left| out[at] = f32::from_bits(left << right | rights[at]);
    patches::read(&mut from, exceptions, u32::BITS - right, rights.len(), patch)?;
    from.finish()
}

/// Gives each leading part its code, and returns the positions of those that have none.
fn look_up(lefts: &[u16], patterns: &[u16], codes: &mut [u32]) -> Vec<u16> {
    const NONE: u16 = MAX_PATTERNS as u16;
    let mut found = [NONE; CHUNK];
    let found = &mut found[..lefts.len()];
    // One pass per pattern and no branch: this the compiler turns into vectors.
    for (code, &pattern) in patterns.iter().enumerate() {
        for (found, &left) in found.iter_mut().zip(lefts) {
            *found = if left == pattern { code as u16 } else { *found };
        }
    }
    let mut missed = [false; CHUNK];
    for ((code, missed), &found) in codes.iter_mut().zip(&mut missed).zip(&*found) {
        *code = u32::from(found % NONE);
        *missed = found == NONE;
    }
    patches::find(&missed[..lefts.len()])
}

/// The cut under which a sample becomes smallest; none where even that misses the limit.
fn choose_split(values: &[f32], limit: usize) -> Option<Split> {
    if bits::packed_len(values.len(), u32::BITS - MAX_LEFT) > limit {
        return None;
    }
    let leading = sample_leading(values);
    let mut best: Option<(usize, Split)> = None;
    for left in MIN_LEFT..=MAX_LEFT {
        let frequent = most_frequent(&leading, left);
        let covered: usize = frequent.iter().map(|(_, count)| count).sum();
        let exceptions = (leading.len() - covered) * patches::width(left);
        let least = best.as_ref().map_or(usize::MAX, |(least, _)| *least);
        // Longer patterns are rarer: from here on exceptions only become more.
        if leading.len() * (u32::BITS - MAX_LEFT) as usize + exceptions >= least {
            break;
        }
        let right = u32::BITS - left;
        let cost = leading.len() * (right + bits::width_of(frequent.len() as u64 - 1)) as usize + exceptions;
        if cost < least {
            best = Some((cost, Split { right, patterns: frequent.iter().map(|(pattern, _)| *pattern).collect() }));
        }
    }
    best.filter(|(bits, _)| bits * values.len() <= 8 * limit * leading.len()).map(|(_, split)| split)
}

/// The leading 16 bits of some of the values, in rising order.
fn sample_leading(values: &[f32]) -> Vec<u16> {
    // An odd stride, so that the sample does not see one column of a matrix only.
    let stride = (values.len() / SAMPLE) | 1;
    let sampled = values.iter().step_by(stride).take(SAMPLE);
    let mut leading: Vec<u16> = sampled.map(|value| (value.to_bits() >> (u32::BITS - MAX_LEFT)) as u16).collect();
    leading.sort_unstable();
    leading
}

/// The most frequent of the patterns that the first `left` bits of `leading` make, as many as a
/// dictionary holds and the most frequent first, with their number.
fn most_frequent(leading: &[u16], left: u32) -> Vec<(u16, usize)> {
    let mut top: Vec<(u16, usize)> = Vec::with_capacity(MAX_PATTERNS + 1);
    let cut = |leading: u16| leading >> (MAX_LEFT - left);
    for equal in leading.chunk_by(|&a, &b| cut(a) == cut(b)) {
        if top.len() < MAX_PATTERNS || top[MAX_PATTERNS - 1].1 < equal.len() {
            top.insert(top.partition_point(|&(_, count)| count >= equal.len()), (cut(equal[0]), equal.len()));
            top.truncate(MAX_PATTERNS);
        }
    }
    top
}
