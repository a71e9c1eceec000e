use super::BIT1_ROWS;

/// The rows of a run that a scan could not rule out, ascending, each with its lower bound. Reused from
/// run to run: it allocates only when a run is longer than all before.
#[derive(Clone, Debug, Default)]
pub struct Bit1Survivors {
    rows: Vec<u32>,
    lowers: Vec<f32>,
    len: usize,
}

impl Bit1Survivors {
    /// Rows within the run.
    pub fn rows(&self) -> &[u32] {
        &self.rows[..self.len]
    }

    /// The lower bound of each of [`Bit1Survivors::rows`]; never NaN.
    pub fn lowers(&self) -> &[f32] {
        &self.lowers[..self.len]
    }

    /// Rows with their lower bounds.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (u32, f32)> + '_ {
        self.rows().iter().copied().zip(self.lowers().iter().copied())
    }

    /// Forgets the survivors and makes room for a whole tile beyond `rows` of them, so that kernels
    /// may store whole registers.
    pub(crate) fn reset(&mut self, rows: usize) {
        let room = rows + BIT1_ROWS;
        if self.rows.len() < room {
            self.rows.resize(room, 0);
            self.lowers.resize(room, 0.0);
        }
        self.len = 0;
    }

    /// Where the next survivors go: `count` of them count, what else is stored there does not.
    #[inline(always)]
    pub(crate) fn next(&mut self, count: u32) -> (&mut [u32; BIT1_ROWS], &mut [f32; BIT1_ROWS]) {
        let at = self.len;
        self.len += count as usize;
        let missing = "reset has made room for a tile more";
        (self.rows[at..].first_chunk_mut().expect(missing), self.lowers[at..].first_chunk_mut().expect(missing))
    }

    /// Takes the rows of a tile whose bits are set.
    #[inline]
    pub(crate) fn push(&mut self, tile: usize, mut mask: u16, lowers: &[f32; BIT1_ROWS]) {
        if mask == 0 {
            return;
        }
        let (rows, out) = self.next(mask.count_ones());
        let mut at = 0;
        while mask != 0 {
            let row = mask.trailing_zeros() as usize;
            (rows[at], out[at]) = ((BIT1_ROWS * tile + row) as u32, lowers[row]);
            mask &= mask - 1;
            at += 1;
        }
    }
}
