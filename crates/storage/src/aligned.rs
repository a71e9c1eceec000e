//! Memory that direct I/O accepts: whole pages, at a multiple of the page size.

use std::ops::Range;

use bytes::Bytes;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

use crate::page::PAGE;

const _: () = assert!(size_of::<Page>() == PAGE && align_of::<Page>() == PAGE);

/// The compiler sees to the alignment, so there is nothing unsafe here. The zeros that a fresh page
/// starts with cost less than a tenth of the time to read it.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C, align(4096))]
struct Page([u8; PAGE]);

/// Some pages.
pub(crate) struct Pages(Box<[Page]>);

impl Pages {
    /// `n` pages of zeros.
    pub(crate) fn zeroed(n: usize) -> Option<Self> {
        <[Page]>::new_box_zeroed_with_elems(n).ok().map(Self)
    }

    pub(crate) fn as_mut_bytes(&mut self) -> &mut [u8] {
        self.0.as_mut_bytes()
    }

    /// A part of the bytes, not copied. It keeps all the pages in memory.
    pub(crate) fn into_bytes(self, part: Range<usize>) -> Bytes {
        Bytes::from_owner(self).slice(part)
    }
}

impl AsRef<[u8]> for Pages {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}
