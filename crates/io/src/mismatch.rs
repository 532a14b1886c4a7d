//! What is wrong with the shape or the layout of an array, for errors about it.

use std::fmt;

use crate::{Column, Shape};

/// What the shape of an array was compared with, and found to differ from.
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

/// A layout other than row by row in one or two dimensions.
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
            Self::Dimensions(_) => "save it as [N] or [N, C]: a.reshape(-1)",
            Self::Fortran(_) => "save it row by row: numpy.save(file, numpy.ascontiguousarray(a))",
            Self::Structured(_) => "save one field of it, as a['name'].copy()",
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
