//! The front door: picks a device, cuts, runs, merges.

use std::{
    mem,
    num::NonZeroUsize,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use web_time::Instant;

use crate::{
    Batch, BufferRegion, Compat, DeviceBatch, DeviceInfo, DeviceOutputs, Devices, Error, Evaluation, FloatsMut,
    Objective, Outputs, Prepared, Reduction, Result, Run, Totals, Value,
    backend::{Backend, Done, Processor},
    cpu::Cpu,
    gpu::{Gpu, adapters},
    job::{Job, Sums},
    loss_parameters::LossParameters,
    outputs::{Made, Views},
    plan,
    refusal::Labels,
};

/// Which device an engine runs on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Device {
    /// The CPU or the best GPU, for each batch in host memory the one that is faster, as measured when the engine is
    /// made; the CPU, without measuring, where there is no GPU. Never a software adapter, unless allowed.
    #[default]
    Auto,
    /// The SIMD backend.
    Cpu,
    /// The best GPU: discrete before integrated before virtual.
    Gpu,
    /// The adapter at this index of [`devices`](crate::devices).
    Index(usize),
    /// The first adapter whose name contains this, whatever its case. `cpu` names the SIMD backend.
    Name(String),
}

/// How an engine is made.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct EngineOptions {
    /// The device.
    pub device: Device,
    /// Whether `Auto` and `Gpu` may take a software adapter (llvmpipe, SwiftShader, WARP). One named by index
    /// or name is taken either way.
    pub allow_software: bool,
    /// Threads of the SIMD backend; rayon's global pool if not said.
    pub threads: Option<NonZeroUsize>,
    /// Limits to ask of the adapter in place of the best it has. [`wgpu::Limits::default`] is what any WebGPU
    /// implementation gives.
    pub limits: Option<wgpu::Limits>,
}

impl EngineOptions {
    /// Options for `device`, everything else at its default.
    pub fn new(device: Device) -> Self {
        Self { device, ..Self::default() }
    }

    /// Allows software adapters.
    pub fn allow_software(mut self) -> Self {
        self.allow_software = true;
        self
    }

    /// Runs the SIMD backend on this many threads of its own.
    pub fn threads(mut self, threads: NonZeroUsize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// Asks the adapter for these limits.
    pub fn limits(mut self, limits: wgpu::Limits) -> Self {
        self.limits = Some(limits);
        self
    }
}

/// Evaluates batches on one device, or on [several](Engine::multi) at once. Making one is costly (a device,
/// pipelines); evaluating is not: keep it.
///
/// # Determinism
/// The same values on the same device give the same bits: run to run, for any number of threads, for any cut
/// into parts, and whether they come from host memory or lie on the device. Devices differ: an engine of several
/// gives bits that depend on which values went where, see [`Engine::multi`]; and one of [`Device::Auto`] where there is a
/// GPU gives those of the device it takes. Which it takes follows from the number of values, from whether there are
/// per-element outputs, and from what was measured when the engine was made, and so may differ between engines: name a
/// device for the same bits always.
#[derive(Debug)]
pub struct Engine {
    pub(crate) backend: Backend,
    /// Told with every result, and so made once.
    info: Arc<DeviceInfo>,
}

impl Engine {
    /// An engine on the device that `options` ask for.
    ///
    /// # Errors
    /// [`Error::NoGpu`] or [`Error::NoSuchDevice`] if there is no such device, [`Error::Device`] if it could not
    /// be opened. `Device::Auto` falls back to the CPU instead; it and `Device::Cpu` fail only if a thread pool
    /// cannot be made ([`Error::Threads`]).
    pub async fn new(options: EngineOptions) -> Result<Self> {
        if options.device == Device::Cpu {
            return Self::on_cpu(options.threads);
        }
        let adapters = adapters::enumerate().await;
        let infos: Vec<_> = adapters.iter().map(|adapter| adapters::describe(&adapter.get_info())).collect();
        let Some(index) = adapters::choose(&options.device, options.allow_software, &infos)? else {
            return Self::on_cpu(options.threads);
        };
        let gpu = Gpu::open(&adapters[index], options.limits).await;
        let gpu = gpu.map(|gpu| Self::on_backend(Backend::One(Processor::Gpu(Arc::new(gpu)))));
        if options.device != Device::Auto {
            return gpu;
        }
        let Ok(gpu) = gpu else { return Self::on_cpu(options.threads) };
        match Self::cheaper_of(gpu, Self::on_cpu(options.threads)?).await {
            Ok(auto) => Ok(auto),
            Err(_) => Self::on_cpu(options.threads),
        }
    }

