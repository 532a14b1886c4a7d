//! The per-element outputs of an evaluation and their destinations.

use half::{bf16, f16, slice::HalfFloatSliceExt};

use crate::{Error, LengthUnit, Result};

/// The destination of one output.
///
/// ```
/// use logloss::{Outputs, Sink, half::f16};
///
/// let mut gradient = vec![f16::ZERO; 2];
/// let outputs = Outputs::none().with_loss(Sink::New).with_gradient(&mut gradient);
/// assert!(matches!((outputs.loss, outputs.gradient, outputs.hessian), (Sink::New, Sink::Into(_), Sink::Skip)));
/// ```
#[derive(Debug, Default)]
#[non_exhaustive]
pub enum Sink<'a> {
    /// None: the output is not computed, moved or written.
    #[default]
    Skip,
    /// A new vector, returned in the [`Evaluation`](crate::Evaluation).
    New,
    /// The caller's memory, which must have the length of the batch. Its content is unspecified after an error.
    Into(FloatsMut<'a>),
}

/// The caller's memory for one output, in its storage type. Slices, arrays and vectors of these types convert into it.
///
/// The f32 result is rounded to a narrower type once, to nearest, ties to even. A value that rounds beyond the largest
/// f16, 65504, becomes ±inf (bfloat16 has the range of f32); a value of at most half the smallest subnormal f16, 2⁻²⁵,
/// becomes 0. The gradient of a mean therefore needs a [scale](crate::Objective::with_scale) to keep its digits in f16.
///
/// ```
/// use logloss::{FloatsMut, half::bf16};
///
/// let mut values = [bf16::ZERO; 4];
/// assert_eq!(FloatsMut::from(&mut values).len(), 4);
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum FloatsMut<'a> {
    /// IEEE binary32.
    F32(&'a mut [f32]),
    /// IEEE binary16.
    F16(&'a mut [f16]),
    /// bfloat16.
    Bf16(&'a mut [bf16]),
}

impl<'a> FloatsMut<'a> {
    /// The number of values.
    pub fn len(&self) -> usize {
        match self {
            FloatsMut::F32(v) => v.len(),
            FloatsMut::F16(v) => v.len(),
            FloatsMut::Bf16(v) => v.len(),
        }
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The memory as bytes.
    #[cfg(feature = "gpu")]
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        match self {
            FloatsMut::F32(v) => bytemuck::cast_slice_mut(v),
            FloatsMut::F16(v) => bytemuck::cast_slice_mut(v),
            FloatsMut::Bf16(v) => bytemuck::cast_slice_mut(v),
        }
    }

    /// Splits off the first `len` values. `self` keeps the rest.
    pub(crate) fn split_off(&mut self, len: usize) -> Self {
        match self {
            FloatsMut::F32(v) => FloatsMut::F32(v.split_off_mut(..len).unwrap_or_default()),
            FloatsMut::F16(v) => FloatsMut::F16(v.split_off_mut(..len).unwrap_or_default()),
            FloatsMut::Bf16(v) => FloatsMut::Bf16(v.split_off_mut(..len).unwrap_or_default()),
        }
    }

    /// The number of bytes per value.
    pub(crate) fn width(&self) -> u64 {
        match self {
            FloatsMut::F32(_) => 4,
            FloatsMut::F16(_) | FloatsMut::Bf16(_) => 2,
        }
    }
}

/// The requested per-element outputs, in the order of the batch.
///
/// The first use of newly allocated memory often takes longer than the computation. For speed, reuse your own memory
/// for many batches.
///
/// ```
/// use logloss::{Batch, Engine, Objective, Outputs};
///
/// let batch = Batch::logits(&[0.0f32, 0.0], &[1u8, 0])?;
/// let mut hessian = [0.0f32; 2];
/// let outputs = Outputs::gradient().with_hessian(&mut hessian[..]);
/// let evaluation = Engine::cpu().evaluate(&batch, &Objective::sum(), outputs)?;
/// assert_eq!(evaluation.gradient, Some(vec![-0.5, 0.5]));
/// assert_eq!(hessian, [0.25, 0.25]);
/// # Ok::<(), logloss::Error>(())
/// ```
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Outputs<'a> {
    /// The loss of each element, in nats.
    pub loss: Sink<'a>,
    /// The gradient of the reduced value with respect to each prediction, times the objective's scale.
    pub gradient: Sink<'a>,
    /// The diagonal of the hessian of the reduced value, times the objective's scale.
    pub hessian: Sink<'a>,
}

impl<'a> Outputs<'a> {
    /// No outputs: only the sum, the mean and the count are computed.
    pub fn none() -> Self {
        Self::default()
    }

    /// The gradient in a new vector.
    pub fn gradient() -> Self {
        Self::none().with_gradient(Sink::New)
    }

    /// Loss, gradient and hessian in new vectors.
    pub fn all() -> Self {
        Self { loss: Sink::New, gradient: Sink::New, hessian: Sink::New }
    }

    /// Sets the destination of the loss.
    pub fn with_loss(mut self, sink: impl Into<Sink<'a>>) -> Self {
        self.loss = sink.into();
        self
    }

    /// Sets the destination of the gradient.
    pub fn with_gradient(mut self, sink: impl Into<Sink<'a>>) -> Self {
        self.gradient = sink.into();
        self
    }

    /// Sets the destination of the hessian.
    pub fn with_hessian(mut self, sink: impl Into<Sink<'a>>) -> Self {
        self.hessian = sink.into();
        self
    }
}

macro_rules! into_memory {
    ($($variant:ident($value:ty)),*) => {$(
        impl<'a> From<&'a mut [$value]> for FloatsMut<'a> {
            fn from(values: &'a mut [$value]) -> Self {
                FloatsMut::$variant(values)
            }
        }
        impl<'a, const N: usize> From<&'a mut [$value; N]> for FloatsMut<'a> {
            fn from(values: &'a mut [$value; N]) -> Self {
                FloatsMut::$variant(values)
            }
        }
        impl<'a> From<&'a mut Vec<$value>> for FloatsMut<'a> {
            fn from(values: &'a mut Vec<$value>) -> Self {
                FloatsMut::$variant(values)
            }
        }
        impl<'a> From<&'a mut [$value]> for Sink<'a> {
            fn from(values: &'a mut [$value]) -> Self {
                Sink::Into(FloatsMut::$variant(values))
            }
        }
        impl<'a, const N: usize> From<&'a mut [$value; N]> for Sink<'a> {
            fn from(values: &'a mut [$value; N]) -> Self {
                Sink::Into(FloatsMut::$variant(values))
            }
        }
        impl<'a> From<&'a mut Vec<$value>> for Sink<'a> {
            fn from(values: &'a mut Vec<$value>) -> Self {
                Sink::Into(FloatsMut::$variant(values))
            }
        }
    )*};
}
into_memory!(F32(f32), F16(f16), Bf16(bf16));

