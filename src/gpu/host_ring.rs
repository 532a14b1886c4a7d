//! Batches in host memory: chunks stream through a ring of slots, so that copying in, computing and copying out
//! overlap. Where the device shares the host's memory it computes on the memory that is mapped.

use std::{collections::VecDeque, sync::PoisonError};

use web_time::Instant;

use crate::{
    Batch, OutputType, Partials, Phases, Result, TargetType, WeightShape, WeightType,
    gpu::{
        Gpu,
        buffers::{self, BufferRegion},
        dispatch::{self, Arrays, Pass},
        host_array::HostArray,
        layout::{ALIGNMENT, ClassSum},
        limits,
        readback::{self, Head, Timer, view},
        spec::Spec,
    },
    job::{Job, Sums},
    outputs::Slices,
    plan,
};

/// The number of slots of a ring: one is filled, one computes, one is emptied.
const SLOTS: usize = 3;

/// The largest number of values in a slot. Three slots with every array in f32 take 60 MiB of host
/// memory and as much on the device.
const CHUNK: u64 = 1 << 20;

/// The largest number of bytes per value in the staging buffer (prediction, target, weight, mask). The readback buffer
/// (three outputs) needs at most as many.
const VALUE_BYTES: u64 = 13;

/// The number of rings that are kept for later evaluations: one for a training loop and one for its validation.
const RINGS: usize = 2;

/// The slots for one kind of evaluation.
#[derive(Debug)]
pub(crate) struct Ring {
    spec: Spec,
    classes: u64,
    /// The number of class weights in a window.
    entries: usize,
    capacity: u64,
    slots: Vec<Slot>,
}

/// The host and device memory for one chunk in flight. If host and device share memory, the device computes on the
/// buffers that the host maps, and nothing is copied in between.
#[derive(Debug)]
struct Slot {
    pass: Pass,
    /// The buffer that the host writes inputs, one after the other, and parameters to. It is mapped while the slot is
    /// free.
    staging: wgpu::Buffer,
    /// The offset of the parameters in the staging buffer. They are not written by the queue, which would create a buffer
    /// for each write.
    parameters_at: u64,
    /// For each of predictions, targets, weights and mask: its offset in the staging buffer and, if the device does not
    /// share the host's memory, its buffer on the device.
    inputs: Vec<(u64, Option<wgpu::Buffer>)>,
    /// For each requested one of loss, gradient and hessian: its offset in the readback buffer and, if the device does not
    /// share the host's memory, its buffer on the device.
    outputs: Vec<(u64, Option<wgpu::Buffer>)>,
    /// The offset of sums by class, or means by row, in the readback buffer.
    values_at: u64,
    /// The buffer that the host reads results from. It is mapped only while the host reads.
    readback: wgpu::Buffer,
    timer: Option<Timer>,
}

/// A chunk that was submitted and whose results have not been read.
struct InFlight<'a> {
    slot: usize,
    first: u64,
    len: u64,
    outputs: Slices<'a>,
    submission: wgpu::SubmissionIndex,
    submitted: Instant,
    mapped: [std::pin::Pin<Box<dyn buffers::Ready>>; 2],
}

impl Gpu {
    /// Evaluates a part of a batch whose first value has index `first` in the whole.
    ///
    /// An invalid value may end the evaluation early: only `first_invalid` of the partials is then meaningful. The second
    /// value returned is the number of chunks.
    pub(crate) async fn evaluate(
        &self,
        part: &Batch<'_>,
        job: &Job,
        first: u64,
        mut outputs: Slices<'_>,
        phases: &mut Phases,
    ) -> Result<(Partials, u64)> {
        phases.timestamps = self.timestamp_period.is_some();
        let mut partials = Partials::default();
        if part.is_empty() {
            return Ok((partials, 0));
        }
        let started = Instant::now();
        let mut ring = self.take_ring(part, &outputs, job).await?;
        phases.prepare += started.elapsed();
        let mut flying = VecDeque::with_capacity(SLOTS);
        let mut stopped = false;
        let chunks = plan::windows(part.len() as u64, ring.capacity);
        let count = chunks.len() as u64;
        for range in chunks {
            if flying.len() == SLOTS
                && let Some(done) = flying.pop_front()
            {
                self.land(&ring, done, &mut partials, phases).await?;
                if job.stop_at_invalid && partials.first_invalid.is_some() {
                    stopped = true;
                    break;
                }
            }
            let chunk = part.part(range.start as usize..range.end as usize);
            let slot = (range.start / ring.capacity) as usize % SLOTS;
            let outputs = outputs.split_off(chunk.len());
            flying.push_back(self.launch(&mut ring, slot, &chunk, job, first + range.start, outputs, phases).await?);
        }
        // Every slot is emptied, also after an invalid value: its buffers must be mapped as they were found.
        while let Some(done) = flying.pop_front() {
            let mut ignored = Partials::default();
            self.land(&ring, done, if stopped { &mut ignored } else { &mut partials }, phases).await?;
        }
        let mut rings = self.rings.lock().unwrap_or_else(PoisonError::into_inner);
        rings.push(ring);
        let surplus = rings.len().saturating_sub(RINGS);
        rings.drain(..surplus);
        drop(rings);
        Ok((partials, count))
    }

