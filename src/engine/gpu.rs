//! The methods of an engine for GPUs: opening an adapter, the caller's wgpu device, and resident batches.

use std::sync::Arc;

use super::{
    Engine, EngineOptions, auto::Auto, backend::Backend, choose::choose, cost, options::Device, processor::Processor,
    wait::block_on,
};
use crate::{
    Batch, BufferRegion, DeviceBatch, DeviceOutputs, Error, FloatsMut, Objective, Prepared, Result,
    gpu::{Gpu, adapters},
};

impl Engine {
    /// Creates an engine on the adapter that `options` specify, or on the adapter and the CPU.
    pub(super) async fn on_adapter(options: EngineOptions) -> Result<Self> {
        let adapters = adapters::enumerate().await;
        let infos: Vec<_> = adapters.iter().map(|adapter| adapters::describe(&adapter.get_info())).collect();
        let Some(index) = choose(&options.device, options.allow_software, &infos)? else {
            return Self::on_cpu(options.threads);
        };
        let gpu = Gpu::open(&adapters[index], options.limits).await;
        if options.device != Device::Auto {
            return Ok(Self { backend: gpu?.into() });
        }
        let cpu = Self::on_cpu(options.threads)?.backend;
        // If the GPU cannot be opened or fails, the engine uses the CPU alone.
        let Ok(gpu) = gpu.map(Backend::from) else { return Ok(Self { backend: cpu }) };
        let costs = (cost::measure(&gpu).await, cost::measure(&cpu).await?);
        let backend = match costs {
            (Ok(gpu_costs), cpu_costs) => {
                Backend::Auto(Box::new(Auto { gpu: (gpu, gpu_costs), cpu: (cpu, cpu_costs) }))
            }
            (Err(_), _) => cpu,
        };
        Ok(Self { backend })
    }

    /// Creates an engine on the caller's device and queue. `TIMESTAMP_QUERY` is used if the device has this feature;
    /// nothing else beyond WebGPU's default limits is needed.
    ///
    /// # Errors
    /// [`Error::Device`] if the limits of the device are below WebGPU's default limits.
    pub fn from_wgpu(device: wgpu::Device, queue: wgpu::Queue) -> Result<Self> {
        block_on(Self::from_wgpu_async(device, queue))
    }

    /// [`Engine::from_wgpu`], asynchronous.
    ///
    /// # Errors
    /// As [`Engine::from_wgpu`].
    pub async fn from_wgpu_async(device: wgpu::Device, queue: wgpu::Queue) -> Result<Self> {
        Ok(Self { backend: Gpu::new(device, queue).await?.into() })
    }

    /// The wgpu device and queue of this engine, if it has a GPU.
    pub fn wgpu(&self) -> Option<(&wgpu::Device, &wgpu::Queue)> {
        self.backend.gpu().map(|gpu| (&gpu.device, &gpu.queue))
    }

    /// An engine that runs only on the GPU that holds the resident batches of this engine; for an engine of
    /// [`Device::Auto`], the GPU without the CPU. Both engines share the device. None if there is no such GPU.
    pub fn on_gpu_alone(&self) -> Option<Engine> {
        let gpu = Arc::clone(self.backend.gpu()?);
        Some(Engine { backend: Backend::One(Processor::Gpu(gpu)) })
    }

    /// Copies a batch to the device, for evaluation there.
    ///
    /// # Errors
    /// [`Error::NotOnGpu`] on a CPU or several devices, [`Error::Limit`] if an array exceeds the maximum size of a
    /// buffer of the device, [`Error::Device`] if the device failed.
    pub fn upload(&self, batch: &Batch<'_>) -> Result<DeviceBatch> {
        block_on(self.upload_async(batch))
    }

    /// [`Engine::upload`], asynchronous.
    ///
    /// # Errors
    /// As [`Engine::upload`].
    pub async fn upload_async(&self, batch: &Batch<'_>) -> Result<DeviceBatch> {
        self.on_gpu("upload")?.upload(batch).await
    }

    /// Prepares the evaluation of a resident batch: checks every buffer, compiles pipelines that are not compiled yet,
    /// and creates the buffers and bindings that running or recording the evaluation needs.
    ///
    /// # Errors
    /// [`Error::NotOnGpu`] on a CPU or several devices, [`Error::Buffer`] if a buffer is too small, lacks a usage, is
    /// misaligned, is both read and written, or was made by another device (of the same `wgpu::Instance`: buffers of another
    /// instance are not recognised), [`Error::Limit`] if a new output would exceed the maximum size of a
    /// buffer of the device, [`Error::Device`] if the device failed.
    pub fn prepare(&self, batch: &DeviceBatch, objective: &Objective, outputs: DeviceOutputs) -> Result<Prepared> {
        block_on(self.prepare_async(batch, objective, outputs))
    }

    /// [`Engine::prepare`], asynchronous.
    ///
    /// # Errors
    /// As [`Engine::prepare`].
    pub async fn prepare_async(
        &self,
        batch: &DeviceBatch,
        objective: &Objective,
        outputs: DeviceOutputs,
    ) -> Result<Prepared> {
        Arc::clone(self.on_gpu("prepare")?).prepare(batch, objective, outputs).await
    }

    /// Copies the first `values.len()` values of a region to the host, bit for bit. `values` is a mutable vector, slice
    /// or array of f32, f16 or bf16, and must have the type in which the region was written. The size of the region is
    /// a multiple of 4 bytes.
    ///
    /// # Errors
    /// [`Error::NotOnGpu`] on a CPU or several devices, [`Error::Buffer`] if the region is too short, lacks the usage
    /// `COPY_SRC`, or was made by another device, [`Error::Device`] if the device failed.
    pub fn download<'v>(&self, region: &BufferRegion, values: impl Into<FloatsMut<'v>>) -> Result<()> {
        block_on(self.download_async(region, values))
    }

    /// [`Engine::download`], asynchronous.
    ///
    /// # Errors
    /// As [`Engine::download`].
    pub async fn download_async<'v>(&self, region: &BufferRegion, values: impl Into<FloatsMut<'v>>) -> Result<()> {
        self.on_gpu("download")?.download(region, values.into()).await
    }

    /// The GPU that holds resident batches, or the error of the method `call`.
    fn on_gpu(&self, call: &'static str) -> Result<&Arc<Gpu>> {
        self.backend.gpu().ok_or(Error::NotOnGpu { call })
    }
}
