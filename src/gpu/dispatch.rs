//! An evaluation of device buffers, ready to be recorded any number of times.

use std::ops::Range;

use crate::{
    BLOCK, Error, OutputType, PredictionType, Result, TargetType, WeightShape, WeightType,
    gpu::{
        Gpu,
        accumulators::Accumulators,
        bindings::Binding,
        buffers::{self, BufferRegion},
        layout::{ALIGNMENT, BatchParameters, ClassSum, LANES, Vec2, Window, WindowParameters},
        limits,
        result::ResultBlock,
        source::{self, Source},
        spec::Spec,
    },
    job::{Job, Sums},
    plan,
    prediction_kind::Encoding,
};

/// The arrays of a batch, on the device.
#[derive(Clone, Debug)]
pub(crate) struct Arrays {
    pub encoding: Encoding,
    pub len: u64,
    /// The index of the value that the evaluation begins with, and the outputs: that of a block, and of a row if sums are
    /// taken per class or row.
    pub start: u64,
    pub classes: u64,
    pub prediction: PredictionType,
    pub predictions: BufferRegion,
    pub target: TargetType,
    pub targets: BufferRegion,
    pub weights: Option<(WeightType, WeightShape, BufferRegion)>,
    pub mask: Option<BufferRegion>,
    /// The types and places of loss, gradient and hessian; none for those that are skipped.
    pub outputs: [Option<(OutputType, BufferRegion)>; 3],
}

/// Names of the outputs, for messages.
pub(crate) const OUTPUT_NAMES: [&str; 3] = ["loss", "gradient", "hessian"];

/// The number of bytes that [`Pass::set_work`] writes for one window with `entries` class weights, if each write begins
/// at an offset that can be mapped.
pub(crate) const fn parameter_bytes(entries: usize) -> u64 {
    let whole = wgpu::MAP_ALIGNMENT as usize;
    let parameters = size_of::<BatchParameters>().next_multiple_of(whole) + size_of::<WindowParameters>();
    (parameters.next_multiple_of(whole) + size_of::<Vec2>() * entries) as u64
}

/// The pipelines, bind groups and buffers of an evaluation, created once.
#[derive(Debug)]
pub(crate) struct Pass {
    /// The kernel that counts and adds up weights before the main kernel; none unless the coefficient depends on them.
    weigh: Option<Stage>,
    kernel: Stage,
    /// The kernel that only stores outputs; none if the main kernel stores them all.
    stores: Option<Stage>,
    /// The pass over the windows that adds up their weights, and divides the coefficient by the sum.
    divide: wgpu::ComputePipeline,
    /// The pass over the windows that adds up their sums.
    finish: wgpu::ComputePipeline,
    finish_group: wgpu::BindGroup,
    windows: Vec<Work>,
    /// The number of values in every window but the last.
    window: u64,
    /// The number of blocks that a workgroup sums.
    blocks: u32,
    classes: u64,
    sums: Sums,
    accumulators: Accumulators,
    /// `[windows]` of [`Window`], with class weights behind each. The sums are 0 between evaluations.
    slots: wgpu::Buffer,
    stride: u64,
    batch: wgpu::Buffer,
    result: wgpu::Buffer,
    /// The sums of each class, `[windows]` of `[classes]`, or the mean of each row, `[rows]`.
    pub values: Option<wgpu::Buffer>,
    values_stride: u64,
    /// The counts of the accumulators in each window, [`Accumulators::stride`] bytes from those in the next.
    pub counts: Option<wgpu::Buffer>,
}

/// A kernel that runs over every window, and its bind group for each.
#[derive(Debug)]
struct Stage {
    pipeline: wgpu::ComputePipeline,
    groups: Vec<wgpu::BindGroup>,
    source: Source,
}

/// The work of one window.
#[derive(Debug)]
struct Work {
    workgroups: u32,
    /// The workgroups where outputs are only stored.
    store_workgroups: u32,
    class_offset: u32,
}