    /// A ring that fits the evaluation: one that was kept, or a new one.
    async fn take_ring(&self, part: &Batch<'_>, outputs: &Slices<'_>, job: &Job) -> Result<Ring> {
        let weight = part.weights().map(|(weights, shape)| ((&weights).into(), shape));
        let types = ((&part.predictions()).into(), (&part.targets()).into());
        // Narrower outputs are made of f32 on the host.
        let wanted = outputs.wanted().map(|on| on.then_some(OutputType::F32));
        let spec = Spec::new(self, job, job.encoding, types, weight, part.mask().is_some(), wanted);
        let classes = part.classes() as u64;
        let samples = weight.is_some_and(|(_, shape)| shape == WeightShape::Samples);
        let told_apart = samples || job.sums != Sums::All || job.parameters.as_ref().is_some_and(|it| it.uses.classes);
        if told_apart {
            limits::check_classes(classes, limits::CLASSES_MAX)?;
        }
        let entries = job.parameters.as_ref().map_or(1, |parameters| parameters.classes.len());
        let most = CHUNK.min(limits::Limits::from(&self.limits).window(VALUE_BYTES));
        let mut capacity = (part.len() as u64).next_power_of_two().clamp(limits::WINDOW_STEP, most);
        if job.sums != Sums::All {
            let unit = plan::unit(job.sums, part.classes());
            capacity = (capacity / unit * unit).max(unit);
        }
        {
            let mut rings = self.rings.lock().unwrap_or_else(PoisonError::into_inner);
            let same = |ring: &Ring| ring.spec == spec && ring.classes == classes && ring.entries == entries;
            if let Some(fits) = rings.iter().position(|ring| same(ring) && ring.capacity >= capacity) {
                return Ok(rings.remove(fits));
            }
            rings.retain(|ring| !same(ring));
        }
        let made = buffers::scoped(&self.device, || {
            (0..SLOTS).map(|_| Slot::new(self, part, &spec, capacity, job)).collect::<Result<Vec<_>>>()
        });
        let slots = self.pipelines.keep(made.await)??;
        Ok(Ring { spec, classes, entries, capacity, slots })
    }

