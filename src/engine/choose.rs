//! The selection of an adapter.

use super::options::Device;
use crate::{DeviceInfo, Error, Result, device::best};

/// The reason why there is no adapter.
#[cfg(feature = "gpu")]
const NO_ADAPTER: &str = "wgpu finds no adapter; install a Vulkan driver, or run on the CPU";
#[cfg(not(feature = "gpu"))]
const NO_ADAPTER: &str = "this program was built without the feature `gpu` of logloss; run on the CPU";

/// The index of the adapter that `device` specifies; none if it specifies the CPU.
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

/// The CPU and these adapters as text.
fn list(infos: &[DeviceInfo]) -> String {
    let cpu = std::iter::once("cpu".to_owned());
    let adapters = infos.iter().enumerate().map(|(index, info)| format!("{index} ({}, {})", info.name, info.backend));
    cpu.chain(adapters).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DeviceKind;

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
