//! Batches in host memory: chunks stream through a ring of slots, so that copying in, computing and copying out
//! overlap.

use std::{
    collections::VecDeque,
    sync::PoisonError,
    time::{Duration, Instant},
};

use crate::{
    Batch, Partials, Phases, Result,
    engine::Work,
    gpu::{
        Gpu,
        buffers::{self, BufferRegion},
        pass::{Arrays, Pass},
        pipelines::Spec,
        result::ResultBlock,
    },
    outputs::Slices,
    plan,
};

/// Slots of a ring: one is filled, one computes, one is emptied.
const SLOTS: usize = 3;

/// Values a slot holds at most. Three slots with every array in f32 take 60 MiB of host memory and as much on the
/// device.
const CHUNK: u64 = 1 << 20;

/// Bytes that a value takes at most in the staging buffer (prediction, target, weight, mask) or, at most as many, in
/// the readback buffer (three outputs).
const VALUE_BYTES: u64 = 13;

/// Rings kept warm: a training loop and its evaluation.
const RINGS: usize = 2;

/// Bytes of a readback buffer before the outputs: the result block and two timestamps.
const HEAD: u64 = 256;

/// The slots for one kind of evaluation.
#[derive(Debug)]
pub(crate) struct Ring {
    spec: Spec,
    capacity: u64,
    slots: Vec<Slot>,
}

/// Memory for one chunk in flight, on both sides.
#[derive(Debug)]
struct Slot {
    pass: Pass,
    /// Where the host writes inputs; mapped whenever the slot is free.
    staging: wgpu::Buffer,
    predictions: wgpu::Buffer,
    targets: wgpu::Buffer,
    outputs: [Option<wgpu::Buffer>; 3],
    /// Where the host reads results; mapped only while it does.
    readback: wgpu::Buffer,
    timer: Option<Timer>,
}

/// Two ticks of the device's clock, around a pass.
#[derive(Debug)]
pub(crate) struct Timer {
    queries: wgpu::QuerySet,
    resolved: wgpu::Buffer,
}

/// A chunk on its way.
struct InFlight<'a> {
    slot: usize,
    first: u64,
    len: u64,
    outputs: Slices<'a>,
    submission: wgpu::SubmissionIndex,
    submitted: Instant,
    mapped: [std::pin::Pin<Box<dyn Mapped>>; 2],
}

/// The future of a mapping.
#[cfg(not(target_family = "wasm"))]
trait Mapped: Future<Output = Result<()>> + Send {}
#[cfg(not(target_family = "wasm"))]
impl<F: Future<Output = Result<()>> + Send> Mapped for F {}
#[cfg(target_family = "wasm")]
trait Mapped: Future<Output = Result<()>> {}
#[cfg(target_family = "wasm")]
impl<F: Future<Output = Result<()>>> Mapped for F {}

impl Gpu {
    /// Evaluates a part of a batch whose first value has index `first` in the whole.
    ///
    /// An invalid value may end it early: the partials then name it, and are of no other use. Also returned is how
    /// many chunks there were.
    pub async fn evaluate(
        &self,
        part: &Batch<'_>,
        work: &Work,
        first: u64,
        mut outputs: Slices<'_>,
        stop_at_invalid: bool,
        phases: &mut Phases,
    ) -> Result<(Partials, u64)> {
        phases.timestamps = self.timestamp_period.is_some();
        let mut partials = Partials::default();
        if part.is_empty() {
            return Ok((partials, 0));
        }
        let mut ring = self.take_ring(part, &outputs).await?;
        let mut flying = VecDeque::with_capacity(SLOTS);
        let mut stopped = false;
        let chunks = plan::windows(part.len() as u64, ring.capacity);
        let count = chunks.len() as u64;
        for range in chunks {
            if flying.len() == SLOTS
                && let Some(done) = flying.pop_front()
            {
                self.land(&ring, done, &mut partials, phases).await?;
                if stop_at_invalid && partials.first_invalid.is_some() {
                    stopped = true;
                    break;
                }
            }
            let chunk = part.part(range.start as usize..range.end as usize);
            let slot = (range.start / ring.capacity) as usize % SLOTS;
            let outputs = outputs.split_off(chunk.len());
            flying.push_back(self.launch(&mut ring, slot, &chunk, work, first + range.start, outputs, phases)?);
        }
        // Every slot is emptied, also after an invalid value: its buffers must be mapped as they were found.
        while let Some(done) = flying.pop_front() {
            let mut ignored = Partials::default();
            self.land(&ring, done, if stopped { &mut ignored } else { &mut partials }, phases).await?;
        }
        self.rings.lock().unwrap_or_else(PoisonError::into_inner).push(ring);
        Ok((partials, count))
    }

