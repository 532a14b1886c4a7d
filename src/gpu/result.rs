//! The result block: the sums and the status of an evaluation, in a buffer on the device.

use crate::{
    ExactSum, Partials,
    gpu::layout::{RESULT_LIMBS, UNIT_EXPONENT},
};

/// The sums and the status of an evaluation of a whole batch, as 64 words of 4 bytes (little endian) in a buffer on the
/// device. A shader can bind the buffer, and the host can copy it back.
///
/// ```wgsl
/// struct ResultBlock {
///     status: u32,               // 0: every value was valid; 1: a prediction was not; 2: a target, 3: a weight
///     infinite: u32,             // 1 if a loss was +inf
///     first_invalid_low: u32,    // index of the first invalid value, 64 bits in two halves; all ones if none
///     first_invalid_high: u32,
///     count_low: u32,            // values counted, 64 bits in two halves
///     count_high: u32,
///     sum: f32,                  // NaN if a value was invalid, +inf if a loss was
///     mean: f32,                 // over the count, or the weights where the reduction says so; NaN for an empty batch
///     weight: f32,               // the sum of the weights of what was counted
///     reserved: array<u32, 7>,
///     limbs: array<u32, 24>,     // the exact sum: limb l, below 65536, counts units of 2^(16 l - 173)
///     weight_limbs: array<u32, 24>, // that of the weights, likewise; 0 where every weight is 1
/// }
/// ```
///
/// `sum` is the exact sum rounded to f32, within 1 ULP, and `mean` is within 4 ULP (the device divides).
/// [`partials`](Self::partials) returns the exact sum.
///
/// ```no_run
/// use logloss::ResultBlock;
///
/// # let copied = [0u8; ResultBlock::SIZE as usize];
/// let block: ResultBlock = bytemuck::pod_read_unaligned(&copied); // The bytes of `Prepared::result`.
/// assert_eq!(block.status, 0, "a value is invalid");
/// println!("{}", block.partials().sum.value());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub struct ResultBlock {
    /// 0: every value was valid; 1: a prediction was not; 2: a target; 3: a weight.
    pub status: u32,
    /// 1 if a loss was +inf.
    pub infinite: u32,
    /// The index of the first invalid value, low half first; all ones if there is none.
    pub first_invalid: [u32; 2],
    /// The number of values counted, low half first.
    pub count: [u32; 2],
    /// The sum of the losses, rounded to f32.
    pub sum: f32,
    /// Their mean, rounded to f32.
    pub mean: f32,
    /// The sum of the weights, rounded to f32.
    pub weight: f32,
    /// Not used; 0.
    pub reserved: [u32; 7],
    /// The exact sum of the losses: limb l, below 65536, counts units of 2^(16 l − 173).
    pub limbs: [u32; RESULT_LIMBS],
    /// The exact sum of the weights, likewise; 0 where every weight is 1.
    pub weight_limbs: [u32; RESULT_LIMBS],
}

impl ResultBlock {
    /// Bytes of a result block.
    pub const SIZE: u64 = size_of::<Self>() as u64;

    /// The sums of the whole batch. They have no place in a larger one, as if they had been
    /// [closed](crate::Partials::close): they merge with those of other batches that have none.
    ///
    /// The block holds neither counts at a threshold nor the sums of classes: `threshold` is `None` and `classes` is
    /// empty, whatever the objective asks for. The counts are in the buffer that
    /// [`Prepared::threshold_counts`](crate::Prepared::threshold_counts) returns;
    /// [`Prepared::evaluate`](crate::Prepared::evaluate) reads both back.
    pub fn partials(&self) -> Partials {
        let sum = if self.status != 0 { ExactSum::of([f64::NAN]) } else { exact(&self.limbs, self.infinite) };
        let count = join(self.count);
        let weight = if self.weight_limbs == [0; RESULT_LIMBS] && self.weight != 0.0 {
            ExactSum::of([count as f64])
        } else {
            exact(&self.weight_limbs, 0)
        };
        let first_invalid = (self.status != 0).then_some(join(self.first_invalid));
        Partials { sum, weight, count, first_invalid, ..Partials::default() }
    }
}

/// The number that limbs hold; +inf if `infinite` is not 0.
pub(crate) fn exact(limbs: &[u32], infinite: u32) -> ExactSum {
    if infinite != 0 {
        return ExactSum::of([f64::INFINITY]);
    }
    // Each limb times its power of two is an f64 as it is.
    ExactSum::of((0i32..).zip(limbs).map(|(l, &limb)| f64::from(limb) * 2f64.powi(16 * l + UNIT_EXPONENT)))
}

fn join([low, high]: [u32; 2]) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}
