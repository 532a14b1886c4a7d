//! Binary cross-entropy over very large batches: the loss, gradient and hessian of every element and an exact mean, in
//! one pass over the data, on SIMD CPUs and on any GPU that [wgpu](https://wgpu.rs) supports.
//!
//! ```
//! use logloss::{Batch, Engine, Objective, Outputs};
//!
//! let engine = Engine::auto(); // create it once and reuse it
//! let (logits, targets) = ([2.0f32, -1.0, 0.5, -30.0], [1u8, 0, 1, 0]);
//! let mut gradient = [0.0f32; 4];
//!
//! let batch = Batch::logits(&logits, &targets)?;
//! let evaluation = engine.evaluate(&batch, &Objective::mean(), Outputs::none().with_gradient(&mut gradient))?;
//! assert!((evaluation.mean - 0.228567).abs() < 1e-6);
//! # Ok::<(), logloss::Error>(())
//! ```
//!
//! # Main types
//!
//! - [`Batch`] is a view of predictions (logits or probabilities) and targets, with optional weights and mask.
//! - [`Objective`] describes the computation: the reduction, weights, smoothing, focal loss, the treatment of invalid
//!   values, the conventions of another system ([`Compat`]), and statistics of the predictions ([`Metrics`]).
//! - [`Outputs`] selects the per-element results and their destinations.
//! - [`Engine`] evaluates on a device; [`Evaluation`] contains the results and the time of each phase.
//! - [`Accumulator`] evaluates a batch in parts. [`Partials`] are the sums of a part, which merge in any order to the bits
//!   of the whole, also across machines, if each part says where it begins ([`Batch::with_first_row`]).
#![cfg_attr(
    feature = "gpu",
    doc = "- [`DeviceBatch`] and [`Prepared`] are batches and evaluations on a GPU, optionally in the caller's buffers and command encoder."
)]
//!
//! # Accuracy and determinism
//!
//! The error of results is bounded in ULP by a contract: the crate `logloss-verify` contains its table and measures a
//! device against it. The relative error of sums is at most 1e-7 at any length. The same values on the same device give
//! the same bits, for any number of threads and any cut into parts.
//!
//! # Features
//!
//! - `gpu` (default): support for the adapters of wgpu. Without it the CPU is the only device, and wgpu is not
//!   compiled.
//! - `threads` (default): the CPU engine uses several threads (rayon). Without it, the calling thread does all the
//!   work.
//! - `serde`: `Serialize` and `Deserialize` for partial sums, reduced values, costs, phases, descriptions of devices, and
//!   the enums that have names.
//!
//! # Environment
//!
//! The library does not panic on any value that is evaluated, does not print, and does not install global handlers. It runs in browsers
//! (`wasm32-unknown-unknown`) on WebGPU and on the CPU.

mod batch;
mod compat;
mod cpu;
mod device;
mod dtype;
mod end_distance;
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
mod prediction_kind;

pub use batch::{Array, Batch, Floats, Form, Targets, WeightShape, Weights};
pub use compat::Compat;
pub use device::{Adapter, AutoChoice, DeviceInfo, DeviceKind, Devices};
pub use dtype::{OutputType, PredictionType, TargetType, WeightType};
pub use engine::{Accumulator, Cost, Costs, Device, Engine, EngineOptions, devices, devices_async};
pub use error::{Error, LengthUnit, Misfit, Result, Unsupported};
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
pub use partials::{BLOCK, ClassPartials, Missing, Partials, Totals};
#[cfg(feature = "gpu")]
pub use wgpu;

/// The examples of the documents, compiled and run as tests.
#[cfg(all(doctest, feature = "gpu"))]
mod documents {
    #[doc = include_str!("../README.md")]
    mod readme {}
    #[doc = include_str!("../docs/library.md")]
    mod library {}
    #[doc = include_str!("../docs/determinism.md")]
    mod determinism {}
    #[doc = include_str!("../docs/gpu.md")]
    mod gpu {}
}

/// Checks that the types of the API may be shared between threads.
#[cfg(test)]
mod thread_safety {
    use super::*;

    fn assert_send_and_sync<T: Send + Sync>() {}

    #[test]
    fn types_are_send_and_sync() {
        assert_send_and_sync::<Engine>();
        assert_send_and_sync::<Accumulator<'_>>();
        assert_send_and_sync::<Batch<'_>>();
        assert_send_and_sync::<Objective>();
        assert_send_and_sync::<Outputs<'_>>();
        assert_send_and_sync::<Evaluation>();
        assert_send_and_sync::<Partials>();
        assert_send_and_sync::<Error>();
        #[cfg(feature = "gpu")]
        {
            assert_send_and_sync::<DeviceBatch>();
            assert_send_and_sync::<DeviceOutputs>();
            assert_send_and_sync::<Prepared>();
        }
    }

    /// Executors move the futures of an evaluation between threads.
    #[test]
    fn futures_are_send() {
        fn assert_send<T: Send>(_: &T) {}
        let engine = Engine::cpu();
        let batch = Batch::logits(&[0.0f32], &[true]).unwrap();
        let objective = Objective::mean();
        assert_send(&engine.evaluate_async(&batch, &objective, Outputs::none()));
        assert_send(&Engine::new_async(EngineOptions::default()));
        #[cfg(feature = "gpu")]
        {
            assert_send(&engine.upload_async(&batch));
            // Never called: only the type of the future matters.
            let _ = |evaluation: &Prepared| assert_send(&evaluation.evaluate_async());
        }
        let mut accumulator = engine.accumulator(&objective, None);
        assert_send(&accumulator.push_async(&batch, Outputs::none()));
    }
}
