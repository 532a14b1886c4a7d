//! Specifications of objectives, from before the data was seen.

use logloss::{Compat, Error as EngineError, Focal, Ignore, Metrics, NonFinite, Objective, Reduction};

use crate::{Result, contradiction::Contradiction, statistics::LabelCounts};

/// The weights of negative and positive labels.
///
/// ```
/// use logloss_io::{LabelWeights, ObjectiveSpec};
///
/// let balanced = ObjectiveSpec::default().with_label_weights(LabelWeights::Balanced);
/// let given = ObjectiveSpec::default().with_label_weights(LabelWeights::Given([1.0, 3.5]));
/// assert_ne!(balanced, given);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum LabelWeights {
    /// These, of labels 0 and 1.
    Given([f32; 2]),
    /// Such that both labels weigh the same, as in scikit-learn. They are counted in a pass over the data before.
    Balanced,
    /// Such that the rarer label weighs as much as the other one, whose weight is 1: LightGBM's `is_unbalance`, which
    /// needs [`Compat::Lightgbm`]. They are counted in a pass over the data before.
    IsUnbalance,
}

/// A specification of an [`Objective`], whose label weights may depend on the data.
///
/// ```
/// use logloss::Reduction;
/// use logloss_io::{LabelWeights, ObjectiveSpec};
///
/// let objective = ObjectiveSpec::default().with_reduction(Reduction::Sum).with_label_weights(LabelWeights::Balanced);
/// assert_eq!(objective.effective_reduction(), Reduction::Sum);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ObjectiveSpec {
    /// How the losses become one value, or several. None is the mean, but for boosters gradient and hessian are then those
    /// of the sum: see [`Objective::has_derivatives_of_sum`].
    pub reduction: Option<Reduction>,
    /// Whether an invalid value is an error.
    pub non_finite: NonFinite,
    /// A factor of gradient and hessian. It must be finite.
    pub scale: f32,
    /// The system whose conventions are taken over.
    pub compat: Option<Compat>,
    /// The strength of label smoothing, in [0, 1).
    pub label_smoothing: Option<f32>,
    /// The focal factor.
    pub focal: Option<Focal>,
    /// A weight for each class, `[C]`. Weights must be finite and at least 0.
    pub class_weights: Option<Vec<f32>>,
    /// The weight of the positive term: one, or one for each class.
    pub pos_weight: Option<Vec<f32>>,
    /// The weights of the labels.
    pub label_weights: Option<LabelWeights>,
    /// The statistics of the predictions that are taken in the same pass.
    pub metrics: Metrics,
}

impl Default for ObjectiveSpec {
    /// The mean of plain binary cross-entropy, unscaled; invalid values are errors.
    fn default() -> Self {
        Self {
            reduction: None,
            non_finite: NonFinite::Error,
            scale: 1.0,
            compat: None,
            label_smoothing: None,
            focal: None,
            class_weights: None,
            pos_weight: None,
            label_weights: None,
            metrics: Metrics::none(),
        }
    }
}

impl ObjectiveSpec {
    /// Sets the reduction.
    pub fn with_reduction(mut self, reduction: Reduction) -> Self {
        self.reduction = Some(reduction);
        self
    }

    /// Sets the treatment of invalid values.
    pub fn with_non_finite(mut self, non_finite: NonFinite) -> Self {
        self.non_finite = non_finite;
        self
    }

    /// Sets the factor of gradient and hessian.
    pub fn with_scale(mut self, scale: f32) -> Self {
        self.scale = scale;
        self
    }

    /// Sets the system whose conventions are taken over.
    pub fn with_compat(mut self, compat: Compat) -> Self {
        self.compat = Some(compat);
        self
    }

    /// Sets the strength of label smoothing.
    pub fn with_label_smoothing(mut self, strength: f32) -> Self {
        self.label_smoothing = Some(strength);
        self
    }

    /// Sets the focal factor.
    pub fn with_focal(mut self, focal: Focal) -> Self {
        self.focal = Some(focal);
        self
    }

    /// Sets the weight of each class.
    pub fn with_class_weights(mut self, weights: impl Into<Vec<f32>>) -> Self {
        self.class_weights = Some(weights.into());
        self
    }

