//! An evaluation of device buffers, ready to be recorded as often as one likes.

use std::ops::Range;

use crate::{
    BLOCK, Error, Form, Ignore, OutputType, PredictionType, Result, TargetType, WeightShape, WeightType,
    gpu::{
        Gpu,
        buffers::{self, BufferRegion},
        pipelines::{Spec, WeightedSpec},
        result::ResultBlock,
    },
    job::{Job, Sums},
    loss_parameters::LossParameters,
    plan,
};

/// Offsets that any device accepts.
const ALIGNMENT: u64 = 256;
/// Where the parameters of a window begin, behind its sums, and where its class weights do.
const PARAMS: u64 = 192;
const CLASS_WEIGHTS: u64 = 272;
/// Bytes of the sum of a class.
pub(crate) const CLASS_SUM: u64 = 96;

/// The arrays of a batch, on the device.
#[derive(Clone, Debug)]
pub(crate) struct Arrays {
    pub form: Form,
    pub len: u64,
    pub classes: u64,
    pub prediction: PredictionType,
    pub predictions: BufferRegion,
    pub target: TargetType,
    pub targets: BufferRegion,
    pub weights: Option<(WeightType, WeightShape, BufferRegion)>,
    pub mask: Option<BufferRegion>,
    /// Loss, gradient, hessian: how and where each is wanted.
    pub outputs: [Option<(OutputType, BufferRegion)>; 3],
}

/// Names of the outputs, for messages.
pub(crate) const OUTPUTS: [&str; 3] = ["loss", "gradient", "hessian"];

/// The parameters of a window, as in kernel.wgsl.
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct Params {
    len: u32,
    coefficient: f32,
    classes: u32,
    phase: u32,
    ignored: u32,
    empty: f32,
    label_weights: [f32; 2],
    alpha: [f32; 2],
    smoothing: f32,
    gamma: f32,
    negative_term: [f32; 2],
    positive_term: [f32; 2],
    denominator: f32,
    hessian: f32,
    flags: u32,
    padding: u32,
}
const _: () = assert!(PARAMS + size_of::<Params>() as u64 == CLASS_WEIGHTS);

/// What finish.wgsl needs to know.
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct Totals {
    windows: u32,
    window: u32,
    count: [u32; 2],
    stride: u32,
    counted: u32,
    weighted: u32,
    empty: f32,
    scale: f32,
}

/// Bytes that [`Pass::set_work`] writes where there is one window, with that many class weights, each write at an
/// offset that can be mapped.
pub(crate) const fn parameter_bytes(entries: usize) -> u64 {
    let whole = wgpu::MAP_ALIGNMENT as usize;
    (size_of::<Totals>().next_multiple_of(whole) + size_of::<Params>().next_multiple_of(whole) + 8 * entries) as u64
}

/// Everything an evaluation binds, made once.
#[derive(Debug)]
pub(crate) struct Pass {
    kernel: wgpu::ComputePipeline,
    /// The pass that only stores narrow outputs, where the kernel cannot.
    stores: Option<wgpu::ComputePipeline>,
    finish: wgpu::ComputePipeline,
    /// The pass that only counts and weighs, and the one that divides by what it found.
    before: Option<[wgpu::ComputePipeline; 2]>,
    windows: Vec<Window>,
    /// Values of every window but the last.
    window: u64,
    /// Blocks a workgroup takes.
    blocks: u32,
    classes: u64,
    sums: Sums,
    finish_group: wgpu::BindGroup,
    /// [windows], the sums and the parameters of each. The sums are 0 between evaluations.
    slots: wgpu::Buffer,
    stride: u64,
    totals: wgpu::Buffer,
    result: wgpu::Buffer,
    /// The sums of each class, [windows] of [classes], or the mean of each row, [rows].
    pub values: Option<wgpu::Buffer>,
    values_stride: u64,
}

#[derive(Debug)]
struct Window {
    group: wgpu::BindGroup,
    workgroups: u32,
    /// Those of the pass that only stores.
    store_workgroups: u32,
    phase: u32,
}

