//! Batches that live on the device: uploaded once or a caller's own, evaluated as often as one likes.

use std::{sync::Arc, time::Instant};

use crate::{
    Array, Batch, Error, Evaluation, Form, Invalid, Objective, Phases, Result, Run, Value,
    gpu::{
        Gpu,
        buffers::{self, BufferRegion},
        host::{Timer, view},
        pass::{Arrays, OUTPUTS, Pass},
        pipelines::{PredictionType, TargetType},
        result::ResultBlock,
    },
};

/// Bytes sent to the device before waiting for them to arrive: bounds what wgpu keeps of them on the host.
const UPLOAD_STEP: u64 = 32 << 20;

/// Predictions and targets on a device, of shape `[N]` or `[N, C]` row-major.
///
/// The buffers hold whole words of 4 bytes; what the last word has beyond the last value is not looked at. They may
/// be written between evaluations, by whomever: their values are checked anew in each.
#[derive(Clone, Debug)]
pub struct DeviceBatch {
    form: Form,
    len: u64,
    prediction: PredictionType,
    target: TargetType,
    predictions: BufferRegion,
    targets: BufferRegion,
}

impl DeviceBatch {
    /// A batch of `len` values in a caller's buffers, which need the usage `STORAGE` and offsets that the device
    /// allows; with `COPY_SRC` an error can also tell the offending value. Nothing is checked before it is used:
    /// [`Engine::prepare`](crate::Engine::prepare) does.
    pub fn from_buffers(
        form: Form,
        len: u64,
        (prediction, predictions): (PredictionType, BufferRegion),
        (target, targets): (TargetType, BufferRegion),
    ) -> Self {
        Self { form, len, prediction, target, predictions, targets }
    }

    /// Number of values, N·C.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is no value at all.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where the predictions lie.
    pub fn predictions(&self) -> &BufferRegion {
        &self.predictions
    }

    /// Where the targets lie.
    pub fn targets(&self) -> &BufferRegion {
        &self.targets
    }

    /// Bytes that an evaluation has to read.
    pub fn bytes(&self) -> u64 {
        self.prediction.bytes(self.len) + self.target.bytes(self.len)
    }
}

/// Where one output of a device-resident evaluation goes.
#[derive(Clone, Debug, Default)]
pub enum DeviceSink {
    /// Nowhere.
    #[default]
    Skip,
    /// Into a new buffer with the usages `STORAGE`, `COPY_SRC` and `COPY_DST`.
    New,
    /// Into a caller's buffer with the usage `STORAGE`, that holds nothing else the evaluation reads or writes.
    Into(BufferRegion),
}

/// The outputs wanted on the device, each f32.
#[derive(Clone, Debug, Default)]
pub struct DeviceOutputs {
    /// The loss of each element.
    pub loss: DeviceSink,
    /// The gradient of the reduced value with respect to each prediction, times the objective's scale.
    pub gradient: DeviceSink,
    /// The diagonal of the hessian of the reduced value, times the objective's scale.
    pub hessian: DeviceSink,
}

impl DeviceOutputs {
    /// None: only the result block.
    pub fn none() -> Self {
        Self::default()
    }

    /// The gradient, in a new buffer.
    pub fn gradient() -> Self {
        Self { gradient: DeviceSink::New, ..Self::default() }
    }
}

/// An evaluation of device buffers with everything it needs, to be run or recorded as often as one likes.
/// Neither allocates anything on the device.
#[derive(Debug)]
pub struct Prepared {
    gpu: Arc<Gpu>,
    arrays: Arrays,
    objective: Objective,
    pass: Pass,
    readback: wgpu::Buffer,
    timer: Option<Timer>,
    /// Held from submission to readback: there is one buffer to read from.
    turn: futures_intrusive::sync::Mutex<()>,
}

impl Gpu {
    /// Copies a batch to the device.
    pub async fn upload(&self, batch: &Batch<'_>) -> Result<DeviceBatch> {
        let len = batch.len() as u64;
        let (prediction, target) = ((&batch.predictions()).into(), (&batch.targets()).into());
        Ok(DeviceBatch {
            form: batch.form(),
            len,
            prediction,
            target,
            predictions: self.upload_array("predictions", batch.predictions().bytes(), prediction.bytes(len)).await?,
            targets: self.upload_array("targets", batch.targets().bytes(), target.bytes(len)).await?,
        })
    }