    /// Sets the weight of the positive term: one, or one for each class.
    pub fn with_pos_weight(mut self, weights: impl Into<Vec<f32>>) -> Self {
        self.pos_weight = Some(weights.into());
        self
    }

    /// Sets the weights of the labels.
    pub fn with_label_weights(mut self, weights: LabelWeights) -> Self {
        self.label_weights = Some(weights);
        self
    }

    /// Sets the statistics of the predictions that are taken in the same pass.
    pub fn with_metrics(mut self, metrics: Metrics) -> Self {
        self.metrics = metrics;
        self
    }

    /// Whether any number is a label: positive above 0, else negative.
    pub fn any_number_is_label(&self) -> bool {
        self.compat == Some(Compat::Lightgbm)
    }

    /// The reduction, which the conventions of another system may change.
    pub fn effective_reduction(&self) -> Reduction {
        self.reduced().reduction()
    }

    /// Whether gradient and hessian are those of the sum although the value is a mean.
    pub fn has_derivatives_of_sum(&self) -> bool {
        self.reduced().has_derivatives_of_sum()
    }

    /// The objective as far as reduction and conventions tell.
    fn reduced(&self) -> Objective {
        let mut objective = Objective::default();
        if let Some(reduction) = self.reduction {
            objective = objective.with_reduction(reduction);
        }
        if let Some(compat) = self.compat {
            objective = objective.with_compat(compat);
        }
        objective
    }

    /// Whether the loss is the plain one, but for weights of elements.
    pub(crate) fn is_plain(&self) -> bool {
        self.class_weights.is_none()
            && self.pos_weight.is_none()
            && self.label_weights.is_none()
            && self.label_smoothing.is_none()
            && self.focal.is_none()
    }

    /// Whether the labels have to be counted before.
    pub(crate) fn counts_labels(&self) -> bool {
        matches!(self.label_weights, Some(LabelWeights::Balanced | LabelWeights::IsUnbalance))
    }

    /// Refuses combinations that make no sense whatever the data.
    pub(crate) fn check(&self) -> Result<()> {
        let is_lightgbm = self.compat == Some(Compat::Lightgbm);
        if self.label_weights == Some(LabelWeights::IsUnbalance) && !is_lightgbm {
            return Err(Contradiction::UnbalanceOutsideLightgbm.into());
        }
        if is_lightgbm && self.label_weights.is_some() && self.pos_weight.is_some() {
            return Err(Contradiction::BalancedTwice.into());
        }
        Ok(())
    }

    /// Checks that lists by class have an entry for each.
    pub(crate) fn check_classes(&self, classes: u64) -> Result<()> {
        let check = |option: &'static str, list: &Option<Vec<f32>>, one: bool| match list {
            Some(list) if list.len() as u64 != classes && !(one && list.len() == 1) => {
                Err(Contradiction::ClassValues { option, values: list.len(), classes, one }.into())
            }
            _ => Ok(()),
        };
        check("--class-weight", &self.class_weights, false)?;
        check("--pos-weight", &self.pos_weight, true)
    }

    /// The objective. `counts` are the labels there are, where they have to be counted; neither may be absent.
    pub(crate) fn objective(
        &self,
        ignore: Option<Ignore>,
        counts: Option<LabelCounts>,
    ) -> Result<Objective, EngineError> {
        let mut objective = self
            .reduced()
            .with_non_finite(self.non_finite)
            .with_metrics(self.metrics.clone())
            .with_scale(self.scale)?;
        if let Some(ignore) = ignore {
            objective = objective.with_ignore(ignore);
        }
        if let Some(smoothing) = self.label_smoothing {
            objective = objective.with_label_smoothing(smoothing)?;
        }
        if let Some(focal) = self.focal {
            objective = objective.with_focal(focal);
        }
        if let Some(weights) = &self.class_weights {
            objective = objective.with_class_weights(weights.as_slice())?;
        }
        if let Some(weights) = &self.pos_weight {
            objective = objective.with_pos_weight(weights.as_slice())?;
        }
        match (self.label_weights, counts) {
            (Some(LabelWeights::Given([negative, positive])), _) => objective.with_label_weights(negative, positive),
            // With Compat::Lightgbm, which `is_unbalance` needs, the engine makes this LightGBM's.
            (_, Some(LabelCounts { negatives, positives })) => objective.with_balanced_labels(negatives, positives),
            _ => Ok(objective),
        }
    }
}
