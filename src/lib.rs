#![doc = include_str!("../README.md")]

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
pub use error::{Error, Result, Unsupported};
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
pub use objective::{Focal, Ignore, NonFinite, Objective, Reduction};
pub use outputs::{FloatsMut, Outputs, Sink};
pub use partials::{BLOCK, ClassPartials, Partials, Totals};
#[cfg(feature = "gpu")]
pub use wgpu;
