//! The objective: the loss, its parameters, its reduction, and the treatment of invalid and ignored values.

use std::sync::Arc;

use crate::{
    Compat, Error, LengthUnit, Metrics, Partials, Result, Targets, Totals, Unsupported, compat::Conventions,
    prediction_kind::PredictionKind,
};

/// The reduction of the losses to one value, or to several.
///
/// ```
/// use logloss::{Objective, Reduction};
///
/// let objective = Objective::mean().with_reduction("weighted-mean".parse()?);
/// assert_eq!(objective.reduction(), Reduction::WeightedMean);
/// # Ok::<(), logloss::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reduction {
    /// No reduction: the value is the loss of each element, and the gradient is that of each element's own loss.
    None,
    /// The sum of the losses.
    Sum,
    /// The sum of the losses divided by the number of elements counted, whatever their weights.
    #[default]
    Mean,
    /// The sum of the losses divided by the sum of the weights of the elements counted.
    WeightedMean,
    /// For shape `[N, C]`, the mean over the counted elements of each class: C values. The gradient is that of each
    /// element's own loss.
    PerClass,
    /// For shape `[N, C]`, the mean over the counted elements of each row: N values. The gradient is that of each
    /// element's own loss.
    PerRow,
}

crate::names::names!("reduction", Reduction { None = "none", Sum = "sum", Mean = "mean", WeightedMean = "weighted-mean", PerClass = "per-class", PerRow = "per-row" });

/// The treatment of invalid values. Invalid are NaN in predictions, targets or weights, a probability or a target
/// outside [0, 1], and a weight that is negative or infinite.
///
/// ```
/// use logloss::{Batch, Engine, NonFinite, Objective, Outputs};
///
/// let batch = Batch::logits(&[2.0f32, f32::NAN], &[1u8, 0])?;
/// let engine = Engine::cpu();
/// assert!(engine.evaluate(&batch, &Objective::mean(), Outputs::none()).is_err());
///
/// let objective = Objective::mean().with_non_finite(NonFinite::Propagate);
/// let evaluation = engine.evaluate(&batch, &objective, Outputs::none())?;
/// assert!(evaluation.mean.is_nan());
/// assert_eq!(evaluation.partials.first_invalid, Some(1));
/// # Ok::<(), logloss::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NonFinite {
    /// The evaluation fails with an error that names the first invalid value. An evaluation that the system in
    /// [`Compat`] does not support is an error, too.
    #[default]
    Error,
    /// The loss, gradient and hessian of an element with an invalid value are NaN, and so are the sum and the mean.
    Propagate,
}

crate::names::names!("treatment of invalid values", NonFinite { Error = "error", Propagate = "propagate" });

/// The targets that mark an element as ignored. An ignored element contributes to no sum, its loss, gradient and
/// hessian are 0, and its prediction and weight are not validated. (In the files that the command line reads, a null
/// prediction or weight is an error even if the element is ignored.)
///
/// ```
/// use logloss::{Batch, Engine, Ignore, Objective, Outputs};
///
/// let batch = Batch::logits(&[2.0f32, -1.0, 0.5], &[1u8, 255, 1])?;
/// let objective = Objective::mean().with_ignore(Ignore::Label(255));
/// assert_eq!(Engine::cpu().evaluate(&batch, &objective, Outputs::none())?.count, 2);
/// # Ok::<(), logloss::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ignore {
    /// Targets equal to this value, between −2²⁴ and 2²⁴. The targets must be stored as integers (u8, i64) or floats (f32).
    Label(i64),
    /// Targets that are NaN. The targets must be stored as floats (f32).
    Nan,
}

impl Ignore {
    /// Whether an element with this target is ignored.
    pub fn ignores(self, target: f64) -> bool {
        match self {
            Ignore::Label(label) => target == label as f64,
            Ignore::Nan => target.is_nan(),
        }
    }
}

