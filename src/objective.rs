//! What is computed from a batch.

use std::sync::Arc;

use crate::{
    Compat, Error, Form, LengthUnit, Metrics, Partials, Result, Targets, Totals, Unsupported, compat::Conventions,
};

/// How the losses become one value, or several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reduction {
    /// Not at all: the value is the loss of each element, the gradient that of each element's own loss.
    None,
    /// Their sum.
    Sum,
    /// Their sum over the number of elements counted, whatever their weights.
    #[default]
    Mean,
    /// Their sum over the sum of the elements' weights.
    WeightedMean,
    /// For each class of shape `[N, C]`, the mean over the elements of it that are counted: C values. The gradient is
    /// that of each element's own loss.
    PerClass,
    /// For each row of shape `[N, C]`, the mean over the elements of it that are counted: N values. The gradient is
    /// that of each element's own loss.
    PerRow,
}

crate::names::names!("reduction", Reduction { None = "none", Sum = "sum", Mean = "mean", WeightedMean = "weighted-mean", PerClass = "per-class", PerRow = "per-row" });

/// What an invalid value does: NaN in predictions, targets or weights, a probability or a target outside [0, 1], a
/// weight that is negative or infinite.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NonFinite {
    /// The evaluation fails and names the first one. What the system in [`Compat`] refuses is an error too.
    #[default]
    Error,
    /// Its loss, gradient and hessian are NaN, and so are the sum and the mean.
    Propagate,
}

crate::names::names!("treatment of invalid values", NonFinite { Error = "error", Propagate = "propagate" });

/// Which targets say that an element is to be left out: it adds to nothing, its loss, gradient and hessian are 0,
/// and its prediction and weight are not looked at. (In files, that the command line reads, a prediction or weight that
/// is missing altogether, a null, is an error all the same: there is no value to leave out.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ignore {
    /// This value, of targets that are bytes or floats.
    Label(u8),
    /// NaN, of targets that are floats.
    Nan,
}

impl Ignore {
    /// Whether an element with this target is left out.
    pub fn ignores(self, target: f64) -> bool {
        match self {
            Ignore::Label(label) => target == f64::from(label),
            Ignore::Nan => target.is_nan(),
        }
    }
}

/// Focal loss: α_t·(1 − p_t)^γ times the cross-entropy, with p_t = z·p + (1 − z)·(1 − p) and
/// α_t = z·α + (1 − z)·(1 − α) (Lin, Goyal, Girshick, He, Dollár, "Focal Loss for Dense Object Detection", 2017; for
/// soft targets as torchvision's `sigmoid_focal_loss`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Focal {
    gamma: f32,
    alpha: Option<f32>,
}

impl Focal {
    /// Focusing strength γ ≥ 0.
    ///
    /// # Errors
    /// [`Error::Parameter`] if it is negative, NaN or infinite.
    pub fn new(gamma: f32) -> Result<Self> {
        parameter("focal gamma", gamma, gamma >= 0.0 && gamma.is_finite(), "finite and at least 0")?;
        Ok(Self { gamma, alpha: None })
    }

    /// Balance α in [0, 1]: weighs positives by α, negatives by 1 − α.
    ///
    /// # Errors
    /// [`Error::Parameter`] if it lies outside.
    pub fn with_alpha(mut self, alpha: f32) -> Result<Self> {
        parameter("focal alpha", alpha, (0.0..=1.0).contains(&alpha), "in [0, 1]")?;
        self.alpha = Some(alpha);
        Ok(self)
    }

    /// γ.
    pub fn gamma(&self) -> f32 {
        self.gamma
    }

