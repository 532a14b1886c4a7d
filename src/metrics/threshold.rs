//! The number of predictions on each side of a threshold.

/// The number of predictions on each side of a threshold t: below it, x < t, and at or above it, x ≥ t. Elements that
/// are ignored or masked are not counted, and neither are predictions that are NaN. The counts are exact, and therefore
/// the same on every device.
///
/// ```
/// use logloss::{Batch, Engine, Metrics, Objective, Outputs};
///
/// let batch = Batch::probabilities(&[0.9f32, 0.2, 0.5], &[1u8, 0, 1])?;
/// let objective = Objective::mean().with_metrics(Metrics::none().with_threshold(0.5)?);
/// let counts = Engine::cpu().evaluate(&batch, &objective, Outputs::none())?.partials.threshold;
/// assert_eq!(counts.map(|counts| (counts.below, counts.at_or_above)), Some((1, 2)));
/// # Ok::<(), logloss::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct ThresholdCounts {
    /// The number of predictions less than the threshold.
    pub below: u64,
    /// The number of predictions greater than or equal to the threshold.
    pub at_or_above: u64,
}

impl ThresholdCounts {
    /// The counts of both sides.
    pub(crate) fn new(below: u64, at_or_above: u64) -> Self {
        Self { below, at_or_above }
    }

    /// Adds the counts of another part.
    pub fn merge(&mut self, other: &Self) {
        self.below += other.below;
        self.at_or_above += other.at_or_above;
    }
}
