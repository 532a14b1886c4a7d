//! The shaders, and the pipelines made of them: one for each combination of what is in use.

use std::{
    collections::HashMap,
    sync::{Mutex, OnceLock, PoisonError},
};

use crate::{
    Form, Ignore, OutputType, PredictionType, Result, TargetType, WeightShape, WeightType, job::Sums,
    loss_parameters::Uses,
};

/// What all kernels are made of: the arithmetic of an element, what weights and the like make of it, and the pass
/// over a window.
const KERNEL: [&str; 3] = [
    include_str!("../../shaders/element.wgsl"),
    include_str!("../../shaders/weighted.wgsl"),
    include_str!("../../shaders/kernel.wgsl"),
];

/// What the sums are taken over, in the order of [`Sums`].
const SUMS: [&str; 3] = [
    include_str!("../../shaders/sums/all.wgsl"),
    include_str!("../../shaders/sums/per_class.wgsl"),
    include_str!("../../shaders/sums/per_row.wgsl"),
];

/// How outputs are written: a word each, or some of them two halves a word.
const OUTPUTS: [&str; 2] =
    [include_str!("../../shaders/outputs/words.wgsl"), include_str!("../../shaders/outputs/halves.wgsl")];

/// The source of the passes that add up the windows.
pub const FINISH: &str = include_str!("../../shaders/finish.wgsl");

/// The source of the kernel with the given sums; `narrow` is whether an output is narrower than f32.
pub(crate) fn kernel_source(sums: Sums, narrow: bool) -> String {
    [KERNEL.as_slice(), &[SUMS[sums as usize], OUTPUTS[usize::from(narrow)]]].concat().join("\n")
}

/// What a kernel is specialised by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Spec {
    pub form: Form,
    pub prediction: PredictionType,
    pub target: TargetType,
    /// Loss, gradient, hessian: how each is written, if it is.
    pub outputs: [Option<OutputType>; 3],
    /// Whether outputs are all it is for: what it computes is added to no sum.
    pub stores_alone: bool,
    /// Blocks a workgroup takes, an even number where an output is narrow.
    pub blocks: u32,
    /// What the sums are taken over.
    pub sums: Sums,
    /// What is in use beyond the plain loss.
    pub weighted: Option<WeightedSpec>,
}

/// What is in use beyond the plain loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct WeightedSpec {
    pub uses: Uses,
    pub weight: Option<(WeightType, WeightShape)>,
    pub mask: bool,
    /// 0 none, 1 a label, 2 NaN, as in kernel.wgsl.
    pub ignore: u8,
    /// Whether the pass only counts and weighs.
    pub weights_alone: bool,
}

impl WeightedSpec {
    pub fn new(uses: Uses, weight: Option<(WeightType, WeightShape)>, mask: bool, ignore: Option<Ignore>) -> Self {
        let ignore = match ignore {
            None => 0,
            Some(Ignore::Label(_)) => 1,
            Some(Ignore::Nan) => 2,
        };
        Self { uses, weight, mask, ignore, weights_alone: false }
    }
}

impl Spec {
    /// The same evaluation, only counting and weighing.
    pub fn weights_alone(self) -> Self {
        let weighted = self.weighted.map(|weighted| WeightedSpec { weights_alone: true, ..weighted });
        Self { outputs: [None; 3], sums: Sums::All, weighted, ..self }
    }

    /// Whether an output is narrower than f32.
    pub fn narrow(&self) -> bool {
        self.outputs.into_iter().flatten().any(OutputType::is_narrow)
    }

    /// The evaluation as one kernel; or as two, one that sums and one that only stores, where that is how narrow outputs
    /// are written. Neighbours, which share a word, are of one lane only where the sum is over all.
    pub fn split(self) -> (Self, Option<Self>) {
        if self.sums == Sums::All || !self.narrow() {
            return (self, None);
        }
        let only = |narrow: bool| self.outputs.map(|output| output.filter(|ty| ty.is_narrow() == narrow));
        (Self { outputs: only(false), ..self }, Some(Self { outputs: only(true), stores_alone: true, ..self }))
    }

    /// The names and values that kernel.wgsl is compiled with.
    fn constants(&self) -> Vec<(&'static str, f64)> {
        let flag = |on: bool| f64::from(u8::from(on));
        let [loss, gradient, hessian] = self.outputs.map(|output| output.map_or(0.0, |ty| 1.0 + f64::from(ty as u8)));
        let mut constants = vec![
            ("FORM", f64::from(self.form as u8)),
            ("PREDICTION", f64::from(self.prediction as u8)),
            ("TARGET", f64::from(self.target as u8)),
            ("LOSS", loss),
            ("GRADIENT", gradient),
            ("HESSIAN", hessian),
            ("BLOCKS", f64::from(self.blocks)),
        ];
        if let Some(parameters) = self.weighted {
            let (weight, samples) = match parameters.weight {
                None => (0.0, false),
                Some((ty, shape)) => (1.0 + f64::from(ty as u8), shape == WeightShape::Samples),
            };
            constants.extend([
                ("WEIGHTED", 1.0),
                ("SERIES", 2.0),
                ("WEIGHT", weight),
                ("SAMPLE_WEIGHTS", flag(samples)),
                ("MASK", flag(parameters.mask)),
                ("IGNORE", f64::from(parameters.ignore)),
                ("CLASSES", flag(parameters.uses.classes)),
                ("FOCAL", flag(parameters.uses.focal)),
                ("CONVENTIONS", flag(parameters.uses.conventions)),
                ("WEIGHTS_ALONE", flag(parameters.weights_alone)),
            ]);
        }
        constants
    }
}

