//! Errors of the engine in terms of the files: where an invalid value is, what another system does not support, and
//! what to do about it.

use std::borrow::Cow;

use logloss::{Array, Error as EngineError, Unsupported};

use crate::{Error, Source, Unrepresentable, seen::Seen};

/// What is known about an error of the engine beside the error itself.
#[derive(Default)]
pub(crate) struct Circumstances {
    /// Whether any number is a label.
    pub any_number_is_label: bool,
    /// The invalid value as its file has it, if it could not be converted as it was.
    pub unrepresentable: Option<Unrepresentable>,
    /// The values beside an invalid one.
    pub seen: Option<Seen>,
}

/// The error of an evaluation in terms of its source: an invalid value gets its place.
pub(crate) fn explain(error: EngineError, source: &dyn Source, circumstances: Circumstances) -> Error {
    let Circumstances { any_number_is_label, unrepresentable, seen } = circumstances;
    let (array, index, value) = match error {
        EngineError::InvalidValue { array, index, value } => (array, index, value),
        EngineError::Unsupported(reason) => return unsupported(reason, source),
        error => return error.into(),
    };
    let Some(place) = source.place(array, index) else { return error.into() };
    let place = place.with_line(unrepresentable.as_ref().and_then(|value| value.line));
    let value = unrepresentable.map_or_else(|| shortest(value), |value| value.text);
    let is_nan = value.trim().parse().is_ok_and(f64::is_nan);
    const PROPAGATE: &str = "drop that row; or pass --non-finite propagate to let NaN through to the results";
    const WITHOUT_LABEL: &str = "drop that row or correct its label; or leave it out with --ignore-label nan";
    let (must, help) = match array {
        Array::Predictions => ("logits must not be NaN", PROPAGATE.into()),
        Array::Probabilities if is_nan => ("probabilities must lie in [0, 1]", PROPAGATE.into()),
        Array::Probabilities => ("probabilities must lie in [0, 1]", mend_probability(seen).into()),
        Array::Targets if any_number_is_label => ("labels must not be NaN", WITHOUT_LABEL.into()),
        Array::Targets if is_nan => ("labels must be 0 or 1, or probabilities in between", WITHOUT_LABEL.into()),
        Array::Targets => ("labels must be 0 or 1, or probabilities in between", mend_label(&value, seen)),
        _ => (
            "weights must be finite in f32, and at least 0",
            "correct it, or leave the element out with a weight of 0, or with --mask M.npy".into(),
        ),
    };
    Error::InvalidValue { array, place, value, must, help }
}

/// The digits of a value as they were written: those of f32 for the types that are exact in it.
fn shortest(value: f64) -> String {
    let single = value as f32;
    match value.abs() {
        // In full, the smallest f64 has 320 zeros.
        magnitude if magnitude > 0.0 && magnitude < 1e-5 => format!("{value:e}"),
        _ if f64::from(single) == value => single.to_string(),
        _ => value.to_string(),
    }
}

/// What to do about a probability that is invalid. That it may be a logit is said only of values that may be: percentages
/// taken for logits would give a result.
fn mend_probability(seen: Option<Seen>) -> &'static str {
    match seen {
        Some(seen) if seen.is_about_unit() => "clip them: numpy.clip(p, 0, 1)",
        Some(seen) if seen.is_percentage() => "these look like percentages: divide them by 100, as p / 100",
        _ => "if these are logits, leave out --from probabilities; else clip them: numpy.clip(p, 0, 1)",
    }
}

/// What to do about a label that is invalid. To ignore it is advised only where labels of both kinds remain.
fn mend_label(value: &str, seen: Option<Seen>) -> Cow<'static, str> {
    let (zeros, ones) = seen.map_or((true, true), |seen| (seen.zeros, seen.ones));
    let label = match value.trim().parse::<f64>() {
        Ok(label) if label.fract() == 0.0 && label.abs() < 1e6 => label,
        _ => return "drop that row or correct its label; or are predictions and labels swapped?".into(),
    };
    // Only the part that holds the label was looked at: what is true of it may not be of the rest of the file.
    match (zeros, ones) {
        (true, _) if label == -1.0 => "-1 for 'unknown' is left out by --ignore-label=-1".into(),
        (false, _) if label == -1.0 => {
            "if all labels are -1 or 1, they become 0 and 1 as (y + 1) / 2; where there are 0, too, -1 for 'unknown' is \
             left out by --ignore-label=-1"
                .into()
        }
        (true, true) => format!(
            "class numbers become 0 and 1 as y == CLASS; {label} for 'unknown' is left out by --ignore-label={label}"
        )
        .into(),
        (true, false) if label > 0.0 => {
            format!("if all labels are 0 or {label}, they become 0 and 1 as y == {label}; class numbers as y == CLASS").into()
        }
        (false, true) if label == 2.0 => {
            "if all labels are 1 or 2, they become 0 and 1 as y == 2; class numbers as y == CLASS".into()
        }
        _ => "class numbers become 0 and 1 as y == CLASS; or is this not the array of the labels?".into(),
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
            (unsupported.to_string(), "correct the weights; or pass --non-finite propagate, for a weighted mean of NaN")
        }
        unsupported => return EngineError::from(unsupported).into(),
    };
    Error::Unsupported { reason, unsupported, help }
}
