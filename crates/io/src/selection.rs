//! The columns or tensors of a file that hold predictions, labels and weights.

use std::path::Path;

use logloss::WeightShape;

use crate::{Error, Result, contradiction::Contradiction, inputs::extension};

/// The most columns that may make up the classes of one shape.
const MOST_COLUMNS: usize = 4096;

/// The names of the columns or tensors that hold predictions, labels and weights.
///
/// Of a tensor there is one name each. Of columns there may be several, separated by commas: one for each class of
/// shape `[N, C]`. A file that holds a single array, as a `.npy` file does, needs no names.
///
/// ```
/// use logloss_io::Selection;
///
/// let selection = Selection::default().with_predictions("logit").with_targets("delayed").with_weights("distance");
/// assert_eq!(selection.weights.as_deref(), Some("distance"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Selection {
    /// The predictions.
    pub predictions: Option<String>,
    /// The labels: as many columns as there are of predictions.
    pub targets: Option<String>,
    /// The weights, if there are any: one column for all classes, or one for each.
    pub weights: Option<String>,
}

/// The names of as many columns of predictions as of targets, and of none, one or as many of weights.
#[derive(Debug)]
pub(crate) struct SelectedColumns<'a> {
    pub predictions: Vec<&'a str>,
    pub targets: Vec<&'a str>,
    pub weights: Vec<&'a str>,
}

impl SelectedColumns<'_> {
    /// Whether a weight belongs to an element or to a sample, if there are weights.
    pub(crate) fn weight_shape(&self) -> Option<WeightShape> {
        match self.weights.len() {
            0 => None,
            n if n == self.predictions.len() => Some(WeightShape::Elements),
            _ => Some(WeightShape::Samples),
        }
    }
}

impl Selection {
    /// Sets the name of the predictions.
    pub fn with_predictions(mut self, predictions: impl Into<String>) -> Self {
        self.predictions = Some(predictions.into());
        self
    }

    /// Sets the name of the labels.
    pub fn with_targets(mut self, targets: impl Into<String>) -> Self {
        self.targets = Some(targets.into());
        self
    }

    /// Sets the name of the weights.
    pub fn with_weights(mut self, weights: impl Into<String>) -> Self {
        self.weights = Some(weights.into());
        self
    }

    /// The names of predictions and targets, or an error that lists the names there are.
    pub(crate) fn required(&self, path: &Path, kind: &'static str, described: &[String]) -> Result<(&str, &str)> {
        match (&self.predictions, &self.targets) {
            (Some(predictions), Some(targets)) => Ok((predictions, targets)),
            (predictions, targets) => Err(Error::UnnamedColumns {
                path: path.to_owned(),
                kind,
                predictions: predictions.is_some(),
                targets: targets.is_some(),
                found: described.to_vec(),
            }),
        }
    }

    /// The columns that the names stand for: one each, or several separated by commas.
    pub(crate) fn columns(&self, path: &Path, names: &[String], described: &[String]) -> Result<SelectedColumns<'_>> {
        fn split<'a>(list: &'a str, names: &[String]) -> Vec<&'a str> {
            // A name may have a comma in it.
            if names.iter().any(|name| name == list) { vec![list] } else { list.split(',').map(str::trim).collect() }
        }
        let (predictions, targets) = self.required(path, "column", described)?;
        let columns = SelectedColumns {
            predictions: split(predictions, names),
            targets: split(targets, names),
            weights: self.weights.as_deref().map(|weights| split(weights, names)).unwrap_or_default(),
        };
        let classes = columns.predictions.len();
        if columns.targets.len() != classes {
            let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
            let (predictions, targets) = (owned(&columns.predictions), owned(&columns.targets));
            return Err(Contradiction::TargetColumns { predictions, targets }.into());
        }
        if columns.weights.len() > 1 && columns.weights.len() != classes {
            return Err(Contradiction::WeightColumns { predictions: classes, weights: columns.weights.len() }.into());
        }
        if classes > MOST_COLUMNS {
            return Err(Contradiction::TooManyColumns { columns: classes, most: MOST_COLUMNS }.into());
        }
        if let [weights] = *columns.weights
            && extension(Path::new(weights)) == "npy"
            && !names.iter().any(|name| name == weights)
        {
            return Err(Contradiction::WeightsOutside {
                weights: (*weights).to_owned(),
                path: path.to_owned(),
                found: described.to_vec(),
            }
            .into());
        }
        Ok(columns)
    }
}
