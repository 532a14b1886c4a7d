//! What an evaluation hands out.

use std::{sync::Arc, time::Duration};

use crate::{DeviceInfo, Objective, Partials, Reduction};

/// The result of an evaluation.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Evaluation {
    /// What the reduction asked for.
    pub value: Value,
    /// The sum of the losses, in nats.
    pub sum: f64,
    /// Their mean: over the sum of the weights for [`Reduction::WeightedMean`], else over the count; NaN where that is 0,
    /// unless [`Compat`](crate::Compat) says otherwise.
    pub mean: f64,
    /// How many values were counted.
    pub count: u64,
    /// The loss of each element, if it was asked for in a new vector.
    pub loss: Option<Vec<f32>>,
    /// The gradient, if it was asked for in a new vector.
    pub gradient: Option<Vec<f32>>,
    /// The diagonal of the hessian, if it was asked for in a new vector.
    pub hessian: Option<Vec<f32>>,
    /// The sums as they merge with those of other parts.
    pub partials: Partials,
    /// What ran where, and how long it took.
    pub run: Run,
}

/// The reduced value.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Value {
    /// Nothing was reduced: the value is the loss output.
    Elements,
    /// One number.
    Scalar(f64),
    /// One number for each class, or each row.
    Vector(Vec<f64>),
}

impl Value {
    pub(crate) fn new(objective: &Objective, partials: &Partials, rows: Vec<f64>) -> Self {
        match objective.reduction() {
            Reduction::None => Value::Elements,
            Reduction::Sum => Value::Scalar(partials.sum.value()),
            Reduction::Mean | Reduction::WeightedMean => Value::Scalar(objective.mean_of(partials)),
            Reduction::PerRow => Value::Vector(rows),
            Reduction::PerClass => Value::Vector(
                partials
                    .classes
                    .iter()
                    .map(|class| match (class.count, partials.first_invalid) {
                        (0, _) => objective.empty_mean(),
                        // Which class an invalid value belongs to is not told.
                        (_, Some(_)) => f64::NAN,
                        (count, None) => class.sum.value() / count as f64,
                    })
                    .collect(),
            ),
        }
    }

    /// The number, where the reduction gives one.
    pub fn scalar(&self) -> Option<f64> {
        match self {
            Value::Scalar(value) => Some(*value),
            Value::Elements | Value::Vector(_) => None,
        }
    }

    /// The numbers, where the reduction gives several.
    pub fn vector(&self) -> Option<&[f64]> {
        match self {
            Value::Vector(values) => Some(values),
            Value::Elements | Value::Scalar(_) => None,
        }
    }
}

/// What ran, and how long it took.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Run {
    /// The device: the one chosen, where the engine had a choice.
    pub device: Arc<DeviceInfo>,
    /// How long each phase took.
    pub phases: Phases,
    /// Parts that the batch was cut into.
    pub chunks: u64,
    /// Bytes of predictions and targets read and of outputs written: what any device has to move at least.
    pub bytes: u64,
}

/// How long each phase took. On a GPU chunks are in flight together, and several devices run at once, so the phases
/// may add up to more than the whole.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Phases {
    /// Compiling, and making buffers, for what no call before was of. Zero on a CPU, and next to it on a warm call.
    pub prepare: Duration,
    /// Copying inputs into memory that the device reads. Zero on a CPU and for resident data.
    pub upload: Duration,
    /// Computing: by the device's own clock where [`timestamps`](Self::timestamps) says so, else from submission
    /// to completion.
    pub kernel: Duration,
    /// Copying outputs and sums back. Zero on a CPU.
    pub readback: Duration,
    /// The whole call.
    pub elapsed: Duration,
    /// Whether `kernel` was taken with timestamp queries; of several devices, on one at least.
    pub timestamps: bool,
}

impl Phases {
    /// Adds those of another part; the whole call is not theirs.
    pub(crate) fn add(&mut self, other: &Self) {
        self.prepare += other.prepare;
        self.upload += other.upload;
        self.kernel += other.kernel;
        self.readback += other.readback;
        self.timestamps |= other.timestamps;
    }
}
