//! An evaluation of device buffers, ready to be recorded as often as one likes.

use crate::{
    Error, Form, Result,
    gpu::{
        Gpu,
        buffers::{self, BufferRegion},
        pipelines::{PredictionType, Spec, TargetType},
        result::ResultBlock,
    },
    plan,
};

/// Bytes between two windows: what any device accepts as an offset.
const WINDOW_STRIDE: u64 = 256;
/// Where the parameters of a window begin: behind its sum.
const PARAMS: u64 = 96;

/// The arrays of a batch, on the device.
#[derive(Clone, Debug)]
pub(crate) struct Arrays {
    pub form: Form,
    pub prediction: PredictionType,
    pub target: TargetType,
    pub len: u64,
    pub predictions: BufferRegion,
    pub targets: BufferRegion,
    /// Loss, gradient, hessian: where each is wanted.
    pub outputs: [Option<BufferRegion>; 3],
}

/// Names of the outputs, for messages.
pub(crate) const OUTPUTS: [&str; 3] = ["loss", "gradient", "hessian"];

/// The parameters of a window, as in kernel.wgsl.
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct Params {
    len: u32,
    coefficient: f32,
}

/// What finish.wgsl needs to know.
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct Totals {
    windows: u32,
    window: u32,
    count: [u32; 2],
}

/// Everything an evaluation binds, made once.
#[derive(Debug)]
pub(crate) struct Pass {
    kernel: wgpu::ComputePipeline,
    finish: wgpu::ComputePipeline,
    windows: Vec<Window>,
    /// Blocks a workgroup takes.
    blocks: u32,
    finish_group: wgpu::BindGroup,
    /// [windows], the sum and the parameters of each. The sums are 0 between evaluations.
    slots: wgpu::Buffer,
    totals: wgpu::Buffer,
    result: wgpu::Buffer,
}

#[derive(Debug)]
struct Window {
    group: wgpu::BindGroup,
    workgroups: u32,
}

impl Arrays {
    pub fn spec(&self, blocks: u32) -> Spec {
        Spec {
            blocks,
            form: self.form,
            prediction: self.prediction,
            target: self.target,
            outputs: self.outputs.each_ref().map(Option::is_some),
        }
    }

    /// Checks every buffer: usages, offsets, sizes, and that nothing written is also read or written elsewhere.
    pub fn check(&self, limits: &wgpu::Limits) -> Result<()> {
        let alignment = limits.min_storage_buffer_offset_alignment;
        let storage = wgpu::BufferUsages::STORAGE;
        self.predictions.check("predictions", self.prediction.bytes(self.len), storage, alignment)?;
        self.targets.check("targets", self.target.bytes(self.len), storage, alignment)?;
        let mut taken = vec![("predictions", &self.predictions.buffer), ("targets", &self.targets.buffer)];
        for (name, region) in OUTPUTS.into_iter().zip(&self.outputs) {
            let Some(region) = region else { continue };
            region.check(name, self.len * 4, storage, alignment)?;
            if let Some((other, _)) = taken.iter().find(|(_, buffer)| **buffer == region.buffer) {
                let problem = format!("it lies in the buffer of {other}; a buffer that is written needs to be its own");
                return Err(Error::Buffer { name, problem });
            }
            taken.push((name, &region.buffer));
        }
        Ok(())
    }
}

impl Pass {
    /// Prepares an evaluation. The buffers have been checked.
    pub fn new(gpu: &Gpu, arrays: &Arrays, coefficient: f32) -> Self {
        let device = &gpu.device;
        let window = plan::Limits::from(&gpu.limits).window(4);
        let windows = plan::windows(arrays.len, window);
        let slot_bytes = windows.len().max(1) as u64 * WINDOW_STRIDE;
        use wgpu::BufferUsages as Usage;
        let slots = buffers::make(device, "logloss windows", slot_bytes, Usage::STORAGE | Usage::COPY_DST);
        let totals =
            buffers::make(device, "logloss totals", size_of::<Totals>() as u64, Usage::STORAGE | Usage::COPY_DST);
        let result = buffers::make(device, "logloss result", ResultBlock::SIZE, Usage::STORAGE | Usage::COPY_SRC);

        let region = |buffer: &wgpu::Buffer| BufferRegion::from(buffer.clone());
        let slot = region(&slots);
        let unused = gpu.unused.each_ref().map(region);
        let windows = windows
            .enumerate()
            .map(|(w, range)| {
                let len = range.end - range.start;
                let mut resources = vec![
                    slot.binding(w as u64 * WINDOW_STRIDE, WINDOW_STRIDE),
                    arrays.predictions.binding(arrays.prediction.bytes(range.start), arrays.prediction.bytes(len)),
                    arrays.targets.binding(arrays.target.bytes(range.start), arrays.target.bytes(len)),
                ];
                for (output, unused) in arrays.outputs.iter().zip(&unused) {
                    resources.push(match output {
                        Some(output) => output.binding(range.start * 4, len * 4),
                        None => unused.binding(0, 4),
                    });
                }
                Window {
                    group: bind(device, &gpu.pipelines.kernel_bindings, resources),
                    workgroups: plan::workgroups(len, gpu.blocks),
                }
            })
            .collect();
        let finish_group = bind(
            device,
            &gpu.pipelines.finish_bindings,
            vec![
                region(&totals).binding(0, size_of::<Totals>() as u64),
                slot.binding(0, slot_bytes),
                region(&result).binding(0, ResultBlock::SIZE),
            ],
        );
        let kernel = gpu.pipelines.kernel(device, arrays.spec(gpu.blocks));
        let finish = gpu.pipelines.finish.clone();
        let mut pass = Self { kernel, finish, windows, blocks: gpu.blocks, finish_group, slots, totals, result };
        pass.set_work(&gpu.queue, window, arrays.len, coefficient);
        pass
    }

    /// Sets what the next submission evaluates: the first `len` values of what was bound, no more windows than
    /// there were.
    pub fn set_work(&mut self, queue: &wgpu::Queue, window: u64, len: u64, coefficient: f32) {
        let windows = self.windows.len();
        let totals = Totals { windows: windows as u32, window: window as u32, count: [len as u32, (len >> 32) as u32] };
        queue.write_buffer(&self.totals, 0, bytemuck::bytes_of(&totals));
        for (w, slot) in (0..).zip(&mut self.windows) {
            let len = (len - w * window).min(window);
            let params = Params { len: len as u32, coefficient };
            queue.write_buffer(&self.slots, w * WINDOW_STRIDE + PARAMS, bytemuck::bytes_of(&params));
            slot.workgroups = plan::workgroups(len, self.blocks);
        }
    }

    /// Records the evaluation. The result block is complete when the device has run it.
    pub fn record(&self, encoder: &mut wgpu::CommandEncoder, timestamps: Option<wgpu::ComputePassTimestampWrites<'_>>) {
        let mut pass = encoder
            .begin_compute_pass(&wgpu::ComputePassDescriptor { label: Some("logloss"), timestamp_writes: timestamps });
        pass.set_pipeline(&self.kernel);
        for window in &self.windows {
            pass.set_bind_group(0, &window.group, &[]);
            pass.dispatch_workgroups(window.workgroups, 1, 1);
        }
        pass.set_pipeline(&self.finish);
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
