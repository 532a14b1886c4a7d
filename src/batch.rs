//! What is evaluated: borrowed predictions and targets, their lengths checked once.

use std::{fmt, ops::Range};

use half::{bf16, f16};

use crate::{Error, LengthUnit, Result};

/// What the predictions are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Form {
    /// Logits: any real number, ±inf included.
    Logits,
    /// Probabilities in [0, 1].
    Probabilities,
}

crate::names::names!("form of predictions", Form { Logits = "logits", Probabilities = "probabilities" });

/// Borrowed predictions, in the type they are stored in. They are widened to f32 where they are
/// computed on, never before.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Floats<'a> {
    /// IEEE binary32.
    F32(&'a [f32]),
    /// IEEE binary16.
    F16(&'a [f16]),
    /// bfloat16.
    Bf16(&'a [bf16]),
}

/// Borrowed targets, in the type they are stored in.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Targets<'a> {
    /// Soft targets in [0, 1].
    F32(&'a [f32]),
    /// Hard targets, 0 or 1.
    U8(&'a [u8]),
    /// Hard targets.
    Bool(&'a [bool]),
    /// Hard targets, eight a byte, least significant bit first: target i is bit i % 8 of byte i / 8.
    Bits(&'a [u8]),
}

/// Borrowed weights, in the type they are stored in: ≥ 0 and finite.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Weights<'a> {
    /// IEEE binary32.
    F32(&'a [f32]),
    /// IEEE binary16.
    F16(&'a [f16]),
}

/// What a weight belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WeightShape {
    /// An element: `[N, C]`.
    Elements,
    /// A sample, that is a row: `[N]`.
    Samples,
}

/// Which array of a batch an error speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Array {
    /// The predictions, as logits.
    Predictions,
    /// The predictions, as probabilities.
    Probabilities,
    /// The targets.
    Targets,
    /// The weights. Their index is that of the element, also where a sample's weight serves a whole row.
    Weights,
}

impl fmt::Display for Array {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Array::Predictions | Array::Probabilities => "predictions",
            Array::Targets => "targets",
            Array::Weights => "weights",
        })
    }
}

/// A view of predictions and their targets, of shape `[N]`, or `[N, C]` row-major with C independent labels.
///
/// Making one checks the lengths; the values are checked where they are read, in the one pass of an
/// evaluation.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    form: Form,
    predictions: Floats<'a>,
    targets: Targets<'a>,
    classes: usize,
    weights: Option<(Weights<'a>, WeightShape)>,
    mask: Option<&'a [u8]>,
    /// The class of the first value: not 0 in a part that starts inside a row.
    phase: usize,
}

impl<'a> Batch<'a> {
    /// A batch of logits, shape `[N]`.
    ///
    /// # Errors
    /// [`Error::Length`] if the targets do not match the predictions in number.
    pub fn logits(predictions: impl Into<Floats<'a>>, targets: impl Into<Targets<'a>>) -> Result<Self> {
        Self::new(Form::Logits, predictions, targets)
    }

    /// A batch of probabilities, shape `[N]`.
    ///
    /// # Errors
    /// [`Error::Length`] if the targets do not match the predictions in number.
    pub fn probabilities(predictions: impl Into<Floats<'a>>, targets: impl Into<Targets<'a>>) -> Result<Self> {
        Self::new(Form::Probabilities, predictions, targets)
    }

    /// A batch of predictions of the given form, shape `[N]`.
    ///
    /// # Errors
    /// [`Error::Length`] if the targets do not match the predictions in number.
    pub fn new(form: Form, predictions: impl Into<Floats<'a>>, targets: impl Into<Targets<'a>>) -> Result<Self> {
        let (predictions, targets) = (predictions.into(), targets.into());
        let len = predictions.len();
        match targets {
            Targets::Bits(bytes) => check_bits("targets", bytes, len)?,
            _ => check("targets", targets.stored(), len, LengthUnit::Values)?,
        }
        Ok(Self { form, predictions, targets, classes: 1, weights: None, mask: None, phase: 0 })
    }

    /// The same values as shape `[N, classes]`, row-major.
    ///
    /// # Errors
    /// [`Error::Shape`] if `classes` is 0 or does not divide the number of values.
    pub fn with_classes(mut self, classes: usize) -> Result<Self> {
        if classes == 0 || !self.len().is_multiple_of(classes) {
            return Err(Error::Shape { len: self.len() as u64, classes: classes as u64 });
        }
        self.classes = classes;
        Ok(self)
    }

    /// A weight for each element: `[N, C]`.
    ///
    /// # Errors
    /// [`Error::Length`] if there are not as many weights as predictions.
    pub fn with_weights(mut self, weights: impl Into<Weights<'a>>) -> Result<Self> {
        let weights = weights.into();
        check("weights", weights.len(), self.len(), LengthUnit::Values)?;
        self.weights = Some((weights, WeightShape::Elements));
        Ok(self)
    }

    /// A weight for each sample: `[N]` of shape `[N, C]`, so [`with_classes`](Self::with_classes) comes first.
    ///
    /// # Errors
    /// [`Error::Length`] if there are not as many weights as rows.
    pub fn with_sample_weights(mut self, weights: impl Into<Weights<'a>>) -> Result<Self> {
        let weights = weights.into();
        check("sample weights", weights.len(), self.len() / self.classes, LengthUnit::Samples)?;
        // In a single column a sample is an element.
        let shape = if self.classes == 1 { WeightShape::Elements } else { WeightShape::Samples };
        self.weights = Some((weights, shape));
        Ok(self)
    }

    /// A bit for each element, least significant first: 0 ignores it.
    ///
    /// # Errors
    /// [`Error::Length`] if the bytes are not as many as hold the elements' bits.
    pub fn with_mask(mut self, bits: &'a [u8]) -> Result<Self> {
        check_bits("mask", bits, self.len())?;
        self.mask = Some(bits);
        Ok(self)
    }

    /// Number of values, N·C.
    pub fn len(&self) -> usize {
        self.predictions.len()
    }

    /// Whether there is no value at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// C of shape `[N, C]`; 1 for shape `[N]`.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Whether the predictions are logits or probabilities.
    pub fn form(&self) -> Form {
        self.form
    }

    /// The predictions.
    pub fn predictions(&self) -> Floats<'a> {
        self.predictions
    }

    /// The targets.
    pub fn targets(&self) -> Targets<'a> {
        self.targets
    }

    /// The weights, and what each belongs to.
    pub fn weights(&self) -> Option<(Weights<'a>, WeightShape)> {
        self.weights
    }

    /// The mask.
    pub fn mask(&self) -> Option<&'a [u8]> {
        self.mask
    }

    /// Bytes that an evaluation has to read.
    pub fn bytes(&self) -> u64 {
        let weights = self.weights.map_or(0, |(weights, _)| weights.bytes().len());
        let mask = self.mask.map_or(0, <[u8]>::len);
        (self.predictions.bytes().len() + self.targets.bytes().len() + weights + mask) as u64
    }

    /// The class of the first value: not 0 in a part that starts inside a row.
    pub(crate) fn phase(&self) -> usize {
        self.phase
    }

    /// The values of `range` as a batch of their own. Where targets are bits or there is a mask, the range starts at a
    /// multiple of 8, as every block does.
    ///
    /// # Panics
    /// If the range ends past the last value, or before its start.
    pub fn part(&self, range: Range<usize>) -> Self {
        let row = |index: usize| (self.phase + index) / self.classes;
        let weights = self.weights.map(|(weights, shape)| match shape {
            WeightShape::Elements => (weights.part(range.clone()), shape),
            WeightShape::Samples => (weights.part(row(range.start)..row(range.end + self.classes - 1)), shape),
        });
        Self {
            form: self.form,
            predictions: self.predictions.part(range.clone()),
            targets: self.targets.part(range.clone()),
            classes: self.classes,
            weights,
            mask: self.mask.map(|bits| &bits[range.start / 8..range.end.div_ceil(8)]),
            phase: (self.phase + range.start) % self.classes,
        }
    }

    /// The class of value `index`.
    pub(crate) fn class(&self, index: usize) -> usize {
        (self.phase + index) % self.classes
    }

    /// The weight of value `index`, 1 where there are none.
    pub(crate) fn weight(&self, index: usize) -> f64 {
        match self.weights {
            None => 1.0,
            Some((weights, WeightShape::Elements)) => weights.get(index),
            Some((weights, WeightShape::Samples)) => weights.get((self.phase + index) / self.classes),
        }
    }

    /// Which array makes value `index` invalid, and its value there. For a message: the kernels find the index.
    /// `any_number`: whether any target is valid that is a number.
    pub(crate) fn offence(&self, index: usize, any_number: bool) -> Option<(Array, f64)> {
        let (target, weight) = (self.targets.get(index), self.weight(index));
        invalid_prediction(self.form, self.predictions.get(index))
            .or((!is_target(target, any_number)).then_some((Array::Targets, target)))
            .or((!is_weight(weight)).then_some((Array::Weights, weight)))
    }
}

