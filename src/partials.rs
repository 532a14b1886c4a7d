//! The sums of a part of a batch, which merge to those of the whole batch, and the block size of sums.

use crate::{ThresholdCounts, exact_sum::ExactSum};

/// The number of values in a block. Losses are summed over blocks of consecutive values, counted from the start of the
/// batch, and the sums of blocks are then added exactly. Blocks do not depend on the device, the chunks or the number
/// of threads, so the bits of a result are a function of the device and the values alone.
pub const BLOCK: usize = 2048;

/// The sums of a part of a batch. Parts merge to the same bits in any order.
///
/// ```
/// use logloss::{BLOCK, Batch, Engine, Objective, Outputs};
///
/// let (logits, targets) = (vec![0.5f32; 2 * BLOCK], vec![1u8; 2 * BLOCK]);
/// let (engine, objective) = (Engine::cpu(), Objective::sum());
/// let partials = |range: std::ops::Range<usize>| {
///     let batch = Batch::logits(&logits[range.clone()], &targets[range])?;
///     engine.evaluate(&batch, &objective, Outputs::none()).map(|evaluation| evaluation.partials)
/// };
/// let mut merged = partials(BLOCK..2 * BLOCK)?;
/// merged.merge(&partials(0..BLOCK)?);
/// assert_eq!(merged, partials(0..2 * BLOCK)?);
/// # Ok::<(), logloss::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Partials {
    /// The sum of the losses, in nats. It is the exact sum of f32 sums of up to 64 losses, so it may be +inf also if a
    /// loss exceeds 2^122 (5e36).
    pub sum: ExactSum,
    /// The sum of the weights of the values counted; the count if there are no weights.
    pub weight: ExactSum,
    /// The number of values counted, that is, neither ignored nor masked.
    pub count: u64,
    /// The sums of each class, `[C]`, for [`Reduction::PerClass`](crate::Reduction::PerClass); otherwise empty.
    pub classes: Vec<ClassPartials>,
    /// The smallest index of an invalid value, counted from the start of the whole batch; none if all values are valid.
    pub first_invalid: Option<u64>,
    /// The number of predictions on each side of the threshold of [`Metrics`](crate::Metrics), if one is set.
    #[cfg_attr(feature = "serde", serde(default))]
    pub threshold: Option<ThresholdCounts>,
}

/// The sums of one class.
///
/// ```
/// use logloss::{Batch, Engine, Objective, Outputs, Reduction};
///
/// let batch = Batch::logits(&[0.0f32, 8.0, 0.0, 8.0], &[1u8, 1, 0, 1])?.with_classes(2)?;
/// let objective = Objective::mean().with_reduction(Reduction::PerClass);
/// let classes = Engine::cpu().evaluate(&batch, &objective, Outputs::none())?.partials.classes;
/// assert_eq!(classes[0].count, 2);
/// assert!(classes[0].sum.value() > classes[1].sum.value());
/// # Ok::<(), logloss::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct ClassPartials {
    /// The sum of the losses, in nats.
    pub sum: ExactSum,
    /// The number of values counted, that is, neither ignored nor masked.
    pub count: u64,
}

/// The divisors of a mean, computed before the evaluation: see [`Engine::totals`](crate::Engine::totals).
///
/// The totals of the parts of a batch, split at multiples of [`BLOCK`] values, merge to the bits of the whole in any
/// order.
///
/// ```
/// use logloss::{Batch, Engine, Ignore, Objective};
///
/// let batch = Batch::logits(&[2.0f32, -1.0, 0.5], &[1u8, 255, 1])?;
/// let objective = Objective::mean().with_ignore(Ignore::Label(255));
/// let totals = Engine::cpu().totals(&batch, &objective)?;
/// assert_eq!((totals.count, totals.weight.value()), (2, 2.0));
/// # Ok::<(), logloss::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Totals {
    /// The number of elements counted.
    pub count: u64,
    /// The sum of the weights of the elements counted.
    pub weight: ExactSum,
}

impl Totals {
    /// The totals of `count` elements of weight 1.
    pub(crate) fn of_ones(count: u64) -> Self {
        Self { count, weight: ExactSum::of([count as f64]) }
    }

    /// Adds the totals of another part.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.weight.merge(&other.weight);
    }
}

impl Partials {
    /// Adds the sums of another part.
    ///
    /// # Panics
    /// If both parts have classes and their numbers of classes differ.
    pub fn merge(&mut self, other: &Self) {
        self.sum.merge(&other.sum);
        self.weight.merge(&other.weight);
        self.count += other.count;
        if self.classes.is_empty() {
            self.classes.clone_from(&other.classes);
        } else if !other.classes.is_empty() {
            assert_eq!(self.classes.len(), other.classes.len(), "partials of different shapes");
            for (class, other) in self.classes.iter_mut().zip(&other.classes) {
                class.sum.merge(&other.sum);
                class.count += other.count;
            }
        }
        self.first_invalid = match (self.first_invalid, other.first_invalid) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        if let Some(other) = &other.threshold {
            self.threshold.get_or_insert_default().merge(other);
        }
    }

    /// The sum divided by the count, in nats; NaN if the count is 0.
    pub fn mean(&self) -> f64 {
        self.sum.value() / self.count as f64
    }

    /// The sum divided by the sum of the weights, in nats; NaN if the sum of the weights is 0.
    pub fn weighted_mean(&self) -> f64 {
        self.sum.value() / self.weight.value()
    }
}
