//! The conventions of other systems: what they clip, how they weigh labels, and their mean of an empty batch.

use crate::prediction_kind::{Encoding, Precision, PredictionKind};

/// A system whose conventions an [`Objective`](crate::Objective) adopts: which values it clips, which it bounds from
/// below, what its mean divides by, and its mean of an empty batch. Its rounding is not adopted: where the system loses
/// digits in the tails, the result here keeps them.
///
/// ```
/// use logloss::{Batch, Compat, Engine, Objective, Outputs};
///
/// // PyTorch's `BCELoss` limits −log p to 100.
/// let batch = Batch::probabilities(&[0.0f32], &[1u8])?;
/// let objective = Objective::mean().with_compat(Compat::Torch);
/// assert_eq!(Engine::cpu().evaluate(&batch, &objective, Outputs::none())?.mean, 100.0);
/// # Ok::<(), logloss::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Compat {
    /// PyTorch. For logits, `BCEWithLogitsLoss`, which is the plain definition. For probabilities, `BCELoss`: −log p
    /// and −log(1 − p) are at most 100, and p·(1 − p) in the gradient is at least 1e-12.
    Torch,
    /// Keras. Probabilities are clipped to [1e-7, 1 − 1e-7], outside of which the gradient is 0, in f64 if that is their
    /// type, otherwise in f32, where the upper bound is 1 − 2⁻²³; the mean of an empty batch is 0.
    ///
    /// For shape `[N, C]`, Keras first takes the mean of each row: its losses are the N values of
    /// [`Reduction::PerRow`](crate::Reduction::PerRow), and its `sum` is 1/C times that of
    /// [`Reduction::Sum`](crate::Reduction::Sum), as are its gradients (a [`with_scale`](crate::Objective::with_scale)
    /// of 1/C gives those). Means are the same.
    Keras,
    /// TensorFlow. `weighted_cross_entropy_with_logits`, which is the plain definition. For the losses of TensorFlow 1
    /// (`tf.compat.v1.losses.sigmoid_cross_entropy`), the mean of an empty batch is 0, as with [`Compat::Keras`]; their
    /// `SUM_BY_NONZERO_WEIGHTS` is the mean with the elements of weight 0 masked, and their `MEAN` is the weighted
    /// mean.
    TensorFlow,
    /// scikit-learn. For `log_loss`, probabilities are clipped to [ε, 1 − ε]. ε is that of the type of the predictions,
    /// as in `log_loss`: 2⁻⁵² for f64, 2⁻²³ for f32, 2⁻¹⁰ for f16. (For bf16, which scikit-learn does not take, it is
    /// that of f32.) [`Reduction::Mean`](crate::Reduction::Mean) becomes
    /// [`Reduction::WeightedMean`](crate::Reduction::WeightedMean), as in `log_loss`.
    ///
    /// Batches that `log_loss` rejects are errors ([`Unsupported`](crate::Unsupported)): those without samples, with
    /// only one label, with soft labels (except for logits: `HalfBinomialLoss` accepts them), and with weights that are
    /// all 0. The check reads the targets in host memory, so it does not apply to batches on a device. A part of a
    /// batch may contain only one label: [`NonFinite::Propagate`](crate::NonFinite::Propagate) disables the check, as
    /// `log_loss(…, labels=[0, 1])` does for the labels.
    Sklearn,
    /// XGBoost. For `binary:logistic`, σ(x)·σ(−x) in the hessian is at least 1e-16, and `pos_weight`
    /// (`scale_pos_weight`) multiplies the gradient and hessian of elements whose target is exactly 1. The loss is that
    /// of XGBoost's metric, which does not use `pos_weight`: it is clipped at 1e-16, and its mean is weighted; the mean
    /// of an empty batch is 0. If no reduction was set, gradient and hessian are those of the sum, as XGBoost's objective
    /// has them ([`has_derivatives_of_sum`](crate::Objective::has_derivatives_of_sum)). f64 probabilities are rounded to
    /// f32 first, the only type that XGBoost has for predictions: 1 − 1e-9 is 1 there.
    Xgboost,
    /// LightGBM. For `binary`, a target above 0 is positive and any other is negative, including −1 and −∞; only NaN is
    /// invalid. Label weights (`is_unbalance`, see
    /// [`with_balanced_labels`](crate::Objective::with_balanced_labels)) and `pos_weight` (`scale_pos_weight`, for
    /// positives) multiply gradient and hessian; using both is an error. The loss is that of LightGBM's metric, which
    /// uses neither: it is clipped at 1e-15, and its mean is weighted. If no reduction was set, gradient and hessian are
    /// those of the sum ([`has_derivatives_of_sum`](crate::Objective::has_derivatives_of_sum)).
    Lightgbm,
}