/// The pipelines of one device.
#[derive(Debug)]
pub(crate) struct Pipelines {
    /// The kernel's layouts and modules, by what the sums are taken over; made when they are first asked for.
    variants: [OnceLock<Variant>; 3],
    kernels: Mutex<HashMap<Spec, wgpu::ComputePipeline>>,
    pub finish: wgpu::ComputePipeline,
    pub divide: wgpu::ComputePipeline,
    pub finish_bindings: wgpu::BindGroupLayout,
}

/// The kernel with one kind of sums.
#[derive(Debug)]
struct Variant {
    layout: wgpu::PipelineLayout,
    bindings: wgpu::BindGroupLayout,
    /// By whether an output is narrow; made when they are first asked for.
    modules: [OnceLock<wgpu::ShaderModule>; 2],
}

const READ: wgpu::BufferBindingType = wgpu::BufferBindingType::Storage { read_only: true };
const WRITE: wgpu::BufferBindingType = wgpu::BufferBindingType::Storage { read_only: false };
/// The bindings of kernel.wgsl; sums by class or row have one more.
const BINDINGS: [wgpu::BufferBindingType; 9] = [WRITE, READ, READ, WRITE, WRITE, WRITE, READ, READ, WRITE];

impl Pipelines {
    pub fn new(device: &wgpu::Device) -> Self {
        let finish_bindings = layout(device, "logloss finish", &[READ, WRITE, WRITE]);
        let finish_layout = pipeline_layout(device, "logloss finish", &finish_bindings);
        let finish_module = module(device, "logloss finish", FINISH);
        let finish = |entry_point| {
            device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some("logloss finish"),
                layout: Some(&finish_layout),
                module: &finish_module,
                entry_point: Some(entry_point),
                compilation_options: Default::default(),
                cache: None,
            })
        };
        Self {
            variants: Default::default(),
            kernels: Mutex::default(),
            finish: finish("finish"),
            divide: finish("divide"),
            finish_bindings,
        }
    }

    /// Storage buffers that a kernel with these sums binds.
    pub fn storage_buffers(sums: Sums) -> u32 {
        BINDINGS.len() as u32 - u32::from(sums == Sums::All)
    }

    /// The layout of a kernel's bindings.
    pub fn bindings(&self, device: &wgpu::Device, sums: Sums) -> &wgpu::BindGroupLayout {
        &self.variant(device, sums).bindings
    }

    /// The kernel for `spec`, made the first time it is asked for.
    pub fn kernel(&self, device: &wgpu::Device, spec: Spec) -> wgpu::ComputePipeline {
        let mut kernels = self.kernels.lock().unwrap_or_else(PoisonError::into_inner);
        kernels.entry(spec).or_insert_with(|| self.make_kernel(device, spec)).clone()
    }

    /// Forgets every kernel if making what they are for has failed: one of them may be invalid.
    pub fn keep<T>(&self, made: Result<T>) -> Result<T> {
        if made.is_err() {
            self.kernels.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
        made
    }

    fn variant(&self, device: &wgpu::Device, sums: Sums) -> &Variant {
        self.variants[sums as usize].get_or_init(|| {
            let bindings = layout(device, "logloss kernel", &BINDINGS[..Self::storage_buffers(sums) as usize]);
            Variant {
                layout: pipeline_layout(device, "logloss kernel", &bindings),
                bindings,
                modules: Default::default(),
            }
        })
    }

    fn make_kernel(&self, device: &wgpu::Device, spec: Spec) -> wgpu::ComputePipeline {
        let variant = self.variant(device, spec.sums);
        let narrow = spec.narrow();
        let module = variant.modules[usize::from(narrow)]
            .get_or_init(|| module(device, "logloss kernel", &kernel_source(spec.sums, narrow)));
        device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some("logloss kernel"),
            layout: Some(&variant.layout),
            module,
            entry_point: Some(if spec.stores_alone { "store_alone" } else { "main" }),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &spec.constants(),
                // The kernel writes every word of workgroup memory before it reads it.
                zero_initialize_workgroup_memory: false,
            },
            cache: None,
        })
    }
}

fn pipeline_layout(device: &wgpu::Device, label: &str, bindings: &wgpu::BindGroupLayout) -> wgpu::PipelineLayout {
    device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: Some(label),
        bind_group_layouts: &[Some(bindings)],
        immediate_size: 0,
    })
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
