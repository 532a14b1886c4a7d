//! The input of an evaluation: a view of predictions, targets, weights and a mask, whose lengths are checked once.

use std::{fmt, ops::Range};

use half::{bf16, f16};

use crate::{Error, LengthUnit, Result, plan, prediction_kind::PredictionKind};

/// The form of the predictions: logits or probabilities.
///
/// ```
/// use logloss::Form;
///
/// assert_eq!("logits".parse::<Form>()?, Form::Logits);
/// assert_eq!(Form::Probabilities.to_string(), "probabilities");
/// # Ok::<(), logloss::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Form {
    /// Logits: any real number, ±inf included.
    Logits,
    /// Probabilities in [0, 1].
    Probabilities,
}

crate::names::names!("form of predictions", Form { Logits = "logits", Probabilities = "probabilities" });

/// Borrowed predictions in their storage type. Each value becomes f32 when it is read for computation; no converted copy
/// of the array is made. f16 and bf16 are widened exactly. f64 logits are rounded to f32. An f64 probability keeps the
/// digits of both p and 1 − p: its distance from the nearer end of [0, 1] is taken in f64 and rounded to f32.
///
/// ```
/// use logloss::{Floats, half::f16};
///
/// let halves = [f16::from_f32(0.5), f16::from_f32(-2.0)];
/// let predictions = Floats::from(&halves);
/// assert_eq!((predictions.len(), predictions.get(1)), (2, -2.0));
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Floats<'a> {
    /// IEEE binary32.
    F32(&'a [f32]),
    /// IEEE binary16.
    F16(&'a [f16]),
    /// bfloat16.
    Bf16(&'a [bf16]),
    /// IEEE binary64.
    F64(&'a [f64]),
}

/// Borrowed targets in their storage type.
///
/// ```
/// use logloss::{Batch, Targets};
///
/// // Three targets in one byte: 1, 0 and 1.
/// let targets = Targets::Bits(&[0b101]);
/// assert_eq!([0, 1, 2].map(|index| targets.get(index)), [1.0, 0.0, 1.0]);
/// let batch = Batch::logits(&[2.0f32, -1.0, 0.5], targets)?;
/// # assert_eq!(batch.len(), 3);
/// # Ok::<(), logloss::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Targets<'a> {
    /// Soft targets in [0, 1].
    F32(&'a [f32]),
    /// Hard targets, 0 or 1.
    U8(&'a [u8]),
    /// Hard targets.
    Bool(&'a [bool]),
    /// Hard targets, eight per byte, least significant bit first: target i is bit i % 8 of byte i / 8.
    Bits(&'a [u8]),
    /// Hard targets, 0 or 1, or a value that [`Ignore`](crate::Ignore) ignores, such as −100.
    I64(&'a [i64]),
}

/// Borrowed weights in their storage type. Valid weights are finite and at least 0.
///
/// ```
/// use logloss::{Batch, Weights};
///
/// let weights = Weights::F32(&[1.0, 0.5]);
/// assert_eq!(weights.len(), 2);
/// let batch = Batch::logits(&[2.0f32, -1.0], &[1u8, 0])?.with_weights(weights)?;
/// # assert!(batch.weights().is_some());
/// # Ok::<(), logloss::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Weights<'a> {
    /// IEEE binary32.
    F32(&'a [f32]),
    /// IEEE binary16.
    F16(&'a [f16]),
}

/// What each weight applies to: one element, or one sample.
///
/// ```
/// use logloss::{Batch, WeightShape};
///
/// let batch = Batch::logits(&[2.0f32, -1.0, 0.5, 3.0], &[1u8, 0, 1, 0])?.with_classes(2)?;
/// let batch = batch.with_sample_weights(&[1.0f32, 0.25])?;
/// assert!(matches!(batch.weights(), Some((_, WeightShape::Samples))));
/// # Ok::<(), logloss::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WeightShape {
    /// One weight per element: `[N, C]`.
    Elements,
    /// One weight per sample, that is, per row: `[N]`.
    Samples,
}

/// The array of a batch that an error refers to.
///
/// ```
/// use logloss::{Array, Batch, Engine, Error, Objective, Outputs};
///
/// let batch = Batch::logits(&[2.0f32, f32::NAN], &[1u8, 0])?;
/// let error = Engine::cpu().evaluate(&batch, &Objective::mean(), Outputs::none()).unwrap_err();
/// assert!(matches!(error, Error::InvalidValue { array: Array::Predictions, index: 1, .. }));
/// # Ok::<(), logloss::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Array {
    /// The predictions, as logits.
    Predictions,
    /// The predictions, as probabilities.
    Probabilities,
    /// The targets.
    Targets,
    /// The weights. The index is that of the element, even if a sample's weight applies to a whole row.
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

/// A view of predictions and their targets, of shape `[N]`, or of shape `[N, C]`, row-major, with C independent labels.
///
/// The constructors check the lengths. The values are checked during the evaluation, in the same pass that computes the
/// losses.
///
/// ```
/// use logloss::Batch;
///
/// let batch = Batch::probabilities(&[0.9f32, 0.2, 0.6, 0.4], &[true, false, true, false])?
///     .with_classes(2)?
///     .with_sample_weights(&[1.0f32, 0.5])?
///     .with_mask(&[0b1110])?; // element 0 is masked
/// assert_eq!((batch.len(), batch.classes()), (4, 2));
/// # Ok::<(), logloss::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    form: Form,
    predictions: Floats<'a>,
    targets: Targets<'a>,
    classes: usize,
    weights: Option<(Weights<'a>, WeightShape)>,
    mask: Option<&'a [u8]>,
    /// The class of the first value. It is not 0 if the batch is a part that starts inside a row.
    class_offset: usize,
    /// The row of a larger batch that the batch begins with, if it is a part of one.
    first_row: Option<u64>,
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
            _ => check_len("targets", targets.stored(), len, LengthUnit::Values)?,
        }
        Ok(Self { form, predictions, targets, classes: 1, weights: None, mask: None, class_offset: 0, first_row: None })
    }

    /// The same values as shape `[N, classes]`, row-major.
    ///
    /// # Errors
    /// [`Error::Shape`] if `classes` is 0 or does not divide the number of values; [`Error::Length`] if weights of
    /// samples were set for another number of rows.
    pub fn with_classes(mut self, classes: usize) -> Result<Self> {
        if classes == 0 || !self.len().is_multiple_of(classes) {
            return Err(Error::Shape { len: self.len() as u64, classes: classes as u64 });
        }
        // Weights of samples were checked against another number of rows.
        if let Some((weights, WeightShape::Samples)) = self.weights {
            check_len("sample weights", weights.len(), self.len() / classes, LengthUnit::Samples)?;
        }
        self.classes = classes;
        Ok(self)
    }

    /// Adds a weight for each element, `[N, C]`.
    ///
    /// # Errors
    /// [`Error::Length`] if the number of weights differs from the number of predictions.
    pub fn with_weights(mut self, weights: impl Into<Weights<'a>>) -> Result<Self> {
        let weights = weights.into();
        check_len("weights", weights.len(), self.len(), LengthUnit::Values)?;
        self.weights = Some((weights, WeightShape::Elements));
        Ok(self)
    }

    /// Adds a weight for each sample: `[N]`, for a batch of shape `[N, C]`. Call [`with_classes`](Self::with_classes)
    /// first.
    ///
    /// # Errors
    /// [`Error::Length`] if the number of weights differs from the number of rows.
    pub fn with_sample_weights(mut self, weights: impl Into<Weights<'a>>) -> Result<Self> {
        let weights = weights.into();
        check_len("sample weights", weights.len(), self.len() / self.classes, LengthUnit::Samples)?;
        // With one class, a sample is an element.
        let shape = if self.classes == 1 { WeightShape::Elements } else { WeightShape::Samples };
        self.weights = Some((weights, shape));
        Ok(self)
    }

    /// Adds a mask, one bit per element, least significant bit first: an element whose bit is 0 is masked. It
    /// contributes to no sum, and its outputs are 0.
    ///
    /// # Errors
    /// [`Error::Length`] if `bits` does not have ⌈N·C / 8⌉ bytes.
    pub fn with_mask(mut self, bits: &'a [u8]) -> Result<Self> {
        check_bits("mask", bits, self.len())?;
        self.mask = Some(bits);
        Ok(self)
    }

    /// Says that the batch is a part of a larger one, which begins with row `row` of it: with value `row`, for shape
    /// `[N]`. Every index is then counted from the start of the larger batch, and the [`Partials`](crate::Partials)
    /// merge with those of its other parts to the bits of the larger batch, wherever it is cut. Each part says this, also
    /// the first.
    ///
    /// The values of a block that the part has not all of are evaluated a second time, and kept in the partials: fewer
    /// than [`BLOCK`](crate::BLOCK) values at each end (rows, if sums are taken per class or row).
    pub fn with_first_row(mut self, row: u64) -> Self {
        self.first_row = Some(row);
        self
    }

    /// The row of a larger batch that this one begins with, if it is a part of one.
    pub fn first_row(&self) -> Option<u64> {
        self.first_row
    }

    /// The index in the larger batch of the first value, if the batch is a part of one.
    ///
    /// # Errors
    /// [`Error::Parameter`] if there can be no such batch.
    pub(crate) fn first_index(&self) -> Result<Option<u64>> {
        plan::first_index(self.first_row, self.classes as u64, self.len() as u64)
    }

    /// The number of values, N·C.
    pub fn len(&self) -> usize {
        self.predictions.len()
    }

    /// Whether the batch has no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of classes: C for shape `[N, C]`, 1 for shape `[N]`.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Whether the predictions are logits or probabilities.
    pub fn form(&self) -> Form {
        self.form
    }

    /// How the predictions are encoded for kernels, and the precision they are given in.
    pub(crate) fn kind(&self) -> PredictionKind {
        PredictionKind::of(self.form, &self.predictions)
    }

    /// The predictions.
    pub fn predictions(&self) -> Floats<'a> {
        self.predictions
    }

    /// The targets.
    pub fn targets(&self) -> Targets<'a> {
        self.targets
    }

    /// The weights, and what each applies to.
    pub fn weights(&self) -> Option<(Weights<'a>, WeightShape)> {
        self.weights
    }

    /// The mask, one bit per element.
    pub fn mask(&self) -> Option<&'a [u8]> {
        self.mask
    }

    /// The number of bytes that an evaluation reads.
    pub fn bytes(&self) -> u64 {
        let weights = self.weights.map_or(0, |(weights, _)| weights.bytes().len());
        let mask = self.mask.map_or(0, <[u8]>::len);
        (self.predictions.bytes().len() + self.targets.bytes().len() + weights + mask) as u64
    }

    /// The class of the first value. It is not 0 if the batch is a part that starts inside a row.
    #[cfg(feature = "gpu")]
    pub(crate) fn class_offset(&self) -> usize {
        self.class_offset
    }

    /// The values of `range`. Its start is a multiple of 8, because of targets and masks stored as bits; the start of
    /// every block is one.
    pub(crate) fn part(&self, range: Range<usize>) -> Self {
        let row = |index: usize| (self.class_offset + index) / self.classes;
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
            class_offset: (self.class_offset + range.start) % self.classes,
            first_row: None,
        }
    }

    /// Whether targets or a mask are stored as bits.
    pub(crate) fn has_bits(&self) -> bool {
        self.mask.is_some() || matches!(self.targets, Targets::Bits(_))
    }

    /// The values of `range`, which starts anywhere: bits are copied to `bits` if they do not start with a byte.
    pub(crate) fn part_from<'b>(&'b self, range: Range<usize>, bits: &'b mut [Vec<u8>; 2]) -> Batch<'b> {
        if range.start.is_multiple_of(8) || !self.has_bits() {
            return self.part(range);
        }
        let [targets, mask] = bits;
        let mut part: Batch<'b> = self.part(range.clone());
        if let Targets::Bits(bytes) = self.targets {
            *targets = shift(bytes, &range);
            part.targets = Targets::Bits(targets);
        }
        if let Some(bytes) = self.mask {
            *mask = shift(bytes, &range);
            part.mask = Some(mask);
        }
        part
    }

    /// The class of value `index`.
    pub(crate) fn class(&self, index: usize) -> usize {
        (self.class_offset + index) % self.classes
    }

    /// The weight of value `index`; 1 if the batch has no weights.
    pub(crate) fn weight(&self, index: usize) -> f64 {
        match self.weights {
            None => 1.0,
            Some((weights, WeightShape::Elements)) => weights.get(index),
            Some((weights, WeightShape::Samples)) => weights.get((self.class_offset + index) / self.classes),
        }
    }

    /// The array in which value `index` is invalid, and the value in that array. This is for error messages: the
    /// kernels report only the index. If `any_number` is true, every target except NaN is valid.
    pub(crate) fn invalid_input(&self, index: usize, any_number: bool) -> Option<(Array, f64)> {
        let (target, weight) = (self.targets.get(index), self.weight(index));
        invalid_prediction(self.form, self.predictions.get(index))
            .or((!is_target(target, any_number)).then_some((Array::Targets, target)))
            .or((!is_weight(weight)).then_some((Array::Weights, weight)))
    }
}

fn check_len(name: &'static str, actual: usize, expected: usize, unit: LengthUnit) -> Result<()> {
    if actual != expected {
        return Err(Error::Length { name, actual: actual as u64, expected: expected as u64, unit });
    }
    Ok(())
}

/// Checks that `bits` hold one bit for each of `len` values. The last byte may be partly used.
fn check_bits(name: &'static str, bits: &[u8], len: usize) -> Result<()> {
    check_len(name, bits.len(), len.div_ceil(8), LengthUnit::PackedBytes)
}

/// The bits of `range`, the first of which becomes that of the lowest value of the first byte.
fn shift(bytes: &[u8], range: &Range<usize>) -> Vec<u8> {
    let (first, by) = (range.start / 8, range.start % 8);
    let next = bytes[first + 1..].iter().chain(&[0]);
    let pairs = bytes[first..].iter().zip(next).take(range.len().div_ceil(8));
    pairs.map(|(low, high)| (u16::from_le_bytes([*low, *high]) >> by) as u8).collect()
}

/// The array and value that make a prediction or its target invalid; none if both are valid.
pub(crate) fn invalid(form: Form, prediction: f64, target: f64) -> Option<(Array, f64)> {
    invalid_prediction(form, prediction).or((!is_target(target, false)).then_some((Array::Targets, target)))
}

fn invalid_prediction(form: Form, prediction: f64) -> Option<(Array, f64)> {
    match form {
        Form::Logits => prediction.is_nan().then_some((Array::Predictions, prediction)),
        Form::Probabilities => (!(0.0..=1.0).contains(&prediction)).then_some((Array::Probabilities, prediction)),
    }
}

/// Whether a target is valid: any value except NaN if `any_number` is true, otherwise a value in [0, 1].
pub(crate) fn is_target(target: f64, any_number: bool) -> bool {
    if any_number { !target.is_nan() } else { (0.0..=1.0).contains(&target) }
}

/// Whether a weight is finite and not negative.
pub(crate) fn is_weight(weight: f64) -> bool {
    weight >= 0.0 && weight.is_finite()
}

impl<'a> Floats<'a> {
    /// The number of values.
    pub fn len(&self) -> usize {
        match self {
            Floats::F32(v) => v.len(),
            Floats::F16(v) => v.len(),
            Floats::Bf16(v) => v.len(),
            Floats::F64(v) => v.len(),
        }
    }

    /// Whether there are no values.
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
            Floats::F64(v) => v[index],
        }
    }

    /// The values as they lie in memory.
    pub fn bytes(&self) -> &'a [u8] {
        match *self {
            Floats::F32(v) => bytemuck::cast_slice(v),
            Floats::F16(v) => bytemuck::cast_slice(v),
            Floats::Bf16(v) => bytemuck::cast_slice(v),
            Floats::F64(v) => bytemuck::cast_slice(v),
        }
    }

    pub(crate) fn part(&self, range: Range<usize>) -> Self {
        match self {
            Floats::F32(v) => Floats::F32(&v[range]),
            Floats::F16(v) => Floats::F16(&v[range]),
            Floats::Bf16(v) => Floats::Bf16(&v[range]),
            Floats::F64(v) => Floats::F64(&v[range]),
        }
    }
}