impl Arrays {
    pub(super) fn spec(&self, gpu: &Gpu, job: &Job) -> Spec {
        let weight = self.weights.as_ref().map(|(ty, shape, _)| (*ty, *shape));
        let outputs = self.outputs.each_ref().map(|output| output.as_ref().map(|(ty, _)| *ty));
        Spec::new(gpu, job, self.encoding, (self.prediction, self.target), weight, self.mask.is_some(), outputs)
    }

    /// Checks every buffer: usages, offsets, sizes, and that nothing written is also read or written elsewhere.
    pub(super) fn check(&self, limits: &wgpu::Limits) -> Result<()> {
        let alignment = limits.min_storage_buffer_offset_alignment;
        let storage = wgpu::BufferUsages::STORAGE;
        let mut inputs = vec![
            ("predictions", &self.predictions, self.prediction.bytes(self.len)),
            ("targets", &self.targets, self.target.bytes(self.len)),
        ];
        if let Some((ty, shape, region)) = &self.weights {
            inputs.push(("weights", region, ty.bytes(self.weight_count(*shape))));
        }
        if let Some(region) = &self.mask {
            inputs.push(("mask", region, TargetType::Bits.bytes(self.len)));
        }
        for (name, region, bytes) in &inputs {
            region.check(name, *bytes, storage, alignment)?;
        }
        let mut taken: Vec<_> = inputs.iter().map(|(name, region, _)| (*name, &region.buffer)).collect();
        for (name, region) in OUTPUT_NAMES.into_iter().zip(&self.outputs) {
            let Some((ty, region)) = region else { continue };
            region.check(name, ty.bytes(self.len), storage, alignment)?;
            if let Some((other, _)) = taken.iter().find(|(_, buffer)| **buffer == region.buffer) {
                let problem = format!("it lies in the buffer of {other}; a buffer that is written needs to be its own");
                return Err(Error::Buffer { name, problem });
            }
            taken.push((name, &region.buffer));
        }
        Ok(())
    }

    /// The error for the first buffer that another device made; none if there is none. It is asked when creating an
    /// evaluation has failed.
    pub(super) async fn foreign(&self, device: &wgpu::Device) -> Option<Error> {
        let inputs = [("predictions", Some(&self.predictions)), ("targets", Some(&self.targets))];
        let optional = [("weights", self.weights.as_ref().map(|(_, _, region)| region)), ("mask", self.mask.as_ref())];
        let outputs = OUTPUT_NAMES.into_iter().zip(&self.outputs);
        let outputs = outputs.map(|(name, output)| (name, output.as_ref().map(|(_, region)| region)));
        for (name, region) in inputs.into_iter().chain(optional).chain(outputs) {
            if let Some(region) = region
                && let Some(error) = region.foreign(name, device).await
            {
                return Some(error);
            }
        }
        None
    }

    /// The number of weights of that shape.
    pub(super) fn weight_count(&self, shape: WeightShape) -> u64 {
        match shape {
            WeightShape::Elements => self.len,
            WeightShape::Samples => self.len / self.classes,
        }
    }
}

impl Arrays {
    /// The class offset of a window, which makes the kernel find its rows and classes: the weights of samples are bound
    /// from a row on that any device can bind.
    fn class_offset(&self, range: &Range<u64>) -> u32 {
        let (row, class) = (range.start / self.classes, range.start % self.classes);
        match &self.weights {
            Some((_, WeightShape::Samples, _)) => ((row % ALIGNMENT) * self.classes + class) as u32,
            _ => class as u32,
        }
    }

