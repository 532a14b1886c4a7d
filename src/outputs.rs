//! Where per-element results go.

use half::{bf16, f16, slice::HalfFloatSliceExt};

use crate::{Error, LengthUnit, Result};

/// Where one output goes.
#[derive(Debug, Default)]
#[non_exhaustive]
pub enum Sink<'a> {
    /// Nowhere: it is not computed, moved or written.
    #[default]
    Skip,
    /// Into a new vector, handed out in the [`Evaluation`](crate::Evaluation).
    New,
    /// Into the caller's memory, as many values as the batch has. After an error its content is unspecified.
    Into(FloatsMut<'a>),
}

/// Memory of the caller's for one output, in the type it is to be stored in. Slices, arrays and vectors of the types
/// turn into it.
///
/// An f32 result is converted to a narrower type once, to nearest, ties to even. What rounds past the largest f16,
/// 65504, becomes ±inf (bfloat16 has f32's range); what is under half of the smallest subnormal, 2⁻²⁵, becomes 0: a
/// mean's gradient needs a [scale](crate::Objective::with_scale) to keep its digits in f16.
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
    /// Number of values.
    pub fn len(&self) -> usize {
        match self {
            FloatsMut::F32(v) => v.len(),
            FloatsMut::F16(v) => v.len(),
            FloatsMut::Bf16(v) => v.len(),
        }
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The memory as bytes.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        match self {
            FloatsMut::F32(v) => bytemuck::cast_slice_mut(v),
            FloatsMut::F16(v) => bytemuck::cast_slice_mut(v),
            FloatsMut::Bf16(v) => bytemuck::cast_slice_mut(v),
        }
    }

    /// Splits off the first `len` values.
    pub(crate) fn split_off(&mut self, len: usize) -> Self {
        match self {
            FloatsMut::F32(v) => FloatsMut::F32(v.split_off_mut(..len).unwrap_or_default()),
            FloatsMut::F16(v) => FloatsMut::F16(v.split_off_mut(..len).unwrap_or_default()),
            FloatsMut::Bf16(v) => FloatsMut::Bf16(v.split_off_mut(..len).unwrap_or_default()),
        }
    }

    /// Bytes a value.
    pub(crate) fn width(&self) -> u64 {
        match self {
            FloatsMut::F32(_) => 4,
            FloatsMut::F16(_) | FloatsMut::Bf16(_) => 2,
        }
    }
}

/// The per-element outputs wanted, in the order of the batch.
///
/// For speed: new vectors cost the time of their memory's first use, often more than what is computed, so keep your own
/// for many batches.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Outputs<'a> {
    /// The loss of each element.
    pub loss: Sink<'a>,
    /// The gradient of the reduced value with respect to each prediction, times the objective's scale.
    pub gradient: Sink<'a>,
    /// The diagonal of the hessian of the reduced value, times the objective's scale.
    pub hessian: Sink<'a>,
}

impl<'a> Outputs<'a> {
    /// None: only the sum, the mean and the count.
    pub fn none() -> Self {
        Self::default()
    }

    /// The gradient, in a new vector.
    pub fn gradient() -> Self {
        Self::none().with_gradient(Sink::New)
    }

    /// All three, in new vectors.
    pub fn all() -> Self {
        Self { loss: Sink::New, gradient: Sink::New, hessian: Sink::New }
    }

    /// Sends the loss to `sink`.
    pub fn with_loss(mut self, sink: impl Into<Sink<'a>>) -> Self {
        self.loss = sink.into();
        self
    }

    /// Sends the gradient to `sink`.
    pub fn with_gradient(mut self, sink: impl Into<Sink<'a>>) -> Self {
        self.gradient = sink.into();
        self
    }

    /// Sends the hessian to `sink`.
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

/// The memory of the outputs wanted, each as long as the batch.
#[derive(Debug, Default)]
pub(crate) struct Slices<'a> {
    pub loss: Option<&'a mut [f32]>,
    pub gradient: Option<&'a mut [f32]>,
    pub hessian: Option<&'a mut [f32]>,
    /// The mean of each row, where the reduction asks for it.
    pub rows: Option<&'a mut [f64]>,
    /// Values a row.
    pub classes: usize,
}

