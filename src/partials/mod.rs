//! The sums of a part of a batch, which merge to those of the whole batch, and the block size of sums.
//!
//! A device sums blocks of the whole batch, so a part that begins or ends inside a block cannot give the sum of that
//! block. A part that says where it begins ([`Batch::with_first_row`](crate::Batch::with_first_row)) therefore consists
//! of up to three pieces of different kind:
//!
//! - **head**: the values before its first block, each with what it adds to the sums: its loss and its weight, as f32;
//! - exact sums of whole blocks;
//! - **tail**: the values after its last whole block, kept likewise.
//!
//! [`kept`] holds such values. The losses and weights come from the device, from a kernel that stores what it adds, and
//! [`block_tree`] adds them on the host by the device's own tree, so that a block which two neighbours complete has the
//! bits that it has in the whole. The public sums are always those of all values merged: what is kept counts as it lies,
//! the missing values of its block being 0, and is replaced when the block grows (which exact sums allow). So the last
//! block of the whole, which nothing completes, needs no special case. [`pieces`] holds what was merged in order of its
//! indices, with gaps until they are filled, and finds what does not fit together. A batch that does not say where it
//! begins is one of its own: it begins at 0 and keeps nothing, at no cost.

mod block_tree;
mod kept;
mod pieces;
#[cfg(test)]
mod tests;
#[cfg(feature = "serde")]
mod unchecked;

use std::ops::Range;

use crate::{Misfit, Result, ThresholdCounts, exact_sum::ExactSum};

pub(crate) use block_tree::{BlockSums, Tree, TreeKind};
pub(crate) use kept::Kept;
pub(crate) use pieces::{Piece, Pieces};

/// The number of values in a block. Losses are summed over blocks of consecutive values, counted from the start of the
/// batch, and the sums of blocks are then added exactly. Blocks do not depend on the device, the chunks or the number
/// of threads, so the bits of a result are a function of the device and the values alone.
pub const BLOCK: usize = 2048;

/// The sums of a part of a batch. Parts merge in any order, and however the batch was cut, to the bits of the whole on
/// one device.
///
/// A part says where it begins, and each of two machines evaluates one:
///
/// ```
/// use logloss::{Batch, Engine, Objective, Outputs};
///
/// let (logits, targets) = (vec![0.5f32; 5000], vec![1u8; 5000]);
/// let (engine, objective) = (Engine::cpu(), Objective::sum());
/// let partials = |range: std::ops::Range<usize>| {
///     let part = Batch::logits(&logits[range.clone()], &targets[range.clone()])?.with_first_row(range.start as u64);
///     engine.evaluate(&part, &objective, Outputs::none()).map(|evaluation| evaluation.partials)
/// };
/// let mut merged = partials(1234..5000)?;
/// merged.merge(&partials(0..1234)?)?;
/// assert_eq!(merged, partials(0..5000)?);
/// let whole = engine.evaluate(&Batch::logits(&logits, &targets)?, &objective, Outputs::none())?;
/// assert_eq!(merged.sum, whole.partials.sum);
/// # Ok::<(), logloss::Error>(())
/// ```
///
/// Until its neighbours come, a part is held: [`ranges`](Self::ranges) says what has come, and the sums are those of
/// what has come. In blocks that are not complete yet they may differ from those of the whole by rounding.
/// [`close`](Self::close) ends this, and says what is missing.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(try_from = "unchecked::UncheckedPartials")
)]
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
    pub threshold: Option<ThresholdCounts>,
    /// Which values of the whole were merged; none after [`close`](Self::close).
    pub(crate) pieces: Pieces,
}

/// What was missing when [`Partials::close`] was called.
///
/// ```
/// use logloss::{Batch, Engine, Objective, Outputs};
///
/// let part = Batch::logits(&[0.5f32; 100], &[1u8; 100])?.with_first_row(3000);
/// let mut partials = Engine::cpu().evaluate(&part, &Objective::sum(), Outputs::none())?.partials;
/// let missing = partials.close();
/// assert_eq!((missing.gaps, missing.cut_blocks), (vec![0..3000], 1));
/// # Ok::<(), logloss::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Missing {
    /// The ranges of indices before the last value that no part has brought. What may follow the last value is not known.
    pub gaps: Vec<Range<u64>>,
    /// The number of blocks that gaps cut. Each was summed without the values that are missing, so the sum of what has
    /// come may differ by rounding from that in the whole.
    pub cut_blocks: u64,
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
/// The totals of parts that say where they begin ([`Batch::with_first_row`](crate::Batch::with_first_row)) merge to the
/// bits of the whole in any order, and however the batch was cut. Those of other parts are added: the bits are those of
/// the whole if the parts are cut at multiples of [`BLOCK`] values.
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
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(try_from = "unchecked::UncheckedTotals")
)]
#[non_exhaustive]
pub struct Totals {
    /// The number of elements counted.
    pub count: u64,
    /// The sum of the weights of the elements counted.
    pub weight: ExactSum,
    /// Which values of the whole were merged, if parts say where they begin. What is kept of a block are its weights, in
    /// place of losses.
    pub(crate) pieces: Pieces,
}

impl Totals {
    /// The totals of `count` elements of weight 1.
    pub(crate) fn of_ones(count: u64) -> Self {
        Self { count, weight: ExactSum::of([count as f64]), pieces: Pieces::default() }
    }