/// Focal loss: α_t·(1 − p_t)^γ times the cross-entropy, with p_t = z·p + (1 − z)·(1 − p) and
/// α_t = z·α + (1 − z)·(1 − α) (Lin, Goyal, Girshick, He, Dollár, "Focal Loss for Dense Object Detection", 2017; for
/// soft targets as torchvision's `sigmoid_focal_loss`).
///
/// ```
/// use logloss::{Focal, Objective};
///
/// let objective = Objective::mean().with_focal(Focal::new(2.0)?.with_alpha(0.25)?);
/// assert_eq!(objective.focal().map(|focal| focal.gamma()), Some(2.0));
/// # Ok::<(), logloss::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Focal {
    gamma: f32,
    alpha: Option<f32>,
}

impl Focal {
    /// Focal loss with the focusing strength γ ≥ 0, without α.
    ///
    /// # Errors
    /// [`Error::Parameter`] if γ is negative, NaN or infinite.
    pub fn new(gamma: f32) -> Result<Self> {
        parameter("focal gamma", gamma, gamma >= 0.0 && gamma.is_finite(), "finite and at least 0")?;
        Ok(Self { gamma, alpha: None })
    }

    /// Sets the balance α in [0, 1]: the weight of positives is α, that of negatives 1 − α.
    ///
    /// # Errors
    /// [`Error::Parameter`] if α is outside [0, 1].
    pub fn with_alpha(mut self, alpha: f32) -> Result<Self> {
        parameter("focal alpha", alpha, (0.0..=1.0).contains(&alpha), "in [0, 1]")?;
        self.alpha = Some(alpha);
        Ok(self)
    }

    /// The focusing strength γ.
    pub fn gamma(&self) -> f32 {
        self.gamma
    }

    /// The balance α, if it is set.
    pub fn alpha(&self) -> Option<f32> {
        self.alpha
    }
}

/// Binary cross-entropy, its parameters and its reduction.
///
/// With x the logit and z the target in [0, 1] of an element:
///
/// ```text
/// z ← z·(1 − a) + a/2                        label smoothing a
/// A = 1 − z        B = q·z                   pos_weight q, one value or one per class
/// ℓ = w·(A·softplus(x) + B·softplus(−x))
/// ```
///
/// where w is the product of the weight of the element or sample, the weight of its class, and the weight of its label,
/// w₀·(1 − z) + w₁·z with the target before smoothing. Losses are in nats. Gradient and hessian are the first and
/// second derivative with respect to x. For a probability p in place of x, the loss is −w·(A·log(1 − p) + B·log p),
/// accurate up to the ends of [0, 1] (+inf where the exact value is), and the derivatives are those with respect to p.
/// [`Focal`] multiplies the loss by the focal factor; [`Compat`] changes what other systems define differently.
///
/// Gradient and hessian are those of the reduced value, times [`scale`](Self::with_scale). (An exception are those of
/// boosters: see [`has_derivatives_of_sum`](Self::has_derivatives_of_sum).)
///
/// Each weight is validated, but the product of weights is not: if it exceeds the range of f32 it is infinite, and the
/// loss, derivatives and sums may then be infinite, or NaN where the product is multiplied by 0. This does not count as
/// an invalid value, and is not reported as the [first](crate::Partials::first_invalid) one.
///
/// ```
/// use logloss::{Ignore, Objective, Reduction};
///
/// let objective = Objective::mean()
///     .with_reduction(Reduction::WeightedMean)
///     .with_pos_weight([3.0])?
///     .with_label_smoothing(0.1)?
///     .with_ignore(Ignore::Label(255));
/// assert_eq!(objective.pos_weight(), Some(&[3.0][..]));
/// # Ok::<(), logloss::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Objective {
    /// None if none was set: it is the mean then.
    reduction: Option<Reduction>,
    scale: f32,
    invalid: NonFinite,
    class_weights: Option<Arc<[f32]>>,
    pos_weight: Option<Arc<[f32]>>,
    label_weights: Option<LabelWeights>,
    label_smoothing: f32,
    ignore: Option<Ignore>,
    focal: Option<Focal>,
    compat: Option<Compat>,
    metrics: Metrics,
}