fn check(name: &'static str, actual: usize, expected: usize, unit: LengthUnit) -> Result<()> {
    if actual != expected {
        return Err(Error::Length { name, actual: actual as u64, expected: expected as u64, unit });
    }
    Ok(())
}

/// Checks that `bits` hold one bit for each of `len` values. The last byte may be partly used.
fn check_bits(name: &'static str, bits: &[u8], len: usize) -> Result<()> {
    check(name, bits.len(), len.div_ceil(8), LengthUnit::PackedBytes)
}

/// The array and value for which a prediction and its target cannot be evaluated, if there is one.
pub(crate) fn invalid(form: Form, prediction: f64, target: f64) -> Option<(Array, f64)> {
    invalid_prediction(form, prediction).or((!is_target(target, false)).then_some((Array::Targets, target)))
}

fn invalid_prediction(form: Form, prediction: f64) -> Option<(Array, f64)> {
    match form {
        Form::Logits => prediction.is_nan().then_some((Array::Predictions, prediction)),
        Form::Probabilities => (!(0.0..=1.0).contains(&prediction)).then_some((Array::Probabilities, prediction)),
    }
}

/// Whether a target can be evaluated, where it need lie in [0, 1] or may be any number.
pub(crate) fn is_target(target: f64, any_number: bool) -> bool {
    if any_number { !target.is_nan() } else { (0.0..=1.0).contains(&target) }
}