    async fn upload_array(&self, name: &'static str, bytes: &[u8], padded: u64) -> Result<BufferRegion> {
        let buffer = self.new_array(name, padded).await?;
        let (whole, tail) = bytes.split_at(bytes.len() - bytes.len() % 4);
        for (step, part) in (0..).zip(whole.chunks(UPLOAD_STEP as usize)) {
            self.queue.write_buffer(&buffer, step * UPLOAD_STEP, part);
            buffers::wait(&self.device, self.queue.submit([]))?;
        }
        if !tail.is_empty() {
            let mut word = [0; 4];
            word[..tail.len()].copy_from_slice(tail);
            self.queue.write_buffer(&buffer, whole.len() as u64, &word);
        }
        Ok(buffer.into())
    }

    async fn new_array(&self, name: &'static str, bytes: u64) -> Result<wgpu::Buffer> {
        if bytes > self.limits.max_buffer_size {
            return Err(Error::Limit { name, needed: bytes, limit: self.limits.max_buffer_size });
        }
        use wgpu::BufferUsages as Usage;
        // A buffer of no bytes cannot be bound.
        let usage = Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST;
        buffers::scoped(&self.device, || buffers::make(&self.device, name, bytes.max(4), usage)).await
    }

    /// Checks everything and makes what an evaluation needs.
    pub async fn prepare(
        self: Arc<Self>,
        batch: &DeviceBatch,
        objective: &Objective,
        outputs: DeviceOutputs,
    ) -> Result<Prepared> {
        let mut regions = [const { None }; 3];
        for ((region, sink), name) in
            regions.iter_mut().zip([outputs.loss, outputs.gradient, outputs.hessian]).zip(OUTPUTS)
        {
            *region = match sink {
                DeviceSink::Skip => None,
                DeviceSink::New => Some(self.new_array(name, batch.len * 4).await?.into()),
                DeviceSink::Into(region) => Some(region),
            };
        }
        let arrays = Arrays {
            form: batch.form,
            prediction: batch.prediction,
            target: batch.target,
            len: batch.len,
            predictions: batch.predictions.clone(),
            targets: batch.targets.clone(),
            outputs: regions,
        };
        arrays.check(&self.limits)?;
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let made = buffers::scoped(&self.device, || {
            (
                Pass::new(&self, &arrays, objective.coefficient(batch.len)),
                buffers::make(&self.device, "logloss readback", ResultBlock::SIZE + 16, usage),
                self.timestamp_period.map(|_| Timer::new(&self.device)),
            )
        });
        let (pass, readback, timer) = made.await?;
        Ok(Prepared {
            gpu: self,
            arrays,
            objective: *objective,
            pass,
            readback,
            timer,
            turn: futures_intrusive::sync::Mutex::new((), true),
        })
    }

    /// Copies the first values of a region of f32 to the host.
    pub async fn download(&self, region: &BufferRegion, values: &mut [f32]) -> Result<()> {
        let bytes = size_of_val(values) as u64;
        region.check("region", bytes, wgpu::BufferUsages::COPY_SRC, 4)?;
        if values.is_empty() {
            return Ok(());
        }
        let step = bytes.min(UPLOAD_STEP);
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let readback =
            buffers::scoped(&self.device, || buffers::make(&self.device, "logloss readback", step, usage)).await?;
        for (part, values) in (0..).zip(values.chunks_mut(step as usize / 4)) {
            let bytes = size_of_val(values) as u64;
            let mut encoder = self.device.create_command_encoder(&Default::default());
            encoder.copy_buffer_to_buffer(&region.buffer, region.offset + part * step, &readback, 0, bytes);
            self.read(encoder, &readback, bytes, |view| bytemuck::cast_slice_mut(values).copy_from_slice(view)).await?;
        }
        Ok(())
    }

    /// Submits `encoder`, waits for it, and looks at the first `bytes` bytes of `readback`.
    async fn read<T>(
        &self,
        encoder: wgpu::CommandEncoder,
        readback: &wgpu::Buffer,
        bytes: u64,
        look: impl FnOnce(&[u8]) -> T,
    ) -> Result<T> {
        let submission = self.queue.submit([encoder.finish()]);
        let mapped = buffers::map(readback.slice(..bytes), wgpu::MapMode::Read);
        buffers::wait(&self.device, submission)?;
        mapped.await?;
        let value = look(&view(readback, bytes)?);
        readback.unmap();
        Ok(value)
    }
}

impl Prepared {
    /// Records the evaluation into a caller's encoder: a few dispatches, outside any pass. Nothing is submitted,
    /// mapped or waited for; the result block and the outputs are complete when the device has run it. May be
    /// recorded any number of times, also in one encoder, where each overwrites what the one before has left.
    pub fn record(&self, encoder: &mut wgpu::CommandEncoder) {
        self.pass.record(encoder, None);
    }

