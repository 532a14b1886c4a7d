//! The errors of the library, with the values and positions that caused them.

use crate::{Array, Ignore};

/// The result type of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The reason why an engine could not be created, or a batch could not be created or evaluated.
///
/// ```
/// use logloss::{Batch, Error};
///
/// let error = Batch::logits(&[2.0f32, -1.0], &[1u8]).unwrap_err();
/// assert!(matches!(error, Error::Length { name: "targets", actual: 1, expected: 2, .. }));
/// assert_eq!(error.to_string(), "targets has 1 value, predictions has 2");
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The lengths of two arrays of one batch, or of a batch and an output, differ.
    #[error("{}", length_message(.name, *.actual, *.expected, *.unit))]
    Length {
        /// The array whose length is wrong.
        name: &'static str,
        /// The length of that array, in units.
        actual: u64,
        /// The length that fits, in units.
        expected: u64,
        /// The unit that both are counted in.
        unit: LengthUnit,
    },
    /// A shape `[N, C]` in which C is zero or does not divide the number of values.
    #[error("{len} values cannot have shape [N, {classes}]: {len} is not a multiple of {classes}")]
    Shape {
        /// The number of values.
        len: u64,
        /// The requested number of classes, C.
        classes: u64,
    },
    /// A value for which the objective is not defined.
    #[error("{}", invalid_message(*.array, *.index, *.value))]
    InvalidValue {
        /// The array that contains the value.
        array: Array,
        /// The index of the value, counted from the start of the whole batch.
        index: u64,
        /// The value, widened to f64 (NaN for NaN).
        value: f64,
    },
    /// A parameter of the objective or of an engine is outside its range.
    #[error("{name} is {value}, it must be {must}")]
    Parameter {
        /// The name of the parameter.
        name: &'static str,
        /// The value of the parameter.
        value: f64,
        /// The allowed range.
        must: &'static str,
    },
    /// A string that is not the name of any value of an enum.
    #[error("there is no {what} '{given}'; there are: {}", .expected.join(", "))]
    UnknownName {
        /// What the enum describes, for example "reduction".
        what: &'static str,
        /// The string.
        given: String,
        /// The valid names.
        expected: &'static [&'static str],
    },
    /// Targets of this type cannot represent the value that marks ignored elements.
    #[error("{ignore:?} needs {}", match .ignore { Ignore::Label(_) => "targets that are integers (u8, i64) or floats (f32)", Ignore::Nan => "targets that are floats (f32)" })]
    IgnoreType {
        /// The targets that were to be ignored.
        ignore: Ignore,
    },
    /// The system in [`Compat`](crate::Compat) does not compute this.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    /// The gradient or hessian of a mean was requested of an accumulator that does not know what the mean divides by.
    #[error("{}", if *.needs_totals {
        "the mean divides by what is counted or weighed, which the length does not tell: add up `Engine::totals` over all \
         parts, and begin with `Engine::accumulator_with_totals`"
    } else {
        "the mean divides by the number of values: begin the accumulator with the length, or with the totals that \
         `Engine::totals` adds up (`Engine::accumulator_with_totals`)"
    })]
    UnknownTotal {
        /// Whether the length is not enough: with an ignored label, a mask or a weighted mean.
        needs_totals: bool,
    },
    /// A part was pushed to an accumulator with an output in a new vector, which an accumulator cannot return.
    #[error("an accumulator writes into memory of the caller: pass a slice for each output")]
    NewInAccumulator,
    /// The number of values pushed to an accumulator differs from the length it was created with.
    #[error("the accumulator was begun for {expected} values and was given {actual}")]
    AccumulatedLength {
        /// The length that the accumulator was created with.
        expected: u64,
        /// The number of values pushed.
        actual: u64,
    },
    /// Two parts cannot be merged.
    #[error(transparent)]
    Misfit(#[from] Misfit),
    /// There is no adapter of the requested kind.
    #[error("no GPU: {reason}")]
    NoGpu {
        /// What was found, and what would help.
        reason: String,
    },
    /// No adapter has the requested index or name.
    #[error("no device '{wanted}'; there are: {found}")]
    NoSuchDevice {
        /// The requested index or part of a name.
        wanted: String,
        /// The available devices.
        found: String,
    },
    /// A call that needs a GPU was made on an engine that runs on the CPU, or on several devices.
    #[error("this engine does not run on one GPU; {call} needs one that does (`Engine::gpu`, `Engine::from_wgpu`)")]
    NotOnGpu {
        /// The name of the method that was called.
        call: &'static str,
    },
    /// A caller's buffer cannot be used as requested.
    #[error("{name}: {problem}")]
    Buffer {
        /// The array that the buffer holds.
        name: &'static str,
        /// What is wrong with the buffer, and what is needed.
        problem: String,
    },
    /// A batch on a GPU needs more than the device can bind, dispatch or count. Split the batch, or evaluate it on the
    /// CPU.
    #[error("{name} needs {needed} {unit}, the device allows {limit}")]
    Limit {
        /// What needs too much: an array, the batch, or a sum.
        name: &'static str,
        /// What is counted: `"bytes"`, `"values"`, `"classes"` or `"workgroups"`.
        unit: &'static str,
        /// The number needed.
        needed: u64,
        /// The largest number that the device allows.
        limit: u64,
    },
    /// The device could not be opened, ran out of memory, or was lost.
    #[error("the device failed: {0}")]
    Device(String),
    /// The thread pool could not be started.
    #[error("the thread pool could not be started: {0}")]
    Threads(String),
}

