//! The shaders, and the pipelines made of them: one for each combination of what is in use.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use crate::{Floats, Form, Targets};

/// The kernel's source: element math and the pass over a window.
pub const KERNEL: &str =
    concat!(include_str!("../../shaders/element.wgsl"), "\n", include_str!("../../shaders/kernel.wgsl"));

/// The source of the pass that adds up the windows.
pub const FINISH: &str = include_str!("../../shaders/finish.wgsl");

/// How predictions are stored on a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PredictionType {
    /// IEEE binary32, 4 bytes a value.
    F32,
    /// IEEE binary16, 2 bytes a value.
    F16,
    /// bfloat16, 2 bytes a value.
    Bf16,
}

/// How targets are stored on a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TargetType {
    /// Soft targets in [0, 1], 4 bytes a value.
    F32,
    /// Hard targets, one byte a value, 0 or 1. A `bool` of Rust is one.
    U8,
    /// Hard targets, 32 a word, least significant bit first.
    Bits,
}

impl PredictionType {
    /// Bytes that `len` values take, whole words.
    pub fn bytes(self, len: u64) -> u64 {
        match self {
            PredictionType::F32 => len * 4,
            PredictionType::F16 | PredictionType::Bf16 => (len * 2).next_multiple_of(4),
        }
    }
}

impl TargetType {
    /// Bytes that `len` values take, whole words.
    pub fn bytes(self, len: u64) -> u64 {
        match self {
            TargetType::F32 => len * 4,
            TargetType::U8 => len.next_multiple_of(4),
            TargetType::Bits => len.div_ceil(32) * 4,
        }
    }
}

impl From<&Floats<'_>> for PredictionType {
    fn from(floats: &Floats<'_>) -> Self {
        match floats {
            Floats::F32(_) => PredictionType::F32,
            Floats::F16(_) => PredictionType::F16,
            Floats::Bf16(_) => PredictionType::Bf16,
        }
    }
}

impl From<&Targets<'_>> for TargetType {
    fn from(targets: &Targets<'_>) -> Self {
        match targets {
            Targets::F32(_) => TargetType::F32,
            Targets::U8(_) | Targets::Bool(_) => TargetType::U8,
            Targets::Bits(_) => TargetType::Bits,
        }
    }
}

/// What a kernel is specialised by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Spec {
    pub form: Form,
    pub prediction: PredictionType,
    pub target: TargetType,
    /// Loss, gradient, hessian: whether each is written.
    pub outputs: [bool; 3],
    /// Blocks a workgroup takes.
    pub blocks: u32,
}

/// The pipelines of one device.
#[derive(Debug)]
pub(crate) struct Pipelines {
    kernel: wgpu::ShaderModule,
    kernel_layout: wgpu::PipelineLayout,
    kernels: Mutex<HashMap<Spec, wgpu::ComputePipeline>>,
    pub kernel_bindings: wgpu::BindGroupLayout,
    pub finish: wgpu::ComputePipeline,
    pub finish_bindings: wgpu::BindGroupLayout,
}

impl Pipelines {
    pub fn new(device: &wgpu::Device) -> Self {
        let [read, write] = [true, false].map(|read_only| wgpu::BufferBindingType::Storage { read_only });
        let kernel_bindings = layout(device, "logloss kernel", &[write, read, read, write, write, write]);
        let finish_bindings = layout(device, "logloss finish", &[read, write, write]);
        let pipeline_layout = |label, bindings| {
            device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                label: Some(label),
                bind_group_layouts: &[Some(bindings)],
                immediate_size: 0,
            })
        };
        let kernel_layout = pipeline_layout("logloss kernel", &kernel_bindings);
        let finish_layout = pipeline_layout("logloss finish", &finish_bindings);
        let finish = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some("logloss finish"),
            layout: Some(&finish_layout),
            module: &module(device, "logloss finish", FINISH),
            entry_point: Some("finish"),
            compilation_options: Default::default(),
            cache: None,
        });
        Self {
            kernel: module(device, "logloss kernel", KERNEL),
            kernel_layout,
            kernels: Mutex::default(),
            kernel_bindings,
            finish,
            finish_bindings,
        }
    }

    /// The kernel for `spec`, made the first time it is asked for.
    pub fn kernel(&self, device: &wgpu::Device, spec: Spec) -> wgpu::ComputePipeline {
        let mut kernels = self.kernels.lock().unwrap_or_else(PoisonError::into_inner);
        kernels.entry(spec).or_insert_with(|| self.make_kernel(device, spec)).clone()
    }

    fn make_kernel(&self, device: &wgpu::Device, spec: Spec) -> wgpu::ComputePipeline {
        let [loss, gradient, hessian] = spec.outputs.map(|on| f64::from(u8::from(on)));
        let constants = [
            ("FORM", f64::from(spec.form as u8)),
            ("PREDICTION", f64::from(spec.prediction as u8)),
            ("TARGET", f64::from(spec.target as u8)),
            ("LOSS", loss),
            ("GRADIENT", gradient),
            ("HESSIAN", hessian),
            ("BLOCKS", f64::from(spec.blocks)),
        ];
        device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some("logloss kernel"),
            layout: Some(&self.kernel_layout),
            module: &self.kernel,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &constants,
                // The kernel writes every word of workgroup memory before it reads it.
                zero_initialize_workgroup_memory: false,
            },
            cache: None,
        })
    }
}

fn module(device: &wgpu::Device, label: &str, source: &str) -> wgpu::ShaderModule {
    device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: Some(label),
        source: wgpu::ShaderSource::Wgsl(source.into()),
    })
}

/// A layout of one buffer after the other, all seen by compute shaders alone.
fn layout(device: &wgpu::Device, label: &str, types: &[wgpu::BufferBindingType]) -> wgpu::BindGroupLayout {
    let entries: Vec<_> = (0..)
        .zip(types)
        .map(|(binding, &ty)| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None },
            count: None,
        })
        .collect();
    device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some(label), entries: &entries })
}