impl Arrays {
    pub fn spec(&self, gpu: &Gpu, job: &Job) -> Spec {
        let outputs = self.outputs.each_ref().map(|output| output.as_ref().map(|(ty, _)| *ty));
        let narrow = outputs.into_iter().flatten().any(OutputType::is_narrow);
        Spec {
            blocks: gpu.blocks(job, narrow),
            form: self.form,
            prediction: self.prediction,
            target: self.target,
            outputs,
            stores_alone: false,
            sums: job.sums,
            weighted: job.parameters.as_ref().map(|parameters| {
                let weight = self.weights.as_ref().map(|(ty, shape, _)| (*ty, *shape));
                WeightedSpec::new(parameters.uses, weight, self.mask.is_some(), parameters.ignore)
            }),
        }
    }

    /// Checks every buffer: usages, offsets, sizes, and that nothing written is also read or written elsewhere.
    pub fn check(&self, limits: &wgpu::Limits) -> Result<()> {
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
        for (name, region) in OUTPUTS.into_iter().zip(&self.outputs) {
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

    /// How many weights of that shape there are.
    pub fn weight_count(&self, shape: WeightShape) -> u64 {
        match shape {
            WeightShape::Elements => self.len,
            WeightShape::Samples => self.len / self.classes,
        }
    }
}

impl Arrays {
    /// Binds the weights of a window, or `unused` where there are none. Also returned is the phase that makes the
    /// kernel find rows and classes from there: the weights of a sample start at a row that any device can bind.
    fn bind_weights<'a>(&'a self, range: &Range<u64>, unused: &'a BufferRegion) -> (wgpu::BindingResource<'a>, u32) {
        let phase = range.start % self.classes;
        match &self.weights {
            None => (unused.binding(0, 4), phase as u32),
            Some((ty, WeightShape::Elements, region)) => {
                (region.binding(ty.bytes(range.start), ty.bytes(range.end - range.start)), phase as u32)
            }
            Some((ty, WeightShape::Samples, region)) => {
                let row = range.start / self.classes;
                let first = row - row % ALIGNMENT;
                let rows = range.end.div_ceil(self.classes) - first;
                // A chunk that starts inside a row, as `set_work` may say, ends in one row more: bind it where it is.
                let there = region.buffer.size() - region.offset - ty.bytes(first);
                let bytes = if ty.bytes(rows + 1) <= there { ty.bytes(rows + 1) } else { ty.bytes(rows) };
                (region.binding(ty.bytes(first), bytes), ((row - first) * self.classes + phase) as u32)
            }
        }
    }
}

/// The parameters of any window.
fn params(job: &Job, classes: u32) -> Params {
    let plain = LossParameters::plain();
    let parameters = job.parameters.as_ref().unwrap_or(&plain);
    let conventions = &parameters.conventions;
    Params {
        len: 0,
        coefficient: job.coefficient,
        classes,
        phase: 0,
        ignored: match parameters.ignore {
            Some(Ignore::Label(label)) => label.into(),
            _ => 0,
        },
        empty: job.empty_mean as f32,
        label_weights: parameters.label_weights,
        alpha: parameters.alpha,
        smoothing: parameters.smoothing,
        gamma: parameters.gamma,
        negative_term: conventions.negative_term,
        positive_term: conventions.positive_term,
        denominator: conventions.denominator,
        hessian: conventions.hessian,
        flags: u32::from(conventions.clipped_is_flat)
            | u32::from(conventions.binarize) << 1
            | u32::from(conventions.weigh_positives) << 2
            | u32::from(conventions.unlabelled_loss) << 3,
        padding: 0,
    }
}

impl Pass {
    /// Prepares an evaluation. The buffers have been checked.
    ///
    /// # Errors
    /// [`Error::Limit`] if sums by class or row need more in one dispatch than the device can bind.
    pub fn new(gpu: &Gpu, arrays: &Arrays, job: &Job) -> Result<Self> {
        use wgpu::BufferUsages as Usage;
        let device = &gpu.device;
        gpu.require_storage_buffers(job.sums)?;
        let unit = if job.sums == Sums::All { 1 } else { plan::unit(job.sums, arrays.classes as usize) };
        let mut limits = plan::Limits::from(&gpu.limits);
        if job.sums == Sums::PerRow {
            // A workgroup takes 256 rows, which may be fewer values than a block.
            let values = u64::from(limits.workgroups) * 256 * arrays.classes;
            limits.workgroups = limits.workgroups.min((values / BLOCK as u64) as u32);
        }
        let window = limits.window_of(4, unit, arrays.len).ok_or(Error::Limit {
            name: "a dispatch of 2048 rows",
            needed: unit * 4,
            limit: limits.binding,
        })?;
        let blocks = plan::workgroups(arrays.len.min(window) / arrays.classes, 1);
        let workgroups = u64::from(blocks) * arrays.classes;
        if job.sums == Sums::PerClass && workgroups > limits.workgroups.into() {
            return Err(Error::Limit {
                name: "a workgroup for each class",
                needed: workgroups,
                limit: limits.workgroups.into(),
            });
        }
        let ranges = plan::windows(arrays.len, window);
        let count = ranges.len().max(1) as u64;
        let entries = job.parameters.as_ref().map_or(1, |parameters| parameters.classes.len() as u64);
        let stride = (CLASS_WEIGHTS + 8 * entries).next_multiple_of(ALIGNMENT);
        let values_stride = match job.sums {
            Sums::All => 0,
            Sums::PerClass => (arrays.classes * CLASS_SUM).next_multiple_of(ALIGNMENT),
            Sums::PerRow => window / arrays.classes * 4,
        };
        let values_bytes = match job.sums {
            Sums::All => None,
            Sums::PerClass => Some(count * values_stride),
            Sums::PerRow => Some((arrays.len / arrays.classes * 4).max(4)),
        };
        let slots = buffers::make(device, "logloss windows", count * stride, Usage::STORAGE | Usage::COPY_DST);
        let totals =
            buffers::make(device, "logloss totals", size_of::<Totals>() as u64, Usage::STORAGE | Usage::COPY_DST);
        let result = buffers::make(device, "logloss result", ResultBlock::SIZE, Usage::STORAGE | Usage::COPY_SRC);
        let values = values_bytes.map(|bytes| {
            buffers::make(device, "logloss values", bytes, Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST)
        });

        let region = |buffer: &wgpu::Buffer| BufferRegion::from(buffer.clone());
        let slot = region(&slots);
        let values_region = values.as_ref().map(region);
        let unused = gpu.unused.each_ref().map(region);
        let layout = gpu.pipelines.bindings(device, job.sums);
        let spec = arrays.spec(gpu, job);
        let (kernel, stores) = spec.split();
        let windows = ranges
            .enumerate()
            .map(|(w, range)| {
                let (w, len) = (w as u64, range.end - range.start);
                let (weights, phase) = arrays.bind_weights(&range, &unused[3]);
                let mut resources = vec![
                    slot.binding(w * stride, stride),
                    arrays.predictions.binding(arrays.prediction.bytes(range.start), arrays.prediction.bytes(len)),
                    arrays.targets.binding(arrays.target.bytes(range.start), arrays.target.bytes(len)),
                ];
                for (output, unused) in arrays.outputs.iter().zip(&unused) {
                    resources.push(match output {
                        Some((ty, region)) => region.binding(ty.bytes(range.start), ty.bytes(len)),
                        None => unused.binding(0, 4),
                    });
                }
                resources.push(weights);
                resources.push(match &arrays.mask {
                    Some(mask) => mask.binding(range.start / 8, TargetType::Bits.bytes(len)),
                    None => unused[3].binding(0, 4),
                });
                if let Some(values) = &values_region {
                    let bytes = match job.sums {
                        Sums::PerRow => len / arrays.classes * 4,
                        _ => values_stride,
                    };
                    resources.push(values.binding(w * values_stride, bytes));
                }
                Window { group: bind(device, layout, resources), workgroups: 0, store_workgroups: 0, phase }
            })
            .collect();
        let finish_group = bind(
            device,
            &gpu.pipelines.finish_bindings,
            vec![
                region(&totals).binding(0, size_of::<Totals>() as u64),
                slot.binding(0, count * stride),
                region(&result).binding(0, ResultBlock::SIZE),
            ],
        );
        let before =
            job.divide.map(|_| [gpu.pipelines.kernel(device, spec.weights_alone()), gpu.pipelines.divide.clone()]);
        let mut pass = Self {
            kernel: gpu.pipelines.kernel(device, kernel),
            stores: stores.map(|stores| gpu.pipelines.kernel(device, stores)),
            finish: gpu.pipelines.finish.clone(),
            before,
            windows,
            window,
            blocks: spec.blocks,
            classes: arrays.classes,
            sums: job.sums,
            finish_group,
            slots,
            stride,
            totals,
            result,
            values,
            values_stride,
        };
        pass.set_work(arrays.len, None, job, |buffer, offset, bytes| {
            gpu.queue.write_buffer(buffer, offset, bytes);
            Ok(())
        })?;
        Ok(pass)
    }

