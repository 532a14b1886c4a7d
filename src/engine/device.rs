//! The devices there are, and which one is meant.

use crate::{Device, Error, Result};

/// Why there is no adapter.
#[cfg(feature = "gpu")]
const NO_ADAPTER: &str = "wgpu finds no adapter; install a Vulkan driver, or run on the CPU";
#[cfg(not(feature = "gpu"))]
const NO_ADAPTER: &str = "this program was built without the feature `gpu` of logloss; run on the CPU";

/// A device that evaluations run on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct DeviceInfo {
    /// Its name, as the driver gives it; for a CPU the instruction set in use. Serialised as `device`.
    #[cfg_attr(feature = "serde", serde(rename = "device"))]
    pub name: String,
    /// `cpu`, or the graphics API: `vulkan`, `metal`, `dx12`, `webgpu`.
    pub backend: String,
    /// What kind of device it is.
    pub kind: DeviceKind,
    /// The driver and its version; for a CPU the number of threads.
    pub driver: String,
}

/// Kinds of device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeviceKind {
    /// This crate's SIMD backend.
    Cpu,
    /// A GPU with memory of its own.
    DiscreteGpu,
    /// A GPU that shares memory with the CPU.
    IntegratedGpu,
    /// A GPU in a virtual machine.
    VirtualGpu,
    /// A graphics driver that computes on the CPU, such as llvmpipe or SwiftShader.
    Software,
    /// Not said by the driver.
    Other,
    /// Several devices of different kinds, see [`Engine::multi`](crate::Engine::multi).
    Several,
}

crate::names::names!("kind of device", DeviceKind { Cpu = "CPU", DiscreteGpu = "discrete GPU", IntegratedGpu = "integrated GPU", VirtualGpu = "virtual GPU", Software = "software adapter", Other = "unknown kind", Several = "several kinds" });

impl DeviceKind {
    /// Whether what it computes on may be memory that the host maps. (A card with memory of its own would compute
    /// across the bus.)
    #[cfg(feature = "gpu")]
    pub(crate) fn shares_memory(self) -> bool {
        matches!(self, DeviceKind::IntegratedGpu | DeviceKind::Software)
    }
}

/// Every device that an engine can run on, in the order of their indices.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Devices {
    /// The SIMD backend.
    pub cpu: DeviceInfo,
    /// The adapters that wgpu reaches.
    pub adapters: Vec<Adapter>,
    /// The choice of [`Device::Auto`](crate::Device::Auto).
    pub auto: AutoChoice,
}

/// An adapter, and what of it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Adapter {
    /// Its index in [`Devices::adapters`], which [`Device::Index`](crate::Device::Index) names.
    pub index: usize,
    /// Name, driver, kind. Its fields are serialised in place of it.
    #[cfg_attr(feature = "serde", serde(flatten))]
    pub info: DeviceInfo,
    /// Bytes that one storage binding may span: larger batches are cut into windows.
    pub max_binding_bytes: u64,
    /// Bytes that one buffer may hold.
    pub max_buffer_bytes: u64,
    /// Workgroups of one dispatch, in one dimension.
    pub max_workgroups: u32,
    /// Whether kernels are timed by the device's own clock.
    pub timestamps: bool,
    /// Whether lanes of a subgroup can talk to each other.
    pub subgroups: bool,
    /// Whether shaders compute in f16.
    pub shader_f16: bool,
    /// Whether the host can map what shaders bind: no copy on devices that share the host's memory.
    pub mappable_primary_buffers: bool,
}

/// The device that [`Device::Auto`](crate::Device::Auto) takes beside the CPU, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct AutoChoice {
    /// The device.
    pub info: DeviceInfo,
    /// The reason, a sentence for people.
    pub why: String,
}

impl Devices {
    /// The CPU and these adapters, in the order of their indices.
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

/// The adapter that `device` means; none where it means the CPU.
pub(crate) fn choose(device: &Device, allow_software: bool, infos: &[DeviceInfo]) -> Result<Option<usize>> {
    let missing = |wanted: &str| Error::NoSuchDevice { wanted: wanted.to_owned(), found: list(infos) };
    match device {
        Device::Cpu => Ok(None),
        Device::Auto => Ok(best(infos, allow_software)),
        Device::Gpu => match best(infos, allow_software) {
            Some(index) => Ok(Some(index)),
            None if infos.is_empty() => Err(Error::NoGpu { reason: NO_ADAPTER.into() }),
            None => Err(Error::NoGpu {
                reason: format!(
                    "only software adapters, which must be named, or allowed by `EngineOptions::allow_software`: {}",
                    list(infos)
                ),
            }),
        },
        Device::Index(index) if *index < infos.len() => Ok(Some(*index)),
        Device::Index(index) => Err(missing(&index.to_string())),
        Device::Name(name) => {
            let wanted = name.to_lowercase();
            if wanted == "cpu" {
                return Ok(None);
            }
            match infos.iter().position(|info| !wanted.is_empty() && info.name.to_lowercase().contains(&wanted)) {
                Some(index) => Ok(Some(index)),
                None => Err(missing(name)),
            }
        }
    }
}

/// The best adapter: discrete before integrated before virtual before unknown, and software last if at all.
fn best(infos: &[DeviceInfo], allow_software: bool) -> Option<usize> {
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

fn list(infos: &[DeviceInfo]) -> String {
    let cpu = std::iter::once("cpu".to_owned());
    let adapters = infos.iter().enumerate().map(|(index, info)| format!("{index} ({}, {})", info.name, info.backend));
    cpu.chain(adapters).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(name: &str, kind: DeviceKind) -> DeviceInfo {
        DeviceInfo { name: name.into(), backend: "vulkan".into(), kind, driver: String::new() }
    }

    #[test]
    fn software_only() {
        let infos = [info("llvmpipe (LLVM 15)", DeviceKind::Software)];
        assert_eq!(choose(&Device::Auto, false, &infos).unwrap(), None);
        assert_eq!(choose(&Device::Auto, true, &infos).unwrap(), Some(0));
        assert!(matches!(choose(&Device::Gpu, false, &infos), Err(Error::NoGpu { .. })));
        assert_eq!(choose(&Device::Gpu, true, &infos).unwrap(), Some(0));
        assert_eq!(choose(&Device::Index(0), false, &infos).unwrap(), Some(0));
        assert_eq!(choose(&Device::Name("LLVMpipe".into()), false, &infos).unwrap(), Some(0));
    }

    #[test]
    fn discrete_first() {
        let infos = [
            info("soft", DeviceKind::Software),
            info("integrated", DeviceKind::IntegratedGpu),
            info("first", DeviceKind::DiscreteGpu),
            info("second", DeviceKind::DiscreteGpu),
        ];
        assert_eq!(choose(&Device::Gpu, true, &infos).unwrap(), Some(2));
        assert_eq!(choose(&Device::Name("cpu".into()), true, &infos).unwrap(), None);
    }

    #[test]
    fn missing() {
        assert!(matches!(choose(&Device::Gpu, true, &[]), Err(Error::NoGpu { .. })));
        assert_eq!(choose(&Device::Auto, true, &[]).unwrap(), None);
        for device in [Device::Index(0), Device::Name("rtx".into()), Device::Name(String::new())] {
            assert!(matches!(choose(&device, true, &[]), Err(Error::NoSuchDevice { .. })));
        }
    }
}
