//! Where in the files an invalid value is, what another system refuses, and what to do about it.

use logloss::{Array, Error, Refusal};

use crate::{
    args::EvalArgs,
    failure::fault,
    source::{Odd, Source},
};

/// An error for the user: of an invalid value, its place. `odd` is how its file has it, if it could not be passed on
/// as it was.
pub fn explain(error: Error, args: &EvalArgs, source: &dyn Source, odd: Option<Odd>) -> anyhow::Error {
    let (array, index, value) = match error {
        Error::InvalidValue { array, index, value } => (array, index, value),
        Error::Refused(refusal) => return refused(refusal, source),
        error => return error.into(),
    };
    let line = odd.as_ref().and_then(|odd| odd.line).map(|line| format!(" (line {line})")).unwrap_or_default();
    // Every type that the library reads is exact in f32, whose digits are those that were written.
    let shown = odd.map_or_else(|| (value as f32).to_string(), |odd| odd.shown);
    let (must, help) = match array {
        Array::Predictions => (
            "logits must not be NaN",
            "drop that row; or pass --non-finite propagate to let NaN through to the results",
        ),
        Array::Probabilities => {
            ("probabilities must lie in [0, 1]", "if these are logits, leave out --from probabilities; else clip them")
        }
        Array::Targets if args.any_label() => {
            ("labels must not be NaN", "drop that row or mend its label; or leave it out with --ignore-label nan")
        }
        Array::Targets => ("labels must be 0 or 1, or probabilities in between", &*mend_label(&shown)),
        Array::Weights => (
            "weights must be finite in f32, and at least 0",
            "mend it, or leave the element out with a weight of 0, or with --mask M.npy",
        ),
    };
    fault(format_args!("{}{line}: the value is {shown}: {must}", source.place(array, index)), help)
}

/// What to do about a label that is none.
fn mend_label(shown: &str) -> String {
    match shown.trim().parse::<f64>() {
        Ok(-1.0) => {
            "labels of -1 and 1 become 0 and 1 as (y + 1) / 2; -1 for 'unknown' is left out by --ignore-label -1".into()
        }
        Ok(label) if label.fract() == 0.0 && label.abs() < 1e6 => format!(
            "class numbers become 0 and 1 as y == CLASS; {label} for 'unknown' is left out by --ignore-label={label}"
        ),
        Ok(label) if label.is_nan() => {
            "drop that row or mend its label; or leave it out with --ignore-label nan".into()
        }
        _ => "drop that row or mend its label; or are predictions and labels swapped?".into(),
    }
}

/// What scikit-learn refuses, in words of the files.
fn refused(refusal: Refusal, source: &dyn Source) -> anyhow::Error {
    let targets = source.targets();
    match refusal {
        Refusal::NoSamples => fault(
            format_args!("{targets}: there are no labels, and scikit-learn's log_loss needs one at least"),
            "evaluate a file that has any; or pass --non-finite propagate, for a mean of NaN",
        ),
        Refusal::OneLabel { .. } => fault(
            format_args!("{targets}: {refusal}"),
            "evaluate more of the data; or pass --non-finite propagate, which is log_loss(…, labels=[0, 1])",
        ),
        Refusal::SoftLabel { index, value } => fault(
            format_args!(
                "{}: the value is {}: scikit-learn's log_loss takes labels of 0 and 1",
                source.place(Array::Targets, index),
                value as f32
            ),
            "leave out --compat sklearn; or pass --non-finite propagate, for the loss of soft labels",
        ),
        Refusal::ZeroWeights => {
            fault(refusal, "mend the weights; or pass --non-finite propagate, for a weighted mean of NaN")
        }
        refusal => refusal.into(),
    }
}