/// One value for all classes, or a value for each class, `[C]`: a number, or a slice, vector or array of numbers.
///
/// ```
/// use logloss::Objective;
///
/// let one = Objective::mean().with_pos_weight(3.0)?;
/// let each = Objective::mean().with_pos_weight([3.0, 1.5])?.with_class_weights(&vec![1.0, 0.5])?;
/// assert_eq!((one.pos_weight(), each.pos_weight()), (Some(&[3.0][..]), Some(&[3.0, 1.5][..])));
/// # Ok::<(), logloss::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ClassValues(Arc<[f32]>);

impl From<f32> for ClassValues {
    fn from(value: f32) -> Self {
        Self([value].into())
    }
}

impl From<&[f32]> for ClassValues {
    fn from(values: &[f32]) -> Self {
        Self(values.into())
    }
}

impl From<&Vec<f32>> for ClassValues {
    fn from(values: &Vec<f32>) -> Self {
        Self(values.as_slice().into())
    }
}

impl From<Vec<f32>> for ClassValues {
    fn from(values: Vec<f32>) -> Self {
        Self(values.into())
    }
}

impl<const N: usize> From<[f32; N]> for ClassValues {
    fn from(values: [f32; N]) -> Self {
        Self(values.into())
    }
}

impl<const N: usize> From<&[f32; N]> for ClassValues {
    fn from(values: &[f32; N]) -> Self {
        Self(values.as_slice().into())
    }
}

impl From<Arc<[f32]>> for ClassValues {
    fn from(values: Arc<[f32]>) -> Self {
        Self(values)
    }
}

/// The weights of the labels 0 and 1.
#[derive(Clone, Copy, Debug, PartialEq)]
enum LabelWeights {
    /// The weights themselves.
    Given([f32; 2]),
    /// The numbers of both labels. The weights computed from them depend on the system in [`Compat`], which may be set
    /// later.
    Balanced([u64; 2]),
}

impl Default for Objective {
    fn default() -> Self {
        Self {
            reduction: None,
            scale: 1.0,
            invalid: NonFinite::Error,
            class_weights: None,
            pos_weight: None,
            label_weights: None,
            label_smoothing: 0.0,
            ignore: None,
            focal: None,
            compat: None,
            metrics: Metrics::none(),
        }
    }
}

impl Objective {
    /// The mean of plain binary cross-entropy, with scale 1; invalid values are errors. It is the default.
    ///
    /// The conventions of a booster ([`with_compat`](Self::with_compat)) then have gradient and hessian of each element, not
    /// divided: see [`has_derivatives_of_sum`](Self::has_derivatives_of_sum).
    pub fn mean() -> Self {
        Self::default()
    }

    /// The sum of plain binary cross-entropy, with scale 1; invalid values are errors.
    pub fn sum() -> Self {
        Self::default().with_reduction(Reduction::Sum)
    }

    /// Sets the reduction.
    pub fn with_reduction(mut self, reduction: Reduction) -> Self {
        self.reduction = Some(reduction);
        self
    }

    /// Sets the factor of gradient and hessian, for example an upstream gradient or a loss scale. It does not change
    /// loss, sum and mean.
    ///
    /// # Errors
    /// [`Error::Parameter`] if `scale` is NaN or infinite.
    pub fn with_scale(mut self, scale: f32) -> Result<Self> {
        parameter("scale", scale, scale.is_finite(), "finite")?;
        self.scale = scale;
        Ok(self)
    }

    /// Sets the treatment of invalid values.
    pub fn with_non_finite(mut self, invalid: NonFinite) -> Self {
        self.invalid = invalid;
        self
    }

