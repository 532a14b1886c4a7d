//! Options that take one of several words.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use logloss::{Compat, Form, Invalid, Reduction};

/// The words that an option takes: what each of them means, and the help that is shown with it.
pub type Choices<T> = [(&'static str, T, &'static str)];

/// The forms of predictions.
pub const FORMS: &Choices<Form> = &[
    ("logits", Form::Logits, "Any real number, the log of the odds"),
    ("probabilities", Form::Probabilities, "In [0, 1]"),
];

/// What an invalid value does.
pub const NON_FINITE: &Choices<Invalid> = &[
    ("error", Invalid::Error, "Fail and name the first one"),
    ("propagate", Invalid::Propagate, "Let it through as NaN"),
];

/// The reductions.
pub const REDUCTIONS: &Choices<Reduction> = &[
    ("none", Reduction::None, "They stay as they are: see --loss-out; the gradient is that of each element's own loss"),
    ("sum", Reduction::Sum, "Their sum"),
    ("mean", Reduction::Mean, "Their mean, over the number of elements whatever their weights"),
    ("weighted-mean", Reduction::WeightedMean, "Their sum over the sum of the weights"),
    (
        "per-class",
        Reduction::PerClass,
        "The mean of each class: C values; the gradient is that of each element's own loss",
    ),
    ("per-row", Reduction::PerRow, "The mean of each row: N values; the gradient is that of each element's own loss"),
];

/// The systems whose conventions are taken over.
pub const SYSTEMS: &Choices<Compat> = &[
    ("torch", Compat::Torch, "BCEWithLogitsLoss; of probabilities BCELoss, whose logarithms are at least −100"),
    (
        "keras",
        Compat::Keras,
        "Probabilities clipped to [1e-7, 1 − 1e-7]; the mean of nothing is 0. (Of shape [N, C] Keras takes the mean of \
         a row first: --reduction per-row has its losses, their sum and its gradients are 1/C of those here)",
    ),
    ("tensorflow", Compat::TensorFlow, "weighted_cross_entropy_with_logits"),
    (
        "sklearn",
        Compat::Sklearn,
        "log_loss: a mean is weighted, probabilities are clipped by f32's epsilon, and no labels, one alone, soft ones \
         of probabilities, or weights that are all 0 are errors (unless --non-finite propagate)",
    ),
    (
        "xgboost",
        Compat::Xgboost,
        "binary:logistic: a mean is weighted, probabilities are clipped by 1e-16 and the hessian floored",
    ),
    (
        "lightgbm",
        Compat::Lightgbm,
        "binary: a mean is weighted, probabilities are clipped by 1e-15, labels above 0 are positive and all others \
         negative; label weights weigh gradient and hessian alone",
    ),
];

/// Parses a word into what it means.
pub fn parser<T: Copy + Send + Sync + 'static>(choices: &'static Choices<T>) -> impl TypedValueParser<Value = T> {
    let words = choices.iter().map(|(word, _, help)| PossibleValue::new(*word).help(*help));
    PossibleValuesParser::new(words).try_map(|given| {
        let found = choices.iter().find(|(word, ..)| *word == given);
        found.map(|(_, meaning, _)| *meaning).ok_or("there is no such word")
    })
}

/// The word for a meaning, if there is one.
pub fn word<T: PartialEq>(choices: &'static Choices<T>, meaning: &T) -> Option<&'static str> {
    choices.iter().find(|(_, there, _)| there == meaning).map(|(word, ..)| *word)
}