    /// Copies a chunk in and submits its evaluation.
    #[expect(clippy::too_many_arguments, reason = "a chunk and the state of its ring")]
    async fn launch<'a>(
        &self,
        ring: &mut Ring,
        index: usize,
        chunk: &Batch<'_>,
        job: &Job,
        first: u64,
        outputs: Slices<'a>,
        phases: &mut Phases,
    ) -> Result<InFlight<'a>> {
        let started = Instant::now();
        let len = chunk.len() as u64;
        let slot = &mut ring.slots[index];
        for ((at, _), array) in slot.inputs.iter().zip(arrays_of(chunk)) {
            copy_in(&slot.staging, *at, array)?;
        }
        phases.upload += started.elapsed();
        let (submission, end) =
            buffers::scoped(&self.device, || self.submit(slot, chunk, job, ring.spec.sums)).await??;
        let mapped: [std::pin::Pin<Box<dyn buffers::Ready>>; 2] = [
            Box::pin(buffers::map(slot.readback.slice(..end), wgpu::MapMode::Read)),
            Box::pin(buffers::map(slot.staging.slice(..), wgpu::MapMode::Write)),
        ];
        Ok(InFlight { slot: index, first, len, outputs, submission, submitted: Instant::now(), mapped })
    }

    /// Submits the evaluation of a chunk that is staged. Returns the submission, and the
    /// number of bytes of the readback buffer that it writes.
    fn submit(
        &self,
        slot: &mut Slot,
        chunk: &Batch<'_>,
        job: &Job,
        sums: Sums,
    ) -> Result<(wgpu::SubmissionIndex, u64)> {
        let (len, arrays) = (chunk.len() as u64, arrays_of(chunk));
        let mut encoder = self.device.create_command_encoder(&Default::default());
        let mut at = slot.parameters_at;
        slot.pass.set_work(len, Some(chunk.class_offset() as u32), job, |buffer, offset, bytes| {
            let size = bytes.len() as u64;
            copy_in(&slot.staging, at, HostArray::Bytes(bytes))?;
            encoder.copy_buffer_to_buffer(&slot.staging, at, buffer, offset, size);
            at += size.next_multiple_of(wgpu::MAP_ALIGNMENT);
            Ok(())
        })?;
        slot.staging.unmap();
        for ((at, buffer), array) in slot.inputs.iter().zip(&arrays) {
            if let Some(buffer) = buffer {
                let size = (array.len() as u64).next_multiple_of(4);
                encoder.copy_buffer_to_buffer(&slot.staging, *at, buffer, 0, size);
            }
        }
        slot.pass.record(&mut encoder, slot.timer.as_ref().map(Timer::writes));
        readback::copy_head(&slot.pass, slot.timer.as_ref(), &mut encoder, &slot.readback);
        let mut end = readback::head_bytes(slot.pass.accumulators(), 1);
        for (at, buffer) in &slot.outputs {
            if let Some(buffer) = buffer {
                encoder.copy_buffer_to_buffer(buffer, 0, &slot.readback, *at, len * 4);
            }
            end = at + len * 4;
        }
        if let Some(values) = &slot.pass.values {
            let bytes = values_bytes(sums, len, chunk.classes() as u64);
            encoder.copy_buffer_to_buffer(values, 0, &slot.readback, slot.values_at, bytes);
            end = slot.values_at + bytes;
        }
        Ok((self.queue.submit([encoder.finish()]), end))
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
        {
            let values = values_bytes(ring.spec.sums, chunk.len, ring.classes);
            let head_bytes = readback::head_bytes(ring.spec.accumulators, 1);
            let end = slot.outputs.last().map_or(head_bytes, |(at, _)| at + chunk.len * 4);
            let bytes = view(&slot.readback, if values > 0 { slot.values_at + values } else { end })?;
            let head = Head::read(&bytes[..head_bytes as usize], ring.spec.accumulators);
            phases.kernel += head.kernel_time(self).unwrap_or(waited);
            let mut found = head.partials;
            found.first_invalid = found.first_invalid.map(|index| chunk.first + index);
            let (outputs, rows) = chunk.outputs.into_each();
            for (output, (at, _)) in outputs.into_iter().flatten().zip(&slot.outputs) {
                let values = &bytes[*at as usize..][..size_of_val(output)];
                bytemuck::cast_slice_mut(output).copy_from_slice(values);
            }
            let rest = &bytes[bytes.len() - values as usize..];
            if ring.spec.sums == Sums::PerClass {
                found.classes = readback::class_partials(rest, found.first_invalid.is_some());
            }
            if let Some(rows) = rows {
                for (row, mean) in rows.iter_mut().zip(readback::row_means(rest)) {
                    *row = mean;
                }
            }
            partials.add(&found);
        }
        slot.readback.unmap();
        phases.readback += started.elapsed();
        Ok(())
    }
}