    /// Sets what the next submission evaluates: the first `len` values of what was bound, no more windows than there
    /// were, the first value in the class `phase` if that is another than was bound. `write` is told what is to lie
    /// where when it runs, in whole words; see [`parameter_bytes`].
    pub fn set_work(
        &mut self,
        len: u64,
        phase: Option<u32>,
        job: &Job,
        mut write: impl FnMut(&wgpu::Buffer, u64, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let totals = Totals {
            windows: self.windows.len() as u32,
            window: self.window as u32,
            count: [len as u32, (len >> 32) as u32],
            stride: (self.stride / 4) as u32,
            counted: job.parameters.is_some().into(),
            weighted: job.weighted_mean.into(),
            empty: job.empty_mean as f32,
            scale: job.divide.unwrap_or(job.coefficient),
        };
        write(&self.totals, 0, bytemuck::bytes_of(&totals))?;
        let mut params = params(job, self.classes as u32);
        for (w, slot) in (0..).zip(&mut self.windows) {
            let len = (len - w * self.window).min(self.window);
            slot.phase = phase.unwrap_or(slot.phase);
            (params.len, params.phase) = (len as u32, slot.phase);
            write(&self.slots, w * self.stride + PARAMS, bytemuck::bytes_of(&params))?;
            if let Some(parameters) = &job.parameters {
                let classes = bytemuck::cast_slice(parameters.classes.as_ref());
                write(&self.slots, w * self.stride + CLASS_WEIGHTS, classes)?;
            }
            slot.store_workgroups = plan::workgroups(len, 1);
            let rows = len / self.classes;
            slot.workgroups = match self.sums {
                Sums::All => plan::workgroups(len, self.blocks),
                Sums::PerClass => plan::workgroups(rows, 1) * self.classes as u32,
                Sums::PerRow => rows.div_ceil(256) as u32,
            };
        }
        Ok(())
    }

    /// Records the evaluation. The result block is complete when the device has run it.
    pub fn record(&self, encoder: &mut wgpu::CommandEncoder, timestamps: Option<wgpu::ComputePassTimestampWrites<'_>>) {
        if let (Sums::PerClass, Some(values)) = (self.sums, &self.values) {
            encoder.clear_buffer(values, 0, None);
        }
        let mut pass = encoder
            .begin_compute_pass(&wgpu::ComputePassDescriptor { label: Some("logloss"), timestamp_writes: timestamps });
        if let Some([weigh, divide]) = &self.before {
            self.over_windows(&mut pass, weigh, |window| window.workgroups);
            self.over_all(&mut pass, divide);
        }
        self.over_windows(&mut pass, &self.kernel, |window| window.workgroups);
        if let Some(stores) = &self.stores {
            self.over_windows(&mut pass, stores, |window| window.store_workgroups);
        }
        self.over_all(&mut pass, &self.finish);
    }

    fn over_windows(
        &self,
        pass: &mut wgpu::ComputePass<'_>,
        pipeline: &wgpu::ComputePipeline,
        workgroups: fn(&Window) -> u32,
    ) {
        pass.set_pipeline(pipeline);
        for window in &self.windows {
            pass.set_bind_group(0, &window.group, &[]);
            pass.dispatch_workgroups(workgroups(window), 1, 1);
        }
    }

    fn over_all(&self, pass: &mut wgpu::ComputePass<'_>, pipeline: &wgpu::ComputePipeline) {
        pass.set_pipeline(pipeline);
        pass.set_bind_group(0, &self.finish_group, &[]);
        pass.dispatch_workgroups(1, 1, 1);
    }

    /// How many windows there are.
    pub fn windows(&self) -> usize {
        self.windows.len()
    }

    /// The result block.
    pub fn result(&self) -> &wgpu::Buffer {
        &self.result
    }

    /// Bytes between the class sums of two windows.
    pub fn values_stride(&self) -> u64 {
        self.values_stride
    }
}

fn bind(
    device: &wgpu::Device,
    layout: &wgpu::BindGroupLayout,
    resources: Vec<wgpu::BindingResource<'_>>,
) -> wgpu::BindGroup {
    let entries: Vec<_> =
        (0..).zip(resources).map(|(binding, resource)| wgpu::BindGroupEntry { binding, resource }).collect();
    device.create_bind_group(&wgpu::BindGroupDescriptor { label: Some("logloss"), layout, entries: &entries })
}