impl<'a> Targets<'a> {
    /// The number of values stored; for bits, the number of bytes.
    fn stored(&self) -> usize {
        match self {
            Targets::F32(v) => v.len(),
            Targets::U8(v) | Targets::Bits(v) => v.len(),
            Targets::Bool(v) => v.len(),
            Targets::I64(v) => v.len(),
        }
    }

    /// Target `index` as f64: exact, but for an i64 beyond 2⁵³, which is rounded.
    ///
    /// # Panics
    /// If `index` is not less than the length (for bits, 8 times the number of bytes).
    pub fn get(&self, index: usize) -> f64 {
        match self {
            Targets::F32(v) => v[index].into(),
            Targets::U8(v) => v[index].into(),
            Targets::Bool(v) => f64::from(u8::from(v[index])),
            Targets::Bits(v) => f64::from(v[index / 8] >> (index % 8) & 1),
            Targets::I64(v) => v[index] as f64,
        }
    }

    /// The values as they lie in memory.
    pub fn bytes(&self) -> &'a [u8] {
        match *self {
            Targets::F32(v) => bytemuck::cast_slice(v),
            Targets::U8(v) | Targets::Bits(v) => v,
            Targets::Bool(v) => bytemuck::cast_slice(v),
            Targets::I64(v) => bytemuck::cast_slice(v),
        }
    }

    pub(crate) fn part(&self, range: Range<usize>) -> Self {
        match self {
            Targets::F32(v) => Targets::F32(&v[range]),
            Targets::U8(v) => Targets::U8(&v[range]),
            Targets::Bool(v) => Targets::Bool(&v[range]),
            Targets::Bits(v) => Targets::Bits(&v[range.start / 8..range.end.div_ceil(8)]),
            Targets::I64(v) => Targets::I64(&v[range]),
        }
    }
}

impl<'a> Weights<'a> {
    /// The number of weights.
    pub fn len(&self) -> usize {
        match self {
            Weights::F32(v) => v.len(),
            Weights::F16(v) => v.len(),
        }
    }

    /// Whether there are no weights.
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

/// Implements the conversion of slices, vectors and arrays of each value type into the view of that type.
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
    Floats::F64(f64),
    Targets::F32(f32),
    Targets::U8(u8),
    Targets::Bool(bool),
    Targets::I64(i64),
    Weights::F32(f32),
    Weights::F16(f16),
);