/// Whether a weight is finite and not negative.
pub(crate) fn is_weight(weight: f64) -> bool {
    weight >= 0.0 && weight.is_finite()
}

impl<'a> Floats<'a> {
    /// Number of values.
    pub fn len(&self) -> usize {
        match self {
            Floats::F32(v) => v.len(),
            Floats::F16(v) => v.len(),
            Floats::Bf16(v) => v.len(),
        }
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Value `index`, widened exactly.
    ///
    /// # Panics
    /// If `index` is not less than the length.
    pub fn get(&self, index: usize) -> f64 {
        match self {
            Floats::F32(v) => v[index].into(),
            Floats::F16(v) => v[index].into(),
            Floats::Bf16(v) => v[index].into(),
        }
    }

    /// The values as they lie in memory.
    pub fn bytes(&self) -> &'a [u8] {
        match *self {
            Floats::F32(v) => bytemuck::cast_slice(v),
            Floats::F16(v) => bytemuck::cast_slice(v),
            Floats::Bf16(v) => bytemuck::cast_slice(v),
        }
    }

    pub(crate) fn part(&self, range: Range<usize>) -> Self {
        match self {
            Floats::F32(v) => Floats::F32(&v[range]),
            Floats::F16(v) => Floats::F16(&v[range]),
            Floats::Bf16(v) => Floats::Bf16(&v[range]),
        }
    }
}

impl<'a> Targets<'a> {
    /// Number of values stored; for bits, of bytes.
    fn stored(&self) -> usize {
        match self {
            Targets::F32(v) => v.len(),
            Targets::U8(v) | Targets::Bits(v) => v.len(),
            Targets::Bool(v) => v.len(),
        }
    }

    /// Target `index`, widened exactly.
    ///
    /// # Panics
    /// If `index` is past the end.
    pub fn get(&self, index: usize) -> f64 {
        match self {
            Targets::F32(v) => v[index].into(),
            Targets::U8(v) => v[index].into(),
            Targets::Bool(v) => f64::from(u8::from(v[index])),
            Targets::Bits(v) => f64::from(v[index / 8] >> (index % 8) & 1),
        }
    }

    /// The values as they lie in memory.
    pub fn bytes(&self) -> &'a [u8] {
        match *self {
            Targets::F32(v) => bytemuck::cast_slice(v),
            Targets::U8(v) | Targets::Bits(v) => v,
            Targets::Bool(v) => bytemuck::cast_slice(v),
        }
    }

    pub(crate) fn part(&self, range: Range<usize>) -> Self {
        match self {
            Targets::F32(v) => Targets::F32(&v[range]),
            Targets::U8(v) => Targets::U8(&v[range]),
            Targets::Bool(v) => Targets::Bool(&v[range]),
            Targets::Bits(v) => Targets::Bits(&v[range.start / 8..range.end.div_ceil(8)]),
        }
    }
}

impl<'a> Weights<'a> {
    /// Number of weights.
    pub fn len(&self) -> usize {
        match self {
            Weights::F32(v) => v.len(),
            Weights::F16(v) => v.len(),
        }
    }

    /// Whether there is no weight.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Weight `index`, widened exactly.
    ///
    /// # Panics
    /// If `index` is not less than the length.
    pub fn get(&self, index: usize) -> f64 {
        match self {
            Weights::F32(v) => v[index].into(),
            Weights::F16(v) => v[index].into(),
        }
    }

    /// The values as they lie in memory.
    pub fn bytes(&self) -> &'a [u8] {
        match *self {
            Weights::F32(v) => bytemuck::cast_slice(v),
            Weights::F16(v) => bytemuck::cast_slice(v),
        }
    }

    pub(crate) fn part(&self, range: Range<usize>) -> Self {
        match self {
            Weights::F32(v) => Weights::F32(&v[range]),
            Weights::F16(v) => Weights::F16(&v[range]),
        }
    }
}

/// Slices, vectors and arrays become the view they hold.
macro_rules! from_slices {
    ($($view:ident::$variant:ident($value:ty)),* $(,)?) => {$(
        impl<'a> From<&'a [$value]> for $view<'a> {
            fn from(values: &'a [$value]) -> Self {
                $view::$variant(values)
            }
        }
        impl<'a> From<&'a Vec<$value>> for $view<'a> {
            fn from(values: &'a Vec<$value>) -> Self {
                $view::$variant(values)
            }
        }
        impl<'a, const N: usize> From<&'a [$value; N]> for $view<'a> {
            fn from(values: &'a [$value; N]) -> Self {
                $view::$variant(values)
            }
        }
    )*};
}
from_slices!(
    Floats::F32(f32),
    Floats::F16(f16),
    Floats::Bf16(bf16),
    Targets::F32(f32),
    Targets::U8(u8),
    Targets::Bool(bool),
    Weights::F32(f32),
    Weights::F16(f16),
);
