//! Options that take one of several values, which are named as the engine names them.

use std::str::FromStr;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use logloss::{Compat, Form, NonFinite, Reduction};

/// The values that an option takes, and the help that is shown with each.
pub(crate) type Choices<T> = [(T, &'static str)];

/// The forms of predictions.
pub(crate) const FORMS: &Choices<Form> =
    &[(Form::Logits, "Any real number, the log of the odds"), (Form::Probabilities, "In [0, 1]")];

/// What an invalid value does.
pub(crate) const NON_FINITE: &Choices<NonFinite> =
    &[(NonFinite::Error, "Fail and name the first one"), (NonFinite::Propagate, "Let it through as NaN")];

/// The reductions.
pub(crate) const REDUCTIONS: &Choices<Reduction> = &[
    (Reduction::None, "Not at all: see --loss-out; the gradient is that of each element's own loss"),
    (Reduction::Sum, "Their sum"),
    (Reduction::Mean, "Their sum divided by the number of elements, whatever their weights"),
    (Reduction::WeightedMean, "Their sum divided by the sum of the weights"),
    (Reduction::PerClass, "The mean of each class: C values; the gradient is that of each element's own loss"),
    (Reduction::PerRow, "The mean of each row: N values; the gradient is that of each element's own loss"),
];

/// The systems whose conventions are taken over.
pub(crate) const SYSTEMS: &Choices<Compat> = &[
    (Compat::Torch, "BCEWithLogitsLoss; for probabilities BCELoss, whose logarithms are at least −100"),
    (
        Compat::Keras,
        "Probabilities are clipped to [1e-7, 1 − 1e-7]; the mean of no values is 0. (For shape [N, C] Keras takes the mean \
         of each row first: --reduction per-row gives its losses; their sum and its gradients are 1/C of those here)",
    ),
    (Compat::TensorFlow, "weighted_cross_entropy_with_logits"),
    (
        Compat::Sklearn,
        "log_loss: a mean is weighted, and probabilities are clipped by the epsilon of their type. No labels, a single label, \
         soft labels of probabilities, and weights that are all 0 are errors (unless --non-finite propagate)",
    ),
    (
        Compat::Xgboost,
        "binary:logistic: a mean is weighted, probabilities are rounded to f32 and clipped by 1e-16, and the hessian is \
         floored",
    ),
    (
        Compat::Lightgbm,
        "binary: a mean is weighted, probabilities are clipped by 1e-15, labels above 0 are positive and all others \
         negative; label weights apply to gradient and hessian alone",
    ),
];

/// Parses the name of a value; `name` gives it.
pub(crate) fn parser<T>(choices: &'static Choices<T>, name: fn(T) -> &'static str) -> impl TypedValueParser<Value = T>
where
    T: FromStr<Err = logloss::Error> + Copy + Send + Sync + 'static,
{
    let names = choices.iter().map(|(value, help)| PossibleValue::new(name(*value)).help(*help));
    PossibleValuesParser::new(names).try_map(|name| name.parse::<T>())
}
