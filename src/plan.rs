//! How a batch is cut under the limits of a device: arithmetic alone, no device in sight.

use std::ops::Range;

use crate::{BLOCK, job::Sums};

/// Values of one window must be a multiple of this: the start of every window is then a whole number of blocks,
/// and aligned to 256 bytes and more in every array, down to one bit a value.
pub(crate) const WINDOW_STEP: u64 = 16 * BLOCK as u64;

/// Values one dispatch may take: some tenths of a second on a slow adapter, well below any watchdog; and no more
/// blocks than a limb of the accumulator can add up.
pub(crate) const WINDOW_MAX: u64 = 1 << 26;

/// The limits of a device that a plan depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Bytes that one storage binding may span.
    pub binding: u64,
    /// Bytes that one buffer may hold.
    pub buffer: u64,
    /// Workgroups of one dispatch, in one dimension.
    pub workgroups: u32,
}

#[cfg(feature = "gpu")]
impl From<&wgpu::Limits> for Limits {
    fn from(limits: &wgpu::Limits) -> Self {
        Self {
            binding: limits.max_storage_buffer_binding_size,
            buffer: limits.max_buffer_size,
            workgroups: limits.max_compute_workgroups_per_dimension,
        }
    }
}

impl Limits {
    /// The most values that one dispatch can take when the widest array has `bytes` bytes a value.
    pub fn window(&self, bytes: u64) -> u64 {
        let fits =
            (self.binding.min(self.buffer) / bytes).min(u64::from(self.workgroups) * BLOCK as u64).min(WINDOW_MAX);
        // An adapter that cannot bind 128 KiB does not exist: WebGPU promises 128 MiB.
        (fits - fits % WINDOW_STEP).max(WINDOW_STEP)
    }
}

/// The number of values that every part of a batch but the last is a multiple of: whole blocks, and of whole rows where
/// sums are taken per class or row.
pub(crate) fn unit(sums: Sums, classes: usize) -> u64 {
    match sums {
        Sums::All => BLOCK as u64,
        Sums::PerClass | Sums::PerRow => BLOCK as u64 * classes as u64,
    }
}

impl Limits {
    /// The most values that one dispatch can take, a multiple of `unit` if they are not all `len` there are; none if
    /// that does not fit.
    pub fn window_of(&self, bytes: u64, unit: u64, len: u64) -> Option<u64> {
        let window = self.window(bytes);
        if len <= window {
            return Some(window);
        }
        // Windows after the first must also start where any device can bind.
        let step = lcm(unit, WINDOW_STEP)?;
        (step <= window).then(|| window - window % step)
    }
}

fn lcm(a: u64, b: u64) -> Option<u64> {
    let (mut x, mut y) = (a, b);
    while y != 0 {
        (x, y) = (y, x % y);
    }
    (a / x).checked_mul(b)
}

/// Cuts `len` values into consecutive windows of `window` values, the last one shorter.
pub(crate) fn windows(len: u64, window: u64) -> impl ExactSizeIterator<Item = Range<u64>> {
    // A range of u32 knows its length; 2^32 windows of at least 2^15 values are past any memory.
    (0..len.div_ceil(window) as u32).map(move |w| {
        let start = u64::from(w) * window;
        start..len.min(start + window)
    })
}

/// Workgroups that `len` values need, at `blocks` blocks each.
pub(crate) fn workgroups(len: u64, blocks: u32) -> u32 {
    len.div_ceil(u64::from(blocks) * BLOCK as u64) as u32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LLVMPIPE: Limits = Limits { binding: 128 << 20, buffer: 2 << 30, workgroups: 65_535 };

    #[test]
    fn window_of_known_adapters() {
        assert_eq!(LLVMPIPE.window(4), 1 << 25);
        assert_eq!(LLVMPIPE.window(1), WINDOW_MAX);
        assert_eq!(Limits { binding: 4 << 30, buffer: 1 << 40, workgroups: 65_535 }.window(4), WINDOW_MAX);
        assert_eq!(Limits { binding: 1 << 40, buffer: 1 << 40, workgroups: 100 }.window(4), 96 * BLOCK as u64);
    }

    #[test]
    fn empty() {
        assert_eq!(windows(0, WINDOW_STEP).len(), 0);
        assert_eq!(workgroups(0, 1), 0);
    }

    proptest! {
        #[test]
        fn windows_cover_once_under_the_limits(
            len in 0u64..1 << 40,
            binding in 1u64 << 20..1 << 33,
            buffer in 1u64 << 20..1 << 36,
            count in 256u32..65_536,
            bytes in prop::sample::select(vec![1u64, 2, 4]),
        ) {
            let limits = Limits { binding, buffer, workgroups: count };
            let window = limits.window(bytes);
            prop_assert!(window <= WINDOW_MAX && window.is_multiple_of(WINDOW_STEP));
            prop_assert!(window * bytes <= binding.min(buffer));
            prop_assert!(workgroups(window, 1) <= count);
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