/// An evaluation that the system in [`Compat`](crate::Compat) does not support. The cases of scikit-learn are those of
/// `log_loss`, and apply to a whole batch in host memory without its ignored and masked elements; with
/// [`NonFinite::Propagate`](crate::NonFinite::Propagate) these batches are evaluated.
///
/// ```
/// use logloss::{Batch, Compat, Engine, Error, Objective, Outputs, Unsupported};
///
/// let batch = Batch::probabilities(&[0.9f32, 0.8], &[1u8, 1])?;
/// let objective = Objective::mean().with_compat(Compat::Sklearn);
/// let error = Engine::cpu().evaluate(&batch, &objective, Outputs::none()).unwrap_err();
/// assert!(matches!(error, Error::Unsupported(Unsupported::OneLabel { label: 1 })));
/// # Ok::<(), logloss::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Unsupported {
    /// LightGBM: both label weights (`is_unbalance`) and `pos_weight` (`scale_pos_weight`) are set.
    #[error("label weights (is_unbalance) and pos_weight (scale_pos_weight) at the same time, which LightGBM refuses")]
    BalancedTwice,
    /// scikit-learn: no element is counted.
    #[error("there are no samples, and scikit-learn's log_loss needs one at least")]
    NoSamples,
    /// scikit-learn: all labels are equal.
    #[error("every label is {label}, and scikit-learn's log_loss needs both 0 and 1 to be there")]
    OneLabel {
        /// The label, 0 or 1.
        label: u8,
    },
    /// scikit-learn: a target is neither 0 nor 1, and the predictions are probabilities.
    #[error("targets[{index}] is {value}, and scikit-learn's log_loss takes labels of 0 and 1")]
    SoftLabel {
        /// The index of the first such target.
        index: u64,
        /// The value of that target.
        value: f64,
    },
    /// scikit-learn: no weight is above 0.
    #[error("every weight is 0, and scikit-learn's log_loss needs one that is not")]
    ZeroWeights,
}

