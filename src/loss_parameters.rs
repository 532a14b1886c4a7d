//! The parameters of the weighted loss: weights, label smoothing, the focal factor and the conventions of other
//! systems, as the numbers that both backends use.

use std::sync::Arc;

use crate::{Focal, Ignore, NonFinite, Objective, compat::Conventions, prediction_kind::PredictionKind};

/// The parameters of the loss.
///
/// An element with target z, class c and data weight v is evaluated as
///
/// ```text
/// z ← 1 where z > 0, else 0                              if `binarize`
/// w = v·class_weight[c]·(w₀·(1 − z) + w₁·z)
/// d = w                                                  the derivative weight
/// d ← d·pos_weight[c] where z = 1, and q = 1             if `weigh_positives`; else q = pos_weight[c]
/// w ← v·class_weight[c]                                  if `unlabelled_loss`
/// A = (1 − z)·(1 − a) + a/2        B = q·(z·(1 − a) + a/2)
/// ℓ = w·(A·t₀ + B·t₁)·(focal factor)                     t₀ = −log(1 − p), t₁ = −log p, clipped
/// ```
///
/// in this order of operations, each rounded to f32. The derivative weight d replaces w in gradient and hessian,
/// because the metric of a booster does not use the weights with which its objective balances the labels.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LossParameters {
    /// The class weight and pos_weight of each class; one entry if they are the same for all classes.
    pub classes: Arc<[[f32; 2]]>,
    /// w₀ and w₁.
    pub label_weights: [f32; 2],
    /// a.
    pub smoothing: f32,
    /// The targets whose elements are ignored.
    pub ignore: Option<Ignore>,
    /// γ of the focal factor; 0 for none.
    pub gamma: f32,
    /// α_t of the focal factor, for a negative and a positive; [1, 1] for none.
    pub alpha: [f32; 2],
    /// The bounds and label rules of another system.
    pub conventions: Conventions,
    /// Whether invalid values propagate as NaN. An element with an invalid target is then counted with weight 0.
    pub propagate: bool,
    /// The parameters that are not at their neutral value, by which code is specialised.
    pub uses: Uses,
}

/// The groups of a [`LossParameters`] that are not at their neutral value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Uses {
    /// Whether class weights or pos_weights differ by class.
    pub classes: bool,
    /// Whether there is a focal factor.
    pub focal: bool,
    /// Whether the conventions differ from the plain definition.
    pub conventions: bool,
}

impl LossParameters {
    /// The parameters of the plain loss.
    pub(crate) fn plain() -> Self {
        Self {
            classes: Arc::new([[1.0, 1.0]]),
            label_weights: [1.0, 1.0],
            smoothing: 0.0,
            ignore: None,
            gamma: 0.0,
            alpha: [1.0, 1.0],
            conventions: Conventions::PLAIN,
            propagate: false,
            uses: Uses::default(),
        }
    }

    /// The parameters of `objective` for predictions of this kind, including those of the plain loss.
    pub(crate) fn of(kind: PredictionKind, weights: bool, mask: bool, objective: &Objective) -> Self {
        let propagate = objective.non_finite() == NonFinite::Propagate;
        Self::new(kind, weights, mask, objective).unwrap_or_else(|| Self { propagate, ..Self::plain() })
    }

    /// The parameters of `objective` for predictions of this kind; none if it is the plain loss.
    pub(crate) fn new(kind: PredictionKind, weights: bool, mask: bool, objective: &Objective) -> Option<Self> {
        if objective.is_plain(kind, weights, mask) {
            return None;
        }
        let conventions = Conventions::of(objective.compat(), kind);
        let entry = |values: Option<&[f32]>, c: usize| match values {
            None => 1.0,
            Some([one]) => *one,
            Some(values) => values[c],
        };
        let per_class = |values: Option<&[f32]>| values.map_or(1, <[f32]>::len);
        let entries = per_class(objective.class_weights()).max(per_class(objective.pos_weight()));
        let focal = objective.focal();
        Some(Self {
            classes: (0..entries)
                .map(|c| [entry(objective.class_weights(), c), entry(objective.pos_weight(), c)])
                .collect(),
            label_weights: objective.label_weights().unwrap_or([1.0, 1.0]),
            smoothing: objective.label_smoothing(),
            ignore: objective.ignore(),
            gamma: focal.as_ref().map_or(0.0, Focal::gamma),
            alpha: focal.and_then(|focal| focal.alpha()).map_or([1.0, 1.0], |alpha| [1.0 - alpha, alpha]),
            conventions: conventions.unwrap_or(Conventions::PLAIN),
            propagate: objective.non_finite() == NonFinite::Propagate,
            uses: Uses { classes: entries > 1, focal: focal.is_some(), conventions: conventions.is_some() },
        })
    }
}
