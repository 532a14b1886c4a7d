//! What is known of a part of a batch, and how parts become the whole.

use crate::{ThresholdCounts, exact_sum::ExactSum};

/// Values a block: sums are taken over blocks of this many consecutive values, cut from the start of the batch,
/// whatever the device, the chunks and the threads, and only then added up, exactly. This is what makes the bits
/// of a result a function of the device and the values alone.
pub const BLOCK: usize = 2048;

/// The sums of a part of a batch. Parts merge to the same bits in any order.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Partials {
    /// The sum of the losses. Exact sums are taken of f32 sums of up to 64 losses: it is +inf also if one exceeds
    /// 2^122, 5e36.
    pub sum: ExactSum,
    /// The sum of the weights of the values counted; their number where there are no weights.
    pub weight: ExactSum,
    /// How many values were counted.
    pub count: u64,
    /// For [`Reduction::PerClass`](crate::Reduction::PerClass), the sums of each class, `[C]`; empty otherwise.
    pub classes: Vec<ClassPartials>,
    /// The smallest index, in the whole batch, of an invalid value.
    pub first_invalid: Option<u64>,
    /// The number of predictions on each side of the threshold that [`Metrics`](crate::Metrics) name, if they name one.
    #[cfg_attr(feature = "serde", serde(default))]
    pub threshold: Option<ThresholdCounts>,
}

/// The sums of one class.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct ClassPartials {
    /// The sum of the losses.
    pub sum: ExactSum,
    /// How many values were counted.
    pub count: u64,
}

/// What a mean divides by, known before anything is evaluated: see [`Engine::totals`](crate::Engine::totals).
///
/// Those of the parts of a batch, cut at multiples of [`BLOCK`] values, merge to the bits of the whole, in any order.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Totals {
    /// Elements counted.
    pub count: u64,
    /// The sum of their weights.
    pub weight: ExactSum,
}

impl Totals {
    /// Of that many elements, each of weight 1.
    pub(crate) fn of_ones(count: u64) -> Self {
        Self { count, weight: ExactSum::of([count as f64]) }
    }

    /// Adds those of another part.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.weight.merge(&other.weight);
    }
}

impl Partials {
    /// Adds what `other` knows.
    ///
    /// # Panics
    /// If both have classes, and not as many.
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

    /// The sum over the count; NaN for a count of 0.
    pub fn mean(&self) -> f64 {
        self.sum.value() / self.count as f64
    }

    /// The sum over the sum of the weights; NaN where that is 0.
    pub fn weighted_mean(&self) -> f64 {
        self.sum.value() / self.weight.value()
    }
}
