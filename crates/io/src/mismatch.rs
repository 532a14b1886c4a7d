//! What is wrong with the shape or the layout of an array, for errors about it.

use std::{borrow::Cow, fmt};

use logloss::Form;

use crate::{Column, Shape};

/// What the shape of an array was compared with, and found to differ from.
///
/// ```
/// use logloss::Engine;
/// use logloss_io::{Error, Inputs, NpyFile, Number, RunSpec, Shape, ShapeOf, run};
///
/// # let data = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data");
/// let path = std::env::temp_dir().join(format!("labels-{}.npy", std::process::id()));
/// let mut labels = NpyFile::create(&path, Number::U8, Shape::flat(2))?;
/// labels.write(&[0, 1])?;
/// labels.finish(2)?;
/// let inputs = Inputs::new(data.join("flights_logits.npy")).with_targets(&path);
/// let error = run(&RunSpec::new(inputs), &Engine::cpu(), &mut ()).unwrap_err();
/// # std::fs::remove_file(&path).unwrap();
/// assert!(matches!(error, Error::ShapeMismatch { other: ShapeOf::Array { shape, .. }, .. } if shape == [2]));
/// # Ok::<(), logloss_io::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShapeOf {
    /// Another array.
    Array {
        /// The array.
        column: Column,
        /// Its dimensions.
        shape: Vec<u64>,
    },
    /// The predictions, whose number of rows may be unknown.
    Predictions(Shape),
    /// The predictions, which turned out to have so many rows, none if they have more than the array.
    PredictionRows(Option<u64>),
}

impl fmt::Display for ShapeOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Array { column, shape } => write!(f, "{column} has {shape:?}"),
            Self::Predictions(shape) => write!(f, "the predictions have {}", shape.described()),
            Self::PredictionRows(Some(rows)) => write!(f, "the predictions have {rows} rows"),
            Self::PredictionRows(None) => f.write_str("the predictions have more rows"),
        }
    }
}

/// How to make predictions and labels of these shapes fit each other, so that each label stays with its prediction.
pub(crate) fn fitting_labels(form: Form, predictions: Shape, targets: Shape) -> Cow<'static, str> {
    let (rows, classes) = (predictions.rows(), predictions.classes());
    let same_rows = rows == targets.rows();
    if same_rows && classes == 2 && targets.classes() == 1 {
        return if form == Form::Probabilities {
            "every prediction needs one label: of the probabilities of two classes, save the second: \
             numpy.ascontiguousarray(p[:, 1])"
        } else {
            "every prediction needs one label: of the logits of two classes, save their difference: \
             numpy.ascontiguousarray(z[:, 1] - z[:, 0]); of their probabilities, numpy.ascontiguousarray(p[:, 1]), with \
             --from probabilities"
        }
        .into();
    }
    if same_rows && classes > 2 && targets.classes() == 1 {
        return format!(
            "every prediction needs one label: of class numbers, save a column for each class: y[:, None] == \
             numpy.arange({classes})"
        )
        .into();
    }
    if rows == Some(targets.classes()) && targets.rows() == Some(classes) {
        return "every prediction needs one label: the axes are swapped, save numpy.ascontiguousarray(y.T)".into();
    }
    "every prediction needs one label: make the two the same shape, [N] or [N, C]".into()
}

/// A layout other than row by row in one or two dimensions.
///
/// ```
/// use logloss_io::{Error, Layout};
///
/// fn is_fortran(error: &Error) -> bool {
///     matches!(error, Error::UnsupportedLayout { layout: Layout::Fortran(_), .. })
/// }
/// assert!(!is_fortran(&Error::Interrupted));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Layout {
    /// A single number without a dimension.
    Scalar,
    /// An array of these dimensions, more than two.
    Dimensions(Vec<u64>),
    /// An array of these dimensions, stored column by column.
    Fortran(Vec<u64>),
    /// An array of records with these fields.
    Structured(Vec<String>),
}

impl Layout {
    /// How to store the array so that it can be read.
    pub(crate) fn help(&self) -> &'static str {
        match self {
            Self::Scalar => "save an array: numpy.atleast_1d(a)",
            Self::Dimensions(dimensions) if dimensions.last() == Some(&2) => {
                "of two classes in the last axis, save numpy.ascontiguousarray(p[..., 1]) of probabilities, or z[..., 1] - \
                 z[..., 0] of logits, with the axes in the order of the labels; else reshape predictions and labels alike: \
                 a.reshape(-1)"
            }
            Self::Dimensions(_) => {
                "reshape predictions and labels alike, with their axes in the same order: a.reshape(-1), or \
                 a.reshape(-1, C) where the last axis is the classes"
            }
            Self::Fortran(_) => "save it row by row: numpy.save(file, numpy.ascontiguousarray(a))",
            Self::Structured(_) => "save one field of it: numpy.ascontiguousarray(a['name'])",
        }
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scalar => f.write_str("holds a single number (0-d)"),
            Self::Dimensions(dimensions) => write!(f, "has {} dimensions {dimensions:?}", dimensions.len()),
            Self::Fortran(dimensions) => {
                write!(f, "shape {dimensions:?} is stored in Fortran order (column by column)")
            }
            Self::Structured(fields) => write!(f, "is a structured array of the fields {}", fields.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_stay_with_their_predictions() {
        let help = |form, predictions: &[u64], targets: &[u64]| {
            let shape = |dimensions| Shape::new(dimensions).expect("one or two dimensions");
            fitting_labels(form, shape(predictions), shape(targets)).into_owned()
        };
        assert!(help(Form::Probabilities, &[9, 2], &[9]).ends_with("numpy.ascontiguousarray(p[:, 1])"));
        assert!(help(Form::Logits, &[9, 2], &[9, 1]).contains("numpy.ascontiguousarray(z[:, 1] - z[:, 0])"));
        assert!(help(Form::Logits, &[9, 5], &[9]).ends_with("y[:, None] == numpy.arange(5)"));
        assert!(help(Form::Logits, &[9, 5], &[5, 9]).ends_with("numpy.ascontiguousarray(y.T)"));
        for (predictions, targets) in [([9, 5].as_slice(), [45].as_slice()), (&[4], &[2, 2]), (&[9], &[8])] {
            assert!(help(Form::Logits, predictions, targets).ends_with("the same shape, [N] or [N, C]"));
        }
    }
}