    /// The buffer of the [`ResultBlock`], with the usages `STORAGE` and `COPY_SRC`.
    pub fn result(&self) -> &wgpu::Buffer {
        self.pass.result()
    }

    /// Where the loss goes, if it is wanted.
    pub fn loss(&self) -> Option<&BufferRegion> {
        self.arrays.outputs[0].as_ref()
    }

    /// Where the gradient goes, if it is wanted.
    pub fn gradient(&self) -> Option<&BufferRegion> {
        self.arrays.outputs[1].as_ref()
    }

    /// Where the hessian goes, if it is wanted.
    pub fn hessian(&self) -> Option<&BufferRegion> {
        self.arrays.outputs[2].as_ref()
    }

    /// Runs the evaluation and reads the result block; the outputs stay on the device.
    ///
    /// # Errors
    /// [`Error::InvalidValue`] for the first invalid value (unless the objective lets them through); its value is
    /// NaN where the caller's buffer lacks `COPY_SRC`. [`Error::Device`] if the device failed.
    pub async fn evaluate_async(&self) -> Result<Evaluation> {
        let started = Instant::now();
        let _turn = self.turn.lock().await;
        let gpu = &*self.gpu;
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        self.pass.record(&mut encoder, self.timer.as_ref().map(Timer::writes));
        encoder.copy_buffer_to_buffer(self.result(), 0, &self.readback, 0, ResultBlock::SIZE);
        if let Some(timer) = &self.timer {
            timer.resolve(&mut encoder, &self.readback, ResultBlock::SIZE);
        }
        let (block, kernel) = gpu
            .read(encoder, &self.readback, ResultBlock::SIZE + 16, |bytes| {
                let (block, ticks) = bytes.split_at(ResultBlock::SIZE as usize);
                (bytemuck::pod_read_unaligned::<ResultBlock>(block), gpu.kernel_time(ticks))
            })
            .await?;
        let elapsed = started.elapsed();
        let partials = block.partials();
        if let (Invalid::Error, Some(index)) = (self.objective.invalid(), partials.first_invalid) {
            return Err(self.offence(block.status, index).await?);
        }
        let arrays = &self.arrays;
        let written = arrays.outputs.iter().flatten().count() as u64 * 4 * arrays.len;
        Ok(Evaluation {
            value: Value::new(self.objective.reduction(), &partials),
            sum: partials.sum.value(),
            mean: partials.mean(),
            count: partials.count,
            loss: None,
            gradient: None,
            hessian: None,
            partials,
            run: Run {
                device: gpu.info.clone(),
                phases: Phases {
                    kernel: kernel.unwrap_or(elapsed),
                    timestamps: kernel.is_some(),
                    elapsed,
                    ..Phases::default()
                },
                chunks: self.pass.windows() as u64,
                bytes: arrays.prediction.bytes(arrays.len) + arrays.target.bytes(arrays.len) + written,
            },
        })
    }

    /// [`evaluate_async`](Self::evaluate_async), blocking.
    ///
    /// # Errors
    /// As [`evaluate_async`](Self::evaluate_async).
    pub fn evaluate(&self) -> Result<Evaluation> {
        pollster::block_on(self.evaluate_async())
    }

    /// The error for value `index`, read back from the device.
    async fn offence(&self, status: u32, index: u64) -> Result<Error> {
        let arrays = &self.arrays;
        // Only the word that holds the value is copied.
        let (array, region, at) = if status == 1 {
            let array = if arrays.form == Form::Logits { Array::Predictions } else { Array::Probabilities };
            (array, &arrays.predictions, index * if arrays.prediction == PredictionType::F32 { 4 } else { 2 })
        } else {
            (Array::Targets, &arrays.targets, index * if arrays.target == TargetType::F32 { 4 } else { 1 })
        };
        if !region.buffer.usage().contains(wgpu::BufferUsages::COPY_SRC) {
            return Ok(Error::InvalidValue { array, index, value: f64::NAN });
        }
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(&region.buffer, region.offset + at / 4 * 4, &self.readback, 0, 4);
        let word = self.gpu.read(encoder, &self.readback, 4, bytemuck::pod_read_unaligned::<u32>).await?;
        let bits = word >> (at % 4 * 8);
        let value = match (status, arrays.prediction, arrays.target) {
            (1, PredictionType::F32, _) | (2, _, TargetType::F32) => f32::from_bits(word).into(),
            (1, PredictionType::F16, _) => half::f16::from_bits(bits as u16).into(),
            (1, PredictionType::Bf16, _) => half::bf16::from_bits(bits as u16).into(),
            _ => f64::from(bits as u8),
        };
        Ok(Error::InvalidValue { array, index, value })
    }
}
