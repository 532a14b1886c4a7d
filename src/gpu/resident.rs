//! Batches in the memory of a device, uploaded once or in buffers of the caller, and their repeated evaluation.

use std::sync::Arc;

use web_time::Instant;

use crate::{
    Array, Batch, ClassPartials, Error, Evaluation, FloatsMut, Form, Misfit, NonFinite, Objective, OutputType,
    Partials, Phases, PredictionType, Result, Run, TargetType, Targets, Totals, Value, WeightShape, WeightType,
    gpu::{
        Gpu,
        buffers::{self, BufferRegion, Mapping},
        dispatch::{Arrays, OUTPUT_NAMES, Pass},
        host_array::HostArray,
        kept_tail::KeptTail,
        layout::{ALIGNMENT, BAD_PREDICTION, BAD_WEIGHT, ClassSum},
        limits::{self, CLASSES_MAX},
        readback::{self, Head, Timer, view},
    },
    job::{Job, Sums},
    partials::Piece,
    plan,
    prediction_kind::{Encoding, Precision, PredictionKind},
};

/// The largest number of values of a batch: 4 TiB of f32, more than any device has.
const LEN_MAX: u64 = 1 << 40;

/// The number of bytes that are sent to the device before the host waits for their arrival. It bounds the copies that
/// wgpu keeps on the host.
const UPLOAD_STEP: u64 = 32 << 20;

/// Predictions and targets on a device, of shape `[N]` or `[N, C]` row-major.
///
/// The size of a buffer is a multiple of 4 bytes; bytes of the last word after the last value are ignored. The caller may
/// write to the buffers between evaluations: every evaluation checks their values again.
///
/// ```
/// # use logloss::{Batch, Device, DeviceOutputs, Engine, EngineOptions, Error, Objective};
/// # fn main() -> Result<(), Error> {
/// # let engine = match Engine::new(EngineOptions::new(Device::Gpu).with_allow_software(true)) {
/// #     Err(Error::NoGpu { .. }) => return Ok(()), // There is no adapter.
/// #     engine => engine?,
/// # };
/// let batch = engine.upload(&Batch::logits(&[0.0f32; 6], &[1u8; 6])?)?.with_classes(3)?;
/// assert_eq!(batch.len(), 6);
/// assert_eq!(batch.bytes(), 32); // 6 predictions of 4 bytes; 6 targets of a byte, in whole words.
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct DeviceBatch {
    kind: PredictionKind,
    len: u64,
    prediction: PredictionType,
    target: TargetType,
    predictions: BufferRegion,
    targets: BufferRegion,
    classes: u64,
    weights: Option<(WeightType, WeightShape, BufferRegion)>,
    mask: Option<BufferRegion>,
    first_row: Option<u64>,
}

impl DeviceBatch {
    /// A batch of `len` values in buffers of the caller.
    ///
    /// The buffers need the usage `STORAGE`, and offsets that are multiples of the device's
    /// `min_storage_buffer_offset_alignment`. If they also have the usage `COPY_SRC`, the error for an invalid value
    /// contains the value; otherwise NaN. [`Engine::prepare`](crate::Engine::prepare) checks all of this.
    pub fn from_buffers(
        form: Form,
        len: u64,
        (prediction, predictions): (PredictionType, BufferRegion),
        (target, targets): (TargetType, BufferRegion),
    ) -> Self {
        let precision = if prediction == PredictionType::F16 { Precision::Half } else { Precision::Single };
        let encoding = match form {
            Form::Logits => Encoding::Logits,
            Form::Probabilities => Encoding::Probabilities,
        };
        let kind = PredictionKind { encoding, precision };
        Self {
            kind,
            len,
            prediction,
            target,
            predictions,
            targets,
            classes: 1,
            weights: None,
            mask: None,
            first_row: None,
        }
    }

    /// The same values in the shape `[N, classes]`, row-major.
    ///
    /// # Errors
    /// [`Error::Shape`] if `classes` is 0 or does not divide the number of values.
    pub fn with_classes(mut self, classes: u64) -> Result<Self> {
        if classes == 0 || !self.len.is_multiple_of(classes) {
            return Err(Error::Shape { len: self.len, classes });
        }
        self.classes = classes;
        Ok(self)
    }

