//! The descriptions of the available devices.

/// The description of a device.
///
/// ```
/// use logloss::{DeviceKind, Engine};
///
/// let device = Engine::cpu().device();
/// assert_eq!((device.backend.as_str(), device.kind), ("cpu", DeviceKind::Cpu));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct DeviceInfo {
    /// The name of the device as reported by the driver; for a CPU, the instruction set in use. Serialised as `device`.
    #[cfg_attr(feature = "serde", serde(rename = "device"))]
    pub name: String,
    /// `cpu`, or the graphics API: `vulkan`, `metal`, `dx12`, `webgpu`.
    pub backend: String,
    /// The kind of device.
    pub kind: DeviceKind,
    /// The driver and its version; for a CPU, the number of threads.
    pub driver: String,
}

/// The kind of a device.
///
/// ```
/// use logloss::{DeviceKind, Engine};
///
/// assert_eq!(Engine::cpu().device().kind, DeviceKind::Cpu);
/// assert_eq!(DeviceKind::DiscreteGpu.to_string(), "discrete GPU");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeviceKind {
    /// The SIMD backend of this crate.
    Cpu,
    /// A GPU with memory of its own.
    DiscreteGpu,
    /// A GPU that shares memory with the CPU.
    IntegratedGpu,
    /// A GPU in a virtual machine.
    VirtualGpu,
    /// A graphics driver that computes on the CPU, such as llvmpipe or SwiftShader.
    Software,
    /// A device whose kind the driver does not report.
    Other,
    /// Several devices of different kinds, see [`Engine::multi`](crate::Engine::multi).
    Several,
}

crate::names::names!("kind of device", DeviceKind { Cpu = "CPU", DiscreteGpu = "discrete GPU", IntegratedGpu = "integrated GPU", VirtualGpu = "virtual GPU", Software = "software adapter", Other = "unknown kind", Several = "several kinds" });

impl DeviceKind {
    /// Whether the device may compute in memory that the host maps. A device with memory of its own would access it
    /// across the bus.
    #[cfg(feature = "gpu")]
    pub(crate) fn shares_memory(self) -> bool {
        matches!(self, DeviceKind::IntegratedGpu | DeviceKind::Software)
    }
}

/// All devices that an engine can run on.
///
/// ```
/// let devices = logloss::devices();
/// println!("{}", devices.cpu.name);
/// for adapter in &devices.adapters {
///     println!("{}: {}", adapter.index, adapter.info.name);
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Devices {
    /// The SIMD backend.
    pub cpu: DeviceInfo,
    /// The adapters that wgpu supports, in the order of their indices.
    pub adapters: Vec<Adapter>,
    /// The choice of [`Device::Auto`](crate::Device::Auto).
    pub auto: AutoChoice,
}

/// An adapter, with the limits and features that evaluations depend on.
///
/// ```
/// for adapter in logloss::devices().adapters {
///     // This index names the adapter in `Device::Index`, and at the command line in `--device`.
///     println!("{}: {}, at most {} bytes a buffer", adapter.index, adapter.info.name, adapter.max_buffer_bytes);
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Adapter {
    /// The index of the adapter in [`Devices::adapters`], for [`Device::Index`](crate::Device::Index).
    pub index: usize,
    /// The name, driver and kind of the adapter. Its fields are serialised in place of it.
    #[cfg_attr(feature = "serde", serde(flatten))]
    pub info: DeviceInfo,
    /// The maximum number of bytes of one storage binding. Larger batches are divided into windows.
    pub max_binding_bytes: u64,
    /// The maximum number of bytes of one buffer.
    pub max_buffer_bytes: u64,
    /// The maximum number of workgroups of one dispatch in one dimension.
    pub max_workgroups: u32,
    /// Whether the adapter supports timestamp queries, which measure kernels with the device's own clock.
    pub timestamps: bool,
    /// Whether shaders support subgroup operations.
    pub subgroups: bool,
    /// Whether shaders can compute in f16.
    pub shader_f16: bool,
    /// Whether the host can map buffers that shaders bind, which avoids copies on devices that share the host's memory.
    pub mappable_primary_buffers: bool,
}

/// The device that [`Device::Auto`](crate::Device::Auto) chooses, and the reason.
///
/// ```
/// let auto = logloss::devices().auto;
/// println!("auto takes {}: {}", auto.info.name, auto.why);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct AutoChoice {
    /// The GPU that is used in addition to the CPU; the CPU if no GPU is used.
    pub info: DeviceInfo,
    /// The reason, as text for people.
    pub why: String,
}

impl Devices {
    /// The CPU and these adapters, which are in the order of their indices.
    pub(crate) fn new(cpu: DeviceInfo, adapters: Vec<Adapter>) -> Self {
        let infos: Vec<_> = adapters.iter().map(|adapter| adapter.info.clone()).collect();
        let auto = match best(&infos, false) {
            Some(index) => {
                let why = format!(
                    "the best GPU here, a {}; or the CPU, for batches that are faster there",
                    infos[index].kind
                );
                AutoChoice { info: infos[index].clone(), why }
            }
            None if infos.is_empty() => {
                let why =
                    if cfg!(feature = "gpu") { "wgpu finds no adapter" } else { "built without the feature `gpu`" };
                AutoChoice { info: cpu.clone(), why: why.into() }
            }
            None => AutoChoice {
                info: cpu.clone(),
                why: "every adapter is a software one, and the SIMD backend is faster than those".into(),
            },
        };
        Self { cpu, adapters, auto }
    }
}

/// The index of the best adapter: discrete before integrated before virtual before unknown, and software adapters last,
/// if they are allowed.
pub(crate) fn best(infos: &[DeviceInfo], allow_software: bool) -> Option<usize> {
    let rank = |kind| match kind {
        DeviceKind::DiscreteGpu => Some(0),
        DeviceKind::IntegratedGpu => Some(1),
        DeviceKind::VirtualGpu => Some(2),
        DeviceKind::Other => Some(3),
        DeviceKind::Software => allow_software.then_some(4),
        DeviceKind::Cpu | DeviceKind::Several => None,
    };
    let ranked = infos.iter().enumerate().filter_map(|(index, info)| Some((rank(info.kind)?, index)));
    ranked.min().map(|(_, index)| index)
}
