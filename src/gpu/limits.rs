//! The windows that fit the limits of a device. This is arithmetic only; no device is needed.

use crate::{BLOCK, Error, Result};

/// The number of values in a window is a multiple of this. The start of every window is then the start of a block, and
/// is aligned to at least 256 bytes in every array, even at one bit per value.
pub(crate) const WINDOW_STEP: u64 = 16 * BLOCK as u64;

/// The maximum number of values per dispatch. A dispatch then takes some tenths of a second on a slow adapter, well
/// below any watchdog timeout, and has no more blocks than a limb of the accumulator can add.
pub(crate) const WINDOW_MAX: u64 = 1 << 26;

/// The maximum number of classes, where classes or rows are told apart: shaders count them in 32 bits, from a class of
/// the first row to the last value of a window.
pub(crate) const CLASSES_MAX: u64 = 1 << 31;

/// Refuses more classes than `limit`.
pub(crate) fn check_classes(classes: u64, limit: u64) -> Result<()> {
    if classes > limit {
        return Err(Error::Limit { name: "the batch", unit: "classes", needed: classes, limit });
    }
    Ok(())
}

/// The limits of a device that windows depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// The maximum number of bytes of one storage binding.
    pub binding: u64,
    /// The maximum number of bytes of one buffer.
    pub buffer: u64,
    /// The maximum number of workgroups of one dispatch in one dimension.
    pub workgroups: u32,
}

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
    /// The maximum number of values per dispatch if the widest array has `bytes` bytes per value.
    pub(crate) fn window(&self, bytes: u64) -> u64 {
        let fits =
            (self.binding.min(self.buffer) / bytes).min(u64::from(self.workgroups) * BLOCK as u64).min(WINDOW_MAX);
        // No adapter binds less than 128 KiB: WebGPU guarantees 128 MiB.
        (fits - fits % WINDOW_STEP).max(WINDOW_STEP)
    }

    /// The maximum number of values per dispatch for a batch of `len` values, which is a multiple of `unit` if the
    /// batch needs more than one dispatch; none if no such number is within the limits.
    pub(crate) fn window_of(&self, bytes: u64, unit: u64, len: u64) -> Option<u64> {
        let window = self.window(bytes);
        if len <= window {
            return Some(window);
        }
        // Windows after the first must also start at an offset that every device can bind.
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

/// The number of workgroups for `len` values, at `blocks` blocks per workgroup.
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
        assert_eq!(workgroups(0, 1), 0);
    }

    proptest! {
        #[test]
        fn windows_fit_the_limits(
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
        }
    }
}
