//! The element that made a loss infinite, for the reader of a result that says no more than that.

use logloss::{Compat, Floats, Form};

use crate::{
    LabelWeights, ObjectiveSpec, Observer, Place, Result,
    dataset::{Dataset, MaskedPart},
    statistics::label,
};

/// A prediction that is certain and wrong.
pub(crate) struct Certain {
    /// The place of the prediction.
    pub place: Place,
    /// The prediction: 0 or 1, or an infinite logit.
    pub prediction: f64,
    /// The label, as the objective takes it.
    pub label: f64,
    /// Whether the prediction is of a type that is coarser next to 1 than f64.
    pub is_coarse: bool,
}

/// Finds the first element whose loss is infinite, in a pass of its own up to there; none if it is not a prediction that
/// makes the loss infinite.
pub(crate) fn first(
    dataset: &mut Dataset,
    form: Form,
    objective: &ObjectiveSpec,
    observer: &mut dyn Observer,
) -> Result<Option<Certain>> {
    if clips(objective.compat, form) {
        return Ok(None);
    }
    let (impossible, certain) =
        if form == Form::Probabilities { (0.0, 1.0) } else { (f64::NEG_INFINITY, f64::INFINITY) };
    let is_smoothed = objective.label_smoothing.is_some_and(|strength| strength > 0.0);
    let any_number_is_label = objective.any_number_is_label();
    let ignore = dataset.source.ignore();
    dataset.rewind()?;
    let mut before = 0;
    while let Some(read) = dataset.next(observer)? {
        let (predictions, targets) = (read.part.predictions, read.part.targets);
        let element = |index: usize| {
            let (prediction, label) = (predictions.get(index), label(targets.get(index), any_number_is_label));
            let is_wrong = (prediction == impossible && (is_smoothed || label > 0.0))
                || (prediction == certain && (is_smoothed || label < 1.0));
            let weighs = || weight(objective, &read, index, label) > 0.0;
            (is_wrong && read.counts(index, ignore) && weighs()).then_some((index, prediction, label))
        };
        let is_coarse = !matches!(predictions, Floats::F64(_));
        let (found, len) = ((0..predictions.len()).find_map(element), predictions.len());
        if let Some((index, prediction, label)) = found {
            let array = logloss::Array::Predictions;
            let place = dataset.source.place(array, before + index as u64);
            return Ok(place.map(|place| Certain { place, prediction, label, is_coarse }));
        }
        before += len as u64;
    }
    Ok(None)
}

/// Whether a system clips the loss of predictions of this form, so that no prediction makes it infinite.
fn clips(compat: Option<Compat>, form: Form) -> bool {
    match compat {
        None | Some(Compat::TensorFlow) => false,
        Some(Compat::Torch | Compat::Keras) => form == Form::Probabilities,
        Some(_) => true,
    }
}

/// The weight of an element with this label: 0 if its loss is 0 whatever the prediction. Balanced labels weigh something.
fn weight(objective: &ObjectiveSpec, read: &MaskedPart<'_>, index: usize, label: f64) -> f64 {
    let len = read.part.predictions.len();
    let of_data = read.part.weights.map_or(1.0, |weights| weights.get(index / (len / weights.len().max(1)).max(1)));
    let of_class = |values: &Option<Vec<f32>>| match values.as_deref() {
        None => 1.0,
        Some([one]) => f64::from(*one),
        Some(values) => f64::from(values[index % values.len()]),
    };
    let of_label = match objective.label_weights {
        Some(LabelWeights::Given([negative, positive])) => {
            f64::from(negative) * (1.0 - label) + f64::from(positive) * label
        }
        _ => 1.0,
    };
    let of_positive = if label == 1.0 { of_class(&objective.pos_weight) } else { 1.0 };
    of_data * of_class(&objective.class_weights) * of_label * of_positive
}