impl Slot {
    fn new(gpu: &Gpu, part: &Batch<'_>, spec: &Spec, capacity: u64, job: &Job) -> Result<Self> {
        use wgpu::BufferUsages as Usage;
        let device = &gpu.device;
        let classes = part.classes() as u64;
        let wanted = spec.outputs.iter().flatten().count() as u64;
        let outputs_at = readback::head_bytes(spec.accumulators, 1);
        let values_at = outputs_at + wanted * capacity * 4;
        let weight = spec.weighted.and_then(|parameters| parameters.weight);
        let weights_bytes = |(ty, shape): (WeightType, WeightShape)| {
            ty.bytes(match shape {
                WeightShape::Elements => capacity,
                // A chunk may start and end inside a row.
                WeightShape::Samples => capacity / classes + 2,
            })
        };
        let bytes = [
            Some(spec.prediction.bytes(capacity)),
            Some(spec.target.bytes(capacity)),
            weight.map(weights_bytes),
            part.mask().map(|_| TargetType::Bits.bytes(capacity)),
        ];
        let parameters_at = bytes.iter().flatten().map(|bytes| bytes.next_multiple_of(ALIGNMENT)).sum();
        let entries = job.parameters.as_ref().map_or(0, |parameters| parameters.classes.len());
        let on_both = if gpu.shares_memory { Usage::STORAGE } else { Usage::empty() };
        let staging = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("logloss staging"),
            size: parameters_at + dispatch::parameter_bytes(entries),
            usage: Usage::MAP_WRITE | Usage::COPY_SRC | on_both,
            mapped_at_creation: true,
        });
        let usage = Usage::MAP_READ | Usage::COPY_DST | on_both;
        let size = values_at + values_bytes(spec.sums, capacity, classes);
        let readback = buffers::make(device, "logloss readback", size, usage);
        // A region of the buffer that the host maps, or a buffer of the device's own.
        let place = |mapped: &wgpu::Buffer, at: u64, bytes: u64, usage: Usage| {
            if gpu.shares_memory {
                return (BufferRegion::new(mapped.clone(), at), None);
            }
            let buffer = buffers::make(device, "logloss chunk", bytes, Usage::STORAGE | usage);
            (BufferRegion::from(buffer.clone()), Some(buffer))
        };
        let (mut inputs, mut staged) = (Vec::new(), 0);
        let regions = bytes.map(|bytes| {
            let bytes = bytes?;
            let (region, buffer) = place(&staging, staged, bytes, Usage::COPY_DST);
            inputs.push((staged, buffer));
            staged += bytes.next_multiple_of(ALIGNMENT);
            Some(region)
        });
        let [Some(predictions), Some(targets), weights, mask] = regions else {
            unreachable!("every batch has predictions and targets");
        };
        let mut outputs = Vec::new();
        let output_regions = spec.outputs.map(|ty| {
            let ty = ty?;
            let at = outputs_at + outputs.len() as u64 * capacity * 4;
            let (region, buffer) = place(&readback, at, ty.bytes(capacity), Usage::COPY_SRC);
            outputs.push((at, buffer));
            Some((ty, region))
        });
        let arrays = Arrays {
            encoding: spec.encoding,
            len: capacity,
            start: 0,
            classes,
            prediction: spec.prediction,
            predictions,
            target: spec.target,
            targets,
            weights: weight.zip(weights).map(|((ty, shape), region)| (ty, shape, region)),
            mask,
            outputs: output_regions,
        };
        Ok(Self {
            pass: Pass::new(gpu, &arrays, job)?,
            staging,
            parameters_at,
            inputs,
            outputs,
            values_at,
            readback,
            timer: gpu.timestamp_period.map(|_| Timer::new(device)),
        })
    }
}

/// The arrays that a chunk has, in the order of a slot's inputs.
fn arrays_of<'a>(chunk: &Batch<'a>) -> Vec<HostArray<'a>> {
    let weights = chunk.weights().map(|(weights, _)| HostArray::Bytes(weights.bytes()));
    let mask = chunk.mask().map(HostArray::Bytes);
    [Some(HostArray::predictions(chunk)), Some(HostArray::targets(chunk)), weights, mask]
        .into_iter()
        .flatten()
        .collect()
}

/// The number of bytes of the sums by class, or means by row, of one chunk.
fn values_bytes(sums: Sums, len: u64, classes: u64) -> u64 {
    match sums {
        Sums::All => 0,
        Sums::PerClass => classes * ClassSum::SIZE,
        Sums::PerRow => len / classes * 4,
    }
}

/// Copies an array into a mapped buffer.
fn copy_in(buffer: &wgpu::Buffer, offset: u64, array: HostArray<'_>) -> Result<()> {
    // A mapped range is a whole number of words; kernels ignore the values after the last.
    let padded = (array.len() as u64).next_multiple_of(4);
    let mut range = buffer
        .get_mapped_range_mut(offset..offset + padded)
        .map_err(|error| crate::Error::Device(error.to_string()))?;
    array.each(|at, piece| range.slice(at..at + piece.len()).copy_from_slice(piece));
    Ok(())
}