    /// Binds the weights of a window.
    fn bind_weights<'a>(
        &self,
        range: &Range<u64>,
        (ty, shape, region): &'a (WeightType, WeightShape, BufferRegion),
    ) -> wgpu::BindingResource<'a> {
        if *shape == WeightShape::Elements {
            return region.binding(ty.bytes(range.start), ty.bytes(range.end - range.start));
        }
        let row = range.start / self.classes;
        let first = row - row % ALIGNMENT;
        let rows = range.end.div_ceil(self.classes) - first;
        // A chunk that starts inside a row, as `set_work` may say, ends in one row more: bind it where there is one.
        let there = region.buffer.size() - region.offset - ty.bytes(first);
        let bytes = if ty.bytes(rows + 1) <= there { ty.bytes(rows + 1) } else { ty.bytes(rows) };
        region.binding(ty.bytes(first), bytes)
    }

    /// Binds an array of the batch for a window; none if the array is not one of the batch.
    fn bind(&self, binding: Binding, range: &Range<u64>) -> Option<wgpu::BindingResource<'_>> {
        let len = range.end - range.start;
        let output = |which: usize| {
            let (ty, region) = self.outputs[which].as_ref()?;
            Some(region.binding(ty.bytes(range.start - self.start), ty.bytes(len)))
        };
        match binding {
            Binding::Predictions => {
                Some(self.predictions.binding(self.prediction.bytes(range.start), self.prediction.bytes(len)))
            }
            Binding::Targets => Some(self.targets.binding(self.target.bytes(range.start), self.target.bytes(len))),
            Binding::Weights => self.weights.as_ref().map(|weights| self.bind_weights(range, weights)),
            Binding::Mask => self.mask.as_ref().map(|mask| mask.binding(range.start / 8, TargetType::Bits.bytes(len))),
            Binding::Losses => output(0),
            Binding::Gradients => output(1),
            Binding::Hessians => output(2),
            Binding::Window | Binding::ClassSums | Binding::RowMeans | Binding::Counts => None,
        }
    }
}