    /// A ring that fits, warm if there is one.
    async fn take_ring(&self, part: &Batch<'_>, outputs: &Slices<'_>) -> Result<Ring> {
        let spec = Spec {
            form: part.form(),
            prediction: (&part.predictions()).into(),
            target: (&part.targets()).into(),
            outputs: outputs.wanted(),
            blocks: self.blocks,
        };
        let chunk = CHUNK.min(plan::Limits::from(&self.limits).window(VALUE_BYTES));
        let capacity = (part.len() as u64).next_power_of_two().clamp(plan::WINDOW_STEP, chunk);
        {
            let mut rings = self.rings.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(fits) = rings.iter().position(|ring| ring.spec == spec && ring.capacity >= capacity) {
                return Ok(rings.remove(fits));
            }
            rings.retain(|ring| ring.spec != spec);
            let surplus = (rings.len() + 1).saturating_sub(RINGS);
            rings.drain(..surplus);
        }
        buffers::scoped(&self.device, || Ring {
            spec,
            capacity,
            slots: (0..SLOTS).map(|_| Slot::new(self, spec, capacity)).collect(),
        })
        .await
    }

    /// Copies a chunk in and submits its evaluation.
    #[expect(clippy::too_many_arguments, reason = "what a chunk is made of, handed on once")]
    fn launch<'a>(
        &self,
        ring: &mut Ring,
        index: usize,
        chunk: &Batch<'_>,
        work: &Work,
        first: u64,
        outputs: Slices<'a>,
        phases: &mut Phases,
    ) -> Result<InFlight<'a>> {
        let started = Instant::now();
        let len = chunk.len() as u64;
        let (capacity, spec) = (ring.capacity, ring.spec);
        let slot = &mut ring.slots[index];
        let predictions = spec.prediction.bytes(len);
        let targets = spec.target.bytes(len);
        let targets_at = spec.prediction.bytes(capacity);
        copy_in(&slot.staging, 0, chunk.predictions().bytes())?;
        copy_in(&slot.staging, targets_at, chunk.targets().bytes())?;
        slot.staging.unmap();
        slot.pass.set_work(&self.queue, capacity, len, work.coefficient);
        phases.upload += started.elapsed();

        let mut encoder = self.device.create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(&slot.staging, 0, &slot.predictions, 0, predictions);
        encoder.copy_buffer_to_buffer(&slot.staging, targets_at, &slot.targets, 0, targets);
        slot.pass.record(&mut encoder, slot.timer.as_ref().map(Timer::writes));
        encoder.copy_buffer_to_buffer(slot.pass.result(), 0, &slot.readback, 0, ResultBlock::SIZE);
        if let Some(timer) = &slot.timer {
            timer.resolve(&mut encoder, &slot.readback, ResultBlock::SIZE);
        }
        let mut at = HEAD;
        for output in slot.outputs.iter().flatten() {
            encoder.copy_buffer_to_buffer(output, 0, &slot.readback, at, len * 4);
            at += len * 4;
        }
        let submission = self.queue.submit([encoder.finish()]);
        let mapped: [std::pin::Pin<Box<dyn Mapped>>; 2] = [
            Box::pin(buffers::map(slot.readback.slice(..at), wgpu::MapMode::Read)),
            Box::pin(buffers::map(slot.staging.slice(..), wgpu::MapMode::Write)),
        ];
        Ok(InFlight { slot: index, first, len, outputs, submission, submitted: Instant::now(), mapped })
    }

    /// Waits for a chunk and copies its results out.
    async fn land(&self, ring: &Ring, chunk: InFlight<'_>, partials: &mut Partials, phases: &mut Phases) -> Result<()> {
        buffers::wait(&self.device, chunk.submission)?;
        for mapped in chunk.mapped {
            mapped.await?;
        }
        let waited = chunk.submitted.elapsed();
        let started = Instant::now();
        let slot = &ring.slots[chunk.slot];
        let wanted = chunk.outputs.count() as u64;
        {
            let bytes = view(&slot.readback, HEAD + wanted * chunk.len * 4)?;
            let (head, mut rest) = bytes.split_at(HEAD as usize);
            let (result, ticks) = head.split_at(ResultBlock::SIZE as usize);
            let mut found = bytemuck::pod_read_unaligned::<ResultBlock>(result).partials();
            found.first_invalid = found.first_invalid.map(|index| chunk.first + index);
            partials.merge(&found);
            phases.kernel += self.kernel_time(ticks).unwrap_or(waited);
            for output in chunk.outputs.into_each().into_iter().flatten() {
                let (values, next) = rest.split_at(size_of_val(output));
                bytemuck::cast_slice_mut(output).copy_from_slice(values);
                rest = next;
            }
        }
        slot.readback.unmap();
        phases.readback += started.elapsed();
        Ok(())
    }

    /// The time between two ticks of the device's clock, if it has one.
    pub(crate) fn kernel_time(&self, ticks: &[u8]) -> Option<Duration> {
        let [begin, end] = bytemuck::pod_read_unaligned(&ticks[..16]);
        let ticks = u64::saturating_sub(end, begin);
        Some(Duration::from_secs_f64(ticks as f64 * f64::from(self.timestamp_period?) * 1e-9))
    }
}

