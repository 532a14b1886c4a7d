//! What a device's memory gives: copies and reads by a kernel, over as many bytes as an evaluation moves.

use std::{cell::Cell as Shared, mem, ops::Range, time::Duration};

use anyhow::{Result, anyhow};
use logloss::wgpu::{self, BufferUsages as Usage};

use super::device::{Clock, Gpu};
use crate::bench::{
    sampling::{Pace, Sample, Task, rounds},
    stats::median,
};

/// What is moved is a multiple of as many bytes.
const WORD: u64 = 16;
const LANES: u64 = 256;
/// What is tried: bytes a lane moves at once, and steps of a lane.
const VARIANTS: [(&str, u64, u32); 4] = [("words", 16, 1), ("words", 16, 4), ("scalars", 4, 4), ("scalars", 4, 16)];
/// No device wants a larger offset to be a multiple of.
const ALIGNMENT: u64 = 256;

/// What is moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Everything is read.
    Read,
    /// Half is read and half is written.
    Copy,
}

/// Kernels that only move bytes, and the memory they do it in.
pub struct Traffic {
    gpu: Gpu,
    clock: Clock,
    source: wgpu::Buffer,
    destination: wgpu::Buffer,
    /// Bytes of each.
    size: u64,
    layout: wgpu::BindGroupLayout,
    /// The fastest of each.
    read: Kernel,
    copy: Kernel,
    /// In bulk, 10⁹ bytes a second.
    pub read_gb_per_s: f64,
    /// In bulk, bytes read and bytes written both counted.
    pub copy_gb_per_s: f64,
}

/// A kernel, and what a workgroup of it moves.
#[derive(Clone)]
struct Kernel {
    pipeline: wgpu::ComputePipeline,
    bytes_per_group: u64,
}

/// Some dispatches that together move so many bytes.
struct Move {
    dispatches: Vec<(wgpu::BindGroup, u32)>,
}

impl Traffic {
    /// Takes two buffers of up to `size` bytes, and finds the fastest kernels.
    pub fn new(gpu: Gpu, size: u64, pace: Pace) -> Result<Self> {
        let limits = gpu.device.limits();
        // Every variant's workgroups move 4 KiB or more.
        let reach = u64::from(limits.max_compute_workgroups_per_dimension) * LANES * WORD;
        let size = size.min(limits.max_storage_buffer_binding_size).min(limits.max_buffer_size).min(reach);
        let size = size / ALIGNMENT * ALIGNMENT;
        let source = gpu.buffer(size, Usage::STORAGE)?;
        let destination = gpu.buffer(size, Usage::STORAGE)?;
        let clock = Clock::new(&gpu)?;
        let (layout, pipelines) = gpu.scoped(|| pipelines(&gpu.device))?;
        let [read, copy, fill] = pipelines;
        let fill = fill.into_iter().next().ok_or_else(|| anyhow!("no kernel"))?;
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
            let read = size as f64 / traffic.bulk(Kind::Read, size, pace)? / 1e9;
            let copy = 2.0 * size as f64 / traffic.bulk(Kind::Copy, 2 * size, pace)? / 1e9;
            if read > traffic.read_gb_per_s {
                traffic.read_gb_per_s = read
            } else {
                traffic.read = before.0
            }
            if copy > traffic.copy_gb_per_s { traffic.copy_gb_per_s = copy } else { traffic.copy = before.1 }
        }
        Ok(traffic)
    }

    fn kernel(&self, kind: Kind) -> &Kernel {
        match kind {
            Kind::Read => &self.read,
            Kind::Copy => &self.copy,
        }
    }

    fn bulk(&self, kind: Kind, bytes: u64, pace: Pace) -> Result<f64> {
        let samples = rounds(pace, 1, &mut (), &mut [self.task(kind, bytes, false)?])?;
        Ok(median(samples[0].iter().map(time)))
    }

    /// Moves `bytes` bytes in all, each time elsewhere if the row's data come from memory too.
    pub fn task(&self, kind: Kind, bytes: u64, from_memory: bool) -> Result<Task<'_, ()>> {
        let span = match kind {
            Kind::Read => bytes,
            Kind::Copy => bytes / 2,
        };
        let span = span.next_multiple_of(WORD);
        let stride = span.next_multiple_of(ALIGNMENT);
        let places = if from_memory && stride <= self.size { self.size / stride } else { 1 };
        let moves: Vec<_> = (0..places).map(|place| self.plan(kind, place * stride, span)).collect::<Result<_>>()?;
        let pipeline = &self.kernel(kind).pipeline;
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

    /// Cuts `span` bytes from `start` on; past the end of the buffers it begins anew.
    fn plan(&self, kind: Kind, start: u64, span: u64) -> Result<Move> {
        let kernel = self.kernel(kind);
        let mut dispatches = Vec::new();
        let (mut start, mut left) = (start, span);
        while left > 0 {
            let bytes = left.min(self.size - start);
            dispatches.push(self.piece((&self.source, start), (&self.destination, start), bytes, kernel)?);
            (start, left) = (0, left - bytes);
        }
        Ok(Move { dispatches })
    }

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

/// Seconds of one call, by the device's clock where there is one that tells anything.
pub fn time(sample: &Sample) -> f64 {
    if sample.timestamps && sample.kernel > 0.0 { sample.kernel } else { sample.call }
}

/// Those that read, copy and fill, in the order of the variants.
type Pipelines = [Vec<Kernel>; 3];

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
    let pipelines = [all("read"), all("copy"), vec![make("fill_words", WORD, 1)]];
    (layout, pipelines)
}