    /// [`Engine::new`], blocking.
    ///
    /// # Errors
    /// As [`Engine::new`].
    pub fn new_blocking(options: EngineOptions) -> Result<Self> {
        pollster::block_on(Self::new(options))
    }

    /// An engine on the CPU, and on a GPU where there is one that opens: batches in host memory go where they are
    /// evaluated faster, as measured here ([`Engine::costs`] tells), those of a stream all to the same, and
    /// [`Run::device`] says where. Batches are [uploaded](Engine::upload) to the GPU.
    pub fn auto() -> Self {
        Self::new_blocking(EngineOptions::new(Device::Auto)).unwrap_or_else(|_| Self::cpu())
    }

    /// An engine on the CPU, with rayon's global thread pool.
    pub fn cpu() -> Self {
        Self::on_backend(Backend::One(Processor::Cpu(Cpu::global())))
    }

    /// An engine on the best GPU.
    ///
    /// # Errors
    /// [`Error::NoGpu`] if there is none but software adapters, [`Error::Device`] if it could not be opened.
    pub fn gpu() -> Result<Self> {
        Self::new_blocking(EngineOptions::new(Device::Gpu))
    }

    /// An engine on a caller's device and queue. `TIMESTAMP_QUERY` is used where the device has it; nothing else
    /// beyond WebGPU's defaults is needed.
    ///
    /// # Errors
    /// [`Error::Device`] if the device offers less than WebGPU's default limits do.
    pub async fn from_wgpu_async(device: wgpu::Device, queue: wgpu::Queue) -> Result<Self> {
        Ok(Self::on_backend(Backend::One(Processor::Gpu(Arc::new(Gpu::new(device, queue).await?)))))
    }

    /// [`Engine::from_wgpu_async`], blocking.
    ///
    /// # Errors
    /// As [`Engine::from_wgpu_async`].
    pub fn from_wgpu(device: wgpu::Device, queue: wgpu::Queue) -> Result<Self> {
        pollster::block_on(Self::from_wgpu_async(device, queue))
    }

    fn on_cpu(threads: Option<NonZeroUsize>) -> Result<Self> {
        Ok(Self::on_backend(Backend::One(Processor::Cpu(Cpu::new(threads)?))))
    }

    pub(crate) fn on_backend(backend: Backend) -> Self {
        Self { info: backend.info(), backend }
    }

    /// The device this engine runs on; of several the names, joined; the GPU where that is chosen for each batch.
    pub fn device(&self) -> DeviceInfo {
        (*self.info).clone()
    }

    /// The wgpu device and queue this engine runs on, if it runs on one.
    pub fn wgpu(&self) -> Option<(&wgpu::Device, &wgpu::Queue)> {
        self.backend.gpu().map(|gpu| (&gpu.device, &gpu.queue))
    }

    /// Evaluates a batch in host memory. On a GPU it streams through in chunks, with a bounded amount of memory on
    /// either side. Natively the future waits for the device where it is polled.
    ///
    /// # Errors
    /// [`Error::Length`] if an output is not as long as the batch, [`Error::InvalidValue`] for the first invalid
    /// value (unless the objective lets them through), [`Error::Refused`] for what the system in [`Compat`] refuses,
    /// [`Error::Device`] if the device failed.
    pub async fn evaluate_async(
        &self,
        batch: &Batch<'_>,
        objective: &Objective,
        outputs: Outputs<'_>,
    ) -> Result<Evaluation> {
        let totals = if objective.needs_totals(batch.mask().is_some()) && outputs.want_derivatives() {
            self.totals(batch, objective)?
        } else {
            Totals::of_ones(batch.len() as u64)
        };
        let engine = self.pick(Some(batch.len() as u64), outputs.want_any());
        let mut stream = engine.open(objective, Some(batch.len() as u64), Some(totals));
        let mut made = Made::default();
        stream.push_views(batch, outputs.open(&mut made, batch.len())?).await?;
        let mut evaluation = stream.finish()?;
        (evaluation.loss, evaluation.gradient, evaluation.hessian) = (made.loss, made.gradient, made.hessian);
        Ok(evaluation)
    }

