//! The conventions of the systems whose numbers people come with.

use crate::Form;

/// A system whose conventions an [`Objective`](crate::Objective) takes over: what it clips, floors and divides by,
/// and what it says of nothing at all. Its rounding is not taken over: where it loses digits in the tails, the
/// result here keeps them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Compat {
    /// PyTorch. `BCEWithLogitsLoss` is the plain definition. Of probabilities, `BCELoss`: −log is at most 100, and
    /// p·(1 − p) in the gradient at least 1e-12.
    Torch,
    /// Keras: probabilities are clipped to [1e-7, 1 − 1e-7], outside of which the gradient is 0; the mean of nothing
    /// is 0.
    ///
    /// Of shape `[N, C]` Keras takes the mean of a row before anything else: its losses are the N of
    /// [`Reduction::PerRow`](crate::Reduction::PerRow), and its `sum` is 1/C of
    /// [`Reduction::Sum`](crate::Reduction::Sum), as are its gradients ([`with_scale`](crate::Objective::with_scale)
    /// of 1/C gives those). Means are the same.
    Keras,
    /// TensorFlow: `weighted_cross_entropy_with_logits`, which is the plain definition. The losses of TensorFlow 1
    /// (`tf.compat.v1.losses.sigmoid_cross_entropy`) have a mean of nothing of 0, as [`Compat::Keras`] has; their
    /// `SUM_BY_NONZERO_WEIGHTS` is the mean with a mask of the weights that are not 0, their `MEAN` the weighted one.
    TensorFlow,
    /// scikit-learn: `log_loss`: probabilities are clipped to [ε, 1 − ε]. The ε is that of f32, 2⁻²³, which is what
    /// `log_loss` takes for f32 predictions; for those of f64 it has 2⁻⁵², and a probability that is nearer to 0 or 1
    /// than 2⁻²³ may cost more there. Its mean is [`Reduction::WeightedMean`](crate::Reduction::WeightedMean), which a
    /// mean becomes.
    ///
    /// What `log_loss` refuses is an error ([`Unsupported`](crate::Unsupported)): no sample, one label alone, soft labels (but
    /// of logits: `HalfBinomialLoss` takes them), weights that are all 0. It takes a look at the targets in host
    /// memory, so a batch that lies on a device is not refused. A part of a batch may well hold one label alone:
    /// [`NonFinite::Propagate`](crate::NonFinite::Propagate) refuses nothing, as does `log_loss(…, labels=[0, 1])` that.
    Sklearn,
    /// XGBoost: `binary:logistic`: σ(x)·σ(−x) in the hessian is at least 1e-16, and `pos_weight` (`scale_pos_weight`)
    /// weighs gradient and hessian of elements whose target is exactly 1. The loss is that of its metric, which knows
    /// nothing of `pos_weight`: clipped at 1e-16, and a mean is weighted; that of nothing is 0.
    Xgboost,
    /// LightGBM: `binary`: a target above 0 is positive, any other negative, be it −1, 0 or −∞: only NaN is invalid.
    /// Label weights (`is_unbalance`, see [`with_balanced_labels`](crate::Objective::with_balanced_labels)) and
    /// `pos_weight` (`scale_pos_weight`, of the positive) weigh gradient and hessian; both at once are an error. The
    /// loss is that of its metric, which knows nothing of either: clipped at 1e-15, and a mean is weighted.
    Lightgbm,
}

crate::names::names!("system", Compat { Torch = "torch", Keras = "keras", TensorFlow = "tensorflow", Sklearn = "sklearn", Xgboost = "xgboost", Lightgbm = "lightgbm" });

/// What a [`Compat`] does to an element, as numbers that every backend takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Conventions {
    /// −log(1 − p) is kept between these.
    pub negative_term: [f32; 2],
    /// −log p is kept between these.
    pub positive_term: [f32; 2],
    /// Whether the derivatives are 0 where a term is clipped.
    pub clipped_is_flat: bool,
    /// p·(1 − p) in the derivatives with respect to a probability is at least this.
    pub denominator: f32,
    /// σ(x)·σ(−x) in the hessian is at least this.
    pub hessian: f32,
    /// Whether targets above 0 become 1, and all others 0.
    pub binarize: bool,
    /// Whether `pos_weight` weighs the derivatives of elements whose target is exactly 1, rather than the positive
    /// term.
    pub weigh_positives: bool,
    /// Whether the weights of labels, too, are those of the derivatives alone.
    pub unlabelled_loss: bool,
}

impl Conventions {
    /// Nothing clipped, nothing floored.
    pub const PLAIN: Self = Self {
        negative_term: [0.0, f32::INFINITY],
        positive_term: [0.0, f32::INFINITY],
        clipped_is_flat: false,
        denominator: 0.0,
        hessian: 0.0,
        binarize: false,
        weigh_positives: false,
        unlabelled_loss: false,
    };

    /// Terms of probabilities clipped to [low, 1 − rest].
    fn clipped(self, low: f64, rest: f64) -> Self {
        let negative_term = [-(-low).ln_1p(), -rest.ln()].map(|term| term as f32);
        let positive_term = [-(-rest).ln_1p(), -low.ln()].map(|term| term as f32);
        Self { negative_term, positive_term, ..self }
    }

    /// The conventions, or none where they are the plain definition.
    pub fn of(compat: Option<Compat>, form: Form) -> Option<Self> {
        let plain = Self::PLAIN;
        match (compat?, form) {
            (Compat::TensorFlow, _) | (Compat::Torch | Compat::Keras, Form::Logits) => None,
            (Compat::Torch, Form::Probabilities) => {
                Some(Self { negative_term: [0.0, 100.0], positive_term: [0.0, 100.0], denominator: 1e-12, ..plain })
            }
            (Compat::Keras, Form::Probabilities) => {
                // Keras clips in f32, where 1 - 1e-7 is 1 - 2^-23.
                let clipped = plain.clipped(f64::from(1e-7f32), f64::from(f32::EPSILON));
                Some(Self { clipped_is_flat: true, ..clipped })
            }
            (Compat::Sklearn, _) => {
                let epsilon = f64::from(f32::EPSILON);
                Some(plain.clipped(epsilon, epsilon))
            }
            (Compat::Xgboost, _) => {
                let clipped = plain.clipped(1e-16, 1e-16);
                Some(Self { hessian: 1e-16, weigh_positives: true, ..clipped })
            }
            (Compat::Lightgbm, _) => {
                let Self { positive_term: [_, most], .. } = plain.clipped(1e-15, 1e-15);
                // Only what is too large is clipped: a prediction that is right costs nothing.
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
    /// What the mean of nothing is.
    pub(crate) fn empty_mean(self) -> f64 {
        match self {
            Compat::Keras | Compat::Xgboost => 0.0,
            _ => f64::NAN,
        }
    }

    /// Whether any target that is a number is a label: positive above 0, else negative.
    pub(crate) fn binarizes(self) -> bool {
        self == Compat::Lightgbm
    }

    /// Whether its mean divides by the sum of the weights.
    pub(crate) fn weighs_mean(self) -> bool {
        matches!(self, Compat::Sklearn | Compat::Xgboost | Compat::Lightgbm)
    }
}