    /// Sets the weight of each class, `[C]`.
    ///
    /// # Errors
    /// [`Error::Parameter`] if a weight is negative, NaN or infinite. The number of weights is checked when a batch is
    /// evaluated, and must be the number of its classes.
    pub fn with_class_weights(mut self, weights: impl Into<ClassValues>) -> Result<Self> {
        let ClassValues(weights) = weights.into();
        all_weights("class weight", &weights)?;
        self.class_weights = Some(weights);
        Ok(self)
    }

    /// Sets the weight q of the positive term: one value, or one for each class, `[C]`.
    ///
    /// # Errors
    /// [`Error::Parameter`] if a weight is negative, NaN or infinite. The number of weights is checked when a batch is
    /// evaluated, and must be 1 or the number of its classes.
    pub fn with_pos_weight(mut self, weights: impl Into<ClassValues>) -> Result<Self> {
        let ClassValues(weights) = weights.into();
        all_weights("pos_weight", &weights)?;
        self.pos_weight = Some(weights);
        Ok(self)
    }

    /// Sets the weights (w₀, w₁) of elements with label 0 and 1. The weight of a soft target is interpolated linearly.
    ///
    /// # Errors
    /// [`Error::Parameter`] if a weight is negative, NaN or infinite.
    pub fn with_label_weights(mut self, negative: f32, positive: f32) -> Result<Self> {
        all_weights("label weight", &[negative, positive])?;
        self.label_weights = Some(LabelWeights::Given([negative, positive]));
        Ok(self)
    }

    /// Sets the label weights so that both labels have the same total weight: n/(2·n₀) and n/(2·n₁) for n₀ negatives
    /// and n₁ positives, n = n₀ + n₁, as scikit-learn's `balanced`. With [`Compat::Lightgbm`] they are those of its
    /// `is_unbalance`: 1 for the more frequent label, and the ratio of the larger to the smaller number for the other.
    ///
    /// # Errors
    /// [`Error::Parameter`] if a number is 0.
    pub fn with_balanced_labels(mut self, negatives: u64, positives: u64) -> Result<Self> {
        for (name, count) in [("number of negatives", negatives), ("number of positives", positives)] {
            if count == 0 {
                return Err(Error::Parameter { name, value: 0.0, must: "at least 1 to be balanced" });
            }
        }
        self.label_weights = Some(LabelWeights::Balanced([negatives, positives]));
        Ok(self)
    }

    /// Smooths targets towards ½: z·(1 − a) + a/2, a in [0, 1).
    ///
    /// # Errors
    /// [`Error::Parameter`] if `a` is outside [0, 1).
    pub fn with_label_smoothing(mut self, a: f32) -> Result<Self> {
        parameter("label smoothing", a, (0.0..1.0).contains(&a), "in [0, 1)")?;
        self.label_smoothing = a;
        Ok(self)
    }

    /// Ignores the elements with these targets.
    pub fn with_ignore(mut self, ignore: Ignore) -> Self {
        self.ignore = Some(ignore);
        self
    }

    /// Multiplies the loss by the focal factor.
    pub fn with_focal(mut self, focal: Focal) -> Self {
        self.focal = Some(focal);
        self
    }

    /// Adopts the conventions of another system.
    ///
    /// ```
    /// use logloss::{Batch, Compat, Engine, Objective, Outputs};
    ///
    /// // What XGBoost takes from an objective: σ(x) − z and σ(x)·σ(−x) of each element.
    /// let batch = Batch::logits(&[0.0f32, 2.0], &[1u8, 1])?;
    /// let objective = Objective::mean().with_compat(Compat::Xgboost);
    /// let (mut gradient, mut hessian) = ([0.0f32; 2], [0.0f32; 2]);
    /// let outputs = Outputs::none().with_gradient(&mut gradient).with_hessian(&mut hessian);
    /// Engine::cpu().evaluate(&batch, &objective, outputs)?;
    /// assert_eq!((gradient[0], hessian[0]), (-0.5, 0.25));
    /// # Ok::<(), logloss::Error>(())
    /// ```
    pub fn with_compat(mut self, compat: Compat) -> Self {
        self.compat = Some(compat);
        self
    }

