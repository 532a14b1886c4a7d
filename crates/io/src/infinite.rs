//! The element that made a loss infinite, for the reader of a result that says no more than that.

use logloss::Form;

use crate::{ObjectiveSpec, Observer, Place, Result, dataset::Dataset};

/// A prediction that is certain and wrong.
pub(crate) struct Certain {
    /// The place of the prediction.
    pub place: Place,
    /// The prediction: 0 or 1, or an infinite logit.
    pub prediction: f64,
    /// The label, as the objective takes it.
    pub label: f64,
}

/// Finds the first element whose loss is infinite, in a pass of its own up to there; none if it is not a prediction that
/// makes the loss infinite.
pub(crate) fn first(
    dataset: &mut Dataset,
    form: Form,
    objective: &ObjectiveSpec,
    observer: &mut dyn Observer,
) -> Result<Option<Certain>> {
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
            let (prediction, label) = (predictions.get(index), targets.get(index));
            let label = if any_number_is_label { f64::from(u8::from(label > 0.0)) } else { label };
            let is_wrong = (prediction == impossible && (is_smoothed || label > 0.0))
                || (prediction == certain && (is_smoothed || label < 1.0));
            (is_wrong && read.counts(index, ignore)).then_some((index, prediction, label))
        };
        let (found, len) = ((0..predictions.len()).find_map(element), predictions.len());
        if let Some((index, prediction, label)) = found {
            let array = logloss::Array::Predictions;
            let place = dataset.source.place(array, before + index as u64);
            return Ok(place.map(|place| Certain { place, prediction, label }));
        }
        before += len as u64;
    }
    Ok(None)
}