    /// Adds a weight for each element, `[N, C]`, or for each sample, `[N]`.
    pub fn with_weights(mut self, ty: WeightType, shape: WeightShape, weights: impl Into<BufferRegion>) -> Self {
        let shape = if self.classes == 1 { WeightShape::Elements } else { shape };
        self.weights = Some((ty, shape, weights.into()));
        self
    }

    /// Adds a mask: a bit for each element, least significant bit first, in words of 4 bytes. An element whose bit is 0
    /// is ignored.
    pub fn with_mask(mut self, bits: impl Into<BufferRegion>) -> Self {
        self.mask = Some(bits.into());
        self
    }

    /// Says that the batch is a part of a larger one, which begins with row `row` of it, as
    /// [`Batch::with_first_row`](crate::Batch::with_first_row) does. An uploaded batch begins where that in host memory
    /// does.
    ///
    /// A part on a device begins with a block: at a multiple of [`BLOCK`](crate::BLOCK) values, or rows if sums are taken
    /// per class or row. It may end anywhere. Every index of an [`Evaluation`] is then counted from the start of the
    /// larger batch; those of a result block are not.
    pub fn with_first_row(mut self, row: u64) -> Self {
        self.first_row = Some(row);
        self
    }

    /// The number of values, N·C.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether the batch has no values.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The part of a buffer that holds the predictions. Those uploaded in f64 are f32 on the device: logits are rounded, and
    /// a probability above 1/2 is stored as p − 1, so that it keeps its digits (one below 2⁻¹²⁶ as −log p). A caller who
    /// writes other predictions there uploads f32.
    pub fn predictions(&self) -> &BufferRegion {
        &self.predictions
    }

    /// The part of a buffer that holds the targets.
    pub fn targets(&self) -> &BufferRegion {
        &self.targets
    }

    /// The number of bytes that an evaluation reads.
    pub fn bytes(&self) -> u64 {
        let weights = self.weights.as_ref().map_or(0, |(ty, shape, _)| {
            ty.bytes(if *shape == WeightShape::Samples { self.len / self.classes } else { self.len })
        });
        let mask = self.mask.as_ref().map_or(0, |_| TargetType::Bits.bytes(self.len));
        self.prediction.bytes(self.len) + self.target.bytes(self.len) + weights + mask
    }
}

/// The destination and type of one output of an evaluation on the device.
///
/// ```
/// use logloss::{DeviceOutputs, DeviceSink, OutputType};
///
/// let outputs = DeviceOutputs::none().with_gradient(DeviceSink::NewAs(OutputType::Bf16));
/// assert!(matches!(outputs.gradient, DeviceSink::NewAs(OutputType::Bf16)));
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum DeviceSink {
    /// The output is not computed.
    #[default]
    Skip,
    /// The output is written as f32 to a new buffer with the usages `STORAGE`, `COPY_SRC` and `COPY_DST`.
    New,
    /// The output is written as f32 to a buffer of the caller, which has the usage `STORAGE` and holds no other array of
    /// the evaluation.
    Into(BufferRegion),
    /// The output is written to a new buffer, as [`New`](Self::New), in this type.
    NewAs(OutputType),
    /// The output is written to a buffer of the caller, as [`Into`](Self::Into), in this type.
    IntoAs(OutputType, BufferRegion),
}

impl From<BufferRegion> for DeviceSink {
    fn from(region: BufferRegion) -> Self {
        DeviceSink::Into(region)
    }
}

impl From<wgpu::Buffer> for DeviceSink {
    fn from(buffer: wgpu::Buffer) -> Self {
        DeviceSink::Into(buffer.into())
    }
}

/// The outputs of an evaluation on the device. An output has a value for each value of the batch, in the same order, and
/// its own type.
///
/// ```
/// use logloss::{DeviceOutputs, DeviceSink};
///
/// let outputs = DeviceOutputs::gradient().with_hessian(DeviceSink::New);
/// assert!(matches!(outputs.loss, DeviceSink::Skip));
/// assert!(matches!(outputs.hessian, DeviceSink::New));
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct DeviceOutputs {
    /// The loss of each element.
    pub loss: DeviceSink,
    /// The gradient of the reduced value with respect to each prediction, times the objective's scale.
    pub gradient: DeviceSink,
    /// The diagonal of the hessian of the reduced value, times the objective's scale.
    pub hessian: DeviceSink,
}