    /// [`Engine::evaluate_async`], blocking.
    ///
    /// # Errors
    /// As [`Engine::evaluate_async`].
    pub fn evaluate(&self, batch: &Batch<'_>, objective: &Objective, outputs: Outputs<'_>) -> Result<Evaluation> {
        block_on(self.evaluate_async(batch, objective, outputs))
    }

    /// Opens a stream: a batch that comes in parts, in order.
    ///
    /// `len` is the number of values of the whole batch, which [`Stream::finish`] checks. The gradient of a mean is
    /// divided by it: without it, a push that wants a gradient or hessian of a mean fails. So does one whose mean
    /// divides by something else, see [`stream_with_totals`](Self::stream_with_totals).
    pub fn stream(&self, objective: &Objective, len: Option<u64>) -> Stream<'_> {
        let totals = len.filter(|_| objective.reduction() != Reduction::WeightedMean).map(Totals::of_ones);
        self.pick(len, true).open(objective, len, totals)
    }

    /// Opens a stream whose gradient is divided by what a pass before has found: with an ignored label, a mask or a
    /// weighted mean that is not the number of values. The totals are those of [`totals`](Self::totals), merged over
    /// all parts.
    pub fn stream_with_totals(&self, objective: &Objective, totals: Totals) -> Stream<'_> {
        Stream { exact_totals: true, ..self.pick(None, true).open(objective, None, Some(totals)) }
    }

    fn open(&self, objective: &Objective, len: Option<u64>, totals: Option<Totals>) -> Stream<'_> {
        Stream {
            engine: self,
            objective: objective.clone(),
            len,
            totals,
            exact_totals: false,
            pushed: 0,
            done: Done::default(),
            rows: Vec::new(),
            labels: Labels::default(),
            bytes: 0,
            started: Instant::now(),
        }
    }

    /// How many elements of a batch are counted, and what they weigh: what its mean divides by. Looks at targets,
    /// mask and weights in host memory, not at predictions, and runs on the CPU whatever the device. Nothing is
    /// validated: an element with an invalid target or weight is counted, and weighs nothing.
    ///
    /// # Errors
    /// [`Error::Length`] or [`Error::IgnoreType`] if the objective does not fit the batch.
    pub fn totals(&self, batch: &Batch<'_>, objective: &Objective) -> Result<Totals> {
        objective.check(batch.classes(), &batch.targets())?;
        let global;
        let cpu = match self.backend.cpu() {
            Some(cpu) => cpu,
            None => {
                global = Cpu::global();
                &global
            }
        };
        let parameters = LossParameters::of(batch.form(), batch.weights().is_some(), batch.mask().is_some(), objective);
        let (count, weight) = cpu.totals(batch, &parameters);
        Ok(Totals { count, weight })
    }

    /// Copies a batch to the device, to be evaluated there.
    ///
    /// # Errors
    /// [`Error::NotOnGpu`] on a CPU or several devices, [`Error::Limit`] if an array is larger than the device's buffers can be,
    /// [`Error::Device`] if the device failed.
    pub async fn upload_async(&self, batch: &Batch<'_>) -> Result<DeviceBatch> {
        self.on_gpu("upload")?.upload(batch).await
    }

    /// [`Engine::upload_async`], blocking.
    ///
    /// # Errors
    /// As [`Engine::upload_async`].
    pub fn upload(&self, batch: &Batch<'_>) -> Result<DeviceBatch> {
        pollster::block_on(self.upload_async(batch))
    }

    /// Prepares the evaluation of a batch that lies on the device: checks every buffer, compiles what is not
    /// compiled yet, and makes what running or recording it needs.
    ///
    /// # Errors
    /// [`Error::NotOnGpu`] on a CPU or several devices, [`Error::Buffer`] if a buffer is too small, lacks a usage, is misaligned, or is
    /// both read and written, [`Error::Limit`] if a new output would be larger than the device's buffers can be,
    /// [`Error::Device`] if the device failed.
    pub async fn prepare_async(
        &self,
        batch: &DeviceBatch,
        objective: &Objective,
        outputs: DeviceOutputs,
    ) -> Result<Prepared> {
        Arc::clone(self.on_gpu("prepare")?).prepare(batch, objective, outputs).await
    }

    /// [`Engine::prepare_async`], blocking.
    ///
    /// # Errors
    /// As [`Engine::prepare_async`].
    pub fn prepare(&self, batch: &DeviceBatch, objective: &Objective, outputs: DeviceOutputs) -> Result<Prepared> {
        pollster::block_on(self.prepare_async(batch, objective, outputs))
    }

    /// Copies the first `values.len()` values of a region to the host, bit for bit: `values`, a `&mut Vec<f32>` or a
    /// slice or array of f32, f16 or bf16, are of the type that the region was written in. The region has whole words
    /// of 4 bytes.
    ///
    /// # Errors
    /// [`Error::NotOnGpu`] on a CPU or several devices, [`Error::Buffer`] if the region is shorter or lacks the usage `COPY_SRC`,
    /// [`Error::Device`] if the device failed.
    pub async fn download_async<'v>(&self, region: &BufferRegion, values: impl Into<FloatsMut<'v>>) -> Result<()> {
        self.on_gpu("download")?.download(region, values.into()).await
    }

    /// [`Engine::download_async`], blocking.
    ///
    /// # Errors
    /// As [`Engine::download_async`].
    pub fn download<'v>(&self, region: &BufferRegion, values: impl Into<FloatsMut<'v>>) -> Result<()> {
        pollster::block_on(self.download_async(region, values))
    }

    fn on_gpu(&self, call: &'static str) -> Result<&Arc<Gpu>> {
        self.backend.gpu().ok_or(Error::NotOnGpu { call })
    }
}

