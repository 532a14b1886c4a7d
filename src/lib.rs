#![doc = include_str!("../README.md")]

mod auto;
mod backend;
mod batch;
mod compat;
pub mod contract;
mod cost;
mod cpu;
mod dtype;
mod engine;
mod error;
mod evaluation;
mod exact_sum;
mod gpu;
mod job;
mod loss_parameters;
mod metrics;
mod multi;
mod objective;
pub mod oracle;
mod outputs;
mod partials;
mod plan;
mod refusal;
mod selftest;

pub use batch::{Array, Batch, Floats, Form, Targets, WeightShape, Weights};
pub use compat::Compat;
pub use cost::{Cost, Costs};
pub use dtype::{OutputType, PredictionType, TargetType, WeightType};
pub use engine::{Device, Engine, EngineOptions, Stream, devices, devices_async};
pub use error::{Error, Refusal, Result};
pub use evaluation::{DeviceInfo, DeviceKind, Evaluation, Phases, Run, Value};
pub use exact_sum::ExactSum;
pub use gpu::{
    adapters::{Adapter, AutoChoice, Devices},
    buffers::BufferRegion,
    resident::{DeviceBatch, DeviceOutputs, DeviceSink, Prepared},
    result::ResultBlock,
};
pub use half;
pub use metrics::{Metrics, ThresholdCounts};
pub use objective::{Focal, Ignore, Invalid, Objective, Reduction};
pub use outputs::{FloatsMut, Outputs, Sink};
pub use partials::{BLOCK, ClassPartials, Partials, Totals};
pub use selftest::{SelfTest, SelfTestRow};
pub use wgpu;