impl DeviceOutputs {
    /// No outputs: the evaluation only writes the result block.
    pub fn none() -> Self {
        Self::default()
    }

    /// The gradient as f32 in a new buffer, and no other output.
    pub fn gradient() -> Self {
        Self::none().with_gradient(DeviceSink::New)
    }

    /// Loss, gradient and hessian, as f32 in new buffers.
    pub fn all() -> Self {
        Self { loss: DeviceSink::New, gradient: DeviceSink::New, hessian: DeviceSink::New }
    }

    /// Sets the destination of the loss: a sink, or a region or buffer that it is written to as f32.
    pub fn with_loss(mut self, sink: impl Into<DeviceSink>) -> Self {
        self.loss = sink.into();
        self
    }

    /// Sets the destination of the gradient: a sink, or a region or buffer that it is written to as f32.
    pub fn with_gradient(mut self, sink: impl Into<DeviceSink>) -> Self {
        self.gradient = sink.into();
        self
    }

    /// Sets the destination of the hessian: a sink, or a region or buffer that it is written to as f32.
    pub fn with_hessian(mut self, sink: impl Into<DeviceSink>) -> Self {
        self.hessian = sink.into();
        self
    }
}

/// An evaluation of device buffers with its pipelines, bind groups and buffers.
///
/// It can be run or recorded any number of times. Neither creates a buffer, bind group or pipeline.
///
/// ```
/// # use logloss::{Batch, Device, DeviceOutputs, Engine, EngineOptions, Error, Objective};
/// # fn main() -> Result<(), Error> {
/// # let engine = match Engine::new(EngineOptions::new(Device::Gpu).with_allow_software(true)) {
/// #     Err(Error::NoGpu { .. }) => return Ok(()), // There is no adapter.
/// #     engine => engine?,
/// # };
/// let batch = engine.upload(&Batch::logits(&[0.0f32; 1000], &[1u8; 1000])?)?;
/// let prepared = engine.prepare(&batch, &Objective::mean(), DeviceOutputs::gradient())?;
/// let evaluation = prepared.evaluate()?;
/// assert!((evaluation.mean - 2f64.ln()).abs() < 1e-7);
/// assert!(prepared.gradient().is_some());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Prepared {
    gpu: Arc<Gpu>,
    arrays: Arrays,
    objective: Objective,
    sums: Sums,
    /// The index of the first value in a larger batch.
    first: u64,
    bytes: u64,
    pass: Pass,
    readback: wgpu::Buffer,
    timer: Option<Timer>,
    /// The values to keep of the last block.
    kept: Option<KeptTail>,
    /// Locked from submission to readback, since all evaluations read back through one buffer.
    turn: futures_intrusive::sync::Mutex<()>,
}

impl Gpu {
    /// Copies a batch to the device.
    pub(crate) async fn upload(&self, batch: &Batch<'_>) -> Result<DeviceBatch> {
        let len = batch.len() as u64;
        let (prediction, target) = ((&batch.predictions()).into(), (&batch.targets()).into());
        Ok(DeviceBatch {
            kind: batch.kind(),
            len,
            prediction,
            target,
            predictions: self.upload_array("predictions", HostArray::predictions(batch), prediction.bytes(len)).await?,
            targets: self.upload_array("targets", HostArray::targets(batch), target.bytes(len)).await?,
            classes: batch.classes() as u64,
            weights: match batch.weights() {
                None => None,
                Some((weights, shape)) => {
                    let ty = WeightType::from(&weights);
                    let bytes = ty.bytes(weights.len() as u64);
                    Some((ty, shape, self.upload_array("weights", HostArray::Bytes(weights.bytes()), bytes).await?))
                }
            },
            mask: match batch.mask() {
                None => None,
                Some(bits) => {
                    Some(self.upload_array("mask", HostArray::Bytes(bits), TargetType::Bits.bytes(len)).await?)
                }
            },
            first_row: batch.first_row(),
        })
    }

