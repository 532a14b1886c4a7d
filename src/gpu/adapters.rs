//! Which adapters there are, and which one is meant.

use std::sync::LazyLock;

use crate::{Device, DeviceInfo, DeviceKind, Error, Result};

/// Every device that an engine can run on, in the order of their indices.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Devices {
    /// The SIMD backend.
    pub cpu: DeviceInfo,
    /// The adapters that wgpu reaches.
    pub adapters: Vec<Adapter>,
    /// What [`Device::Auto`] takes.
    pub auto: AutoChoice,
}

/// An adapter, and what of it matters here.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Adapter {
    /// Its place in [`Devices::adapters`]: what [`Device::Index`] means.
    pub index: usize,
    /// Name, driver, kind.
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

/// What [`Device::Auto`] takes, beside the CPU, and why.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AutoChoice {
    /// The device.
    pub info: DeviceInfo,
    /// The reason, a sentence for people.
    pub why: String,
}

/// One for all engines: wgpu tells a buffer of another device from one of its own only within an instance.
static INSTANCE: LazyLock<wgpu::Instance> =
    LazyLock::new(|| wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env()));

/// Every adapter wgpu reaches. The order, and so the indices, hold while the machine's drivers do.
pub(crate) async fn enumerate() -> Vec<wgpu::Adapter> {
    INSTANCE.enumerate_adapters(wgpu::Backends::all()).await
}

pub(crate) fn describe(info: &wgpu::AdapterInfo) -> DeviceInfo {
    DeviceInfo {
        name: info.name.clone(),
        backend: info.backend.to_str().to_owned(),
        kind: match info.device_type {
            wgpu::DeviceType::DiscreteGpu => DeviceKind::DiscreteGpu,
            wgpu::DeviceType::IntegratedGpu => DeviceKind::IntegratedGpu,
            wgpu::DeviceType::VirtualGpu => DeviceKind::VirtualGpu,
            wgpu::DeviceType::Cpu => DeviceKind::Software,
            wgpu::DeviceType::Other => DeviceKind::Other,
        },
        driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
    }
}

/// Looks at every adapter.
pub(crate) fn report(cpu: DeviceInfo, adapters: &[wgpu::Adapter]) -> Devices {
    let infos: Vec<_> = adapters.iter().map(|adapter| describe(&adapter.get_info())).collect();
    let auto = match best(&infos, false) {
        Some(index) => {
            let why =
                format!("the best GPU here, a {}; or the CPU, for batches that are faster there", infos[index].kind);
            AutoChoice { info: infos[index].clone(), why }
        }
        None if infos.is_empty() => AutoChoice { info: cpu.clone(), why: "wgpu finds no adapter".into() },
        None => AutoChoice {
            info: cpu.clone(),
            why: "every adapter is a software one, and the SIMD backend is faster than those".into(),
        },
    };
    let adapters = adapters
        .iter()
        .zip(infos)
        .enumerate()
        .map(|(index, (adapter, info))| {
            let (limits, features) = (adapter.limits(), adapter.features());
            Adapter {
                index,
                info,
                max_binding_bytes: limits.max_storage_buffer_binding_size,
                max_buffer_bytes: limits.max_buffer_size,
                max_workgroups: limits.max_compute_workgroups_per_dimension,
                timestamps: features.contains(wgpu::Features::TIMESTAMP_QUERY),
                subgroups: features.contains(wgpu::Features::SUBGROUP),
                shader_f16: features.contains(wgpu::Features::SHADER_F16),
                mappable_primary_buffers: features.contains(wgpu::Features::MAPPABLE_PRIMARY_BUFFERS),
            }
        })
        .collect();
    Devices { cpu, adapters, auto }
}

/// The adapter that `device` means; none where it means the CPU.
pub(crate) fn choose(device: &Device, allow_software: bool, infos: &[DeviceInfo]) -> Result<Option<usize>> {
    let missing = |wanted: &str| Error::NoSuchDevice { wanted: wanted.to_owned(), found: list(infos) };
    match device {
        Device::Cpu => Ok(None),
        Device::Auto => Ok(best(infos, allow_software)),
        Device::Gpu => match best(infos, allow_software) {
            Some(index) => Ok(Some(index)),
            None if infos.is_empty() => {
                Err(Error::NoGpu { reason: "wgpu finds no adapter; install a Vulkan driver, or run on the CPU".into() })
            }
            None => Err(Error::NoGpu {
                reason: format!("only software adapters, which must be allowed or named: {}", list(infos)),
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