/// Waits for a future. One that is ready at once, as every evaluation on a CPU is, costs nothing to wait for.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => pollster::block_on(future),
    }
}

/// Every device an engine can run on, and what [`Device::Auto`] takes.
pub async fn devices_async() -> Devices {
    adapters::report(Cpu::global().info(), &adapters::enumerate().await)
}

/// [`devices_async`], blocking.
pub fn devices() -> Devices {
    pollster::block_on(devices_async())
}

/// A batch that comes in parts, in order. On one device the parts have the same bits as one call on the whole; of
/// several, each takes its share of every part. Where a device is chosen for each batch, that is done when the stream
/// is opened, by the length announced (for a large batch, if there is none) and as if outputs were wanted.
#[derive(Debug)]
pub struct Stream<'e> {
    engine: &'e Engine,
    objective: Objective,
    len: Option<u64>,
    /// What the mean divides by; none if nobody has said.
    totals: Option<Totals>,
    /// Whether the totals were counted, rather than taken from the length.
    exact_totals: bool,
    pushed: u64,
    done: Done,
    /// The mean of each row, where the reduction asks for it.
    rows: Vec<f64>,
    labels: Labels,
    bytes: u64,
    started: Instant,
}

impl Stream<'_> {
    /// Evaluates the next part: a multiple of [`BLOCK`](crate::BLOCK) values, unless it is the last. `outputs` are
    /// those of this part, and are written in the caller's memory: [`Sink::New`](crate::Sink::New) has none to
    /// hand out here, and is an error.
    ///
    /// # Errors
    /// [`Error::Unaligned`] if an earlier part ended inside a block, [`Error::UnknownTotal`] if the gradient or
    /// hessian of a mean is wanted and the stream was not told its length; otherwise as
    /// [`Engine::evaluate_async`], an invalid value's index counted from the start of the stream. After an error
    /// the stream is of no more use.
    pub async fn push_async(&mut self, part: &Batch<'_>, outputs: Outputs<'_>) -> Result<()> {
        if outputs.want_new() {
            return Err(Error::NewInStream);
        }
        self.push_views(part, outputs.open(&mut Made::default(), part.len())?).await
    }

    /// [`Stream::push_async`], blocking.
    ///
    /// # Errors
    /// As [`Stream::push_async`].
    pub fn push(&mut self, part: &Batch<'_>, outputs: Outputs<'_>) -> Result<()> {
        block_on(self.push_async(part, outputs))
    }

    async fn push_views(&mut self, part: &Batch<'_>, outputs: Views<'_>) -> Result<()> {
        let len = part.len() as u64;
        let objective = &self.objective;
        objective.check(part.classes(), &part.targets())?;
        if part.is_empty() {
            return Ok(());
        }
        self.labels.look_at(part, objective, self.pushed);
        let mask = part.mask().is_some();
        let weights = part.weights().is_some();
        let known = self.exact_totals || !objective.needs_totals(mask) || self.len == Some(len);
        let coefficient = match &self.totals {
            Some(totals) if known => objective.coefficient(totals),
            _ if outputs.derivatives()
                && matches!(objective.reduction(), Reduction::Mean | Reduction::WeightedMean) =>
            {
                return Err(Error::UnknownTotal);
            }
            _ => objective.scale(),
        };
        let job = Job::new(objective, part.form(), weights, mask, coefficient);
        let unit = plan::unit(job.sums, part.classes());
        let first = self.pushed;
        if !first.is_multiple_of(unit) {
            return Err(Error::Unaligned { len, block: unit });
        }
        self.bytes += part.bytes() + outputs.width() * len;
        let rows = (job.sums == Sums::PerRow).then(|| {
            let before = self.rows.len();
            self.rows.resize(before + part.len() / part.classes(), 0.0);
            &mut self.rows[before..]
        });
        let any_number = objective.compat().is_some_and(Compat::binarizes);
        let done = self.engine.backend.evaluate(part, &job, first, outputs, rows).await?;
        if let (true, Some(index)) = (job.stop_at_invalid, done.partials.first_invalid)
            && let Some((array, value)) = part.offence((index - first) as usize, any_number)
        {
            return Err(Error::InvalidValue { array, index, value });
        }
        self.done.merge(&done);
        self.pushed += len;
        Ok(())
    }

    /// How many values were pushed.
    pub fn pushed(&self) -> u64 {
        self.pushed
    }

    /// The means of the rows pushed since the last call, with [`Reduction::PerRow`]: a stream holds those that are not
    /// taken until it [ends](Self::finish), which then hands out the rest.
    pub fn take_rows(&mut self) -> Vec<f64> {
        mem::take(&mut self.rows)
    }

    /// Ends the stream.
    ///
    /// # Errors
    /// [`Error::StreamLength`] if another total was announced, [`Error::Refused`] for what the system in [`Compat`]
    /// refuses.
    pub fn finish(self) -> Result<Evaluation> {
        if let Some(expected) = self.len
            && expected != self.pushed
        {
            return Err(Error::StreamLength { expected, actual: self.pushed });
        }
        if let Some(refusal) = self.labels.refusal(&self.objective, &self.done.partials) {
            return Err(refusal.into());
        }
        let Done { partials, mut phases, chunks } = self.done;
        phases.elapsed = self.started.elapsed();
        Ok(Evaluation {
            value: Value::new(&self.objective, &partials, self.rows),
            sum: partials.sum.value(),
            mean: self.objective.mean_of(&partials),
            count: partials.count,
            loss: None,
            gradient: None,
            hessian: None,
            partials,
            run: Run { device: Arc::clone(&self.engine.info), phases, chunks, bytes: self.bytes },
        })
    }
}
