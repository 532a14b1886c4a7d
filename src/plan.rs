//! The division of a batch into windows. This is arithmetic only; no device is needed.

use std::ops::Range;

use crate::{BLOCK, job::Sums};

/// The number of values that every part of a batch except the last is a multiple of: a whole number of blocks, and of
/// rows if sums are taken per class or row.
pub(crate) fn unit(sums: Sums, classes: usize) -> u64 {
    match sums {
        Sums::All => BLOCK as u64,
        Sums::PerClass | Sums::PerRow => BLOCK as u64 * classes as u64,
    }
}

/// Divides `len` values into consecutive windows of `window` values; the last one may be shorter.
pub(crate) fn windows(len: u64, window: u64) -> impl ExactSizeIterator<Item = Range<u64>> {
    // A range of u32 is an `ExactSizeIterator`; 2^32 windows of at least 2^15 values exceed any memory.
    (0..len.div_ceil(window) as u32).map(move |w| {
        let start = u64::from(w) * window;
        start..len.min(start + window)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn windows_cover_once(len in 0u64..1 << 40, window in 1u64 << 15..1 << 27) {
            let mut end = 0;
            for range in windows(len, window).take(1000) {
                prop_assert_eq!(range.start, end);
                prop_assert!(range.end > range.start && range.end - range.start <= window);
                end = range.end;
            }
            prop_assert!(end == len || windows(len, window).len() > 1000);
            prop_assert_eq!(windows(len, window).len() as u64, len.div_ceil(window));
        }
    }
}
