//! ALP_RD, "real doubles" (ALP paper, section 3.4), for f32: the leading bits (sign, exponent,
//! some of the fraction) take few patterns and go through a dictionary; the others stay as they are.

use super::{CHUNK, lanes, patches};
use crate::{CodecError, bits, cursor::Cursor};

/// Leading bits, at most.
const MAX_LEFT: u32 = 16;

/// Patterns in the dictionary, at most.
const MAX_PATTERNS: usize = 8;

/// Bits of the right part, patterns, number of exceptions.
const HEAD: usize = 1 + 1 + 2;

/// Bytes of an exception: leading bits and position.
const EXCEPTION: usize = 2 + 2;

/// Values that decide where to cut, and on the dictionary.
const SAMPLE: usize = 256;

/// Where to cut, and the leading parts that get a code, the most frequent first.
struct Split {
    right: u32,
    patterns: Vec<u16>,
}

/// A leading part, and how often it occurs.
type Count = (u16, usize);

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
    if HEAD + 2 * patterns.len() + packed + EXCEPTION * exceptions.len() > limit {
        return false;
    }
    out.extend_from_slice(&[right as u8, patterns.len() as u8]);
    out.extend_from_slice(&(exceptions.len() as u16).to_le_bytes());
    out.extend(patterns.iter().flat_map(|pattern| pattern.to_le_bytes()));
    lanes::pack(codes, 0, code_width, out);
    lanes::pack(rights, 0, right, out);
    patches::write(&exceptions, |at| lefts[at].to_le_bytes(), out);
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
    let left_bits = |bytes| u32::from(u16::from_le_bytes(bytes)) << right;
    let mut dictionary = [0; MAX_PATTERNS];
    for (pattern, &bytes) in dictionary.iter_mut().zip(from.take(2 * patterns)?.as_chunks().0) {
        *pattern = left_bits(bytes);
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
    patches::read(&mut from, exceptions, out.len(), |at, left| out[at] = f32::from_bits(left_bits(left) | rights[at]))?;
    from.finish()
}

/// Gives each leading part its code, and returns the positions of those that have none.
fn look_up(lefts: &[u16], patterns: &[u16], codes: &mut [u32]) -> Vec<u16> {
    const NONE: u32 = MAX_PATTERNS as u32;
    codes.fill(NONE);
    // One pass per pattern and no branch: this the compiler turns into vectors.
    for (code, &pattern) in patterns.iter().enumerate() {
        for (slot, &left) in codes.iter_mut().zip(lefts) {
            *slot = if left == pattern { code as u32 } else { *slot };
        }
    }
    let exceptions: Vec<u16> = (0..codes.len()).filter(|&at| codes[at] == NONE).map(|at| at as u16).collect();
    for &at in &exceptions {
        codes[usize::from(at)] = 0;
    }
    exceptions
}

/// The cut under which a sample becomes smallest; none where even that misses the limit.
fn choose_split(values: &[f32], limit: usize) -> Option<Split> {
    let mut counts = count_leading(values);
    let taken: usize = counts.iter().map(|(_, count)| count).sum();
    let mut best: Option<(usize, Split)> = None;
    for left in (1..=MAX_LEFT).rev() {
        let right = u32::BITS - left;
        let frequent = most_frequent(&counts);
        let covered: usize = frequent.iter().map(|(_, count)| count).sum();
        let code_width = bits::width_of(frequent.len() as u64 - 1);
        let cost = taken * (right + code_width) as usize + (taken - covered) * 8 * EXCEPTION;
        if best.as_ref().is_none_or(|(least, _)| cost < *least) {
            best = Some((cost, Split { right, patterns: frequent.iter().map(|(pattern, _)| *pattern).collect() }));
        }
        drop_last_bit(&mut counts);
    }
    best.filter(|(bits, _)| bits * values.len() <= 8 * limit * taken).map(|(_, split)| split)
}

/// The leading 16 bits of a sample, in rising order, each once, with their number.
fn count_leading(values: &[f32]) -> Vec<Count> {
    // An odd stride, so that the sample does not see one column of a matrix only.
    let stride = (values.len() / SAMPLE) | 1;
    let sampled = values.iter().step_by(stride).take(SAMPLE);
    let mut leading: Vec<u16> = sampled.map(|value| (value.to_bits() >> (u32::BITS - MAX_LEFT)) as u16).collect();
    leading.sort_unstable();
    leading.chunk_by(|a, b| a == b).map(|equal| (equal[0], equal.len())).collect()
}

/// Cuts one bit off the patterns, and adds the counts of those that become equal.
fn drop_last_bit(counts: &mut Vec<Count>) {
    for (pattern, _) in counts.iter_mut() {
        *pattern >>= 1;
    }
    counts.dedup_by(|next, kept| {
        let equal = next.0 == kept.0;
        kept.1 += if equal { next.1 } else { 0 };
        equal
    });
}

/// As many patterns as a dictionary holds, the most frequent first.
fn most_frequent(counts: &[Count]) -> Vec<Count> {
    let mut counts = counts.to_vec();
    let frequent_first = |&(pattern, count): &Count| (std::cmp::Reverse(count), pattern);
    if counts.len() > MAX_PATTERNS {
        counts.select_nth_unstable_by_key(MAX_PATTERNS, frequent_first);
        counts.truncate(MAX_PATTERNS);
    }
    counts.sort_unstable_by_key(frequent_first);
    counts
}
