#![doc = include_str!("../README.md")]

mod auto;
mod backend;
mod batch;
mod compat;
pub mod contract;
mod cost;
mod cpu;
mod engine;
mod error;
mod evaluation;
mod exact_sum;
mod family;
mod gpu;
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
pub use engine::{Device, Engine, EngineOptions, Stream, devices, devices_async};
pub use error::{Error, Refusal, Result};
pub use evaluation::{DeviceInfo, DeviceKind, Evaluation, Phases, Run, Value};
pub use exact_sum::ExactSum;
pub use gpu::{
    adapters::{Adapter, AutoChoice, Devices},
    buffers::BufferRegion,
    pipelines::{OutputType, PredictionType, TargetType, WeightType},
    resident::{DeviceBatch, DeviceOutputs, DeviceSink, Prepared},
    result::ResultBlock,
};
pub use half;
pub use objective::{Focal, Ignore, Invalid, Objective, Reduction};
pub use outputs::{FloatsMut, Outputs, Sink};
pub use partials::{BLOCK, ClassPartials, Partials, Totals};
pub use selftest::{SelfTest, SelfTestRow};
pub use wgpu;
