//! Binary cross-entropy over very large batches: the loss, gradient and hessian of every element and an exact mean, in
//! one pass over the data, on SIMD CPUs and on any GPU that [wgpu](https://wgpu.rs) reaches.
//!
//! ```
//! use logloss::{Batch, Engine, Objective, Outputs};
//!
//! let engine = Engine::auto(); // make it once and keep it
//! let (logits, targets) = ([2.0f32, -1.0, 0.5, -30.0], [1u8, 0, 1, 0]);
//! let mut gradient = [0.0f32; 4];
//!
//! let batch = Batch::logits(&logits, &targets)?;
//! let evaluation = engine.evaluate(&batch, &Objective::mean(), Outputs::none().with_gradient(&mut gradient))?;
//! assert!((evaluation.mean - 0.228567).abs() < 1e-6);
//! # Ok::<(), logloss::Error>(())
//! ```
//!
//! # What to use
//!
//! - [`Batch`] is a view of predictions (logits or probabilities) and targets, with weights and a mask if there are any.
//! - [`Objective`] says what is computed: the reduction, weights, smoothing, focal loss, what invalid values do, another
//!   system's conventions ([`Compat`]), and statistics of the predictions ([`Metrics`]).
//! - [`Outputs`] says which per-element results are wanted, and where they go.
//! - [`Engine`] evaluates on a device; [`Evaluation`] has the results and the time of each phase.
//! - [`Accumulator`] takes a batch in parts. [`Partials`] are the sums of a part: they merge exactly, in any order, also
//!   across machines.
#![cfg_attr(
    feature = "gpu",
    doc = "- [`DeviceBatch`] and [`Prepared`] are batches and evaluations on a GPU, also in a caller's buffers and encoder."
)]
//!
//! # Accuracy and determinism
//!
//! Results are held to a contract in ULP, which the crate `logloss-verify` states as a table and measures on a device.
//! Sums are right to 1e-7 at any length. The same values on the same device give the same bits, for any number of threads
//! and any cut at multiples of [`BLOCK`].
//!
//! # Features
//!
//! - `gpu` (default): adapters that wgpu reaches. Without it the CPU is the only device, and wgpu is not built.
//! - `threads` (default): the CPU engine uses several threads (rayon). Without it the calling thread does all the work.
//! - `serde`: `Serialize` and `Deserialize` for partial sums, results, devices and the enums of the API.
//!
//! # Environment
//!
//! The library never panics on input, never prints and never sets a global handler. It runs in browsers
//! (`wasm32-unknown-unknown`) on WebGPU and on the CPU.

mod batch;
mod compat;
mod cpu;
mod dtype;
mod engine;
mod error;
mod evaluation;
mod exact_sum;
#[cfg(feature = "gpu")]
mod gpu;
mod job;
mod loss_parameters;
mod metrics;
mod names;
mod objective;
mod outputs;
mod partials;
mod plan;

pub use batch::{Array, Batch, Floats, Form, Targets, WeightShape, Weights};
pub use compat::Compat;
pub use dtype::{OutputType, PredictionType, TargetType, WeightType};
pub use engine::{
    Accumulator, Adapter, AutoChoice, Cost, Costs, Device, DeviceInfo, DeviceKind, Devices, Engine, EngineOptions,
    devices, devices_async,
};
pub use error::{Error, LengthUnit, Result, Unsupported};
pub use evaluation::{Evaluation, Phases, Run, Value};
pub use exact_sum::ExactSum;
#[cfg(feature = "gpu")]
pub use gpu::{
    buffers::BufferRegion,
    resident::{DeviceBatch, DeviceOutputs, DeviceSink, Prepared},
    result::ResultBlock,
};
pub use half;
pub use metrics::{Metrics, ThresholdCounts};
pub use objective::{ClassValues, Focal, Ignore, NonFinite, Objective, Reduction};
pub use outputs::{FloatsMut, Outputs, Sink};
pub use partials::{BLOCK, ClassPartials, Partials, Totals};
#[cfg(feature = "gpu")]
pub use wgpu;

/// The examples of the documents, as tests.
#[cfg(all(doctest, feature = "gpu"))]
mod documents {
    #[doc = include_str!("../README.md")]
    mod readme {}
    #[doc = include_str!("../docs/determinism.md")]
    mod determinism {}
    #[doc = include_str!("../docs/gpu.md")]
    mod gpu {}
}

/// Types that several threads may use.
#[cfg(test)]
mod thread_safety {
    use super::*;

    fn shared<T: Send + Sync>() {}

    #[test]
    fn types_are_send_and_sync() {
        shared::<Engine>();
        shared::<Accumulator<'_>>();
        shared::<Batch<'_>>();
        shared::<Objective>();
        shared::<Outputs<'_>>();
        shared::<Evaluation>();
        shared::<Partials>();
        shared::<Error>();
        #[cfg(feature = "gpu")]
        {
            shared::<DeviceBatch>();
            shared::<DeviceOutputs>();
            shared::<Prepared>();
        }
    }

    /// The future of an evaluation moves between threads, as executors need it.
    #[test]
    fn futures_are_send() {
        fn sent<T: Send>(_: &T) {}
        let engine = Engine::cpu();
        let batch = Batch::logits(&[0.0f32], &[true]).unwrap();
        let objective = Objective::mean();
        sent(&engine.evaluate_async(&batch, &objective, Outputs::none()));
        sent(&Engine::new_async(EngineOptions::default()));
    }
}