    /// Requests statistics of the predictions, computed in the same pass. They are part of the
    /// [`Partials`](crate::Partials).
    pub fn with_metrics(mut self, metrics: Metrics) -> Self {
        self.metrics = metrics;
        self
    }

    /// The reduction: the one that was set, or [`Reduction::WeightedMean`] for a mean if that is the mean of the system
    /// in [`Compat`].
    pub fn reduction(&self) -> Reduction {
        match (self.reduction.unwrap_or_default(), self.compat) {
            (Reduction::Mean, Some(compat)) if compat.weighs_mean() => Reduction::WeightedMean,
            (reduction, _) => reduction,
        }
    }

    /// Whether gradient and hessian are those of the sum although the value is a mean: for [`Compat::Xgboost`] and
    /// [`Compat::Lightgbm`] unless [`with_reduction`](Self::with_reduction) set a reduction, because a booster takes σ(x) − z and σ(x)·σ(−x) of each element.
    pub fn has_derivatives_of_sum(&self) -> bool {
        self.reduction.is_none() && matches!(self.compat, Some(Compat::Xgboost | Compat::Lightgbm))
    }

    /// The treatment of invalid values.
    pub fn non_finite(&self) -> NonFinite {
        self.invalid
    }

    /// The targets that mark an element as ignored.
    pub fn ignore(&self) -> Option<Ignore> {
        self.ignore
    }

    /// The system whose conventions are adopted, if any.
    pub fn compat(&self) -> Option<Compat> {
        self.compat
    }

    /// The requested statistics of the predictions.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The weight of each class, `[C]`.
    pub fn class_weights(&self) -> Option<&[f32]> {
        self.class_weights.as_deref()
    }

    /// The weight of the positive term: one value, or one for each class.
    pub fn pos_weight(&self) -> Option<&[f32]> {
        self.pos_weight.as_deref()
    }

    /// The weights of labels 0 and 1.
    pub fn label_weights(&self) -> Option<[f32; 2]> {
        Some(match self.label_weights? {
            LabelWeights::Given(weights) => weights,
            LabelWeights::Balanced(counts) => {
                let counts = counts.map(|count| count as f64);
                // LightGBM gives the more frequent label weight 1; scikit-learn keeps the sum of all weights.
                let weight_per_label = match self.compat {
                    Some(Compat::Lightgbm) => counts[0].max(counts[1]),
                    _ => 0.5 * (counts[0] + counts[1]),
                };
                counts.map(|count| (weight_per_label / count) as f32)
            }
        })
    }

    /// The label smoothing a; 0 for none.
    pub fn label_smoothing(&self) -> f32 {
        self.label_smoothing
    }

    /// The focal factor; none if it is 1. With γ = 0 and without α, the result is plain cross-entropy, bit for bit.
    pub fn focal(&self) -> Option<Focal> {
        self.focal.filter(|focal| focal.gamma != 0.0 || focal.alpha.is_some())
    }

    /// Checks what depends on several settings or on the batch: the number of weights per class, the type of targets
    /// that an ignored target needs, and combinations that the system in [`Compat`] does not support.
    pub(crate) fn check(&self, classes: usize, targets: &Targets<'_>) -> Result<()> {
        let check_len = |name, values: Option<&[f32]>, one: bool| match values {
            Some(values) if values.len() != classes && !(one && values.len() == 1) => Err(Error::Length {
                name,
                actual: values.len() as u64,
                expected: classes as u64,
                unit: LengthUnit::Classes,
            }),
            _ => Ok(()),
        };
        check_len("class weights", self.class_weights(), false)?;
        check_len("pos_weight", self.pos_weight(), true)?;
        match (self.ignore, targets) {
            // Targets are compared as f32, which tells every integer below 2^24 from all others.
            (Some(Ignore::Label(label)), _) if label.unsigned_abs() >= 1 << f32::MANTISSA_DIGITS => {
                return Err(Error::Parameter {
                    name: "ignored label",
                    value: label as f64,
                    must: "between -2^24 and 2^24",
                });
            }
            (Some(Ignore::Label(_)), Targets::U8(_) | Targets::I64(_) | Targets::F32(_)) => {}
            (Some(Ignore::Nan), Targets::F32(_)) | (None, _) => {}
            (Some(ignore), _) => return Err(Error::IgnoreType { ignore }),
        }
        let weighs_positives = self.pos_weight().is_some_and(|weights| weights.iter().any(|weight| *weight != 1.0));
        if self.compat == Some(Compat::Lightgbm) && self.label_weights.is_some() && weighs_positives {
            return Err(Unsupported::BalancedTwice.into());
        }
        Ok(())
    }

