//! The bandwidth of the memory of a device: kernels read or copy as many bytes as an evaluation moves, and compute
//! nothing.

use std::{cell::Cell as Shared, mem, ops::Range, time::Duration};

use logloss::wgpu::{self, BufferUsages as Usage};

use super::device::{Clock, Gpu};
use crate::{
    error::Result,
    sampling::{Pace, Sample, Task, rounds},
    stats::median,
};

/// The size of a word in bytes. Kernels move whole words.
const WORD: u64 = 16;
/// The number of lanes of a workgroup.
const LANES: u64 = 256;
/// The kernels that are tried: the name of the type, the bytes that a lane moves in a step, and the steps of a lane.
const VARIANTS: [(&str, u64, u32); 4] = [("words", 16, 1), ("words", 16, 4), ("scalars", 4, 4), ("scalars", 4, 16)];
/// The alignment of offsets in bytes, which suits every device.
const ALIGNMENT: u64 = 256;

/// What a kernel does with the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transfer {
    /// All bytes are read.
    Read,
    /// Half of the bytes is read and half is written.
    Copy,
}

/// The kernels that move bytes, and the buffers between which they do.
pub(super) struct Traffic {
    gpu: Gpu,
    clock: Clock,
    source: wgpu::Buffer,
    destination: wgpu::Buffer,
    /// The size of each buffer in bytes.
    size: u64,
    layout: wgpu::BindGroupLayout,
    /// The fastest kernels.
    read: Kernel,
    copy: Kernel,
    /// The bandwidth of reads of the whole buffer, in 10⁹ bytes per second.
    pub read_gb_per_s: f64,
    /// The bandwidth of copies of the whole buffer, in 10⁹ bytes per second; bytes read and bytes written both count.
    pub copy_gb_per_s: f64,
}

/// A kernel, and the number of bytes that a workgroup of it reads.
#[derive(Clone)]
struct Kernel {
    pipeline: wgpu::ComputePipeline,
    bytes_per_group: u64,
}

/// The dispatches of one transfer: bind groups, and numbers of workgroups.
struct Move {
    dispatches: Vec<(wgpu::BindGroup, u32)>,
}

impl Traffic {
    /// Takes two buffers of up to `size` bytes, and finds the fastest kernels.
    pub(super) fn new(gpu: Gpu, size: u64, pace: Pace<'_>) -> Result<Self> {
        let limits = gpu.device.limits();
        // The workgroups of every variant move 4 KiB or more.
        let reach = u64::from(limits.max_compute_workgroups_per_dimension) * LANES * WORD;
        let size = size.min(limits.max_storage_buffer_binding_size).min(limits.max_buffer_size).min(reach);
        let size = size / ALIGNMENT * ALIGNMENT;
        let source = gpu.buffer(size, Usage::STORAGE)?;
        let destination = gpu.buffer(size, Usage::STORAGE)?;
        let clock = Clock::new(&gpu)?;
        let (layout, pipelines) = gpu.scoped(|| pipelines(&gpu.device))?;
        let Pipelines { read, copy, fill } = pipelines;
        let mut traffic = Self {
            read: fill.clone(),
            copy: fill.clone(),
            gpu,
            clock,
            source,
            destination,
            size,
            layout,
            read_gb_per_s: 0.0,
            copy_gb_per_s: 0.0,
        };
        let (source, destination) = (&traffic.source, &traffic.destination);
        for (from, to) in [(source, destination), (destination, source)] {
            let whole = traffic.piece((from, 0), (to, 0), size, &fill)?;
            traffic.run(&fill.pipeline, &Move { dispatches: vec![whole] })?;
        }
        for (read, copy) in read.into_iter().zip(copy) {
            let before = (mem::replace(&mut traffic.read, read), mem::replace(&mut traffic.copy, copy));
            let read = size as f64 / traffic.bulk(Transfer::Read, size, pace)? / 1e9;
            let copy = 2.0 * size as f64 / traffic.bulk(Transfer::Copy, 2 * size, pace)? / 1e9;
            if read > traffic.read_gb_per_s {
                traffic.read_gb_per_s = read
            } else {
                traffic.read = before.0
            }
            if copy > traffic.copy_gb_per_s { traffic.copy_gb_per_s = copy } else { traffic.copy = before.1 }
        }
        Ok(traffic)
    }

    fn kernel(&self, transfer: Transfer) -> &Kernel {
        match transfer {
            Transfer::Read => &self.read,
            Transfer::Copy => &self.copy,
        }
    }

    /// The time of a transfer of `bytes` bytes, in seconds.
    fn bulk(&self, transfer: Transfer, bytes: u64, pace: Pace<'_>) -> Result<f64> {
        let samples = rounds(pace, 1, &mut (), &mut [self.task(transfer, bytes, false)?])?;
        Ok(median(samples[0].iter().map(time)))
    }

