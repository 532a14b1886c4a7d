//! Errors of the engine in terms of the files: where an invalid value is, what another system does not support, and
//! what to do about it.

use std::borrow::Cow;

use logloss::{Array, Error as EngineError, Unsupported};

use crate::{Error, Source, Unrepresentable};

/// The error of an evaluation in terms of its source: an invalid value gets its place. `unrepresentable` is that value
/// as its file has it, if it could not be converted as it was.
pub(crate) fn explain(
    error: EngineError,
    any_number_is_label: bool,
    source: &dyn Source,
    unrepresentable: Option<Unrepresentable>,
) -> Error {
    let (array, index, value) = match error {
        EngineError::InvalidValue { array, index, value } => (array, index, value),
        EngineError::Unsupported(reason) => return unsupported(reason, source),
        error => return error.into(),
    };
    let Some(place) = source.place(array, index) else { return error.into() };
    let place = place.with_line(unrepresentable.as_ref().and_then(|value| value.line));
    let value = unrepresentable.map_or_else(|| shortest(value), |value| value.text);
    let (must, help) = match array {
        Array::Predictions => (
            "logits must not be NaN",
            "drop that row; or pass --non-finite propagate to let NaN through to the results".into(),
        ),
        Array::Probabilities => (
            "probabilities must lie in [0, 1]",
            "if these are logits, leave out --from probabilities; else clip them".into(),
        ),
        Array::Targets if any_number_is_label => (
            "labels must not be NaN",
            "drop that row or mend its label; or leave it out with --ignore-label nan".into(),
        ),
        Array::Targets => ("labels must be 0 or 1, or probabilities in between", mend_label(&value)),
        _ => (
            "weights must be finite in f32, and at least 0",
            "mend it, or leave the element out with a weight of 0, or with --mask M.npy".into(),
        ),
    };
    Error::InvalidValue { array, place, value, must, help }
}

/// The digits of a value as they were written: those of f32 for the types that are exact in it.
fn shortest(value: f64) -> String {
    let single = value as f32;
    if f64::from(single) == value { single.to_string() } else { value.to_string() }
}

/// What to do about a label that is invalid.
fn mend_label(value: &str) -> Cow<'static, str> {
    match value.trim().parse::<f64>() {
        Ok(-1.0) => {
            "labels of -1 and 1 become 0 and 1 as (y + 1) / 2; -1 for 'unknown' is left out by --ignore-label -1".into()
        }
        Ok(label) if label.fract() == 0.0 && label.abs() < 1e6 => format!(
            "class numbers become 0 and 1 as y == CLASS; {label} for 'unknown' is left out by --ignore-label={label}"
        )
        .into(),
        Ok(label) if label.is_nan() => {
            "drop that row or mend its label; or leave it out with --ignore-label nan".into()
        }
        _ => "drop that row or mend its label; or are predictions and labels swapped?".into(),
    }
}

/// What scikit-learn does not support, in terms of the files.
fn unsupported(unsupported: Unsupported, source: &dyn Source) -> Error {
    let targets = source.target_names();
    let (reason, help) = match unsupported {
        Unsupported::NoSamples => (
            format!("{targets}: there are no labels, and scikit-learn's log_loss needs one at least"),
            "evaluate a file that has any; or pass --non-finite propagate, for a mean of NaN",
        ),
        Unsupported::OneLabel { .. } => (
            format!("{targets}: {unsupported}"),
            "evaluate more of the data; or pass --non-finite propagate, which is log_loss(…, labels=[0, 1])",
        ),
        Unsupported::SoftLabel { index, value } => {
            let Some(place) = source.place(Array::Targets, index) else { return EngineError::from(unsupported).into() };
            return Error::InvalidValue {
                array: Array::Targets,
                place,
                value: shortest(value),
                must: "scikit-learn's log_loss takes labels of 0 and 1",
                help: "leave out --compat sklearn; or pass --non-finite propagate, for the loss of soft labels".into(),
            };
        }
        Unsupported::ZeroWeights => {
            (unsupported.to_string(), "mend the weights; or pass --non-finite propagate, for a weighted mean of NaN")
        }
        unsupported => return EngineError::from(unsupported).into(),
    };
    Error::Unsupported { reason, unsupported, help }
}
