//! The description of a computation that every backend receives.

use crate::{
    NonFinite, Objective, Reduction,
    loss_parameters::LossParameters,
    prediction_kind::{Encoding, PredictionKind},
};

/// The groups of elements that losses are summed over, in addition to the whole batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) enum Sums {
    /// No groups: only the sum of the whole batch.
    #[default]
    All,
    /// One sum per class.
    PerClass,
    /// One sum per row.
    PerRow,
}

/// The computation on a part of a batch.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    /// How the predictions are encoded.
    pub encoding: Encoding,
    /// The factor of every gradient and hessian.
    pub coefficient: f32,
    /// The parameters of the loss. Absent for the plain loss, unless elements have to be counted or weighted one by
    /// one: for sums per class or row, and for a weighted mean.
    pub parameters: Option<LossParameters>,
    /// The groups that losses are summed over.
    pub sums: Sums,
    /// The mean of zero elements.
    pub empty_mean: f64,
    /// Whether the mean divides by the sum of the weights.
    #[cfg(feature = "gpu")]
    pub weighted_mean: bool,
    /// The scale that a counting pass on the device divides by the count or the sum of the weights, which gives the
    /// coefficient. Absent if the coefficient is known.
    #[cfg(feature = "gpu")]
    pub divide: Option<f32>,
    /// The threshold of [`ThresholdCounts`](crate::ThresholdCounts), if those are requested.
    pub threshold: Option<f32>,
    /// Whether the values of the blocks that a part has not all of are kept in its partials.
    pub keeps_ends: bool,
    /// Whether kernels store, in place of the loss and the gradient, what a value adds to the sums: its loss, and its
    /// weight.
    #[cfg(feature = "gpu")]
    pub stores_addends: bool,
    /// Whether the evaluation may stop at an invalid value because later results are not used.
    pub stop_at_invalid: bool,
}

impl Job {
    /// The job of `objective` for predictions of this kind, with or without weights and a mask.
    pub(crate) fn new(
        objective: &Objective,
        kind: PredictionKind,
        weights: bool,
        mask: bool,
        coefficient: f32,
    ) -> Self {
        let sums = match objective.reduction() {
            Reduction::PerClass => Sums::PerClass,
            Reduction::PerRow => Sums::PerRow,
            _ => Sums::All,
        };
        let weighted_mean = objective.reduction() == Reduction::WeightedMean;
        let threshold = objective.metrics().threshold();
        let parameters = if sums != Sums::All || weighted_mean {
            Some(LossParameters::of(kind, weights, mask, objective))
        } else {
            LossParameters::new(kind, weights, mask, objective)
        };
        Self {
            encoding: kind.encoding,
            coefficient,
            parameters,
            sums,
            empty_mean: objective.empty_mean(),
            #[cfg(feature = "gpu")]
            weighted_mean,
            #[cfg(feature = "gpu")]
            divide: None,
            threshold,
            keeps_ends: false,
            #[cfg(feature = "gpu")]
            stores_addends: false,
            stop_at_invalid: objective.non_finite() == NonFinite::Error,
        }
    }
}