    /// Whether this is the plain loss, in which each element is counted with weight 1.
    pub(crate) fn is_plain(&self, kind: PredictionKind, weights: bool, mask: bool) -> bool {
        !weights
            && !mask
            && self.class_weights.is_none()
            && self.pos_weight.is_none()
            && self.label_weights.is_none()
            && self.label_smoothing == 0.0
            && self.ignore.is_none()
            && self.focal().is_none()
            && Conventions::of(self.compat, kind).is_none()
    }

    /// Whether the divisor of gradient and hessian depends on targets, mask or weights, for batches with or without a
    /// mask. If so, an accumulator needs the [`Engine::totals`](crate::Engine::totals) of all parts first, merged and
    /// passed to [`Engine::accumulator_with_totals`](crate::Engine::accumulator_with_totals).
    /// [`Engine::evaluate`](crate::Engine::evaluate) and resident batches compute them automatically.
    pub fn needs_totals(&self, mask: bool) -> bool {
        match self.reduction() {
            _ if self.has_derivatives_of_sum() => false,
            Reduction::Mean => self.ignore.is_some() || mask,
            Reduction::WeightedMean => true,
            Reduction::None | Reduction::Sum | Reduction::PerClass | Reduction::PerRow => false,
        }
    }

    /// The factor of the gradient and hessian of every element. It is rounded to f32 once, here, so that every part of
    /// a batch and every device multiplies by the same number.
    pub(crate) fn coefficient(&self, totals: &Totals) -> f32 {
        let denominator = match self.reduction() {
            _ if self.has_derivatives_of_sum() => return self.scale,
            Reduction::None | Reduction::Sum | Reduction::PerClass | Reduction::PerRow => return self.scale,
            Reduction::Mean => totals.count as f64,
            Reduction::WeightedMean => totals.weight.value(),
        };
        // If the count or the sum of the weights is 0, every gradient is 0. Dividing by 1 keeps it so: an infinite
        // coefficient would turn it into NaN.
        let denominator = if denominator == 0.0 { 1.0 } else { denominator };
        (f64::from(self.scale) / denominator) as f32
    }

    /// The mean of zero elements.
    pub(crate) fn empty_mean(&self) -> f64 {
        self.compat.map_or(f64::NAN, Compat::empty_mean)
    }

    /// The mean of `partials` as the reduction defines it.
    pub(crate) fn mean_of(&self, partials: &Partials) -> f64 {
        let weighted = self.reduction() == Reduction::WeightedMean;
        let divisor = if weighted { partials.weight.value() } else { partials.count as f64 };
        if divisor == 0.0 { self.empty_mean() } else { partials.sum.value() / divisor }
    }

    /// The factor of gradient and hessian that was set.
    pub(crate) fn scale(&self) -> f32 {
        self.scale
    }
}

fn parameter(name: &'static str, value: f32, valid: bool, must: &'static str) -> Result<()> {
    if !valid {
        return Err(Error::Parameter { name, value: value.into(), must });
    }
    Ok(())
}

fn all_weights(name: &'static str, weights: &[f32]) -> Result<()> {
    weights.iter().try_for_each(|&w| parameter(name, w, w >= 0.0 && w.is_finite(), "finite and at least 0"))
}
