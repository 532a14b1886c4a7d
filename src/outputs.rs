//! Where per-element results go.

use crate::{Error, Result};

/// Where one output goes.
#[derive(Debug, Default)]
pub enum Sink<'a> {
    /// Nowhere: it is not computed, moved or written.
    #[default]
    Skip,
    /// Into a new vector, handed out in the [`Evaluation`](crate::Evaluation).
    New,
    /// Into the caller's memory, as many values as the batch has. After an error its content is unspecified.
    Into(&'a mut [f32]),
}

/// The per-element outputs wanted, each f32, in the order of the batch.
#[derive(Debug, Default)]
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

impl<'a> From<&'a mut [f32]> for Sink<'a> {
    fn from(values: &'a mut [f32]) -> Self {
        Sink::Into(values)
    }
}

impl<'a> From<&'a mut Vec<f32>> for Sink<'a> {
    fn from(values: &'a mut Vec<f32>) -> Self {
        Sink::Into(values)
    }
}

/// The memory of the outputs wanted, each as long as the batch.
#[derive(Debug, Default)]
pub(crate) struct Slices<'a> {
    pub loss: Option<&'a mut [f32]>,
    pub gradient: Option<&'a mut [f32]>,
    pub hessian: Option<&'a mut [f32]>,
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

    /// Makes the vectors wanted and checks the caller's memory: one slice for each output wanted.
    pub(crate) fn open(self, made: &'a mut Made, len: usize) -> Result<Slices<'a>> {
        Ok(Slices {
            loss: open("loss", self.loss, &mut made.loss, len)?,
            gradient: open("gradient", self.gradient, &mut made.gradient, len)?,
            hessian: open("hessian", self.hessian, &mut made.hessian, len)?,
        })
    }
}

fn open<'a>(
    name: &'static str,
    sink: Sink<'a>,
    made: &'a mut Option<Vec<f32>>,
    len: usize,
) -> Result<Option<&'a mut [f32]>> {
    match sink {
        Sink::Skip => Ok(None),
        Sink::New => Ok(Some(made.insert(vec![0.0; len]))),
        Sink::Into(values) if values.len() == len => Ok(Some(values)),
        Sink::Into(values) => Err(Error::Length { name, actual: values.len() as u64, expected: len as u64 }),
    }
}

impl<'a> Slices<'a> {
    /// Loss, gradient, hessian.
    pub fn into_each(self) -> [Option<&'a mut [f32]>; 3] {
        [self.loss, self.gradient, self.hessian]
    }

    /// Loss, gradient, hessian: whether each is wanted.
    pub fn wanted(&self) -> [bool; 3] {
        [self.loss.is_some(), self.gradient.is_some(), self.hessian.is_some()]
    }

    /// How many are wanted.
    pub fn count(&self) -> usize {
        self.wanted().into_iter().filter(|on| *on).count()
    }

    /// Splits off the first `len` values of each.
    pub fn split_off(&mut self, len: usize) -> Slices<'a> {
        Slices {
            loss: split_off(&mut self.loss, len),
            gradient: split_off(&mut self.gradient, len),
            hessian: split_off(&mut self.hessian, len),
        }
    }
}

fn split_off<'a>(slice: &mut Option<&'a mut [f32]>, len: usize) -> Option<&'a mut [f32]> {
    slice.as_mut()?.split_off_mut(..len)
}
