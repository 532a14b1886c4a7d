#![doc = include_str!("../README.md")]

mod batch;
pub mod contract;
mod cpu;
mod engine;
mod error;
mod evaluation;
mod exact_sum;
mod gpu;
mod objective;
pub mod oracle;
mod outputs;
mod partials;
mod plan;
mod selftest;

pub use batch::{Array, Batch, Floats, Form, Targets};
pub use engine::{Device, Engine, EngineOptions, Stream, devices, devices_async};
pub use error::{Error, Result};
pub use evaluation::{DeviceInfo, DeviceKind, Evaluation, Phases, Run, Value};
pub use exact_sum::ExactSum;
pub use gpu::{
    adapters::{Adapter, AutoChoice, Devices},
    buffers::BufferRegion,
    pipelines::{PredictionType, TargetType},
    resident::{DeviceBatch, DeviceOutputs, DeviceSink, Prepared},
    result::ResultBlock,
};
pub use half;
pub use objective::{Invalid, Objective, Reduction};
pub use outputs::{Outputs, Sink};
pub use partials::{BLOCK, Partials};
pub use selftest::{SelfTest, SelfTestRow};
pub use wgpu;
