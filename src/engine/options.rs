//! How an engine is made: the device, and its options.

use std::{fmt, num::NonZeroUsize, str::FromStr};

use crate::Error;

/// Which device an engine runs on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Device {
    /// The CPU or the best GPU, for each batch in host memory the one that is faster, as measured when the engine is
    /// made; the CPU, without measuring, where there is no GPU. Never a software adapter, unless allowed.
    #[default]
    Auto,
    /// The SIMD backend.
    Cpu,
    /// The best GPU: discrete before integrated before virtual.
    Gpu,
    /// The adapter at this index of [`devices`](crate::devices).
    Index(usize),
    /// The first adapter whose name contains this, whatever its case. `cpu` names the SIMD backend.
    Name(String),
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Device::Auto => f.write_str("auto"),
            Device::Cpu => f.write_str("cpu"),
            Device::Gpu => f.write_str("gpu"),
            Device::Index(index) => write!(f, "{index}"),
            Device::Name(name) => f.write_str(name),
        }
    }
}

impl FromStr for Device {
    type Err = Error;

    /// Parses `auto`, `cpu`, `gpu`, an index, or else a part of an adapter's name.
    ///
    /// # Errors
    /// [`Error::NoSuchDevice`] for an empty word.
    fn from_str(word: &str) -> Result<Self, Error> {
        Ok(match word.trim() {
            "" => {
                let found = "auto, cpu, gpu, an index or a part of a name".to_owned();
                return Err(Error::NoSuchDevice { wanted: String::new(), found });
            }
            "auto" => Device::Auto,
            "cpu" => Device::Cpu,
            "gpu" => Device::Gpu,
            word => word.parse().map_or_else(|_| Device::Name(word.into()), Device::Index),
        })
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Device {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Device {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        word.parse().map_err(serde::de::Error::custom)
    }
}

/// How an engine is made.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct EngineOptions {
    /// The device.
    pub device: Device,
    /// Whether `Auto` and `Gpu` may take a software adapter (llvmpipe, SwiftShader, WARP). One named by index
    /// or name is taken either way.
    pub allow_software: bool,
    /// Threads of the SIMD backend; rayon's global pool if not said.
    pub threads: Option<NonZeroUsize>,
    /// Limits to ask of the adapter in place of the best it has. [`wgpu::Limits::default`] is what any WebGPU
    /// implementation gives.
    #[cfg(feature = "gpu")]
    pub limits: Option<wgpu::Limits>,
}

impl EngineOptions {
    /// Options for `device`, everything else at its default.
    pub fn new(device: Device) -> Self {
        Self { device, ..Self::default() }
    }

    /// Sets whether `Auto` and `Gpu` may take a software adapter.
    pub fn with_allow_software(mut self, allow_software: bool) -> Self {
        self.allow_software = allow_software;
        self
    }

    /// Runs the SIMD backend on this many threads of its own.
    pub fn with_threads(mut self, threads: NonZeroUsize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// Asks the adapter for these limits.
    #[cfg(feature = "gpu")]
    pub fn with_limits(mut self, limits: wgpu::Limits) -> Self {
        self.limits = Some(limits);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_parsed_as_they_are_printed() {
        for device in [Device::Auto, Device::Cpu, Device::Gpu, Device::Index(2), Device::Name("llvmpipe".into())] {
            assert_eq!(device.to_string().parse::<Device>().unwrap(), device);
        }
        assert!(matches!(" ".parse::<Device>(), Err(Error::NoSuchDevice { .. })));
    }
}
