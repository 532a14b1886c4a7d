//! The pipelines of a device: one for each specialisation, created when it is first needed.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use crate::{
    Result,
    gpu::{
        bindings::Bindings,
        source::{self, Source},
        spec::Spec,
    },
};

/// The pipelines of one device.
#[derive(Debug)]
pub(crate) struct Pipelines {
    cache: Mutex<Cache>,
    pub finish: wgpu::ComputePipeline,
    pub divide: wgpu::ComputePipeline,
    pub finish_bindings: wgpu::BindGroupLayout,
}

/// The modules, layouts and kernels created so far.
#[derive(Debug, Default)]
struct Cache {
    modules: HashMap<Source, wgpu::ShaderModule>,
    layouts: HashMap<Bindings, Layout>,
    kernels: HashMap<Spec, Kernel>,
}

/// The layout of a kernel's bindings.
#[derive(Clone, Debug)]
struct Layout {
    pipeline: wgpu::PipelineLayout,
    bindings: wgpu::BindGroupLayout,
}

/// A kernel that is ready to run.
#[derive(Clone, Debug)]
pub(crate) struct Kernel {
    pub pipeline: wgpu::ComputePipeline,
    /// The layout of its bind groups: the arrays of [`Spec::bindings`].
    pub bindings: wgpu::BindGroupLayout,
}

const READ: wgpu::BufferBindingType = wgpu::BufferBindingType::Storage { read_only: true };
const WRITE: wgpu::BufferBindingType = wgpu::BufferBindingType::Storage { read_only: false };

impl Pipelines {
    pub(crate) fn new(device: &wgpu::Device) -> Self {
        let layout = layout(device, "logloss finish", [READ, WRITE, WRITE]);
        let module = module(device, "logloss finish", &source::finish());
        let finish = |entry_point| {
            device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some("logloss finish"),
                layout: Some(&layout.pipeline),
                module: &module,
                entry_point: Some(entry_point),
                compilation_options: Default::default(),
                cache: None,
            })
        };
        Self {
            cache: Mutex::default(),
            finish: finish("finish"),
            divide: finish("divide"),
            finish_bindings: layout.bindings,
        }
    }

    /// The kernel for `spec`, created by the first call.
    pub(crate) fn kernel(&self, device: &wgpu::Device, spec: &Spec) -> Kernel {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kernel) = cache.kernels.get(spec) {
            return kernel.clone();
        }
        let source = spec.source();
        let Cache { modules, layouts, kernels } = &mut *cache;
        let module = modules.entry(source).or_insert_with(|| module(device, "logloss kernel", &source.wgsl()));
        let layout = layouts.entry(source.bindings).or_insert_with(|| {
            let types = source.bindings.iter().map(|binding| if binding.is_input() { READ } else { WRITE });
            layout(device, "logloss kernel", types)
        });
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some("logloss kernel"),
            layout: Some(&layout.pipeline),
            module,
            entry_point: Some(spec.entry_point()),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &spec.constants(),
                // The kernel writes every word of workgroup memory before it reads it.
                zero_initialize_workgroup_memory: false,
            },
            cache: None,
        });
        let kernel = Kernel { pipeline, bindings: layout.bindings.clone() };
        kernels.insert(*spec, kernel.clone());
        kernel
    }

    /// Empties the cache if creating an evaluation failed, since some of its entries may be invalid.
    pub(crate) fn keep<T>(&self, made: Result<T>) -> Result<T> {
        if made.is_err() {
            *self.cache.lock().unwrap_or_else(PoisonError::into_inner) = Cache::default();
        }
        made
    }
}

fn module(device: &wgpu::Device, label: &str, source: &str) -> wgpu::ShaderModule {
    device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: Some(label),
        source: wgpu::ShaderSource::Wgsl(source.into()),
    })
}

/// A layout of one buffer after the other, all seen by compute shaders alone.
fn layout(device: &wgpu::Device, label: &str, types: impl IntoIterator<Item = wgpu::BufferBindingType>) -> Layout {
    let entries: Vec<_> = (0..)
        .zip(types)
        .map(|(binding, ty)| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None },
            count: None,
        })
        .collect();
    let bindings =
        device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some(label), entries: &entries });
    let pipeline = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: Some(label),
        bind_group_layouts: &[Some(&bindings)],
        immediate_size: 0,
    });
    Layout { pipeline, bindings }
}
