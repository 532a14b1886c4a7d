//! What kernels need to know of predictions beside their values: how a value is encoded in f32, and the precision it
//! was given in.

use crate::{Floats, Form, end_distance};

/// What the f32 values mean that a kernel receives as predictions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Encoding {
    /// Logits.
    Logits,
    /// Probabilities.
    Probabilities,
    /// Probabilities as [distances from the nearer end](end_distance) of [0, 1].
    EndDistances,
}

/// The floating-point type that predictions were given in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Precision {
    /// IEEE binary16.
    Half,
    /// IEEE binary32, or bfloat16, for which other systems have no conventions of their own.
    Single,
    /// IEEE binary64.
    Double,
}

/// The encoding of predictions and the precision that they were given in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PredictionKind {
    pub encoding: Encoding,
    pub precision: Precision,
}

impl Encoding {
    /// The f32 value of an f64 prediction.
    #[inline(always)]
    pub(crate) fn encode(self, prediction: f64) -> f32 {
        match self {
            Encoding::Logits | Encoding::Probabilities => prediction as f32,
            Encoding::EndDistances => end_distance::encode(prediction),
        }
    }
}

impl Precision {
    /// The distance of 1 from the next larger number.
    pub(crate) fn epsilon(self) -> f64 {
        match self {
            Precision::Half => 2f64.powi(-10),
            Precision::Single => f32::EPSILON.into(),
            Precision::Double => f64::EPSILON,
        }
    }
}

impl PredictionKind {
    /// The kind of these predictions of the given form.
    pub(crate) fn of(form: Form, predictions: &Floats<'_>) -> Self {
        let precision = match predictions {
            Floats::F16(_) => Precision::Half,
            Floats::F32(_) | Floats::Bf16(_) => Precision::Single,
            Floats::F64(_) => Precision::Double,
        };
        let encoding = match (form, precision) {
            (Form::Logits, _) => Encoding::Logits,
            (Form::Probabilities, Precision::Double) => Encoding::EndDistances,
            (Form::Probabilities, _) => Encoding::Probabilities,
        };
        Self { encoding, precision }
    }
}