    /// A task that moves `bytes` bytes in all. If the batches of the row come from memory, so do these: every call moves
    /// other ones.
    pub(super) fn task(&self, transfer: Transfer, bytes: u64, from_memory: bool) -> Result<Task<'_, ()>> {
        let span = match transfer {
            Transfer::Read => bytes,
            Transfer::Copy => bytes / 2,
        };
        let span = span.next_multiple_of(WORD);
        let stride = span.next_multiple_of(ALIGNMENT);
        let places = if from_memory && stride <= self.size { self.size / stride } else { 1 };
        let moves: Vec<_> =
            (0..places).map(|place| self.plan(transfer, place * stride, span)).collect::<Result<_>>()?;
        let pipeline = &self.kernel(transfer).pipeline;
        let next = Shared::new(0);
        Ok(Box::new(move |(), calls: Range<usize>| {
            let mut total = Sample::default();
            for _ in calls.clone() {
                let (call, kernel) = self.run(pipeline, &moves[next.get() % moves.len()])?;
                next.set(next.get() + 1);
                total.call += call.as_secs_f64() / calls.len() as f64;
                total.kernel += kernel.unwrap_or_default().as_secs_f64() / calls.len() as f64;
                total.timestamps = kernel.is_some();
            }
            Ok(total)
        }))
    }

    /// The dispatches for `span` bytes from `start` on, which continue at the start of the buffers where these end.
    fn plan(&self, transfer: Transfer, start: u64, span: u64) -> Result<Move> {
        let kernel = self.kernel(transfer);
        let mut dispatches = Vec::new();
        let (mut start, mut left) = (start, span);
        while left > 0 {
            let bytes = left.min(self.size - start);
            dispatches.push(self.piece((&self.source, start), (&self.destination, start), bytes, kernel)?);
            (start, left) = (0, left - bytes);
        }
        Ok(Move { dispatches })
    }

    /// The dispatch for bytes that lie in one piece.
    fn piece(
        &self,
        source: (&wgpu::Buffer, u64),
        destination: (&wgpu::Buffer, u64),
        bytes: u64,
        kernel: &Kernel,
    ) -> Result<(wgpu::BindGroup, u32)> {
        let group = self.gpu.scoped(|| {
            self.gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some("logloss bench"),
                layout: &self.layout,
                entries: &[entry(0, destination, bytes), entry(1, source, bytes)],
            })
        })?;
        Ok((group, bytes.div_ceil(kernel.bytes_per_group) as u32))
    }

    fn run(&self, pipeline: &wgpu::ComputePipeline, what: &Move) -> Result<(Duration, Option<Duration>)> {
        self.clock.time(&self.gpu, |pass| {
            pass.set_pipeline(pipeline);
            for (group, workgroups) in &what.dispatches {
                pass.set_bind_group(0, group, &[]);
                pass.dispatch_workgroups(*workgroups, 1, 1);
            }
        })
    }
}

fn entry(binding: u32, (buffer, offset): (&wgpu::Buffer, u64), bytes: u64) -> wgpu::BindGroupEntry<'_> {
    let size = wgpu::BufferSize::new(bytes);
    wgpu::BindGroupEntry {
        binding,
        resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer, offset, size }),
    }
}

/// The time of a call in seconds, by the device's clock if it tells one.
pub(super) fn time(sample: &Sample) -> f64 {
    if sample.timestamps && sample.kernel > 0.0 { sample.kernel } else { sample.call }
}

/// The kernels that read and that copy, in the order of the variants, and the one that fills.
struct Pipelines {
    read: Vec<Kernel>,
    copy: Vec<Kernel>,
    fill: Kernel,
}

fn pipelines(device: &wgpu::Device) -> (wgpu::BindGroupLayout, Pipelines) {
    let storage = |binding, read_only| wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer {
            ty: wgpu::BufferBindingType::Storage { read_only },
            has_dynamic_offset: false,
            min_binding_size: None,
        },
        count: None,
    };
    let label = Some("logloss bench");
    let entries = [storage(0, false), storage(1, true)];
    let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label, entries: &entries });
    let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label,
        bind_group_layouts: &[Some(&layout)],
        immediate_size: 0,
    });
    let source = wgpu::ShaderSource::Wgsl(include_str!("traffic.wgsl").into());
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor { label, source });
    let make = |entry: &str, bytes: u64, steps: u32| Kernel {
        pipeline: device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label,
            layout: Some(&pipeline_layout),
            module: &module,
            entry_point: Some(entry),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &[("STEPS", steps.into())],
                zero_initialize_workgroup_memory: false,
            },
            cache: None,
        }),
        bytes_per_group: LANES * bytes * u64::from(steps),
    };
    let all = |verb: &str| {
        VARIANTS.iter().map(|(what, bytes, steps)| make(&format!("{verb}_{what}"), *bytes, *steps)).collect()
    };
    let pipelines = Pipelines { read: all("read"), copy: all("copy"), fill: make("fill_words", WORD, 1) };
    (layout, pipelines)
}