/// The reason why two parts of a batch do not fit together: see [`Partials::merge`](crate::Partials::merge).
///
/// ```
/// use logloss::{Batch, Engine, Error, Misfit, Objective, Outputs};
///
/// let part = Batch::logits(&[0.5f32; 100], &[1u8; 100])?.with_first_row(3000);
/// let partials = Engine::cpu().evaluate(&part, &Objective::sum(), Outputs::none())?.partials;
/// let error = partials.clone().merge(&partials).unwrap_err();
/// assert!(matches!(error, Error::Misfit(Misfit::Overlap { start: 3000, end: 3100 })));
/// # Ok::<(), logloss::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Misfit {
    /// Both have values of the same indices. A part says where it begins with
    /// [`Batch::with_first_row`](crate::Batch::with_first_row); one that does not begins at 0.
    #[error(
        "both parts have the values {start}..{end}: each says where it begins (`Batch::with_first_row`), or is closed, \
         to be added as a batch of its own"
    )]
    Overlap {
        /// The index of the first value that both have.
        start: u64,
        /// The index after the last value that both have one after the other.
        end: u64,
    },
    /// Their numbers of classes differ, or one has sums by class and the other has none.
    #[error(
        "one part has {} sums by class and the other {}: evaluate both with the same reduction and number of classes",
        .classes[0], .classes[1]
    )]
    Classes {
        /// The number of sums by class of each; 0 for none.
        classes: [u64; 2],
    },
    /// One ends and the other begins inside a block, and different kinds of devices, or with different reductions,
    /// evaluated them. Parts of different devices are to be cut at multiples of [`BLOCK`](crate::BLOCK) rows.
    #[error(
        "the parts meet inside a block, at value {index}, and were evaluated on different devices, or with different \
         reductions"
    )]
    Devices {
        /// The index of the value at which they meet.
        index: u64,
    },
    /// They meet inside a block, and one of them has not kept its values of this block, because it did not say where it
    /// begins: see [`Batch::with_first_row`](crate::Batch::with_first_row).
    #[error(
        "the parts meet inside a block, at value {index}, and one has not kept the values of it: every part says where it \
         begins (`Batch::with_first_row`), also the first"
    )]
    NotKept {
        /// The index of the value at which they meet.
        index: u64,
    },
    /// A batch in the memory of a device begins inside a block of a larger batch: see `DeviceBatch::with_first_row`.
    #[error("a batch on a device begins at value {index}, inside a block: it needs a multiple of {block}")]
    Inside {
        /// The index of its first value.
        index: u64,
        /// The number of values of which the index must be a multiple.
        block: u64,
    },
    /// A part of an [`Accumulator`](crate::Accumulator) says that it begins elsewhere than behind the parts before.
    #[error("a part that begins at value {index} was pushed where value {expected} is next: parts are pushed in order")]
    Order {
        /// The index of its first value.
        index: u64,
        /// The index after the last value pushed.
        expected: u64,
    },
    /// One of them has a place in the whole and the other has none: it was [closed](crate::Partials::close), or, of
    /// [`Totals`](crate::Totals), its part did not say where it begins.
    #[error("one part says where it begins and the other has no place in the whole: neither or both need one")]
    Closed,
    /// One of them has statistics of the predictions ([`Metrics`](crate::Metrics)) that the other has not.
    #[error("one part has counts at a threshold and the other has none: evaluate both with the same metrics")]
    Metrics,
    /// More than 2⁶⁴ − 1 values are counted, or values have no index.
    #[error("the parts count more values than 64 bits can")]
    Count,
}

/// What the lengths of an [`Error::Length`] count.
///
/// ```
/// use logloss::{Batch, Error, LengthUnit};
///
/// let error = Batch::logits(&[0.5f32; 3], &[1u8; 3])?.with_mask(&[1, 1, 1]).unwrap_err();
/// assert!(matches!(error, Error::Length { unit: LengthUnit::PackedBytes, expected: 1, .. }));
/// assert_eq!(error.to_string(), "mask is packed, one bit a value: 1 byte expected, 3 given");
/// # Ok::<(), logloss::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LengthUnit {
    /// Values: as many are needed as there are predictions.
    Values,
    /// Samples: as many values are needed as the batch has rows.
    Samples,
    /// Classes: as many values are needed as the batch has classes.
    Classes,
    /// Bytes of eight packed bits each.
    PackedBytes,
}

fn length_message(name: &str, actual: u64, expected: u64, unit: LengthUnit) -> String {
    let plural = |count: u64, one: &str, many: &str| format!("{count} {}", if count == 1 { one } else { many });
    let values = plural(actual, "value", "values");
    match unit {
        LengthUnit::Values => format!("{name} has {values}, predictions has {expected}"),
        LengthUnit::Samples => format!("{name} has {values}, the batch has {}", plural(expected, "row", "rows")),
        LengthUnit::Classes => format!("{name} has {values}, the batch has {}", plural(expected, "class", "classes")),
        LengthUnit::PackedBytes => {
            let expected = plural(expected, "byte", "bytes");
            format!("{name} is packed, one bit a value: {expected} expected, {actual} given")
        }
    }
}

fn invalid_message(array: Array, index: u64, value: f64) -> String {
    let must = match array {
        Array::Predictions => "logits must not be NaN",
        Array::Probabilities => "probabilities must lie in [0, 1]",
        // NaN is invalid also where every other number is a valid target.
        Array::Targets if value.is_nan() => "targets must not be NaN",
        Array::Targets => "targets must lie in [0, 1]",
        Array::Weights => "weights must be finite and at least 0",
    };
    format!("{array}[{index}] is {value}: {must}")
}