/// The vectors made for the sinks that wanted new ones.
#[derive(Debug, Default)]
pub(crate) struct Made {
    pub loss: Option<Vec<f32>>,
    pub gradient: Option<Vec<f32>>,
    pub hessian: Option<Vec<f32>>,
}

impl<'a> Outputs<'a> {
    /// Whether any output wants a new vector.
    pub(crate) fn want_new(&self) -> bool {
        [&self.loss, &self.gradient, &self.hessian].into_iter().any(|sink| matches!(sink, Sink::New))
    }

    /// Whether any is wanted.
    pub(crate) fn want_any(&self) -> bool {
        self.want_derivatives() || !matches!(self.loss, Sink::Skip)
    }

    /// Whether a gradient or hessian is wanted.
    pub(crate) fn want_derivatives(&self) -> bool {
        [&self.gradient, &self.hessian].into_iter().any(|sink| !matches!(sink, Sink::Skip))
    }

    /// Makes the vectors wanted and checks the caller's memory.
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

/// Loss, gradient, hessian: the memory of those wanted, each as long as the batch.
#[derive(Debug, Default)]
pub(crate) struct Views<'a>(pub [Option<FloatsMut<'a>>; 3]);

impl<'a> Views<'a> {
    /// Whether any is narrower than what is computed.
    pub fn any_narrow(&self) -> bool {
        self.0.iter().flatten().any(|view| view.width() < 4)
    }

    /// Bytes a value takes in all of them.
    pub fn width(&self) -> u64 {
        self.0.iter().flatten().map(FloatsMut::width).sum()
    }

    /// Whether a gradient or hessian is wanted.
    pub fn derivatives(&self) -> bool {
        self.0[1].is_some() || self.0[2].is_some()
    }

    /// The first `len` values of each, as f32: the memory itself, or `scratch` where that is narrower.
    pub fn slices<'s>(&'s mut self, scratch: &'s mut [Vec<f32>; 3], len: usize) -> Slices<'s> {
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
        Slices { loss, gradient, hessian, rows: None, classes: 1 }
    }

    /// Narrows what was computed into `scratch`, and goes on behind the first `len` values.
    pub fn advance(&mut self, scratch: &[Vec<f32>; 3], len: usize) {
        for (view, scratch) in self.0.iter_mut().zip(scratch) {
            match view.as_mut().map(|view| view.split_off(len)) {
                None | Some(FloatsMut::F32(_)) => {}
                Some(FloatsMut::F16(done)) => done.convert_from_f32_slice(&scratch[..len]),
                Some(FloatsMut::Bf16(done)) => done.convert_from_f32_slice(&scratch[..len]),
            }
        }
    }

    /// Splits off the first `len` values of each.
    pub fn split_off(&mut self, len: usize) -> Self {
        Self(self.0.each_mut().map(|view| view.as_mut().map(|view| view.split_off(len))))
    }
}

impl<'a> Slices<'a> {
    /// Loss, gradient and hessian; and the rows.
    pub fn into_each(self) -> ([Option<&'a mut [f32]>; 3], Option<&'a mut [f64]>) {
        ([self.loss, self.gradient, self.hessian], self.rows)
    }

    /// Loss, gradient, hessian.
    pub fn each_mut(&mut self) -> [&mut Option<&'a mut [f32]>; 3] {
        [&mut self.loss, &mut self.gradient, &mut self.hessian]
    }

    /// Loss, gradient, hessian: whether each is wanted.
    pub fn wanted(&self) -> [bool; 3] {
        [self.loss.is_some(), self.gradient.is_some(), self.hessian.is_some()]
    }

    /// Splits off the first `len` values of each.
    pub fn split_off(&mut self, len: usize) -> Slices<'a> {
        Slices {
            loss: split_off(&mut self.loss, len),
            gradient: split_off(&mut self.gradient, len),
            hessian: split_off(&mut self.hessian, len),
            rows: split_off(&mut self.rows, len / self.classes.max(1)),
            classes: self.classes,
        }
    }
}

/// Splits off the first `len` values, where there are any.
pub(crate) fn split_off<'a, T>(slice: &mut Option<&'a mut [T]>, len: usize) -> Option<&'a mut [T]> {
    slice.as_mut()?.split_off_mut(..len)
}