    /// α.
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
/// A = 1 − z        B = q·z                   pos_weight q, one or one a class
/// ℓ = w·(A·softplus(x) + B·softplus(−x))
/// ```
///
/// where w is the product of the element's or sample's weight, its class's weight, and the weight of its label,
/// w₀·(1 − z) + w₁·z before smoothing. Gradient and hessian are the first and second derivative with respect to x.
/// With a probability p in place of x the loss is −w·(A·log(1 − p) + B·log p), exact to the ends of [0, 1] (+inf where
/// the truth is), and the derivatives are those with respect to p. [`Focal`] multiplies it; [`Compat`] bends what
/// other systems define otherwise.
///
/// Gradient and hessian are those of the reduced value, times [`scale`](Self::with_scale).
///
/// Each weight is checked, their product is not: where it leaves f32 it is infinite, and so may loss, derivatives and
/// sums be, or NaN where 0 meets it. That is no invalid value, and nothing is reported as the
/// [first](crate::Partials::first_invalid) one.
#[derive(Clone, Debug, PartialEq)]
pub struct Objective {
    reduction: Reduction,
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

/// What labels weigh. How many there are becomes weights only once the system in [`Compat`] is known.
#[derive(Clone, Copy, Debug, PartialEq)]
enum LabelWeights {
    Given([f32; 2]),
    Balanced([u64; 2]),
}

impl Default for Objective {
    fn default() -> Self {
        Self {
            reduction: Reduction::Mean,
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
    /// The mean of plain binary cross-entropy, unscaled; invalid values are errors.
    pub fn mean() -> Self {
        Self::default()
    }

    /// The sum of plain binary cross-entropy, unscaled; invalid values are errors.
    pub fn sum() -> Self {
        Self::default().with_reduction(Reduction::Sum)
    }

    /// Sets the reduction.
    pub fn with_reduction(mut self, reduction: Reduction) -> Self {
        self.reduction = reduction;
        self
    }

    /// Multiplies gradient and hessian (and neither loss, sum nor mean): an upstream gradient, a loss scale.
    ///
    /// # Errors
    /// [`Error::Parameter`] if it is NaN or infinite.
    pub fn with_scale(mut self, scale: f32) -> Result<Self> {
        parameter("scale", scale, scale.is_finite(), "finite")?;
        self.scale = scale;
        Ok(self)
    }

    /// Sets what an invalid value does.
    pub fn with_non_finite(mut self, invalid: NonFinite) -> Self {
        self.invalid = invalid;
        self
    }

    /// A weight for each class, `[C]`.
    ///
    /// # Errors
    /// [`Error::Parameter`] if one is negative, NaN or infinite. That they are as many as the batch has classes is
    /// checked with the batch.
    pub fn with_class_weights(mut self, weights: impl Into<ClassValues>) -> Result<Self> {
        let ClassValues(weights) = weights.into();
        all_weights("class weight", &weights)?;
        self.class_weights = Some(weights);
        Ok(self)
    }

    /// The weight q of the positive term: one, or one for each class, `[C]`.
    ///
    /// # Errors
    /// [`Error::Parameter`] if one is negative, NaN or infinite. That they are one or as many as the batch has
    /// classes is checked with the batch.
    pub fn with_pos_weight(mut self, weights: impl Into<ClassValues>) -> Result<Self> {
        let ClassValues(weights) = weights.into();
        all_weights("pos_weight", &weights)?;
        self.pos_weight = Some(weights);
        Ok(self)
    }

    /// The weights (w₀, w₁) of elements with label 0 and 1; a soft target lies between.
    ///
    /// # Errors
    /// [`Error::Parameter`] if one is negative, NaN or infinite.
    pub fn with_label_weights(mut self, negative: f32, positive: f32) -> Result<Self> {
        all_weights("label weight", &[negative, positive])?;
        self.label_weights = Some(LabelWeights::Given([negative, positive]));
        Ok(self)
    }

    /// The label weights that make both labels weigh the same: n/(2·n₀) and n/(2·n₁), as scikit-learn's `balanced`.
    /// With [`Compat::Lightgbm`] they are those of its `is_unbalance`: 1 for the label that there is more of, and for
    /// the other how many times more.
    ///
    /// # Errors
    /// [`Error::Parameter`] if a label is absent.
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
    /// [`Error::Parameter`] if `a` lies outside.
    pub fn with_label_smoothing(mut self, a: f32) -> Result<Self> {
        parameter("label smoothing", a, (0.0..1.0).contains(&a), "in [0, 1)")?;
        self.label_smoothing = a;
        Ok(self)
    }

    /// Leaves out the elements whose target says so.
    pub fn with_ignore(mut self, ignore: Ignore) -> Self {
        self.ignore = Some(ignore);
        self
    }

    /// Multiplies by the focal factor.
    pub fn with_focal(mut self, focal: Focal) -> Self {
        self.focal = Some(focal);
        self
    }

    /// Takes over another system's conventions.
    pub fn with_compat(mut self, compat: Compat) -> Self {
        self.compat = Some(compat);
        self
    }

    /// Requests statistics of the predictions, taken in the same pass. They are part of the
    /// [`Partials`](crate::Partials).
    pub fn with_metrics(mut self, metrics: Metrics) -> Self {
        self.metrics = metrics;
        self
    }

    /// The reduction: what was set, or what the system in [`Compat`] calls a mean.
    pub fn reduction(&self) -> Reduction {
        match (self.reduction, self.compat) {
            (Reduction::Mean, Some(compat)) if compat.weighs_mean() => Reduction::WeightedMean,
            (reduction, _) => reduction,
        }
    }

    /// What an invalid value does.
    pub fn non_finite(&self) -> NonFinite {
        self.invalid
    }

    /// Which targets leave an element out.
    pub fn ignore(&self) -> Option<Ignore> {
        self.ignore
    }

    /// The conventions of another system, if any.
    pub fn compat(&self) -> Option<Compat> {
        self.compat
    }

    /// The statistics of the predictions that are requested.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The weight of each class.
    pub fn class_weights(&self) -> Option<&[f32]> {
        self.class_weights.as_deref()
    }

    /// The weight of the positive term, one or one for each class.
    pub fn pos_weight(&self) -> Option<&[f32]> {
        self.pos_weight.as_deref()
    }

    /// The weights of labels 0 and 1.
    pub fn label_weights(&self) -> Option<[f32; 2]> {
        Some(match self.label_weights? {
            LabelWeights::Given(weights) => weights,
            LabelWeights::Balanced(counts) => {
                let counts = counts.map(|count| count as f64);
                // LightGBM leaves the larger class as it is, scikit-learn the sum of all weights.
                let whole = match self.compat {
                    Some(Compat::Lightgbm) => counts[0].max(counts[1]),
                    _ => 0.5 * (counts[0] + counts[1]),
                };
                counts.map(|count| (whole / count) as f32)
            }
        })
    }

    /// Label smoothing; 0 for none.
    pub fn label_smoothing(&self) -> f32 {
        self.label_smoothing
    }

    /// The focal factor, where it is not 1: γ = 0 without α is plain cross-entropy, to the bit.
    pub fn focal(&self) -> Option<Focal> {
        self.focal.filter(|focal| focal.gamma != 0.0 || focal.alpha.is_some())
    }

    /// Checks what only all together tell: the number of classes, the type that an ignored target needs, what the
    /// system in [`Compat`] does not take together.
    pub(crate) fn check(&self, classes: usize, targets: &Targets<'_>) -> Result<()> {
        let fits = |name, values: Option<&[f32]>, one: bool| match values {
            Some(values) if values.len() != classes && !(one && values.len() == 1) => Err(Error::Length {
                name,
                actual: values.len() as u64,
                expected: classes as u64,
                unit: LengthUnit::Classes,
            }),
            _ => Ok(()),
        };
        fits("class weights", self.class_weights(), false)?;
        fits("pos_weight", self.pos_weight(), true)?;
        match (self.ignore, targets) {
            (Some(Ignore::Label(_)), Targets::U8(_) | Targets::F32(_)) => {}
            (Some(Ignore::Nan), Targets::F32(_)) | (None, _) => {}
            (Some(ignore), _) => return Err(Error::IgnoreType { ignore }),
        }
        let weighs_positives = self.pos_weight().is_some_and(|weights| weights.iter().any(|weight| *weight != 1.0));
        if self.compat == Some(Compat::Lightgbm) && self.label_weights.is_some() && weighs_positives {
            return Err(Unsupported::BalancedTwice.into());
        }
        Ok(())
    }

    /// Whether nothing but the plain loss is asked for: each element counts, with weight 1.
    pub(crate) fn is_plain(&self, form: Form, weights: bool, mask: bool) -> bool {
        !weights
            && !mask
            && self.class_weights.is_none()
            && self.pos_weight.is_none()
            && self.label_weights.is_none()
            && self.label_smoothing == 0.0
            && self.ignore.is_none()
            && self.focal().is_none()
            && Conventions::of(self.compat, form).is_none()
    }

    /// Whether what gradient and hessian are divided by is known only after a look at targets, mask and weights, of
    /// batches with or without a mask: for a stream then, take [`Engine::totals`](crate::Engine::totals) of every part
    /// first and open it with [`Engine::accumulator_with_totals`](crate::Engine::accumulator_with_totals).
    /// [`Engine::evaluate`](crate::Engine::evaluate) and resident batches see to it themselves.
    pub fn needs_totals(&self, mask: bool) -> bool {
        match self.reduction() {
            Reduction::Mean => self.ignore.is_some() || mask,
            Reduction::WeightedMean => true,
            Reduction::None | Reduction::Sum | Reduction::PerClass | Reduction::PerRow => false,
        }
    }

    /// What every element's gradient and hessian is multiplied by: rounded to f32 once, here, so that every part of a
    /// batch and every device multiplies by the same number.
    pub(crate) fn coefficient(&self, totals: &Totals) -> f32 {
        let denominator = match self.reduction() {
            Reduction::None | Reduction::Sum | Reduction::PerClass | Reduction::PerRow => return self.scale,
            Reduction::Mean => totals.count as f64,
            Reduction::WeightedMean => totals.weight.value(),
        };
        // What nothing is counted of, or weighs nothing, has no gradient, and 0 times infinity is none.
        let denominator = if denominator == 0.0 { 1.0 } else { denominator };
        (f64::from(self.scale) / denominator) as f32
    }

    /// The mean of nothing.
    pub(crate) fn empty_mean(&self) -> f64 {
        self.compat.map_or(f64::NAN, Compat::empty_mean)
    }

    /// The mean of what `partials` hold, as the reduction defines it.
    pub(crate) fn mean_of(&self, partials: &Partials) -> f64 {
        let weighted = self.reduction() == Reduction::WeightedMean;
        let divisor = if weighted { partials.weight.value() } else { partials.count as f64 };
        if divisor == 0.0 { self.empty_mean() } else { partials.sum.value() / divisor }
    }

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
