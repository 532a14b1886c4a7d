//! Everything that can go wrong, with the numbers that say where.

use crate::{Array, Ignore};

/// The result type of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a batch could not be made or evaluated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Two arrays of one batch, or a batch and an output, differ in length.
    #[error("{}", length_message(.name, *.actual, *.expected, *.unit))]
    Length {
        /// The array that does not fit.
        name: &'static str,
        /// Its length, in units.
        actual: u64,
        /// The length that fits, in units.
        expected: u64,
        /// The unit that both are counted in.
        unit: LengthUnit,
    },
    /// A shape [N, C] whose C is zero or does not divide the number of values.
    #[error("{len} values cannot have shape [N, {classes}]: {len} is not a multiple of {classes}")]
    Shape {
        /// Number of values.
        len: u64,
        /// Number of classes asked for.
        classes: u64,
    },
    /// A value that the objective is not defined on.
    #[error("{}", invalid_message(*.array, *.index, *.value))]
    InvalidValue {
        /// The array that holds it.
        array: Array,
        /// Its index, counted from the start of the whole batch.
        index: u64,
        /// The value, widened to f64 (NaN for NaN).
        value: f64,
    },
    /// A parameter, of the objective or an engine, is outside its range.
    #[error("{name} is {value}, it must be {must}")]
    Parameter {
        /// The parameter.
        name: &'static str,
        /// The value given.
        value: f64,
        /// The range allowed.
        must: &'static str,
    },
    /// A word that names none of the values of an enum.
    #[error("there is no {what} '{given}'; there are: {}", .expected.join(", "))]
    UnknownName {
        /// What was to be named.
        what: &'static str,
        /// The word given.
        given: String,
        /// The names there are.
        expected: &'static [&'static str],
    },
    /// A part pushed to an accumulator is not a whole number of blocks, and is not the last.
    #[error(
        "a part of {len} values was pushed after one that ended inside a block: every part but the last needs a multiple of {block} values"
    )]
    Unaligned {
        /// Length of the part pushed too late.
        len: u64,
        /// Values a block.
        block: u64,
    },
    /// Targets of this type cannot say to be ignored that way.
    #[error("{ignore:?} needs {}", match .ignore { Ignore::Label(_) => "targets that are bytes (u8) or floats (f32)", Ignore::Nan => "targets that are floats (f32)" })]
    IgnoreType {
        /// What was to be ignored.
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
    /// A part pushed to an accumulator asked for a new vector, which an accumulator cannot hand out.
    #[error("an accumulator writes into memory of the caller: pass a slice for each output")]
    NewInAccumulator,
    /// An accumulator was given another number of values than was announced.
    #[error("the accumulator was begun for {expected} values and was given {actual}")]
    AccumulatedLength {
        /// The number announced.
        expected: u64,
        /// The number pushed.
        actual: u64,
    },
    /// No adapter of the kind asked for.
    #[error("no GPU: {reason}")]
    NoGpu {
        /// What was found, and what would help.
        reason: String,
    },
    /// No adapter has the index or name asked for.
    #[error("no device '{wanted}'; there are: {found}")]
    NoSuchDevice {
        /// The index or part of a name asked for.
        wanted: String,
        /// The devices there are.
        found: String,
    },
    /// A call that needs a GPU was made on an engine that runs on the CPU, or on several devices.
    #[error("this engine does not run on one GPU; {call} needs one that does (`Engine::gpu`, `Engine::from_wgpu`)")]
    NotOnGpu {
        /// The call.
        call: &'static str,
    },
    /// A caller's buffer cannot be used as asked.
    #[error("{name}: {problem}")]
    Buffer {
        /// The buffer's part in the call.
        name: &'static str,
        /// What is wrong with it, and what is needed.
        problem: String,
    },
    /// More than one dispatch can address; cut the batch, or evaluate it from host memory.
    #[error("{name} needs {needed} bytes, the device binds at most {limit}")]
    Limit {
        /// What is too large.
        name: &'static str,
        /// Bytes needed.
        needed: u64,
        /// Bytes the device allows.
        limit: u64,
    },
    /// The device could not be made, ran out of memory, or was lost.
    #[error("the device failed: {0}")]
    Device(String),
    /// The thread pool could not be started.
    #[error("the thread pool could not be started: {0}")]
    Threads(String),
}

/// What a system whose conventions are in use does not compute. scikit-learn's are those of `log_loss`, of a
/// whole batch in host memory: ignored elements do not count, and
/// [`NonFinite::Propagate`](crate::NonFinite::Propagate) computes all of it.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Unsupported {
    /// LightGBM: label weights (`is_unbalance`) and `pos_weight` (`scale_pos_weight`) at the same time.
    #[error("label weights (is_unbalance) and pos_weight (scale_pos_weight) at the same time, which LightGBM refuses")]
    BalancedTwice,
    /// scikit-learn: nothing is counted.
    #[error("there are no samples, and scikit-learn's log_loss needs one at least")]
    NoSamples,
    /// scikit-learn: every label is the same.
    #[error("every label is {label}, and scikit-learn's log_loss needs both 0 and 1 to be there")]
    OneLabel {
        /// The label.
        label: u8,
    },
    /// scikit-learn: a target between 0 and 1, where the predictions are probabilities.
    #[error("targets[{index}] is {value}, and scikit-learn's log_loss takes labels of 0 and 1")]
    SoftLabel {
        /// The index of the first.
        index: u64,
        /// The target.
        value: f64,
    },
    /// scikit-learn: no weight is above 0.
    #[error("every weight is 0, and scikit-learn's log_loss needs one that is not")]
    ZeroWeights,
}

/// What the lengths of an [`Error::Length`] count.
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
        // Where any number is a label this is what is left, and where not it is true as well.
        Array::Targets if value.is_nan() => "targets must not be NaN",
        Array::Targets => "targets must lie in [0, 1]",
        Array::Weights => "weights must be finite and at least 0",
    };
    format!("{array}[{index}] is {value}: {must}")
}
