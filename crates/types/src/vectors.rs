/// Rows of equal length, row-major.
#[derive(Clone, Copy, Debug)]
pub struct Vectors<'a> {
    data: &'a [f32],
    dim: usize,
}

impl<'a> Vectors<'a> {
    /// Views `data` as rows of `dim` values.
    ///
    /// # Panics
    /// When `dim` is zero or does not divide `data.len()`.
    pub fn new(data: &'a [f32], dim: usize) -> Self {
        assert!(dim > 0 && data.len().is_multiple_of(dim), "{} values are no rows of {dim}", data.len());
        Self { data, dim }
    }

    /// Values per row.
    pub fn dim(self) -> usize {
        self.dim
    }

    /// Number of rows.
    pub fn len(self) -> usize {
        self.data.len() / self.dim
    }

    /// Whether there is no row.
    pub fn is_empty(self) -> bool {
        self.data.is_empty()
    }

    /// All values, row after row.
    pub fn data(self) -> &'a [f32] {
        self.data
    }

    /// One row.
    pub fn row(self, i: usize) -> &'a [f32] {
        &self.data[i * self.dim..(i + 1) * self.dim]
    }

    /// The rows of `range`.
    pub fn slice(self, range: std::ops::Range<usize>) -> Self {
        Self { data: &self.data[range.start * self.dim..range.end * self.dim], dim: self.dim }
    }

    /// Row after row.
    pub fn iter(self) -> std::slice::ChunksExact<'a, f32> {
        self.data.chunks_exact(self.dim)
    }
}
