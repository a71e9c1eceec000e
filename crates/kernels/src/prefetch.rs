/// One cache line.
const LINE: usize = 64;

/// Tells the processor that these values will be read soon. Changes nothing else, and is nothing on
/// processors it is not written for.
#[inline]
pub fn prefetch<T>(values: &[T]) {
    #[cfg(target_arch = "x86_64")]
    for at in (0..size_of_val(values)).step_by(LINE) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: SSE is part of x86-64; a prefetch reads nothing and never faults, wherever it points.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(values.as_ptr().cast::<i8>().wrapping_add(at)) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (values, LINE);
}