impl Pass {
    /// Prepares an evaluation. The buffers have been checked.
    ///
    /// # Errors
    /// [`Error::Limit`] if sums by class or row need more in one dispatch than the device can bind.
    pub(super) fn new(gpu: &Gpu, arrays: &Arrays, job: &Job) -> Result<Self> {
        use wgpu::BufferUsages as Usage;
        let device = &gpu.device;
        let len = arrays.len - arrays.start;
        let unit = if job.sums == Sums::All { 1 } else { plan::unit(job.sums, arrays.classes as usize) };
        let mut limits = limits::Limits::from(&gpu.limits);
        if job.sums == Sums::PerRow {
            // A workgroup takes 256 rows, which may be fewer values than a block.
            let values = u64::from(limits.workgroups) * u64::from(LANES) * arrays.classes;
            limits.workgroups = limits.workgroups.min((values / BLOCK as u64) as u32);
        }
        let window = limits.window_of(4, unit, len).ok_or(Error::Limit {
            name: "a dispatch of 2048 rows",
            unit: "bytes",
            needed: unit * 4,
            limit: limits.binding,
        })?;
        let blocks = limits::workgroups(len.min(window) / arrays.classes, 1);
        let workgroups = u64::from(blocks) * arrays.classes;
        if job.sums == Sums::PerClass && workgroups > limits.workgroups.into() {
            return Err(Error::Limit {
                name: "a sum for each class",
                unit: "workgroups",
                needed: workgroups,
                limit: limits.workgroups.into(),
            });
        }
        let windows = || {
            let from_start = |range: Range<u64>| arrays.start + range.start..arrays.start + range.end;
            plan::windows(len, window).map(from_start)
        };
        let ranges = windows();
        let count = ranges.len().max(1) as u64;
        let entries = job.parameters.as_ref().map_or(1, |parameters| parameters.classes.len() as u64);
        let stride = Window::stride(entries);
        let values_stride = match job.sums {
            Sums::All => 0,
            Sums::PerClass => (arrays.classes * ClassSum::SIZE).next_multiple_of(ALIGNMENT),
            Sums::PerRow => window / arrays.classes * 4,
        };
        let values_bytes = match job.sums {
            Sums::All => None,
            Sums::PerClass => Some(count * values_stride),
            Sums::PerRow => Some((len / arrays.classes * 4).max(4)),
        };
        if let Some(needed) = values_bytes.filter(|bytes| *bytes > limits.buffer) {
            return Err(Error::Limit {
                name: "a sum for each class or row",
                unit: "bytes",
                needed,
                limit: limits.buffer,
            });
        }
        let slots = buffers::make(device, "logloss windows", count * stride, Usage::STORAGE | Usage::COPY_DST);
        let batch = buffers::make(
            device,
            "logloss batch",
            size_of::<BatchParameters>() as u64,
            Usage::STORAGE | Usage::COPY_DST,
        );
        let result = buffers::make(device, "logloss result", ResultBlock::SIZE, Usage::STORAGE | Usage::COPY_SRC);
        let usage = Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST;
        let values = values_bytes.map(|bytes| buffers::make(device, "logloss values", bytes, usage));
        let accumulators = Accumulators::of(job);
        let counts = (!accumulators.is_empty())
            .then(|| buffers::make(device, "logloss counts", count * accumulators.stride(), usage));

        let spec = arrays.spec(gpu, job);
        let (summing, storing) = spec.split(gpu.limits.max_storage_buffers_per_shader_stage);
        let stage = |spec: Spec| {
            let kernel = gpu.pipelines.kernel(device, &spec);
            let source = spec.source();
            let bind_window = |(w, range): (u64, Range<u64>)| {
                let of_pass = |binding| {
                    let (buffer, skip, bytes) = match binding {
                        Binding::Window => (&slots, w * stride, stride),
                        Binding::ClassSums => (values.as_ref()?, w * values_stride, values_stride),
                        Binding::RowMeans => {
                            (values.as_ref()?, w * values_stride, (range.end - range.start) / arrays.classes * 4)
                        }
                        Binding::Counts => (counts.as_ref()?, w * accumulators.stride(), accumulators.bytes()),
                        _ => return None,
                    };
                    Some(buffers::binding(buffer, skip, bytes))
                };
                let resources = source
                    .bindings
                    .iter()
                    .filter_map(|binding| arrays.bind(binding, &range).or_else(|| of_pass(binding)));
                bind(device, &kernel.bindings, resources)
            };
            let groups = (0..).zip(windows()).map(bind_window).collect();
            Stage { pipeline: kernel.pipeline.clone(), groups, source }
        };
        let finish_group = bind(
            device,
            &gpu.pipelines.finish_bindings,
            [
                buffers::binding(&batch, 0, size_of::<BatchParameters>() as u64),
                buffers::binding(&slots, 0, count * stride),
                buffers::binding(&result, 0, ResultBlock::SIZE),
            ],
        );
        let mut pass = Self {
            weigh: job.divide.map(|_| stage(spec.weights_alone())),
            kernel: stage(summing),
            stores: storing.map(stage),
            divide: gpu.pipelines.divide.clone(),
            finish: gpu.pipelines.finish.clone(),
            finish_group,
            windows: ranges
                .map(|range| Work { workgroups: 0, store_workgroups: 0, class_offset: arrays.class_offset(&range) })
                .collect(),
            window,
            blocks: spec.blocks,
            classes: arrays.classes,
            sums: job.sums,
            accumulators,
            slots,
            stride,
            batch,
            result,
            values,
            values_stride,
            counts,
        };
        pass.set_work(len, None, job, |buffer, offset, bytes| {
            gpu.queue.write_buffer(buffer, offset, bytes);
            Ok(())
        })?;
        Ok(pass)
    }

