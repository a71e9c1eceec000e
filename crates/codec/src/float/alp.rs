//! ALP (Afroozeh, Kuffo, Boncz, "ALP: Adaptive Lossless floating-Point Compression", SIGMOD'24):
//! decimal fractions as integers, those by frame of reference and bit-packing.
//!
//! The paper scales by 10^e * 10^-f in the precision of the data, and needs the pair because there
//! 10^-e is not exact. Here value = digits / 10^e: powers up to 10^10 are exact in f32, as are digits
//! below 2^24, and a division is rounded correctly, so the quotient is the f32 nearest to the
//! decimal, which is what reading its text gave. One exponent does.

use super::{CHUNK, lanes, patches};
use crate::{CodecError, bits, cursor::Cursor};

/// 10^e.
const POWERS: [f32; 11] = [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10];

/// Added to a smaller f64 it rounds that to an integer, which the lowest bits of the sum then hold.
const ROUND: f64 = (3u64 << 51) as f64;

/// Exponent, width, number of exceptions, base.
const HEAD: usize = 1 + 1 + 2 + 4;

/// Bits of an exception, which is the value itself.
const EXCEPTION: u32 = 32;

/// Values that decide on the exponent, and on whether to try at all.
const SAMPLE: usize = 64;

pub(super) fn encode(values: &[f32], limit: usize, out: &mut Vec<u8>) -> bool {
    let Some(exponent) = choose_exponent(values, limit) else { return false };
    let mut digits = [0; CHUNK];
    let digits = &mut digits[..values.len()];
    for (digits, &value) in digits.iter_mut().zip(values) {
        *digits = to_digits(value, exponent);
    }
    let mut missed = [false; CHUNK];
    let missed = &mut missed[..values.len()];
    for ((missed, &digits), &value) in missed.iter_mut().zip(&*digits).zip(values) {
        *missed = !is_exact(value, digits, exponent);
    }
    let Some(first) = missed.iter().position(|missed| !missed) else { return false };
    let exceptions = patches::find(missed);
    // Exceptions are packed too; this way they widen nothing.
    let filler = digits[first];
    for &at in &exceptions {
        digits[usize::from(at)] = filler;
    }
    let (base, width) = frame(digits);
    let len = HEAD + bits::packed_len(values.len(), width) + patches::packed_len(exceptions.len(), EXCEPTION);
    if len > limit {
        return false;
    }
    out.extend_from_slice(&[exponent as u8, width as u8]);
    out.extend_from_slice(&(exceptions.len() as u16).to_le_bytes());
    out.extend_from_slice(&base.to_le_bytes());
    lanes::pack(digits, base, width, out);
    patches::write(&exceptions, EXCEPTION, |at| values[at].to_bits(), out);
    true
}

pub(super) fn decode(bytes: &[u8], out: &mut [f32]) -> Result<(), CodecError> {
    let mut from = Cursor::new(bytes);
    let (exponent, width) = (usize::from(from.u8()?), u32::from(from.u8()?));
    let (exceptions, base) = (from.u16()?, from.u32()?);
    if exponent >= POWERS.len() {
        return Err(CodecError::Corrupt("an exponent beyond 10"));
    }
    let mut digits = [0; CHUNK];
    let digits = &mut digits[..out.len()];
    lanes::unpack(&mut from, base, width, digits)?;
    // Integers, of which pixels are the most common, need no division.
    if exponent == 0 {
        out.iter_mut().zip(&*digits).for_each(|(value, &digits)| *value = digits as i32 as f32);
    } else {
        out.iter_mut().zip(&*digits).for_each(|(value, &digits)| *value = from_digits(digits, exponent));
    }
    patches::read(&mut from, exceptions, EXCEPTION, out.len(), |at, bits| out[at] = f32::from_bits(bits))?;
    from.finish()
}

/// The exponent under which a sample of the values becomes smallest; none where even the sample
/// misses the limit, which a whole chunk can hardly do better.
fn choose_exponent(values: &[f32], limit: usize) -> Option<usize> {
    // An odd stride, so that the sample does not see one column of a matrix only.
    let stride = (values.len() / SAMPLE) | 1;
    let mut sample = [0.0; SAMPLE];
    let taken = sample.iter_mut().zip(values.iter().step_by(stride)).map(|(to, &value)| *to = value).count();
    let sample = &sample[..taken];
    let cost = |exponent: usize| sample_bits(sample, exponent);
    let (bits, exponent) = (0..POWERS.len()).map(|exponent| (cost(exponent), exponent)).min()?;
    (bits * values.len() <= 8 * limit * taken).then_some(exponent)
}

/// Bits the values of a sample would take.
fn sample_bits(sample: &[f32], exponent: usize) -> usize {
    let (mut min, mut max, mut exceptions) = (i32::MAX, i32::MIN, 0);
    for &value in sample {
        let digits = to_digits(value, exponent);
        if is_exact(value, digits, exponent) {
            (min, max) = (min.min(digits as i32), max.max(digits as i32));
        } else {
            exceptions += 1;
        }
    }
    let width = if exceptions < sample.len() { bits::width_of(u64::from(max.wrapping_sub(min) as u32)) } else { 0 };
    sample.len() * width as usize + patches::width(EXCEPTION) * exceptions
}

/// The smallest of the digits, which are signed, and the bits that the differences from it need.
fn frame(digits: &[u32]) -> (u32, u32) {
    let signed = || digits.iter().map(|&digits| digits as i32);
    let (min, max) = signed().fold((i32::MAX, i32::MIN), |(min, max), digits| (min.min(digits), max.max(digits)));
    (min as u32, bits::width_of(u64::from(max.wrapping_sub(min) as u32)))
}

/// round(value * 10^exponent) as an i32; anything where that is none.
fn to_digits(value: f32, exponent: usize) -> u32 {
    (f64::from(value) * f64::from(POWERS[exponent]) + ROUND).to_bits() as u32
}

/// What [`to_digits`] came from, if it was exact.
fn from_digits(digits: u32, exponent: usize) -> f32 {
    digits as i32 as f32 / POWERS[exponent]
}

fn is_exact(value: f32, digits: u32, exponent: usize) -> bool {
    from_digits(digits, exponent).to_bits() == value.to_bits()
}