    async fn upload_array(&self, name: &'static str, array: HostArray<'_>, padded: u64) -> Result<BufferRegion> {
        let buffer = self.new_array(name, padded).await?;
        let whole = array.len() - array.len() % 4;
        for start in (0..whole).step_by(UPLOAD_STEP as usize) {
            let part = array.part(start..whole.min(start + UPLOAD_STEP as usize));
            let sent = buffers::scoped(&self.device, || {
                self.queue.write_buffer(&buffer, start as u64, &part.bytes());
                self.queue.submit([])
            });
            buffers::wait(&self.device, sent.await?)?;
        }
        if whole < array.len() {
            let tail = array.part(whole..array.len()).bytes();
            let mut word = [0; 4];
            word[..tail.len()].copy_from_slice(&tail);
            buffers::scoped(&self.device, || self.queue.write_buffer(&buffer, whole as u64, &word)).await?;
        }
        Ok(buffer.into())
    }

    async fn new_array(&self, name: &'static str, bytes: u64) -> Result<wgpu::Buffer> {
        if bytes > self.limits.max_buffer_size {
            return Err(Error::Limit { name, unit: "bytes", needed: bytes, limit: self.limits.max_buffer_size });
        }
        use wgpu::BufferUsages as Usage;
        // A buffer of no bytes cannot be bound.
        let usage = Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST;
        buffers::scoped(&self.device, || buffers::make(&self.device, name, bytes.max(4), usage)).await
    }

    /// Checks the batch, the objective and all buffers, and creates the pipelines, bind groups and buffers.
    pub(crate) async fn prepare(
        self: Arc<Self>,
        batch: &DeviceBatch,
        objective: &Objective,
        outputs: DeviceOutputs,
    ) -> Result<Prepared> {
        if batch.len > LEN_MAX {
            return Err(Error::Limit { name: "the batch", unit: "values", needed: batch.len, limit: LEN_MAX });
        }
        // A window may begin in any of the rows that one aligned part of the weights has.
        let samples = matches!(batch.weights, Some((_, WeightShape::Samples, _)));
        limits::check_classes(batch.classes, if samples { CLASSES_MAX / ALIGNMENT } else { CLASSES_MAX })?;
        let mut regions = [const { None }; 3];
        for ((region, sink), name) in
            regions.iter_mut().zip([outputs.loss, outputs.gradient, outputs.hessian]).zip(OUTPUT_NAMES)
        {
            let (ty, into) = match sink {
                DeviceSink::Skip => continue,
                DeviceSink::New => (OutputType::F32, None),
                DeviceSink::NewAs(ty) => (ty, None),
                DeviceSink::Into(region) => (OutputType::F32, Some(region)),
                DeviceSink::IntoAs(ty, region) => (ty, Some(region)),
            };
            let into = match into {
                Some(region) => region,
                None => self.new_array(name, ty.bytes(batch.len)).await?.into(),
            };
            *region = Some((ty, into));
        }
        let arrays = Arrays {
            encoding: batch.kind.encoding,
            len: batch.len,
            start: 0,
            classes: batch.classes,
            prediction: batch.prediction,
            predictions: batch.predictions.clone(),
            target: batch.target,
            targets: batch.targets.clone(),
            weights: batch.weights.clone(),
            mask: batch.mask.clone(),
            outputs: regions,
        };
        arrays.check(&self.limits)?;
        let hard = match batch.target {
            TargetType::F32 => Targets::F32(&[]),
            TargetType::U8 => Targets::U8(&[]),
            TargetType::Bits => Targets::Bits(&[]),
        };
        objective.check(batch.classes as usize, &hard)?;
        let mask = batch.mask.is_some();
        let derivatives = arrays.outputs[1].is_some() || arrays.outputs[2].is_some();
        let divide = (derivatives && objective.needs_totals(mask)).then(|| objective.scale());
        let coefficient = match divide {
            Some(scale) => scale,
            None => objective.coefficient(&Totals::of_ones(batch.len)),
        };
        let weights = batch.weights.is_some();
        let job = Job { divide, ..Job::new(objective, batch.kind, weights, mask, coefficient) };
        let sums = job.sums;
        let first = plan::first_index(batch.first_row, batch.classes, batch.len)?.unwrap_or_default();
        let block = plan::unit(sums, batch.classes as usize);
        if !first.is_multiple_of(block) {
            return Err(Misfit::Inside { index: first, block }.into());
        }
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let made = buffers::scoped(&self.device, || {
            Pass::new(&self, &arrays, &job).and_then(|pass| {
                let values = pass.values.as_ref().map_or(0, wgpu::Buffer::size);
                let bytes = head_bytes(&pass) + values;
                let readback = buffers::make(&self.device, "logloss readback", bytes, usage);
                let timer = self.timestamp_period.map(|_| Timer::new(&self.device));
                let kept = if batch.first_row.is_some() { KeptTail::new(&self, &arrays, &job, first)? } else { None };
                Ok((pass, readback, timer, kept))
            })
        });
        let made = self.pipelines.keep(made.await);
        if made.is_err()
            && let Some(error) = arrays.foreign(&self.device).await
        {
            return Err(error);
        }
        let (pass, readback, timer, kept) = made??;
        let bytes = batch.bytes();
        Ok(Prepared {
            gpu: self,
            arrays,
            objective: objective.clone(),
            sums,
            first,
            bytes,
            pass,
            readback,
            timer,
            kept,
            turn: futures_intrusive::sync::Mutex::new((), true),
        })
    }