    /// Adds the totals of another part.
    ///
    /// # Errors
    /// [`Error::Misfit`](crate::Error::Misfit) if the parts do not fit together, as [`Partials::merge`]. The totals are
    /// then as they were.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        if self.count > 0 && other.count > 0 && self.pieces.is_empty() != other.pieces.is_empty() {
            return Err(Misfit::Closed.into());
        }
        let count = self.count.checked_add(other.count).ok_or(Misfit::Count)?;
        self.pieces.check(&other.pieces)?;
        self.count = count;
        self.weight.merge(&other.weight);
        let Self { weight, pieces, .. } = self;
        pieces.merge(&other.pieces, |change| {
            let [a, b] = &change.removed;
            replace(weight, a.losses.iter().chain(&b.losses), &change.added.losses);
        });
        Ok(())
    }
}

/// Replaces terms of a sum that is finite. (An infinity or NaN stays what it is, whatever the blocks become.)
fn replace<'a>(
    sum: &mut ExactSum,
    removed: impl IntoIterator<Item = &'a f64>,
    added: impl IntoIterator<Item = &'a f64>,
) {
    if sum.value().is_finite() {
        let removed = removed.into_iter().map(|term| -term);
        *sum = ExactSum::of(sum.terms().iter().copied().chain(removed).chain(added.into_iter().copied()));
    }
}

impl Partials {
    /// Adds the sums of another part of the same batch: of values that have not been merged yet, before those that have,
    /// behind or between them. Blocks that are now complete get the sums that they have in the whole.
    ///
    /// Partials that were [closed](Self::close) have no place in a batch. They merge with each other, to the sums of all
    /// of their values, and `first_invalid` is the smallest of their indices.
    ///
    /// # Errors
    /// [`Error::Misfit`](crate::Error::Misfit) if the parts do not fit together. The partials are then as they were.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        if self.pieces.is_empty() != other.pieces.is_empty() && self.has_values() && other.has_values() {
            return Err(Misfit::Closed.into());
        }
        let [classes, others] = [self, other].map(|partials| partials.classes.len() as u64);
        if classes != others && self.has_values() && other.has_values() {
            return Err(Misfit::Classes { classes: [classes, others] }.into());
        }
        if self.threshold.is_some() != other.threshold.is_some() && self.has_values() && other.has_values() {
            return Err(Misfit::Metrics.into());
        }
        if !self.counts_fit(other) {
            return Err(Misfit::Count.into());
        }
        self.pieces.check(&other.pieces)?;
        self.add(other);
        let Self { sum, weight, classes, pieces, .. } = self;
        pieces.merge(&other.pieces, |change| {
            let ([a, b], added) = (&change.removed, &change.added);
            replace(sum, a.losses.iter().chain(&b.losses), &added.losses);
            replace(weight, a.weights.iter().chain(&b.weights), &added.weights);
            for &(class, removed) in a.classes.iter().chain(&b.classes) {
                if let Some(class) = classes.get_mut(class) {
                    replace(&mut class.sum, [&removed], []);
                }
            }
            for &(class, added) in &added.classes {
                if let Some(class) = classes.get_mut(class) {
                    replace(&mut class.sum, [], [&added]);
                }
            }
        });
        Ok(())
    }

    /// Whether no count of both together exceeds 64 bits, as those of a text that was changed may.
    fn counts_fit(&self, other: &Self) -> bool {
        let sides = |partials: &Self| partials.threshold.map_or([0; 2], |counts| [counts.below, counts.at_or_above]);
        let ([a, b], [c, d]) = (sides(self), sides(other));
        let classes = self.classes.iter().zip(&other.classes).map(|(class, other)| (class.count, other.count));
        [(self.count, other.count), (a, c), (b, d)].into_iter().chain(classes).all(|(a, b)| a.checked_add(b).is_some())
    }

    /// The indices in the whole batch of the values that were merged, in order; none if the partials were
    /// [closed](Self::close).
    pub fn ranges(&self) -> impl Iterator<Item = Range<u64>> {
        self.pieces.ranges()
    }

    /// Gives up waiting for values that have not come, and says which are missing: the sums stay what they are, and the
    /// values that were kept to complete blocks are dropped.
    ///
    /// Closed partials have no place in a batch any more, and no part of one merges with them. Those of different batches
    /// merge to the sums of all.
    pub fn close(&mut self) -> Missing {
        let mut end = 0;
        let mut gaps = Vec::new();
        for range in self.pieces.ranges() {
            let start = std::mem::replace(&mut end, range.end);
            if start < range.start {
                gaps.push(start..range.start);
            }
        }
        let cut_blocks = self.pieces.cut_blocks();
        self.pieces = Pieces::default();
        Missing { gaps, cut_blocks }
    }

    /// Whether any value may have been merged.
    fn has_values(&self) -> bool {
        self.count > 0 || !self.pieces.is_empty() || self.first_invalid.is_some() || self.sum != ExactSum::default()
    }

    /// Adds the sums of other whole blocks of the same evaluation.
    pub(crate) fn add(&mut self, other: &Self) {
        self.sum.merge(&other.sum);
        self.weight.merge(&other.weight);
        self.count += other.count;
        if self.classes.is_empty() {
            self.classes.clone_from(&other.classes);
        } else {
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

    /// Sets the sums to those of values that are kept.
    pub(crate) fn set_sums(&mut self, sums: &BlockSums) {
        self.sum = ExactSum::of(sums.losses.iter().copied());
        self.weight = ExactSum::of(sums.weights.iter().copied());
        for class in &mut self.classes {
            class.sum = ExactSum::default();
        }
        for &(class, sum) in &sums.classes {
            self.classes[class].sum.merge(&ExactSum::of([sum]));
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
