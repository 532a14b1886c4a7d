//! Statistics of the predictions, computed in the same pass as the loss.

mod threshold;

pub use threshold::ThresholdCounts;

use crate::{Error, Partials, Result};

/// The statistics of the predictions that an evaluation computes in addition to the loss, in the same pass over the
/// values. Statistics that are not requested take no time.
///
/// ```
/// use logloss::{Batch, Engine, Metrics, Objective, Outputs};
///
/// let batch = Batch::logits(&[2.0f32, -1.0, 0.0, -30.0], &[1u8, 0, 1, 0])?;
/// let objective = Objective::mean().with_metrics(Metrics::none().with_threshold(0.0)?);
/// let counts = Engine::cpu().evaluate(&batch, &objective, Outputs::none())?.partials.threshold.unwrap();
/// assert_eq!((counts.below, counts.at_or_above), (2, 2));
/// # Ok::<(), logloss::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Metrics {
    threshold: Option<f32>,
}

impl Metrics {
    /// No statistics.
    pub fn none() -> Self {
        Self::default()
    }

    /// Counts the predictions below `threshold` and those at or above it: see [`ThresholdCounts`]. The threshold is a
    /// logit if the predictions are logits, and a probability if they are probabilities; it may be infinite. f64 logits are
    /// compared as the f32 that they are rounded to, f64 probabilities by the f32 nearest to their distance from 0 or 1, so
    /// that 0.3 in f64 is at a threshold of 0.3 in f32.
    ///
    /// # Errors
    /// [`Error::Parameter`] if the threshold is NaN.
    pub fn with_threshold(mut self, threshold: f32) -> Result<Self> {
        if threshold.is_nan() {
            return Err(Error::Parameter { name: "threshold", value: threshold.into(), must: "a number" });
        }
        self.threshold = Some(threshold);
        Ok(self)
    }

    /// The threshold, if one is set.
    pub fn threshold(&self) -> Option<f32> {
        self.threshold
    }

    /// Adds the statistics of no values, where they are requested: those of an empty batch, of which no backend evaluates
    /// a part.
    pub(crate) fn add_empty(&self, partials: &mut Partials) {
        if self.threshold.is_some() {
            partials.threshold.get_or_insert_default();
        }
    }
}