/// The memory of the requested outputs, each with the length of the batch.
#[derive(Debug, Default)]
pub(crate) struct Slices<'a> {
    pub loss: Option<&'a mut [f32]>,
    pub gradient: Option<&'a mut [f32]>,
    pub hessian: Option<&'a mut [f32]>,
    /// The mean of each row, if the reduction is per row.
    pub rows: Option<&'a mut [f64]>,
    /// The weight of each element, which only the CPU writes, and only where the job has parameters.
    pub weights: Option<&'a mut [f32]>,
    /// The number of values per row.
    #[cfg_attr(not(any(feature = "gpu", feature = "threads")), expect(dead_code, reason = "outputs are not divided"))]
    pub classes: usize,
}

/// The vectors created for [`Sink::New`].
#[derive(Debug, Default)]
pub(crate) struct Made {
    pub loss: Option<Vec<f32>>,
    pub gradient: Option<Vec<f32>>,
    pub hessian: Option<Vec<f32>>,
}

impl<'a> Outputs<'a> {
    /// Whether any output is requested in a new vector.
    pub(crate) fn want_new(&self) -> bool {
        [&self.loss, &self.gradient, &self.hessian].into_iter().any(|sink| matches!(sink, Sink::New))
    }

    /// Whether any output is requested.
    pub(crate) fn want_any(&self) -> bool {
        self.want_derivatives() || !matches!(self.loss, Sink::Skip)
    }

    /// Whether the gradient or the hessian is requested.
    pub(crate) fn want_derivatives(&self) -> bool {
        [&self.gradient, &self.hessian].into_iter().any(|sink| !matches!(sink, Sink::Skip))
    }

    /// Creates the requested vectors and checks the length of the caller's memory.
    pub(crate) fn open(self, made: &'a mut Made, len: usize) -> Result<Views<'a>> {
        Ok(Views([
            open("loss", self.loss, &mut made.loss, len)?,
            open("gradient", self.gradient, &mut made.gradient, len)?,
            open("hessian", self.hessian, &mut made.hessian, len)?,
        ]))
    }
}

fn open<'a>(
    name: &'static str,
    sink: Sink<'a>,
    made: &'a mut Option<Vec<f32>>,
    len: usize,
) -> Result<Option<FloatsMut<'a>>> {
    match sink {
        Sink::Skip => Ok(None),
        Sink::New => Ok(Some(FloatsMut::F32(made.insert(vec![0.0; len])))),
        Sink::Into(values) if values.len() == len => Ok(Some(values)),
        Sink::Into(values) => {
            Err(Error::Length { name, actual: values.len() as u64, expected: len as u64, unit: LengthUnit::Values })
        }
    }
}

