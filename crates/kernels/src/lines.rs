use std::fmt;

/// One cache line, one AVX-512 register.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; 64]);

/// Bytes in whole 64-byte lines, aligned to 64, so that no load of a register touches two lines.
#[derive(Clone, Default)]
pub struct Lines(Vec<Line>);

impl Lines {
    /// `n` lines of zeros.
    pub fn zeroed(n: usize) -> Self {
        Self(vec![Line([0; 64]); n])
    }

    /// A copy of `bytes`, the last line filled up with zeros.
    pub fn copied_from(bytes: &[u8]) -> Self {
        let mut lines = Self::zeroed(bytes.len().div_ceil(64));
        lines.as_bytes_mut()[..bytes.len()].copy_from_slice(bytes);
        lines
    }

    /// The bytes, 64 to a line.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        self.as_lines().as_flattened()
    }

    /// The bytes, to be written.
    pub fn as_bytes_mut(&mut self) -> &mut [u8] {
        self.as_lines_mut().as_flattened_mut()
    }

    pub(crate) fn as_lines(&self) -> &[[u8; 64]] {
        // SAFETY: `Line` is a `[u8; 64]` with a stricter alignment and, by its size of 64, no padding.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), self.0.len()) }
    }

    fn as_lines_mut(&mut self) -> &mut [[u8; 64]] {
        // SAFETY: as in `as_lines`; every bit pattern is a valid `Line`, and `self` is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), self.0.len()) }
    }
}

impl PartialEq for Lines {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lines({})", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_aligned_and_hold_what_is_written() {
        let mut lines = Lines::zeroed(3);
        assert!(lines.as_bytes().as_ptr().addr().is_multiple_of(64));
        assert_eq!(lines.as_bytes(), [0; 192]);
        lines.as_bytes_mut()[130] = 7;
        assert_eq!((lines.as_lines()[2][2], lines.clone() == lines), (7, true));
        assert_eq!(Lines::default().as_bytes(), []);
        let copy = Lines::copied_from(&[1; 65]);
        assert_eq!((copy.as_bytes()[64], &copy.as_bytes()[65..]), (1, &[0; 63][..]));
    }
}