    /// Copies the first values of a region, of the type of `values`, to the host.
    pub(crate) async fn download(&self, region: &BufferRegion, mut values: FloatsMut<'_>) -> Result<()> {
        let bytes = values.bytes_mut();
        // Copies are of whole words: after an odd number of halves, the second half of the last word is dropped.
        let whole = |bytes: &[u8]| (bytes.len() as u64).next_multiple_of(4);
        region.check("region", whole(bytes), wgpu::BufferUsages::COPY_SRC, 4)?;
        if bytes.is_empty() {
            return Ok(());
        }
        let step = whole(bytes).min(UPLOAD_STEP);
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let readback =
            buffers::scoped(&self.device, || buffers::make(&self.device, "logloss readback", step, usage)).await?;
        for (part, bytes) in (0..).zip(bytes.chunks_mut(step as usize)) {
            let copied = whole(bytes);
            let mut encoder = self.device.create_command_encoder(&Default::default());
            encoder.copy_buffer_to_buffer(&region.buffer, region.offset + part * step, &readback, 0, copied);
            let read = self.read(encoder, &readback, copied, |view| bytes.copy_from_slice(&view[..bytes.len()])).await;
            if let Err(error) = read {
                return Err(region.foreign("region", &self.device).await.unwrap_or(error));
            }
        }
        Ok(())
    }

    /// Submits `encoder`, waits for it, and calls `look` with the first `bytes` bytes of `readback`.
    async fn read<T>(
        &self,
        encoder: wgpu::CommandEncoder,
        readback: &wgpu::Buffer,
        bytes: u64,
        look: impl FnOnce(&[u8]) -> T,
    ) -> Result<T> {
        let submission = buffers::scoped(&self.device, || self.queue.submit([encoder.finish()])).await?;
        let mut mapping = Mapping::read(readback, bytes);
        buffers::wait(&self.device, submission)?;
        mapping.ready().await?;
        Ok(look(&view(readback, bytes)?))
    }
}

impl Prepared {
    /// Records the evaluation into an encoder of the caller, which must not be inside a pass.
    ///
    /// Nothing is submitted, mapped or waited for. The result block and the outputs are complete when the device has run
    /// the commands. An evaluation may be recorded any number of times, also in one encoder: each overwrites the results
    /// of the one before.
    pub fn record(&self, encoder: &mut wgpu::CommandEncoder) {
        self.pass.record(encoder, None);
    }

    /// The buffer of the [`ResultBlock`](crate::ResultBlock), with the usages `STORAGE` and `COPY_SRC`.
    pub fn result(&self) -> &wgpu::Buffer {
        self.pass.result()
    }