/// The memory of the requested outputs in their storage types, in the order loss, gradient, hessian. Each has the
/// length of the batch.
#[derive(Debug, Default)]
pub(crate) struct Views<'a>(pub [Option<FloatsMut<'a>>; 3]);

impl<'a> Views<'a> {
    /// Whether any output is narrower than f32.
    pub(crate) fn any_narrow(&self) -> bool {
        self.0.iter().flatten().any(|view| view.width() < 4)
    }

    /// The number of bytes that one value takes in all outputs together.
    pub(crate) fn width(&self) -> u64 {
        self.0.iter().flatten().map(FloatsMut::width).sum()
    }

    /// Whether the gradient or the hessian is requested.
    pub(crate) fn derivatives(&self) -> bool {
        self.0[1].is_some() || self.0[2].is_some()
    }

    /// The first `len` values of each output as f32: the memory itself, or `scratch` if its type is narrower.
    pub(crate) fn slices<'s>(&'s mut self, scratch: &'s mut [Vec<f32>; 3], len: usize) -> Slices<'s> {
        let mut slices = [const { None }; 3];
        for ((slice, view), scratch) in slices.iter_mut().zip(&mut self.0).zip(scratch) {
            *slice = match view {
                None => None,
                Some(FloatsMut::F32(values)) => Some(&mut values[..len]),
                Some(FloatsMut::F16(_) | FloatsMut::Bf16(_)) => {
                    scratch.resize(len, 0.0);
                    Some(scratch.as_mut_slice())
                }
            };
        }
        let [loss, gradient, hessian] = slices;
        Slices { loss, gradient, hessian, rows: None, weights: None, classes: 1 }
    }

    /// Converts the first `len` values of `scratch` to the narrower outputs, and splits off the first `len` values of
    /// every output.
    pub(crate) fn advance(&mut self, scratch: &[Vec<f32>; 3], len: usize) {
        for (view, scratch) in self.0.iter_mut().zip(scratch) {
            match view.as_mut().map(|view| view.split_off(len)) {
                None | Some(FloatsMut::F32(_)) => {}
                Some(FloatsMut::F16(values)) => values.convert_from_f32_slice(&scratch[..len]),
                Some(FloatsMut::Bf16(values)) => values.convert_from_f32_slice(&scratch[..len]),
            }
        }
    }

    /// Splits off the first `len` values of each output. `self` keeps the rest.
    pub(crate) fn split_off(&mut self, len: usize) -> Self {
        Self(self.0.each_mut().map(|view| view.as_mut().map(|view| view.split_off(len))))
    }
}

impl<'a> Slices<'a> {
    /// Loss, gradient and hessian as an array, and the means of the rows.
    #[cfg(feature = "gpu")]
    pub(crate) fn into_each(self) -> ([Option<&'a mut [f32]>; 3], Option<&'a mut [f64]>) {
        ([self.loss, self.gradient, self.hessian], self.rows)
    }

    /// Loss, gradient and hessian as an array.
    pub(crate) fn each_mut(&mut self) -> [&mut Option<&'a mut [f32]>; 3] {
        [&mut self.loss, &mut self.gradient, &mut self.hessian]
    }

    /// Whether loss, gradient and hessian are requested, in this order.
    pub(crate) fn wanted(&self) -> [bool; 3] {
        [self.loss.is_some(), self.gradient.is_some(), self.hessian.is_some()]
    }

    /// Splits off the first `len` values of each output, and the means of their rows. `self` keeps the rest.
    #[cfg(any(feature = "gpu", feature = "threads"))]
    pub(crate) fn split_off(&mut self, len: usize) -> Slices<'a> {
        Slices {
            loss: split_off(&mut self.loss, len),
            gradient: split_off(&mut self.gradient, len),
            hessian: split_off(&mut self.hessian, len),
            rows: split_off(&mut self.rows, len / self.classes.max(1)),
            weights: split_off(&mut self.weights, len),
            classes: self.classes,
        }
    }
}

/// Splits off the first `len` values of a slice, if there is one. `slice` keeps the rest.
pub(crate) fn split_off<'a, T>(slice: &mut Option<&'a mut [T]>, len: usize) -> Option<&'a mut [T]> {
    slice.as_mut()?.split_off_mut(..len)
}
