//! What an engine on a GPU does beside evaluating batches in host memory.

use std::sync::Arc;

use super::{
    Engine, EngineOptions, auto::Auto, backend::Backend, cost, device::choose, options::Device, processor::Processor,
};
use crate::{
    Batch, BufferRegion, DeviceBatch, DeviceOutputs, Error, FloatsMut, Objective, Prepared, Result,
    gpu::{Gpu, adapters},
};

impl Engine {
    /// An engine on the adapter that `options` name, or on it and the CPU.
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
        // A GPU that does not open, or fails, is none.
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

    /// An engine on a caller's device and queue. `TIMESTAMP_QUERY` is used where the device has it; nothing else
    /// beyond WebGPU's defaults is needed.
    ///
    /// # Errors
    /// [`Error::Device`] if the device offers less than WebGPU's default limits do.
    pub fn from_wgpu(device: wgpu::Device, queue: wgpu::Queue) -> Result<Self> {
        pollster::block_on(Self::from_wgpu_async(device, queue))
    }

    /// [`Engine::from_wgpu`], asynchronous.
    ///
    /// # Errors
    /// As [`Engine::from_wgpu`].
    pub async fn from_wgpu_async(device: wgpu::Device, queue: wgpu::Queue) -> Result<Self> {
        Ok(Self { backend: Gpu::new(device, queue).await?.into() })
    }

    /// The wgpu device and queue this engine runs on, if it runs on one.
    pub fn wgpu(&self) -> Option<(&wgpu::Device, &wgpu::Queue)> {
        self.backend.gpu().map(|gpu| (&gpu.device, &gpu.queue))
    }

    /// An engine on the GPU that resident batches of this one are on, and on nothing else: of an engine of
    /// [`Device::Auto`] the GPU alone. The two share the device. None if there is no such GPU.
    pub fn on_gpu_alone(&self) -> Option<Engine> {
        let gpu = Arc::clone(self.backend.gpu()?);
        Some(Engine { backend: Backend::One(Processor::Gpu(gpu)) })
    }

    /// Copies a batch to the device, to be evaluated there.
    ///
    /// # Errors
    /// [`Error::NotOnGpu`] on a CPU or several devices, [`Error::Limit`] if an array is larger than the device's buffers
    /// can be, [`Error::Device`] if the device failed.
    pub fn upload(&self, batch: &Batch<'_>) -> Result<DeviceBatch> {
        pollster::block_on(self.upload_async(batch))
    }

    /// [`Engine::upload`], asynchronous.
    ///
    /// # Errors
    /// As [`Engine::upload`].
    pub async fn upload_async(&self, batch: &Batch<'_>) -> Result<DeviceBatch> {
        self.on_gpu("upload")?.upload(batch).await
    }

    /// Prepares the evaluation of a batch that lies on the device: checks every buffer, compiles what is not
    /// compiled yet, and makes what running or recording it needs.
    ///
    /// # Errors
    /// [`Error::NotOnGpu`] on a CPU or several devices, [`Error::Buffer`] if a buffer is too small, lacks a usage, is
    /// misaligned, or is both read and written, [`Error::Limit`] if a new output would be larger than the device's
    /// buffers can be, [`Error::Device`] if the device failed.
    pub fn prepare(&self, batch: &DeviceBatch, objective: &Objective, outputs: DeviceOutputs) -> Result<Prepared> {
        pollster::block_on(self.prepare_async(batch, objective, outputs))
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

    /// Copies the first `values.len()` values of a region to the host, bit for bit: `values`, a `&mut Vec<f32>` or a
    /// slice or array of f32, f16 or bf16, are of the type that the region was written in. The region has whole words
    /// of 4 bytes.
    ///
    /// # Errors
    /// [`Error::NotOnGpu`] on a CPU or several devices, [`Error::Buffer`] if the region is shorter or lacks the usage
    /// `COPY_SRC`, [`Error::Device`] if the device failed.
    pub fn download<'v>(&self, region: &BufferRegion, values: impl Into<FloatsMut<'v>>) -> Result<()> {
        pollster::block_on(self.download_async(region, values))
    }

    /// [`Engine::download`], asynchronous.
    ///
    /// # Errors
    /// As [`Engine::download`].
    pub async fn download_async<'v>(&self, region: &BufferRegion, values: impl Into<FloatsMut<'v>>) -> Result<()> {
        self.on_gpu("download")?.download(region, values.into()).await
    }

    fn on_gpu(&self, call: &'static str) -> Result<&Arc<Gpu>> {
        self.backend.gpu().ok_or(Error::NotOnGpu { call })
    }
}
