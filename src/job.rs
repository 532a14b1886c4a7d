//! What the backends are asked to compute, wherever they run.

use crate::{Form, NonFinite, Objective, Reduction, loss_parameters::LossParameters};

/// What losses are summed over, beside the whole batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Sums {
    /// Nothing else.
    #[default]
    All,
    /// Each class.
    PerClass,
    /// Each row.
    PerRow,
}

/// What is computed from a part of a batch.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    /// The factor on every gradient and hessian.
    pub coefficient: f32,
    /// The parameters of the loss. Absent for the plain loss, unless something else needs elements to be counted or
    /// weighed one by one: sums per class or row, and a weighted mean.
    pub parameters: Option<LossParameters>,
    /// What losses are summed over.
    pub sums: Sums,
    /// The mean over no elements.
    pub empty_mean: f64,
    /// Whether the mean divides by the sum of the weights.
    pub weighted_mean: bool,
    /// The scale that a counting pass on the device divides by what it counts or weighs, to make the coefficient.
    /// Absent if the coefficient is known.
    pub divide: Option<f32>,
    /// The prediction from which on elements are counted as above the threshold, if those are counted.
    pub threshold: Option<f32>,
    /// Whether results after an invalid value are of no use, so that the evaluation may end there.
    pub stop_at_invalid: bool,
}

impl Job {
    /// The job that `objective` describes, for a batch of predictions of that form, with or without weights and mask.
    pub fn new(objective: &Objective, form: Form, weights: bool, mask: bool, coefficient: f32) -> Self {
        let sums = match objective.reduction() {
            Reduction::PerClass => Sums::PerClass,
            Reduction::PerRow => Sums::PerRow,
            _ => Sums::All,
        };
        let weighted_mean = objective.reduction() == Reduction::WeightedMean;
        let threshold = objective.metrics().threshold();
        let parameters = if sums != Sums::All || weighted_mean {
            Some(LossParameters::of(form, weights, mask, objective))
        } else {
            LossParameters::new(form, weights, mask, objective)
        };
        Self {
            coefficient,
            parameters,
            sums,
            empty_mean: objective.empty_mean(),
            weighted_mean,
            divide: None,
            threshold,
            stop_at_invalid: objective.non_finite() == NonFinite::Error,
        }
    }
}