    /// Sets what the next submission evaluates: the first `len` values of what was bound, no more windows than there
    /// were, the first value in the class `class_offset` if that is another than was bound. `write` is told which bytes
    /// are to lie where when it runs, in whole words; see [`parameter_bytes`].
    pub(super) fn set_work(
        &mut self,
        len: u64,
        class_offset: Option<u32>,
        job: &Job,
        mut write: impl FnMut(&wgpu::Buffer, u64, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let batch = BatchParameters {
            windows: self.windows.len() as u32,
            window: self.window as u32,
            count_low: len as u32,
            count_high: (len >> 32) as u32,
            stride: (self.stride / 4) as u32,
            counted: job.parameters.is_some().into(),
            weighted: job.weighted_mean.into(),
            empty: (job.empty_mean as f32).to_bits(),
            scale: job.divide.unwrap_or(job.coefficient),
        };
        write(&self.batch, 0, bytemuck::bytes_of(&batch))?;
        let mut parameters = WindowParameters::new(job, self.classes as u32);
        for (w, work) in (0..).zip(&mut self.windows) {
            let len = (len - w * self.window).min(self.window);
            work.class_offset = class_offset.unwrap_or(work.class_offset);
            (parameters.len, parameters.class_offset) = (len as u32, work.class_offset);
            write(&self.slots, w * self.stride + Window::PARAMETERS, bytemuck::bytes_of(&parameters))?;
            if let Some(loss) = &job.parameters {
                let classes = bytemuck::cast_slice(loss.classes.as_ref());
                write(&self.slots, w * self.stride + Window::CLASS_WEIGHTS, classes)?;
            }
            work.store_workgroups = limits::workgroups(len, 1);
            let rows = len / self.classes;
            work.workgroups = match self.sums {
                Sums::All => limits::workgroups(len, self.blocks),
                Sums::PerClass => limits::workgroups(rows, 1) * self.classes as u32,
                Sums::PerRow => rows.div_ceil(LANES.into()) as u32,
            };
        }
        Ok(())
    }

    /// Records the evaluation. The result block is complete when the device has run it.
    pub(super) fn record(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        timestamps: Option<wgpu::ComputePassTimestampWrites<'_>>,
    ) {
        let class_sums = self.values.as_ref().filter(|_| self.sums == Sums::PerClass);
        for added_to in class_sums.into_iter().chain(&self.counts) {
            encoder.clear_buffer(added_to, 0, None);
        }
        let mut pass = encoder
            .begin_compute_pass(&wgpu::ComputePassDescriptor { label: Some("logloss"), timestamp_writes: timestamps });
        if let Some(weigh) = &self.weigh {
            self.over_windows(&mut pass, weigh, |work| work.workgroups);
            self.over_all(&mut pass, &self.divide);
        }
        self.over_windows(&mut pass, &self.kernel, |work| work.workgroups);
        if let Some(stores) = &self.stores {
            self.over_windows(&mut pass, stores, |work| work.store_workgroups);
        }
        self.over_all(&mut pass, &self.finish);
    }

    fn over_windows(&self, pass: &mut wgpu::ComputePass<'_>, stage: &Stage, workgroups: fn(&Work) -> u32) {
        pass.set_pipeline(&stage.pipeline);
        for (work, group) in self.windows.iter().zip(&stage.groups) {
            pass.set_bind_group(0, group, &[]);
            pass.dispatch_workgroups(workgroups(work), 1, 1);
        }
    }

    fn over_all(&self, pass: &mut wgpu::ComputePass<'_>, pipeline: &wgpu::ComputePipeline) {
        pass.set_pipeline(pipeline);
        pass.set_bind_group(0, &self.finish_group, &[]);
        pass.dispatch_workgroups(1, 1, 1);
    }

    /// The number of windows.
    pub(super) fn windows(&self) -> usize {
        self.windows.len()
    }

    /// The result block.
    pub(super) fn result(&self) -> &wgpu::Buffer {
        &self.result
    }

    /// The number of bytes from the class sums of a window to those of the next.
    pub(super) fn values_stride(&self) -> u64 {
        self.values_stride
    }

    /// The accumulators of the evaluation.
    pub(super) fn accumulators(&self) -> Accumulators {
        self.accumulators
    }

    /// The modules in WGSL, in the order in which they run: the kernels, then the passes over the windows' sums.
    pub(super) fn wgsl(&self) -> Vec<String> {
        let stages = self.weigh.iter().chain([&self.kernel]).chain(&self.stores);
        stages.map(|stage| stage.source.wgsl()).chain([source::finish()]).collect()
    }
}

fn bind<'a>(
    device: &wgpu::Device,
    layout: &wgpu::BindGroupLayout,
    resources: impl IntoIterator<Item = wgpu::BindingResource<'a>>,
) -> wgpu::BindGroup {
    let entries: Vec<_> =
        (0..).zip(resources).map(|(binding, resource)| wgpu::BindGroupEntry { binding, resource }).collect();
    device.create_bind_group(&wgpu::BindGroupDescriptor { label: Some("logloss"), layout, entries: &entries })
}