impl Slot {
    fn new(gpu: &Gpu, spec: Spec, capacity: u64) -> Self {
        use wgpu::BufferUsages as Usage;
        let device = &gpu.device;
        let [predictions, targets] = [spec.prediction.bytes(capacity), spec.target.bytes(capacity)];
        let wanted = spec.outputs.iter().filter(|on| **on).count() as u64;
        let input = |size| buffers::make(device, "logloss chunk", size, Usage::STORAGE | Usage::COPY_DST);
        let output = |on: bool| {
            on.then(|| buffers::make(device, "logloss chunk", capacity * 4, Usage::STORAGE | Usage::COPY_SRC))
        };
        let arrays = Arrays {
            form: spec.form,
            prediction: spec.prediction,
            target: spec.target,
            len: capacity,
            predictions: input(predictions).into(),
            targets: input(targets).into(),
            outputs: spec.outputs.map(|on| output(on).map(BufferRegion::from)),
        };
        let readback = HEAD + wanted * capacity * 4;
        Self {
            pass: Pass::new(gpu, &arrays, 1.0),
            staging: device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("logloss staging"),
                size: predictions + targets,
                usage: Usage::MAP_WRITE | Usage::COPY_SRC,
                mapped_at_creation: true,
            }),
            predictions: arrays.predictions.buffer,
            targets: arrays.targets.buffer,
            outputs: arrays.outputs.map(|output| output.map(|region| region.buffer)),
            readback: buffers::make(device, "logloss readback", readback, Usage::MAP_READ | Usage::COPY_DST),
            timer: gpu.timestamp_period.map(|_| Timer::new(device)),
        }
    }
}

impl Timer {
    pub fn new(device: &wgpu::Device) -> Self {
        use wgpu::BufferUsages as Usage;
        Self {
            queries: device.create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("logloss"),
                ty: wgpu::QueryType::Timestamp,
                count: 2,
            }),
            resolved: buffers::make(device, "logloss timestamps", 256, Usage::QUERY_RESOLVE | Usage::COPY_SRC),
        }
    }

    /// Where a pass writes the ticks at its beginning and its end.
    pub fn writes(&self) -> wgpu::ComputePassTimestampWrites<'_> {
        wgpu::ComputePassTimestampWrites {
            query_set: &self.queries,
            beginning_of_pass_write_index: Some(0),
            end_of_pass_write_index: Some(1),
        }
    }

    /// Copies both ticks, 16 bytes, to `offset` of `buffer`.
    pub fn resolve(&self, encoder: &mut wgpu::CommandEncoder, buffer: &wgpu::Buffer, offset: u64) {
        encoder.resolve_query_set(&self.queries, 0..2, &self.resolved, 0);
        encoder.copy_buffer_to_buffer(&self.resolved, 0, buffer, offset, 16);
    }
}

/// Copies bytes into a mapped buffer.
fn copy_in(buffer: &wgpu::Buffer, offset: u64, bytes: &[u8]) -> Result<()> {
    // A mapped range is a whole number of words; what lies past the bytes is never counted.
    let padded = (bytes.len() as u64).next_multiple_of(4);
    let mut range = buffer
        .get_mapped_range_mut(offset..offset + padded)
        .map_err(|error| crate::Error::Device(error.to_string()))?;
    range.slice(..bytes.len()).copy_from_slice(bytes);
    Ok(())
}

/// The first `bytes` bytes of a mapped buffer.
pub(crate) fn view(buffer: &wgpu::Buffer, bytes: u64) -> Result<wgpu::BufferView> {
    buffer.get_mapped_range(..bytes).map_err(|error| crate::Error::Device(error.to_string()))
}