crate::names::names!("system", Compat { Torch = "torch", Keras = "keras", TensorFlow = "tensorflow", Sklearn = "sklearn", Xgboost = "xgboost", Lightgbm = "lightgbm" });

/// The effect of a [`Compat`] on an element, as the numbers that every backend uses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Conventions {
    /// The bounds of −log(1 − p).
    pub negative_term: [f32; 2],
    /// The bounds of −log p.
    pub positive_term: [f32; 2],
    /// Whether the derivatives are 0 where a term is clipped.
    pub clipped_is_flat: bool,
    /// The lower bound of p·(1 − p) in the derivatives with respect to a probability.
    pub denominator: f32,
    /// The lower bound of σ(x)·σ(−x) in the hessian.
    pub hessian: f32,
    /// Whether targets above 0 become 1, and all others 0.
    pub binarize: bool,
    /// Whether `pos_weight` multiplies the derivatives of elements whose target is exactly 1, instead of the positive
    /// term.
    pub weigh_positives: bool,
    /// Whether the label weights, too, apply only to the derivatives and not to the loss.
    pub unlabelled_loss: bool,
    /// Whether f64 probabilities are rounded to f32 first.
    pub rounds: bool,
}

impl Conventions {
    /// The plain definition: no value is clipped or bounded from below.
    pub(crate) const PLAIN: Self = Self {
        negative_term: [0.0, f32::INFINITY],
        positive_term: [0.0, f32::INFINITY],
        clipped_is_flat: false,
        denominator: 0.0,
        hessian: 0.0,
        binarize: false,
        weigh_positives: false,
        unlabelled_loss: false,
        rounds: false,
    };

    /// These conventions with the terms of probabilities clipped to [low, 1 − rest].
    fn clipped(self, low: f64, rest: f64) -> Self {
        let negative_term = [-(-low).ln_1p(), -rest.ln()].map(|term| term as f32);
        let positive_term = [-(-rest).ln_1p(), -low.ln()].map(|term| term as f32);
        Self { negative_term, positive_term, ..self }
    }

    /// The conventions of a system for predictions of this kind; none if they are the plain definition.
    pub(crate) fn of(compat: Option<Compat>, kind: PredictionKind) -> Option<Self> {
        let plain = Self::PLAIN;
        match (compat?, kind.encoding) {
            (Compat::TensorFlow, _) | (Compat::Torch | Compat::Keras, Encoding::Logits) => None,
            (Compat::Torch, Encoding::Probabilities | Encoding::EndDistances) => {
                Some(Self { negative_term: [0.0, 100.0], positive_term: [0.0, 100.0], denominator: 1e-12, ..plain })
            }
            (Compat::Keras, Encoding::Probabilities | Encoding::EndDistances) => {
                let clipped = match kind.precision {
                    Precision::Double => plain.clipped(1e-7, 1e-7),
                    // In f32, 1 - 1e-7 is 1 - 2^-23.
                    Precision::Single | Precision::Half => plain.clipped(1e-7f32.into(), f32::EPSILON.into()),
                };
                Some(Self { clipped_is_flat: true, ..clipped })
            }
            (Compat::Sklearn, _) => {
                let epsilon = kind.precision.epsilon();
                Some(plain.clipped(epsilon, epsilon))
            }
            (Compat::Xgboost, _) => {
                let clipped = plain.clipped(1e-16, 1e-16);
                Some(Self { hessian: 1e-16, weigh_positives: true, rounds: true, ..clipped })
            }
            (Compat::Lightgbm, _) => {
                let Self { positive_term: [_, most], .. } = plain.clipped(1e-15, 1e-15);
                // Only the upper bound is clipped: the loss of a correct prediction can be 0.
                let term = [0.0, most];
                Some(Self {
                    negative_term: term,
                    positive_term: term,
                    binarize: true,
                    weigh_positives: true,
                    unlabelled_loss: true,
                    ..plain
                })
            }
        }
    }
}

impl Compat {
    /// The mean of an empty batch.
    pub(crate) fn empty_mean(self) -> f64 {
        match self {
            Compat::Keras | Compat::Xgboost => 0.0,
            _ => f64::NAN,
        }
    }

    /// Whether every target except NaN is a label: positive if it is above 0, otherwise negative.
    pub(crate) fn binarizes(self) -> bool {
        self == Compat::Lightgbm
    }

    /// Whether the system's mean divides by the sum of the weights.
    pub(crate) fn weighs_mean(self) -> bool {
        matches!(self, Compat::Sklearn | Compat::Xgboost | Compat::Lightgbm)
    }
}