    /// The part of a buffer that the loss is written to; none if it is skipped.
    pub fn loss(&self) -> Option<&BufferRegion> {
        self.output(0)
    }

    /// The part of a buffer that the gradient is written to; none if it is skipped.
    pub fn gradient(&self) -> Option<&BufferRegion> {
        self.output(1)
    }

    /// The part of a buffer that the hessian is written to; none if it is skipped.
    pub fn hessian(&self) -> Option<&BufferRegion> {
        self.output(2)
    }

    fn output(&self, which: usize) -> Option<&BufferRegion> {
        self.arrays.outputs[which].as_ref().map(|(_, region)| region)
    }

    /// Runs the evaluation and reads back its sums and counts; the outputs stay on the device.
    ///
    /// # Errors
    /// [`Error::InvalidValue`] for the first invalid value, unless the objective allows invalid values. The value in the
    /// error is NaN if the caller's buffer lacks the usage `COPY_SRC`. [`Error::Device`] if the device failed.
    pub async fn evaluate_async(&self) -> Result<Evaluation> {
        let started = Instant::now();
        let _turn = self.turn.lock().await;
        let gpu = &*self.gpu;
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        self.pass.record(&mut encoder, self.timer.as_ref().map(Timer::writes));
        readback::copy_head(&self.pass, self.timer.as_ref(), &mut encoder, &self.readback);
        let head_bytes = head_bytes(&self.pass);
        let mut size = head_bytes;
        if let Some(values) = &self.pass.values {
            encoder.copy_buffer_to_buffer(values, 0, &self.readback, head_bytes, values.size());
            size += values.size();
        }
        let (head, classes, rows) = gpu
            .read(encoder, &self.readback, size, |bytes| {
                let (head, values) = bytes.split_at(head_bytes as usize);
                let head = Head::read(head, self.pass.accumulators());
                let (classes, rows) = self.values(values, head.status != 0);
                (head, classes, rows)
            })
            .await?;
        let elapsed = started.elapsed();
        let kernel = head.kernel_time(gpu);
        let mut partials = head.partials;
        partials.classes = classes;
        if let (NonFinite::Error, Some(index)) = (self.objective.non_finite(), partials.first_invalid) {
            return Err(self.invalid_input(head.status, index).await?);
        }
        let arrays = &self.arrays;
        partials.first_invalid = partials.first_invalid.map(|index| self.first + index);
        let mut piece = Piece::new(self.first..self.first + arrays.len);
        if let Some(tail) = &self.kept {
            let mut encoder = gpu.device.create_command_encoder(&Default::default());
            tail.record(&mut encoder);
            let (readback, bytes) = tail.readback();
            let mut kept = gpu.read(encoder, readback, bytes, |bytes| tail.read(bytes)).await?;
            let at = self.first + arrays.len - tail.len();
            if let Some(index) = partials.first_invalid.filter(|index| *index >= at) {
                kept.losses[(index - at) as usize] = f32::NAN;
            }
            piece.keep(at, kept);
        }
        partials.pieces = piece.into();
        let written: u64 = arrays.outputs.iter().flatten().map(|(ty, _)| ty.bytes(arrays.len)).sum();
        Ok(Evaluation {
            value: Value::new(&self.objective, &partials, rows),
            sum: partials.sum.value(),
            mean: self.objective.mean_of(&partials),
            count: partials.count,
            loss: None,
            gradient: None,
            hessian: None,
            partials,
            run: Run {
                device: Arc::clone(&gpu.info),
                phases: Phases {
                    kernel: kernel.unwrap_or(elapsed),
                    timestamps: kernel.is_some(),
                    elapsed,
                    ..Phases::default()
                },
                chunks: self.pass.windows() as u64,
                bytes: self.bytes + written,
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

    /// The sums of classes, or the means of rows, that were read back.
    fn values(&self, bytes: &[u8], invalid: bool) -> (Vec<ClassPartials>, Vec<f64>) {
        match self.sums {
            Sums::All => (Vec::new(), Vec::new()),
            Sums::PerClass => {
                let mut classes = Partials::default();
                for window in bytes.chunks(self.pass.values_stride() as usize) {
                    let window = &window[..(self.arrays.classes * ClassSum::SIZE) as usize];
                    classes
                        .add(&Partials { classes: readback::class_partials(window, invalid), ..Partials::default() });
                }
                (classes.classes, Vec::new())
            }
            Sums::PerRow => {
                let rows = (self.arrays.len / self.arrays.classes) as usize;
                (Vec::new(), readback::row_means(bytes).take(rows).collect())
            }
        }
    }

    /// The buffer with the mean of each row as f32, `[N]`, with the usages `STORAGE` and `COPY_SRC`; none unless the
    /// reduction is by row.
    pub fn row_means(&self) -> Option<&wgpu::Buffer> {
        self.pass.values.as_ref().filter(|_| self.sums == Sums::PerRow)
    }

    /// The buffer with the numbers of predictions below the objective's
    /// [threshold](crate::Metrics::with_threshold) and at or above it; none if the objective has no threshold.
    ///
    /// The buffer has the usages `STORAGE` and `COPY_SRC`. It holds two u32 at the beginning of every 256 bytes, a pair
    /// for each window that the batch is evaluated in; the sums of the pairs are the counts of the batch.
    pub fn threshold_counts(&self) -> Option<&wgpu::Buffer> {
        self.objective.metrics().threshold().and(self.pass.counts.as_ref())
    }

    /// The shaders of this evaluation: WGSL modules that need no extension, in the order in which they run. The last one
    /// adds up the sums of the windows.
    pub fn wgsl(&self) -> Vec<String> {
        self.pass.wgsl()
    }

    /// The error for value `index`, read back from the device.
    async fn invalid_input(&self, status: u32, index: u64) -> Result<Error> {
        let arrays = &self.arrays;
        // Only the word that holds the value is copied.
        let (array, region, at, ty) = match (status, &arrays.weights) {
            (BAD_WEIGHT, Some((ty, shape, region))) => {
                let at = if *shape == WeightShape::Samples { index / arrays.classes } else { index };
                let ty = if *ty == WeightType::F32 { Stored::F32 } else { Stored::F16 };
                (Array::Weights, region, at, ty)
            }
            (BAD_PREDICTION, _) => {
                let array = if arrays.encoding == Encoding::Logits { Array::Predictions } else { Array::Probabilities };
                let ty = match arrays.prediction {
                    PredictionType::F32 => Stored::F32,
                    PredictionType::F16 => Stored::F16,
                    PredictionType::Bf16 => Stored::Bf16,
                };
                (array, &arrays.predictions, index, ty)
            }
            _ => {
                let ty = if arrays.target == TargetType::F32 { Stored::F32 } else { Stored::U8 };
                (Array::Targets, &arrays.targets, index, ty)
            }
        };
        let (at, index) = (at * ty.bytes(), self.first + index);
        if !region.buffer.usage().contains(wgpu::BufferUsages::COPY_SRC) {
            return Ok(Error::InvalidValue { array, index, value: f64::NAN });
        }
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(&region.buffer, region.offset + at / 4 * 4, &self.readback, 0, 4);
        let word = self.gpu.read(encoder, &self.readback, 4, bytemuck::pod_read_unaligned::<u32>).await?;
        let bits = word >> (at % 4 * 8);
        // (The word of a probability that was given in f64 is NaN if it is invalid.)
        let value = match ty {
            Stored::F32 => f32::from_bits(word).into(),
            Stored::F16 => half::f16::from_bits(bits as u16).into(),
            Stored::Bf16 => half::bf16::from_bits(bits as u16).into(),
            Stored::U8 => f64::from(bits as u8),
        };
        Ok(Error::InvalidValue { array, index, value })
    }
}

/// Bytes of the readback buffer of a pass before its values by class or row.
fn head_bytes(pass: &Pass) -> u64 {
    readback::head_bytes(pass.accumulators(), pass.windows().max(1) as u64)
}

/// How an invalid value is stored.
#[derive(Clone, Copy)]
enum Stored {
    F32,
    F16,
    Bf16,
    U8,
}

impl Stored {
    fn bytes(self) -> u64 {
        match self {
            Stored::F32 => 4,
            Stored::F16 | Stored::Bf16 => 2,
            Stored::U8 => 1,
        }
    }
}
