//! The division of a batch into windows. This is arithmetic only; no device is needed.

use std::ops::Range;

use crate::{BLOCK, Error, Result, job::Sums};

/// The number of values that every part of a batch except the last is a multiple of: a whole number of blocks, and of
/// rows if sums are taken per class or row.
pub(crate) fn unit(sums: Sums, classes: usize) -> u64 {
    match sums {
        Sums::All => BLOCK as u64,
        Sums::PerClass | Sums::PerRow => BLOCK as u64 * classes as u64,
    }
}

/// The number of values of the fewest whole blocks that are whole rows of `classes` values: the least common multiple.
pub(crate) fn whole_rows(classes: u64) -> u64 {
    let block = BLOCK as u64;
    classes.saturating_mul(block >> classes.trailing_zeros().min(block.trailing_zeros()))
}

/// Divides `len` values into consecutive windows of `window` values; the last one may be shorter.
pub(crate) fn windows(len: u64, window: u64) -> impl ExactSizeIterator<Item = Range<u64>> {
    // A range of u32 is an `ExactSizeIterator`; 2^32 windows of at least 2^15 values exceed any memory.
    (0..len.div_ceil(window) as u32).map(move |w| {
        let start = u64::from(w) * window;
        start..len.min(start + window)
    })
}

/// The index of the first of `len` values that begin with that row, if it is given.
///
/// # Errors
/// [`Error::Parameter`] if there can be no such batch.
pub(crate) fn first_index(row: Option<u64>, classes: u64, len: u64) -> Result<Option<u64>> {
    let Some(row) = row else { return Ok(None) };
    let first = row.checked_mul(classes).filter(|first| first.checked_add(len).is_some());
    let must = "such that every index has at most 64 bits";
    first.map(Some).ok_or(Error::Parameter { name: "the first row", value: row as f64, must })
}

/// The numbers of values at the beginning and at the end of `len` values from index `first` on that lie in blocks of
/// `unit` values which begin before them, or end behind them. All lie in the first if no block ends with or within them.
pub(crate) fn ends(first: u64, len: u64, unit: u64) -> [u64; 2] {
    let head = len.min((unit - first % unit) % unit);
    [head, (len - head) % unit]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ends_of_parts() {
        for (first, len, wanted) in [
            (0, 0, [0, 0]),
            (0, 2047, [0, 2047]),
            (0, 2048, [0, 0]),
            (2048, 2049, [0, 1]),
            (2047, 1, [1, 0]),
            (2047, 2050, [1, 1]),
            (5, 2042, [2042, 0]),
            (5, 2044, [2043, 1]),
        ] {
            assert_eq!(ends(first, len, 2048), wanted, "{len} from {first} on");
        }
    }

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
