//! The parameters of the loss beyond the plain one: weights, smoothing, the focal factor and other systems' conventions,
//! as the numbers that both backends take.

use std::sync::Arc;

use crate::{Focal, Form, Ignore, NonFinite, Objective, compat::Conventions};

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
/// in this order of operations, each rounded to f32. The derivative weight d takes the place of w in gradient and
/// hessian: the metric of a booster does not know of the weights with which its objective balances the labels.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LossParameters {
    /// Class weight and pos_weight of each class; one entry where they are the same for all.
    pub classes: Arc<[[f32; 2]]>,
    /// w₀ and w₁.
    pub label_weights: [f32; 2],
    /// a.
    pub smoothing: f32,
    /// Which targets leave an element out.
    pub ignore: Option<Ignore>,
    /// γ and, for a negative and a positive, α_t; (0, [1, 1]) for none.
    pub gamma: f32,
    pub alpha: [f32; 2],
    /// What is clipped and floored.
    pub conventions: Conventions,
    /// Whether invalid values are let through: then one with an invalid target is counted, and weighs nothing.
    pub propagate: bool,
    /// Which parts of the above are not at their neutral value: what code is specialised by.
    pub uses: Uses,
}

/// Which parts of a [`LossParameters`] are in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Uses {
    /// Class weights or pos_weights, by class.
    pub classes: bool,
    /// The focal factor.
    pub focal: bool,
    /// Clips and floors.
    pub conventions: bool,
}

impl LossParameters {
    /// The parameters of the plain loss.
    pub fn plain() -> Self {
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

    /// What `objective` asks of a batch of predictions of that form, the plain loss too.
    pub fn of(form: Form, weights: bool, mask: bool, objective: &Objective) -> Self {
        let propagate = objective.non_finite() == NonFinite::Propagate;
        Self::new(form, weights, mask, objective).unwrap_or_else(|| Self { propagate, ..Self::plain() })
    }

    /// What `objective` asks of a batch of predictions of that form, or none if that is the plain loss.
    pub fn new(form: Form, weights: bool, mask: bool, objective: &Objective) -> Option<Self> {
        if objective.is_plain(form, weights, mask) {
            return None;
        }
        let conventions = Conventions::of(objective.compat(), form);
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
