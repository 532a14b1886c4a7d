//! The result of an evaluation: the reduced value, the sums, new output vectors, and timings.

use std::{sync::Arc, time::Duration};

use crate::{DeviceInfo, Objective, Partials, Reduction};

/// The result of an evaluation.
///
/// ```
/// use logloss::{Batch, Engine, Objective, Outputs};
///
/// let batch = Batch::logits(&[0.0f32, 0.0], &[1u8, 0])?;
/// let evaluation = Engine::cpu().evaluate(&batch, &Objective::mean(), Outputs::gradient())?;
/// assert_eq!(evaluation.count, 2);
/// assert!((evaluation.mean - 2f64.ln()).abs() < 1e-7);
/// assert_eq!(evaluation.gradient, Some(vec![-0.25, 0.25]));
/// # Ok::<(), logloss::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Evaluation {
    /// The value of the requested reduction.
    pub value: Value,
    /// The sum of the losses, in nats.
    pub sum: f64,
    /// The mean of the losses, in nats: the sum divided by the sum of the weights for [`Reduction::WeightedMean`],
    /// otherwise by the count. If the divisor is 0, it is NaN, or the value that the system in
    /// [`Compat`](crate::Compat) defines.
    pub mean: f64,
    /// The number of values counted, that is, neither ignored nor masked.
    pub count: u64,
    /// The loss of each element, in nats, if [`Sink::New`](crate::Sink::New) was requested for it.
    pub loss: Option<Vec<f32>>,
    /// The gradient, if [`Sink::New`](crate::Sink::New) was requested for it.
    pub gradient: Option<Vec<f32>>,
    /// The diagonal of the hessian, if [`Sink::New`](crate::Sink::New) was requested for it.
    pub hessian: Option<Vec<f32>>,
    /// The sums in the form that merges with those of other parts.
    pub partials: Partials,
    /// The device that ran the evaluation, and the time it took.
    pub run: Run,
}

/// The reduced value, in nats.
///
/// ```
/// use logloss::{Batch, Engine, Objective, Outputs, Reduction, Value};
///
/// let batch = Batch::logits(&[0.0f32, 0.0, 0.0, 0.0], &[1u8, 0, 1, 0])?.with_classes(2)?;
/// let objective = Objective::mean().with_reduction(Reduction::PerClass);
/// let value = Engine::cpu().evaluate(&batch, &objective, Outputs::none())?.value;
/// assert_eq!(value.vector().map(<[f64]>::len), Some(2));
/// assert!(matches!(value, Value::Vector(_)));
/// # Ok::<(), logloss::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Value {
    /// No reduction: the value is the loss of each element, which is an output.
    Elements,
    /// One number.
    Scalar(f64),
    /// One number for each class, or one for each row.
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
                        // The class of an invalid value is not known here, so all classes are NaN.
                        (_, Some(_)) => f64::NAN,
                        (count, None) => class.sum.value() / count as f64,
                    })
                    .collect(),
            ),
        }
    }

    /// The number, if the reduction gives a single one.
    pub fn scalar(&self) -> Option<f64> {
        match self {
            Value::Scalar(value) => Some(*value),
            Value::Elements | Value::Vector(_) => None,
        }
    }

    /// The numbers, if the reduction gives one per class or row.
    pub fn vector(&self) -> Option<&[f64]> {
        match self {
            Value::Vector(values) => Some(values),
            Value::Elements | Value::Scalar(_) => None,
        }
    }
}

/// The device that ran an evaluation, and the time and data volume of the evaluation.
///
/// ```
/// use logloss::{Batch, DeviceKind, Engine, Objective, Outputs};
///
/// let batch = Batch::logits(&[0.0f32, 1.0], &[1u8, 0])?;
/// let run = Engine::cpu().evaluate(&batch, &Objective::mean(), Outputs::none())?.run;
/// assert_eq!(run.device.kind, DeviceKind::Cpu);
/// assert_eq!(run.bytes, 2 * 4 + 2);
/// # Ok::<(), logloss::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Run {
    /// The device; the one chosen, if the engine chooses between two.
    pub device: Arc<DeviceInfo>,
    /// The time of each phase.
    pub phases: Phases,
    /// The number of chunks that the batch was split into.
    pub chunks: u64,
    /// The number of bytes of inputs read and outputs written, which is the minimum that any device has to move.
    pub bytes: u64,
}

/// The time of each phase of an evaluation. Chunks on a GPU overlap, and several devices run at the same time, so the
/// sum of the phases may exceed the elapsed time.
///
/// ```
/// use logloss::{Batch, Engine, Objective, Outputs};
///
/// let batch = Batch::logits(&[0.0f32, 1.0], &[1u8, 0])?;
/// let phases = Engine::cpu().evaluate(&batch, &Objective::mean(), Outputs::none())?.run.phases;
/// assert!(phases.upload.is_zero() && phases.kernel <= phases.elapsed);
/// # Ok::<(), logloss::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Phases {
    /// The time for compiling pipelines and creating buffers that no earlier call needed. Zero on a CPU, close to zero
    /// on a warm GPU.
    pub prepare: Duration,
    /// The time for copying inputs into memory that the device reads. Zero on a CPU and for resident data.
    pub upload: Duration,
    /// The time for computing: by the device's own clock if [`timestamps`](Self::timestamps) is true, otherwise from
    /// submission to completion.
    pub kernel: Duration,
    /// The time for copying outputs and sums back. Zero on a CPU.
    pub readback: Duration,
    /// The time of the whole call.
    pub elapsed: Duration,
    /// Whether `kernel` was measured with timestamp queries; for several devices, on at least one of them.
    pub timestamps: bool,
}

impl Phases {
    /// Adds the times of another part, except `elapsed`, which is measured for the whole call.
    pub(crate) fn add(&mut self, other: &Self) {
        self.prepare += other.prepare;
        self.upload += other.upload;
        self.kernel += other.kernel;
        self.readback += other.readback;
        self.timestamps |= other.timestamps;
    }
}
