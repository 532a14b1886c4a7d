//! The wgpu backend: device, kernels, and the evaluation of batches in host memory
//! ([`host_ring`]) and in device memory ([`resident`]).
//!
//! An evaluation is a [`spec::Spec`]. From it follow the arrays it binds ([`bindings`]), the text of its shader
//! ([`source`]) and its pipeline ([`pipelines`]); [`dispatch`] binds and records it. The structs that host and shaders
//! share are described in [`layout`]. [`codes`] names the types of arrays in WGSL. [`accumulators`]
//! describes how to add a statistic of the predictions.

mod accumulators;
pub(crate) mod adapters;
mod bindings;
pub(crate) mod buffers;
mod codes;
mod dispatch;
mod host_array;
mod host_ring;
mod kept_tail;
mod layout;
mod limits;
mod pipelines;
mod readback;
pub(crate) mod resident;
pub(crate) mod result;
mod source;
mod spec;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex};

use crate::{
    DeviceInfo, DeviceKind, Error, Result,
    job::{Job, Sums},
};
pub(crate) use layout::LANES;
use pipelines::Pipelines;

/// A device that is ready to evaluate.
#[derive(Debug)]
pub(crate) struct Gpu {
    pub info: Arc<DeviceInfo>,
    pub device: wgpu::Device,
    pub queue: wgpu::Queue,
    pub limits: wgpu::Limits,
    pub pipelines: Pipelines,
    /// Whether the device computes on memory that the host maps, which saves a copy between host and device memory.
    pub shares_memory: bool,
    /// The nanoseconds of a tick of the device's clock; none if it has no clock.
    pub timestamp_period: Option<f32>,
    /// Staging buffers kept warm between evaluations of host memory.
    rings: Mutex<Vec<host_ring::Ring>>,
}

impl Gpu {
    /// Opens an adapter with `limits`, or with the adapter's own limits.
    pub(crate) async fn open(adapter: &wgpu::Adapter, limits: Option<wgpu::Limits>) -> Result<Self> {
        let mut wanted = wgpu::Features::TIMESTAMP_QUERY;
        if adapters::describe(&adapter.get_info()).kind.shares_memory() {
            wanted |= wgpu::Features::MAPPABLE_PRIMARY_BUFFERS;
        }
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("logloss"),
            required_features: adapter.features() & wanted,
            required_limits: limits.unwrap_or_else(|| adapter.limits()),
            memory_hints: wgpu::MemoryHints::Performance,
            ..Default::default()
        };
        let (device, queue) =
            adapter.request_device(&descriptor).await.map_err(|error| Error::Device(error.to_string()))?;
        Self::new(device, queue).await
    }

    /// Uses a device that is open.
    pub(crate) async fn new(device: wgpu::Device, queue: wgpu::Queue) -> Result<Self> {
        let limits = device.limits();
        require("storage buffers a shader stage", limits.max_storage_buffers_per_shader_stage.into(), 8)?;
        require("invocations a workgroup", limits.max_compute_invocations_per_workgroup.into(), 256)?;
        require("workgroup size in x", limits.max_compute_workgroup_size_x.into(), 256)?;
        require("bytes of workgroup memory", limits.max_compute_workgroup_storage_size.into(), 16_384)?;
        require("bytes a storage binding", limits.max_storage_buffer_binding_size, limits::WINDOW_STEP * 4)?;
        let pipelines = buffers::scoped(&device, || Pipelines::new(&device)).await?;
        let info = Arc::new(adapters::describe(&device.adapter_info()));
        let mappable = device.features().contains(wgpu::Features::MAPPABLE_PRIMARY_BUFFERS);
        Ok(Self {
            shares_memory: mappable && info.kind.shares_memory(),
            info,
            timestamp_period: device
                .features()
                .contains(wgpu::Features::TIMESTAMP_QUERY)
                .then(|| queue.get_timestamp_period()),
            device,
            queue,
            limits,
            pipelines,
            rings: Mutex::default(),
        })
    }
}

impl Gpu {
    /// The number of blocks that a workgroup sums; `narrow` is whether an output is narrower than f32. Results do not
    /// depend on the number.
    pub(crate) fn blocks(&self, job: &Job, narrow: bool) -> u32 {
        match (self.info.kind, &job.parameters) {
            // Kernels for sums by class or row sum one block per workgroup.
            _ if job.sums != Sums::All => 1,
            // Lanes are few and barriers expensive where a CPU plays the GPU. Weights are summed in workgroup memory, too.
            (DeviceKind::Software, None) => 8,
            (DeviceKind::Software, Some(_)) => 4,
            // A lane then takes the elements of two.
            _ if narrow => 2,
            _ => 1,
        }
    }
}

fn require(name: &str, actual: u64, needed: u64) -> Result<()> {
    if actual < needed {
        return Err(Error::Device(format!("it offers {actual} {name}, {needed} are needed")));
    }
    Ok(())
}
